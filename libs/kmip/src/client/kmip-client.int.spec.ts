import { DevelopmentKmipServer, KmipAuthority, waitFor, type DevelopmentKmipServerOptions, type KmipFault } from '@atrest/testing';
import fc from 'fast-check';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { makeAttribute, readAttribute } from '../messages/attributes.js';
import { damage, fuzzRuns } from '../ttlv/arbitrary-item.contract.js';
import { CryptographicAlgorithm, NameType, ObjectType, RevocationReasonCode, State } from '../vocabulary/enumerations.js';
import type { KmipVersion } from '../vocabulary/versions.js';
import { KmipClosedError, KmipConnectionError, KmipHostsError, KmipOperationError } from './errors.js';
import { KmipClient, type KmipClientOptions } from './kmip-client.js';

interface Facts {
  readonly code: string;
  readonly phase?: string;
  readonly systemCode?: string;
  readonly reason?: string | null;
}

const factsOf = (error: unknown): Facts => {
  if (error instanceof KmipConnectionError) {
    const { phase, systemCode } = error.details;
    return { code: error.code, phase, ...(systemCode !== undefined && { systemCode }) };
  }
  if (error instanceof KmipOperationError) return { code: error.code, reason: error.reasonName };
  return { code: (error as { code: string }).code };
};

const failure = async (run: Promise<unknown>): Promise<Facts> => {
  try {
    await run;
  } catch (error) {
    return factsOf(error);
  }
  return { code: 'none' };
};

const AES_256 = [
  makeAttribute('Cryptographic Algorithm', CryptographicAlgorithm.AES),
  makeAttribute('Cryptographic Length', 256),
  makeAttribute('Cryptographic Usage Mask', 0x0c),
];

