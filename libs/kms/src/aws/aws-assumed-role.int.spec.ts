import { Metrics } from '@atrest/platform-metrics';
import { SimulatedClock, systemClock } from '@atrest/platform-time';
import { DevelopmentKms, type Credentials, type Fault } from '@atrest/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CallLimiters } from '../call-limiter.js';
import { checkCanary, proveKey } from '../canary.js';
import { KeySettingsRefusedError, KmsUsageError } from '../errors.js';
import { keyProviderContract } from '../key-provider.contract.js';
import { sleepFor } from '../transient-retries.js';
import type { Verdict } from '../verdict.js';
import { awsStsRequestQuotaOf, type AwsRole } from './aws-assumed-role.js';
import { machineAwsCredentials } from './aws-machine-credentials.js';
import { AwsKeyProvider, awsRequestQuotaOf, type AwsKeyProviderOptions } from './aws-key-provider.js';

const context = { projectId: '65f0c0ffee65f0c0ffee65f0', purpose: 'canary' };
const EXTERNAL_ID = '0d1e2f30-4152-4637-a849-5a6b7c8d9eaf';
const limiters = new CallLimiters({ clock: systemClock, sleep: sleepFor, quotaOf: awsRequestQuotaOf });

keyProviderContract('AWS KMS through an assumed role', async () => {
  const kms = await DevelopmentKms.start();
  const metrics = new Metrics();
  const installation = kms.createAccessKey();
  const role = { roleArn: kms.createRole({ externalId: EXTERNAL_ID }), externalId: EXTERNAL_ID };
  let count = 0;
  return {
    createKey() {
      count += 1;
      const alias = `alias/key-${count}`;
      return { keyId: kms.createKey({ alias }).arn, alias };
    },
    provider: (keyId) =>
      new AwsKeyProvider(
        { keyId, region: 'US_EAST_1', role },
        { endpoint: kms.url, stsEndpoint: kms.url, installation, limiters, metrics },
      ),
    disable: (keyId) => kms.disableKey(keyId),
    enable: (keyId) => kms.enableKey(keyId),
    scheduleDeletion: (keyId) => kms.scheduleKeyDeletion(keyId),
    destroy: (keyId) => kms.destroyKey(keyId),
    pointAlias: (alias, keyId) => kms.pointAlias(alias, keyId),
    requests: () => kms.calls().length,
    close: () => kms.close(),
  };
});

