import type { KeyManagementServiceClient, protos } from '@google-cloud/kms';
import type { CallOptions } from 'google-gax';
import type { Metrics } from '@atrest/platform-metrics';
import type { CallLimiters } from '../call-limiter.js';
import { measured } from '../call-metrics.js';
import { ChecksumMismatchError, IncompleteAnswerError, KmsUsageError, WrappedBlobRefusedError } from '../errors.js';
import type { KeyContext, KeyDescription, KeyProvider, KeyRotation, KeyState, WrappedBlob } from '../key-provider.js';
import type { Verdict } from '../verdict.js';
import { assertWrappable, ciphertextFor } from '../wrapped-blob.js';
import { crc32c } from './crc32c.js';
import { GcpAccessTokens } from './gcp-access-tokens.js';
import { GcpConnections, type GcpEndpoint } from './gcp-connections.js';
import { parseGcpCredentials, type GcpCredentials, type GcpSubjectTokenPolicy } from './gcp-credentials.js';
import { classifyGcpError } from './gcp-error-classification.js';
import { parseGcpKeyVersion, requireGcpKeyVersion, type GcpKeyVersionName } from './gcp-key-names.js';

/** What a project gives us to use its key. */
export interface GcpKeySettings {
  /** `projects/…/locations/…/keyRings/…/cryptoKeys/…/cryptoKeyVersions/n`: the version that wraps. */
  readonly keyVersionResourceID: string;
  /** The JSON key of a service account, or the credential configuration of a workload identity pool. */
  readonly serviceAccountKey: string;
}

/** What the operator of Atrest decides for every Google Cloud key. */
export interface GcpKeyProviderOptions {
  readonly limiters: CallLimiters;
  readonly metrics: Metrics;
  /** Never taken from a project's settings: it would let a project make us talk to any address of our network. */
  readonly endpoint?: GcpEndpoint;
  /**
   * Shared by the providers of a process, which is much cheaper than one for each; it stands for the endpoint then. A provider without
   * it opens a connection of its own.
   */
  readonly connections?: GcpConnections;
  /** 5 s for a request to Cloud KMS, connection included, and as much for each request to a token endpoint. The SDK's own limit is 600 s. */
  readonly requestTimeoutMs?: number;
  /** Which tokens of this machine a project's credential configuration may name; none when left out. */
  readonly subjectTokens?: GcpSubjectTokenPolicy;
}

/** `Encrypt` and `Decrypt` of a symmetric key; the context is the additional authenticated data. */
export const GCP_MECHANISM = 'GCP_KMS:GOOGLE_SYMMETRIC_ENCRYPTION';

/** Cloud KMS allows each calling project 60,000 cryptographic requests per minute, over all locations (Cloud KMS quotas). */
export const gcpRequestQuotaOf = (): number => 1_000;

/** The quota does not know locations. */
const ALL_LOCATIONS = 'all-locations';

type CryptoKey = protos.google.cloud.kms.v1.ICryptoKey;
/** One request of the SDK. */
type Send<Answer> = (client: KeyManagementServiceClient, options: CallOptions) => Promise<[Answer, ...unknown[]]>;

/** A customer key in Google Cloud KMS. */
export class GcpKeyProvider implements KeyProvider {
  readonly provider = 'GCP';
  private readonly key: GcpKeyVersionName;
  private readonly credentials: GcpCredentials;
  private readonly tokens: GcpAccessTokens;
  private readonly timeoutMs: number;
  private readonly connections: GcpConnections;
  private readonly closing = new AbortController();

  /** @throws KeySettingsRefusedError when the settings cannot be right, whatever Google would say. */
  constructor(
    private readonly settings: GcpKeySettings,
    private readonly options: GcpKeyProviderOptions,
  ) {
    const { requestTimeoutMs = 5_000, subjectTokens } = options;
    this.connections = options.connections ?? new GcpConnections(options.endpoint);
    const tokenOrigin = this.connections.endpoint?.tokenOrigin;
    this.key = requireGcpKeyVersion(settings.keyVersionResourceID);
    this.credentials = parseGcpCredentials(settings.serviceAccountKey, subjectTokens);
    this.timeoutMs = requestTimeoutMs;
    this.tokens = new GcpAccessTokens(this.credentials, {
      requestTimeoutMs,
      ...(tokenOrigin !== undefined && { tokenOrigin }),
    });
  }

