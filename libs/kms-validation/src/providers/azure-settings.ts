import { AZURE_ENVIRONMENTS, KeySettingsRefusedError, parseAzureKeyId, type AzureEnvironment } from '@atrest/kms';
import { refusal, type Refusal } from '../refusal.js';
import { textOf, type ProviderBinding, type ProviderSettings } from './provider-binding.js';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

const environmentOf = (settings: ProviderSettings): AzureEnvironment | undefined =>
  AZURE_ENVIRONMENTS.find((environment) => environment === textOf(settings, 'azureEnvironment'));

const invalid = (name: string, rule: string) => refusal('INVALID_ATTRIBUTE', `azureKeyVault.${name} ${rule}`, [name]);

function refuseSettings(settings: ProviderSettings): Refusal | null {
  for (const name of ['clientID', 'tenantID', 'subscriptionID']) {
    if (name in settings && !UUID.test(textOf(settings, name))) return invalid(name, 'must be a UUID.');
  }
  const environment = environmentOf(settings);
  if (environment === undefined) {
    const name = textOf(settings, 'azureEnvironment');
    return refusal('AZURE_KEY_VAULT_ENVIRONMENT_NOT_SUPPORTED', `There is no Azure environment ${name}.`, [name]);
  }
  return refuseKeyIdentifier(textOf(settings, 'keyIdentifier'), environment, textOf(settings, 'keyVaultName'));
}

function refuseKeyIdentifier(text: string, environment: AzureEnvironment, vault: string): Refusal | null {
  const wrong = (rule: string) =>
    refusal('AZURE_KEY_VAULT_KEY_IDENTIFIER_INVALID_FORMAT', `azureKeyVault.keyIdentifier ${rule}.`, ['keyIdentifier']);
  try {
    const { host } = parseAzureKeyId(text, environment);
    return host.startsWith(`${vault.toLowerCase()}.`) ? null : wrong(`names a vault of ${host}, but keyVaultName is ${vault}`);
  } catch (error) {
    if (error instanceof KeySettingsRefusedError) return wrong(error.rule);
    throw error;
  }
}

function refuseSecret(secret: string): Refusal | null {
  return /\s/.test(secret) ? invalid('secret', 'must not contain blanks or line breaks.') : null;
}

/** `azureKeyVault`: an RSA key in Azure Key Vault, reached with a client secret or a service principal. */
export const azureBinding: ProviderBinding = {
  provider: 'AZURE',
  attribute: 'azureKeyVault',
  kms: 'Azure Key Vault',
  fields: [
    { name: 'azureEnvironment', kind: 'key' },
    { name: 'clientID', kind: 'identity' },
    { name: 'tenantID', kind: 'identity' },
    { name: 'subscriptionID', kind: 'note' },
    { name: 'resourceGroupName', kind: 'note' },
    { name: 'keyVaultName', kind: 'key' },
    { name: 'keyIdentifier', kind: 'key' },
    { name: 'roleId', kind: 'identity' },
  ],
  methods: [
    { identity: ['clientID', 'tenantID'], secret: 'secret' },
    { identity: ['roleId'], secret: null },
  ],
  defaults: { azureEnvironment: 'AZURE' },
  refuseSettings,
  refuseSecret,
  keyOf: (settings) => ({ keyId: textOf(settings, 'keyIdentifier'), region: null }),
  // A key identifier names a version, which never moves.
  namesAlias: () => false,
  refusals: {
    KEY_DISABLED: ['AZURE_KEY_VAULT_KEY_NOT_ENABLED', 'The key version is disabled. Enable it in the key vault.'],
    KEY_PENDING_DELETION: ['AZURE_KEY_VAULT_KEY_NOT_FOUND', 'The key is deleted and can still be recovered. Recover it.'],
    KEY_PENDING_IMPORT: ['AZURE_KEY_VAULT_KEY_NOT_ACTIVE', 'The key is not active yet.'],
    KEY_NOT_FOUND: ['AZURE_KEY_VAULT_KEY_NOT_FOUND', 'The key vault knows no such key version.'],
    KEY_USAGE_WRONG: [
      'NO_PERMISSION_TO_ENCRYPT_DECRYPT',
      'The key is not for wrapping: an RSA key with the operations wrapKey and unwrapKey is needed.',
    ],
    ACCESS_DENIED: [
      'NO_PERMISSION_TO_ENCRYPT_DECRYPT',
      'The credentials may not use the key, or the network rules of the vault keep us out. Assign the role Key Vault Crypto Service Encryption User.',
    ],
    CREDENTIALS_INVALID: ['INVALID_AZURE_CREDENTIALS', 'Azure refuses the credentials.'],
    CREDENTIALS_EXPIRED: ['INVALID_AZURE_CREDENTIALS', 'The client secret has expired.'],
    CREDENTIALS_MISSING: ['INVALID_AZURE_CREDENTIALS', 'There are no credentials.'],
    CONFIGURATION_WRONG: ['INVALID_AZURE_API_REQUEST', 'Azure does not accept the settings.'],
    CANARY_NOT_UNWRAPPED: ['NO_PERMISSION_TO_ENCRYPT_DECRYPT', 'The key did not unwrap what was wrapped with it.'],
    CANARY_DIFFERS: ['NO_PERMISSION_TO_ENCRYPT_DECRYPT', 'The key gave back other bytes than were wrapped with it.'],
  },
  wrapAdvice: 'Allow the operation wrapKey on it, and look whether it has expired.',
  keepKey: (settings, resolvedKeyId, ending) => {
    const { name, version } = parseAzureKeyId(resolvedKeyId, environmentOf(settings) ?? 'AZURE');
    const vault = textOf(settings, 'keyVaultName');
    return ending === 'deletion'
      ? {
          command: `az keyvault key recover --vault-name ${vault} --name ${name}`,
          explanation: 'Brings the deleted key back, as long as it is not purged.',
        }
      : {
          command: `az keyvault key set-attributes --vault-name ${vault} --name ${name} --version ${version} --expires <a later date>`,
          explanation: 'Moves the expiry date, e.g. to 2030-12-31T00:00:00Z.',
        };
  },
};
