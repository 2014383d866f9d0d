import type { EncryptionAtRest, KeyValidityStatus } from '@atrest/contracts';
import { atlasTime } from '@atrest/platform-http';
import { decisiveEvidence, type KeyConfiguration } from './key-configuration.js';
import type { ValidityPolicy } from './policy-settings.js';

/** Providers that a later release brings: there, but never enabled. */
const AZURE_NOT_CONFIGURED: EncryptionAtRest['azureKeyVault'] = {
  enabled: false,
  azureEnvironment: null,
  clientID: null,
  tenantID: null,
  subscriptionID: null,
  resourceGroupName: null,
  keyVaultName: null,
  keyIdentifier: null,
  roleId: null,
  requirePrivateNetworking: null,
  valid: false,
};
const GCP_NOT_CONFIGURED: EncryptionAtRest['googleCloudKms'] = { enabled: false, keyVersionResourceID: null, roleId: null, valid: false };

/** The configuration as the Atlas Admin API shows it: always all three providers, never a secret. */
export function toEncryptionAtRest(configuration: KeyConfiguration | null): EncryptionAtRest {
  const settings = configuration?.settings;
  return {
    awsKms: {
      enabled: configuration !== null,
      customerMasterKeyID: settings?.customerMasterKeyID ?? null,
      region: settings?.region ?? null,
      accessKeyID: settings?.accessKeyID ?? null,
      roleId: null,
      requirePrivateNetworking: configuration === null ? null : false,
      valid: configuration !== null && isValid(configuration),
    },
    azureKeyVault: AZURE_NOT_CONFIGURED,
    googleCloudKms: GCP_NOT_CONFIGURED,
    enabledForSearchNodes: false,
  };
}

/** What is known about the key. */
export function toStatus(configuration: KeyConfiguration, policy: ValidityPolicy): KeyValidityStatus {
  const { validity } = configuration;
  return {
    id: configuration.id,
    state: validity.state,
    valid: isValid(configuration),
    since: atlasTime(validity.since),
    mode: configuration.mode,
    customerMasterKeyID: configuration.settings.customerMasterKeyID,
    resolvedKeyId: configuration.canary.blob.resolvedKeyId,
    confirmations: validity.evidence.length,
    confirmationsNeeded: policy.confirmations,
    evidence: decisiveEvidence(validity),
    lastEvidence: validity.lastEvidence,
    lastProvenAt: validity.lastProvenAt && atlasTime(validity.lastProvenAt),
    unreachableSince: validity.unreachableSince && atlasTime(validity.unreachableSince),
    nextCheckAt: atlasTime(configuration.nextCheckAt),
  };
}

/** A suspicion stops nothing, so only INVALID is not valid. */
const isValid = ({ validity }: KeyConfiguration): boolean => validity.state !== 'INVALID';
