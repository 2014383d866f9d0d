import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Metrics } from '@atrest/platform-metrics';
import { SimulatedClock, systemClock } from '@atrest/platform-time';
import { DevelopmentKeyVault, type ApplicationCredentials, type AzureFault } from '@atrest/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CallLimiters } from '../call-limiter.js';
import { checkCanary, proveKey } from '../canary.js';
import { KeySettingsRefusedError, KmsUsageError, WrappedBlobRefusedError } from '../errors.js';
import { keyProviderContract } from '../key-provider.contract.js';
import { sleepFor, withTransientRetries } from '../transient-retries.js';
import type { Verdict } from '../verdict.js';
import { AZURE_MECHANISM } from './azure-envelope.js';
import { AzureKeyProvider, azureRequestQuotaOf, type AzureKeyProviderOptions, type AzureKeySettings } from './azure-key-provider.js';

const context = { projectId: '65f0c0ffee65f0c0ffee65f0', purpose: 'canary' };
// The whole quota: a test must not wait for its turn.
const limiters = new CallLimiters({ clock: systemClock, sleep: sleepFor, quotaOf: azureRequestQuotaOf, share: 1 });
const settingsOf = ({ tenantId, clientId, clientSecret }: ApplicationCredentials, keyIdentifier: string): AzureKeySettings => ({
  keyIdentifier,
  environment: 'AZURE',
  tenantId,
  clientId,
  proof: { kind: 'client-secret', clientSecret },
});

keyProviderContract(
  'Azure Key Vault on the development Key Vault',
  async () => {
    const azure = await DevelopmentKeyVault.start();
    const application = azure.createApplication();
    const options = { limiters, metrics: new Metrics(), development: azure.route };
    return {
      createKey: async () => ({ keyId: await azure.createKey() }),
      provider: (keyId) => new AzureKeyProvider(settingsOf(application, keyId), options),
      disable: (keyId) => azure.setAttributes(keyId, { enabled: false }),
      enable: (keyId) => azure.setAttributes(keyId, { enabled: true }),
      scheduleDeletion: (keyId) => azure.deleteKey(keyId),
      destroy: (keyId) => azure.destroyKey(keyId),
      requests: () => azure.calls().length,
      close: () => azure.close(),
    };
  },
  // Azure answers for a key that can still be recovered as for one that never was.
  { aliases: false, waitingForDeletion: 'KEY_NOT_FOUND' },
);

