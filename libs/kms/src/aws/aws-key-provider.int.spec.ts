import { Metrics } from '@atrest/platform-metrics';
import { SimulatedClock, systemClock } from '@atrest/platform-time';
import { DevelopmentKms, type Fault } from '@atrest/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CallLimiters } from '../call-limiter.js';
import { checkCanary, proveKey } from '../canary.js';
import { keyProviderContract } from '../key-provider.contract.js';
import { sleepFor, withTransientRetries } from '../transient-retries.js';
import type { Verdict } from '../verdict.js';
import { AwsKeyProvider, awsRequestQuotaOf, type AwsKeyProviderOptions, type AwsKeySettings } from './aws-key-provider.js';

const context = { projectId: '65f0c0ffee65f0c0ffee65f0', purpose: 'canary' };
const limiters = new CallLimiters({ clock: systemClock, sleep: sleepFor, quotaOf: awsRequestQuotaOf });

keyProviderContract('AWS KMS on the development KMS', async () => {
  const kms = await DevelopmentKms.start();
  const metrics = new Metrics();
  const credentials = kms.createAccessKey();
  let count = 0;
  return {
    createKey() {
      count += 1;
      const alias = `alias/key-${count}`;
      return { keyId: kms.createKey({ alias }).arn, alias };
    },
    provider: (keyId) => new AwsKeyProvider({ keyId, region: 'US_EAST_1', ...credentials }, { endpoint: kms.url, limiters, metrics }),
    disable: (keyId) => kms.disableKey(keyId),
    enable: (keyId) => kms.enableKey(keyId),
    scheduleDeletion: (keyId) => kms.scheduleKeyDeletion(keyId),
    destroy: (keyId) => kms.destroyKey(keyId),
    pointAlias: (alias, keyId) => kms.pointAlias(alias, keyId),
    requests: () => kms.calls().length,
    close: () => kms.close(),
  };
});

