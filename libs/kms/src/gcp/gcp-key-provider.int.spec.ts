import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Metrics } from '@atrest/platform-metrics';
import { SimulatedClock } from '@atrest/platform-time';
import { startDevelopmentGoogleCloudKms } from '@atrest/testing';
import { describe, expect, it } from 'vitest';
import { CallLimiters } from '../call-limiter.js';
import { checkCanary } from '../canary.js';
import { KeySettingsRefusedError, WrappedBlobRefusedError } from '../errors.js';
import { keyProviderContract } from '../key-provider.contract.js';
import { GcpAccessTokens } from './gcp-access-tokens.js';
import { GcpConnections } from './gcp-connections.js';
import { parseGcpCredentials } from './gcp-credentials.js';
import { GcpKeyProvider } from './gcp-key-provider.js';
import { context, gcpLimiters, gcpStage } from './gcp-stage.contract.js';

keyProviderContract(
  'Google Cloud KMS on the development Google Cloud KMS',
  async () => {
    const kms = await startDevelopmentGoogleCloudKms();
    const metrics = new Metrics();
    const connections = new GcpConnections(kms.endpoint);
    const serviceAccountKey = JSON.stringify(await kms.createServiceAccount());
    return {
      createKey: () => ({ keyId: kms.createKey().version }),
      provider: (keyVersionResourceID) =>
        new GcpKeyProvider({ keyVersionResourceID, serviceAccountKey }, { connections, limiters: gcpLimiters(), metrics }),
      disable: (name) => kms.setState(name, 'DISABLED'),
      enable: (name) => kms.setState(name, 'ENABLED'),
      scheduleDeletion: (name) => kms.scheduleDestruction(name),
      destroy: (name) => kms.destroy(name),
      requests: () => kms.calls().length,
      close: async () => {
        connections.close();
        await kms.close();
      },
    };
  },
  { aliases: false },
);

/** In whole seconds. */
const daysFromNow = (days: number): Date => new Date((Math.floor(Date.now() / 1_000) + days * 86_400) * 1_000);