  async wrap(plaintext: Uint8Array, context: KeyContext): Promise<WrappedBlob> {
    assertWrappable(plaintext, context);
    const additionalData = contextBytes(context);
    const answer = await this.call('Encrypt', (client, options) =>
      client.encrypt(
        {
          name: this.key.name,
          plaintext,
          plaintextCrc32c: { value: crc32c(plaintext) },
          additionalAuthenticatedData: additionalData,
          additionalAuthenticatedDataCrc32c: { value: crc32c(additionalData) },
        },
        options,
      ),
    );
    // Without these the service may have encrypted bytes that were damaged on their way to it.
    if (answer.verifiedPlaintextCrc32c !== true) throw new IncompleteAnswerError('Encrypt', 'verified checksum of the plaintext');
    if (answer.verifiedAdditionalAuthenticatedDataCrc32c !== true) {
      throw new IncompleteAnswerError('Encrypt', 'verified checksum of the additional data');
    }
    const ciphertext = checked('Encrypt', 'ciphertext', answer.ciphertext, answer.ciphertextCrc32c);
    const used = parseGcpKeyVersion(answer.name ?? '');
    if (used === null || used.version !== this.key.version)
      throw new IncompleteAnswerError('Encrypt', 'name of the version that was asked for');
    return {
      format: 1,
      provider: this.provider,
      keyId: this.key.name,
      resolvedKeyId: used.name,
      keyVersion: used.version,
      mechanism: GCP_MECHANISM,
      context: { projectId: context.projectId, purpose: context.purpose },
      ciphertext: ciphertext.toString('base64'),
    };
  }

  async unwrap(blob: WrappedBlob, context: KeyContext): Promise<Uint8Array> {
    const ciphertext = ciphertextFor(blob, { provider: this.provider, mechanism: GCP_MECHANISM, context });
    const wrappedBy = parseGcpKeyVersion(blob.resolvedKeyId);
    if (wrappedBy === null) throw new WrappedBlobRefusedError('resolvedKeyId', 'the name of a key version');
    const additionalData = contextBytes(context);
    const answer = await this.call('Decrypt', (client, options) =>
      client.decrypt(
        {
          // The service finds the version in the ciphertext and refuses a version's name here.
          name: wrappedBy.keyName,
          ciphertext,
          ciphertextCrc32c: { value: crc32c(ciphertext) },
          additionalAuthenticatedData: additionalData,
          additionalAuthenticatedDataCrc32c: { value: crc32c(additionalData) },
        },
        options,
      ),
    );
    return checked('Decrypt', 'plaintext', answer.plaintext, answer.plaintextCrc32c);
  }

  async describe(): Promise<KeyDescription> {
    const version = await this.call('GetCryptoKeyVersion', (client, options) =>
      client.getCryptoKeyVersion({ name: this.key.name }, options),
    );
    if (!version.name) throw new IncompleteAnswerError('GetCryptoKeyVersion', 'name');
    const key = await this.describeKey();
    const state = VERSION_STATES[String(version.state)] ?? 'UNKNOWN';
    return {
      keyId: this.key.name,
      resolvedKeyId: version.name,
      keyVersion: this.key.version,
      state,
      usage: key === null ? null : String(key.purpose),
      algorithm: version.algorithm === null || version.algorithm === undefined ? null : String(version.algorithm),
      createdAt: dateOf(version.createTime),
      deletionDate: state === 'PENDING_DELETION' ? dateOf(version.destroyTime) : null,
      ...(key !== null && { rotation: rotationOf(key) }),
    };
  }

  verdict(error: unknown): Verdict {
    return classifyGcpError(error);
  }

  fresh(): GcpKeyProvider {
    const { connections } = this.options;
    return new GcpKeyProvider(this.settings, { ...this.options, ...(connections !== undefined && { connections: connections.renewed() }) });
  }

  close(): void {
    this.closing.abort(new KmsUsageError('This key provider was closed.'));
    if (this.options.connections === undefined) this.connections.close();
  }

  /** The key above the version, which takes a permission of its own: without it the description says less. */
  private async describeKey(): Promise<CryptoKey | null> {
    try {
      return await this.call('GetCryptoKey', (client, options) => client.getCryptoKey({ name: this.key.keyName }, options));
    } catch (error) {
      if (this.verdict(error).reason === 'ACCESS_DENIED') return null;
      throw error;
    }
  }

