import {
  DecryptCommand,
  DescribeKeyCommand,
  EncryptCommand,
  GetKeyRotationStatusCommand,
  type KeyMetadata,
  type KMSClient,
} from '@aws-sdk/client-kms';
import type { Metrics } from '@atrest/platform-metrics';
import type { CallLimiters } from '../call-limiter.js';
import { measured } from '../call-metrics.js';
import { IncompleteAnswerError, KmsUsageError } from '../errors.js';
import type { KeyContext, KeyDescription, KeyProvider, KeyRotation, KeyState, WrappedBlob } from '../key-provider.js';
import type { Verdict } from '../verdict.js';
import { assertWrappable, ciphertextFor } from '../wrapped-blob.js';
import { classifyAwsError } from './aws-error-classification.js';
import { AwsAccess } from './aws-access.js';
import type { AwsCredentials, AwsRole } from './aws-assumed-role.js';
import { AwsConnections, type AwsConnectionLimits } from './aws-connections.js';
import { awsRegionOf, parseAwsKeyArn, type AtlasAwsRegion } from './aws-regions.js';

/** What a project gives us to use its key: an access key of its own, or a role that trusts this installation. */
export type AwsKeySettings = {
  /** Key id, key ARN, alias name (`alias/…`) or alias ARN. */
  readonly keyId: string;
  readonly region: AtlasAwsRegion;
} & (AwsCredentials | { readonly role: AwsRole });

/** What the operator of Atrest decides for every AWS key. */
export interface AwsKeyProviderOptions extends AwsConnectionLimits {
  readonly limiters: CallLimiters;
  readonly metrics: Metrics;
  /**
   * Another address than AWS's, e.g. a VPC endpoint or the development KMS. Never taken from a project's settings: it would let a
   * project make us talk to any address of our network.
   */
  readonly endpoint?: string;
  /** As `endpoint`, for AWS STS. */
  readonly stsEndpoint?: string;
  /** What roles are assumed with: this installation's own access key, or how to get one (e.g. a credential provider of the AWS SDK). */
  readonly installation?: AwsCredentials | (() => Promise<AwsCredentials>);
  /** The limit of this installation's own account at AWS STS (`awsStsRequestQuotaOf`); none when left out. */
  readonly stsLimiters?: CallLimiters;
  /** Shared with other keys; left out, the provider has connections of its own, with the limits given here. A fresh provider always has its own. */
  readonly connections?: AwsConnections;
}

/** `Encrypt` and `Decrypt` with AES-256-GCM inside AWS KMS; the context is AWS's encryption context. */
export const AWS_MECHANISM = 'AWS_KMS:SYMMETRIC_DEFAULT';

/**
 * AWS's shared quota for cryptographic operations on symmetric keys, requests per second per account and region
 * (AWS KMS Developer Guide, "Request quotas for each AWS KMS API operation").
 */
export function awsRequestQuotaOf(awsRegion: string): number {
  if (['us-east-1', 'us-west-2', 'eu-west-1'].includes(awsRegion)) return 100_000;
  const large = ['us-east-2', 'ap-southeast-1', 'ap-southeast-2', 'ap-northeast-1', 'eu-central-1', 'eu-west-2'];
  return large.includes(awsRegion) ? 20_000 : 10_000;
}

/** A customer key in AWS KMS. */
export class AwsKeyProvider implements KeyProvider {
  readonly provider = 'AWS';
  private readonly region: string;
  private readonly access: AwsAccess;
  private readonly connections: AwsConnections;
  private readonly deadlineMs: number;
  /** Ends what is in flight when the provider is closed; null then. */
  private inFlight: Set<AbortController> | null = new Set();
  private accountId: string | null;

