import type { DefinitiveReason, KeyConfigurationState } from '@atrest/contracts';
import { command, list, paragraph, type Block } from '../../mail/mail-content.js';
import { unhandled } from '../../unhandled.js';
import { shellWord } from './shell-word.js';

/**
 * What to do about a key in a KMIP appliance. KMIP has operations but no command line of its own: each is named as the protocol names it, which
 * is how appliances name them in their consoles, and shown for the client of PyKMIP where that has a command for it.
 */
export function kmipRepair(configuration: KeyConfigurationState, reason: DefinitiveReason): Block[] {
  const id = configuration.resolvedKeyId ?? configuration.keyId;
  const operation = (name: string): Block => command(`${name}, unique identifier ${id}`);
  const attributes = [
    paragraph('Look at state, cryptographic algorithm, length and usage mask of the key in the appliance:'),
    operation('Get Attributes'),
  ];
  switch (reason) {
    case 'KEY_DISABLED':
      return [
        paragraph(
          'The key is deactivated, compromised or archived. KMIP has no way back from Deactivated: undo it in the appliance where that allows it, restore the key from a backup of the appliance, or, if it was only archived, recover it:',
        ),
        operation('Recover'),
        paragraph('Then check that its state is Active, and that its Deactivation Date lies in the future or is not set.'),
        operation('Get Attributes'),
      ];
    case 'KEY_PENDING_DELETION':
      return [
        paragraph('Call the planned destruction off in the appliance, and remove or move the date:'),
        operation('Modify Attribute: Destroy Date'),
      ];
    case 'KEY_PENDING_IMPORT':
      return [
        paragraph('The key is Pre-Active: it was made but never activated. Activate it:'),
        operation('Activate'),
        paragraph('With the client of PyKMIP:'),
        command(`python3 -m kmip.demos.units.activate -i ${shellWord(id)}`),
      ];
    case 'KEY_NOT_FOUND':
      return [
        paragraph('The appliance knows no key under this identifier, or it is destroyed. Look for it:'),
        operation('Locate'),
        list([
          'Does the key configuration name the right appliance, and the right partition or tenant of it?',
          'After a restore or migration of the appliance, keys may have other identifiers.',
          'A destroyed key can only come back from a backup of the appliance; a new key cannot open the existing data.',
        ]),
      ];
    case 'KEY_USAGE_WRONG':
      return [
        paragraph(
          'The key must be a symmetric AES key of 256 bits that the client may get (Sensitive false, Extractable true) and that allows encryption and decryption.',
        ),
        ...attributes,
      ];
    case 'ACCESS_DENIED':
      return [
        paragraph(
          'Give the user of the client certificate access to the key again (operations Get and Get Attributes). Appliances say the same of a key of another owner.',
        ),
        ...attributes,
      ];
    case 'CREDENTIALS_EXPIRED':
      return [
        paragraph('The client certificate has expired. See until when it is valid, renew it with the CA that the appliance trusts:'),
        command('openssl x509 -in client.pem -noout -subject -issuer -enddate'),
        storeCertificate(),
      ];
    case 'CREDENTIALS_INVALID':
    case 'CREDENTIALS_MISSING':
      return [
        paragraph(
          'The appliance does not take the client certificate. See whether it was revoked, and whether its CA is still trusted there:',
        ),
        command('openssl x509 -in client.pem -noout -subject -issuer -enddate'),
        command('openssl s_client -connect $HOST:5696 -cert client.pem -key client.pem -CAfile ca.pem'),
        storeCertificate(),
      ];
    case 'CONFIGURATION_WRONG':
      return [
        paragraph(
          'The server cannot be used with these settings: its certificate is not from the configured CA, has expired or is for another name, or it speaks no version of KMIP from 1.0 to 1.4.',
        ),
        command('openssl s_client -connect $HOST:5696 -cert client.pem -key client.pem -CAfile ca.pem -verify_return_error'),
        paragraph(
          'Renew the certificate of the server, or store the CA that it is from with PATCH …/encryptionAtRest (kmip.caCertificate).',
        ),
      ];
    case 'CANARY_NOT_UNWRAPPED':
    case 'CANARY_DIFFERS':
      return [
        paragraph(
          'There is a key under this identifier, but it is not the key that wrapped the stored secrets: after a restore or migration of the appliance, say. Bring the former key back under it.',
        ),
        ...attributes,
      ];
    default:
      return unhandled(reason);
  }
}

const storeCertificate = (): Block =>
  paragraph(
    'Then store the certificate with its private key with PATCH …/encryptionAtRest (kmip.clientCertificate). It is proven before it is stored.',
  );
