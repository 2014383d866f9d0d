import {
  DEFINITIVE_REASONS,
  KEY_PROVIDERS,
  type DefinitiveReason,
  type KeyConfigurationState,
  type KeyProviderName,
} from '@atrest/contracts';
import { describe, expect, it } from 'vitest';
import { renderMail } from '../../mail/render-mail.js';
import { keyState } from '../../test-support/stage.contract.js';
import { keyRepair } from '../key-repair.js';

const PROJECT = '65f0c0ffee65f0c0ffee65f0';
const KEYS: Readonly<Record<KeyProviderName, Partial<KeyConfigurationState>>> = {
  AWS: { provider: 'AWS' },
  AZURE: { provider: 'AZURE', keyId: 'https://orders-kv.vault.azure.net/keys/cmk/0123456789abcdef', resolvedKeyId: null, region: null },
  GCP: {
    provider: 'GCP',
    keyId: 'projects/shop/locations/europe-west3/keyRings/atrest/cryptoKeys/orders/cryptoKeyVersions/7',
    resolvedKeyId: null,
    region: 'europe-west3',
  },
  KMIP: { provider: 'KMIP', keyId: '42', resolvedKeyId: '42', region: null },
};
const GCP_OPTIONS = '--key orders --keyring atrest --location europe-west3 --project shop';

const repair = (
  provider: KeyProviderName,
  reason: DefinitiveReason,
  change: Partial<KeyConfigurationState> = {},
): { text: string; html: string } =>
  renderMail({ subject: '', blocks: keyRepair(keyState(PROJECT, { ...KEYS[provider], ...change }), reason) });

/** Lines that are commands: four blanks before them. */
const commands = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('    '))
    .map((line) => line.trim());

describe('what to do about a key that is not usable', () => {
  it('has at least one command of the provider itself for every reason of every provider', () => {
    const tools: Readonly<Record<KeyProviderName, RegExp>> = {
      AWS: /^aws (kms|iam) [a-z-]+/,
      AZURE: /^az (keyvault|role|ad) [a-z-]+/,
      GCP: /^gcloud (kms|iam|services) [a-z-]+/,
      KMIP: /^((Get Attributes|Recover|Activate|Locate|Modify Attribute: Destroy Date), unique identifier 42|openssl (x509|s_client) |python3 -m kmip)/,
    };
    for (const provider of KEY_PROVIDERS) {
      const texts = new Set<string>();
      for (const reason of DEFINITIVE_REASONS) {
        const { text, html } = repair(provider, reason);
        expect(commands(text).length, `${provider} ${reason}`).toBeGreaterThan(0);
        for (const line of commands(text)) expect(line, `${provider} ${reason}`).toMatch(tools[provider]);
        expect(html.match(/<pre /g)).toHaveLength(commands(text).length);
        texts.add(text);
      }
      // Reasons that need the same are few: an advice that fits all of them would help with none.
      expect(texts.size, provider).toBeGreaterThanOrEqual(8);
    }
  });

  it.each([
    [
      'AZURE',
      'KEY_DISABLED',
      'az keyvault key set-attributes --id https://orders-kv.vault.azure.net/keys/cmk/0123456789abcdef --enabled true',
    ],
    ['AZURE', 'KEY_PENDING_DELETION', 'az keyvault key recover --vault-name orders-kv --name cmk'],
    ['AZURE', 'KEY_NOT_FOUND', 'az keyvault key list-deleted --vault-name orders-kv'],
    ['AZURE', 'CREDENTIALS_EXPIRED', 'az ad app credential reset --id $CLIENT_ID --append'],
    [
      'AZURE',
      'ACCESS_DENIED',
      "az role assignment create --role 'Key Vault Crypto Service Encryption User' --assignee $CLIENT_ID --scope $VAULT_RESOURCE_ID",
    ],
    ['GCP', 'KEY_DISABLED', `gcloud kms keys versions enable 7 ${GCP_OPTIONS}`],
    ['GCP', 'KEY_PENDING_DELETION', `gcloud kms keys versions restore 7 ${GCP_OPTIONS}`],
    [
      'GCP',
      'ACCESS_DENIED',
      'gcloud kms keys add-iam-policy-binding orders --keyring atrest --location europe-west3 --project shop --role roles/cloudkms.cryptoKeyEncrypterDecrypter --member serviceAccount:$SERVICE_ACCOUNT',
    ],
    ['KMIP', 'KEY_PENDING_IMPORT', 'Activate, unique identifier 42'],
    ['KMIP', 'CREDENTIALS_EXPIRED', 'openssl x509 -in client.pem -noout -subject -issuer -enddate'],
  ] as const)('%s %s: %s', (provider, reason, line) => {
    expect(commands(repair(provider, reason).text)).toContain(line);
  });

  it('takes back a planned deletion and enables what comes back disabled, in this order', () => {
    expect(commands(repair('GCP', 'KEY_PENDING_DELETION').text).map((line) => line.split(' ')[4])).toEqual(['restore', 'enable']);
    expect(commands(repair('AWS', 'KEY_PENDING_DELETION').text).map((line) => line.split(' ')[2])).toEqual([
      'cancel-key-deletion',
      'enable-key',
    ]);
  });

  it('quotes what somebody named, so that it stays one word of the command', () => {
    const hostile = "x'; rm -rf / #";
    const quoted = String.raw`'x'\''; rm -rf / #'`;
    expect(commands(repair('GCP', 'KEY_DISABLED', { keyId: hostile }).text)).toEqual([`gcloud kms keys versions enable ${quoted}`]);
    expect(commands(repair('AZURE', 'KEY_DISABLED', { keyId: hostile }).text)).toEqual([
      `az keyvault key set-attributes --id ${quoted} --enabled true`,
    ]);
    expect(commands(repair('KMIP', 'KEY_PENDING_IMPORT', { keyId: hostile, resolvedKeyId: null }).text)).toContain(
      `python3 -m kmip.demos.units.activate -i ${quoted}`,
    );
    // Not an option of the command either.
    expect(commands(repair('AWS', 'KEY_DISABLED', { resolvedKeyId: '--endpoint-url' }).text)).toEqual([
      "aws kms enable-key --key-id '--endpoint-url' --region us-east-1",
    ]);
  });

  it('names the key even when its name is not of the form that it should have', () => {
    expect(commands(repair('AZURE', 'KEY_NOT_FOUND', { keyId: 'cmk' }).text)).toContain(
      'az keyvault key list-deleted --vault-name YOUR-VAULT',
    );
  });
});
