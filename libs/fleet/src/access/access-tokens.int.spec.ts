import { SealingKeys, ACCESS_TOKEN_AUDIENCE } from '@atrest/platform-auth';
import { SimulatedClock } from '@atrest/platform-time';
import { testDatabase, type TestDatabase } from '@atrest/testing';
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify, type JSONWebKeySet } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FirstOwner } from './fleet-access.js';
import {
  basic,
  ISSUER,
  logLines,
  openReplica,
  SEALING_KEY,
  serve,
  type Client,
  type Replica,
} from '../test-support/access-installation.js';

const start = new Date('2026-11-23T12:00:00.000Z');
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

let testDb: TestDatabase;
let clock: SimulatedClock;
let replica: Replica;
let client: Client;
let owner: FirstOwner;

beforeEach(async () => {
  testDb = await testDatabase('access tokens');
  clock = new SimulatedClock(start);
  replica = await openReplica({ url: testDb.url, clock });
  client = await serve(replica, clock, new Map());
  owner = (await replica.access.bootstrap())!;
});
afterEach(async () => {
  await client?.close();
  await replica?.close();
  await testDb?.drop();
});

const root = (token: string) => client.call('GET', '/api/atlas/v2', { token });
const keySet = async () => (await client.call('GET', '/api/oauth/jwks')).body as JSONWebKeySet;
const kidOf = (token: string) => decodeProtectedHeader(token).kid;

/** Runs the maintenance loop of signing keys once, as it runs at every start. */
async function maintainKeys(o: { sealingKeys?: string } = {}): Promise<void> {
  const other = await openReplica({ url: testDb.url, clock, ...o });
  other.access.start();
  await other.close();
}

describe('the first start', () => {
  it('gives the secret of the first owner once, to one of several replicas that start together', async () => {
    const fresh = await testDatabase('first start');
    const replicas = await Promise.all([1, 2, 3].map(() => openReplica({ url: fresh.url, clock })));
    const owners = await Promise.all(replicas.map((each) => each.access.bootstrap({ organisationName: 'Acme' })));
    const shown = owners.filter((each) => each !== null);
    expect(shown).toHaveLength(1);
    expect(shown[0]?.secret).toMatch(/^mdb_sa_sk_/);
    expect(await replicas.at(0)!.access.organisations.all()).toMatchObject([{ id: shown[0]?.orgId, name: 'Acme' }]);
    expect(await replicas.at(1)!.access.bootstrap()).toBeNull();
    for (const each of replicas) await each.close();
    await fresh.drop();
  });

  it('the first owner logs in and is known', async () => {
    expect((await root(await client.token(owner))).body).toEqual({
      apiKey: null,
      appName: 'MongoDB Atlas',
      build: expect.stringMatching(/^[0-9a-f]{40}$/),
      throttling: false,
      links: [],
    });
  });
});

describe('an owner whose secret is lost', () => {
  it('is replaced by an operator; the old one keeps what it has', async () => {
    const recovered = (await replica.access.recoverOwner())!;
    expect(recovered.orgId).toBe(owner.orgId);
    expect(recovered.clientId).not.toBe(owner.clientId);
    for (const each of [owner, recovered]) expect((await root(await client.token(each))).status).toBe(200);
  });

  it('cannot be replaced before the first start', async () => {
    const fresh = await testDatabase('no organisation');
    const other = await openReplica({ url: fresh.url, clock });
    expect(await other.access.recoverOwner()).toBeNull();
    await other.close();
    await fresh.drop();
  });

  it('is warned of for 30 days, unless another secret of an owner lives longer', async () => {
    const warnings = () => logLines.filter((line) => line.includes('secret of the organisation') && line.includes(owner.orgId));
    clock.advance(334 * DAY_MS);
    await maintainKeys();
    expect(warnings()).toEqual([]);
    clock.advance(2 * DAY_MS);
    await maintainKeys();
    expect(warnings()).toHaveLength(1);
    expect(warnings()[0]).not.toContain(owner.secret);
    await replica.access.recoverOwner();
    await maintainKeys();
    expect(warnings()).toHaveLength(1);
  });
});

