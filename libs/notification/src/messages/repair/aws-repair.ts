import type { DefinitiveReason, KeyConfigurationState } from '@atrest/contracts';
import { command, paragraph, type Block } from '../../mail/mail-content.js';
import { unhandled } from '../../unhandled.js';
import { commandLine } from './shell-word.js';

/** What the credentials must be allowed to do. */
const ACTIONS = 'kms:Encrypt, kms:Decrypt and kms:DescribeKey';

/** What to do about a key in AWS KMS, with commands of the AWS CLI. */
export function awsRepair(configuration: KeyConfigurationState, reason: DefinitiveReason): Block[] {
  const aws = (operation: string, more: Record<string, string> = {}): Block => command(awsCommand(operation, configuration, more));
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
        aws('get-parameters-for-import', { 'wrapping-algorithm': 'RSAES_OAEP_SHA_256', 'wrapping-key-spec': 'RSA_3072' }),
        paragraph('Encrypt the material with the public key of the answer, then hand it over with aws kms import-key-material.'),
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
        paragraph(`Give the configured credentials back what they need: ${ACTIONS}, in the IAM policy and in the key policy.`),
        aws('get-key-policy', { 'policy-name': 'default' }),
        paragraph(
          'Where the configuration names a role: its trust policy must still allow the installation to assume it, with the external id. Look for a changed service control policy, too.',
        ),
      ];
    case 'CREDENTIALS_INVALID':
    case 'CREDENTIALS_EXPIRED':
    case 'CREDENTIALS_MISSING':
      return [
        paragraph(
          `Activate the access key again, or store a new one that may use ${ACTIONS} with PATCH …/encryptionAtRest. New credentials are proven before they are stored.`,
        ),
        command('aws iam list-access-keys'),
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

function awsCommand(operation: string, { keyId, resolvedKeyId, region }: KeyConfigurationState, more: Record<string, string>): string {
  const awsRegion = region?.toLowerCase().replaceAll('_', '-');
  return commandLine(`aws kms ${operation}`, { 'key-id': resolvedKeyId ?? keyId, region: awsRegion, ...more });
}
