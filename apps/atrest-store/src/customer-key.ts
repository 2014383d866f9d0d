import {
  AwsKeyProvider,
  AzureKeyProvider,
  CallLimiters,
  GcpKeyProvider,
  KmipKeyProvider,
  parseAwsKeyArn,
  sleepFor,
  type AtlasAwsRegion,
  type KeyProvider,
  type WrappedBlob,
} from '@atrest/kms';
import { Metrics } from '@atrest/platform-metrics';
import { systemClock } from '@atrest/platform-time';
import { isUnsealed, unsealedDataKeys, type DataKeyContext, type DataKeyWrapper, type UnsealedDataKey } from '@atrest/snapshot-store';
import { fileNamedBy, required, UsageError, type StoreConfiguration } from './configuration.js';

/** One person asks for a handful of keys: no quota is near. */
const limiters = new CallLimiters({ clock: systemClock, sleep: sleepFor, quotaOf: () => 1_000 });

function providerFor(blob: WrappedBlob, c: StoreConfiguration): KeyProvider {
  const options = { limiters, metrics: new Metrics({ defaultMetrics: false }) };
  switch (blob.provider) {
    case 'AWS': {
      const region = parseAwsKeyArn(blob.resolvedKeyId)?.awsRegion;
      if (region === undefined) throw new UsageError(`${blob.resolvedKeyId} is no ARN of a key: the epoch's header was edited.`);
      return new AwsKeyProvider(
        {
          keyId: blob.resolvedKeyId,
          region: region.toUpperCase().replaceAll('-', '_') as AtlasAwsRegion,
          accessKeyId: required(c.ATREST_KMS_AWS_ACCESS_KEY_ID, 'ATREST_KMS_AWS_ACCESS_KEY_ID'),
          secretAccessKey: required(c.ATREST_KMS_AWS_SECRET_ACCESS_KEY, 'ATREST_KMS_AWS_SECRET_ACCESS_KEY').reveal(),
        },
        { ...options, ...(c.ATREST_KMS_AWS_ENDPOINT === undefined ? {} : { endpoint: c.ATREST_KMS_AWS_ENDPOINT }) },
      );
    }
    case 'AZURE': {
      const clientSecret = required(c.ATREST_KMS_AZURE_CLIENT_SECRET, 'ATREST_KMS_AZURE_CLIENT_SECRET').reveal();
      return new AzureKeyProvider(
        {
          environment: c.ATREST_KMS_AZURE_ENVIRONMENT,
          keyIdentifier: blob.resolvedKeyId,
          tenantId: required(c.ATREST_KMS_AZURE_TENANT_ID, 'ATREST_KMS_AZURE_TENANT_ID'),
          clientId: required(c.ATREST_KMS_AZURE_CLIENT_ID, 'ATREST_KMS_AZURE_CLIENT_ID'),
          proof: { kind: 'client-secret', clientSecret },
        },
        options,
      );
    }
    case 'GCP': {
      const variable = 'ATREST_KMS_GCP_SERVICE_ACCOUNT_KEY_FILE';
      return new GcpKeyProvider(
        { keyVersionResourceID: blob.resolvedKeyId, serviceAccountKey: fileNamedBy(c[variable], variable) },
        options,
      );
    }
    case 'KMIP':
      return new KmipKeyProvider(
        {
          keyId: blob.resolvedKeyId,
          hosts: required(c.ATREST_KMS_KMIP_HOSTS, 'ATREST_KMS_KMIP_HOSTS').split(','),
          port: c.ATREST_KMS_KMIP_PORT,
          caCertificate: fileNamedBy(c.ATREST_KMS_KMIP_CA_FILE, 'ATREST_KMS_KMIP_CA_FILE'),
          clientCertificate: fileNamedBy(c.ATREST_KMS_KMIP_CLIENT_CERTIFICATE_FILE, 'ATREST_KMS_KMIP_CLIENT_CERTIFICATE_FILE'),
        },
        options,
      );
    default:
      throw new UsageError(`The data key is wrapped by ${String(blob.provider satisfies never)}, which this release does not know.`);
  }
}

const liesInClear = (wrapped: WrappedBlob | UnsealedDataKey): wrapped is UnsealedDataKey => isUnsealed(wrapped);

/** Unwraps data keys with whatever customer key wrapped them, and the credentials at hand; where none did, it needs none. It wraps nothing. */
export function customerKeys(configuration: StoreConfiguration): DataKeyWrapper<WrappedBlob | UnsealedDataKey> {
  return {
    wrap: () => Promise.reject(new TypeError('this command begins no epochs')),
    unwrap: async (blob: WrappedBlob | UnsealedDataKey, context: DataKeyContext): Promise<Uint8Array> => {
      if (liesInClear(blob)) return unsealedDataKeys.unwrap(blob, context);
      const provider = providerFor(blob, configuration);
      try {
        return await provider.unwrap(blob, context);
      } catch (error) {
        const { reason, errorName, message } = provider.verdict(error);
        const said = [errorName, message].filter((part) => part !== null).join(': ');
        throw new UsageError(`The key ${blob.resolvedKeyId} does not unwrap (${reason}${said === '' ? '' : `; ${said}`}).`, {
          cause: error,
        });
      } finally {
        provider.close();
      }
    },
  };
}