describe('POST /api/oauth/token', () => {
  it('answers as the Atlas clients expect', async () => {
    const reply = await client.logIn(owner.clientId, owner.secret);
    expect(reply.status).toBe(200);
    expect(reply.headers.get('content-type')).toMatch(/^application\/json/);
    expect(reply.headers.get('cache-control')).toBe('no-store');
    expect(reply.body).toEqual({ access_token: expect.any(String), expires_in: 3600, token_type: 'Bearer' });
  });

  it('signs claims that anyone can check by the published keys, which hold nothing private', async () => {
    const token = await client.token(owner);
    for (const path of ['/api/oauth/jwks', '/.well-known/jwks.json']) {
      const { body } = await client.call('GET', path);
      for (const key of body.keys) expect(Object.keys(key).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
      const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet(body), { currentDate: clock.now() });
      const issuedAt = start.getTime() / 1000;
      expect(payload).toEqual({
        iss: ISSUER,
        aud: ACCESS_TOKEN_AUDIENCE,
        sub: owner.clientId,
        jti: expect.any(String),
        iat: issuedAt,
        exp: issuedAt + 3600,
      });
      expect(protectedHeader).toMatchObject({ alg: 'ES256', typ: 'at+jwt' });
    }
  });

  it('takes percent-encoded credentials and credentials in the form', async () => {
    const encoded = basic(encodeURIComponent(owner.clientId).replaceAll('_', '%5F'), encodeURIComponent(owner.secret));
    const inForm = { grant_type: 'client_credentials', client_id: owner.clientId, client_secret: owner.secret };
    expect((await client.form('/api/oauth/token', { grant_type: 'client_credentials' }, { authorization: encoded })).status).toBe(200);
    expect((await client.form('/api/oauth/token', inForm)).status).toBe(200);
  });

  it('answers an unknown client, a wrong and an expired secret in the same way', async () => {
    const expired = await replica.access.accounts.createSecret({ orgId: owner.orgId }, owner.clientId, 1);
    clock.advance(HOUR_MS);
    const replies = await Promise.all([
      client.logIn(`mdb_sa_id_${'0'.repeat(24)}`, owner.secret),
      client.logIn('no client id \u0000', owner.secret),
      client.logIn(owner.clientId, 'mdb_sa_sk_wrong'),
      client.logIn(owner.clientId, expired.value),
    ]);
    for (const reply of replies) {
      expect(reply.status).toBe(401);
      expect(reply.text).toBe('{"error":"invalid_client","error_description":"Invalid credentials provided."}');
      expect(reply.headers.get('cache-control')).toBe('no-store');
      const names = [...reply.headers.keys()].filter((name) => name !== 'date');
      expect(names).toEqual([...replies.at(0)!.headers.keys()].filter((name) => name !== 'date'));
    }
  });

  it.each<[Record<string, string>, string]>([
    [{}, 'invalid_request'],
    [{ grant_type: 'authorization_code' }, 'unsupported_grant_type'],
  ])('answers %o with 400 %s', async (fields, error) => {
    const reply = await client.form('/api/oauth/token', fields, { authorization: basic(owner.clientId, owner.secret) });
    expect([reply.status, reply.body.error]).toEqual([400, error]);
  });

  it('limits failed attempts per client id, says when to come back, and lets the others through', async () => {
    const other = await replica.access.accounts.create(owner.orgId, {
      name: 'other',
      description: 'other',
      orgRoles: ['ORG_MEMBER'],
      secretExpiresAfterHours: 1,
    });
    const statuses: number[] = [];
    for (let i = 0; i < 11; i += 1) statuses.push((await client.logIn(owner.clientId, 'wrong')).status);
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 401), 429]);
    const limited = await client.logIn(owner.clientId, owner.secret);
    expect([limited.status, limited.headers.get('retry-after'), limited.body.error]).toEqual([429, '6', 'temporarily_unavailable']);
    expect((await client.logIn(other.account.clientId, other.secret.value)).status).toBe(200);
    clock.advance(6000);
    expect((await client.logIn(owner.clientId, owner.secret)).status).toBe(200);
  });

  it('remembers when a secret was last used', async () => {
    clock.advance(HOUR_MS);
    await client.token(owner);
    const { secrets } = await replica.access.accounts.find({ orgId: owner.orgId }, owner.clientId);
    expect(secrets.map((secret) => secret.lastUsedAt)).toEqual([clock.now()]);
  });
});

