import { randomBytes } from 'node:crypto';
import { KmipAuthority, pykmipAvailable, PykmipServer, waitFor, type KmipCredentials } from '@atrest/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { makeAttribute, readAttribute } from '../messages/attributes.js';
import {
  BlockCipherMode,
  CryptographicAlgorithm,
  CryptographicUsage,
  KeyFormatType,
  NameType,
  ObjectType,
  PaddingMethod,
  QueryFunction,
  RevocationReasonCode,
  State,
} from '../vocabulary/enumerations.js';
import { OPERATIONS } from '../vocabulary/operations.js';
import { KMIP_VERSIONS, type KmipVersion } from '../vocabulary/versions.js';
import { KmipClient, type KmipClientOptions } from './kmip-client.js';

const DAY_MS = 24 * 3_600_000;

describe.skipIf(!(await pykmipAvailable()))('KMIP client and PyKMIP, a server that nobody here wrote', () => {
  let server: PykmipServer;
  let credentials: KmipCredentials;
  const opened: KmipClient[] = [];

  beforeAll(async () => {
    server = await PykmipServer.start();
    credentials = await server.authority.client('atrest');
  });
  afterEach(() => {
    for (const client of opened.splice(0)) client.close();
  });
  afterAll(() => server.stop());

  const open = (options: Partial<KmipClientOptions> = {}): KmipClient => {
    const client = new KmipClient({ hosts: [server.host], ca: server.authority.certificate, ...credentials, ...options });
    opened.push(client);
    return client;
  };
  const template = (name: string) => ({
    names: [],
    attributes: [
      makeAttribute('Cryptographic Algorithm', CryptographicAlgorithm.AES),
      makeAttribute('Cryptographic Length', 256),
      makeAttribute('Cryptographic Usage Mask', 0x0c),
      makeAttribute('Name', { value: name, type: NameType.UninterpretedTextString }),
    ],
  });
  const stateOf = async (client: KmipClient, id: string): Promise<number | undefined> =>
    readAttribute((await client.request('GetAttributes', { uniqueIdentifier: id, names: ['State'] })).attributes, 'State');

  it.each(KMIP_VERSIONS)('leads a key through its life in KMIP %s', async (version: KmipVersion) => {
    const client = open({ version });
    const name = `orders ${version}`;
    const made = await client.request('Create', { objectType: ObjectType.SymmetricKey, template: template(name) });
    const id = made.uniqueIdentifier;
    expect(made.objectType).toBe(ObjectType.SymmetricKey);
    expect(await stateOf(client, id)).toBe(State.PreActive);
    await client.request('Activate', { uniqueIdentifier: id });
    const { attributes } = await client.request('GetAttributes', { uniqueIdentifier: id, names: [] });
    expect(readAttribute(attributes, 'State')).toBe(State.Active);
    expect(readAttribute(attributes, 'Name')?.value).toBe(name);
    expect(readAttribute(attributes, 'Cryptographic Length')).toBe(256);
    expect(Math.abs(readAttribute(attributes, 'Initial Date')!.getTime() - Date.now())).toBeLessThan(DAY_MS);
    const { names } = await client.request('GetAttributeList', { uniqueIdentifier: id });
    expect(names).toEqual(expect.arrayContaining(['State', 'Cryptographic Algorithm']));
    const searched = makeAttribute('Name', { value: name, type: NameType.UninterpretedTextString });
    expect((await client.request('Locate', { attributes: [searched] })).uniqueIdentifiers).toEqual([id]);
    const { symmetricKey } = await client.request('Get', { uniqueIdentifier: id });
    expect(symmetricKey?.block).toMatchObject({ format: KeyFormatType.Raw, algorithm: CryptographicAlgorithm.AES, length: 256 });
    await expect(client.request('Destroy', { uniqueIdentifier: id })).rejects.toMatchObject({ reasonName: 'PermissionDenied' });
    await client.request('Revoke', { uniqueIdentifier: id, reason: { code: RevocationReasonCode.CessationOfOperation } });
    expect(await stateOf(client, id)).toBe(State.Deactivated);
    await client.request('Revoke', {
      uniqueIdentifier: id,
      reason: { code: RevocationReasonCode.KeyCompromise },
      compromisedAt: new Date(),
    });
    expect(await stateOf(client, id)).toBe(State.Compromised);
    await client.request('Destroy', { uniqueIdentifier: id });
    await expect(stateOf(client, id)).rejects.toMatchObject({
      reasonName: 'ItemNotFound',
      serverMessage: `Could not locate object: ${id}`,
    });
  });

  it('gives back the bytes that were registered', async () => {
    const client = open();
    const material = randomBytes(32);
    const block = { format: KeyFormatType.Raw, value: { material, attributes: [] }, algorithm: CryptographicAlgorithm.AES, length: 256 };
    const made = await client.request('Register', {
      objectType: ObjectType.SymmetricKey,
      template: template('registered'),
      symmetricKey: { block },
    });
    const { symmetricKey } = await client.request('Get', { uniqueIdentifier: made.uniqueIdentifier });
    expect(symmetricKey?.block.value).toEqual({ material, attributes: [] });
  });

  it('encrypts and decrypts on the server as the test case CS-BC-M-11-12 of OASIS does', async () => {
    const client = open();
    const hex = (text: string): Buffer => Buffer.from(text, 'hex');
    const attributes = [
      makeAttribute('Cryptographic Algorithm', CryptographicAlgorithm.AES),
      makeAttribute('Cryptographic Length', 128),
      makeAttribute('Cryptographic Usage Mask', CryptographicUsage.Encrypt | CryptographicUsage.Decrypt),
    ];
    const value = { material: hex('0123456789abcdef0123456789abcdef'), attributes: [] };
    const block = { format: KeyFormatType.Raw, value, algorithm: CryptographicAlgorithm.AES, length: 128 };
    const key = { objectType: ObjectType.SymmetricKey, template: { names: [], attributes }, symmetricKey: { block } };
    const { uniqueIdentifier } = await client.request('Register', key);
    await client.request('Activate', { uniqueIdentifier });
    const parameters = {
      blockCipherMode: BlockCipherMode.CBC,
      paddingMethod: PaddingMethod.PKCS5,
      // PyKMIP wants it named; the test case leaves it to the key.
      cryptographicAlgorithm: CryptographicAlgorithm.AES,
    };
    const iv = hex('ff020304050607080910111213141516');
    const data = hex('010203040506070809101112131415160102030405060708091011121314151601');
    const encrypted = await client.request('Encrypt', { uniqueIdentifier, parameters, data, iv });
    expect(Buffer.from(encrypted.data!).toString('hex')).toBe(
      'e768203ba72b6e157daaad34b1e791d8e88457dc147942f01bfaff7b28a3cdde2203d4d5a4c7928ba9e9cc78b66a6546',
    );
    const decrypted = await client.request('Decrypt', { uniqueIdentifier, parameters, data: encrypted.data!, iv });
    expect(Buffer.from(decrypted.data!)).toEqual(data);
  });

  it('agrees on KMIP 1.2 and learns what the server can do', async () => {
    const client = open();
    const { operations, vendor } = await client.request('Query', {
      functions: [QueryFunction.QueryOperations, QueryFunction.QueryServerInformation],
    });
    expect(vendor).toContain('PyKMIP');
    expect(operations).toEqual(expect.arrayContaining([OPERATIONS.Encrypt.code, OPERATIONS.DiscoverVersions.code]));
    expect(server.log()).toContain('Processing operation: DiscoverVersions');
    const { versions } = await client.request('DiscoverVersions', { versions: [] });
    expect(versions).toContainEqual({ major: 1, minor: 0 });
  });

  it('is refused what belongs to another client', async () => {
    const { uniqueIdentifier } = await open().request('Create', { objectType: ObjectType.SymmetricKey, template: template('private') });
    const other = open(await server.authority.client('somebody else'));
    await expect(other.request('Get', { uniqueIdentifier })).rejects.toMatchObject({ reasonName: 'PermissionDenied' });
  });

  it('is told that its answer would be too large', async () => {
    const { uniqueIdentifier } = await open().request('Create', { objectType: ObjectType.SymmetricKey, template: template('large') });
    const small = open({ maxResponseBytes: 300, version: '1.2' });
    await expect(small.request('GetAttributes', { uniqueIdentifier, names: [] })).rejects.toMatchObject({ reasonName: 'ResponseTooLarge' });
  });

  const query = { functions: [QueryFunction.QueryServerInformation] };

  it('is refused with a certificate that does not say what it is for, by an answer', async () => {
    const vague = open(await server.authority.client('atrest', { usage: 'none' }));
    await expect(vague.request('Query', query)).rejects.toMatchObject({ reasonName: 'AuthenticationNotSuccessful' });
  });

  it.each([
    ['for servers', 43, async () => server.authority.client('atrest', { usage: 'server' })],
    ['of another authority', 48, async () => (await KmipAuthority.create('another authority')).client('atrest')],
    // Our clock is wrong, so that the server is the first to notice.
    ['F22 that has expired', 45, async () => server.authority.client('atrest', { expired: true })],
  ])('is refused with a certificate %s, by the TLS alert %i', async (_, alert, make) => {
    const refused = open({ ...(await make()), now: () => new Date(Date.now() - 1.5 * DAY_MS) });
    const error = await refused.request('Query', query).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'KMIP.TLS_FAILED', details: { alert, phase: 'handshake' } });
    expect((error as Error).message).toMatch(/^127\.0\.0\.1:\d+: .*alert/);
  });

  it('F21 F26 does not wait for a server that hangs, and is served again when it goes on', async () => {
    const client = open({ handshakeTimeoutMs: 1_500, answerTimeoutMs: 1_500 });
    await waitFor(() => client.request('Query', query), { describe: 'an answer in time, from a machine that may be busy' });
    server.pause();
    await expect(client.request('Query', query)).rejects.toMatchObject({
      code: 'KMIP.TIMEOUT',
      details: { phase: 'handshake' },
    });
    server.resume();
    expect((await open().request('Query', query)).vendor).toContain('PyKMIP');
  });
});
