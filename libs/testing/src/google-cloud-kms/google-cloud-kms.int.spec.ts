import { KeyManagementServiceClient } from '@google-cloud/kms';
import { googleAuthLibrary, grpc } from 'google-gax';
import { SimulatedClock } from '@atrest/platform-time';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { crc32c } from './crc32c.js';
import { DevelopmentGoogleCloudKms } from './google-cloud-kms.js';

describe('development Google Cloud KMS, driven by the vendor SDK', () => {
  const clock = new SimulatedClock(new Date('2026-11-23T08:00:00Z'));
  let kms: DevelopmentGoogleCloudKms;
  let client: KeyManagementServiceClient;

  beforeEach(async () => {
    kms = await DevelopmentGoogleCloudKms.start({ clock });
    const { host, port, rootCertificates } = kms.endpoint;
    // A token without the detour of the token endpoint, which the adapter's own suite covers.
    const account = await kms.createServiceAccount('admin');
    const audience = '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k';
    const subjectToken = kms.createSubjectToken({ audience, subject: 'tests', mayImpersonate: account['client_email']! });
    const exchanged = await fetch(`${kms.endpoint.tokenOrigin}/v1/token`, {
      method: 'POST',
      body: new URLSearchParams({ audience, subject_token: subjectToken }),
    });
    const { access_token: token } = (await exchanged.json()) as { access_token: string };
    const authClient = new googleAuthLibrary.OAuth2Client({ credentials: { access_token: token } });
    client = new KeyManagementServiceClient({
      apiEndpoint: host,
      port,
      authClient,
      sslCreds: grpc.credentials.combineChannelCredentials(
        grpc.credentials.createSsl(Buffer.from(rootCertificates)),
        grpc.credentials.createFromMetadataGenerator((_, callback) => {
          const metadata = new grpc.Metadata();
          metadata.set('authorization', `Bearer ${token}`);
          callback(null, metadata);
        }),
      ),
    });
  });
  afterEach(async () => {
    await client.close();
    await kms.close();
  });

  const plaintext = Buffer.from('secret');

  it('encrypts with the primary or a named version, and decrypts what any version encrypted', async () => {
    const { key, version } = kms.createKey();
    const additionalAuthenticatedData = Buffer.from('context');
    const [first] = await client.encrypt({
      name: key,
      plaintext,
      additionalAuthenticatedData,
      plaintextCrc32c: { value: crc32c(plaintext) },
    });
    expect(first).toMatchObject({ name: version, verifiedPlaintextCrc32c: true, verifiedAdditionalAuthenticatedDataCrc32c: false });
    const rotated = kms.rotate(key);
    expect((await client.encrypt({ name: key, plaintext }))[0].name).toBe(rotated);
    expect((await client.encrypt({ name: version, plaintext }))[0].name).toBe(version);
    const ciphertext = first.ciphertext as Buffer;
    const [opened] = await client.decrypt({ name: key, ciphertext, additionalAuthenticatedData });
    expect(opened).toMatchObject({ usedPrimary: false, plaintextCrc32c: { value: String(crc32c(plaintext)) } });
    expect(Buffer.from(opened.plaintext as Uint8Array)).toEqual(plaintext);
    await expect(client.decrypt({ name: key, ciphertext })).rejects.toMatchObject({
      code: 3,
      details: "Decryption failed: verify that 'name' refers to the correct CryptoKey.",
    });
    await expect(
      client.decrypt({ name: key, ciphertext, additionalAuthenticatedData, ciphertextCrc32c: { value: 1 } }),
    ).rejects.toMatchObject({ code: 3, details: 'The checksum in field ciphertext_crc32c did not match the data in field ciphertext.' });
  });

  it('has the life of a version', async () => {
    const { key, version: name } = kms.createKey({ rotationPeriodSeconds: 7_776_000, nextRotationAt: new Date('2027-01-01T00:00:00Z') });
    const state = async () => (await client.getCryptoKeyVersion({ name }))[0].state;
    const update = (to: 'ENABLED' | 'DISABLED') =>
      client.updateCryptoKeyVersion({ cryptoKeyVersion: { name, state: to }, updateMask: { paths: ['state'] } });
    await update('DISABLED');
    expect(await state()).toBe('DISABLED');
    await expect(client.encrypt({ name, plaintext })).rejects.toMatchObject({
      code: 9,
      details: `${name} is not enabled, current state is: DISABLED.`,
    });
    await update('ENABLED');
    await client.encrypt({ name, plaintext });
    const [scheduled] = await client.destroyCryptoKeyVersion({ name });
    expect(scheduled).toMatchObject({
      state: 'DESTROY_SCHEDULED',
      destroyTime: { seconds: String(Date.parse('2026-12-23T08:00:00Z') / 1000) },
    });
    await expect(update('ENABLED')).rejects.toMatchObject({ code: 9 });
    await client.restoreCryptoKeyVersion({ name });
    expect(await state()).toBe('DISABLED');
    await client.destroyCryptoKeyVersion({ name });
    const [described] = await client.getCryptoKey({ name: key });
    expect(described).toMatchObject({
      purpose: 'ENCRYPT_DECRYPT',
      rotationPeriod: { seconds: '7776000' },
      nextRotationTime: { seconds: String(Date.parse('2027-01-01T00:00:00Z') / 1000) },
      primary: { name, state: 'DESTROY_SCHEDULED' },
    });
    kms.destroy(name);
    expect(await state()).toBe('DESTROYED');
    await expect(client.encrypt({ name, plaintext })).rejects.toMatchObject({
      details: `${name} is not enabled, current state is: DESTROYED.`,
    });
    kms.deleteKey(key);
    await expect(client.encrypt({ name: key, plaintext })).rejects.toMatchObject({ code: 5, details: `CryptoKey ${key} not found.` });
    await expect(client.encrypt({ name: 'nonsense', plaintext })).rejects.toMatchObject({ code: 3, reason: 'RESOURCE_NAME_INVALID' });
  });

  it('asks for a token and for permissions, and says why it refuses', async () => {
    const { key, version } = kms.createKey();
    kms.deny({ name: key, operations: ['Encrypt'] });
    await expect(client.encrypt({ name: version, plaintext })).rejects.toMatchObject({
      code: 7,
      details: `Permission 'cloudkms.cryptoKeyVersions.useToEncrypt' denied on resource '${version}' (or it may not exist).`,
      reason: 'IAM_PERMISSION_DENIED',
      domain: 'googleapis.com',
    });
    kms.allow();
    await client.encrypt({ name: version, plaintext });
    kms.expireTokens();
    await expect(client.encrypt({ name: version, plaintext })).rejects.toMatchObject({ code: 16, reason: 'ACCESS_TOKEN_EXPIRED' });
    expect(kms.calls('Encrypt').map((call) => call.outcome)).toEqual(['PERMISSION_DENIED', 'OK', 'UNAUTHENTICATED']);
  });

  it('hits the next calls with a fault', async () => {
    const { version: name } = kms.createKey();
    kms.inject({ kind: 'error', status: 'RESOURCE_EXHAUSTED', message: 'Quota exceeded', operations: ['Encrypt'], count: 1 });
    await client.getCryptoKeyVersion({ name });
    await expect(client.encrypt({ name, plaintext })).rejects.toMatchObject({ code: 8, details: 'Quota exceeded' });
    await client.encrypt({ name, plaintext });
    kms.inject({ kind: 'hang', count: 1 });
    await expect(client.encrypt({ name, plaintext }, { timeout: 200, retry: null })).rejects.toMatchObject({ code: 4 });
    const before = kms.connections;
    kms.inject({ kind: 'reset', count: 1 });
    await expect(client.encrypt({ name, plaintext }, { timeout: 5_000, retry: null })).rejects.toMatchObject({ code: 14 });
    await client.encrypt({ name, plaintext });
    expect(kms.connections).toBeGreaterThan(before);
  });
});
