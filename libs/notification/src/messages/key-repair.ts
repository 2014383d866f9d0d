import type { DefinitiveReason, KeyConfigurationState, TransientReason } from '@atrest/contracts';
import { command, list, paragraph, type Block } from '../mail/mail-content.js';
import { unhandled } from '../unhandled.js';
import { KMS_NAMES, REASON_WORDS } from './words.js';

/** How to repair a key, as exact as the reason and the provider allow. */
export function keyRepair(configuration: KeyConfigurationState, reason: DefinitiveReason | TransientReason | null): Block[] {
  if (reason === null || !isDefinitive(reason)) return [paragraph('Look at the error above, and make sure that the key can be used.')];
  return configuration.provider === 'AWS' ? awsRepair(configuration, reason) : generalRepair(configuration, reason);
}

const isDefinitive = (reason: string): reason is DefinitiveReason => Object.hasOwn(REASON_WORDS, reason);

/** What the credentials must be allowed to do. */
const AWS_ACTIONS = 'kms:Encrypt, kms:Decrypt and kms:DescribeKey';

function awsRepair(configuration: KeyConfigurationState, reason: DefinitiveReason): Block[] {
  const aws = (operation: string): Block => command(awsCommand(operation, configuration));
  switch (reason) {
    case 'KEY_DISABLED':
      return [paragraph('Enable the key:'), aws('enable-key')];
    case 'KEY_PENDING_DELETION':
      return [
        paragraph('Cancel the deletion before its waiting period is over, then enable the key: AWS gives it back disabled.'),
        aws('cancel-key-deletion'),
        aws('enable-key'),
        paragraph('After the waiting period the key and everything that only it can decrypt are lost for good.'),
      ];
    case 'KEY_PENDING_IMPORT':
      return [
        paragraph('Import the same key material as before: other material cannot decrypt what exists.'),
        aws('get-parameters-for-import'),
      ];
    case 'KEY_NOT_FOUND':
      return [
        paragraph('Check the key and its region:'),
        aws('describe-key'),
        paragraph(
          'If the key was deleted, only a copy of the same key material (an imported or multi-Region key) can decrypt the existing data. A new key under the same alias cannot.',
        ),
      ];
    case 'KEY_USAGE_WRONG':
      return [paragraph('The key must be symmetric with the usage ENCRYPT_DECRYPT:'), aws('describe-key')];
    case 'ACCESS_DENIED':
      return [
        paragraph(`Give the configured credentials back what they need: ${AWS_ACTIONS}, in the IAM policy and in the key policy.`),
        command(`${awsCommand('get-key-policy', configuration)} --policy-name default`),
      ];
    case 'CREDENTIALS_INVALID':
    case 'CREDENTIALS_EXPIRED':
    case 'CREDENTIALS_MISSING':
      return [
        paragraph(
          `Activate the access key again, or store a new one that may use ${AWS_ACTIONS} with PATCH …/encryptionAtRest. New credentials are proven before they are stored.`,
        ),
      ];
    case 'CONFIGURATION_WRONG':
      return [paragraph('Compare key id and region of the key configuration with the key:'), aws('describe-key')];
    case 'CANARY_NOT_UNWRAPPED':
    case 'CANARY_DIFFERS':
      return [
        paragraph(
          'The key answers, but it is not the key that wrapped the stored secrets: for example, other material was imported into it. Give the key its former material back.',
        ),
        aws('describe-key'),
      ];
    default:
      return unhandled(reason);
  }
}

function generalRepair(configuration: KeyConfigurationState, reason: DefinitiveReason): Block[] {
  const kms = KMS_NAMES[configuration.provider];
  switch (reason) {
    case 'KEY_DISABLED':
    case 'KEY_PENDING_DELETION':
    case 'KEY_PENDING_IMPORT':
      return [paragraph(`Make the key active again in ${kms}: ${configuration.keyId}`)];
    case 'ACCESS_DENIED':
    case 'CREDENTIALS_INVALID':
    case 'CREDENTIALS_EXPIRED':
    case 'CREDENTIALS_MISSING':
      return [paragraph(`Check the credentials of the key configuration and what ${kms} allows them, or store new ones.`)];
    case 'KEY_NOT_FOUND':
    case 'KEY_USAGE_WRONG':
    case 'CONFIGURATION_WRONG':
    case 'CANARY_NOT_UNWRAPPED':
    case 'CANARY_DIFFERS':
      return [
        paragraph(`Compare the key configuration with the key in ${kms}.`),
        list(['Does the key exist under this name?', 'Is it the same key that was used before?']),
      ];
    default:
      return unhandled(reason);
  }
}

function awsCommand(operation: string, { keyId, resolvedKeyId, region }: KeyConfigurationState): string {
  const awsRegion = region?.toLowerCase().replaceAll('_', '-');
  const parts = [`aws kms ${operation} --key-id ${shellWord(resolvedKeyId ?? keyId)}`];
  if (awsRegion !== undefined) parts.push(`--region ${shellWord(awsRegion)}`);
  return parts.join(' ');
}

/** People paste commands into a shell: what a tenant or provider named may not become a command of its own. */
function shellWord(text: string): string {
  return /^[\w:/.@-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
