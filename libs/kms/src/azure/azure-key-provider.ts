import type { AccessToken } from '@azure/identity';
import { isRestError } from '@azure/core-rest-pipeline';
import type { Metrics } from '@atrest/platform-metrics';
import { systemClock, type Clock } from '@atrest/platform-time';
import type { CallLimiters } from '../call-limiter.js';
import { measured } from '../call-metrics.js';
import { KmsError, KmsUsageError, WrappedBlobRefusedError } from '../errors.js';
import type { KeyContext, KeyDescription, KeyProvider, KeyState, WrappedBlob } from '../key-provider.js';
import type { Verdict } from '../verdict.js';
import { assertWrappable, ciphertextFor } from '../wrapped-blob.js';
import { azureCloudOf, parseAzureKeyId, type AzureEnvironment, type AzureKeyId } from './azure-clouds.js';
import { AZURE_MECHANISM, bindToContext, openForContext } from './azure-envelope.js';
import { classifyAzureError } from './azure-error-classification.js';
import { azureHttpClient, type AzureDevelopmentRoute, type AzureHttpClient } from './azure-http-client.js';
import { AzureTokenSource, type AzureIdentity } from './azure-token-source.js';
import { KeyVaultClient, urlOf, type KeyVaultKey } from './key-vault-client.js';

/** What a project gives us to use its key. */
export interface AzureKeySettings extends AzureIdentity {
  readonly environment: AzureEnvironment;
  /** URL of one version of an RSA key in a vault of the environment. */
  readonly keyIdentifier: string;
}

/** What the operator of Atrest decides for every Azure key. */
export interface AzureKeyProviderOptions {
  readonly limiters: CallLimiters;
  readonly metrics: Metrics;
  /** For workload identities, e.g. what AZURE_FEDERATED_TOKEN_FILE names on AKS. */
  readonly federatedTokenFile?: string;
  /** 5 s for one request from its first byte to the last of the answer: far above Azure's usual tens of milliseconds. The SDK has no limit. */
  readonly requestTimeoutMs?: number;
  /** How long a token is used. 15 min: longer hides a revocation, shorter makes Entra the most asked service of all. */
  readonly tokenMaxAgeMs?: number;
  /** Connections that one client opens to one host at the same time. A check uses one. */
  readonly maxSockets?: number;
  readonly clock?: Clock;
  /** Development and tests only. */
  readonly development?: AzureDevelopmentRoute;
}

/**
 * Requests per second that a vault allows, by `RSA-<bits>` of the key or `READ` (Azure Key Vault service limits, per vault and region, there
 * per 10 s). The numbers of HSM keys: about half those of software keys, which a caller cannot tell apart before it was answered.
 */
export function azureRequestQuotaOf(kind: string): number {
  const per10Seconds: Readonly<Record<string, number>> = { 'RSA-2048': 2_000, 'RSA-3072': 500, READ: 2_000 };
  return (per10Seconds[kind] ?? 250) / 10;
}

/** A customer key, one version of an RSA key, in Azure Key Vault. */
export class AzureKeyProvider implements KeyProvider {
  readonly provider = 'AZURE';
  private readonly key: AzureKeyId;
  private readonly http: AzureHttpClient;
  private readonly vault: KeyVaultClient;
  private readonly tokens: AzureTokenSource;
  private readonly clock: Clock;
  /** Bytes of the modulus; null until a first answer shows it. */
  private modulusBytes: number | null = null;
  private closed = false;

  /** Throws `KeySettingsRefusedError` for settings that cannot be right, whatever Azure would say. */
  constructor(
    private readonly settings: AzureKeySettings,
    private readonly options: AzureKeyProviderOptions,
  ) {
    const { requestTimeoutMs = 5_000, maxSockets = 10, tokenMaxAgeMs = 15 * 60_000, clock = systemClock, development } = options;
    this.key = parseAzureKeyId(settings.keyIdentifier, settings.environment);
    this.clock = clock;
    this.http = azureHttpClient({ requestTimeoutMs, maxSockets, ...(development && { route: development }) });
    this.vault = new KeyVaultClient(this.http);
    this.tokens = new AzureTokenSource(
      settings,
      {
        cloud: azureCloudOf(settings.environment),
        http: this.http,
        clock,
        maxAgeMs: tokenMaxAgeMs,
        ...(options.federatedTokenFile !== undefined && { federatedTokenFile: options.federatedTokenFile }),
      },
      (request) => this.measured<AccessToken>('token', request),
    );
  }

  async wrap(plaintext: Uint8Array, context: KeyContext): Promise<WrappedBlob> {
    assertWrappable(plaintext, context);
    const bound = bindToContext(plaintext, context);
    try {
      const wrapped = await this.call('wrapkey', this.key, quotaOfModulus(this.modulusBytes), (token) =>
        this.vault.crypto('wrapkey', this.key, bound, token),
      );
      this.modulusBytes = wrapped.length;
      return {
        format: 1,
        provider: this.provider,
        keyId: this.settings.keyIdentifier,
        resolvedKeyId: urlOf(this.key),
        keyVersion: this.key.version,
        mechanism: AZURE_MECHANISM,
        context: { projectId: context.projectId, purpose: context.purpose },
        ciphertext: wrapped.toString('base64'),
      };
    } finally {
      bound.fill(0);
    }
  }

