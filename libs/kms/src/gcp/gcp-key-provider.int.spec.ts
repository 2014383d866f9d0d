import { createSecureServer } from 'node:http2';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { Metrics } from '@atrest/platform-metrics';
import { SimulatedClock, systemClock } from '@atrest/platform-time';
import { startDevelopmentGoogleCloudKms, type DevelopmentGoogleCloudKms, type GoogleCloudFault } from '@atrest/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CallLimiters } from '../call-limiter.js';
import { checkCanary, proveKey } from '../canary.js';
import { KeySettingsRefusedError, WrappedBlobRefusedError } from '../errors.js';
import { keyProviderContract } from '../key-provider.contract.js';
import { sleepFor } from '../transient-retries.js';
import type { Verdict } from '../verdict.js';
import { GcpKeyProvider, gcpRequestQuotaOf, type GcpKeyProviderOptions, type GcpKeySettings } from './gcp-key-provider.js';

const context = { projectId: '65f0c0ffee65f0c0ffee65f0', purpose: 'canary' };
const limiters = new CallLimiters({ clock: systemClock, sleep: sleepFor, quotaOf: gcpRequestQuotaOf });

keyProviderContract(
  'Google Cloud KMS on the development Google Cloud KMS',
  async () => {
    const kms = await startDevelopmentGoogleCloudKms();
    const metrics = new Metrics();
    const serviceAccountKey = JSON.stringify(await kms.createServiceAccount());
    return {
      createKey: () => ({ keyId: kms.createKey().version }),
      provider: (keyVersionResourceID) =>
        new GcpKeyProvider({ keyVersionResourceID, serviceAccountKey }, { endpoint: kms.endpoint, limiters, metrics }),
      disable: (name) => kms.setState(name, 'DISABLED'),
      enable: (name) => kms.setState(name, 'ENABLED'),
      scheduleDeletion: (name) => kms.scheduleDestruction(name),
      destroy: (name) => kms.destroy(name),
      requests: () => kms.calls().length,
      close: () => kms.close(),
    };
  },
  { aliases: false },
);

