export {
  MAX_PLAINTEXT_BYTES,
  type KeyContext,
  type KeyDescription,
  type KeyProvider,
  type KeyRotation,
  type KeyState,
  type WrappedBlob,
} from './key-provider.js';
export {
  definitive,
  MAX_MESSAGE_LENGTH,
  transient,
  usable,
  type DefinitiveVerdict,
  type TransientVerdict,
  type UsableVerdict,
  type Verdict,
  type VerdictEvidence,
} from './verdict.js';
export {
  BlobNotAuthenticError,
  CallLimitError,
  ChecksumMismatchError,
  IncompleteAnswerError,
  KeySettingsRefusedError,
  KmsError,
  KmsUsageError,
  WrappedBlobRefusedError,
} from './errors.js';
export { checkCanary, proveKey, type Canary, type Proof } from './canary.js';
export { isUnreachable, KeyProviderPair, type KeyProviderPairOptions } from './key-provider-pair.js';
export { sleepFor, withTransientRetries, type TransientRetryOptions } from './transient-retries.js';
export { CallLimiters, TokenBucket, type CallLimitersOptions } from './call-limiter.js';
export { awsPartitionOf, awsRegionOf, isAwsAlias, parseAwsKeyArn, type AtlasAwsRegion, type AwsKeyArn } from './aws/aws-regions.js';
export {
  AWS_MECHANISM,
  AwsKeyProvider,
  awsRequestQuotaOf,
  type AwsKeyProviderOptions,
  type AwsKeySettings,
} from './aws/aws-key-provider.js';
export { AwsConnections, type AwsConnectionLimits } from './aws/aws-connections.js';
export { awsStsRequestQuotaOf, requireAwsRole, type AwsCredentials, type AwsRole, type AwsSession } from './aws/aws-assumed-role.js';
export { awsRoleSession } from './aws/aws-role-session.js';
export { machineAwsCredentials } from './aws/aws-machine-credentials.js';
export { classifyAwsError, type AwsErrorContext } from './aws/aws-error-classification.js';
export { GcpConnections, type GcpEndpoint } from './gcp/gcp-connections.js';
export { parseGcpCredentials, type GcpCredentials, type GcpSubjectTokenPolicy } from './gcp/gcp-credentials.js';
export { classifyGcpError } from './gcp/gcp-error-classification.js';
export { parseGcpKeyVersion, requireGcpKeyVersion, type GcpKeyVersionName } from './gcp/gcp-key-names.js';
export {
  GCP_MECHANISM,
  gcpRequestQuotaOf,
  GcpKeyProvider,
  type GcpKeyProviderOptions,
  type GcpKeySettings,
} from './gcp/gcp-key-provider.js';
export { assertWrappable, ciphertextFor } from './wrapped-blob.js';
export {
  AZURE_ENVIRONMENTS,
  azureCloudOf,
  parseAzureKeyId,
  type AzureCloud,
  type AzureEnvironment,
  type AzureKeyId,
} from './azure/azure-clouds.js';
export { AZURE_MECHANISM } from './azure/azure-envelope.js';
export { classifyAzureError } from './azure/azure-error-classification.js';
export type { AzureDevelopmentRoute } from './azure/azure-http-client.js';
export { AzureKeyProvider, azureRequestQuotaOf, type AzureKeyProviderOptions, type AzureKeySettings } from './azure/azure-key-provider.js';
export type { AzureIdentity, AzureProof } from './azure/azure-token-source.js';
export { classifyKmipError } from './kmip/kmip-error-classification.js';
export { KMIP_MECHANISM } from './kmip/kmip-envelope.js';
export { KmipKeyStateError, KmipKeyTypeError, KmipUnwrapError } from './kmip/kmip-key-errors.js';
export { KmipKeyProvider, kmipRequestQuotaOf, type KmipKeyProviderOptions, type KmipKeySettings } from './kmip/kmip-key-provider.js';