  async unwrap(blob: WrappedBlob, context: KeyContext): Promise<Uint8Array> {
    const ciphertext = ciphertextFor(blob, { provider: this.provider, mechanism: AZURE_MECHANISM, context });
    const key = this.keyOf(blob);
    const unwrapped = await this.call('unwrapkey', key, quotaOfModulus(ciphertext.length), (token) =>
      this.vault.crypto('unwrapkey', key, ciphertext, token),
    );
    return openForContext(unwrapped, context);
  }

  /** Needs `keys/get`. A deleted key is described as well, as long as it can be recovered. */
  async describe(): Promise<KeyDescription> {
    try {
      return this.description(await this.call('getkey', this.key, 'READ', (token) => this.vault.getKey(this.key, token)));
    } catch (error) {
      const { reason } = this.verdict(error);
      if (reason === 'KEY_DISABLED') return this.description(null);
      if (reason !== 'KEY_NOT_FOUND') throw error;
      const deleted = await this.deletedKey();
      // Gone for good, or nobody may know: then the first answer says more.
      if (deleted === null) throw error;
      return { ...this.description(deleted), state: 'PENDING_DELETION' };
    }
  }

  verdict(error: unknown): Verdict {
    return classifyAzureError(error);
  }

  /** Also asks for a token of its own. */
  fresh(): AzureKeyProvider {
    return new AzureKeyProvider(this.settings, this.options);
  }

  close(): void {
    this.closed = true;
    this.http.close();
  }

  /** The key that a blob names; never a host that is no vault of our cloud, since we send it our token. */
  private keyOf(blob: WrappedBlob): AzureKeyId {
    try {
      return parseAzureKeyId(blob.resolvedKeyId, this.settings.environment);
    } catch (error) {
      if (!(error instanceof KmsError)) throw error;
      throw new WrappedBlobRefusedError('resolvedKeyId', `a key version in a vault of ${this.settings.environment}`);
    }
  }

  private async deletedKey(): Promise<KeyVaultKey | null> {
    try {
      return await this.call('getdeletedkey', this.key, 'READ', (token) => this.vault.getDeletedKey(this.key, token));
    } catch (error) {
      if (this.verdict(error).kind === 'definitive') return null;
      throw error;
    }
  }

  /** `found` null: the vault says no more of a key than that it is disabled. */
  private description(found: KeyVaultKey | null): KeyDescription {
    return {
      keyId: this.settings.keyIdentifier,
      resolvedKeyId: found?.kid ?? urlOf(this.key),
      keyVersion: this.key.version,
      state: found === null ? 'DISABLED' : keyStateOf(found, this.clock.now()),
      usage: found === null ? null : found.operations.join(','),
      algorithm: found?.kty == null ? null : [found.kty, found.bits].filter((part) => part !== null).join(' '),
      createdAt: dateOf(found?.created),
      deletionDate: dateOf(found?.scheduledPurge),
      expiresAt: dateOf(found?.expires),
      recoveryLevel: found?.recoveryLevel ?? null,
    };
  }

  private async call<Answer>(operation: string, key: AzureKeyId, quota: string, send: (token: string) => Promise<Answer>): Promise<Answer> {
    if (this.closed) throw new KmsUsageError('This key provider was closed.');
    const attempt = async (): Promise<{ answer: Answer } | { refused: string; error: unknown }> => {
      await this.options.limiters.acquire(key.host, quota);
      const token = await this.tokens.token();
      try {
        return { answer: await this.measured(operation, () => send(token)) };
      } catch (error) {
        if (!isRestError(error) || error.statusCode !== 401) throw error;
        return { refused: token, error };
      }
    };
    let outcome = await attempt();
    if ('refused' in outcome) {
      // A kept token may have ended early; only a new one that is refused as well says something about the credentials.
      this.tokens.forget(outcome.refused);
      outcome = await attempt();
    }
    if ('refused' in outcome) {
      this.tokens.forget(outcome.refused);
      throw outcome.error;
    }
    return outcome.answer;
  }

  private measured<Answer>(operation: string, run: () => Promise<Answer>): Promise<Answer> {
    const { metrics } = this.options;
    return measured(metrics, { provider: this.provider, operation, verdict: (error) => this.verdict(error) }, run);
  }
}

/** Wrapping the first time, the length is unknown: then the smallest quota. */
const quotaOfModulus = (bytes: number | null): string => `RSA-${(bytes ?? 512) * 8}`;

const dateOf = (seconds: number | null | undefined): Date | null =>
  seconds === null || seconds === undefined ? null : new Date(seconds * 1_000);

function keyStateOf(key: KeyVaultKey, now: Date): KeyState {
  if (key.enabled === null) return 'UNKNOWN';
  if (!key.enabled) return 'DISABLED';
  const seconds = now.getTime() / 1_000;
  if (key.expires !== null && key.expires <= seconds) return 'EXPIRED';
  if (key.notBefore !== null && key.notBefore > seconds) return 'NOT_YET_ACTIVE';
  return 'ENABLED';
}