describe('Google Cloud KMS under faults', () => {
  let kms: DevelopmentGoogleCloudKms;
  let account: Readonly<Record<string, string>>;
  let key: { readonly key: string; readonly version: string };
  const metrics = new Metrics();
  const opened: GcpKeyProvider[] = [];
  const unhandled: unknown[] = [];
  const noteUnhandled = (reason: unknown): void => {
    unhandled.push(reason);
  };

  beforeAll(async () => {
    process.on('unhandledRejection', noteUnhandled);
    kms = await startDevelopmentGoogleCloudKms();
    account = await kms.createServiceAccount();
    return () => kms.close();
  });
  beforeEach(() => {
    key = kms.createKey();
  });
  afterEach(async () => {
    for (const provider of opened.splice(0)) provider.close();
    kms.clearFaults();
    kms.allow();
    // A rejection counts as unhandled once the turn of the event loop in which it happened is over.
    await new Promise(setImmediate);
    expect(unhandled).toEqual([]);
  });
  afterAll(() => {
    process.off('unhandledRejection', noteUnhandled);
  });

  const open = (settings: Partial<GcpKeySettings> = {}, options: Partial<GcpKeyProviderOptions> = {}): GcpKeyProvider => {
    const provider = new GcpKeyProvider(
      { keyVersionResourceID: key.version, serviceAccountKey: JSON.stringify(account), ...settings },
      { endpoint: kms.endpoint, limiters, metrics, ...options },
    );
    opened.push(provider);
    return provider;
  };
  const proven = async (provider: GcpKeyProvider) => {
    const { verdict, canary } = await proveKey(provider, context);
    expect(verdict).toMatchObject({ kind: 'usable' });
    return canary!;
  };
  const short = (verdict: Verdict): string => `${verdict.kind} ${verdict.reason}`;
  const proof = async (provider: GcpKeyProvider): Promise<string> => short((await proveKey(provider, context)).verdict);

  it('wraps with the named version, unwraps by the key, and authenticates the context', async () => {
    kms.rotate(key.key);
    const canary = await proven(open());
    const [wrap, unwrap] = kms.calls().slice(-2);
    expect(wrap).toMatchObject({ operation: 'Encrypt', name: key.version });
    expect(unwrap).toMatchObject({ operation: 'Decrypt', name: key.key });
    expect(JSON.parse(wrap!.additionalAuthenticatedData.toString())).toEqual(['atrest:1', context.projectId, 'canary']);
    expect(unwrap!.additionalAuthenticatedData).toEqual(wrap!.additionalAuthenticatedData);
    expect(canary.blob).toMatchObject({ keyId: key.version, resolvedKeyId: key.version, keyVersion: '1' });
    const foreign = { ...canary.blob, resolvedKeyId: 'arn:aws:kms:us-east-1:111122223333:key/1' };
    await expect(open().unwrap(foreign, context)).rejects.toThrow(WrappedBlobRefusedError);
  });

  it('carries the evidence: status, words and reason', async () => {
    const provider = open();
    const canary = await proven(provider);
    kms.deny({ operations: ['Decrypt'] });
    expect(await checkCanary(provider, canary, context)).toEqual({
      kind: 'definitive',
      reason: 'ACCESS_DENIED',
      errorName: 'PERMISSION_DENIED',
      message: `IAM_PERMISSION_DENIED: Permission 'cloudkms.cryptoKeyVersions.useToDecrypt' denied on resource '${key.key}' (or it may not exist).`,
      httpStatus: null,
      requestId: null,
    });
  });

  const rpc = (status: Extract<GoogleCloudFault, { kind: 'error' }>['status'], message: string, reason?: string): GoogleCloudFault => ({
    kind: 'error',
    status,
    message,
    ...(reason !== undefined && { reason }),
  });
  const NAME = 'projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1';
  // The rows of the reference, each through the SDK.
  const faults: [string, GoogleCloudFault, string][] = [
    [
      'F05 Google Cloud: permission denied',
      rpc('PERMISSION_DENIED', `Permission 'cloudkms.cryptoKeyVersions.useToDecrypt' denied on resource '${NAME}' (or it may not exist).`),
      'definitive ACCESS_DENIED',
    ],
    [
      'F07 Google Cloud: API not enabled',
      rpc(
        'PERMISSION_DENIED',
        'Cloud Key Management Service (KMS) API has not been used in project 1 before or it is disabled.',
        'SERVICE_DISABLED',
      ),
      'definitive CONFIGURATION_WRONG',
    ],
    [
      'F07 Google Cloud: API not enabled, as a precondition',
      rpc('FAILED_PRECONDITION', 'Cloud Key Management Service (KMS) API has not been used in project 1 before or it is disabled.'),
      'definitive CONFIGURATION_WRONG',
    ],
    [
      'F17 Google Cloud: billing is off',
      rpc('PERMISSION_DENIED', 'This API method requires billing to be enabled.', 'BILLING_DISABLED'),
      'definitive CONFIGURATION_WRONG',
    ],
    [
      'F17 Google Cloud: project suspended',
      rpc('PERMISSION_DENIED', "Permission denied: Consumer 'projects/1' has been suspended.", 'CONSUMER_SUSPENDED'),
      'definitive ACCESS_DENIED',
    ],
    [
      'VPC Service Controls',
      rpc('PERMISSION_DENIED', "VPC Service Controls: Request is prohibited by organization's policy.", 'SECURITY_POLICY_VIOLATED'),
      'definitive CONFIGURATION_WRONG',
    ],
    [
      'a scope that does not suffice',
      rpc('PERMISSION_DENIED', 'Request had insufficient authentication scopes.', 'ACCESS_TOKEN_SCOPE_INSUFFICIENT'),
      'definitive CONFIGURATION_WRONG',
    ],
    [
      'F06 Google Cloud: unauthenticated',
      rpc('UNAUTHENTICATED', 'Request had invalid authentication credentials.'),
      'definitive CREDENTIALS_INVALID',
    ],
    ['F16 Google Cloud: unauthenticated for a clock', rpc('UNAUTHENTICATED', 'Invalid JWT: iat is in the future'), 'transient CLOCK_SKEW'],
    [
      'F03 Google Cloud: key not found',
      rpc('NOT_FOUND', 'CryptoKey projects/p/locations/l/keyRings/r/cryptoKeys/k not found.'),
      'definitive KEY_NOT_FOUND',
    ],
    [
      'F01 Google Cloud: version disabled',
      rpc('FAILED_PRECONDITION', `${NAME} is not enabled, current state is: DISABLED.`),
      'definitive KEY_DISABLED',
    ],
    [
      'F03 Google Cloud: version destroyed',
      rpc('FAILED_PRECONDITION', `${NAME} is not enabled, current state is: DESTROYED.`),
      'definitive KEY_NOT_FOUND',
    ],
    [
      'F02 Google Cloud: destruction scheduled',
      rpc('FAILED_PRECONDITION', `${NAME} is not enabled, current state is: DESTROY_SCHEDULED.`),
      'definitive KEY_PENDING_DELETION',
    ],
    [
      'a version that waits for its import',
      rpc('FAILED_PRECONDITION', `${NAME} is not enabled, current state is: PENDING_IMPORT.`),
      'definitive KEY_PENDING_IMPORT',
    ],
    [
      'a version that is being generated',
      rpc('FAILED_PRECONDITION', `${NAME} is not enabled, current state is: PENDING_GENERATION.`),
      'transient KEY_UNAVAILABLE',
    ],
    [
      'a state that nobody knows',
      rpc('FAILED_PRECONDITION', `${NAME} is not enabled, current state is: DREAMING.`),
      'transient UNCLASSIFIED',
    ],
    [
      'an external key manager out of reach',
      rpc('FAILED_PRECONDITION', 'The external key manager could not be reached.'),
      'transient KEY_UNAVAILABLE',
    ],
    [
      'an external key manager out of reach, unavailable',
      rpc('UNAVAILABLE', 'The external key manager could not be reached.'),
      'transient KEY_UNAVAILABLE',
    ],
    [
      'a blob of another key',
      rpc('INVALID_ARGUMENT', "Decryption failed: verify that 'name' refers to the correct CryptoKey."),
      'definitive CANARY_NOT_UNWRAPPED',
    ],
    [
      'F07 Google Cloud: wrong purpose',
      rpc('INVALID_ARGUMENT', 'The CryptoKey purpose ASYMMETRIC_SIGN is not valid for this request.'),
      'definitive KEY_USAGE_WRONG',
    ],
    [
      'a malformed name',
      rpc('INVALID_ARGUMENT', 'Invalid resource field value in the request.', 'RESOURCE_NAME_INVALID'),
      'definitive CONFIGURATION_WRONG',
    ],
    ['an invalid argument that nobody knows', rpc('INVALID_ARGUMENT', 'Mercury is in retrograde.'), 'transient UNCLASSIFIED'],
    [
      'F08 Google Cloud: quota',
      rpc('RESOURCE_EXHAUSTED', "Quota exceeded for quota metric 'Cryptographic requests'", 'RATE_LIMIT_EXCEEDED'),
      'transient THROTTLED',
    ],
    ['F09 Google Cloud: unavailable', rpc('UNAVAILABLE', 'The service is currently unavailable.'), 'transient PROVIDER_ERROR'],
    ['F09 Google Cloud: internal', rpc('INTERNAL', 'Internal error encountered.'), 'transient PROVIDER_ERROR'],
    ['F09 Google Cloud: unknown', rpc('UNKNOWN', 'Stream removed'), 'transient PROVIDER_ERROR'],
    ['F09 Google Cloud: aborted', rpc('ABORTED', 'aborted'), 'transient PROVIDER_ERROR'],
    ['F09 Google Cloud: cancelled', rpc('CANCELLED', 'cancelled'), 'transient PROVIDER_ERROR'],
    ['F09 Google Cloud: deadline of the service', rpc('DEADLINE_EXCEEDED', 'deadline exceeded'), 'transient TIMEOUT'],
    ['F12 Google Cloud: no answer after the request was sent', { kind: 'hang' }, 'transient TIMEOUT'],
    ['a reset before the answer', { kind: 'reset' }, 'transient NETWORK'],
    ['F15 Google Cloud: other bytes', { kind: 'wrong-plaintext' }, 'definitive CANARY_DIFFERS'],
    ['an answer that was damaged on its way', { kind: 'damaged-answer' }, 'transient PROVIDER_ERROR'],
    ['a request that was damaged on its way', { kind: 'damaged-request' }, 'transient PROVIDER_ERROR'],
  ];
  it.each(faults)('%s', async (_, fault, expected) => {
    const provider = open({}, { requestTimeoutMs: fault.kind === 'hang' ? 500 : 5_000 });
    const canary = await proven(provider);
    const before = kms.calls().length;
    kms.inject(fault);
    expect(short(await checkCanary(provider, canary, context))).toBe(expected);
    // No retries but one with a new token.
    expect(kms.calls().length - before).toBe(fault.kind === 'error' && fault.status === 'UNAUTHENTICATED' ? 2 : 1);
    kms.clearFaults();
    // The same provider works again at once, on a new connection if need be.
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    expect(short(await checkCanary(provider.fresh(), canary, context))).toBe('usable null');
  });

  it('does not trust an encryption whose checksums nobody verified', async () => {
    kms.inject({ kind: 'unverified' });
    expect(await proof(open())).toBe('transient UNCLASSIFIED');
    kms.clearFaults();
    kms.inject({ kind: 'damaged-answer', operations: ['Encrypt'] });
    expect(await proof(open())).toBe('transient PROVIDER_ERROR');
  });

  const tokenFaults: [string, GoogleCloudFault, string][] = [
    [
      'F06 Google Cloud: invalid_grant',
      { kind: 'token-error', status: 400, error: 'invalid_grant', description: 'Invalid JWT Signature.' },
      'definitive CREDENTIALS_INVALID',
    ],
    ['F16 Google Cloud: our clock is behind', { kind: 'clock-skew', offsetMs: 3 * 3_600_000 }, 'transient CLOCK_SKEW'],
    ['F16 Google Cloud: our clock is ahead', { kind: 'clock-skew', offsetMs: -3 * 3_600_000 }, 'transient CLOCK_SKEW'],
    ['F08 Google Cloud: token endpoint throttles', { kind: 'token-error', status: 429 }, 'transient THROTTLED'],
    ['F09 Google Cloud: token endpoint is broken', { kind: 'token-error', status: 503 }, 'transient PROVIDER_ERROR'],
    [
      'F09 Google Cloud: a broken token endpoint that claims something definitive',
      { kind: 'token-error', status: 500, error: 'invalid_grant' },
      'transient PROVIDER_ERROR',
    ],
    ['F11 Google Cloud: captive portal before the token endpoint', { kind: 'token-web-page' }, 'transient UNCLASSIFIED'],
    ['a proxy that forbids', { kind: 'token-error', status: 403 }, 'transient UNCLASSIFIED'],
    ['F12 Google Cloud: token endpoint does not answer', { kind: 'token-hang' }, 'transient TIMEOUT'],
    [
      'a client that was deleted',
      { kind: 'token-error', status: 401, error: 'invalid_client', description: 'The OAuth client was not found.' },
      'definitive CREDENTIALS_INVALID',
    ],
  ];
  it.each(tokenFaults)('%s', async (_, fault, expected) => {
    const provider = open({}, { requestTimeoutMs: fault.kind === 'token-hang' ? 500 : 5_000 });
    kms.inject(fault);
    const before = kms.tokenRequests;
    expect(await proof(provider)).toBe(expected);
    expect(kms.tokenRequests - before).toBe(1);
    kms.clearFaults();
    expect(await proof(provider)).toBe('usable null');
  });

  it('F06 Google Cloud: a token that ended during a check is renewed once; a deleted key of the account is found out by a fresh provider', async () => {
    const provider = open();
    const canary = await proven(provider);
    const requests = kms.tokenRequests;
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    expect(kms.tokenRequests).toBe(requests);
    kms.expireTokens();
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    expect(kms.tokenRequests).toBe(requests + 1);
    const doomed = await kms.createServiceAccount();
    const other = open({ serviceAccountKey: JSON.stringify(doomed) });
    await proven(other);
    kms.deleteServiceAccount(doomed['client_email']!, doomed['private_key_id']!);
    expect(await proof(other)).toBe('usable null');
    expect(await proof(other.fresh())).toBe('definitive CREDENTIALS_INVALID');
    kms.expireTokens();
    expect(await proof(other)).toBe('definitive CREDENTIALS_INVALID');
    kms.deleteServiceAccount(doomed['client_email']!);
    expect((await proveKey(other.fresh(), context)).verdict).toMatchObject({ errorName: 'invalid_grant', httpStatus: 400 });
  });

  it('F10 Google Cloud: an unresolvable name and a closed port are network errors, also of the token endpoint', async () => {
    const closed = createTcpServer();
    await new Promise<void>((resolve) => {
      closed.listen(0, '127.0.0.1', resolve);
    });
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => {
      closed.close(resolve);
    });
    const unresolvable = `${'x'.repeat(64)}.invalid`;
    for (const change of [
      { port },
      { host: unresolvable },
      { tokenOrigin: `http://127.0.0.1:${port}` },
      { tokenOrigin: `http://${unresolvable}` },
    ]) {
      expect([change, await proof(open({}, { endpoint: { ...kms.endpoint, ...change } }))]).toEqual([change, 'transient NETWORK']);
    }
  });

  it('F11 Google Cloud: an untrusted and an expired certificate are network errors', async () => {
    const { host, port, tokenOrigin } = kms.endpoint;
    expect(await proof(open({}, { endpoint: { host, port, tokenOrigin } }))).toBe('transient NETWORK');
    const expired = await startDevelopmentGoogleCloudKms({ certificateValidForMs: -60_000 });
    try {
      const endpoint = { ...kms.endpoint, port: expired.endpoint.port, rootCertificates: expired.endpoint.rootCertificates };
      expect(await proof(open({}, { endpoint }))).toBe('transient NETWORK');
    } finally {
      await expired.close();
    }
  });

  it.each([200, 401, 403, 404, 502])('F11 Google Cloud: a proxy that answers HTTP %i with a web page proves nothing', async (status) => {
    const proxy = createSecureServer({ cert: kms.certificate.certificate, key: kms.certificate.privateKey });
    const sessions = new Set<{ destroy(): void }>();
    proxy.on('session', (session) => sessions.add(session));
    proxy.on('stream', (stream) => {
      stream.respond({ ':status': status, 'content-type': 'text/html' });
      stream.end('<!doctype html><title>Welcome</title>');
    });
    await new Promise<void>((resolve) => {
      proxy.listen(0, '127.0.0.1', resolve);
    });
    const { port } = proxy.address() as AddressInfo;
    const { verdict } = await proveKey(open({}, { endpoint: { ...kms.endpoint, port } }), context);
    expect(verdict.kind).toBe('transient');
    for (const session of sessions) session.destroy();
    proxy.close();
  });

  it('F05 Google Cloud: permissions count per operation', async () => {
    const provider = open();
    const canary = await proven(provider);
    kms.deny({ operations: ['Encrypt'] });
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    expect(await proof(provider)).toBe('definitive ACCESS_DENIED');
    kms.deny({ operations: ['GetCryptoKey'] });
    const description = await provider.describe();
    expect(description).toMatchObject({ state: 'ENABLED', usage: null });
    expect(description).not.toHaveProperty('rotation');
    kms.allow();
    kms.deny({ operations: ['Decrypt'] });
    expect(short(await checkCanary(provider, canary, context))).toBe('definitive ACCESS_DENIED');
    expect((await provider.describe()).state).toBe('ENABLED');
  });

  it('F03 F07 Google Cloud: a deleted key, a destroyed version and a key for signatures', async () => {
    const canary = await proven(open());
    kms.destroy(key.version);
    expect(short(await checkCanary(open(), canary, context))).toBe('definitive KEY_NOT_FOUND');
    expect((await open().describe()).state).toBe('DESTROYED');
    kms.deleteKey(key.key);
    expect(short(await checkCanary(open(), canary, context))).toBe('definitive KEY_NOT_FOUND');
    const signing = kms.createKey({ purpose: 'ASYMMETRIC_SIGN' });
    expect(await proof(open({ keyVersionResourceID: signing.version }))).toBe('definitive KEY_USAGE_WRONG');
    const other = kms.createKey();
    const moved = { ...canary, blob: { ...canary.blob, resolvedKeyId: other.version } };
    expect(short(await checkCanary(open(), moved, context))).toBe('definitive CANARY_NOT_UNWRAPPED');
  });

  it('F02 Google Cloud: describes state, planned destruction and rotation', async () => {
    const nextRotationAt = new Date('2027-02-01T00:00:00Z');
    const rotated = kms.createKey({ rotationPeriodSeconds: 90 * 24 * 3_600, nextRotationAt });
    const provider = open({ keyVersionResourceID: rotated.version });
    expect(await provider.describe()).toMatchObject({
      keyId: rotated.version,
      resolvedKeyId: rotated.version,
      keyVersion: '1',
      state: 'ENABLED',
      usage: 'ENCRYPT_DECRYPT',
      algorithm: 'GOOGLE_SYMMETRIC_ENCRYPTION',
      createdAt: expect.any(Date) as Date,
      deletionDate: null,
      rotation: { automatic: true, periodDays: 90, nextRotationAt },
    });
    const at = new Date('2026-12-24T18:00:00.250Z');
    kms.scheduleDestruction(rotated.version, at);
    expect(await provider.describe()).toMatchObject({ state: 'PENDING_DELETION', deletionDate: at });
    expect((await open().describe()).rotation).toEqual({ automatic: false, periodDays: null, nextRotationAt: null });
  });

  it('uses a workload identity, as itself or as a service account', async () => {
    const { writeFile, mkdtemp, rm } = await import('node:fs/promises');
    const { tmpdir } = await import('node:os');
    const { join } = await import('node:path');
    const folder = await mkdtemp(join(tmpdir(), 'workload-identity-'));
    const file = join(folder, 'token');
    const audience = '//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/pool/providers/cluster';
    const configuration = {
      type: 'external_account',
      audience,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: 'https://sts.googleapis.com/v1/token',
      credential_source: { file },
    };
    const email = account['client_email']!;
    const impersonation = {
      ...configuration,
      service_account_impersonation_url: `https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${email}:generateAccessToken`,
    };
    const provider = (document: object): GcpKeyProvider =>
      open({ serviceAccountKey: JSON.stringify(document) }, { subjectTokens: { files: [file] } });
    try {
      await writeFile(file, kms.createSubjectToken({ audience, subject: 'atrest', mayImpersonate: email }));
      expect(await proof(provider(configuration))).toBe('usable null');
      expect(kms.calls().at(-1)?.principal).toBe('principal:atrest');
      expect(await proof(provider(impersonation))).toBe('usable null');
      expect(kms.calls().at(-1)?.principal).toBe(`serviceAccount:${email}`);

      await writeFile(file, kms.createSubjectToken({ audience, subject: 'stranger' }));
      expect(await proof(provider(impersonation))).toBe('definitive ACCESS_DENIED');
      await writeFile(file, kms.createSubjectToken({ audience, subject: 'atrest', expiresAt: new Date(0) }));
      expect(await proof(provider(configuration))).toBe('transient UNCLASSIFIED');
      await writeFile(file, kms.createSubjectToken({ audience: `${audience}-2`, subject: 'atrest' }));
      expect(await proof(provider(configuration))).toBe('definitive CONFIGURATION_WRONG');
      await writeFile(file, 'forged');
      expect(await proof(provider(configuration))).toBe('definitive CREDENTIALS_INVALID');
      kms.inject({ kind: 'token-hang' });
      const slow = open({ serviceAccountKey: JSON.stringify(configuration) }, { subjectTokens: { files: [file] }, requestTimeoutMs: 300 });
      expect(await proof(slow)).toBe('transient TIMEOUT');
      kms.clearFaults();
      await rm(file);
      // What this machine lacks says nothing about the key.
      expect(await proof(provider(configuration))).toBe('transient UNCLASSIFIED');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('takes neither credentials nor servers from the environment, and no rejection stays unhandled', async () => {
    const poison = {
      GOOGLE_APPLICATION_CREDENTIALS: '/nowhere/credentials.json',
      GOOGLE_CLOUD_UNIVERSE_DOMAIN: 'evil.example',
      GCLOUD_PROJECT: 'other',
      GOOGLE_CLOUD_QUOTA_PROJECT: 'other',
    };
    const before = Object.keys(poison).map((name) => [name, process.env[name]] as const);
    Object.assign(process.env, poison);
    try {
      expect(await proof(open())).toBe('usable null');
      const stranger = { ...account, client_email: 'nobody@atrest-development.iam.gserviceaccount.com' };
      expect(await proof(open({ serviceAccountKey: JSON.stringify(stranger) }))).toBe('definitive CREDENTIALS_INVALID');
    } finally {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
    for (const serviceAccountKey of ['', '{}', 'null', '[]', JSON.stringify({ ...account, private_key: 'not a key' })]) {
      expect(() => open({ serviceAccountKey })).toThrow(KeySettingsRefusedError);
    }
  });

  it('limits each request in time and opens a connection of its own for a fresh provider', async () => {
    const provider = open({}, { requestTimeoutMs: 4_000 });
    const canary = await proven(provider);
    const { connections } = kms;
    await checkCanary(provider, canary, context);
    expect(kms.connections).toBe(connections);
    const fresh = provider.fresh();
    opened.push(fresh);
    await checkCanary(fresh, canary, context);
    expect(kms.connections).toBe(connections + 1);
    for (const call of kms.calls().slice(-2)) expect(call.deadlineInMs).toBeLessThanOrEqual(4_000);
  });

  it('ends calls under way when it is closed', async () => {
    const provider = open();
    const canary = await proven(provider);
    kms.inject({ kind: 'hang' });
    const waiting = checkCanary(provider, canary, context);
    await kms.waitForCalls((calls) => calls.at(-1)?.outcome === 'fault:hang');
    provider.close();
    expect(await waiting).toMatchObject({ kind: 'transient', errorName: 'KmsUsageError' });
  });

  it('gives up as throttled when our own limit for the project is used up, and measures each call', async () => {
    const clock = new SimulatedClock(new Date(0));
    const tight = new CallLimiters({ clock, sleep: async () => undefined, quotaOf: () => 20, share: 0.1, maxWaitMs: 0 });
    const own = new Metrics();
    const provider = open({}, { limiters: tight, metrics: own });
    await proven(provider);
    const before = kms.calls().length;
    expect(await proof(provider)).toBe('transient THROTTLED');
    expect(kms.calls().length).toBe(before);
    clock.advance(1_000);
    kms.setState(key.version, 'DISABLED');
    expect(await proof(provider)).toBe('definitive KEY_DISABLED');
    const text = await own.render();
    expect(text).toMatch(/atrest_kms_call_duration_seconds_count\{provider="GCP",operation="Decrypt",outcome="ok"\} 1/);
    expect(text).toMatch(/atrest_kms_call_duration_seconds_count\{provider="GCP",operation="Encrypt",outcome="KEY_DISABLED"\} 1/);
  });
});
