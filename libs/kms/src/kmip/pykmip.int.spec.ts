import { CryptographicAlgorithm, KmipClient, makeAttribute, ObjectType, RevocationReasonCode } from '@atrest/kmip';
import { Metrics } from '@atrest/platform-metrics';
import { systemClock } from '@atrest/platform-time';
import { pykmipAvailable, PykmipServer } from '@atrest/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CallLimiters } from '../call-limiter.js';
import { checkCanary, proveKey } from '../canary.js';
import { keyProviderContract } from '../key-provider.contract.js';
import { sleepFor } from '../transient-retries.js';
import { KmipKeyProvider, kmipRequestQuotaOf, type KmipKeySettings } from './kmip-key-provider.js';

const context = { projectId: '65f0c0ffee65f0c0ffee65f0', purpose: 'canary' };
const limiters = new CallLimiters({ clock: systemClock, sleep: sleepFor, quotaOf: kmipRequestQuotaOf, share: 1 });

/** A PyKMIP server, and what its owner does to keys. */
class Appliance {
  private constructor(
    readonly server: PykmipServer,
    readonly settings: Omit<KmipKeySettings, 'keyId'>,
    private readonly owner: KmipClient,
  ) {}

  static async start(): Promise<Appliance> {
    const server = await PykmipServer.start();
    const { certificate, key } = await server.authority.client('atrest');
    const { host, port } = server.host;
    const ca = server.authority.certificate;
    const settings = { hosts: [host], port, caCertificate: ca, clientCertificate: certificate, clientKey: key };
    return new Appliance(server, settings, new KmipClient({ hosts: [server.host], ca, certificate, key }));
  }

  provider(keyId: string): KmipKeyProvider {
    return new KmipKeyProvider({ keyId, ...this.settings }, { limiters, metrics: new Metrics() });
  }

  async create(bits = 256): Promise<string> {
    const attributes = [
      makeAttribute('Cryptographic Algorithm', CryptographicAlgorithm.AES),
      makeAttribute('Cryptographic Length', bits),
      makeAttribute('Cryptographic Usage Mask', 0x0c),
    ];
    const template = { names: [], attributes };
    return (await this.owner.request('Create', { objectType: ObjectType.SymmetricKey, template })).uniqueIdentifier;
  }

  async activate(keyId: string): Promise<string> {
    await this.owner.request('Activate', { uniqueIdentifier: keyId });
    return keyId;
  }

  async revoke(keyId: string, reason: keyof typeof RevocationReasonCode = 'CessationOfOperation'): Promise<void> {
    const code = RevocationReasonCode[reason];
    const compromised = reason === 'KeyCompromise' ? { compromisedAt: new Date() } : {};
    await this.owner.request('Revoke', { uniqueIdentifier: keyId, reason: { code }, ...compromised });
  }

  async destroy(keyId: string): Promise<void> {
    await this.revoke(keyId);
    await this.owner.request('Destroy', { uniqueIdentifier: keyId });
  }

  async stop(): Promise<void> {
    this.owner.close();
    await this.server.stop();
  }
}

const available = await pykmipAvailable();

describe.skipIf(!available)('PyKMIP', () => {
  keyProviderContract(
    'KMIP on PyKMIP',
    async () => {
      const appliance = await Appliance.start();
      return {
        createKey: async () => ({ keyId: await appliance.activate(await appliance.create()) }),
        provider: (keyId) => appliance.provider(keyId),
        disable: (keyId) => appliance.revoke(keyId),
        destroy: (keyId) => appliance.destroy(keyId),
        requests: () => appliance.server.requests(),
        close: () => appliance.stop(),
      };
    },
    // Revoked is for ever.
    { aliases: false, waitingForDeletion: null, enables: false },
  );
});

describe.skipIf(!available)('the states of a key in PyKMIP', () => {
  let appliance: Appliance;
  beforeAll(async () => {
    appliance = await Appliance.start();
  });
  afterAll(() => appliance.stop());

  it('F23 a key is usable only while it is active', async () => {
    const keyId = await appliance.create();
    const provider = appliance.provider(keyId);
    expect((await proveKey(provider, context)).verdict).toMatchObject({
      reason: 'KEY_PENDING_IMPORT',
      message: expect.stringContaining('activate it'),
    });
    await appliance.activate(keyId);
    const { verdict, canary } = await proveKey(provider, context);
    expect(verdict.kind).toBe('usable');
    expect(await provider.describe()).toMatchObject({
      state: 'ENABLED',
      algorithm: 'AES-256',
      usage: 'Encrypt, Decrypt',
      deletionDate: null,
    });
    await appliance.revoke(keyId);
    expect(await checkCanary(provider, canary!, context)).toMatchObject({ kind: 'definitive', reason: 'KEY_DISABLED' });
    await appliance.revoke(keyId, 'KeyCompromise');
    expect(await checkCanary(provider, canary!, context)).toMatchObject({ kind: 'definitive', reason: 'KEY_DISABLED' });
    expect((await provider.describe()).state).toBe('DISABLED');
    provider.close();
  });

  it('F07 a key of 128 bits, and a key of somebody else', async () => {
    const short = appliance.provider(await appliance.activate(await appliance.create(128)));
    expect((await proveKey(short, context)).verdict).toMatchObject({ kind: 'definitive', reason: 'KEY_USAGE_WRONG' });
    const keyId = await appliance.activate(await appliance.create());
    const { certificate, key } = await appliance.server.authority.client('somebody else');
    const settings = { ...appliance.settings, keyId, clientCertificate: certificate, clientKey: key };
    const other = new KmipKeyProvider(settings, { limiters, metrics: new Metrics() });
    expect((await proveKey(other, context)).verdict).toMatchObject({ kind: 'definitive', reason: 'ACCESS_DENIED' });
    short.close();
    other.close();
  });

  it('a server that hangs stops nothing', async () => {
    const keyId = await appliance.activate(await appliance.create());
    const options = { limiters, metrics: new Metrics(), handshakeTimeoutMs: 1_500, answerTimeoutMs: 1_500 };
    const provider = new KmipKeyProvider({ ...appliance.settings, keyId }, options);
    appliance.server.pause();
    expect((await proveKey(provider, context)).verdict).toMatchObject({ kind: 'transient', reason: 'TIMEOUT' });
    appliance.server.resume();
    expect((await proveKey(appliance.provider(keyId), context)).verdict.kind).toBe('usable');
    provider.close();
  });
});
