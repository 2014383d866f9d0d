import {
  DecryptCommand,
  DescribeKeyCommand,
  DisableKeyRotationCommand,
  EnableKeyRotationCommand,
  EncryptCommand,
  GetKeyRotationStatusCommand,
  KMSClient,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms';
import { AssumeRoleCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { SimulatedClock } from '@atrest/platform-time';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DevelopmentKms } from './development-kms.js';

const DAY_MS = 24 * 3_600_000;

describe('roles and rotation in the development KMS, driven by the AWS SDK', () => {
  const start = new Date();
  let clock: SimulatedClock;
  let kms: DevelopmentKms;
  let sts: STSClient;
  const clients: { destroy(): void }[] = [];

  beforeEach(async () => {
    clock = new SimulatedClock(start);
    kms = await DevelopmentKms.start({ clock });
    sts = new STSClient({ endpoint: kms.url, region: 'us-east-1', credentials: kms.createAccessKey(), maxAttempts: 1 });
    clients.push(sts);
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    await kms.close();
  });

  const connect = (credentials: { accessKeyId: string; secretAccessKey: string; sessionToken?: string }): KMSClient => {
    const client = new KMSClient({ endpoint: kms.url, region: 'us-east-1', credentials, maxAttempts: 1 });
    clients.push(client);
    return client;
  };

  it('lends a role to whoever knows its external id, for a while', async () => {
    const RoleArn = kms.createRole({ name: 'keys', externalId: 'project-7' });
    const assume = (ExternalId?: string) =>
      sts.send(new AssumeRoleCommand({ RoleArn, RoleSessionName: 'test', ExternalId, DurationSeconds: 900 }));
    const refused = {
      name: 'AccessDenied',
      $metadata: { httpStatusCode: 403 },
      message: expect.stringContaining('sts:AssumeRole') as string,
    };
    await expect(assume()).rejects.toMatchObject(refused);
    await expect(assume('project-8')).rejects.toMatchObject(refused);
    const { Credentials: given, AssumedRoleUser: user } = await assume('project-7');
    expect(user?.Arn).toBe('arn:aws:sts::111122223333:assumed-role/keys/test');
    expect(given?.Expiration).toEqual(new Date(Math.floor(start.getTime() / 1000 + 900) * 1000 + (start.getTime() % 1000)));
    const session = connect({
      accessKeyId: given!.AccessKeyId!,
      secretAccessKey: given!.SecretAccessKey!,
      sessionToken: given!.SessionToken!,
    });
    const KeyId = kms.createKey().arn;
    const { CiphertextBlob } = await session.send(new EncryptCommand({ KeyId, Plaintext: Buffer.from('secret') }));
    kms.deleteRole(RoleArn);
    await expect(assume('project-7')).rejects.toMatchObject(refused);
    // As in AWS, a session outlives the trust it was given on.
    await session.send(new DecryptCommand({ CiphertextBlob }));
    clock.advance(901_000);
    kms.inject({ kind: 'clock-skew', offsetMs: 0 });
    const late = await session.send(new DecryptCommand({ CiphertextBlob })).catch((error: unknown) => error);
    expect((late as Error).name).toMatch(/InvalidSignature|ExpiredToken/);
    await expect(session.send(new DecryptCommand({ CiphertextBlob }))).rejects.toMatchObject({ name: 'ExpiredTokenException' });
  });

  it('refuses what it cannot do and credentials that are wrong', async () => {
    await expect(sts.send(new GetCallerIdentityCommand({}))).rejects.toMatchObject({ name: 'InvalidAction' });
    const RoleArn = kms.createRole();
    await expect(sts.send(new AssumeRoleCommand({ RoleArn, RoleSessionName: 'test', Policy: '{}' }))).rejects.toMatchObject({
      name: 'ValidationError',
    });
    const stranger = new STSClient({
      endpoint: kms.url,
      region: 'us-east-1',
      credentials: { accessKeyId: 'AKIAX', secretAccessKey: 'x' },
      maxAttempts: 1,
    });
    clients.push(stranger);
    await expect(stranger.send(new AssumeRoleCommand({ RoleArn, RoleSessionName: 'test' }))).rejects.toMatchObject({
      name: 'InvalidClientTokenId',
    });
  });

  it('tells when a key rotates by itself, and when it will be deleted', async () => {
    const client = connect(kms.createAccessKey());
    const { arn: KeyId } = kms.createKey();
    const status = () => client.send(new GetKeyRotationStatusCommand({ KeyId }));
    expect(await status()).toMatchObject({ KeyId, KeyRotationEnabled: false });
    await client.send(new EnableKeyRotationCommand({ KeyId, RotationPeriodInDays: 90 }));
    const { NextRotationDate: next, ...rotation } = await status();
    expect(rotation).toMatchObject({ KeyRotationEnabled: true, RotationPeriodInDays: 90 });
    expect(Math.abs(next!.getTime() - start.getTime() - 90 * DAY_MS)).toBeLessThan(1_000);
    await client.send(new DisableKeyRotationCommand({ KeyId }));
    expect(await status()).toMatchObject({ KeyRotationEnabled: false });
    const imported = kms.createKey({ origin: 'EXTERNAL' });
    await expect(client.send(new GetKeyRotationStatusCommand({ KeyId: imported.arn }))).rejects.toMatchObject({
      name: 'UnsupportedOperationException',
    });
    const { DeletionDate } = await client.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }));
    expect((await client.send(new DescribeKeyCommand({ KeyId }))).KeyMetadata?.DeletionDate).toEqual(DeletionDate);
  });

  it('is controlled over HTTP', async () => {
    const control = async (method: string, path: string, body?: unknown): Promise<Record<string, unknown>> => {
      const response = await fetch(`${kms.url}/_control${path}`, { method, ...(body !== undefined && { body: JSON.stringify(body) }) });
      expect(response.status).toBe(200);
      return (await response.json()) as Record<string, unknown>;
    };
    const { arn } = await control('POST', '/roles', { name: 'web', externalId: 'x-1' });
    const { keyId } = kms.createKey();
    await control('POST', `/keys/${keyId}/rotation`, { periodDays: 365 });
    expect(await control('GET', '')).toMatchObject({ roles: [{ arn, externalId: 'x-1' }], keys: [{ rotation: { periodDays: 365 } }] });
    await control('DELETE', `/roles/${String(arn)}`);
    expect(kms.roles()).toEqual([]);
  });
});