describe('Azure Key Vault under faults', () => {
  let azure: DevelopmentKeyVault;
  let application: ApplicationCredentials;
  let keyId: string;
  const metrics = new Metrics();
  const opened: AzureKeyProvider[] = [];

  beforeAll(async () => {
    azure = await DevelopmentKeyVault.start();
    return () => azure.close();
  });
  beforeEach(async () => {
    azure.clearFaults();
    azure.allow();
    application = azure.createApplication();
    keyId = await azure.createKey();
  });
  afterAll(() => {
    for (const provider of opened) provider.close();
  });

  const open = (settings: Partial<AzureKeySettings> = {}, options: Partial<AzureKeyProviderOptions> = {}): AzureKeyProvider => {
    const provider = new AzureKeyProvider(
      { ...settingsOf(application, keyId), ...settings },
      { limiters, metrics, development: azure.route, ...options },
    );
    opened.push(provider);
    return provider;
  };
  const proven = async (provider: AzureKeyProvider) => {
    const { verdict, canary } = await proveKey(provider, context);
    expect(verdict).toMatchObject({ kind: 'usable' });
    return canary!;
  };
  const short = (verdict: Verdict): string => `${verdict.kind} ${verdict.reason}`;
  const operations = (from: number) =>
    azure
      .calls()
      .slice(from)
      .map(({ operation }) => operation);

  it('wraps and unwraps in the vault, with RSA-OAEP-256 and one token', async () => {
    const before = azure.calls().length;
    const canary = await proven(open());
    expect(operations(before)).toEqual(['token', 'wrapKey', 'unwrapKey']);
    expect(azure.calls().slice(before + 1)).toMatchObject([
      { keyId, algorithm: 'RSA-OAEP-256' },
      { keyId, algorithm: 'RSA-OAEP-256' },
    ]);
    expect(canary.blob).toMatchObject({ keyId, resolvedKeyId: keyId, keyVersion: keyId.split('/').at(-1), mechanism: AZURE_MECHANISM });
  });

  it('carries the evidence: the most precise code, words, status and request id', async () => {
    const provider = open();
    const canary = await proven(provider);
    azure.setAttributes(keyId, { enabled: false });
    expect(await checkCanary(provider, canary, context)).toEqual({
      kind: 'definitive',
      reason: 'KEY_DISABLED',
      errorName: 'KeyDisabled',
      message: 'Operation unwrapKey is not allowed on a disabled key.',
      httpStatus: 403,
      requestId: azure.calls().at(-1)?.requestId,
    });
    azure.directory.endSecrets(application.clientId, 'expired');
    const expired = await checkCanary(provider.fresh(), canary, context);
    expect(expired).toMatchObject({ kind: 'definitive', reason: 'CREDENTIALS_EXPIRED', errorName: 'AADSTS7000222', httpStatus: 401 });
    expect(expired.message).toBe(`AADSTS7000222: The provided client secret keys for app '${application.clientId}' are expired.`);
    expect(expired.requestId).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('F01 Azure: a disabled key still wraps, and only unwrapping finds it out', async () => {
    const provider = open();
    const canary = await proven(provider);
    azure.setAttributes(keyId, { enabled: false });
    await provider.wrap(Buffer.alloc(32, 7), context);
    expect(short(await checkCanary(provider, canary, context))).toBe('definitive KEY_DISABLED');
  });

  it('F02 Azure: a deleted key is not found, is described as long as it can be recovered, and works again after that', async () => {
    const provider = open();
    const canary = await proven(provider);
    azure.deleteKey(keyId);
    expect(short(await checkCanary(provider, canary, context))).toBe('definitive KEY_NOT_FOUND');
    const described = await provider.describe();
    expect(described).toMatchObject({ state: 'PENDING_DELETION', recoveryLevel: 'Recoverable+Purgeable', resolvedKeyId: keyId });
    expect(described.deletionDate!.getTime()).toBeGreaterThan(Date.now() + 89 * 24 * 3_600_000);
    azure.recoverKey(keyId);
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
  });

  it('F03 Azure: a key that was destroyed and made again under its name is another version, and not found', async () => {
    const provider = open();
    const canary = await proven(provider);
    azure.destroyKey(keyId);
    const name = new URL(keyId).pathname.split('/')[2]!;
    const successor = await azure.createKey({ name });
    expect(short(await checkCanary(provider, canary, context))).toBe('definitive KEY_NOT_FOUND');
    await expect(provider.describe()).rejects.toMatchObject({ code: 'KeyNotFound' });
    // A blob cannot be passed to the successor either.
    const blob = { ...canary.blob, resolvedKeyId: successor };
    expect(short(await checkCanary(open({ keyIdentifier: successor }), { ...canary, blob }, context))).toBe(
      'definitive CANARY_NOT_UNWRAPPED',
    );
  });

  it('F04 Azure: a new version of the key changes nothing for what the old one wrapped', async () => {
    const provider = open();
    const canary = await proven(provider);
    const newer = await azure.createKey({ name: new URL(keyId).pathname.split('/')[2]! });
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    expect(short(await checkCanary(open({ keyIdentifier: newer }), canary, context))).toBe('usable null');
  });

  it.each([
    ['rbac', 'ForbiddenByRbac'],
    ['policy', 'AccessDenied'],
    ['firewall', 'ForbiddenByFirewall'],
    ['private-link', 'ForbiddenByConnection'],
  ] as const)('F05 Azure: access taken away by %s, per operation', async (how, errorName) => {
    const provider = open();
    const canary = await proven(provider);
    azure.deny({ how, operations: ['wrapKey', 'getKey'] });
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    expect(short((await proveKey(provider, context)).verdict)).toBe('definitive ACCESS_DENIED');
    azure.allow();
    azure.deny({ how, operations: ['unwrapKey'] });
    const verdict = await checkCanary(provider, canary, context);
    expect(verdict).toMatchObject({ kind: 'definitive', reason: 'ACCESS_DENIED', errorName, httpStatus: 403 });
    expect((await provider.describe()).state).toBe('ENABLED');
    // Somebody who reads the evidence must not look for the fault in the credentials.
    expect(verdict.message?.startsWith('A network rule')).toBe(how === 'firewall' || how === 'private-link');
  });

  it('F06 Azure: expired secret, removed secret, disabled and deleted application', async () => {
    const canary = await proven(open());
    const checked = async () => short(await checkCanary(open(), canary, context));
    azure.directory.endSecrets(application.clientId, 'expired');
    expect(await checked()).toBe('definitive CREDENTIALS_EXPIRED');
    azure.directory.endSecrets(application.clientId, 'removed');
    expect(await checked()).toBe('definitive CREDENTIALS_INVALID');
    application = { ...application, clientSecret: azure.directory.addSecret(application.clientId) };
    expect(await checked()).toBe('usable null');
    azure.directory.setApplication(application.clientId, 'disabled');
    expect(await checked()).toBe('definitive CREDENTIALS_INVALID');
    azure.directory.setApplication(application.clientId, 'enabled');
    expect(await checked()).toBe('usable null');
    azure.directory.setApplication(application.clientId, 'deleted');
    expect(await checked()).toBe('definitive CREDENTIALS_INVALID');
  });

  it('F06 Azure: a removed secret is found out when the token is too old, at once by a fresh provider', async () => {
    const clock = new SimulatedClock(new Date());
    const provider = open({}, { clock });
    const canary = await proven(provider);
    azure.directory.endSecrets(application.clientId, 'removed');
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    expect(short(await checkCanary(provider.fresh(), canary, context))).toBe('definitive CREDENTIALS_INVALID');
    clock.advance(15 * 60_000);
    expect(short(await checkCanary(provider, canary, context))).toBe('definitive CREDENTIALS_INVALID');
  });

  it('F06 Azure: a token that the vault refuses is replaced before the vault is believed', async () => {
    const provider = open();
    const canary = await proven(provider);
    azure.inject({ kind: 'stale-token', operations: ['unwrapKey'], count: 1 });
    const before = azure.calls().length;
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    expect(operations(before)).toEqual(['unwrapKey', 'token', 'unwrapKey']);
    azure.inject({ kind: 'stale-token', operations: ['unwrapKey'] });
    expect(short(await checkCanary(provider, canary, context))).toBe('definitive CREDENTIALS_INVALID');
  });

  it('F07 Azure: wrong tenant, wrong kind of key, forbidden operations, expired or not yet active', async () => {
    const verdictOf = async (settings: Partial<AzureKeySettings>) => short((await proveKey(open(settings), context)).verdict);
    const foreign = azure.createApplication(azure.directory.createTenant());
    expect(await verdictOf(settingsOf(foreign, keyId))).toBe('definitive CONFIGURATION_WRONG');
    expect(await verdictOf({ tenantId: '00000000-0000-4000-8000-000000000000' })).toBe('definitive CONFIGURATION_WRONG');
    expect(await verdictOf({ clientId: '00000000-0000-4000-8000-000000000000' })).toBe('definitive CREDENTIALS_INVALID');
    expect(await verdictOf({ keyIdentifier: await azure.createKey({ kty: 'EC', operations: ['wrapKey'] }) })).toBe(
      'definitive KEY_USAGE_WRONG',
    );
    const signing = await azure.createKey({ operations: ['sign', 'verify'] });
    expect(await verdictOf({ keyIdentifier: signing })).toBe('definitive KEY_USAGE_WRONG');
    expect(await verdictOf({ keyIdentifier: keyId.replace(/.$/, (last) => (last === '0' ? '1' : '0')) })).toBe('definitive KEY_NOT_FOUND');
    azure.setAttributes(keyId, { expires: new Date(Date.now() - 60_000) });
    expect(await verdictOf({})).toBe('definitive KEY_DISABLED');
    azure.setAttributes(keyId, { expires: null, notBefore: new Date(Date.now() + 60_000) });
    expect(await verdictOf({})).toBe('definitive KEY_PENDING_IMPORT');
  });

  it('an expired key still unwraps, and is described with its dates', async () => {
    const clock = new SimulatedClock(new Date());
    const provider = open({}, { clock });
    const canary = await proven(provider);
    const expires = new Date(Math.floor(Date.now() / 1_000) * 1_000 - 60_000);
    azure.setAttributes(keyId, { expires });
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    expect(await provider.describe()).toMatchObject({ state: 'EXPIRED', expiresAt: expires, algorithm: 'RSA 2048', deletionDate: null });
    azure.setAttributes(keyId, { expires: null, notBefore: new Date(Date.now() + 60_000) });
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    expect((await provider.describe()).state).toBe('NOT_YET_ACTIVE');
  });

  const faults: [string, AzureFault, string][] = [
    ['F08 Azure: throttled without Retry-After', { kind: 'throttle' }, 'transient THROTTLED'],
    ['F08 Azure: throttled with Retry-After', { kind: 'throttle', retryAfterSeconds: 3_600 }, 'transient THROTTLED'],
    ['F08 Azure: HTTP 429 without a body', { kind: 'error', status: 429 }, 'transient THROTTLED'],
    ['F09 Azure: 500 without a body', { kind: 'error', status: 500 }, 'transient PROVIDER_ERROR'],
    ['F09 Azure: 503 without a body', { kind: 'error', status: 503 }, 'transient PROVIDER_ERROR'],
    ['F11 Azure: captive portal', { kind: 'web-page' }, 'transient UNCLASSIFIED'],
    ['F11 Azure: a proxy that refuses with a page', { kind: 'web-page', status: 403 }, 'transient UNCLASSIFIED'],
    ['F11 Azure: a proxy that wants to know who we are', { kind: 'web-page', status: 407 }, 'transient UNCLASSIFIED'],
    ['F11 Azure: a page that says 401', { kind: 'web-page', status: 401 }, 'transient UNCLASSIFIED'],
    ['F11 Azure: a page that says 404', { kind: 'web-page', status: 404 }, 'transient UNCLASSIFIED'],
    ['F12 Azure: no answer after the request was sent', { kind: 'hang' }, 'transient TIMEOUT'],
    ['F12 Azure: an answer that stops in the middle', { kind: 'hang', phase: 'within-answer' }, 'transient TIMEOUT'],
    ['a reset before the answer', { kind: 'reset' }, 'transient NETWORK'],
    ['a reset within the answer', { kind: 'reset', phase: 'within-answer' }, 'transient NETWORK'],
  ];
  describe.each(['unwrapKey', 'token'] as const)('at the request %s', (operation) => {
    it.each(faults)('%s', async (_, fault, expected) => {
      const canary = await proven(open());
      const provider = open({}, { requestTimeoutMs: 500 });
      azure.inject({ ...fault, operations: [operation] });
      expect(short(await checkCanary(provider, canary, context))).toBe(expected);
      azure.clearFaults();
      // With the same provider at once: nothing remembers the fault.
      expect(short(await checkCanary(open(), canary, context))).toBe('usable null');
      expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    });
  });

  it('F08 Azure: asks once per attempt, whatever Retry-After says: only the retries of a check ask again', async () => {
    const provider = open();
    const canary = await proven(provider);
    azure.inject({ kind: 'throttle', operations: ['unwrapKey'], count: 2 });
    const before = azure.calls().length;
    const pauses: number[] = [];
    const verdict = await withTransientRetries(
      () => checkCanary(provider, canary, context),
      (one) => one,
      {
        clock: new SimulatedClock(new Date(0)),
        sleep: async (ms) => void pauses.push(ms),
      },
    );
    expect(verdict.kind).toBe('usable');
    expect(operations(before)).toEqual(['unwrapKey', 'unwrapKey', 'unwrapKey']);
    expect(pauses).toHaveLength(2);
  });

  it('F10 Azure: a name that does not resolve is a network error, the deleted vault that looks like it too', async () => {
    const canary = await proven(open());
    const vault = await azure.createKey({ vault: 'deleted-vault' });
    azure.forgetHost('deleted-vault.vault.azure.net');
    const verdict = (await proveKey(open({ keyIdentifier: vault }), context)).verdict;
    expect(verdict).toMatchObject({ kind: 'transient', reason: 'NETWORK', errorName: 'ENOTFOUND' });
    const elsewhere = { ca: azure.route.ca, dial: () => ({ host: `${'x'.repeat(64)}.invalid`, port: 443 }) };
    // The authority's name: the SDK itself would only say network_error.
    expect(await checkCanary(open({}, { development: elsewhere }), canary, context)).toMatchObject({
      reason: 'NETWORK',
      errorName: 'ENOTFOUND',
    });
  });

  it('F11 Azure: a certificate that expired, or that nobody trusts, is transient and gets no token', async () => {
    const expired = await DevelopmentKeyVault.start({ expiredCertificate: true });
    const canary = await proven(open());
    for (const [route, code] of [
      [expired.route, 'CERT_HAS_EXPIRED'],
      [{ ...azure.route, ca: expired.route.ca }, 'CERT_SIGNATURE_FAILURE'],
    ] as const) {
      const verdict = await checkCanary(open({}, { development: route }), canary, context);
      expect(verdict).toMatchObject({ kind: 'transient', reason: 'UNCLASSIFIED', errorName: code });
    }
    expect(expired.calls()).toEqual([]);
    await expired.close();
  });

  it('F15 Azure: other bytes than were wrapped never pass for the secret', async () => {
    const provider = open();
    const canary = await proven(provider);
    azure.inject({ kind: 'wrong-plaintext', operations: ['unwrapKey'] });
    expect(short(await checkCanary(provider, canary, context))).toBe('definitive CANARY_NOT_UNWRAPPED');
  });

  it('F17 Azure: the subscription of the vault is suspended', async () => {
    const provider = open();
    const canary = await proven(provider);
    azure.deny({ how: 'subscription' });
    expect(short(await checkCanary(provider, canary, context))).toBe('definitive ACCESS_DENIED');
  });

  it('works in every cloud, with the tokens and the vaults of that cloud', async () => {
    for (const [environment, authority] of [
      ['AZURE', 'login.microsoftonline.com'],
      ['AZURE_CHINA', 'login.partner.microsoftonline.cn'],
      ['AZURE_US_GOVERNMENT', 'login.microsoftonline.us'],
    ] as const) {
      const keyIdentifier = await azure.createKey({ environment });
      const before = azure.calls().length;
      await proven(open({ keyIdentifier, environment }));
      expect(
        azure
          .calls()
          .slice(before)
          .map(({ host }) => host),
      ).toEqual([authority, new URL(keyIdentifier).host, new URL(keyIdentifier).host]);
    }
  });

  it('takes an RSA key of any size', async () => {
    for (const keySize of [3072, 4096]) {
      const provider = open({ keyIdentifier: await azure.createKey({ keySize, kty: 'RSA-HSM' }) });
      await proven(provider);
      expect((await provider.describe()).algorithm).toBe(`RSA-HSM ${keySize}`);
    }
  });

  it('F90 sends a token to no host but a vault of the cloud, whatever a blob in the database says', async () => {
    const provider = open();
    const { blob } = await proven(provider);
    const before = azure.calls().length;
    const version = keyId.split('/').at(-1);
    for (const resolvedKeyId of [
      `https://evil.example/keys/orders/${version}`,
      `https://evil.example/.vault.azure.net/keys/orders/${version}`,
      `https://a.vault.azure.net.evil.example/keys/orders/${version}`,
      `https://169.254.169.254/keys/orders/${version}`,
      `https://user@orders.vault.azure.net/keys/orders/${version}`,
      `https://orders.vault.azure.cn/keys/orders/${version}`,
      keyId.slice(0, keyId.lastIndexOf('/')),
    ]) {
      await expect(provider.unwrap({ ...blob, resolvedKeyId }, context)).rejects.toThrow(WrappedBlobRefusedError);
    }
    expect(azure.calls().length).toBe(before);
  });

  it('F85 refuses settings that cannot be right before anything is sent', () => {
    const before = azure.calls().length;
    for (const settings of [
      { keyIdentifier: ` ${keyId}` },
      { environment: 'AZURE_CHINA' as const },
      { tenantId: 'common' },
      { clientId: '../other' },
      { proof: { kind: 'client-secret' as const, clientSecret: '' } },
    ]) {
      expect(() => open(settings)).toThrow(KeySettingsRefusedError);
    }
    expect(() => open({ proof: { kind: 'workload-identity' } })).toThrow(KmsUsageError);
    expect(azure.calls().length).toBe(before);
  });

  it('takes neither authority nor credentials nor proxy from the environment', async () => {
    const names = ['AZURE_AUTHORITY_HOST', 'AZURE_TENANT_ID', 'AZURE_CLIENT_ID', 'AZURE_FEDERATED_TOKEN_FILE', 'HTTPS_PROXY'] as const;
    const before = names.map((name) => [name, process.env[name]] as const);
    for (const name of names) process.env[name] = /HOST|PROXY/.test(name) ? 'http://127.0.0.1:9' : 'elsewhere';
    try {
      await proven(open());
      expect(() => open({ proof: { kind: 'workload-identity' } })).toThrow(KmsUsageError);
    } finally {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
  });

  it('gives up as throttled when our own limit for the vault is used up', async () => {
    const clock = new SimulatedClock(new Date(0));
    const tight = new CallLimiters({ clock, sleep: async () => undefined, quotaOf: () => 10, share: 0.1, maxWaitMs: 0 });
    const provider = open({}, { limiters: tight });
    const canary = await proven(provider);
    const before = azure.calls().length;
    expect(short(await checkCanary(provider, canary, context))).toBe('transient THROTTLED');
    expect(azure.calls().length).toBe(before);
    clock.advance(1_000);
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
  });

  it('measures each call by operation and outcome', async () => {
    const own = new Metrics();
    const provider = open({}, { metrics: own });
    const canary = await proven(provider);
    azure.setAttributes(keyId, { enabled: false });
    await checkCanary(provider, canary, context);
    const text = await own.render();
    for (const [operation, outcome] of [
      ['token', 'ok'],
      ['wrapkey', 'ok'],
      ['unwrapkey', 'ok'],
      ['unwrapkey', 'KEY_DISABLED'],
    ]) {
      expect(text).toContain(`atrest_kms_call_duration_seconds_count{provider="AZURE",operation="${operation}",outcome="${outcome}"} 1`);
    }
  });

  describe('with a workload identity', () => {
    let folder: string;
    let federatedTokenFile: string;
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'atrest-azure-'));
      federatedTokenFile = join(folder, 'token');
      azure.directory.setApplication(application.clientId, 'federated');
      return () => rm(folder, { recursive: true });
    });
    const openWith = (): AzureKeyProvider => open({ proof: { kind: 'workload-identity' } }, { federatedTokenFile });
    const verdictOf = async () => (await proveKey(openWith(), context)).verdict;

    it('gets its tokens for the assertion in the file', async () => {
      await writeFile(federatedTokenFile, azure.directory.issueAssertion(application.clientId));
      await proven(openWith());
    });

    it('F06 Azure: an application that no longer trusts the workload', async () => {
      const other = azure.createApplication();
      await writeFile(federatedTokenFile, azure.directory.issueAssertion(other.clientId));
      expect(await verdictOf()).toMatchObject({ kind: 'definitive', reason: 'CREDENTIALS_INVALID', errorName: 'AADSTS700213' });
      await writeFile(federatedTokenFile, `${azure.directory.issueAssertion(application.clientId)}x`);
      expect(await verdictOf()).toMatchObject({ kind: 'definitive', reason: 'CREDENTIALS_INVALID', errorName: 'AADSTS700027' });
    });

    it('F16 Azure: a wrong clock, or a token file that nobody renews, is no revocation', async () => {
      await writeFile(federatedTokenFile, azure.directory.issueAssertion(application.clientId));
      for (const offsetMs of [2 * 3_600_000, -2 * 3_600_000]) {
        azure.inject({ kind: 'clock-skew', offsetMs, operations: ['token'], count: 1 });
        expect(await verdictOf()).toMatchObject({ kind: 'transient', reason: 'CLOCK_SKEW', errorName: 'AADSTS700024' });
      }
      await writeFile(federatedTokenFile, azure.directory.issueAssertion(application.clientId, { validForMs: -1_000 }));
      expect(await verdictOf()).toMatchObject({ kind: 'transient', reason: 'CLOCK_SKEW' });
    });

    it('a token file that is missing or empty is our fault, not a revocation', async () => {
      expect(await verdictOf()).toMatchObject({ kind: 'transient', reason: 'UNCLASSIFIED' });
      await writeFile(federatedTokenFile, '');
      expect(await verdictOf()).toMatchObject({ kind: 'transient', reason: 'UNCLASSIFIED' });
    });
  });
});
