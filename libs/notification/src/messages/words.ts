import type { DefinitiveReason, Evidence, KeyConfigurationState, KeyProviderName } from '@atrest/contracts';

/** A moment for people: whole seconds, always UTC and saying so. */
export const utc = (moment: string | Date): string => `${new Date(moment).toISOString().slice(0, 19).replace('T', ' ')} UTC`;

/** A day in the future, for people. */
export const inDays = (days: number): string => (days <= 0 ? 'today' : days === 1 ? 'in 1 day' : `in ${days} days`);

/** Address of a resource of the API; `path` begins without a slash. */
export const apiUrl = (publicUrl: string, path: string): string => `${publicUrl.replace(/\/+$/, '')}/api/atlas/v2/${path}`;

/** What the keeper of a customer key is called. */
export const KMS_NAMES: Readonly<Record<KeyProviderName, string>> = {
  AWS: 'AWS KMS',
  AZURE: 'Azure Key Vault',
  GCP: 'Google Cloud KMS',
  KMIP: 'the KMIP server',
};

/** The name of the provider's object in the API. */
export const API_NAMES: Readonly<Record<KeyProviderName, string>> = {
  AWS: 'awsKms',
  AZURE: 'azureKeyVault',
  GCP: 'googleCloudKms',
  KMIP: 'kmip',
};

export const clusterCount = (count: number): string => (count === 1 ? '1 cluster' : `${count} clusters`);

/** The key as the provider names it, and how the project names it where that differs. */
export function keyName({ keyId, resolvedKeyId }: KeyConfigurationState): string {
  return resolvedKeyId === null || resolvedKeyId === keyId ? keyId : `${resolvedKeyId} (configured as ${keyId})`;
}

/** The observation that says most about a state: the latest definitive one, or else the latest. */
export function tellingEvidence(evidence: readonly Evidence[]): Evidence | null {
  return evidence.findLast(({ verdict }) => verdict === 'definitive') ?? evidence.at(-1) ?? null;
}

/** Each word of a sentence begins small, but a sentence does not. */
export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** What a definitive reason means, as the end of the sentence 'The key …'. */
export const REASON_WORDS: Readonly<Record<DefinitiveReason, string>> = {
  KEY_DISABLED: 'is disabled',
  KEY_PENDING_DELETION: 'is scheduled for deletion',
  KEY_PENDING_IMPORT: 'has no key material: it waits for an import',
  KEY_NOT_FOUND: 'does not exist (any more) where the key configuration says it is',
  KEY_USAGE_WRONG: 'is of a kind that cannot encrypt and decrypt',
  ACCESS_DENIED: 'may not be used with the configured credentials',
  CREDENTIALS_INVALID: 'cannot be used because the configured credentials are not accepted',
  CREDENTIALS_EXPIRED: 'cannot be used because the configured credentials have expired',
  CREDENTIALS_MISSING: 'cannot be used because no credentials are configured',
  CONFIGURATION_WRONG: 'cannot be used with the configured settings',
  CANARY_NOT_UNWRAPPED: 'does not unwrap what it wrapped when the configuration was saved',
  CANARY_DIFFERS: 'gives back other bytes than it was given',
};
