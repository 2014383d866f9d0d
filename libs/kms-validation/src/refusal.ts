/** Codes with which a change or a check of encryption at rest is refused: the Atlas Admin API's, and ours for lost races and roles in use. */
export type RefusalCode =
  | 'INVALID_ATTRIBUTE'
  | 'MISSING_ATTRIBUTE'
  | 'MISSING_ATTRIBUTES'
  | 'ENCRYPTION_AT_REST_PROVIDER_NOT_SUPPORTED'
  | 'ENCRYPTION_AT_REST_SETTINGS_INVALID'
  | 'ENCRYPTION_AT_REST_NOT_ENABLED'
  | 'CANNOT_DISABLE_ENCRYPTION_AT_REST'
  | 'INVALID_AWS_CREDENTIALS'
  | 'AWS_CUSTOMER_MASTER_KEY_NOT_FOUND'
  | 'AWS_KMS_CUSTOMER_MASTER_KEY_NOT_ENABLED'
  | 'AWS_KMS_CUSTOMER_MASTER_KEY_PENDING_DELETION'
  | 'AWS_KMS_CUSTOMER_MASTER_KEY_PENDING_IMPORT'
  | 'AWS_KMS_REGION_NOT_SUPPORTED'
  | 'INVALID_AZURE_CREDENTIALS'
  | 'INVALID_AZURE_API_REQUEST'
  | 'AZURE_KEY_VAULT_ENVIRONMENT_NOT_SUPPORTED'
  | 'AZURE_KEY_VAULT_KEY_EXPIRED'
  | 'AZURE_KEY_VAULT_KEY_EXPIRING'
  | 'AZURE_KEY_VAULT_KEY_IDENTIFIER_INVALID_FORMAT'
  | 'AZURE_KEY_VAULT_KEY_NOT_ACTIVE'
  | 'AZURE_KEY_VAULT_KEY_NOT_ENABLED'
  | 'AZURE_KEY_VAULT_KEY_NOT_FOUND'
  | 'INVALID_GOOGLE_CLOUD_CREDENTIALS'
  | 'GOOGLE_CLOUD_KMS_KEY_VERSION_DESTROY_SCHEDULED'
  | 'GOOGLE_CLOUD_KMS_KEY_VERSION_DISABLED'
  | 'GOOGLE_CLOUD_KMS_KEY_VERSION_NOT_FOUND'
  | 'GOOGLE_CLOUD_KMS_KEY_VERSION_PENDING_GENERATION'
  | 'CANNOT_ASSUME_ROLE'
  | 'CLOUD_PROVIDER_ACCESS_ROLE_NOT_AUTHORIZED'
  | 'CLOUD_PROVIDER_ACCESS_ROLE_IN_USE'
  | 'FEATURE_UNSUPPORTED'
  | 'RESOURCE_NOT_FOUND'
  | 'NO_PERMISSION_TO_ENCRYPT_DECRYPT'
  | 'SERVICE_UNAVAILABLE'
  | 'ENCRYPTION_AT_REST_CHANGED_MEANWHILE'
  | 'GROUP_NOT_FOUND';

/** Why something was not done: an expected outcome, so a value and not an exception. Holds no secret. */
export interface Refusal {
  readonly code: RefusalCode;
  /** For people: what is wrong and what to do. */
  readonly detail: string;
  /** The values that `detail` names, or the attribute that is wrong. */
  readonly parameters?: readonly string[];
}

export const refusal = (code: RefusalCode, detail: string, parameters?: readonly string[]): Refusal => ({
  code,
  detail,
  ...(parameters && { parameters }),
});

/** What was not done, and why. */
export interface Refused {
  readonly kind: 'refused';
  readonly refusal: Refusal;
}

/** A value, or why there is none. */
export type Outcome<Value> = { readonly kind: 'done'; readonly value: Value } | Refused;

export const done = <Value>(value: Value): Outcome<Value> => ({ kind: 'done', value });
export const refused = (reason: Refusal): Refused => ({ kind: 'refused', refusal: reason });
