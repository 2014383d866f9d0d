import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeySettingsRefusedError } from '../errors.js';
import { AZURE_ENVIRONMENTS, azureCloudOf, parseAzureKeyId } from './azure-clouds.js';

const VERSION = '0123456789abcdef0123456789abcdef';
const KEY = `https://orders.vault.azure.net/keys/master-key/${VERSION}`;

describe('names of keys in Azure Key Vault', () => {
  it('reads the URL of a key version of each cloud', () => {
    for (const [environment, host] of [
      ['AZURE', 'orders-1.vault.azure.net'],
      ['AZURE_CHINA', 'orders-1.vault.azure.cn'],
      ['AZURE_US_GOVERNMENT', 'orders-1.vault.usgovcloudapi.net'],
    ] as const) {
      expect(parseAzureKeyId(`https://${host}/keys/master-key/${VERSION}`, environment)).toEqual({
        host,
        name: 'master-key',
        version: VERSION,
      });
    }
    // Names of hosts and versions are the same in capitals.
    expect(parseAzureKeyId(`https://Orders.Vault.Azure.net/keys/K/${VERSION.toUpperCase()}`, 'AZURE')).toEqual({
      host: 'orders.vault.azure.net',
      name: 'K',
      version: VERSION,
    });
  });

  it.each([
    ['a blank before', ` ${KEY}`, /blanks/],
    ['a blank behind', `${KEY} `, /blanks/],
    ['a line break behind', `${KEY}\n`, /blanks/],
    ['no version', `https://orders.vault.azure.net/keys/master-key`, /version/],
    ['half a version', KEY.slice(0, -1), /form/],
    ['a slash behind', `${KEY}/`, /form/],
    ['another port', KEY.replace('.net/', '.net:8443/'), /form/],
    ['no TLS', KEY.replace('https', 'http'), /form/],
    ['a secret', KEY.replace('keys', 'secrets'), /form/],
    ['an ARN', 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab', /form/],
    ['a Google Cloud name', 'projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1', /form/],
    ['nothing', '', /form/],
    ['a vault of China', KEY.replace('azure.net', 'azure.cn'), /vault of AZURE_CHINA/],
    ['a vault of the US Government', KEY.replace('azure.net', 'usgovcloudapi.net'), /vault of AZURE_US_GOVERNMENT/],
    ['a managed HSM', KEY.replace('vault.azure.net', 'managedhsm.azure.net'), /must name a vault/],
    ['another host', KEY.replace('orders.vault.azure.net', 'evil.example'), /must name a vault/],
    ['a host that begins like a vault', KEY.replace('azure.net', 'azure.net.evil.example'), /must name a vault/],
    ['the suffix alone', KEY.replace('orders.', ''), /must name a vault/],
    ['a host below a vault', KEY.replace('orders.', 'a.orders.'), /must name a vault/],
  ])('F85 refuses %s', (_, text, rule) => {
    expect(() => parseAzureKeyId(text, 'AZURE')).toThrow(KeySettingsRefusedError);
    expect(() => parseAzureKeyId(text, 'AZURE')).toThrow(rule);
  });

  it('F90 lets no text through whose host, as a URL, is not in a vault of the cloud', () => {
    const piece = fc.constantFrom(
      'https://',
      'orders',
      '.vault.azure.net',
      '.vault.azure.cn',
      '@',
      ':',
      '/',
      '\\',
      '#',
      '?',
      '%2e',
      '/keys/k/',
      VERSION,
    );
    const texts = fc.oneof(
      fc.array(piece, { maxLength: 8 }).map((pieces) => `https://${pieces.join('')}/keys/k/${VERSION}`),
      fc.webUrl(),
      fc.string(),
    );
    fc.assert(
      fc.property(texts, fc.constantFrom(...AZURE_ENVIRONMENTS), (text, environment) => {
        try {
          const { host } = parseAzureKeyId(text, environment);
          expect(new URL(text).host).toBe(host);
          expect(host.endsWith(`.${azureCloudOf(environment).vaultSuffix}`)).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(KeySettingsRefusedError);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