  constructor(
    private readonly settings: AwsKeySettings,
    private readonly options: AwsKeyProviderOptions,
  ) {
    const region = awsRegionOf(settings.region);
    if (region === null) throw new KmsUsageError(`No AWS KMS key can live in the region ${settings.region}.`);
    this.region = region;
    this.accountId = parseAwsKeyArn(settings.keyId)?.accountId ?? null;
    this.connections = options.connections ?? new AwsConnections(options);
    this.deadlineMs = this.connections.connectionTimeoutMs + this.connections.requestTimeoutMs;
    const { endpoint, stsEndpoint, installation, stsLimiters } = options;
    this.access = new AwsAccess({
      awsRegion: region,
      identity: settings,
      ...(installation !== undefined && { installation }),
      ...(endpoint !== undefined && { endpoint }),
      ...(stsEndpoint !== undefined && { stsEndpoint }),
      ...(stsLimiters !== undefined && { stsLimiters }),
      connections: this.connections,
      measure: (run) => this.measured('AssumeRole', run),
    });
  }

  async wrap(plaintext: Uint8Array, context: KeyContext): Promise<WrappedBlob> {
    assertWrappable(plaintext, context);
    const { keyId } = this.settings;
    const answer = await this.call('Encrypt', this.accountId, (client, abortSignal) =>
      client.send(
        new EncryptCommand({
          KeyId: keyId,
          Plaintext: plaintext,
          EncryptionContext: encryptionContext(context),
          // Named, so that an asymmetric key, which cannot authenticate a context, is refused by AWS.
          EncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
        }),
        { abortSignal },
      ),
    );
    if (answer.CiphertextBlob === undefined) throw new IncompleteAnswerError('Encrypt', 'CiphertextBlob');
    if (answer.KeyId === undefined) throw new IncompleteAnswerError('Encrypt', 'KeyId');
    this.accountId = parseAwsKeyArn(answer.KeyId)?.accountId ?? this.accountId;
    return {
      format: 1,
      provider: this.provider,
      keyId,
      resolvedKeyId: answer.KeyId,
      // AWS finds rotated key material by itself; a caller cannot name it.
      keyVersion: null,
      mechanism: AWS_MECHANISM,
      context: { projectId: context.projectId, purpose: context.purpose },
      ciphertext: Buffer.from(answer.CiphertextBlob).toString('base64'),
    };
  }

  async unwrap(blob: WrappedBlob, context: KeyContext): Promise<Uint8Array> {
    const ciphertext = ciphertextFor(blob, { provider: this.provider, mechanism: AWS_MECHANISM, context });
    const accountId = parseAwsKeyArn(blob.resolvedKeyId)?.accountId ?? this.accountId;
    const answer = await this.call('Decrypt', accountId, (client, abortSignal) =>
      client.send(
        new DecryptCommand({
          // Pinned: without it AWS would use whatever key the ciphertext names.
          KeyId: blob.resolvedKeyId,
          CiphertextBlob: ciphertext,
          EncryptionContext: encryptionContext(context),
          EncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
        }),
        { abortSignal },
      ),
    );
    if (answer.Plaintext === undefined) throw new IncompleteAnswerError('Decrypt', 'Plaintext');
    return answer.Plaintext;
  }

  async describe(): Promise<KeyDescription> {
    const { keyId } = this.settings;
    const answer = await this.call('DescribeKey', this.accountId, (client, abortSignal) =>
      client.send(new DescribeKeyCommand({ KeyId: keyId }), { abortSignal }),
    );
    const metadata = answer.KeyMetadata;
    if (metadata?.Arn === undefined) throw new IncompleteAnswerError('DescribeKey', 'KeyMetadata.Arn');
    const rotation = await this.describeRotation(metadata.Arn);
    return {
      keyId,
      resolvedKeyId: metadata.Arn,
      keyVersion: null,
      state: keyStateOf(metadata),
      usage: metadata.KeyUsage ?? null,
      algorithm: metadata.KeySpec ?? null,
      createdAt: metadata.CreationDate ?? null,
      deletionDate: metadata.DeletionDate ?? null,
      ...(rotation !== null && { rotation }),
    };
  }

  verdict(error: unknown): Verdict {
    return classifyAwsError(error, { hasSessionToken: 'role' in this.settings || this.settings.sessionToken !== undefined });
  }

  fresh(): AwsKeyProvider {
    const { connections: shared, ...options } = this.options;
    const limits = shared && { connectionTimeoutMs: shared.connectionTimeoutMs, requestTimeoutMs: shared.requestTimeoutMs };
    return new AwsKeyProvider(this.settings, { ...options, ...limits });
  }

