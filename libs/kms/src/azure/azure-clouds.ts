import { KeySettingsRefusedError } from '../errors.js';

/** The Azure clouds, as the Atlas Admin API names them for `azureKeyVault.azureEnvironment`. */
export const AZURE_ENVIRONMENTS = ['AZURE', 'AZURE_CHINA', 'AZURE_US_GOVERNMENT'] as const;
export type AzureEnvironment = (typeof AZURE_ENVIRONMENTS)[number];

export interface AzureCloud {
  /** Where tokens come from. Hosts whose endpoints MSAL knows by itself: it asks for no metadata that could be forged. */
  readonly authorityHost: string;
  /** What the names of all vaults of this cloud end in. */
  readonly vaultSuffix: string;
  /** What a token is asked for. */
  readonly scope: string;
}

const CLOUDS: Readonly<Record<AzureEnvironment, AzureCloud>> = {
  AZURE: {
    authorityHost: 'https://login.microsoftonline.com',
    vaultSuffix: 'vault.azure.net',
    scope: 'https://vault.azure.net/.default',
  },
  AZURE_CHINA: {
    // Not login.chinacloudapi.cn, the SDK's constant: it is an older name of the same service, which MSAL looks up over the network.
    authorityHost: 'https://login.partner.microsoftonline.cn',
    vaultSuffix: 'vault.azure.cn',
    scope: 'https://vault.azure.cn/.default',
  },
  AZURE_US_GOVERNMENT: {
    authorityHost: 'https://login.microsoftonline.us',
    vaultSuffix: 'vault.usgovcloudapi.net',
    scope: 'https://vault.usgovcloudapi.net/.default',
  },
};

export const azureCloudOf = (environment: AzureEnvironment): AzureCloud => CLOUDS[environment];

/** The URL of one version of a key, in parts. */
export interface AzureKeyId {
  /** In small letters, e.g. `orders.vault.azure.net`. */
  readonly host: string;
  readonly name: string;
  readonly version: string;
}

const KEY_URL = /^https:\/\/([a-z0-9.-]+)\/keys\/([a-z0-9-]{1,127})(?:\/([0-9a-f]{32}))?$/i;
/** Azure's rule for the names of vaults: 3 to 24 characters, begins with a letter, no hyphen at the end, no two together. */
const VAULT_NAME = /^(?=.{3,24}$)[a-z](?:-?[a-z0-9])*$/;
const FORM = 'https://<vault>.<domain of the cloud>/keys/<name>/<version of 32 hexadecimal characters>';

/**
 * Takes the URL of one version of a key apart. Throws `KeySettingsRefusedError` for anything else. Nothing is trimmed or corrected, and no
 * host outside the cloud's own vaults passes: a token is sent to it.
 */
export function parseAzureKeyId(text: string, environment: AzureEnvironment): AzureKeyId {
  if (/\s/.test(text)) throw refusal('must not contain blanks or line breaks');
  const match = KEY_URL.exec(text);
  if (match === null) throw refusal(`must have the form ${FORM}`);
  const [, anyHost = '', name = '', version] = match;
  const host = anyHost.toLowerCase();
  assertVaultOf(host, environment);
  // Without a version Azure uses the newest, which does not unwrap what an older one wrapped.
  if (version === undefined) throw refusal(`must name a version: ${FORM}`);
  return { host, name, version: version.toLowerCase() };
}

function assertVaultOf(host: string, environment: AzureEnvironment): void {
  const vaultIn = (one: AzureEnvironment): boolean => {
    const suffix = `.${CLOUDS[one].vaultSuffix}`;
    return host.endsWith(suffix) && VAULT_NAME.test(host.slice(0, -suffix.length));
  };
  if (vaultIn(environment)) return;
  const other = AZURE_ENVIRONMENTS.find(vaultIn);
  if (other !== undefined) throw refusal(`names a vault of ${other}, but azureEnvironment is ${environment}`);
  throw refusal(`must name a vault of ${environment}: a host that ends in .${CLOUDS[environment].vaultSuffix}`);
}

const refusal = (rule: string): KeySettingsRefusedError => new KeySettingsRefusedError('keyIdentifier', rule);