describe('Google Cloud KMS', () => {
  const stage = gcpStage();

  it('wraps with the named version, unwraps by the key, and authenticates the context', async () => {
    stage.kms.rotate(stage.key.key);
    const canary = await stage.proven(stage.open());
    const [wrap, unwrap] = stage.kms.calls().slice(-2);
    expect(wrap).toMatchObject({ operation: 'Encrypt', name: stage.key.version });
    expect(unwrap).toMatchObject({ operation: 'Decrypt', name: stage.key.key });
    expect(JSON.parse(wrap!.additionalAuthenticatedData.toString())).toEqual(['atrest:1', context.projectId, 'canary']);
    expect(unwrap!.additionalAuthenticatedData).toEqual(wrap!.additionalAuthenticatedData);
    expect(canary.blob).toMatchObject({ keyId: stage.key.version, resolvedKeyId: stage.key.version, keyVersion: '1' });
    const foreign = { ...canary.blob, resolvedKeyId: 'arn:aws:kms:us-east-1:111122223333:key/1' };
    await expect(stage.open().unwrap(foreign, context)).rejects.toThrow(WrappedBlobRefusedError);
  });

  it('carries the evidence: status, words and reason', async () => {
    const provider = stage.open();
    const canary = await stage.proven(provider);
    stage.kms.deny({ operations: ['Decrypt'] });
    expect(await checkCanary(provider, canary, context)).toEqual({
      kind: 'definitive',
      reason: 'ACCESS_DENIED',
      errorName: 'PERMISSION_DENIED',
      message: `IAM_PERMISSION_DENIED: Permission 'cloudkms.cryptoKeyVersions.useToDecrypt' denied on resource '${stage.key.key}' (or it may not exist).`,
      httpStatus: null,
      requestId: null,
    });
  });

  it('F02 Google Cloud: describes state, planned destruction and rotation', async () => {
    const nextRotationAt = daysFromNow(64);
    const rotated = stage.kms.createKey({ rotationPeriodSeconds: 90 * 24 * 3_600, nextRotationAt });
    const provider = stage.open({ keyVersionResourceID: rotated.version });
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
    const at = new Date(daysFromNow(24).getTime() + 250);
    stage.kms.scheduleDestruction(rotated.version, at);
    expect(await provider.describe()).toMatchObject({ state: 'PENDING_DELETION', deletionDate: at });
    expect((await stage.open().describe()).rotation).toEqual({ automatic: false, periodDays: null, nextRotationAt: null });
  });

  it('uses a workload identity, as itself or as a service account', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'workload-identity-'));
    const file = path.join(folder, 'token');
    const audience = '//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/pool/providers/cluster';
    const configuration = {
      type: 'external_account',
      audience,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: 'https://sts.googleapis.com/v1/token',
      credential_source: { file },
    };
    const email = stage.account['client_email']!;
    const impersonation = {
      ...configuration,
      service_account_impersonation_url: `https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${email}:generateAccessToken`,
    };
    const provider = (document: object): GcpKeyProvider =>
      stage.open({ serviceAccountKey: JSON.stringify(document) }, { subjectTokens: { files: [file] } });
    try {
      await writeFile(file, stage.kms.createSubjectToken({ audience, subject: 'atrest', mayImpersonate: email }));
      expect(await stage.proof(provider(configuration))).toBe('usable null');
      expect(stage.kms.calls().at(-1)?.principal).toBe('principal:atrest');
      expect(await stage.proof(provider(impersonation))).toBe('usable null');
      expect(stage.kms.calls().at(-1)?.principal).toBe(`serviceAccount:${email}`);

      await writeFile(file, stage.kms.createSubjectToken({ audience, subject: 'stranger' }));
      expect(await stage.proof(provider(impersonation))).toBe('definitive ACCESS_DENIED');
      await writeFile(file, stage.kms.createSubjectToken({ audience, subject: 'atrest', expiresAt: new Date(0) }));
      expect(await stage.proof(provider(configuration))).toBe('transient UNCLASSIFIED');
      await writeFile(file, stage.kms.createSubjectToken({ audience: `${audience}-2`, subject: 'atrest' }));
      expect(await stage.proof(provider(configuration))).toBe('definitive CONFIGURATION_WRONG');
      await writeFile(file, 'forged');
      expect(await stage.proof(provider(configuration))).toBe('definitive CREDENTIALS_INVALID');
      stage.kms.inject({ kind: 'token-hang' });
      const slow = stage.open(
        { serviceAccountKey: JSON.stringify(configuration) },
        { subjectTokens: { files: [file] }, requestTimeoutMs: 300 },
      );
      expect(await stage.proof(slow)).toBe('transient TIMEOUT');
      stage.kms.clearFaults();
      await rm(file);
      // What this machine lacks says nothing about the key.
      expect(await stage.proof(provider(configuration))).toBe('transient UNCLASSIFIED');
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
      expect(await stage.proof(stage.open())).toBe('usable null');
      const stranger = { ...stage.account, client_email: 'nobody@atrest-development.iam.gserviceaccount.com' };
      expect(await stage.proof(stage.open({ serviceAccountKey: JSON.stringify(stranger) }))).toBe('definitive CREDENTIALS_INVALID');
    } finally {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
    for (const serviceAccountKey of ['', '{}', 'null', '[]', JSON.stringify({ ...stage.account, private_key: 'not a key' })]) {
      expect(() => stage.open({ serviceAccountKey })).toThrow(KeySettingsRefusedError);
    }
  });

  it('limits each request in time; a fresh provider has a new token and a younger connection', async () => {
    const provider = stage.open({}, { requestTimeoutMs: 4_000 });
    const canary = await stage.proven(provider);
    for (const call of stage.kms.calls().slice(-2)) expect(call.deadlineInMs).toBeLessThanOrEqual(4_000);
    const { connections } = stage.kms;
    await checkCanary(provider, canary, context);
    expect(stage.kms.connections).toBe(connections);
    const fresh = provider.fresh();
    await checkCanary(fresh, canary, context);
    expect(stage.kms.connections).toBe(connections + 1);
    fresh.close();
    // Confirmations of the same seconds share one: many keys may fail at once.
    const another = provider.fresh();
    await checkCanary(another, canary, context);
    expect(stage.kms.connections).toBe(connections + 1);
    another.close();
    const tokens = stage.kms.tokenRequests;
    const alone = stage.open({}, {}, {});
    await checkCanary(alone, canary, context);
    const fresher = alone.fresh();
    await checkCanary(fresher, canary, context);
    fresher.close();
    expect(stage.kms.connections).toBe(connections + 3);
    expect(stage.kms.tokenRequests).toBe(tokens + 2);
  });

  it('F06 Google Cloud: asks for a new token before Google would, so that a deleted key of an account is found out', async () => {
    const doomed = await stage.kms.createServiceAccount();
    let now = 0;
    const { tokenOrigin } = stage.kms.endpoint;
    const tokens = new GcpAccessTokens(parseGcpCredentials(JSON.stringify(doomed)), {
      requestTimeoutMs: 5_000,
      tokenOrigin,
      now: () => now,
    });
    const first = await tokens.get();
    expect(first.reused).toBe(false);
    stage.kms.deleteServiceAccount(doomed['client_email']!);
    now += 14 * 60_000;
    expect(await tokens.get()).toEqual({ token: first.token, reused: true });
    now += 60_000;
    await expect(tokens.get()).rejects.toThrow('invalid_grant');
    // Nor does the old token come back.
    await expect(tokens.get()).rejects.toThrow('invalid_grant');
  });

  it('ends calls under way when it is closed', async () => {
    const provider = stage.open();
    const canary = await stage.proven(provider);
    stage.kms.inject({ kind: 'hang' });
    const waiting = checkCanary(provider, canary, context);
    await stage.kms.waitForCalls((calls) => calls.at(-1)?.outcome === 'fault:hang');
    provider.close();
    expect(await waiting).toMatchObject({ kind: 'transient', errorName: 'KmsUsageError' });
  });

  it('gives up as throttled when our own limit for the project is used up, and measures each call', async () => {
    const clock = new SimulatedClock(new Date(0));
    const tight = new CallLimiters({ clock, sleep: async () => undefined, quotaOf: () => 20, share: 0.1, maxWaitMs: 0 });
    const own = new Metrics();
    const provider = stage.open({}, { limiters: tight, metrics: own });
    await stage.proven(provider);
    const before = stage.kms.calls().length;
    expect(await stage.proof(provider)).toBe('transient THROTTLED');
    expect(stage.kms.calls().length).toBe(before);
    clock.advance(1_000);
    stage.kms.setState(stage.key.version, 'DISABLED');
    expect(await stage.proof(provider)).toBe('definitive KEY_DISABLED');
    const text = await own.render();
    expect(text).toMatch(/atrest_kms_call_duration_seconds_count\{provider="GCP",operation="Decrypt",outcome="ok"\} 1/);
    expect(text).toMatch(/atrest_kms_call_duration_seconds_count\{provider="GCP",operation="Encrypt",outcome="KEY_DISABLED"\} 1/);
  });
});
