import { CryptographicAlgorithm, ObjectType } from '@atrest/kmip';
import { Metrics } from '@atrest/platform-metrics';
import { SimulatedClock, systemClock } from '@atrest/platform-time';
import { DevelopmentKmipServer, type KmipFault, type KmipStateName, type NewKey } from '@atrest/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CallLimiters } from '../call-limiter.js';
import { checkCanary, proveKey, type Canary } from '../canary.js';
import { KmsUsageError } from '../errors.js';
import { keyProviderContract } from '../key-provider.contract.js';
import { sleepFor } from '../transient-retries.js';
import type { Verdict } from '../verdict.js';
import { KmipKeyProvider, kmipRequestQuotaOf, type KmipKeyProviderOptions, type KmipKeySettings } from './kmip-key-provider.js';

const context = { projectId: '65f0c0ffee65f0c0ffee65f0', purpose: 'canary' };
const limiters = new CallLimiters({ clock: systemClock, sleep: sleepFor, quotaOf: kmipRequestQuotaOf, share: 1 });
const DAY_MS = 24 * 3_600_000;

const settingsFor = async (server: DevelopmentKmipServer): Promise<Omit<KmipKeySettings, 'keyId'>> => {
  const { certificate, key } = await server.authority.client('atrest');
  return {
    hosts: [server.host.host],
    port: server.host.port,
    caCertificate: server.authority.certificate,
    clientCertificate: `${certificate}\n${key}`,
  };
};

keyProviderContract(
  'KMIP on the development server',
  async () => {
    const server = await DevelopmentKmipServer.start();
    const settings = await settingsFor(server);
    const metrics = new Metrics();
    return {
      createKey: () => ({ keyId: server.createKey().id }),
      provider: (keyId) => new KmipKeyProvider({ keyId, ...settings }, { limiters, metrics }),
      disable: (keyId) => server.setState(keyId, 'Deactivated'),
      enable: (keyId) => server.setState(keyId, 'Active'),
      destroy: (keyId) => server.removeKey(keyId),
      requests: () => server.calls.length,
      close: () => server.close(),
    };
  },
  { aliases: false, waitingForDeletion: null },
);

