import {
  AwsKeyProvider,
  awsRequestQuotaOf,
  AzureKeyProvider,
  azureRequestQuotaOf,
  CallLimiters,
  GcpKeyProvider,
  gcpRequestQuotaOf,
  KmsUsageError,
  sleepFor,
  type AzureEnvironment,
  type AzureKeyProviderOptions,
  type GcpKeyProviderOptions,
} from '@atrest/kms';
import type { Metrics } from '@atrest/platform-metrics';
import type { Clock } from '@atrest/platform-time';
import type { KeyReference, ProviderFactories } from '../key-access.js';
import { atlasRegionOf } from './aws-settings.js';
import { textOf } from './provider-binding.js';

/** What the operator decides about the adapters. A project never can: it would make us talk to any address of our network. */
export interface AdapterSettings {
  /** Where AWS KMS is reached, instead of AWS's own addresses: a private endpoint, or the development KMS. */
  readonly awsEndpoint?: string;
  readonly azure?: Pick<AzureKeyProviderOptions, 'federatedTokenFile' | 'development'>;
  readonly gcp?: Pick<GcpKeyProviderOptions, 'endpoint' | 'subjectTokens'> & {
    /** The JSON document of the service account that this installation is, for projects that use a role in place of a key of their own. */
    readonly serviceAccountKey?: string;
  };
}

/** The adapters of `@atrest/kms`, each with its own call limits. */
export function adapters({ clock, metrics }: { readonly clock: Clock; readonly metrics: Metrics }, o: AdapterSettings): ProviderFactories {
  const limiters = (quotaOf: (region: string) => number) => new CallLimiters({ clock, sleep: sleepFor, quotaOf });
  const [aws, azure, gcp] = [limiters(awsRequestQuotaOf), limiters(azureRequestQuotaOf), limiters(gcpRequestQuotaOf)];
  return {
    AWS: (key) => {
      const access = {
        keyId: textOf(key.settings, 'customerMasterKeyID'),
        region: atlasRegionOf(key.settings),
        accessKeyId: textOf(key.settings, 'accessKeyID'),
        secretAccessKey: secretOf(key),
      };
      return new AwsKeyProvider(access, { limiters: aws, metrics, ...(o.awsEndpoint !== undefined && { endpoint: o.awsEndpoint }) });
    },
    AZURE: (key) => new AzureKeyProvider({ ...azureIdentity(key), ...azureKey(key) }, { limiters: azure, metrics, clock, ...o.azure }),
    GCP: (key) => {
      const { serviceAccountKey: ours, ...options } = o.gcp ?? {};
      const serviceAccountKey = key.credentials.kind === 'role' ? ours : key.credentials.secret;
      if (serviceAccountKey === undefined) throw new KmsUsageError('This installation has no service account in Google Cloud.');
      const keyVersionResourceID = textOf(key.settings, 'keyVersionResourceID');
      return new GcpKeyProvider({ keyVersionResourceID, serviceAccountKey }, { limiters: gcp, metrics, ...options });
    },
  };
}

const azureKey = ({ settings }: KeyReference) => ({
  environment: textOf(settings, 'azureEnvironment') as AzureEnvironment,
  keyIdentifier: textOf(settings, 'keyIdentifier'),
});

function azureIdentity({ settings, credentials }: KeyReference) {
  if (credentials.kind === 'secret') {
    const proof = { kind: 'client-secret', clientSecret: credentials.secret } as const;
    return { tenantId: textOf(settings, 'tenantID'), clientId: textOf(settings, 'clientID'), proof };
  }
  if (credentials.role.provider !== 'AZURE') throw new KmsUsageError('The role is not one of Azure.');
  return { tenantId: credentials.role.tenantId, clientId: credentials.role.appId, proof: { kind: 'workload-identity' } as const };
}

function secretOf({ credentials, provider }: KeyReference): string {
  if (credentials.kind === 'secret') return credentials.secret;
  throw new KmsUsageError(`Keys of ${provider} are not reached with a role in this installation.`);
}
