import { refusal, type Refusal } from '../refusal.js';
import { textOf, type ProviderBinding, type ProviderSettings } from './provider-binding.js';

/** Where the vaults of each Azure cloud live. A key identifier of any other host is refused: a project must not choose whom we talk to. */
const VAULT_SUFFIXES: Readonly<Record<string, string>> = {
  AZURE: 'vault.azure.net',
  AZURE_CHINA: 'vault.azure.cn',
  AZURE_US_GOVERNMENT: 'vault.usgovcloudapi.net',
};

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
/** Azure's own rule: 3 to 24 letters, digits and hyphens; begins with a letter, ends with no hyphen, no two hyphens together. */
const VAULT_NAME = /^(?=.{3,24}$)[a-zA-Z](?:-?[a-zA-Z0-9])*$/;
const KEY_IDENTIFIER = /^https:\/\/([a-zA-Z0-9.-]+)\/keys\/([a-zA-Z0-9-]{1,127})(?:\/([0-9a-fA-F]{32}))?$/;

/** The parts of a key identifier, or null when it is none. */
export interface AzureKeyIdentifier {
  readonly host: string;
  readonly name: string;
  /** Null when the identifier names no version. */
  readonly version: string | null;
}

export function parseAzureKeyIdentifier(text: string): AzureKeyIdentifier | null {
  const match = KEY_IDENTIFIER.exec(text);
  if (match === null) return null;
  const [, host = '', name = '', version] = match;
  return { host: host.toLowerCase(), name, version: version ?? null };
}

const invalid = (name: string, rule: string) => refusal('INVALID_ATTRIBUTE', `azureKeyVault.${name} ${rule}`, [name]);

function refuseSettings(settings: ProviderSettings): Refusal | null {
  for (const name of ['clientID', 'tenantID', 'subscriptionID']) {
    if (name in settings && !UUID.test(textOf(settings, name))) return invalid(name, 'must be a UUID.');
  }
  const environment = textOf(settings, 'azureEnvironment');
  const suffix = VAULT_SUFFIXES[environment];
  if (suffix === undefined) {
    return refusal('AZURE_KEY_VAULT_ENVIRONMENT_NOT_SUPPORTED', `There is no Azure environment ${environment}.`, [environment]);
  }
  const vault = textOf(settings, 'keyVaultName');
  if (!VAULT_NAME.test(vault)) return invalid('keyVaultName', 'is not the name of a key vault (3 to 24 letters, digits and hyphens).');
  return refuseKeyIdentifier(textOf(settings, 'keyIdentifier'), `${vault.toLowerCase()}.${suffix}`);
}

function refuseKeyIdentifier(text: string, host: string): Refusal | null {
  const wrong = (rule: string) =>
    refusal('AZURE_KEY_VAULT_KEY_IDENTIFIER_INVALID_FORMAT', `azureKeyVault.keyIdentifier ${rule}`, ['keyIdentifier']);
  const key = parseAzureKeyIdentifier(text);
  if (key === null)
    return wrong('must be the full URL of a key version: https://<vault>/keys/<name>/<version of 32 hexadecimal characters>.');
  if (key.host !== host) return wrong(`names the host ${key.host}, but the vault's is ${host}.`);
  // Without a version Azure would use whichever is the newest: what was wrapped by an older one must name it.
  if (key.version === null) return wrong('must name the version of the key.');
  return null;
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
  keepKey: (settings, resolvedKeyId) => {
    const key = parseAzureKeyIdentifier(resolvedKeyId) ?? parseAzureKeyIdentifier(textOf(settings, 'keyIdentifier'));
    const vault = textOf(settings, 'keyVaultName');
    return {
      command: `az keyvault key set-attributes --vault-name ${vault} --name ${key?.name ?? ''} --version ${key?.version ?? ''} --expires <a later date, e.g. 2030-12-31T00:00:00Z>`,
      explanation: `Moves the expiry date. A key that was deleted already comes back with: az keyvault key recover --vault-name ${vault} --name ${key?.name ?? ''}`,
    };
  },
};
