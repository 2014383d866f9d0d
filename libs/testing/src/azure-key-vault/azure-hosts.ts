/** The host names of one Azure cloud, as far as the fake plays them. */
export interface AzureCloudHosts {
  readonly environment: AzureEnvironmentName;
  /** Where Entra issues tokens. Several names may lead there. */
  readonly authorities: readonly string[];
  /** What the names of all vaults end in. */
  readonly vaultSuffix: string;
}

export type AzureEnvironmentName = 'AZURE' | 'AZURE_CHINA' | 'AZURE_US_GOVERNMENT';

export const AZURE_HOSTS: readonly AzureCloudHosts[] = [
  { environment: 'AZURE', authorities: ['login.microsoftonline.com'], vaultSuffix: 'vault.azure.net' },
  {
    environment: 'AZURE_CHINA',
    authorities: ['login.partner.microsoftonline.cn', 'login.chinacloudapi.cn'],
    vaultSuffix: 'vault.azure.cn',
  },
  { environment: 'AZURE_US_GOVERNMENT', authorities: ['login.microsoftonline.us'], vaultSuffix: 'vault.usgovcloudapi.net' },
];

/** Every name that the fake's certificate is for. */
export const ALL_HOST_NAMES = AZURE_HOSTS.flatMap(({ authorities, vaultSuffix }) => [...authorities, `*.${vaultSuffix}`]);

export const cloudOf = (host: string): AzureCloudHosts | undefined =>
  AZURE_HOSTS.find(({ authorities, vaultSuffix }) => authorities.includes(host) || host.endsWith(`.${vaultSuffix}`));

export const isAuthority = (host: string): boolean => AZURE_HOSTS.some(({ authorities }) => authorities.includes(host));
