import { ClientSecretCredential, WorkloadIdentityCredential, type AccessToken, type TokenCredential } from '@azure/identity';
import type { HttpClient } from '@azure/core-rest-pipeline';
import type { Clock } from '@atrest/platform-time';
import { IncompleteAnswerError, KeySettingsRefusedError, KmsUsageError } from '../errors.js';
import type { AzureCloud } from './azure-clouds.js';

/** How an application proves who it is. */
export type AzureProof =
  | { readonly kind: 'client-secret'; readonly clientSecret: string }
  /**
   * The federated token of the workload that Atrest runs as. It is Atrest's identity, not the project's: whoever sets up the application's
   * federation decides which projects may name it.
   */
  | { readonly kind: 'workload-identity' };

export interface AzureIdentity {
  /** UUID. */
  readonly tenantId: string;
  /** UUID of the application. */
  readonly clientId: string;
  readonly proof: AzureProof;
}

export interface AzureTokenSourceOptions {
  readonly cloud: AzureCloud;
  readonly http: HttpClient;
  readonly clock: Clock;
  /** A token is not used for longer, though Azure would take it for an hour: a removed secret or federation is found out that much earlier. */
  readonly maxAgeMs: number;
  /** File with the workload's federated token. An operator's option: a project could have any file read. */
  readonly federatedTokenFile?: string;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
/** A token that ends sooner is not begun with: the clocks of the two sides may differ by so much. */
const MARGIN_MS = 60_000;

/**
 * Gets tokens for vaults and keeps the last one. Each is asked for with a new credential of the SDK: MSAL remembers a 429 or 5xx for a minute
 * and answers with it by itself, which would turn one failed request into a minute of them.
 */
export class AzureTokenSource {
  private current: { readonly token: string; readonly usableUntil: number } | null = null;
  private pending: Promise<string> | null = null;

  constructor(
    private readonly identity: AzureIdentity,
    private readonly options: AzureTokenSourceOptions,
    /** Runs the request for a token, to measure it. */
    private readonly run: (request: () => Promise<AccessToken>) => Promise<AccessToken>,
  ) {
    if (!UUID.test(identity.tenantId)) throw new KeySettingsRefusedError('tenantID', 'must be a UUID');
    if (!UUID.test(identity.clientId)) throw new KeySettingsRefusedError('clientID', 'must be a UUID');
    if (identity.proof.kind === 'client-secret' && identity.proof.clientSecret === '') {
      throw new KeySettingsRefusedError('secret', 'must not be empty');
    }
    if (identity.proof.kind === 'workload-identity' && options.federatedTokenFile === undefined) {
      throw new KmsUsageError('This installation has no federated token file, which a workload identity needs.');
    }
  }

  /** A token that the vault should take. Rejects with the SDK's own errors. */
  async token(): Promise<string> {
    if (this.current !== null && this.options.clock.now().getTime() < this.current.usableUntil) return this.current.token;
    this.pending ??= this.acquire().finally(() => {
      this.pending = null;
    });
    return this.pending;
  }

  /** The vault refused this token: the next one is a new one. */
  forget(token: string): void {
    if (this.current?.token === token) this.current = null;
  }

  private async acquire(): Promise<string> {
    const { cloud, clock, maxAgeMs } = this.options;
    const askedAt = clock.now().getTime();
    const answer = await this.run(async () => {
      const { http, lost } = rememberingLoss(this.options.http);
      try {
        const made = await this.credential(http).getToken(cloud.scope);
        if (made === null) throw new IncompleteAnswerError('token', 'token');
        return made;
      } catch (error) {
        // MSAL makes "network_error" of every loss, whether the name, the connection, the certificate or the time was missing.
        throw lost() ?? error;
      }
    });
    this.current = { token: answer.token, usableUntil: Math.min(askedAt + maxAgeMs, answer.expiresOnTimestamp - MARGIN_MS) };
    return answer.token;
  }

  private credential(http: HttpClient): TokenCredential {
    const { tenantId, clientId, proof } = this.identity;
    const { cloud, federatedTokenFile } = this.options;
    const options = {
      authorityHost: cloud.authorityHost,
      httpClient: http,
      retryOptions: { maxRetries: 0 },
      redirectOptions: { maxRetries: 0 },
    };
    if (proof.kind === 'client-secret') return new ClientSecretCredential(tenantId, clientId, proof.clientSecret, options);
    // Never without the file's name: the SDK would take it from the environment.
    if (federatedTokenFile === undefined) throw new KmsUsageError('A workload identity needs a federated token file.');
    return new WorkloadIdentityCredential({ tenantId, clientId, tokenFilePath: federatedTokenFile, ...options });
  }
}

/** The client, and what its last request without an answer died of. */
function rememberingLoss(http: HttpClient): { http: HttpClient; lost: () => unknown } {
  let loss: unknown;
  return {
    lost: () => loss,
    http: {
      sendRequest: async (request) => {
        try {
          return await http.sendRequest(request);
        } catch (error) {
          loss = error;
          throw error;
        }
      },
    },
  };
}
