import https from 'node:https';
import { createDefaultHttpClient } from '@azure/core-rest-pipeline';
import { ClientSecretCredential } from '@azure/identity';
import { CryptographyClient, KeyClient } from '@azure/keyvault-keys';
import { SimulatedClock } from '@atrest/platform-time';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DevelopmentKeyVault, type DevelopmentRoute } from './development-key-vault.js';

const VAULT_URL = 'https://atrest-dev.vault.azure.net';
const DAY_MS = 24 * 3_600_000;

/** The SDK's own client, led to the fake: what a person's program would do. */
function routedClient(route: DevelopmentRoute) {
  class RoutedAgent extends https.Agent {
    override createConnection(...[options, callback]: Parameters<https.Agent['createConnection']>) {
      return super.createConnection({ ...options, ...route.dial(options.host ?? '') }, callback);
    }
  }
  const agent = new RoutedAgent({ ca: route.ca });
  const client = createDefaultHttpClient();
  return { sendRequest: (request: Parameters<typeof client.sendRequest>[0]) => client.sendRequest(Object.assign(request, { agent })) };
}

describe('development Key Vault, driven by the Azure SDK', () => {
  let azure: DevelopmentKeyVault;
  let clock: SimulatedClock;
  let credential: ClientSecretCredential;
  let keys: KeyClient;

  beforeEach(async () => {
    clock = new SimulatedClock(new Date());
    azure = await DevelopmentKeyVault.start({ clock });
    const { tenantId, clientId, clientSecret } = azure.createApplication();
    credential = new ClientSecretCredential(tenantId, clientId, clientSecret, options());
    keys = new KeyClient(VAULT_URL, credential, options());
  });
  afterEach(() => azure.close());

  const options = () => ({ httpClient: routedClient(azure.route), retryOptions: { maxRetries: 0 } });
  const cryptography = (keyId: string) => new CryptographyClient(keyId, credential, options());
  const secret = Buffer.from('0123456789abcdef0123456789abcdef');

  it('creates keys and versions, wraps and unwraps with the version that is named', async () => {
    const first = await keys.createKey('orders', 'RSA', { keySize: 2048 });
    const second = await keys.createKey('orders', 'RSA');
    expect(first.id).toMatch(/^https:\/\/atrest-dev\.vault\.azure\.net\/keys\/orders\/[0-9a-f]{32}$/);
    expect((await keys.getKey('orders')).id).toBe(second.id);
    const { result } = await cryptography(first.id!).wrapKey('RSA-OAEP-256', secret);
    expect(Buffer.from((await cryptography(first.id!).unwrapKey('RSA-OAEP-256', result)).result)).toEqual(secret);
    await expect(cryptography(second.id!).unwrapKey('RSA-OAEP-256', result)).rejects.toMatchObject({
      statusCode: 400,
      code: 'BadParameter',
    });
    const { clientId } = azure.calls({ operation: 'wrapKey' }).at(-1)!;
    expect(azure.calls({ operation: 'wrapKey' })).toMatchObject([{ keyId: first.id, algorithm: 'RSA-OAEP-256', outcome: 'ok' }]);
    expect(clientId).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('lets a disabled key wrap and not unwrap', async () => {
    const { id, name } = await keys.createKey('orders', 'RSA');
    const { result } = await cryptography(id!).wrapKey('RSA-OAEP-256', secret);
    await keys.updateKeyProperties(name, { enabled: false });
    await cryptography(id!).wrapKey('RSA-OAEP-256', secret);
    await expect(cryptography(id!).unwrapKey('RSA-OAEP-256', result)).rejects.toMatchObject({
      statusCode: 403,
      code: 'Forbidden',
      message: 'Operation unwrapKey is not allowed on a disabled key.',
      details: { error: { innerError: { code: 'KeyDisabled' } } },
    });
    await keys.updateKeyProperties(name, { enabled: true });
    expect(Buffer.from((await cryptography(id!).unwrapKey('RSA-OAEP-256', result)).result)).toEqual(secret);
  });

  it('keeps attributes and operations as they are set', async () => {
    const expiresOn = new Date('2030-01-01T00:00:00Z');
    await keys.createKey('orders', 'RSA', { keyOps: ['wrapKey'], expiresOn, keySize: 3072 });
    const { key, keyOperations, properties } = await keys.getKey('orders');
    expect(keyOperations).toEqual(['wrapKey']);
    expect(key?.n).toHaveLength(384);
    expect(properties).toMatchObject({ expiresOn, enabled: true, recoveryLevel: 'Recoverable+Purgeable', recoverableDays: 90 });
    const wrapped = await cryptography(properties.id!).wrapKey('RSA-OAEP-256', secret);
    expect(wrapped.result).toHaveLength(384);
  });

  it('deletes softly, recovers and purges', async () => {
    const { name } = await keys.createKey('orders', 'RSA');
    const poller = await keys.beginDeleteKey(name, { intervalInMs: 1 });
    const deleted = await poller.pollUntilDone();
    expect(deleted.properties.scheduledPurgeDate!.getTime()).toBeGreaterThan(clock.now().getTime() + 89 * DAY_MS);
    await expect(keys.getKey(name)).rejects.toMatchObject({ statusCode: 404, code: 'KeyNotFound' });
    await expect(keys.createKey(name, 'RSA')).rejects.toMatchObject({ statusCode: 409, code: 'Conflict' });
    await (await keys.beginRecoverDeletedKey(name, { intervalInMs: 1 })).pollUntilDone();
    expect((await keys.getKey(name)).name).toBe(name);
    await (await keys.beginDeleteKey(name, { intervalInMs: 1 })).pollUntilDone();
    await keys.purgeDeletedKey(name);
    await expect(keys.getDeletedKey(name)).rejects.toMatchObject({ statusCode: 404 });
  });

  it('purges by itself when the time to recover is over', async () => {
    const keyId = await azure.createKey({ name: 'orders' });
    azure.deleteKey(keyId);
    clock.advance(89 * DAY_MS);
    // Tokens live an hour by the fake's clock, of which the SDK knows nothing.
    const { tenantId, clientId, clientSecret } = azure.createApplication();
    const later = () => new KeyClient(VAULT_URL, new ClientSecretCredential(tenantId, clientId, clientSecret, options()), options());
    await later().getDeletedKey('orders');
    clock.advance(2 * DAY_MS);
    await expect(later().getDeletedKey('orders')).rejects.toMatchObject({ statusCode: 404 });
  });

  it('plays the three clouds under their own names', async () => {
    for (const [environment, authorityHost, suffix] of [
      ['AZURE_CHINA', 'https://login.chinacloudapi.cn', 'vault.azure.cn'],
      ['AZURE_US_GOVERNMENT', 'https://login.microsoftonline.us', 'vault.usgovcloudapi.net'],
    ] as const) {
      const { tenantId, clientId, clientSecret } = azure.createApplication();
      const own = new ClientSecretCredential(tenantId, clientId, clientSecret, { ...options(), authorityHost });
      const keyId = await azure.createKey({ environment, name: 'orders' });
      expect((await new KeyClient(`https://atrest-dev.${suffix}`, own, options()).getKey('orders')).id).toBe(keyId);
    }
  });

  it('refuses who has no access, who brings a token of another cloud or tenant, and who is nobody', async () => {
    await azure.createKey({ name: 'orders' });
    const chinese = { getToken: () => credential.getToken('https://vault.azure.cn/.default') };
    await expect(new KeyClient(VAULT_URL, chinese, options()).getKey('orders')).rejects.toThrow(/AKV10022/);
    const foreign = azure.createApplication(azure.directory.createTenant());
    const elsewhere = new ClientSecretCredential(foreign.tenantId, foreign.clientId, foreign.clientSecret, options());
    // The SDK would follow the vault's challenge to the right tenant by itself.
    const stubborn = { getToken: (scopes: string | string[]) => elsewhere.getToken(scopes) };
    await expect(new KeyClient(VAULT_URL, stubborn, options()).getKey('orders')).rejects.toThrow(/AKV10032/);
    azure.deny({ how: 'rbac', operations: ['getKey'] });
    await expect(keys.getKey('orders')).rejects.toMatchObject({ details: { error: { innerError: { code: 'ForbiddenByRbac' } } } });
    azure.allow();
    await keys.getKey('orders');
    const { tenantId, clientId, clientSecret } = azure.createApplication();
    const wrong = new ClientSecretCredential(tenantId, clientId, `${clientSecret}x`, options());
    await expect(new KeyClient(VAULT_URL, wrong, options()).getKey('orders')).rejects.toThrow(/AADSTS7000215/);
  });

  it('is trusted by nobody who was not told to', async () => {
    const { port } = azure.route.dial('login.microsoftonline.com');
    const error = await new Promise<unknown>((resolve) => {
      https.get({ host: '127.0.0.1', port, servername: 'login.microsoftonline.com' }).on('error', resolve);
    });
    expect(error).toMatchObject({ code: expect.stringMatching(/SELF_SIGNED|UNABLE_TO/) });
  });
});
