import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { Metrics } from '@atrest/platform-metrics';
import { SimulatedClock } from '@atrest/platform-time';
import { DevelopmentKeyVault, type AzureFault, type AzureOperation } from '@atrest/testing';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CallLimiters } from '../call-limiter.js';
import { checkCanary, proveKey } from '../canary.js';
import { KmsUsageError } from '../errors.js';
import { keyProviderContract } from '../key-provider.contract.js';
import { AZURE_MECHANISM } from './azure-envelope.js';
import { AzureKeyProvider, azureRequestQuotaOf } from './azure-key-provider.js';
import { AzureStage, context, limiters, settingsOf, short } from './azure-stage.contract.js';

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

describe('Azure Key Vault', () => {
  let stage: AzureStage;
  let azure: DevelopmentKeyVault;

  beforeAll(async () => {
    stage = await AzureStage.start();
    azure = stage.azure;
    return () => stage.close();
  });
  beforeEach(() => stage.reset());

  it('wraps and unwraps in the vault, with RSA-OAEP-256 and one token', async () => {
    const before = azure.calls().length;
    const canary = await stage.proven(stage.open());
    expect(stage.operationsSince(before)).toEqual(['token', 'wrapKey', 'unwrapKey']);
    expect(azure.calls().slice(before + 1)).toMatchObject([
      { keyId: stage.keyId, algorithm: 'RSA-OAEP-256' },
      { keyId: stage.keyId, algorithm: 'RSA-OAEP-256' },
    ]);
    expect(canary.blob).toMatchObject({
      keyId: stage.keyId,
      resolvedKeyId: stage.keyId,
      keyVersion: stage.keyId.split('/').at(-1),
      mechanism: AZURE_MECHANISM,
    });
  });

  it('carries the evidence: the most precise code, words, status and request id', async () => {
    const provider = stage.open();
    const canary = await stage.proven(provider);
    azure.setAttributes(stage.keyId, { enabled: false });
    expect(await checkCanary(provider, canary, context)).toEqual({
      kind: 'definitive',
      reason: 'KEY_DISABLED',
      errorName: 'KeyDisabled',
      message: 'Operation unwrapKey is not allowed on a disabled key.',
      httpStatus: 403,
      requestId: azure.calls().at(-1)?.requestId,
    });
    azure.directory.endSecrets(stage.application.clientId, 'expired');
    const expired = await checkCanary(provider.fresh(), canary, context);
    expect(expired).toMatchObject({ kind: 'definitive', reason: 'CREDENTIALS_EXPIRED', errorName: 'AADSTS7000222', httpStatus: 401 });
    expect(expired.message).toBe(`AADSTS7000222: The provided client secret keys for app '${stage.application.clientId}' are expired.`);
    expect(expired.requestId).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('keeps secret, client secret and token out of what an error shows', async () => {
    const secret = Buffer.from('a secret of thirty-two bytes....');
    for (const [operation, fault] of [
      ['wrapKey', { kind: 'error', status: 403, code: 'Forbidden' }],
      ['wrapKey', { kind: 'web-page' }],
      ['wrapKey', { kind: 'reset' }],
      ['token', { kind: 'reset' }],
      ['token', { kind: 'aadsts', number: 7000215, error: 'invalid_client' }],
    ] as [AzureOperation, AzureFault][]) {
      const { id } = azure.inject({ ...fault, operations: [operation] });
      const error: unknown = await stage
        .open()
        .wrap(secret, context)
        .catch((thrown: unknown) => thrown);
      azure.clearFaults(id);
      expect(error).toBeInstanceOf(Error);
      const shown = `${inspect(error, { depth: 20 })} ${JSON.stringify(error)}`;
      expect(shown).not.toContain(stage.application.clientSecret);
      expect(shown).not.toContain(secret.toString('base64url').slice(0, 40));
      expect(shown).not.toMatch(/Bearer \S/);
    }
  });

  it('an expired key still unwraps, and is described with its dates', async () => {
    const clock = new SimulatedClock(new Date());
    const provider = stage.open({}, { clock });
    const canary = await stage.proven(provider);
    const expires = new Date(Math.floor(Date.now() / 1_000) * 1_000 - 60_000);
    azure.setAttributes(stage.keyId, { expires });
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    expect(await provider.describe()).toMatchObject({ state: 'EXPIRED', expiresAt: expires, algorithm: 'RSA 2048', deletionDate: null });
    azure.setAttributes(stage.keyId, { expires: null, notBefore: new Date(Date.now() + 60_000) });
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    expect((await provider.describe()).state).toBe('NOT_YET_ACTIVE');
  });

  it('describes a key as far as it is told', async () => {
    const provider = stage.open();
    const { id } = azure.inject({ kind: 'error', status: 403, code: 'Forbidden', innerCode: 'KeyDisabled', operations: ['getKey'] });
    expect(await provider.describe()).toMatchObject({ state: 'DISABLED', resolvedKeyId: stage.keyId, algorithm: null, createdAt: null });
    azure.clearFaults(id);
    // Who may not look for deleted keys still learns that this one is not there.
    azure.deleteKey(stage.keyId);
    azure.deny({ how: 'rbac', operations: ['getDeletedKey'] });
    await expect(provider.describe()).rejects.toMatchObject({ code: 'KeyNotFound' });
    azure.inject({ kind: 'throttle', operations: ['getDeletedKey'] });
    await expect(provider.describe()).rejects.toMatchObject({ code: 'Throttled' });
  });

  it('asks for one token, however many calls need it at once', async () => {
    const provider = stage.open();
    const before = azure.calls().length;
    await Promise.all(Array.from({ length: 5 }, () => provider.wrap(Buffer.alloc(32, 1), context)));
    expect(stage.operationsSince(before).filter((operation) => operation === 'token')).toHaveLength(1);
  });

  it('knows the quotas of a vault per second, the smallest for what it does not know', () => {
    const quotas = ['RSA-2048', 'RSA-3072', 'RSA-4096', 'READ', 'RSA-1024'].map(azureRequestQuotaOf);
    expect(quotas).toEqual([200, 50, 25, 200, 25]);
  });

  it('works in every cloud, with the tokens and the vaults of that cloud', async () => {
    for (const [environment, authority] of [
      ['AZURE', 'login.microsoftonline.com'],
      ['AZURE_CHINA', 'login.partner.microsoftonline.cn'],
      ['AZURE_US_GOVERNMENT', 'login.microsoftonline.us'],
    ] as const) {
      const keyIdentifier = await azure.createKey({ environment });
      const before = azure.calls().length;
      await stage.proven(stage.open({ keyIdentifier, environment }));
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
      const provider = stage.open({ keyIdentifier: await azure.createKey({ keySize, kty: 'RSA-HSM' }) });
      await stage.proven(provider);
      expect((await provider.describe()).algorithm).toBe(`RSA-HSM ${keySize}`);
    }
  });

  it('takes neither authority nor credentials nor proxy from the environment', async () => {
    const names = ['AZURE_AUTHORITY_HOST', 'AZURE_TENANT_ID', 'AZURE_CLIENT_ID', 'AZURE_FEDERATED_TOKEN_FILE', 'HTTPS_PROXY'] as const;
    const before = names.map((name) => [name, process.env[name]] as const);
    for (const name of names) process.env[name] = /HOST|PROXY/.test(name) ? 'http://127.0.0.1:9' : 'elsewhere';
    try {
      await stage.proven(stage.open());
      expect(() => stage.open({ proof: { kind: 'workload-identity' } })).toThrow(KmsUsageError);
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
    const provider = stage.open({}, { limiters: tight });
    const canary = await stage.proven(provider);
    const before = azure.calls().length;
    expect(short(await checkCanary(provider, canary, context))).toBe('transient THROTTLED');
    expect(azure.calls().length).toBe(before);
    clock.advance(1_000);
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
  });

  it('measures each call by operation and outcome', async () => {
    const own = new Metrics();
    const provider = stage.open({}, { metrics: own });
    const canary = await stage.proven(provider);
    azure.setAttributes(stage.keyId, { enabled: false });
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
      azure.directory.setApplication(stage.application.clientId, 'federated');
      return () => rm(folder, { recursive: true });
    });
    const openWith = (): AzureKeyProvider => stage.open({ proof: { kind: 'workload-identity' } }, { federatedTokenFile });
    const verdictOf = async () => (await proveKey(openWith(), context)).verdict;

    it('gets its tokens for the assertion in the file', async () => {
      await writeFile(federatedTokenFile, azure.directory.issueAssertion(stage.application.clientId));
      expect(await verdictOf()).toMatchObject({ kind: 'usable' });
    });

    it('F06 Azure: an application that no longer trusts the workload', async () => {
      const other = azure.createApplication();
      await writeFile(federatedTokenFile, azure.directory.issueAssertion(other.clientId));
      expect(await verdictOf()).toMatchObject({ kind: 'definitive', reason: 'CREDENTIALS_INVALID', errorName: 'AADSTS700213' });
      await writeFile(federatedTokenFile, `${azure.directory.issueAssertion(stage.application.clientId)}x`);
      expect(await verdictOf()).toMatchObject({ kind: 'definitive', reason: 'CREDENTIALS_INVALID', errorName: 'AADSTS700027' });
    });

    it('F16 Azure: a wrong clock, or a token file that nobody renews, is no revocation', async () => {
      await writeFile(federatedTokenFile, azure.directory.issueAssertion(stage.application.clientId));
      for (const offsetMs of [2 * 3_600_000, -2 * 3_600_000]) {
        azure.inject({ kind: 'clock-skew', offsetMs, operations: ['token'], count: 1 });
        expect(await verdictOf()).toMatchObject({ kind: 'transient', reason: 'CLOCK_SKEW', errorName: 'AADSTS700024' });
      }
      await writeFile(federatedTokenFile, azure.directory.issueAssertion(stage.application.clientId, { validForMs: -1_000 }));
      expect(await verdictOf()).toMatchObject({ kind: 'transient', reason: 'CLOCK_SKEW' });
    });

    it('a token file that is missing or empty is our fault, not a revocation', async () => {
      expect(await verdictOf()).toMatchObject({ kind: 'transient', reason: 'UNCLASSIFIED' });
      await writeFile(federatedTokenFile, '');
      expect(await verdictOf()).toMatchObject({ kind: 'transient', reason: 'UNCLASSIFIED' });
    });
  });
});