describe('POST /api/oauth/revoke', () => {
  const revoke = (token: string, by: { clientId: string; secret: string } = owner) =>
    client.form('/api/oauth/revoke', { token, token_type_hint: 'access_token' }, { authorization: basic(by.clientId, by.secret) });

  it('F83 a revoked token is of no use any more, also when it is revoked twice', async () => {
    const token = await client.token(owner);
    const kept = await client.token(owner);
    for (let time = 0; time < 2; time += 1) {
      const reply = await revoke(token);
      expect([reply.status, reply.text]).toEqual([200, '']);
    }
    expect((await root(token)).status).toBe(401);
    expect((await root(kept)).status).toBe(200);
    const events = await replica.database.query("SELECT FROM outbox WHERE envelope->>'type' = 'io.atrest.access-token.revoked.v1'");
    expect(events).toHaveLength(1);
  });

  it('answers unknown, expired and foreign tokens the same, and changes nothing', async () => {
    const other = await replica.access.accounts.create(owner.orgId, {
      name: 'other',
      description: 'other',
      orgRoles: ['ORG_MEMBER'],
      secretExpiresAfterHours: 9,
    });
    const token = await client.token(owner);
    for (const unknown of ['nonsense', token.slice(0, -4), token]) {
      const reply = await revoke(unknown, { clientId: other.account.clientId, secret: other.secret.value });
      expect([reply.status, reply.text]).toEqual([200, '']);
    }
    expect((await root(token)).status).toBe(200);
    clock.advance(HOUR_MS);
    expect((await revoke(token)).status).toBe(200);
    expect(await replica.database.query('SELECT FROM access_revoked_token')).toEqual([]);
  });

  it('refuses who cannot prove to be a client', async () => {
    const token = await client.token(owner);
    expect((await revoke(token, { clientId: owner.clientId, secret: 'wrong' })).body).toEqual({
      error: 'invalid_client',
      error_description: 'Invalid credentials provided.',
    });
    expect((await root(token)).status).toBe(200);
  });
});

describe('signing keys', () => {
  it('rotate: the next one is published a day before it signs, the old one accepted until its last token expired', async () => {
    const first = await client.token(owner);
    expect((await keySet()).keys).toHaveLength(1);

    clock.advance(29 * DAY_MS);
    await maintainKeys();
    expect((await keySet()).keys).toHaveLength(2);
    expect(kidOf(await client.token(owner))).toBe(kidOf(first));

    clock.advance(DAY_MS - 1000);
    const last = await client.token(owner);
    expect(kidOf(last)).toBe(kidOf(first));
    clock.advance(1000);
    const next = await client.token(owner);
    expect(kidOf(next)).not.toBe(kidOf(first));
    expect((await root(last)).status).toBe(200);
    expect((await root(next)).status).toBe(200);

    clock.advance(HOUR_MS + 5 * 60_000);
    await maintainKeys();
    expect((await keySet()).keys.map((key) => key.kid)).toEqual([kidOf(next)]);
    const privates = await replica.database.query<{ kid: string }>('SELECT kid FROM signing_key');
    expect(privates).toEqual([{ kid: kidOf(next) }]);
  });

  it('several replicas that need the first key at once make one', async () => {
    const others = await Promise.all([1, 2].map(() => openReplica({ url: testDb.url, clock })));
    const clients = await Promise.all(others.map((other) => serve(other, clock, new Map())));
    const tokens = await Promise.all([client, ...clients].map((each) => each.token(owner)));
    expect(new Set(tokens.map(kidOf)).size).toBe(1);
    expect(await replica.database.query('SELECT FROM signing_key')).toHaveLength(1);
    for (const each of clients) await each.close();
    for (const other of others) await other.close();
  });

  it('are sealed anew when the sealing key is replaced, after which the old one is not needed', async () => {
    const before = await client.token(owner);
    const newKey = SealingKeys.generate('k2');
    await maintainKeys({ sealingKeys: `${newKey},${SEALING_KEY}` });
    const later = await openReplica({ url: testDb.url, clock, sealingKeys: newKey });
    const laterClient = await serve(later, clock, new Map());
    expect(kidOf(await laterClient.token(owner))).toBe(kidOf(before));
    await laterClient.close();
    await later.close();
  });

  it('that nobody can open are replaced, and tokens signed by them stay valid', async () => {
    const before = await client.token(owner);
    const stranger = await openReplica({ url: testDb.url, clock, sealingKeys: SealingKeys.generate('other') });
    const strangerClient = await serve(stranger, clock, new Map());
    const after = await strangerClient.token(owner);
    expect(kidOf(after)).not.toBe(kidOf(before));
    for (const token of [before, after]) expect((await root(token)).status).toBe(200);
    await strangerClient.close();
    await stranger.close();
  });

  it('leave nothing in the database by which anybody could log in or sign', async () => {
    await client.token(owner);
    const tables = await replica.database.query<{ name: string }>(
      'SELECT table_name AS name FROM information_schema.tables WHERE table_schema = current_schema()',
    );
    let dump = '';
    for (const { name } of tables) {
      const found = await replica.database.query<{ row: string }>(`SELECT "${name}"::text AS row FROM "${name}"`);
      dump += found.map(({ row }) => row).join('\n');
    }
    expect(dump).toContain(owner.clientId);
    expect(dump).not.toContain(owner.secret);
    expect(dump).not.toContain(owner.secret.slice(10, 40));
    expect(dump).not.toMatch(/\\?"d\\?"\s*:/);
  });
});
