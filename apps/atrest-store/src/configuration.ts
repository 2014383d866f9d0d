import { readFileSync } from 'node:fs';
import { compileConfig, flag, integer, oneOf, optional, secret, text } from '@atrest/platform-config';

/** Where the store is and with what it and the customer key are reached: all that break-glass needs. */
export const storeFields = {
  ATREST_STORE: text({
    description: 'The snapshot store: a folder, or `s3://bucket/prefix`',
    pattern: /^(?:s3:\/\/[a-z0-9][a-z0-9.-]*(?:\/.*)?|\/.+|\.{0,2}\/?[^:]+)$/,
  }),
  ATREST_STORE_S3_REGION: text({ description: 'Region of the bucket', default: 'us-east-1' }),
  ATREST_STORE_S3_ENDPOINT: optional(text({ description: 'URL of a store that is compatible with S3; AWS when left out' })),
  ATREST_STORE_S3_PATH_STYLE: flag({ description: 'The bucket is named in the path, as most compatible stores want it', default: false }),
  ATREST_STORE_S3_ACCESS_KEY_ID: optional(text({ description: "Access key of the store; the AWS SDK's own search when left out" })),
  ATREST_STORE_S3_SECRET_ACCESS_KEY: secret({ description: 'Its secret', optional: true }),
  ATREST_KMS_AWS_ACCESS_KEY_ID: optional(text({ description: 'For keys in AWS KMS: an access key that may decrypt' })),
  ATREST_KMS_AWS_SECRET_ACCESS_KEY: secret({ description: 'Its secret', optional: true }),
  ATREST_KMS_AWS_ENDPOINT: optional(text({ description: 'Another address than that of AWS KMS, e.g. a VPC endpoint' })),
  ATREST_KMS_AZURE_ENVIRONMENT: oneOf(['AZURE', 'AZURE_CHINA', 'AZURE_US_GOVERNMENT'], {
    description: 'For keys in Azure Key Vault: the cloud',
    default: 'AZURE',
  }),
  ATREST_KMS_AZURE_TENANT_ID: optional(text({ description: 'Tenant of the application' })),
  ATREST_KMS_AZURE_CLIENT_ID: optional(text({ description: 'The application' })),
  ATREST_KMS_AZURE_CLIENT_SECRET: secret({ description: 'Its secret', optional: true }),
  ATREST_KMS_GCP_SERVICE_ACCOUNT_KEY_FILE: optional(
    text({ description: 'For keys in Google Cloud KMS: file with the service account’s JSON key' }),
  ),
  ATREST_KMS_KMIP_HOSTS: optional(text({ description: 'For keys in KMIP appliances: names or addresses, separated by commas' })),
  ATREST_KMS_KMIP_PORT: integer({ description: 'Their port', default: 5_696, min: 1, max: 65_535 }),
  ATREST_KMS_KMIP_CA_FILE: optional(text({ description: 'PEM file: who may have signed the certificates of the appliances' })),
  ATREST_KMS_KMIP_CLIENT_CERTIFICATE_FILE: optional(text({ description: 'PEM file: our certificate and its private key' })),
};

/** @throws ConfigError naming variables and rules, never values. */
export const readConfiguration = (env: NodeJS.ProcessEnv) => compileConfig(storeFields, env);

export type StoreConfiguration = ReturnType<typeof readConfiguration>;

/** Thrown for a setting that this key or this store needs and that is not there, and for commands that cannot be understood. */
export class UsageError extends Error {}

/** @throws UsageError naming the variable and what it is for. */
export function required<T>(value: T | undefined, variable: keyof typeof storeFields): T {
  if (value === undefined) throw new UsageError(`Set ${variable}: ${storeFields[variable].description}.`);
  return value;
}

/** The content of a file that a variable names. @throws UsageError */
export function fileNamedBy(path: string | undefined, variable: keyof typeof storeFields): string {
  try {
    return readFileSync(required(path, variable), 'utf8');
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${variable} names a file that cannot be read (${(error as NodeJS.ErrnoException).code}).`);
  }
}