describe('KMIP under faults', () => {
  let server: DevelopmentKmipServer;
  let settings: Omit<KmipKeySettings, 'keyId'>;
  let keyId: string;
  const opened: KmipKeyProvider[] = [];
  const metrics = new Metrics();

  beforeAll(async () => {
    server = await DevelopmentKmipServer.start();
    settings = await settingsFor(server);
    return () => server.close();
  });
  beforeEach(() => {
    server.clearFaults();
    keyId = server.createKey().id;
  });
  afterAll(() => {
    for (const provider of opened) provider.close();
  });

  const open = (change: Partial<KmipKeySettings> = {}, options: Partial<KmipKeyProviderOptions> = {}): KmipKeyProvider => {
    const timeouts = { handshakeTimeoutMs: 4_000, answerTimeoutMs: 2_000 };
    const provider = new KmipKeyProvider({ keyId, ...settings, ...change }, { limiters, metrics, ...timeouts, ...options });
    opened.push(provider);
    return provider;
  };
  const proven = async (provider: KmipKeyProvider): Promise<Canary> => {
    const { verdict, canary } = await proveKey(provider, context);
    expect(verdict).toMatchObject({ kind: 'usable' });
    return canary!;
  };
  const short = (verdict: Verdict): string => `${verdict.kind} ${verdict.reason}`;

  const states: [KmipStateName, string, string][] = [
    ['PreActive', 'definitive KEY_PENDING_IMPORT', 'NOT_YET_ACTIVE'],
    ['Active', 'usable null', 'ENABLED'],
    ['Deactivated', 'definitive KEY_DISABLED', 'DISABLED'],
    ['Compromised', 'definitive KEY_DISABLED', 'DISABLED'],
    ['Destroyed', 'definitive KEY_NOT_FOUND', 'DESTROYED'],
    ['DestroyedCompromised', 'definitive KEY_NOT_FOUND', 'DESTROYED'],
  ];
  it.each(states)('F23 a key that is %s', async (state, verdict, described) => {
    const provider = open();
    const canary = await proven(provider);
    server.setState(keyId, state);
    expect(short(await checkCanary(provider, canary, context))).toBe(verdict);
    expect(short((await proveKey(provider, context)).verdict)).toBe(verdict);
    expect((await provider.describe()).state).toBe(described);
    server.setState(keyId, 'Active');
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
  });

  it('asks for state and material for every use: nothing is remembered', async () => {
    const provider = open();
    const canary = await proven(provider);
    const before = server.calls.length;
    for (let check = 0; check < 3; check += 1) expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    const asked = server.calls.slice(before).map(({ operation }) => operation);
    expect(asked).toEqual(['GetAttributes', 'Get', 'GetAttributes', 'Get', 'GetAttributes', 'Get']);
    server.key(keyId).archived = true;
    expect(short(await checkCanary(provider, canary, context))).toBe('definitive KEY_DISABLED');
  });

  const wrongKeys: [string, NewKey, string][] = [
    ['another owner', { owner: 'somebody else' }, 'definitive ACCESS_DENIED'],
    ['secret data', { objectType: ObjectType.SecretData }, 'definitive KEY_USAGE_WRONG'],
    ['an algorithm that is not AES', { algorithm: CryptographicAlgorithm.TripleDES }, 'definitive KEY_USAGE_WRONG'],
    ['128 bits', { length: 128 }, 'definitive KEY_USAGE_WRONG'],
    ['F86 31 bytes that claim 256 bits', { material: Buffer.alloc(31, 1) }, 'definitive KEY_USAGE_WRONG'],
    ['F86 33 bytes that claim 256 bits', { material: Buffer.alloc(33, 1) }, 'definitive KEY_USAGE_WRONG'],
    ['material that never leaves the server', { sensitive: true }, 'definitive KEY_USAGE_WRONG'],
  ];
  it.each(wrongKeys)('F07 a key with %s', async (_, key, expected) => {
    const provider = open({ keyId: server.createKey(key).id });
    expect(short((await proveKey(provider, context)).verdict)).toBe(expected);
  });

  it('F03 a key that is gone, and one that never was', async () => {
    const provider = open();
    const canary = await proven(provider);
    server.removeKey(keyId);
    expect(await checkCanary(provider, canary, context)).toMatchObject({ reason: 'KEY_NOT_FOUND', errorName: 'ItemNotFound' });
    expect(short((await proveKey(open({ keyId: '404' }), context)).verdict)).toBe('definitive KEY_NOT_FOUND');
  });

  const faults: [string, KmipFault, string][] = [
    ['F15 the material of another key', { kind: 'other-material' }, 'definitive CANARY_NOT_UNWRAPPED'],
    ['an object that is destroyed', { kind: 'refuse', reason: 'ObjectDestroyed' }, 'definitive KEY_NOT_FOUND'],
    ['rights that were taken away', { kind: 'refuse', reason: 'NotAuthorised' }, 'definitive ACCESS_DENIED'],
    [
      'F05 a role that may read attributes only',
      { kind: 'refuse', reason: 'PermissionDenied', operations: ['Get'] },
      'definitive ACCESS_DENIED',
    ],
    [
      'F05 a role that may get keys only',
      { kind: 'refuse', reason: 'PermissionDenied', operations: ['GetAttributes'] },
      'definitive ACCESS_DENIED',
    ],
    ['a login that fails', { kind: 'refuse', reason: 'AuthenticationNotSuccessful' }, 'definitive CREDENTIALS_INVALID'],
    ['a state that does not allow it', { kind: 'refuse', reason: 'WrongKeyLifecycleState' }, 'definitive KEY_DISABLED'],
    ['a format that is not given', { kind: 'refuse', reason: 'KeyFormatTypeNotSupported' }, 'definitive KEY_USAGE_WRONG'],
    ['an operation that is not there', { kind: 'refuse', reason: 'OperationNotSupported' }, 'definitive CONFIGURATION_WRONG'],
    ['a message that is not understood', { kind: 'refuse', reason: 'InvalidMessage' }, 'definitive CONFIGURATION_WRONG'],
    ['an answer that is too large', { kind: 'refuse', reason: 'ResponseTooLarge' }, 'transient UNCLASSIFIED'],
    ['F09 a general failure', { kind: 'refuse', reason: 'GeneralFailure' }, 'transient PROVIDER_ERROR'],
    ['F09 an error of the server', { kind: 'refuse', reason: 'InternalServerError' }, 'transient PROVIDER_ERROR'],
    ['F08 a limit of the server', { kind: 'refuse', reason: 'ServerLimitExceeded' }, 'transient THROTTLED'],
    ['an answer for later', { kind: 'pending' }, 'transient PROVIDER_ERROR'],
    ['a reason of nobody', { kind: 'refuse', reason: 0x4711 }, 'transient UNCLASSIFIED'],
    ['F12 no answer', { kind: 'hang' }, 'transient TIMEOUT'],
    ['F12 half an answer', { kind: 'hang', phase: 'within-answer' }, 'transient TIMEOUT'],
    ['F24 an answer that ends in the middle', { kind: 'end', phase: 'within-answer' }, 'transient NETWORK'],
    ['F24 nonsense', { kind: 'mutate', change: () => Buffer.alloc(64, 0x41) }, 'transient PROVIDER_ERROR'],
    ['a reset', { kind: 'reset' }, 'transient UNCLASSIFIED'],
    ['the end instead of an answer', { kind: 'end' }, 'transient UNCLASSIFIED'],
  ];
  it.each(faults)('%s', async (_, fault, expected) => {
    const provider = open();
    const canary = await proven(provider);
    server.inject(fault);
    expect(short(await checkCanary(provider, canary, context))).toBe(expected);
    server.clearFaults();
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
  });

  // Elsewhere only 127.0.0.1 is a loopback address.
  it.runIf(process.platform === 'linux')(
    'F26 the first of two hosts accepts and never answers: the key is usable, and the next check does not wait',
    async () => {
      const second = await DevelopmentKmipServer.start({ with: server });
      // One port for all hosts, as for mongod: the silent one listens on another loopback address.
      const silent = await DevelopmentKmipServer.start({ address: '127.0.0.2', port: second.host.port });
      silent.inject({ kind: 'silent-host' });
      const provider = open({ hosts: ['127.0.0.2', '127.0.0.1'], port: second.host.port });
      const canary = await proven(provider);
      const tried = silent.accepted;
      expect(tried).toBe(1);
      expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
      expect(silent.accepted).toBe(tried);
      await second.close();
      expect((await checkCanary(provider, canary, context)).kind).toBe('transient');
      await silent.close();
    },
  );

  it('F20 F21 connections that died in silence are replaced within the check', async () => {
    const provider = open();
    const canary = await proven(provider);
    server.dropConnections();
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    server.inject({ kind: 'hang', count: 1 });
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
  });

  it('F22 certificates that expired, theirs and ours', async () => {
    const provider = open();
    const canary = await proven(provider);
    server.present(await server.authority.server({ expired: true }));
    expect(await checkCanary(provider.fresh(), canary, context)).toMatchObject({
      reason: 'CONFIGURATION_WRONG',
      errorName: 'CERT_HAS_EXPIRED',
    });
    server.present(await server.authority.server());
    const { certificate, key } = await server.authority.client('atrest', { expired: true });
    const expired = open({ clientCertificate: certificate, clientKey: key });
    expect(short(await checkCanary(expired, canary, context))).toBe('definitive CREDENTIALS_EXPIRED');
    expect(expired.credentialsExpireAt!.getTime()).toBeLessThan(Date.now());
    const tonight = open({}, { now: () => new Date(Date.now() + 2 * DAY_MS) });
    expect(short(await checkCanary(tonight, canary, context))).toBe('definitive CREDENTIALS_EXPIRED');
    expect(provider.credentialsExpireAt!.getTime()).toBeGreaterThan(Date.now());
  });

  it('a certificate without its key, and an authority that is none', async () => {
    const [certificate = ''] = settings.clientCertificate.split('-----BEGIN PRIVATE KEY-----');
    expect(short((await proveKey(open({ clientCertificate: certificate }), context)).verdict)).toBe('definitive CREDENTIALS_INVALID');
    expect(short((await proveKey(open({ caCertificate: 'no PEM' }), context)).verdict)).toBe('definitive CONFIGURATION_WRONG');
    expect(() => open({ hosts: [] })).toThrow(KmsUsageError);
  });

  it('describes the key with the date of its end', async () => {
    const provider = open();
    const end = new Date(Math.floor(Date.now() / 1000) * 1000 + 3 * DAY_MS);
    server.key(keyId).deactivationDate = end;
    expect(await provider.describe()).toMatchObject({
      keyId,
      resolvedKeyId: keyId,
      state: 'ENABLED',
      algorithm: 'AES-256',
      usage: 'Encrypt, Decrypt',
      createdAt: expect.any(Date),
      deletionDate: end,
    });
    const canary = await proven(provider);
    server.key(keyId).deactivationDate = new Date(Date.now() - 1_000);
    expect(short(await checkCanary(provider, canary, context))).toBe('definitive KEY_DISABLED');
    expect((await provider.describe()).state).toBe('DISABLED');
  });

  it('F90 asks only addresses that the operator allows', async () => {
    const refused = await proveKey(open({}, { allowAddress: () => false }), context);
    expect(refused.verdict).toMatchObject({ kind: 'transient', errorName: 'KMIP.ADDRESS_NOT_ALLOWED' });
  });

  it('gives up as throttled when our own limit for the appliance is used up', async () => {
    const clock = new SimulatedClock(new Date(0));
    const tight = new CallLimiters({ clock, sleep: async () => undefined, quotaOf: () => 4, share: 1, maxWaitMs: 0 });
    const provider = open({}, { limiters: tight });
    await proven(provider);
    const before = server.calls.length;
    expect(short((await proveKey(provider, context)).verdict)).toBe('transient THROTTLED');
    expect(server.calls.length).toBe(before);
  });

  it('measures each call by operation and outcome', async () => {
    const own = new Metrics();
    const provider = open({}, { metrics: own });
    const canary = await proven(provider);
    server.inject({ kind: 'refuse', reason: 'PermissionDenied', operations: ['Get'] });
    await checkCanary(provider, canary, context);
    const text = await own.render();
    expect(text).toMatch(/atrest_kms_call_duration_seconds_count\{provider="KMIP",operation="Get",outcome="ok"\} 2/);
    expect(text).toMatch(/atrest_kms_call_duration_seconds_count\{provider="KMIP",operation="Get",outcome="ACCESS_DENIED"\} 1/);
  });
});
