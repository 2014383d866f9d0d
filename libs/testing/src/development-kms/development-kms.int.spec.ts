import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CancelKeyDeletionCommand,
  CreateAliasCommand,
  CreateKeyCommand,
  DecryptCommand,
  DeleteAliasCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateDataKeyWithoutPlaintextCommand,
  KMSClient,
  ListAliasesCommand,
  ListKeysCommand,
  ScheduleKeyDeletionCommand,
  UpdateAliasCommand,
} from '@aws-sdk/client-kms';
import { SimulatedClock } from '@atrest/platform-time';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DevelopmentKms, type Credentials } from './development-kms.js';

const DAY_MS = 24 * 3_600_000;

describe('development KMS, driven by the AWS SDK', () => {
  let kms: DevelopmentKms;
  let credentials: Credentials;
  let client: KMSClient;
  const clients: KMSClient[] = [];

  const connect = (o: Partial<Credentials> & { region?: string; url?: string } = {}): KMSClient => {
    const { region = 'us-east-1', url = kms.url, ...keys } = o;
    const made = new KMSClient({ endpoint: url, region, credentials: { ...credentials, ...keys }, maxAttempts: 1 });
    clients.push(made);
    return made;
  };

  beforeEach(async () => {
    kms = await DevelopmentKms.start();
    credentials = kms.createAccessKey();
    client = connect();
  });
  afterEach(async () => {
    for (const made of clients.splice(0)) made.destroy();
    await kms.close();
  });

  const Plaintext = Buffer.from('secret');
  const newKey = async (): Promise<string> => (await client.send(new CreateKeyCommand({}))).KeyMetadata?.Arn ?? '';

  it('encrypts, decrypts and makes data keys', async () => {
    const KeyId = await newKey();
    const EncryptionContext = { b: '2', a: '1' };
    const { CiphertextBlob } = await client.send(new EncryptCommand({ KeyId, Plaintext, EncryptionContext }));
    // The order of a context does not matter; its content does.
    const opened = await client.send(new DecryptCommand({ CiphertextBlob, EncryptionContext: { a: '1', b: '2' } }));
    expect(opened).toMatchObject({ KeyId, EncryptionAlgorithm: 'SYMMETRIC_DEFAULT' });
    expect(Buffer.from(opened.Plaintext ?? [])).toEqual(Plaintext);
    for (const wrong of [{}, { a: '1' }, { a: '1', b: '3' }]) {
      await expect(client.send(new DecryptCommand({ CiphertextBlob, EncryptionContext: wrong }))).rejects.toMatchObject({
        name: 'InvalidCiphertextException',
      });
    }
    const dataKey = await client.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' }));
    const unwrapped = await client.send(new DecryptCommand({ CiphertextBlob: dataKey.CiphertextBlob }));
    expect(unwrapped.Plaintext).toEqual(dataKey.Plaintext);
    expect(unwrapped.Plaintext).toHaveLength(32);
    const bare = await client.send(new GenerateDataKeyWithoutPlaintextCommand({ KeyId, NumberOfBytes: 48 }));
    expect(bare).not.toHaveProperty('Plaintext');
    expect((await client.send(new DecryptCommand({ CiphertextBlob: bare.CiphertextBlob }))).Plaintext).toHaveLength(48);
  });

  it('has the key states of AWS', async () => {
    const KeyId = await newKey();
    const { CiphertextBlob } = await client.send(new EncryptCommand({ KeyId, Plaintext }));
    const decrypt = () => client.send(new DecryptCommand({ KeyId, CiphertextBlob }));
    const state = async () => (await client.send(new DescribeKeyCommand({ KeyId }))).KeyMetadata;

    await client.send(new DisableKeyCommand({ KeyId }));
    await expect(decrypt()).rejects.toMatchObject({
      name: 'DisabledException',
      message: `${KeyId} is disabled.`,
      $metadata: { httpStatusCode: 400 },
    });
    await client.send(new EnableKeyCommand({ KeyId }));
    await decrypt();

    const scheduled = await client.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }));
    expect(scheduled).toMatchObject({ KeyState: 'PendingDeletion', PendingWindowInDays: 7 });
    expect(await state()).toMatchObject({ KeyState: 'PendingDeletion', Enabled: false, DeletionDate: scheduled.DeletionDate });
    await expect(decrypt()).rejects.toMatchObject({ name: 'KMSInvalidStateException', message: `${KeyId} is pending deletion.` });
    await expect(client.send(new EnableKeyCommand({ KeyId }))).rejects.toMatchObject({ name: 'KMSInvalidStateException' });
    await client.send(new CancelKeyDeletionCommand({ KeyId }));
    expect(await state()).toMatchObject({ KeyState: 'Disabled' });
  });

  it('destroys a key when its waiting period is over', async () => {
    const clock = new SimulatedClock(new Date());
    const timed = await DevelopmentKms.start({ clock });
    const { arn } = timed.createKey({ alias: 'doomed' });
    const own = connect({ url: timed.url, ...timed.createAccessKey() });
    await own.send(new ScheduleKeyDeletionCommand({ KeyId: arn, PendingWindowInDays: 7 }));
    clock.advance(7 * DAY_MS);
    // The SDK learns the server's time from the refusal of the first request.
    await expect(own.send(new DescribeKeyCommand({ KeyId: arn }))).rejects.toMatchObject({ name: 'InvalidSignatureException' });
    await expect(own.send(new DescribeKeyCommand({ KeyId: arn }))).rejects.toMatchObject({
      name: 'NotFoundException',
      message: `Key '${arn}' does not exist`,
    });
    await expect(own.send(new DescribeKeyCommand({ KeyId: 'alias/doomed' }))).rejects.toMatchObject({ name: 'NotFoundException' });
    await timed.close();
  });

  it('keeps aliases', async () => {
    const [first, second] = [await newKey(), await newKey()];
    const AliasName = 'alias/orders';
    await client.send(new CreateAliasCommand({ AliasName, TargetKeyId: first }));
    await expect(client.send(new CreateAliasCommand({ AliasName, TargetKeyId: second }))).rejects.toMatchObject({
      name: 'AlreadyExistsException',
    });
    const { CiphertextBlob, KeyId } = await client.send(new EncryptCommand({ KeyId: AliasName, Plaintext }));
    expect(KeyId).toBe(first);
    await client.send(new UpdateAliasCommand({ AliasName, TargetKeyId: second }));
    await expect(client.send(new DecryptCommand({ KeyId: AliasName, CiphertextBlob }))).rejects.toMatchObject({
      name: 'IncorrectKeyException',
    });
    await client.send(new DecryptCommand({ KeyId: first, CiphertextBlob }));
    const { Aliases } = await client.send(new ListAliasesCommand({ KeyId: second }));
    expect(Aliases).toEqual([{ AliasName, AliasArn: second.replace(/key\/.*/, AliasName), TargetKeyId: second.split('/')[1] }]);
    await expect(client.send(new DisableKeyCommand({ KeyId: AliasName }))).rejects.toMatchObject({ name: 'NotFoundException' });
    await client.send(new DeleteAliasCommand({ AliasName }));
    await expect(client.send(new DescribeKeyCommand({ KeyId: AliasName }))).rejects.toMatchObject({
      name: 'NotFoundException',
      message: `Alias ${second.replace(/key\/.*/, AliasName)} is not found.`,
    });
  });

  it('keeps regions apart', async () => {
    const KeyId = await newKey();
    const elsewhere = connect({ region: 'eu-central-1' });
    await expect(elsewhere.send(new EncryptCommand({ KeyId, Plaintext }))).rejects.toMatchObject({ name: 'NotFoundException' });
    const local = await elsewhere.send(new CreateKeyCommand({}));
    expect(local.KeyMetadata?.Arn).toMatch(/^arn:aws:kms:eu-central-1:111122223333:key\//);
  });

  it('verifies signatures, clocks and credentials', async () => {
    const KeyId = await newKey();
    const fails = async (other: KMSClient, expected: object): Promise<void> => {
      await expect(other.send(new DescribeKeyCommand({ KeyId }))).rejects.toMatchObject(expected);
    };
    await fails(connect({ secretAccessKey: 'wrong' }), { name: 'InvalidSignatureException' });
    await fails(connect({ accessKeyId: 'AKIAUNKNOWN' }), {
      name: 'UnrecognizedClientException',
      message: 'The security token included in the request is invalid.',
    });
    for (const [offsetMs, words] of [
      [6 * 60_000, /^Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(\d{8}T\d{6}Z - 5 min\.\)$/],
      [-6 * 60_000, /^Signature not yet current: /],
    ] as const) {
      kms.inject({ kind: 'clock-skew', offsetMs, hideDate: true, count: 1 });
      await fails(client, { name: 'InvalidSignatureException', message: expect.stringMatching(words) });
    }
    const unsigned = await fetch(kms.url, { method: 'POST', headers: { 'x-amz-target': 'TrentService.DescribeKey' }, body: '{}' });
    expect(unsigned.status).toBe(400);
    expect(await unsigned.json()).toMatchObject({ __type: 'MissingAuthenticationTokenException' });
    const temporary = kms.createAccessKey({ temporary: true });
    await connect(temporary).send(new DescribeKeyCommand({ KeyId }));
    await fails(connect({ ...temporary, sessionToken: 'stolen' }), { name: 'UnrecognizedClientException' });
    kms.deleteAccessKey(credentials.accessKeyId);
    await fails(client, { name: 'UnrecognizedClientException' });
  });

  it('denies by key, principal and operation', async () => {
    const KeyId = await newKey();
    const denial = kms.deny({ keyId: KeyId, operations: ['Encrypt'] });
    await expect(client.send(new EncryptCommand({ KeyId, Plaintext }))).rejects.toMatchObject({
      name: 'AccessDeniedException',
      message: expect.stringContaining(`is not authorized to perform: kms:Encrypt on resource: ${KeyId}`),
    });
    await client.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' }));
    kms.allow(denial.id);
    await client.send(new EncryptCommand({ KeyId, Plaintext }));
  });

  it('refuses what it cannot do instead of ignoring it', async () => {
    const KeyId = await newKey();
    await expect(client.send(new ListKeysCommand({}))).rejects.toMatchObject({ name: 'UnknownOperationException' });
    await expect(client.send(new EncryptCommand({ KeyId, Plaintext, GrantTokens: ['t'] }))).rejects.toMatchObject({
      name: 'InvalidGrantTokenException',
    });
    await expect(client.send(new EncryptCommand({ KeyId, Plaintext, DryRun: true }))).rejects.toMatchObject({
      name: 'DryRunOperationException',
    });
    await expect(client.send(new CreateKeyCommand({ MultiRegion: true }))).rejects.toMatchObject({ name: 'UnsupportedOperationException' });
    await expect(client.send(new CreateKeyCommand({ Policy: '{}' }))).rejects.toMatchObject({ name: 'ValidationException' });
  });

  it('hits the next calls, one operation or one key with a fault, and counts calls', async () => {
    const [sick, well] = [await newKey(), await newKey()];
    const encrypt = (KeyId: string) => client.send(new EncryptCommand({ KeyId, Plaintext }));
    kms.inject({ kind: 'throttle', operations: ['Encrypt'], keyId: sick.split('/')[1] ?? '', count: 2 });
    await encrypt(well);
    await client.send(new DescribeKeyCommand({ KeyId: sick }));
    for (const _ of [1, 2]) {
      await expect(encrypt(sick)).rejects.toMatchObject({ name: 'ThrottlingException', $metadata: { httpStatusCode: 400 } });
    }
    await encrypt(sick);
    expect(kms.calls({ operation: 'Encrypt', outcome: 'ThrottlingException' })).toHaveLength(2);
    expect(kms.activeFaults()).toEqual([]);
    kms.inject({ kind: 'hang' });
    const waiting = encrypt(well).catch((error: unknown) => error);
    await kms.waitForCalls((calls) => calls.at(-1)?.outcome === 'fault:hang');
    await kms.close();
    expect(await waiting).toBeInstanceOf(Error);
    kms = await DevelopmentKms.start();
  });

  it('survives a restart with its state file, which only its owner can read', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'development-kms-'));
    const stateFile = join(folder, 'state.json');
    const first = await DevelopmentKms.start({ stateFile });
    const keys = first.createAccessKey();
    const { arn } = first.createKey({ alias: 'kept' });
    const { CiphertextBlob } = await connect({ url: first.url, ...keys }).send(new EncryptCommand({ KeyId: 'alias/kept', Plaintext }));
    first.disableKey(arn);
    await first.close();
    expect((await stat(stateFile)).mode & 0o777).toBe(0o600);
    expect(await readFile(stateFile, 'utf8')).toContain('Never use it for real data');

    const second = await DevelopmentKms.start({ stateFile });
    const again = connect({ url: second.url, ...keys });
    await expect(again.send(new DecryptCommand({ CiphertextBlob }))).rejects.toMatchObject({ name: 'DisabledException' });
    await again.send(new EnableKeyCommand({ KeyId: arn }));
    expect(Buffer.from((await again.send(new DecryptCommand({ CiphertextBlob }))).Plaintext ?? [])).toEqual(Plaintext);
    await second.close();
    await rm(folder, { recursive: true });
  });

  it('listens on the loopback only and says what it is', async () => {
    for (const host of ['0.0.0.0', '::', '192.168.0.1', '127.evil.example']) {
      await expect(DevelopmentKms.start({ host })).rejects.toThrow('loopback only');
    }
    const response = await fetch(`${kms.url}/_control`);
    expect(response.headers.get('server')).toContain('development KMS');
    expect(await response.text()).toContain('protects nothing');
  });

  it('is controlled over HTTP, but not by a web page', async () => {
    const control = async (method: string, path: string, body?: unknown): Promise<Record<string, unknown>> => {
      const response = await fetch(`${kms.url}/_control${path}`, { method, ...(body !== undefined && { body: JSON.stringify(body) }) });
      expect({ path, status: response.status }).toEqual({ path, status: 200 });
      return (await response.json()) as Record<string, unknown>;
    };
    const KeyId = String((await control('POST', '/keys', { alias: 'web' }))['arn']);
    const keyId = KeyId.split('/')[1] ?? '';
    const keys = (await control('POST', '/access-keys', {})) as unknown as Credentials;
    const other = connect(keys);
    await other.send(new EncryptCommand({ KeyId: 'alias/web', Plaintext }));
    await control('POST', `/keys/${keyId}/disable`);
    await expect(other.send(new EncryptCommand({ KeyId, Plaintext }))).rejects.toMatchObject({ name: 'DisabledException' });
    await control('POST', `/keys/${keyId}/enable`);
    await control('POST', '/faults', { kind: 'throttle', count: 1 });
    await expect(other.send(new EncryptCommand({ KeyId, Plaintext }))).rejects.toMatchObject({ name: 'ThrottlingException' });
    await other.send(new EncryptCommand({ KeyId, Plaintext }));
    const state = JSON.stringify(await control('GET', ''));
    expect(state).toContain(keys.accessKeyId);
    expect(state).not.toContain(keys.secretAccessKey);

    const foreign = await fetch(`${kms.url}/_control/faults`, { method: 'POST', headers: { origin: 'https://evil.example' }, body: '{}' });
    expect(foreign.status).toBe(403);
    const nonsense = await fetch(`${kms.url}/_control/faults`, { method: 'POST', body: '{"kind":"meteor"}' });
    expect(nonsense.status).toBe(400);
  });
});
