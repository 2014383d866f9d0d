import { AwsKeyProvider, awsRequestQuotaOf, CallLimiters, KmsUsageError, sleepFor } from '@atrest/kms';
import type { Metrics } from '@atrest/platform-metrics';
import type { Clock } from '@atrest/platform-time';
import type { KeyReference, ProviderFactories } from '../key-access.js';
import { atlasRegionOf } from './aws-settings.js';
import { textOf } from './provider-binding.js';

export interface AdapterOptions {
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Where AWS KMS is reached, instead of AWS's own addresses. Only the operator can say so. */
  readonly awsEndpoint?: string;
}

/** The adapters of `@atrest/kms`, each with its own call limits. */
export function adapters({ clock, metrics, awsEndpoint }: AdapterOptions): ProviderFactories {
  const awsLimiters = new CallLimiters({ clock, sleep: sleepFor, quotaOf: awsRequestQuotaOf });
  return {
    AWS: (key) => {
      const { settings } = key;
      const access = {
        keyId: textOf(settings, 'customerMasterKeyID'),
        region: atlasRegionOf(settings),
        accessKeyId: textOf(settings, 'accessKeyID'),
        secretAccessKey: secretOf(key),
      };
      return new AwsKeyProvider(access, { limiters: awsLimiters, metrics, ...(awsEndpoint !== undefined && { endpoint: awsEndpoint }) });
    },
  };
}

function secretOf({ credentials, provider }: KeyReference): string {
  if (credentials.kind === 'secret') return credentials.secret;
  throw new KmsUsageError(`Keys of ${provider} are not reached with a role in this installation.`);
}