  close(): void {
    const ended = this.inFlight ?? [];
    this.inFlight = null;
    for (const call of ended) call.abort();
    this.access.close();
    if (this.options.connections === undefined) this.connections.close();
  }

  /** Takes an alias no more than other keys than symmetric ones, and a permission of its own: without it the description says less. */
  private async describeRotation(keyArn: string): Promise<KeyRotation | null> {
    try {
      const answer = await this.call('GetKeyRotationStatus', this.accountId, (client, abortSignal) =>
        client.send(new GetKeyRotationStatusCommand({ KeyId: keyArn }), { abortSignal }),
      );
      return {
        automatic: answer.KeyRotationEnabled === true,
        periodDays: answer.RotationPeriodInDays ?? null,
        nextRotationAt: answer.NextRotationDate ?? null,
      };
    } catch (error) {
      if (this.verdict(error).kind === 'definitive') return null;
      throw error;
    }
  }

  private async call<Answer>(
    operation: string,
    accountId: string | null,
    send: (client: KMSClient, abortSignal: AbortSignal) => Promise<Answer>,
  ): Promise<Answer> {
    if (this.inFlight === null) throw new KmsUsageError('This key provider was closed.');
    // Until an answer names the account, the credentials stand for it: both have the same owner in nearly every case.
    const owner = 'role' in this.settings ? this.settings.role.roleArn : this.settings.accessKeyId;
    await this.options.limiters.acquire(accountId ?? owner, this.region);
    const { client, reused } = await this.withDeadline((signal) => this.access.get(signal));
    const attempt = (via: KMSClient): Promise<Answer> => this.measured(operation, () => this.over(via, send));
    try {
      return await attempt(client);
    } catch (error) {
      // A session may end, or be ended, between two calls. A new one tells whether the role is still lent to us.
      if (!this.access.renewable || !this.verdict(error).reason?.startsWith('CREDENTIALS_')) throw error;
      this.access.renew();
      if (!reused) throw error;
    }
    const renewed = await this.withDeadline((signal) => this.access.get(signal));
    return attempt(renewed.client);
  }

  private async over<Answer>(via: KMSClient, send: (client: KMSClient, abortSignal: AbortSignal) => Promise<Answer>): Promise<Answer> {
    const { systemClockOffset } = via.config;
    try {
      return await this.withDeadline((signal) => send(via, signal));
    } catch (error) {
      if (this.inFlight !== null && this.verdict(error).reason === 'TIMEOUT') this.connections.noAnswer();
      throw error;
    } finally {
      if (via.config.systemClockOffset !== systemClockOffset) this.connections.clockOffsetMs = via.config.systemClockOffset;
    }
  }

  private measured<Result>(operation: string, run: () => Promise<Result>): Promise<Result> {
    return measured(this.options.metrics, { provider: this.provider, operation, verdict: (error) => this.verdict(error) }, run);
  }

  /** The last resort against an answer that trickles: no single time-out of the SDK covers a whole request. */
  private async withDeadline<Result>(run: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    const deadline = new AbortController();
    this.inFlight?.add(deadline);
    const timer = setTimeout(() => deadline.abort(), this.deadlineMs);
    try {
      return await run(deadline.signal);
    } finally {
      clearTimeout(timer);
      this.inFlight?.delete(deadline);
    }
  }
}

/** Shown in clear in the customer's CloudTrail, which is how they can tell our calls apart. */
const encryptionContext = (context: KeyContext): Record<string, string> => ({
  'atrest:project': context.projectId,
  'atrest:purpose': context.purpose,
});

const KEY_STATES: Readonly<Record<string, KeyState>> = {
  Enabled: 'ENABLED',
  // Its primary region is being changed; it works meanwhile.
  Updating: 'ENABLED',
  Disabled: 'DISABLED',
  PendingDeletion: 'PENDING_DELETION',
  PendingReplicaDeletion: 'PENDING_DELETION',
  PendingImport: 'PENDING_IMPORT',
  Unavailable: 'UNAVAILABLE',
  Creating: 'CREATING',
};

const keyStateOf = (metadata: KeyMetadata): KeyState => KEY_STATES[metadata.KeyState ?? ''] ?? 'UNKNOWN';
