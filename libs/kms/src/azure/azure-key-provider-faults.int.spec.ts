import { SimulatedClock } from '@atrest/platform-time';
import { DevelopmentKeyVault, type AzureFault } from '@atrest/testing';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { checkCanary, proveKey } from '../canary.js';
import { KeySettingsRefusedError, KmsUsageError, WrappedBlobRefusedError } from '../errors.js';
import { withTransientRetries } from '../transient-retries.js';
import type { AzureKeySettings } from './azure-key-provider.js';
import { AzureStage, context, settingsOf, short } from './azure-stage.contract.js';

describe('Azure Key Vault under faults', () => {
  let stage: AzureStage;
  let azure: DevelopmentKeyVault;

  beforeAll(async () => {
    stage = await AzureStage.start();
    azure = stage.azure;
    return () => stage.close();
  });
  beforeEach(() => stage.reset());

  it('F01 Azure: a disabled key still wraps, and only unwrapping finds it out', async () => {
    const provider = stage.open();
    const canary = await stage.proven(provider);
    azure.setAttributes(stage.keyId, { enabled: false });
    await provider.wrap(Buffer.alloc(32, 7), context);
    expect(short(await checkCanary(provider, canary, context))).toBe('definitive KEY_DISABLED');
  });

  it('F02 Azure: a deleted key is not found, is described as long as it can be recovered, and works again after that', async () => {
    const provider = stage.open();
    const canary = await stage.proven(provider);
    azure.deleteKey(stage.keyId);
    expect(short(await checkCanary(provider, canary, context))).toBe('definitive KEY_NOT_FOUND');
    const described = await provider.describe();
    expect(described).toMatchObject({ state: 'PENDING_DELETION', recoveryLevel: 'Recoverable+Purgeable', resolvedKeyId: stage.keyId });
    expect(described.deletionDate!.getTime()).toBeGreaterThan(Date.now() + 89 * 24 * 3_600_000);
    azure.recoverKey(stage.keyId);
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
  });

  it('F03 Azure: a key that was destroyed and made again under its name is another version, and not found', async () => {
    const provider = stage.open();
    const canary = await stage.proven(provider);
    azure.destroyKey(stage.keyId);
    const name = new URL(stage.keyId).pathname.split('/')[2]!;
    const successor = await azure.createKey({ name });
    expect(short(await checkCanary(provider, canary, context))).toBe('definitive KEY_NOT_FOUND');
    await expect(provider.describe()).rejects.toMatchObject({ code: 'KeyNotFound' });
    // A blob cannot be passed to the successor either.
    const blob = { ...canary.blob, resolvedKeyId: successor };
    expect(short(await checkCanary(stage.open({ keyIdentifier: successor }), { ...canary, blob }, context))).toBe(
      'definitive CANARY_NOT_UNWRAPPED',
    );
  });

  it('F04 Azure: a new version of the key changes nothing for what the old one wrapped', async () => {
    const provider = stage.open();
    const canary = await stage.proven(provider);
    const newer = await azure.createKey({ name: new URL(stage.keyId).pathname.split('/')[2]! });
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    expect(short(await checkCanary(stage.open({ keyIdentifier: newer }), canary, context))).toBe('usable null');
  });

  it.each([
    ['rbac', 'ForbiddenByRbac'],
    ['policy', 'AccessDenied'],
    ['firewall', 'ForbiddenByFirewall'],
    ['private-link', 'ForbiddenByConnection'],
  ] as const)('F05 Azure: access taken away by %s, per operation', async (how, errorName) => {
    const provider = stage.open();
    const canary = await stage.proven(provider);
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
    const canary = await stage.proven(stage.open());
    const checked = async () => short(await checkCanary(stage.open(), canary, context));
    azure.directory.endSecrets(stage.application.clientId, 'expired');
    expect(await checked()).toBe('definitive CREDENTIALS_EXPIRED');
    azure.directory.endSecrets(stage.application.clientId, 'removed');
    expect(await checked()).toBe('definitive CREDENTIALS_INVALID');
    stage.application = { ...stage.application, clientSecret: azure.directory.addSecret(stage.application.clientId) };
    expect(await checked()).toBe('usable null');
    azure.directory.setApplication(stage.application.clientId, 'disabled');
    expect(await checked()).toBe('definitive CREDENTIALS_INVALID');
    azure.directory.setApplication(stage.application.clientId, 'enabled');
    expect(await checked()).toBe('usable null');
    azure.directory.setApplication(stage.application.clientId, 'deleted');
    expect(await checked()).toBe('definitive CREDENTIALS_INVALID');
  });

  it('F06 Azure: a removed secret is found out when the token is too old, at once by a fresh provider', async () => {
    const clock = new SimulatedClock(new Date());
    const provider = stage.open({}, { clock });
    const canary = await stage.proven(provider);
    azure.directory.endSecrets(stage.application.clientId, 'removed');
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    expect(short(await checkCanary(provider.fresh(), canary, context))).toBe('definitive CREDENTIALS_INVALID');
    clock.advance(15 * 60_000);
    expect(short(await checkCanary(provider, canary, context))).toBe('definitive CREDENTIALS_INVALID');
  });

  it('F06 Azure: a token that the vault refuses is replaced before the vault is believed', async () => {
    const provider = stage.open();
    const canary = await stage.proven(provider);
    azure.inject({ kind: 'stale-token', operations: ['unwrapKey'], count: 1 });
    const before = azure.calls().length;
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    expect(stage.operationsSince(before)).toEqual(['unwrapKey', 'token', 'unwrapKey']);
    azure.inject({ kind: 'stale-token', operations: ['unwrapKey'] });
    expect(short(await checkCanary(provider, canary, context))).toBe('definitive CREDENTIALS_INVALID');
  });

  it('F07 Azure: wrong tenant, wrong kind of key, forbidden operations, expired or not yet active', async () => {
    const verdictOf = async (settings: Partial<AzureKeySettings>) => short((await proveKey(stage.open(settings), context)).verdict);
    const foreign = azure.createApplication(azure.directory.createTenant());
    expect(await verdictOf(settingsOf(foreign, stage.keyId))).toBe('definitive CONFIGURATION_WRONG');
    expect(await verdictOf({ tenantId: '00000000-0000-4000-8000-000000000000' })).toBe('definitive CONFIGURATION_WRONG');
    expect(await verdictOf({ clientId: '00000000-0000-4000-8000-000000000000' })).toBe('definitive CREDENTIALS_INVALID');
    expect(await verdictOf({ keyIdentifier: await azure.createKey({ kty: 'EC', operations: ['wrapKey'] }) })).toBe(
      'definitive KEY_USAGE_WRONG',
    );
    const signing = await azure.createKey({ operations: ['sign', 'verify'] });
    expect(await verdictOf({ keyIdentifier: signing })).toBe('definitive KEY_USAGE_WRONG');
    expect(await verdictOf({ keyIdentifier: stage.keyId.replace(/.$/, (last) => (last === '0' ? '1' : '0')) })).toBe(
      'definitive KEY_NOT_FOUND',
    );
    azure.setAttributes(stage.keyId, { expires: new Date(Date.now() - 60_000) });
    expect(await verdictOf({})).toBe('definitive KEY_DISABLED');
    azure.setAttributes(stage.keyId, { expires: null, notBefore: new Date(Date.now() + 60_000) });
    expect(await verdictOf({})).toBe('definitive KEY_PENDING_IMPORT');
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
      const canary = await stage.proven(stage.open());
      const provider = stage.open({}, { requestTimeoutMs: 2_000 });
      azure.inject({ ...fault, operations: [operation] });
      expect(short(await checkCanary(provider, canary, context))).toBe(expected);
      azure.clearFaults();
      // With the same provider at once: nothing remembers the fault.
      expect(short(await checkCanary(stage.open(), canary, context))).toBe('usable null');
      expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    });
  });

  it('F08 Azure: asks once per attempt, whatever Retry-After says: only the retries of a check ask again', async () => {
    const provider = stage.open();
    const canary = await stage.proven(provider);
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
    expect(stage.operationsSince(before)).toEqual(['unwrapKey', 'unwrapKey', 'unwrapKey']);
    expect(pauses).toHaveLength(2);
  });

  it('F10 Azure: a name that does not resolve is a network error, the deleted vault that looks like it too', async () => {
    const canary = await stage.proven(stage.open());
    const vault = await azure.createKey({ vault: 'deleted-vault' });
    azure.forgetHost('deleted-vault.vault.azure.net');
    const verdict = (await proveKey(stage.open({ keyIdentifier: vault }), context)).verdict;
    expect(verdict).toMatchObject({ kind: 'transient', reason: 'NETWORK', errorName: 'ENOTFOUND' });
    const elsewhere = { ca: azure.route.ca, dial: () => ({ host: `${'x'.repeat(64)}.invalid`, port: 443 }) };
    // The authority's name: the SDK itself would only say network_error.
    expect(await checkCanary(stage.open({}, { development: elsewhere }), canary, context)).toMatchObject({
      reason: 'NETWORK',
      errorName: 'ENOTFOUND',
    });
  });

  it('F11 Azure: a certificate that expired, or that nobody trusts, is transient and gets no token', async () => {
    const expired = await DevelopmentKeyVault.start({ expiredCertificate: true });
    const canary = await stage.proven(stage.open());
    for (const [route, code] of [
      [expired.route, 'CERT_HAS_EXPIRED'],
      [{ ...azure.route, ca: expired.route.ca }, 'CERT_SIGNATURE_FAILURE'],
    ] as const) {
      const verdict = await checkCanary(stage.open({}, { development: route }), canary, context);
      expect(verdict).toMatchObject({ kind: 'transient', reason: 'UNCLASSIFIED', errorName: code });
    }
    expect(expired.calls()).toEqual([]);
    await expired.close();
  });

  it('F15 Azure: other bytes than were wrapped never pass for the secret', async () => {
    const provider = stage.open();
    const canary = await stage.proven(provider);
    azure.inject({ kind: 'wrong-plaintext', operations: ['unwrapKey'] });
    expect(short(await checkCanary(provider, canary, context))).toBe('definitive CANARY_NOT_UNWRAPPED');
  });

  it('F17 Azure: the subscription of the vault is suspended', async () => {
    const provider = stage.open();
    const canary = await stage.proven(provider);
    azure.deny({ how: 'subscription' });
    expect(short(await checkCanary(provider, canary, context))).toBe('definitive ACCESS_DENIED');
  });

  it('F90 sends a token to no host but a vault of the cloud, whatever a blob in the database says', async () => {
    const provider = stage.open();
    const { blob } = await stage.proven(provider);
    const before = azure.calls().length;
    const version = stage.keyId.split('/').at(-1);
    for (const resolvedKeyId of [
      `https://evil.example/keys/orders/${version}`,
      `https://evil.example/.vault.azure.net/keys/orders/${version}`,
      `https://a.vault.azure.net.evil.example/keys/orders/${version}`,
      `https://169.254.169.254/keys/orders/${version}`,
      `https://user@orders.vault.azure.net/keys/orders/${version}`,
      `https://orders.vault.azure.cn/keys/orders/${version}`,
      stage.keyId.slice(0, stage.keyId.lastIndexOf('/')),
    ]) {
      await expect(provider.unwrap({ ...blob, resolvedKeyId }, context)).rejects.toThrow(WrappedBlobRefusedError);
    }
    expect(azure.calls().length).toBe(before);
  });

  it('F85 refuses settings that cannot be right before anything is sent', () => {
    const before = azure.calls().length;
    for (const settings of [
      { keyIdentifier: ` ${stage.keyId}` },
      { environment: 'AZURE_CHINA' as const },
      { tenantId: 'common' },
      { clientId: '../other' },
      { proof: { kind: 'client-secret' as const, clientSecret: '' } },
    ]) {
      expect(() => stage.open(settings)).toThrow(KeySettingsRefusedError);
    }
    expect(() => stage.open({ proof: { kind: 'workload-identity' } })).toThrow(KmsUsageError);
    expect(azure.calls().length).toBe(before);
  });
});
