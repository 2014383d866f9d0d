import { KeyAccessSecretSchema, type BackupTask, type KeyAccessSecret } from '@atrest/contracts';
import {
  AwsKeyProvider,
  AzureKeyProvider,
  AZURE_ENVIRONMENTS,
  CallLimiters,
  GcpKeyProvider,
  KeyProviderPair,
  KmipKeyProvider,
  sleepFor,
  usable,
  withTransientRetries,
  type AtlasAwsRegion,
  type AwsKeyProviderOptions,
  type AzureEnvironment,
  type AzureKeyProviderOptions,
  type GcpKeyProviderOptions,
  type KeyProvider,
  type KmipKeyProviderOptions,
  type Verdict,
  type WrappedBlob,
} from '@atrest/kms';
import type { Logger } from '@atrest/platform-logging';
import { Metrics } from '@atrest/platform-metrics';
import { systemClock } from '@atrest/platform-time';
import { isUnsealed, unsealedDataKeys, type DataKeyContext, type DataKeyWrapper } from '@atrest/snapshot-store';
import { BackupError } from './backup-error.js';

/** Where the key providers are reached, in place of their own addresses. Operators only: a project would make hosts talk to any address of their network. */
export interface AgentKmsOptions {
  readonly aws?: Pick<AwsKeyProviderOptions, 'endpoint'>;
  readonly azure?: Pick<AzureKeyProviderOptions, 'federatedTokenFile' | 'development'>;
  readonly gcp?: Pick<GcpKeyProviderOptions, 'endpoint' | 'subjectTokens'>;
  readonly kmip?: Pick<KmipKeyProviderOptions, 'allowAddress'>;
}

/** The customer key did not wrap or unwrap. */
export class KeyUseError extends BackupError {
  constructor(
    readonly verdict: Verdict,
    what: string,
    cause: unknown,
  ) {
    const said = [verdict.errorName, verdict.message].filter((part) => part !== null).join(': ');
    const detail = `The customer key did not ${what} the data key (${verdict.reason}${said === '' ? '' : `; ${said}`}).`;
    super(verdict.kind === 'transient' ? 'KEY_UNREACHABLE' : 'KEY_REFUSED', detail, { cause });
  }

  /** What was learnt about the key: nothing, when the KMS could not be asked or the access that we were lent is over. */
  get isAboutTheKey(): boolean {
    return this.verdict.kind === 'definitive' && this.verdict.reason !== 'CREDENTIALS_EXPIRED';
  }
}

/** A task makes two requests or three: no quota is near. */
const limiters = new CallLimiters({ clock: systemClock, sleep: sleepFor, quotaOf: () => 1_000 });

/** What wraps and unwraps the data keys of a task. The caller closes it. */
export interface TaskKey extends DataKeyWrapper {
  close(): void;
}

/** For clusters without encryption at rest. */
export const noCustomerKey: TaskKey = { ...unsealedDataKeys, close: () => undefined };

/** What opening a task's key needs of its host. */
export interface KeyHost {
  /** Opens what is sealed for this host. */
  readonly openSealed: (sealed: string) => Promise<string>;
  readonly kms: AgentKmsOptions;
  readonly logger: Logger;
}

/**
 * Opens the access to the customer key that came with a task, and checks that it is for this task: sealed for this host, it could still be another one's.
 *
 * @throws BackupError KEY_CHANGED, KEY_REFUSED; SealedForOthersError
 */
export async function taskKeyOf(task: BackupTask, { openSealed, kms, logger }: KeyHost): Promise<TaskKey> {
  if (task.encryptionKeyId === null) return noCustomerKey;
  if (task.keyAccess === null) throw new BackupError('KEY_REFUSED', 'The task came without access to its customer key.');
  const secret = KeyAccessSecretSchema.safeParse(jsonOf(await openSealed(task.keyAccess)));
  if (!secret.success)
    throw new BackupError('INTERNAL', 'The access to the customer key is of a kind that this agent does not know. Update the agent.');
  const { taskId, projectId, encryptionKeyId, access, second } = secret.data;
  if (taskId !== task.id || projectId !== task.projectId) {
    throw new BackupError('KEY_CHANGED', 'The access to a customer key that came with the task was made for other work.');
  }
  // Older snapshots are read with the keys they name; only what is written must be under the key that was ordered.
  if (task.kind === 'take-snapshot' && encryptionKeyId !== task.encryptionKeyId) {
    throw new BackupError('KEY_CHANGED', 'The project changed its key after the snapshot was ordered.');
  }
  const first = providerOf(access, kms);
  return new ProvidedKey(second === undefined ? first : withSecond(first, providerOf(second, kms), logger.child({ taskId })));
}