describe('a role of the customer in AWS', () => {
  let kms: DevelopmentKms;
  let installation: Credentials;
  let role: AwsRole;
  let keyId: string;
  const opened: AwsKeyProvider[] = [];

  beforeEach(async () => {
    kms = await DevelopmentKms.start();
    installation = kms.createAccessKey({ userName: 'installation' });
    role = { roleArn: kms.createRole({ externalId: EXTERNAL_ID }), externalId: EXTERNAL_ID };
    keyId = kms.createKey().arn;
  });
  afterEach(async () => {
    for (const provider of opened.splice(0)) provider.close();
    await kms.close();
  });

  const open = (o: { role?: AwsRole } & Partial<AwsKeyProviderOptions> = {}): AwsKeyProvider => {
    const { role: assumed = role, ...options } = o;
    const provider = new AwsKeyProvider(
      { keyId, region: 'US_EAST_1', role: assumed },
      { endpoint: kms.url, stsEndpoint: kms.url, installation, limiters, metrics: new Metrics(), ...options },
    );
    opened.push(provider);
    return provider;
  };
  const short = (verdict: Verdict): string => `${verdict.kind} ${verdict.reason}`;
  const proof = async (provider: AwsKeyProvider): Promise<string> => short((await proveKey(provider, context)).verdict);
  const assumed = (): number => kms.calls({ operation: 'AssumeRole' }).length;
  const proven = async (provider: AwsKeyProvider) => {
    const { verdict, canary } = await proveKey(provider, context);
    expect(verdict).toMatchObject({ kind: 'usable' });
    return canary!;
  };

  it('assumes the role once for many calls, and anew for a fresh provider', async () => {
    const provider = open();
    const canary = await proven(provider);
    await Promise.all([1, 2, 3].map(() => checkCanary(provider, canary, context)));
    expect(assumed()).toBe(1);
    const [first] = kms.calls({ operation: 'Encrypt' });
    expect(first?.accessKeyId).not.toBe(installation.accessKeyId);
    const fresh = provider.fresh();
    opened.push(fresh);
    expect(short(await checkCanary(fresh, canary, context))).toBe('usable null');
    expect(assumed()).toBe(2);
  });

  it('takes what the AWS SDK finds on the machine, where the operator wants that', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', installation.accessKeyId);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', installation.secretAccessKey);
    try {
      expect(await proof(open({ installation: machineAwsCredentials() }))).toBe('usable null');
    } finally {
      vi.unstubAllEnvs();
    }
    expect(kms.calls({ operation: 'AssumeRole' }).map(({ accessKeyId }) => accessKeyId)).toEqual([installation.accessKeyId]);
  });

  it('F05 finds out that the role is gone or asks for another external id, at the latest with a fresh provider', async () => {
    const provider = open();
    const canary = await proven(provider);
    expect(await proof(open({ role: { ...role, externalId: 'another-project' } }))).toBe('definitive ACCESS_DENIED');
    kms.deleteRole(role.roleArn);
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    const fresh = provider.fresh();
    opened.push(fresh);
    expect(await checkCanary(fresh, canary, context)).toMatchObject({
      kind: 'definitive',
      reason: 'ACCESS_DENIED',
      errorName: 'AccessDenied',
      httpStatus: 403,
      message: expect.stringContaining(`is not authorized to perform: sts:AssumeRole on resource: ${role.roleArn}`) as string,
      requestId: expect.any(String) as string,
    });
  });

  it('F06 a session that ends during a check is renewed once', async () => {
    const provider = open();
    const canary = await proven(provider);
    const session = kms.calls({ operation: 'Encrypt' }).at(-1)!.accessKeyId!;
    kms.deleteAccessKey(session);
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    expect(assumed()).toBe(2);
    kms.inject({
      kind: 'error',
      status: 400,
      name: 'ExpiredTokenException',
      message: 'The security token included in the request is expired',
      operations: ['Decrypt'],
    });
    const before = kms.calls({ operation: 'Decrypt' }).length;
    expect(short(await checkCanary(provider, canary, context))).toBe('definitive CREDENTIALS_EXPIRED');
    expect(kms.calls({ operation: 'Decrypt' }).length - before).toBe(2);
  });

  it('F06 a session is renewed before it ends', async () => {
    const clock = new SimulatedClock(new Date(Date.now() - 880_000));
    const behind = await DevelopmentKms.start({ clock });
    try {
      // The server's clock makes sessions that end within the minute; the skew is too large for signatures, so it is hidden from them.
      const { arn } = behind.createKey();
      const roleArn = behind.createRole({ externalId: EXTERNAL_ID });
      behind.inject({ kind: 'clock-skew', offsetMs: 880_000 });
      const provider = new AwsKeyProvider(
        { keyId: arn, region: 'US_EAST_1', role: { roleArn, externalId: EXTERNAL_ID } },
        { endpoint: behind.url, stsEndpoint: behind.url, installation: behind.createAccessKey(), limiters, metrics: new Metrics() },
      );
      opened.push(provider);
      await proven(provider);
      // One for each call: each session was too near its end for the next.
      expect(behind.calls({ operation: 'AssumeRole' })).toHaveLength(2);
    } finally {
      await behind.close();
    }
  });

  it("what STS says of this installation's own credentials proves nothing about the customer's key", async () => {
    expect(await proof(open({ installation: { ...installation, secretAccessKey: 'wrong' } }))).toBe('transient UNCLASSIFIED');
    expect(await proof(open({ installation: kms.createAccessKey({ expiresAt: new Date(0) }) }))).toBe('transient UNCLASSIFIED');
    kms.deleteAccessKey(installation.accessKeyId);
    const { verdict } = await proveKey(open(), context);
    expect(verdict).toMatchObject({ kind: 'transient', reason: 'UNCLASSIFIED', errorName: 'InvalidClientTokenId', httpStatus: 403 });
    const missing = async (): Promise<Credentials> => {
      throw Object.assign(new Error('Could not load credentials from any providers'), { name: 'CredentialsProviderError' });
    };
    expect(await proof(open({ installation: missing }))).toBe('transient UNCLASSIFIED');
    const later = kms.createAccessKey();
    expect(await proof(open({ installation: async () => later }))).toBe('usable null');
  });

  const faults: [string, Fault, string][] = [
    ['F08 throttled', { kind: 'throttle', operations: ['AssumeRole'] }, 'transient THROTTLED'],
    ['F09 broken', { kind: 'error', status: 503, operations: ['AssumeRole'] }, 'transient PROVIDER_ERROR'],
    ['F12 no answer', { kind: 'hang', operations: ['AssumeRole'] }, 'transient TIMEOUT'],
    ['F16 wrong clock', { kind: 'clock-skew', offsetMs: 3_600_000, hideDate: true, operations: ['AssumeRole'] }, 'transient CLOCK_SKEW'],
    ['a reset', { kind: 'reset', operations: ['AssumeRole'] }, 'transient NETWORK'],
    ['F11 a web page', { kind: 'web-page', operations: ['AssumeRole'] }, 'transient UNCLASSIFIED'],
    [
      'a role that STS cannot read',
      { kind: 'error', status: 400, name: 'ValidationError', message: 'invalid', operations: ['AssumeRole'] },
      'definitive CONFIGURATION_WRONG',
    ],
    [
      'a region that is not activated for us',
      { kind: 'error', status: 403, name: 'RegionDisabledException', message: 'STS is not activated', operations: ['AssumeRole'] },
      'transient UNCLASSIFIED',
    ],
  ];
  it.each(faults)('AWS STS: %s', async (_, fault, expected) => {
    const provider = open({ requestTimeoutMs: 2_000 });
    kms.inject(fault);
    expect(await proof(provider)).toBe(expected);
    kms.clearFaults();
    expect(await proof(provider)).toBe('usable null');
  });

  it('works in every partition, and refuses a role of another', async () => {
    for (const [region, awsRegion] of [
      ['US_GOV_EAST_1', 'us-gov-east-1'],
      ['CN_NORTHWEST_1', 'cn-northwest-1'],
    ] as const) {
      const { arn } = kms.createKey({ region: awsRegion });
      const local = { roleArn: kms.createRole({ region: awsRegion, externalId: EXTERNAL_ID }), externalId: EXTERNAL_ID };
      const options = { endpoint: kms.url, stsEndpoint: kms.url, installation, limiters, metrics: new Metrics() };
      const provider = new AwsKeyProvider({ keyId: arn, region, role: local }, options);
      opened.push(provider);
      expect(await proof(provider)).toBe('usable null');
      expect(kms.calls({ operation: 'AssumeRole' }).at(-1)?.region).toBe(awsRegion);
      expect(() => new AwsKeyProvider({ keyId: arn, region, role }, options)).toThrow(KeySettingsRefusedError);
    }
    for (const wrong of [
      { ...role, roleArn: `${role.roleArn} ` },
      { ...role, roleArn: 'arn:aws:iam::111122223333:user/somebody' },
      { ...role, externalId: '' },
    ]) {
      expect(() => open({ role: wrong })).toThrow(KeySettingsRefusedError);
    }
    const options = { endpoint: kms.url, limiters, metrics: new Metrics() };
    expect(() => new AwsKeyProvider({ keyId, region: 'US_EAST_1', role }, options)).toThrow(KmsUsageError);
  });

  it('counts sessions against the limit of this installation and measures them', async () => {
    const clock = new SimulatedClock(new Date(0));
    expect(awsStsRequestQuotaOf()).toBe(600);
    const stsLimiters = new CallLimiters({ clock, sleep: async () => undefined, quotaOf: () => 10, share: 0.1, maxWaitMs: 0 });
    const metrics = new Metrics();
    expect(await proof(open({ stsLimiters, metrics }))).toBe('usable null');
    expect(await proof(open({ stsLimiters }))).toBe('transient THROTTLED');
    expect(await metrics.render()).toMatch(
      /atrest_kms_call_duration_seconds_count\{provider="AWS",operation="AssumeRole",outcome="ok"\} 1/,
    );
  });

  it('describes automatic rotation and the planned deletion', async () => {
    const provider = open();
    expect((await provider.describe()).rotation).toEqual({ automatic: false, periodDays: null, nextRotationAt: null });
    kms.setRotation(keyId, 180);
    const { rotation } = await provider.describe();
    expect(rotation).toMatchObject({ automatic: true, periodDays: 180 });
    expect(rotation!.nextRotationAt!.getTime()).toBeGreaterThan(Date.now());
    kms.scheduleKeyDeletion(keyId, 7);
    const waiting = await provider.describe();
    expect(waiting).toMatchObject({ state: 'PENDING_DELETION', rotation: { automatic: false } });
    expect(waiting.deletionDate!.getTime()).toBeGreaterThan(Date.now() + 6 * 24 * 3_600_000);
    kms.deny({ operations: ['GetKeyRotationStatus'] });
    expect(await provider.describe()).not.toHaveProperty('rotation');
    kms.allow();
    kms.inject({ kind: 'throttle', operations: ['GetKeyRotationStatus'] });
    await expect(provider.describe()).rejects.toMatchObject({ name: 'ThrottlingException' });
  });
});
