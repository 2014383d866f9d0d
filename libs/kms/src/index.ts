export {
  MAX_PLAINTEXT_BYTES,
  type KeyContext,
  type KeyDescription,
  type KeyProvider,
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
export { CallLimitError, IncompleteAnswerError, KmsError, KmsUsageError, WrappedBlobRefusedError } from './errors.js';
export { checkCanary, proveKey, type Canary, type Proof } from './canary.js';
export { sleepFor, withTransientRetries, type TransientRetryOptions } from './transient-retries.js';
export { CallLimiters, TokenBucket, type CallLimitersOptions } from './call-limiter.js';
export {
  ATLAS_AWS_REGIONS,
  awsPartitionOf,
  awsRegionOf,
  isAtlasAwsRegion,
  isAwsAlias,
  parseAwsKeyArn,
  type AtlasAwsRegion,
  type AwsKeyArn,
} from './aws/aws-regions.js';