/** The second unwraps while the first cannot be asked; what it could not wrap is lost with the first. Both are said. */
function withSecond(first: KeyProvider, second: KeyProvider, logger: Logger): KeyProvider {
  return new KeyProviderPair(first, second, {
    retries: { clock: systemClock, sleep: sleepFor },
    onStandIn: ({ reason, errorName }) =>
      logger.warn(
        { reason, errorName, second: second.provider },
        'the customer key cannot be asked: its second key unwrapped the data key',
      ),
    onNotDoubled: ({ reason, errorName }) =>
      logger.warn({ reason, errorName, second: second.provider }, 'the second key did not wrap the data key: only the first can unwrap it'),
  });
}

function providerOf(access: KeyAccessSecret['access'], kms: AgentKmsOptions): KeyProvider {
  const common = { limiters, metrics: new Metrics({ defaultMetrics: false }) };
  switch (access.provider) {
    case 'AWS': {
      const { keyId, accessKeyId, secretAccessKey, sessionToken } = access;
      const region = access.region.toUpperCase().replaceAll('-', '_') as AtlasAwsRegion;
      return new AwsKeyProvider(
        { keyId, region, accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) },
        { ...common, ...kms.aws },
      );
    }
    case 'AZURE': {
      const { keyIdentifier, tenantId, clientId, clientSecret } = access;
      const environment = AZURE_ENVIRONMENTS.find((known): known is AzureEnvironment => known === access.environment);
      if (environment === undefined) throw new BackupError('INTERNAL', 'The access to the customer key names no cloud of Azure.');
      const proof = clientSecret === null ? ({ kind: 'workload-identity' } as const) : ({ kind: 'client-secret', clientSecret } as const);
      return new AzureKeyProvider({ environment, keyIdentifier, tenantId, clientId, proof }, { ...common, ...kms.azure });
    }
    case 'GCP': {
      const { keyVersionResourceID, serviceAccountKey } = access;
      return new GcpKeyProvider({ keyVersionResourceID, serviceAccountKey }, { ...common, ...kms.gcp });
    }
    case 'KMIP': {
      const { keyId, hosts, port, caCertificate, clientCertificate } = access;
      return new KmipKeyProvider({ keyId, hosts, port, caCertificate, clientCertificate }, { ...common, ...kms.kmip });
    }
  }
}

/** A customer key in a KMS. Its errors are {@link KeyUseError}s. */
class ProvidedKey implements DataKeyWrapper<WrappedBlob>, TaskKey {
  readonly #provider: KeyProvider;

  constructor(provider: KeyProvider) {
    this.#provider = provider;
  }

  wrap(dataKey: Uint8Array, context: DataKeyContext): Promise<WrappedBlob> {
    return this.#use('wrap', () => this.#provider.wrap(dataKey, context));
  }

  async unwrap(blob: WrappedBlob, context: DataKeyContext): Promise<Uint8Array> {
    if (isUnsealed(blob)) throw new BackupError('KEY_CHANGED', 'The epoch was begun without a customer key.');
    return this.#use('unwrap', () => this.#provider.unwrap(blob, context));
  }

  close(): void {
    this.#provider.close();
  }

  async #use<Result>(what: string, attempt: () => Promise<Result>): Promise<Result> {
    type Tried = { readonly result: Result } | { readonly error: unknown };
    const tried = await withTransientRetries<Tried>(
      () =>
        attempt().then(
          (result) => ({ result }),
          (error: unknown) => ({ error }),
        ),
      (outcome) => ('error' in outcome ? this.#provider.verdict(outcome.error) : usable()),
      // A pair has asked its first key several times already.
      { clock: systemClock, sleep: sleepFor, ...(this.#provider instanceof KeyProviderPair && { tries: 1 }) },
    );
    if ('error' in tried) throw new KeyUseError(this.#provider.verdict(tried.error), what, tried.error);
    return tried.result;
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
