import type { DefinitiveReason, KeyConfigurationState } from '@atrest/contracts';
import { command, paragraph, type Block } from '../../mail/mail-content.js';
import { unhandled } from '../../unhandled.js';
import { commandLine } from './shell-word.js';

/** What the application needs on the key or its vault. */
const ROLE = 'Key Vault Crypto Service Encryption User';

/** What to do about a key in Azure Key Vault, with commands of the Azure CLI. */
export function azureRepair(configuration: KeyConfigurationState, reason: DefinitiveReason): Block[] {
  const { id, vault, name, version } = azureKeyOf(configuration);
  const enable = command(commandLine('az keyvault key set-attributes', { id, enabled: 'true' }));
  const show = command(commandLine('az keyvault key show', { id }));
  const recover = command(commandLine('az keyvault key recover', { 'vault-name': vault, name }));
  switch (reason) {
    case 'KEY_DISABLED':
      return [paragraph('Enable this version of the key:'), enable];
    case 'KEY_PENDING_DELETION':
      return [
        paragraph('The key is deleted but not purged. Recover it before its retention is over:'),
        recover,
        paragraph('Once it is purged, everything that only it can unwrap is lost for good.'),
      ];
    case 'KEY_PENDING_IMPORT':
      return [
        paragraph('The version is not active yet. Move the date from which it is valid into the past:'),
        command(commandLine('az keyvault key set-attributes', { id, 'not-before': '2020-01-01T00:00:00Z' })),
      ];
    case 'KEY_NOT_FOUND':
      return [
        paragraph('Azure calls a deleted key not found as well. Look among the deleted keys of the vault, and recover it:'),
        command(commandLine('az keyvault key list-deleted', { 'vault-name': vault })),
        recover,
        paragraph(
          'If the vault itself was deleted, recover it first (az keyvault recover). If the key was purged, only a backup of it (az keyvault key restore) opens the existing data; a new version or a new key of the same name cannot.',
        ),
      ];
    case 'KEY_USAGE_WRONG':
      return [
        paragraph('The version must allow the operations wrapKey and unwrapKey:'),
        command(`${commandLine('az keyvault key set-attributes', { id })} --ops wrapKey unwrapKey`),
        show,
      ];
    case 'ACCESS_DENIED':
      return [
        paragraph(
          `Assign the role ${ROLE} to the application again (or, with access policies: get, wrapKey, unwrapKey). Changes take Azure some minutes.`,
        ),
        command(`${commandLine('az role assignment create', { role: ROLE })} --assignee $CLIENT_ID --scope $VAULT_RESOURCE_ID`),
        paragraph('If the error says ForbiddenByFirewall or ForbiddenByConnection, the network rules of the vault keep Atrest out:'),
        command(commandLine('az keyvault network-rule list', { name: vault })),
      ];
    case 'CREDENTIALS_INVALID':
    case 'CREDENTIALS_EXPIRED':
    case 'CREDENTIALS_MISSING':
      return [
        paragraph(
          'Make a new client secret for the same application and store it with PATCH …/encryptionAtRest (azureKeyVault.secret). It is proven before it is stored.',
        ),
        command('az ad app credential reset --id $CLIENT_ID --append'),
        paragraph('If the application was deleted or disabled, restore or enable it first; check the tenant id, too.'),
      ];
    case 'CONFIGURATION_WRONG':
      return [paragraph('Compare tenant, subscription, vault and key identifier of the key configuration with the key:'), show];
    case 'CANARY_NOT_UNWRAPPED':
    case 'CANARY_DIFFERS':
      return [
        paragraph(
          'The key answers, but it is not the key that wrapped the stored secrets: for example, another key was restored under its name. Restore the former one.',
        ),
        command(commandLine('az keyvault key list-versions', { 'vault-name': vault, name })),
        ...(version === null ? [] : [paragraph(`The version that wrapped them is ${version}.`)]),
      ];
    default:
      return unhandled(reason);
  }
}

/** A key identifier is `https://<vault>.<cloud's domain>/keys/<name>/<version>`. */
function azureKeyOf({ keyId, resolvedKeyId }: KeyConfigurationState): { id: string; vault: string; name: string; version: string | null } {
  const id = resolvedKeyId ?? keyId;
  const [, name = 'YOUR-KEY', version = null] = /^\/keys\/([^/]+)(?:\/([^/]+))?\/?$/.exec(URL.parse(id)?.pathname ?? '') ?? [];
  return { id, vault: URL.parse(id)?.hostname.split('.')[0] || 'YOUR-VAULT', name, version };
}
