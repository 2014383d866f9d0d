import type { DefinitiveReason, KeyConfigurationState, KeyProviderName, TransientReason } from '@atrest/contracts';
import { paragraph, type Block } from '../mail/mail-content.js';
import { awsRepair } from './repair/aws-repair.js';
import { azureRepair } from './repair/azure-repair.js';
import { gcpRepair } from './repair/gcp-repair.js';
import { kmipRepair } from './repair/kmip-repair.js';
import { REASON_WORDS } from './words.js';

const REPAIRS: Readonly<Record<KeyProviderName, (configuration: KeyConfigurationState, reason: DefinitiveReason) => Block[]>> = {
  AWS: awsRepair,
  AZURE: azureRepair,
  GCP: gcpRepair,
  KMIP: kmipRepair,
};

/** How to repair a key, as exact as the reason and the provider allow. */
export function keyRepair(configuration: KeyConfigurationState, reason: DefinitiveReason | TransientReason | null): Block[] {
  if (reason === null || !isDefinitive(reason)) return [paragraph('Look at the error above, and make sure that the key can be used.')];
  return REPAIRS[configuration.provider](configuration, reason);
}

const isDefinitive = (reason: string): reason is DefinitiveReason => Object.hasOwn(REASON_WORDS, reason);