describe('KMIP client', () => {
  let authority: KmipAuthority;
  let tls: { ca: string; certificate: string; key: string };
  let server: DevelopmentKmipServer;
  let client: KmipClient;
  const toClose: { close(): unknown }[] = [];

  beforeAll(async () => {
    const first = await DevelopmentKmipServer.start();
    toClose.push(first);
    authority = first.authority;
    tls = { ca: authority.certificate, ...(await authority.client('atrest')) };
    server = first;
  });
  beforeEach(async () => {
    server = await start();
    client = open();
  });
  afterEach(async () => {
    for (const each of toClose.splice(0)) await each.close();
  });

  const start = async (options: DevelopmentKmipServerOptions = {}): Promise<DevelopmentKmipServer> => {
    const started = await DevelopmentKmipServer.start({ with: server, ...options });
    toClose.push(started);
    return started;
  };
  const open = (options: Partial<KmipClientOptions> = {}): KmipClient => {
    const opened = new KmipClient({ hosts: [server.host], ...tls, ...options });
    toClose.unshift(opened);
    return opened;
  };
  const stateOf = async (asked: KmipClient, id: string): Promise<number | undefined> => {
    const { attributes } = await asked.request('GetAttributes', { uniqueIdentifier: id, names: ['State'] });
    return readAttribute(attributes, 'State');
  };

  it('leads a key through its life', async () => {
    const name = makeAttribute('Name', { value: `key of ${server.host.port}`, type: NameType.UninterpretedTextString });
    const template = { names: [], attributes: [...AES_256, name] };
    const { uniqueIdentifier: id } = await client.request('Create', { objectType: ObjectType.SymmetricKey, template });
    expect(await stateOf(client, id)).toBe(State.PreActive);
    await client.request('Activate', { uniqueIdentifier: id });
    expect(await stateOf(client, id)).toBe(State.Active);
    expect((await client.request('Locate', { attributes: [name] })).uniqueIdentifiers).toEqual([id]);
    const { symmetricKey } = await client.request('Get', { uniqueIdentifier: id });
    expect(symmetricKey?.block).toMatchObject({ length: 256, value: { material: server.key(id).material } });
    await client.request('Revoke', { uniqueIdentifier: id, reason: { code: RevocationReasonCode.CessationOfOperation } });
    expect(await stateOf(client, id)).toBe(State.Deactivated);
    await client.request('Destroy', { uniqueIdentifier: id });
    expect(await failure(stateOf(client, id))).toEqual({ code: 'KMIP.OPERATION_FAILED', reason: 'ItemNotFound' });
    expect(await failure(client.request('Encrypt', { uniqueIdentifier: id }))).toMatchObject({ reason: 'OperationNotSupported' });
    const { vendor } = await client.request('Query', { functions: [3] });
    expect(vendor).toBe('Atrest development KMIP server');
  });

  describe('versions', () => {
    const cases: [string, DevelopmentKmipServerOptions, KmipVersion][] = [
      ['prefers 1.2 where the server speaks it', {}, '1.2'],
      ['takes what the server has', { versions: ['1.4', '1.3'] }, '1.4'],
      ['falls back where a server knows no DiscoverVersions', { versions: ['1.4'], discoverVersions: false }, '1.4'],
      ['falls back to 1.0, which has no DiscoverVersions', { versions: ['1.0'] }, '1.0'],
      ['falls back where a server ends the connection on a version it does not know', { versions: ['1.0'], otherVersions: 'end' }, '1.0'],
    ];
    it.each(cases)('F24 %s, and asks only once', async (_, options, version) => {
      server = await start(options);
      client = open();
      const { id } = server.createKey();
      expect(await stateOf(client, id)).toBe(State.Active);
      const asked = server.calls.length;
      expect(await stateOf(client, id)).toBe(State.Active);
      expect(server.calls.slice(asked)).toMatchObject([{ operation: 'GetAttributes', version }]);
      expect(server.calls.filter(({ operation }) => operation === 'GetAttributes').map((call) => call.version)).toEqual([version, version]);
    });

    it('says so when there is none in common', async () => {
      server = await start({ versions: ['1.1'], discoverVersions: false });
      expect(await failure(stateOf(open(), '1'))).toEqual({ code: 'KMIP.OPERATION_FAILED', reason: 'InvalidMessage' });
      expect(await failure(open({ version: '1.0' }).request('Encrypt', {}))).toEqual({ code: 'KMIP.NO_COMMON_VERSION' });
    });
  });

  describe('bytes of a hostile server', () => {
    const cut = (length: number) => (answer: Buffer) => answer.subarray(0, length);
    const replaced = (from: string, to: string) => (answer: Buffer) => Buffer.from(answer.toString('hex').replace(from, to), 'hex');
    const huge = (answer: Buffer): Buffer => {
      answer.writeUInt32BE(0xffff_fff8, 4);
      return answer;
    };
    const deep = (): Buffer => {
      const levels = 5_000;
      const bytes = Buffer.alloc(levels * 8);
      for (let level = 0; level < levels; level += 1) {
        bytes.writeUInt32BE(0x42007b01, level * 8);
        bytes.writeUInt32BE((levels - level - 1) * 8, level * 8 + 4);
      }
      return bytes;
    };
    const cases: [string, KmipFault, string][] = [
      [
        'F24 an unknown version',
        { kind: 'mutate', change: replaced('42006a02000000040000000100', '42006a02000000040000000700') },
        'KMIP.VERSION_UNKNOWN',
      ],
      ['F24 a truncated answer', { kind: 'mutate', change: cut(60) }, 'KMIP.TIMEOUT'],
      ['F24 an answer that ends in the middle', { kind: 'end', phase: 'within-answer' }, 'KMIP.CLOSED'],
      ['F24 a length of 4 GiB', { kind: 'mutate', change: huge }, 'TTLV.TOO_LARGE'],
      ['F24 deep nesting', { kind: 'mutate', change: deep }, 'TTLV.TOO_DEEP'],
      ['F24 a wrong tag', { kind: 'mutate', change: replaced('42007f', '42008f') }, 'KMIP.FIELD_MISSING'],
      ['a web page', { kind: 'mutate', change: () => Buffer.from('HTTP/1.1 200 OK\r\n\r\n<html></html>') }, 'TTLV.TAG_INVALID'],
      ['two answers', { kind: 'mutate', change: (answer) => Buffer.concat([answer, answer]) }, 'KMIP.CLOSED'],
      [
        'the answer to something else',
        { kind: 'mutate', change: replaced('42005c05000000040000000b', '42005c050000000400000012') },
        'KMIP.FIELD_UNEXPECTED',
      ],
      ['no answer', { kind: 'hang' }, 'KMIP.TIMEOUT'],
      ['half an answer', { kind: 'hang', phase: 'within-answer' }, 'KMIP.TIMEOUT'],
      ['the end', { kind: 'end' }, 'KMIP.CLOSED'],
      ['a reset', { kind: 'reset' }, 'KMIP.CLOSED'],
      ['a promise', { kind: 'pending' }, 'KMIP.OPERATION_FAILED'],
    ];
    it.each(cases)('gives a typed error for %s, and works again after it', async (_, fault, code) => {
      client = open({ answerTimeoutMs: 2_000 });
      const { id } = server.createKey();
      expect(await stateOf(client, id)).toBe(State.Active);
      server.inject({ ...fault, operations: ['GetAttributes'] });
      expect((await failure(stateOf(client, id))).code).toBe(code);
      server.clearFaults();
      expect(await stateOf(client, id)).toBe(State.Active);
    });
  });

  it('F24 survives any damage to an answer: a value or a typed error within its deadlines, and the next question is answered', async () => {
    client = open({ answerTimeoutMs: 100 });
    const { id } = server.createKey();
    await fc.assert(
      fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 3 }), async (damages) => {
        server.inject({ kind: 'mutate', change: (answer) => damages.reduce((bytes, apply) => apply(bytes), answer) });
        const { code } = await failure(stateOf(client, id));
        expect(code).toMatch(/^(none|KMIP\.[A-Z_]+|TTLV\.[A-Z_]+)$/);
        server.clearFaults();
      }),
      fuzzRuns(40),
    );
    expect(await stateOf(open(), id)).toBe(State.Active);
  });

  describe('connections', () => {
    it('F20 a connection that was dropped while idle is replaced', async () => {
      const { id } = server.createKey();
      expect(await stateOf(client, id)).toBe(State.Active);
      expect(server.connections).toBe(1);
      server.dropConnections();
      expect(await stateOf(client, id)).toBe(State.Active);
      await waitFor(() => server.connections === 1, { describe: 'the connections of the server' });
    });

    it('F21 a half-open connection is given up after one deadline, and a new one asked', async () => {
      client = open({ answerTimeoutMs: 2_000 });
      const { id } = server.createKey();
      expect(await stateOf(client, id)).toBe(State.Active);
      server.inject({ kind: 'hang', count: 1 });
      expect(await stateOf(client, id)).toBe(State.Active);
    });

    it('does not repeat on a dead connection what changes something', async () => {
      client = open({ answerTimeoutMs: 2_000 });
      await client.request('Query', { functions: [] });
      const before = server.calls.length;
      server.inject({ kind: 'end' });
      const template = { names: [], attributes: AES_256 };
      expect((await failure(client.request('Create', { objectType: ObjectType.SymmetricKey, template }))).code).toBe('KMIP.CLOSED');
      expect(server.calls.slice(before).map(({ operation }) => operation)).toEqual(['Create']);
    });

    it('ends an idle connection after its time', async () => {
      client = open({ idleTimeoutMs: 20 });
      await client.request('Query', { functions: [] });
      await waitFor(() => server.connections === 0, { describe: 'the connections of the server' });
    });

    it('answers questions that are asked at the same time', async () => {
      const keys = Array.from({ length: 8 }, () => server.createKey());
      expect(await Promise.all(keys.map(({ id }) => stateOf(client, id)))).toEqual(keys.map(() => State.Active));
      await waitFor(() => server.connections === 1, { describe: 'the connections of the server' });
    });

    it('ends with its questions when it is closed', async () => {
      server.inject({ kind: 'hang', operations: ['GetAttributes'] });
      const asked = failure(stateOf(client, '1'));
      await waitFor(() => server.calls.some(({ operation }) => operation === 'GetAttributes'), { describe: 'the question' });
      client.close();
      expect(await asked).toEqual({ code: 'KMIP.CLIENT_CLOSED' });
      await expect(stateOf(client, '1')).rejects.toThrow(KmipClosedError);
      await waitFor(() => server.connections === 0, { describe: 'the connections of the server' });
    });

    it('ends with its attempts to connect when it is closed', async () => {
      server.inject({ kind: 'silent-host' });
      const asked = failure(stateOf(client, '1'));
      await waitFor(() => server.connections === 1, { describe: 'the connections of the server' });
      client.close();
      expect(await asked).toEqual({ code: 'KMIP.CLIENT_CLOSED' });
    });
  });

  describe('a list of hosts', () => {
    let second: DevelopmentKmipServer;
    beforeEach(async () => {
      second = await start();
      client = open({ hosts: [server.host, second.host], handshakeTimeoutMs: 2_000, answerTimeoutMs: 2_000 });
    });

    it.each<[string, KmipFault]>([
      ['F26 accepts TCP and never answers', { kind: 'silent-host' }],
      ['resets every connection', { kind: 'reset-on-accept' }],
      ['ends every connection after the handshake', { kind: 'end-after-handshake' }],
      ['never answers', { kind: 'hang' }],
      ['answers with a general failure', { kind: 'refuse', reason: 'GeneralFailure', operations: ['GetAttributes'] }],
      ['answers with nonsense', { kind: 'mutate', change: () => Buffer.alloc(64, 0x42) }],
    ])('goes on to the next when the first %s, and starts there the next time', async (_, fault) => {
      const { id } = server.createKey();
      server.inject(fault);
      expect(await stateOf(client, id)).toBe(State.Active);
      const tried = server.calls.length;
      expect(await stateOf(client, id)).toBe(State.Active);
      expect(server.calls).toHaveLength(tried);
      expect(second.calls.filter(({ operation }) => operation === 'GetAttributes')).toHaveLength(2);
    });

    it('does not ask the next what the first has answered', async () => {
      expect(await failure(stateOf(client, '404'))).toEqual({ code: 'KMIP.OPERATION_FAILED', reason: 'ItemNotFound' });
      expect(second.calls).toEqual([]);
    });

    it('tells of every host when none answers, within one deadline for all', async () => {
      server.inject({ kind: 'silent-host' });
      await second.close();
      const error = await stateOf(client, '1').then(
        () => null,
        (reason: unknown) => reason as KmipHostsError,
      );
      expect(error).toBeInstanceOf(KmipHostsError);
      expect(error!.errors.map(factsOf)).toEqual([
        { code: 'KMIP.TIMEOUT', phase: 'handshake' },
        { code: 'KMIP.CONNECT_FAILED', phase: 'connect', systemCode: 'ECONNREFUSED' },
      ]);
      const hasty = open({ hosts: [server.host, second.host], handshakeTimeoutMs: 10_000, requestTimeoutMs: 300 });
      expect(await failure(stateOf(hasty, '1'))).toEqual({ code: 'KMIP.TIMEOUT', phase: 'handshake' });
    });

    it('never asks two hosts to change something when the first may have done it', async () => {
      server.inject({ kind: 'hang', operations: ['Create'] });
      const template = { names: [], attributes: AES_256 };
      const create = () => client.request('Create', { objectType: ObjectType.SymmetricKey, template });
      expect((await failure(create())).code).toBe('KMIP.TIMEOUT');
      expect(second.calls).toEqual([]);
      server.clearFaults();
      server.inject({ kind: 'silent-host' });
      server.dropConnections();
      expect((await create()).uniqueIdentifier).toBeTruthy();
    });
  });

  describe('certificates', () => {
    it('F22 refuses a server whose certificate has expired', async () => {
      server.present(await authority.server({ expired: true }));
      expect(await failure(stateOf(client, '1'))).toEqual({ code: 'KMIP.TLS_FAILED', phase: 'handshake', systemCode: 'CERT_HAS_EXPIRED' });
    });

    it('refuses a server of another name or authority', async () => {
      server.present(await authority.server({ names: ['elsewhere.example'], addresses: ['192.0.2.1'] }));
      expect(await failure(stateOf(client, '1'))).toMatchObject({ code: 'KMIP.TLS_FAILED', systemCode: 'ERR_TLS_CERT_ALTNAME_INVALID' });
      const stranger = await KmipAuthority.create('another authority');
      server.present(await stranger.server());
      expect(await failure(stateOf(client, '1'))).toMatchObject({
        code: 'KMIP.TLS_FAILED',
        systemCode: expect.stringMatching(/UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_GET_ISSUER_CERT/),
      });
    });

    it('F22 finds out by itself that the client certificate has expired, before it asks anybody', async () => {
      const expired = await authority.client('atrest', { expired: true });
      expect(await failure(stateOf(open(expired), '1'))).toEqual({ code: 'KMIP.CLIENT_CERTIFICATE_EXPIRED', phase: 'prepare' });
      const tonight = open({ now: () => new Date(Date.now() + 2 * 24 * 3_600_000) });
      expect(await failure(stateOf(tonight, '1'))).toEqual({ code: 'KMIP.CLIENT_CERTIFICATE_EXPIRED', phase: 'prepare' });
      expect(server.connections).toBe(0);
    });

    it('finds out by itself that the key is not the certificate’s, without a word of the key', async () => {
      const { key } = await authority.client('somebody else');
      const wrong = open({ key });
      const error = await stateOf(wrong, '1').then(
        () => null,
        (reason: unknown) => reason as Error,
      );
      expect(factsOf(error)).toMatchObject({ code: 'KMIP.CLIENT_CERTIFICATE_UNREADABLE', phase: 'prepare' });
      expect(error!.cause).toBeUndefined();
      expect(await failure(stateOf(open({ certificate: 'no PEM' }), '1'))).toMatchObject({ code: 'KMIP.CLIENT_CERTIFICATE_UNREADABLE' });
    });

    it('takes certificate and key from one file, as MongoDB does', async () => {
      const { id } = server.createKey();
      const { ca } = tls;
      const together = new KmipClient({ hosts: [server.host], ca, certificate: `${tls.key}\n${tls.certificate}` });
      toClose.unshift(together);
      expect(await stateOf(together, id)).toBe(State.Active);
    });

    it('is ended without a word by a server that does not know its authority, or told so', async () => {
      const foreign = await (await KmipAuthority.create('another authority')).client('atrest');
      expect(await failure(stateOf(open(foreign), '1'))).toMatchObject({ code: 'KMIP.CLOSED', phase: 'answer' });
      server = await start({ strangers: 'answer' });
      expect(await failure(stateOf(open(foreign), '1'))).toEqual({ code: 'KMIP.OPERATION_FAILED', reason: 'AuthenticationNotSuccessful' });
    });

    it('F90 connects only to addresses that are allowed', async () => {
      const nowhere = { code: 'KMIP.ADDRESS_NOT_ALLOWED', phase: 'connect' };
      const asked: string[] = [];
      const allowAddress = (address: string): boolean => {
        asked.push(address);
        return false;
      };
      expect(await failure(stateOf(open({ allowAddress }), '1'))).toEqual(nowhere);
      const named = { host: 'localhost', port: server.host.port };
      expect(await failure(stateOf(open({ allowAddress, hosts: [named] }), '1'))).toEqual(nowhere);
      expect(asked).toContain('127.0.0.1');
      expect(server.connections).toBe(0);
    });
  });
});