  private async call<Answer>(operation: string, send: Send<Answer>): Promise<Answer> {
    this.closing.signal.throwIfAborted();
    const { credentials } = this;
    const account = credentials.kind === 'service-account' ? credentials.projectId : null;
    await this.options.limiters.acquire(account ?? this.key.projectId, ALL_LOCATIONS);
    return measured(this.options.metrics, { provider: this.provider, operation, verdict: (error) => this.verdict(error) }, () =>
      this.untilClosed(this.attempt(send)),
    );
  }

  private async attempt<Answer>(send: Send<Answer>): Promise<Answer> {
    this.closing.signal.throwIfAborted();
    const first = await this.tokens.get();
    try {
      return await this.request(send, first.token);
    } catch (error) {
      if (statusOf(error) !== UNAUTHENTICATED) throw error;
      this.tokens.forget();
      // A token that was given out earlier may have ended since. A new one tells whether the credentials have.
      if (!first.reused) throw error;
    }
    const { token } = await this.tokens.get();
    return this.request(send, token);
  }

  private async request<Answer>(send: Send<Answer>, token: string): Promise<Answer> {
    this.closing.signal.throwIfAborted();
    const client = await this.connections.client();
    try {
      const [answer] = await send(client, {
        timeout: this.timeoutMs,
        // `withTransientRetries` retries.
        retry: null,
        otherArgs: { headers: { authorization: `Bearer ${token}` } },
      });
      return answer;
    } catch (error) {
      if (statusOf(error) === DEADLINE_EXCEEDED) this.connections.noAnswer();
      throw error;
    }
  }

  /** Ends with the call, or as soon as the provider is closed. */
  private async untilClosed<Answer>(call: Promise<Answer>): Promise<Answer> {
    const { signal } = this.closing;
    let stop: (() => void) | undefined;
    const closed = new Promise<never>((_, reject) => {
      stop = () => reject(signal.reason as Error);
      signal.addEventListener('abort', stop, { once: true });
    });
    try {
      return await Promise.race([call, closed]);
    } finally {
      if (stop !== undefined) signal.removeEventListener('abort', stop);
    }
  }
}

const DEADLINE_EXCEEDED = 4;
const UNAUTHENTICATED = 16;

/** The gRPC status of an error; of anything else whatever it has as its code. */
const statusOf = (error: unknown): unknown => (typeof error === 'object' && error !== null ? Reflect.get(error, 'code') : undefined);

/** What is authenticated with each blob; the JSON of an array of texts has one form only. */
const contextBytes = (context: KeyContext): Buffer => Buffer.from(JSON.stringify(['atrest:1', context.projectId, context.purpose]), 'utf8');

/** Bytes of an answer whose checksum fits them. */
function checked(
  operation: string,
  field: string,
  value: Uint8Array | string | null | undefined,
  sum: protos.google.protobuf.IInt64Value | null | undefined,
): Buffer {
  if (value === null || value === undefined || value.length === 0) throw new IncompleteAnswerError(operation, field);
  if (sum === null || sum === undefined) throw new IncompleteAnswerError(operation, `checksum of the ${field}`);
  const bytes = typeof value === 'string' ? Buffer.from(value, 'base64') : Buffer.from(value);
  if (Number(String(sum.value)) !== crc32c(bytes)) throw new ChecksumMismatchError(operation, field);
  return bytes;
}

const VERSION_STATES: Readonly<Record<string, KeyState>> = {
  ENABLED: 'ENABLED',
  DISABLED: 'DISABLED',
  DESTROYED: 'DESTROYED',
  DESTROY_SCHEDULED: 'PENDING_DELETION',
  PENDING_EXTERNAL_DESTRUCTION: 'PENDING_DELETION',
  EXTERNAL_DESTRUCTION_FAILED: 'DESTROYED',
  PENDING_GENERATION: 'CREATING',
  PENDING_IMPORT: 'PENDING_IMPORT',
  IMPORT_FAILED: 'PENDING_IMPORT',
  GENERATION_FAILED: 'UNAVAILABLE',
};

const DAY_SECONDS = 24 * 3_600;

function rotationOf(key: CryptoKey): KeyRotation {
  const seconds = Number(String(key.rotationPeriod?.seconds ?? 0));
  return {
    automatic: seconds > 0,
    periodDays: seconds > 0 ? seconds / DAY_SECONDS : null,
    nextRotationAt: dateOf(key.nextRotationTime),
  };
}

function dateOf(time: protos.google.protobuf.ITimestamp | null | undefined): Date | null {
  if (time === null || time === undefined) return null;
  return new Date(Number(String(time.seconds ?? 0)) * 1_000 + Math.floor((time.nanos ?? 0) / 1_000_000));
}