describe('AWS KMS under faults', () => {
  let kms: DevelopmentKms;
  let credentials: { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
  let key: { keyId: string; arn: string };
  const metrics = new Metrics();
  const opened: AwsKeyProvider[] = [];

  beforeAll(async () => {
    kms = await DevelopmentKms.start();
    return () => kms.close();
  });
  beforeEach(() => {
    kms.clearFaults();
    kms.allow();
    credentials = kms.createAccessKey();
    key = kms.createKey();
  });
  afterAll(() => {
    for (const provider of opened) provider.close();
  });

  const open = (settings: Partial<AwsKeySettings> = {}, options: Partial<AwsKeyProviderOptions> = {}): AwsKeyProvider => {
    const provider = new AwsKeyProvider(
      { keyId: key.arn, region: 'US_EAST_1', ...credentials, ...settings },
      { endpoint: kms.url, limiters, metrics, ...options },
    );
    opened.push(provider);
    return provider;
  };
  const proven = async (provider: AwsKeyProvider) => {
    const { verdict, canary } = await proveKey(provider, context);
    expect(verdict).toMatchObject({ kind: 'usable' });
    return canary!;
  };
  const short = (verdict: Verdict): string => `${verdict.kind} ${verdict.reason}`;

  it('binds the context as encryption context and names the resolved key, never the alias', async () => {
    kms.pointAlias('orders', key.keyId);
    await proven(open({ keyId: 'alias/orders' }));
    const [wrap, unwrap] = kms.calls().slice(-2);
    expect(wrap).toMatchObject({ operation: 'Encrypt', keyId: 'alias/orders' });
    expect(unwrap).toMatchObject({ operation: 'Decrypt', keyId: key.arn });
    expect(wrap?.encryptionContext).toEqual({ 'atrest:project': context.projectId, 'atrest:purpose': 'canary' });
    expect(unwrap?.encryptionContext).toEqual(wrap?.encryptionContext);
  });

  it('carries the evidence: error name, words, status and request id', async () => {
    const provider = open();
    const canary = await proven(provider);
    kms.disableKey(key.keyId);
    const verdict = await checkCanary(provider, canary, context);
    expect(verdict).toEqual({
      kind: 'definitive',
      reason: 'KEY_DISABLED',
      errorName: 'DisabledException',
      message: `${key.arn} is disabled.`,
      httpStatus: 400,
      requestId: kms.calls().at(-1)?.requestId,
    });
  });

  const faults: [string, Fault, string][] = [
    ['F08 throttling', { kind: 'throttle' }, 'transient THROTTLED'],
    ['F08 HTTP 429 without a body', { kind: 'error', status: 429 }, 'transient THROTTLED'],
    ['F09 500', { kind: 'error', status: 500, name: 'KMSInternalException', message: 'internal' }, 'transient PROVIDER_ERROR'],
    ['F09 503 with a body', { kind: 'error', status: 503, name: 'DependencyTimeoutException' }, 'transient PROVIDER_ERROR'],
    ['F09 502 of a load balancer', { kind: 'error', status: 502 }, 'transient PROVIDER_ERROR'],
    ['F09 500 that claims a definitive error', { kind: 'error', status: 500, name: 'DisabledException' }, 'transient PROVIDER_ERROR'],
    ['F11 captive portal', { kind: 'web-page' }, 'transient UNCLASSIFIED'],
    ['F12 no answer after the request was sent', { kind: 'hang' }, 'transient TIMEOUT'],
    ['F12 answer that stops in the middle', { kind: 'hang', phase: 'within-answer' }, 'transient TIMEOUT'],
    ['a reset before the answer', { kind: 'reset' }, 'transient NETWORK'],
    ['a reset within the answer', { kind: 'reset', afterBytes: 20 }, 'transient NETWORK'],
    ['F16 clock behind, no Date', { kind: 'clock-skew', offsetMs: 3_600_000, hideDate: true }, 'transient CLOCK_SKEW'],
    ['F16 clock ahead, no Date', { kind: 'clock-skew', offsetMs: -3_600_000, hideDate: true }, 'transient CLOCK_SKEW'],
    ['F05 access denied', { kind: 'access-denied' }, 'definitive ACCESS_DENIED'],
    ['F15 other bytes', { kind: 'wrong-plaintext' }, 'definitive CANARY_DIFFERS'],
    ['an unknown error', { kind: 'error', status: 400, name: 'QuantumFluxException', message: '?' }, 'transient UNCLASSIFIED'],
  ];
  it.each(faults)('%s', async (_, fault, expected) => {
    const provider = open({}, { requestTimeoutMs: 2_000, connectionTimeoutMs: 2_000 });
    const canary = await proven(provider);
    kms.inject(fault);
    expect(short(await checkCanary(provider, canary, context))).toBe(expected);
    kms.clearFaults();
    expect(short(await checkCanary(provider.fresh(), canary, context))).toBe('usable null');
  });

  it('F16 a wrong local clock is corrected by the SDK within one check', async () => {
    const provider = open();
    const canary = await proven(provider);
    kms.inject({ kind: 'clock-skew', offsetMs: 3_600_000 });
    const seen: string[] = [];
    const verdict = await withTransientRetries(
      async () => {
        const one = await checkCanary(provider, canary, context);
        seen.push(short(one));
        return one;
      },
      (one) => one,
      { clock: new SimulatedClock(new Date(0)), sleep: async () => undefined },
    );
    expect(seen).toEqual(['transient CLOCK_SKEW', 'usable null']);
    expect(verdict.kind).toBe('usable');
  });

  it('F10 an unresolvable name and a closed port are network errors', async () => {
    const canary = await proven(open());
    const nowhere = await DevelopmentKms.start();
    const { url } = nowhere;
    await nowhere.close();
    expect(short(await checkCanary(open({}, { endpoint: url }), canary, context))).toBe('transient NETWORK');
    // A label of more than 63 letters is no name: the resolver answers ENOTFOUND by itself, on every machine.
    const unresolvable = `http://kms.${'x'.repeat(64)}.invalid`;
    expect(short(await checkCanary(open({}, { endpoint: unresolvable }), canary, context))).toBe('transient NETWORK');
  });

  it('F05 follows permissions per operation', async () => {
    const provider = open();
    const canary = await proven(provider);
    kms.deny({ keyId: key.keyId, operations: ['Encrypt'] });
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    expect(short((await proveKey(provider, context)).verdict)).toBe('definitive ACCESS_DENIED');
    kms.deny({ accessKeyId: credentials.accessKeyId, operations: ['Decrypt'] });
    expect(short(await checkCanary(provider, canary, context))).toBe('definitive ACCESS_DENIED');
    expect((await provider.describe()).state).toBe('ENABLED');
  });

  it('F06 tells revoked, wrong and expired credentials apart from a bad key', async () => {
    const provider = open();
    const canary = await proven(provider);
    expect(short(await checkCanary(open({ secretAccessKey: 'wrong' }), canary, context))).toBe('definitive CREDENTIALS_INVALID');
    kms.disableAccessKey(credentials.accessKeyId);
    expect(short(await checkCanary(provider, canary, context))).toBe('definitive CREDENTIALS_INVALID');
    kms.enableAccessKey(credentials.accessKeyId);
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    kms.deleteAccessKey(credentials.accessKeyId);
    expect(short(await checkCanary(provider, canary, context))).toBe('definitive CREDENTIALS_INVALID');
    const temporary = kms.createAccessKey({ temporary: true });
    expect(short(await checkCanary(open(temporary), canary, context))).toBe('usable null');
    const expired = kms.createAccessKey({ expiresAt: new Date(0) });
    expect(short(await checkCanary(open(expired), canary, context))).toBe('definitive CREDENTIALS_EXPIRED');
  });

  it('F07 wrong region, wrong account, wrong kind of key', async () => {
    const verdictOf = async (settings: Partial<AwsKeySettings>) => short((await proveKey(open(settings), context)).verdict);
    expect(await verdictOf({ region: 'EU_WEST_1' })).toBe('definitive KEY_NOT_FOUND');
    expect(await verdictOf({ keyId: key.keyId, region: 'EU_WEST_1' })).toBe('definitive KEY_NOT_FOUND');
    expect(await verdictOf({ keyId: key.arn.replace('111122223333', '999988887777') })).toBe('definitive ACCESS_DENIED');
    expect(await verdictOf({ keyId: 'alias/nobody' })).toBe('definitive KEY_NOT_FOUND');
    expect(await verdictOf({ keyId: 'arn:aws:kms:us-east-1:1:key' })).toBe('definitive CONFIGURATION_WRONG');
    expect(await verdictOf({ keyId: kms.createKey({ keySpec: 'RSA_2048' }).arn })).toBe('definitive KEY_USAGE_WRONG');
    const signing = kms.createKey({ keySpec: 'RSA_2048', keyUsage: 'SIGN_VERIFY' });
    expect(await verdictOf({ keyId: signing.arn })).toBe('definitive KEY_USAGE_WRONG');
    const waiting = kms.createKey({ origin: 'EXTERNAL' });
    expect(await verdictOf({ keyId: waiting.arn })).toBe('definitive KEY_PENDING_IMPORT');
    kms.setKeyState(key.keyId, 'Unavailable');
    expect(await verdictOf({})).toBe('transient KEY_UNAVAILABLE');
  });

  it('works in every partition', async () => {
    for (const [region, awsRegion] of [
      ['US_GOV_WEST_1', 'us-gov-west-1'],
      ['CN_NORTH_1', 'cn-north-1'],
    ] as const) {
      const { arn } = kms.createKey({ region: awsRegion });
      expect(short((await proveKey(open({ keyId: arn, region }), context)).verdict)).toBe('usable null');
    }
  });

  it('takes neither endpoint nor credentials nor retries from the environment', async () => {
    const names = ['AWS_ENDPOINT_URL', 'AWS_ENDPOINT_URL_KMS', 'AWS_ACCESS_KEY_ID', 'AWS_MAX_ATTEMPTS', 'AWS_REGION'] as const;
    const before = names.map((name) => [name, process.env[name]] as const);
    for (const name of names) process.env[name] = name.includes('URL') ? 'http://127.0.0.1:9' : '7';
    try {
      kms.inject({ kind: 'throttle', operations: ['Encrypt'] });
      const count = kms.calls({ operation: 'Encrypt' }).length;
      expect(short((await proveKey(open(), context)).verdict)).toBe('transient THROTTLED');
      expect(kms.calls({ operation: 'Encrypt' }).length).toBe(count + 1);
    } finally {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
  });

  it('gives up as throttled when our own limit for the account and region is used up', async () => {
    const clock = new SimulatedClock(new Date(0));
    const tight = new CallLimiters({ clock, sleep: async () => undefined, quotaOf: () => 20, share: 0.1, maxWaitMs: 0 });
    const provider = open({}, { limiters: tight });
    await proven(provider);
    const before = kms.calls().length;
    expect(short((await proveKey(provider, context)).verdict)).toBe('transient THROTTLED');
    expect(kms.calls().length).toBe(before);
    clock.advance(1_000);
    expect((await proveKey(provider, context)).verdict.kind).toBe('usable');
  });

  it('measures each call by operation and outcome', async () => {
    const own = new Metrics();
    const provider = open({}, { metrics: own });
    const canary = await proven(provider);
    kms.disableKey(key.keyId);
    await checkCanary(provider, canary, context);
    const text = await own.render();
    expect(text).toMatch(/atrest_kms_call_duration_seconds_count\{provider="AWS",operation="Encrypt",outcome="ok"\} 1/);
    expect(text).toMatch(/atrest_kms_call_duration_seconds_count\{provider="AWS",operation="Decrypt",outcome="KEY_DISABLED"\} 1/);
  });
});
