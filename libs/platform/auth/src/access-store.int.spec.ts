import { accessTokenRevoked, serviceAccountChanged, signingKeyCreated, type EventDefinition, type EventEnvelope } from '@atrest/contracts';
import type { ServiceAccountState, SigningKeyState } from '@atrest/contracts';
import { createLogger } from '@atrest/platform-logging';
import { Metrics } from '@atrest/platform-metrics';
import { ServiceDatabase } from '@atrest/platform-persistence';
import { SimulatedClock } from '@atrest/platform-time';
import { testDatabase, type TestDatabase } from '@atrest/testing';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { accessConsumes, accessHandlers } from './access-projection.js';
import { accessMigrations, AccessStore } from './access-store.js';

const start = new Date('2026-11-23T12:00:00.000Z');
const HOUR_MS = 3_600_000;
const orgId = 'a'.repeat(24);
const clientId = `mdb_sa_id_${'c'.repeat(24)}`;
const account = (revision: number, o: Partial<ServiceAccountState> = {}): ServiceAccountState => ({
  clientId,
  orgId,
  name: `revision ${revision}`,
  grants: [{ role: 'ORG_OWNER', orgId, projectId: null }],
  signingKeys: [{ kid: `${clientId}#revision-${revision}`, publicJwk: { kty: 'OKP', crv: 'Ed25519', x: 'A'.repeat(43) } }],
  deletedAt: null,
  revision,
  ...o,
});
const signingKey = (o: Partial<SigningKeyState> = {}): SigningKeyState => ({
  kid: 'key-1',
  publicJwk: { kty: 'EC', crv: 'P-256', x: 'x', y: 'y' },
  signsUntil: new Date(start.getTime() + HOUR_MS).toISOString(),
  acceptedUntil: new Date(start.getTime() + 2 * HOUR_MS).toISOString(),
  ...o,
});

let testDb: TestDatabase;
let database: ServiceDatabase;
let clock: SimulatedClock;
let store: AccessStore;

beforeAll(async () => {
  testDb = await testDatabase('access store');
  const logger = createLogger({ service: 'test', level: 'error' });
  database = await ServiceDatabase.open({
    service: 'access-test',
    url: testDb.url,
    migrations: accessMigrations,
    logger,
    metrics: new Metrics({}),
  });
});
afterAll(async () => {
  await database?.close();
  await testDb?.drop();
});
beforeEach(async () => {
  await database.query('TRUNCATE access_service_account, access_signing_key, access_revoked_token');
  clock = new SimulatedClock(start);
  store = new AccessStore(database, clock);
});

/** Handles an event the way the inbox does: each delivery in a transaction of its own, and every one twice. */
async function deliver<D>(definition: EventDefinition<D>, data: D): Promise<void> {
  const handler = accessHandlers(store).find((candidate) => candidate.definition === definition);
  const event = { type: definition.type, data } as EventEnvelope<D>;
  for (let delivery = 0; delivery < 2; delivery += 1) await database.transaction(async (tx) => handler!.handle(event, tx));
}

describe('the access projection', () => {
  it('has exactly one handler for each event it consumes', () => {
    expect(accessHandlers(store).map((handler) => handler.definition)).toEqual(accessConsumes);
  });

  it('ends with the newest state of an account, in whatever order and however often its events arrive', async () => {
    const revisions = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(revisions, async (order) => {
        await database.query('TRUNCATE access_service_account');
        for (const revision of order) await deliver(serviceAccountChanged, account(revision));
        expect(await store.findAccount(clientId)).toEqual(account(Math.max(...order)));
      }),
      { numRuns: 20 },
    );
  });

  it('a deleted account is not brought back by an event from before', async () => {
    await deliver(serviceAccountChanged, account(2, { grants: [], deletedAt: start.toISOString() }));
    await deliver(serviceAccountChanged, account(1));
    expect(await store.findAccount(clientId)).toMatchObject({ deletedAt: start.toISOString(), grants: [] });
    expect((await store.lookUp(clientId, 'token')).account?.deletedAt).toBe(start.toISOString());
  });

  it("a key's times only shrink and its public half never changes", async () => {
    const retired = { signsUntil: start.toISOString(), acceptedUntil: start.toISOString() };
    await deliver(signingKeyCreated, signingKey());
    await deliver(signingKeyCreated, signingKey({ ...retired, publicJwk: { kty: 'EC', crv: 'P-256', x: 'forged', y: 'forged' } }));
    await deliver(signingKeyCreated, signingKey());
    expect(await store.findKey('key-1')).toEqual(signingKey(retired));
  });

  it('knows a revoked token', async () => {
    await deliver(accessTokenRevoked, { tokenId: 'token-1', expiresAt: new Date(start.getTime() + HOUR_MS).toISOString() });
    expect(await store.lookUp(clientId, 'token-1')).toEqual({ account: undefined, revoked: true });
    expect(await store.lookUp(clientId, 'token-2')).toEqual({ account: undefined, revoked: false });
  });
});

describe('AccessStore', () => {
  it('lists keys whose tokens are accepted, the one that signs first in front', async () => {
    const later = (ms: number) => new Date(start.getTime() + ms).toISOString();
    await database.transaction(async (tx) => {
      await store.applySigningKey(tx, signingKey({ kid: 'next', signsUntil: later(3 * HOUR_MS), acceptedUntil: later(4 * HOUR_MS) }));
      await store.applySigningKey(tx, signingKey({ kid: 'current' }));
      await store.applySigningKey(tx, signingKey({ kid: 'past', signsUntil: later(-HOUR_MS), acceptedUntil: later(0) }));
    });
    expect((await store.acceptedKeys()).map((key) => key.kid)).toEqual(['current', 'next']);
  });

  it('forgets expired revocations and keys with later writes, those that may still matter not', async () => {
    const revoke = (tokenId: string, minutes: number) =>
      database.transaction((tx) =>
        store.applyRevocation(tx, { tokenId, expiresAt: new Date(start.getTime() + minutes * 60_000).toISOString() }),
      );
    await revoke('long-gone', 0);
    await revoke('just-gone', 55);
    await revoke('alive', 61);
    await database.transaction((tx) => store.applySigningKey(tx, signingKey({ kid: 'old', acceptedUntil: start.toISOString() })));
    clock.advance(HOUR_MS);
    await revoke('new', 120);
    await database.transaction((tx) => store.applySigningKey(tx, signingKey({ kid: 'new' })));
    const left = await database.query<{ token_id: string }>('SELECT token_id FROM access_revoked_token ORDER BY expires_at');
    expect(left.map((row) => row.token_id)).toEqual(['just-gone', 'alive', 'new']);
    expect(await store.findKey('old')).toBeUndefined();
    expect(await store.findKey('new')).toBeDefined();
  });

  it('says what a write did', async () => {
    await database.transaction(async (tx) => {
      expect(await store.applyServiceAccount(tx, account(2))).toBe('applied');
      expect(await store.applyServiceAccount(tx, account(2))).toBe('stale');
      expect(await store.applyServiceAccount(tx, account(1))).toBe('stale');
      expect(await store.applySigningKey(tx, signingKey())).toBe('applied');
      expect(await store.applySigningKey(tx, signingKey())).toBe('known');
      expect(await store.applyRevocation(tx, { tokenId: 't', expiresAt: start.toISOString() })).toBe('applied');
      expect(await store.applyRevocation(tx, { tokenId: 't', expiresAt: start.toISOString() })).toBe('known');
    });
  });
});
