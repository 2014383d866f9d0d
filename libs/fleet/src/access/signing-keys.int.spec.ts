import { randomBytes } from 'node:crypto';
import type { ServiceAccountState } from '@atrest/contracts';
import { SimulatedClock } from '@atrest/platform-time';
import { testDatabase, type TestDatabase } from '@atrest/testing';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { FirstOwner } from './fleet-access.js';
import { logLines, openReplica, serve, type Client, type Replica } from '../test-support/access-installation.js';

const start = new Date('2026-11-23T12:00:00.000Z');

let testDb: TestDatabase;
let replica: Replica;
let client: Client;
let owner: FirstOwner;
let token: string;
let clientId: string;

beforeAll(async () => {
  testDb = await testDatabase('signing keys');
  const clock = new SimulatedClock(start);
  replica = await openReplica({ url: testDb.url, clock });
  owner = (await replica.access.bootstrap())!;
  client = await serve(replica, clock, new Map());
  token = await client.token(owner);
});
afterAll(async () => {
  await client?.close();
  await replica?.close();
  await testDb?.drop();
});
beforeEach(async () => {
  clientId = (await replica.access.accounts.create(owner.orgId, account)).account.clientId;
});

const account = { name: 'Restores', description: 'Publishes commands', orgRoles: ['ORG_MEMBER'], secretExpiresAfterHours: 1 } as const;
const path = (rest = '') => `/api/atlas/v2/orgs/${owner.orgId}/serviceAccounts/${clientId}/signingKeys${rest}`;
const call = (method: string, at: string, body?: unknown) => client.call(method, at, { token, body });

/** The last state that the other services were told. */
async function announced(): Promise<ServiceAccountState> {
  const [last] = await replica.database.query<{ data: ServiceAccountState }>(
    `SELECT envelope->'data' AS data FROM outbox WHERE envelope->>'type' = 'io.atrest.service-account.changed.v1' AND subject = $1
      ORDER BY position DESC LIMIT 1`,
    [clientId],
  );
  return last!.data;
}

async function keyPair(algorithm: 'ES256' | 'EdDSA'): Promise<{ privateJwk: JWK; publicJwk: JWK }> {
  const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true });
  return { privateJwk: await exportJWK(privateKey), publicJwk: await exportJWK(publicKey) };
}

describe('/orgs/{orgId}/serviceAccounts/{clientId}/signingKeys', () => {
  it.each(['ES256', 'EdDSA'] as const)(
    'registers a public key for %s, shows it, tells the other services, and takes it away',
    async (algorithm) => {
      const { publicJwk } = await keyPair(algorithm);
      const id = await calculateJwkThumbprint(publicJwk);
      const created = await call('POST', path(), {
        publicJwk: { ...publicJwk, kid: 'mine', use: 'sig', alg: algorithm, key_ops: ['verify'] },
      });
      expect(created.status).toBe(201);
      const shown = { id, kid: `${clientId}#${id}`, publicJwk, createdAt: '2026-11-23T12:00:00Z' };
      expect(created.body).toEqual(shown);
      expect((await call('GET', path())).body).toMatchObject({ results: [shown], totalCount: 1 });
      expect((await announced()).signingKeys).toEqual([{ kid: shown.kid, publicJwk }]);
      expect((await replica.access.store.findAccount(clientId))!.signingKeys).toEqual([{ kid: shown.kid, publicJwk }]);

      const { revision } = await announced();
      expect((await call('POST', path(), { publicJwk })).body).toEqual(shown);
      expect((await announced()).revision).toBe(revision);

      expect((await call('DELETE', path(`/${id}`))).status).toBe(204);
      expect(await announced()).toMatchObject({ signingKeys: [], revision: revision + 1 });
      expect((await call('DELETE', path(`/${id}`))).body).toMatchObject({ error: 404, errorCode: 'RESOURCE_NOT_FOUND' });
    },
  );

  it('refuses a private key, says why, and keeps nothing of it anywhere', async () => {
    for (const algorithm of ['ES256', 'EdDSA'] as const) {
      const { privateJwk } = await keyPair(algorithm);
      const refused = await call('POST', path(), { publicJwk: privateJwk });
      expect(refused.body).toMatchObject({
        error: 400,
        errorCode: 'INVALID_ATTRIBUTE',
        detail: expect.stringContaining('holds a private key'),
      });
      expect(refused.text).not.toContain(privateJwk.d);
      expect(logLines.join('')).not.toContain(privateJwk.d);
      const stored = await replica.database.query('SELECT envelope FROM outbox UNION ALL SELECT to_json(a) FROM service_account a');
      expect(JSON.stringify(stored)).not.toContain(privateJwk.d);
    }
    const secret = randomBytes(32).toString('base64url');
    const symmetric = await call('POST', path(), { publicJwk: { kty: 'oct', k: secret } });
    expect([symmetric.status, symmetric.body.detail]).toEqual([400, expect.stringContaining('holds a private key')]);
    expect(logLines.join('')).not.toContain(secret);
    expect((await call('GET', path())).body.totalCount).toBe(0);
  });

  it('refuses what is no key that may sign commands', async () => {
    const { publicJwk } = await keyPair('ES256');
    for (const wrong of [
      { kty: 'RSA', n: 'AQAB', e: 'AQAB' },
      { ...publicJwk, crv: 'P-384' },
      { ...publicJwk, y: 'short' },
      // 32 bytes, but on no point of the curve.
      { ...publicJwk, y: Buffer.alloc(32, 1).toString('base64url') },
    ]) {
      const refused = await call('POST', path(), { publicJwk: wrong });
      expect([refused.status, refused.text]).toEqual([400, expect.stringContaining('publicJwk')]);
    }
    expect((await call('POST', path(), {})).body.errorCode).toBe('MISSING_ATTRIBUTE');
    expect((await call('POST', path(), { publicJwk, extra: 1 })).status).toBe(400);
  });

  it('is for owners of the organisation, and for accounts that are there', async () => {
    const member = await replica.access.accounts.create(owner.orgId, account);
    const memberToken = await client.token({ clientId: member.account.clientId, secret: member.secret.value });
    expect((await client.call('GET', path(), { token: memberToken })).status).toBe(403);
    const { publicJwk } = await keyPair('ES256');
    await call('DELETE', path().replace('/signingKeys', ''));
    expect((await call('GET', path())).status).toBe(404);
    expect((await call('POST', path(), { publicJwk })).status).toBe(404);
    expect(await announced()).toMatchObject({ signingKeys: [], deletedAt: expect.any(String) });
  });
});
