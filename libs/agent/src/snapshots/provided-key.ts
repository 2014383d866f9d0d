import type { KeyAccessSecret } from '@atrest/contracts';
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
  type AzureEnvironment,
  type KeyProvider,
  type WrappedBlob,
} from '@atrest/kms';
import type { Logger } from '@atrest/platform-logging';
import { Metrics } from '@atrest/platform-metrics';
import { systemClock } from '@atrest/platform-time';
import { isUnsealed, type DataKeyContext, type DataKeyWrapper } from '@atrest/snapshot-store';
import { BackupError } from './backup-error.js';
import { KeyUseError, type AgentKmsOptions, type TaskKey } from './task-key.js';

/** A task makes two requests or three: no quota is near. */
const limiters = new CallLimiters({ clock: systemClock, sleep: sleepFor, quotaOf: () => 1_000 });

/** A customer key, with its second one where there is one. */
export function providedKey({ access, second }: Pick<KeyAccessSecret, 'access' | 'second'>, kms: AgentKmsOptions, logger: Logger): TaskKey {
  const first = providerOf(access, kms);
  return new ProvidedKey(second === undefined ? first : withSecond(first, providerOf(second, kms), logger));
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
