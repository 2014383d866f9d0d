import type { DefinitiveReason, KeyConfigurationState } from '@atrest/contracts';
import { command, paragraph, type Block } from '../../mail/mail-content.js';
import { unhandled } from '../../unhandled.js';
import { commandLine, shellWord } from './shell-word.js';

/** What the service account needs on the key. */
const ROLE = 'roles/cloudkms.cryptoKeyEncrypterDecrypter';

/** What to do about a key version in Google Cloud KMS, with commands of gcloud. */
export function gcpRepair(configuration: KeyConfigurationState, reason: DefinitiveReason): Block[] {
  const version = (operation: string): Block => command(versionCommand(operation, configuration));
  const key = (operation: string, more: Record<string, string> = {}): Block => command(keyCommand(operation, configuration, more));
  switch (reason) {
    case 'KEY_DISABLED':
      return [paragraph('Enable this version of the key:'), version('enable')];
    case 'KEY_PENDING_DELETION':
      return [
        paragraph('Restore the version before it is destroyed, then enable it: Google Cloud gives it back disabled.'),
        version('restore'),
        version('enable'),
        paragraph('Once it is destroyed, everything that only it can decrypt is lost for good.'),
      ];
    case 'KEY_PENDING_IMPORT':
      return [
        paragraph('The version has no key material: its import was not finished or failed. Import the same material as before into it:'),
        version('describe'),
        paragraph('Other material cannot decrypt what exists. See gcloud kms keys versions import.'),
      ];
    case 'KEY_NOT_FOUND':
      return [
        paragraph('Check the version and its state:'),
        version('describe'),
        paragraph(
          'A version that is destroyed cannot be restored. Only the same key material, imported again into this version, opens the existing data; another version of the key cannot.',
        ),
      ];
    case 'KEY_USAGE_WRONG':
      return [paragraph('The key must have the purpose ENCRYPT_DECRYPT:'), key('describe')];
    case 'ACCESS_DENIED':
      return [
        paragraph(
          `Grant ${ROLE} on the key to the service account again. Google Cloud says the same of a key that does not exist (any more).`,
        ),
        command(`${keyCommand('add-iam-policy-binding', configuration, { role: ROLE })} --member serviceAccount:$SERVICE_ACCOUNT`),
        version('describe'),
      ];
    case 'CREDENTIALS_INVALID':
    case 'CREDENTIALS_EXPIRED':
    case 'CREDENTIALS_MISSING':
      return [
        paragraph(
          'Enable the service account, or make a new key for the same one and store it with PATCH …/encryptionAtRest (googleCloudKms.serviceAccountKey). It is proven before it is stored.',
        ),
        command('gcloud iam service-accounts enable $SERVICE_ACCOUNT'),
        command('gcloud iam service-accounts keys create key.json --iam-account $SERVICE_ACCOUNT'),
      ];
    case 'CONFIGURATION_WRONG':
      return [
        paragraph(
          "The Cloud KMS API must be enabled in the service account's project, billing must be on, and no service perimeter may keep Atrest out. Compare the key version with the key configuration:",
        ),
        command('gcloud services enable cloudkms.googleapis.com --project $PROJECT_OF_THE_SERVICE_ACCOUNT'),
        version('describe'),
      ];
    case 'CANARY_NOT_UNWRAPPED':
    case 'CANARY_DIFFERS':
      return [
        paragraph(
          'The key answers, but it is not the key that wrapped the stored secrets: for example, other material was imported. Give the version its former material back.',
        ),
        version('describe'),
      ];
    default:
      return unhandled(reason);
  }
}

const NAME = /^projects\/([^/]+)\/locations\/([^/]+)\/keyRings\/([^/]+)\/cryptoKeys\/([^/]+)(?:\/cryptoKeyVersions\/([^/]+))?$/;

/** gcloud also takes a whole name; one that we cannot read is handed over as it is. */
function versionCommand(operation: string, { keyId, resolvedKeyId }: KeyConfigurationState): string {
  const name = resolvedKeyId ?? keyId;
  const [, project, location, keyring, key, version] = NAME.exec(name) ?? [];
  if (version === undefined) return `gcloud kms keys versions ${operation} ${shellWord(name)}`;
  return commandLine(`gcloud kms keys versions ${operation} ${shellWord(version)}`, { key, keyring, location, project });
}

function keyCommand(operation: string, { keyId, resolvedKeyId }: KeyConfigurationState, more: Record<string, string>): string {
  const name = resolvedKeyId ?? keyId;
  const [, project, location, keyring, key] = NAME.exec(name) ?? [];
  return commandLine(`gcloud kms keys ${operation} ${shellWord(key ?? name)}`, { keyring, location, project, ...more });
}
