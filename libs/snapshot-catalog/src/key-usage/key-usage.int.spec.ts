import { randomUUID } from 'node:crypto';
import {
  clusterCreated,
  clusterDeleted,
  keyConfigurationInvalidated,
  keyConfigurationRemoved,
  keyConfigurationSaved,
  newObjectId,
  projectCreated,
  serviceAccountChanged,
  signingKeyCreated,
  type ClusterSummary,
  type EventDefinition,
  type KeyConfigurationState,
  type KeyProviderName,
  type ProjectState,
} from '@atrest/contracts';
import { ACCESS_TOKEN_ALGORITHM, ACCESS_TOKEN_AUDIENCE, ACCESS_TOKEN_TYPE } from '@atrest/platform-auth';
import { createHttpApp, type HttpApp } from '@atrest/platform-http';
import { createLogger } from '@atrest/platform-logging';
import { EmbeddedTransport } from '@atrest/platform-messaging';
import { Metrics } from '@atrest/platform-metrics';
import { ServiceDatabase } from '@atrest/platform-persistence';
import type { Service } from '@atrest/platform-service';
import { SimulatedClock } from '@atrest/platform-time';
import { testDatabase, type TestDatabase } from '@atrest/testing';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createSnapshotCatalogService } from '../snapshot-catalog.service.js';
import { masterKeyUUID } from './master-key-uuid.js';

const NOW = new Date('2026-12-01T00:00:00.000Z');
const DAY = 86_400_000;
const ISSUER = 'https://atrest.example';
const logger = createLogger({ service: 'test', level: 'silent' });

/** A name of each cloud as it is: with what a path cannot hold unencoded. */
const KEYS: Readonly<Record<KeyProviderName, string>> = {
  AWS: 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab',
  AZURE: 'https://orders-kv.vault.azure.net/keys/cmk/0123456789abcdef0123456789abcdef',
  GCP: 'projects/shop/locations/europe-west3/keyRings/atrest/cryptoKeys/orders/cryptoKeyVersions/7',
  KMIP: 'orders key #42?',
};

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown> & { readonly results?: Record<string, unknown>[] };
}

describe('key usage over HTTP', () => {
  const clock = new SimulatedClock(NOW);
  const transport = new EmbeddedTransport();
  let test: TestDatabase;
  let database: ServiceDatabase;
  let service: Service;
  let http: HttpApp;
  let url: string;
  let privateKey: CryptoKey;
  let project: ProjectState;
  let token: string;

  beforeAll(async () => {
    test = await testDatabase('key-usage');
    const metrics = new Metrics();
    service = await createSnapshotCatalogService(
      { database: { url: test.url, poolSize: 4 }, transport, clock, logger, metrics },
      { issuer: ISSUER },
    );
    await service.messaging.start();
    database = await ServiceDatabase.open({
      service: 'snapshot-catalog',
      url: test.url,
      migrations: [],
      logger,
      metrics: new Metrics(),
      poolSize: 2,
    });
    http = await createHttpApp({ modules: [service.module], logger, metrics });
    url = await http.listen(0, '127.0.0.1');
    const pair = await generateKeyPair(ACCESS_TOKEN_ALGORITHM, { extractable: true });
    privateKey = pair.privateKey;
    const { kty = '', crv = '', x = '', y = '' } = await exportJWK(pair.publicKey);
    const until = new Date(NOW.getTime() + DAY).toISOString();
    await deliver(signingKeyCreated, { kid: 'k1', publicJwk: { kty, crv, x, y }, signsUntil: until, acceptedUntil: until });
  });
  afterAll(async () => {
    await http.close();
    await service.stop();
    await database.close();
    await transport.close();
    await test.drop();
  });
  beforeEach(async () => {
    project = newProject();
    await deliver(projectCreated, project);
    token = await tokenFor(project.id);
  });

  const newProject = (): ProjectState => ({
    id: newObjectId(),
    orgId: newObjectId(),
    name: 'Orders',
    members: [],
    createdAt: NOW.toISOString(),
    deletedAt: null,
    revision: 1,
  });

  /** Each event twice, and once more under another id. */
  async function deliver<Data>(definition: EventDefinition<Data>, data: Data): Promise<void> {
    const envelope = {
      specversion: '1.0' as const,
      id: randomUUID(),
      source: '/atrest/test',
      type: definition.type,
      subject: definition.subjectOf(data),
      time: NOW.toISOString(),
      datacontenttype: 'application/json' as const,
      correlationid: randomUUID(),
      data,
    };
    for (const each of [envelope, envelope, { ...envelope, id: randomUUID() }]) {
      await transport.send([{ topic: definition.topic.name, envelope: each }]);
    }
    await service.messaging.whenCaughtUp();
  }

  async function tokenFor(projectId: string): Promise<string> {
    const clientId = `mdb_sa_id_${newObjectId()}`;
    const grants = [{ role: 'GROUP_READ_ONLY' as const, orgId: null, projectId }];
    const account = { clientId, orgId: newObjectId(), name: 'test', grants, signingKeys: [], deletedAt: null, revision: 1 };
    await deliver(serviceAccountChanged, account);
    const now = Math.floor(NOW.getTime() / 1_000);
    return new SignJWT({})
      .setProtectedHeader({ alg: ACCESS_TOKEN_ALGORITHM, typ: ACCESS_TOKEN_TYPE, kid: 'k1' })
      .setSubject(clientId)
      .setJti(randomUUID())
      .setIssuer(ISSUER)
      .setAudience(ACCESS_TOKEN_AUDIENCE)
      .setIssuedAt(now)
      .setExpirationTime(now + 3_600)
      .sign(privateKey);
  }

  async function send(method: 'GET' | 'POST', path: string, groupId = project.id): Promise<Answer> {
    const response = await fetch(`${url}/api/atlas/v2/groups/${groupId}/encryptionKeys${path}`, {
      method,
      headers: { accept: 'application/vnd.atlas.2025-03-12+json', authorization: `Bearer ${token}` },
    });
    return { status: response.status, body: (await response.json()) as Answer['body'] };
  }

  const keyState = (change: Partial<KeyConfigurationState> = {}): KeyConfigurationState => ({
    id: newObjectId(),
    projectId: project.id,
    provider: 'AWS',
    enabled: true,
    state: 'VALID',
    mode: 'enforce',
    keyId: 'alias/orders',
    resolvedKeyId: KEYS.AWS,
    region: 'US_EAST_1',
    evidence: [],
    invalidSince: null,
    unreachableSince: null,
    lastProvenAt: NOW.toISOString(),
    revision: 1,
    ...change,
  });
  const clusterState = (name: string, change: Partial<ClusterSummary> = {}): ClusterSummary => ({
    id: newObjectId(),
    projectId: project.id,
    name,
    clusterType: 'REPLICASET',
    state: 'IDLE',
    disabledReason: null,
    encryptionAtRestProvider: 'AWS',
    backupEnabled: true,
    mongoDBVersion: null,
    processes: [],
    createdAt: NOW.toISOString(),
    deletedAt: null,
    revision: 1,
    ...change,
  });

  /** The counters of one cluster under one key, as snapshots keep them. */
  async function epoch(
    provider: KeyProviderName,
    o: {
      readonly completed?: number;
      readonly unfinished?: number;
      readonly lastExpiresAt?: Date;
      readonly keyId?: string;
      readonly createdAt?: Date;
    } = {},
  ): Promise<void> {
    const { completed = 0, unfinished = 0, lastExpiresAt = null, keyId = KEYS[provider], createdAt = NOW } = o;
    const [oldest, newest] = completed === 0 ? [null, null] : [new Date(NOW.getTime() - 9 * DAY), new Date(NOW.getTime() - DAY)];
    await database.query(
      `INSERT INTO epoch (id, cluster_id, project_id, provider, encryption_key_id, created_at, unfinished, completed, oldest_created_at,
         newest_created_at, last_expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
      [newObjectId(), newObjectId(), project.id, provider, keyId, createdAt, unfinished, completed, oldest, newest, lastExpiresAt],
    );
  }

  it('names everything that depends on a key, and the first date when deleting it is harmless', async () => {
    const saved = keyState();
    const orders = clusterState('orders');
    await deliver(keyConfigurationSaved, saved);
    await deliver(clusterCreated, orders);
    await deliver(clusterCreated, clusterState('plain', { encryptionAtRestProvider: 'NONE' }));
    const lastExpiresAt = new Date(NOW.getTime() + 30 * DAY);
    await epoch('AWS', { completed: 12, lastExpiresAt });
    await epoch('AWS', { completed: 3, unfinished: 1, lastExpiresAt: new Date(NOW.getTime() + DAY) });
    const id = masterKeyUUID('AWS', KEYS.AWS);
    const inUse = await send('GET', `/${id}/usage`);
    expect(inUse).toEqual({
      status: 200,
      body: {
        id,
        encryptionKeyId: KEYS.AWS,
        provider: 'AWS',
        keyConfigurationId: saved.id,
        standing: { kind: 'USABLE', reason: null, since: null },
        snapshots: {
          count: 15,
          unfinished: 1,
          oldestCreatedAt: '2026-11-22T00:00:00Z',
          newestCreatedAt: '2026-11-30T00:00:00Z',
          lastExpiresAt: '2026-12-31T00:00:00Z',
        },
        clusters: { count: 1, names: ['orders'] },
        oplogWindows: [],
        downloads: [],
        otherKeys: [],
        deletion: {
          harmless: false,
          harmlessFrom: null,
          neededFor: [
            { need: 'CLUSTERS', detail: '1 cluster uses it now: orders. Their databases stop with it.' },
            { need: 'KEY_CONFIGURATION', detail: 'The key configuration of the project names it.' },
            {
              need: 'SNAPSHOTS',
              detail:
                '15 snapshots can only be restored with it, and 1 snapshot is being taken under it. The last one expires at 2026-12-31T00:00:00Z.',
            },
          ],
        },
        links: [{ rel: 'self', href: `${url}/api/atlas/v2/groups/${project.id}/encryptionKeys/${id}/usage` }],
      },
    });

    // The project turns to another key, and what was being taken is done.
    await deliver(keyConfigurationSaved, { ...saved, resolvedKeyId: `${KEYS.AWS}-2`, epoch: 2, revision: 2 });
    await database.query('UPDATE epoch SET unfinished = 0 WHERE project_id = $1', [project.id]);
    const former = await send('GET', `/${id}/usage`);
    expect(former.body).toMatchObject({
      keyConfigurationId: null,
      standing: { kind: 'NOT_CHECKED' },
      clusters: { count: 0, names: [] },
      deletion: { harmless: false, harmlessFrom: '2026-12-31T00:00:00Z', neededFor: [{ need: 'SNAPSHOTS' }] },
    });
    await deliver(clusterDeleted, { ...orders, deletedAt: NOW.toISOString(), revision: 2 });
    const next = await send('GET', `/${encodeURIComponent(`${KEYS.AWS}-2`)}/usage`);
    expect(next.body).toMatchObject({ clusters: { count: 0 }, deletion: { neededFor: [{ need: 'KEY_CONFIGURATION' }] } });
  });

  it('the deletion check answers 409 with the reasons while a key is needed, and 200 when it is not', async () => {
    const saved = keyState();
    await deliver(keyConfigurationSaved, saved);
    await epoch('AWS', { completed: 2, lastExpiresAt: new Date(NOW.getTime() + DAY) });
    const check = `/${masterKeyUUID('AWS', KEYS.AWS)}:deletion-check`;
    expect(await send('POST', check)).toMatchObject({
      status: 409,
      body: {
        errorCode: 'ENCRYPTION_KEY_IN_USE',
        parameters: [KEYS.AWS, project.id],
        badRequestDetail: { fields: [{ field: 'KEY_CONFIGURATION' }, { field: 'SNAPSHOTS' }] },
      },
    });
    await deliver(keyConfigurationRemoved, { ...saved, enabled: false, revision: 2 });
    const needed = await send('POST', check);
    expect(needed.status).toBe(409);
    expect(needed.body['detail']).toContain('2 snapshots can only be restored with it.');
    expect(needed.body['detail']).toContain('not needed any more from 2026-12-02T00:00:00Z on');
    await database.query('UPDATE epoch SET completed = 0, last_expires_at = NULL WHERE project_id = $1', [project.id]);
    expect(await send('POST', check)).toMatchObject({
      status: 200,
      body: { deletion: { harmless: true, harmlessFrom: '2026-12-01T00:00:00Z' } },
    });
  });

  it.each(Object.entries(KEYS) as [KeyProviderName, string][])(
    'F85 a key of %s is found by its percent-encoded name and by its id',
    async (provider, keyId) => {
      await epoch(provider, { completed: 1, lastExpiresAt: new Date(NOW.getTime() + DAY) });
      for (const name of [encodeURIComponent(keyId), masterKeyUUID(provider, keyId), masterKeyUUID(provider, keyId).toUpperCase()]) {
        expect(await send('GET', `/${name}/usage`)).toMatchObject({ status: 200, body: { encryptionKeyId: keyId, provider } });
        expect(await send('POST', `/${name}:deletion-check`)).toMatchObject({ status: 409, body: { errorCode: 'ENCRYPTION_KEY_IN_USE' } });
      }
    },
  );

  it('a disabled key cannot open its snapshots now, a deleted one never; a key by its alias is found as well', async () => {
    const saved = keyState();
    await deliver(keyConfigurationSaved, saved);
    const evidence = (reason: 'KEY_DISABLED' | 'KEY_NOT_FOUND'): KeyConfigurationState['evidence'] => [
      {
        verdict: 'definitive',
        reason,
        errorName: 'X',
        message: null,
        httpStatus: 400,
        requestId: null,
        at: NOW.toISOString(),
        observer: 'one',
      },
    ];
    const invalid = { ...saved, state: 'INVALID' as const, invalidSince: NOW.toISOString() };
    await deliver(keyConfigurationInvalidated, { ...invalid, evidence: evidence('KEY_DISABLED'), revision: 2 });
    const usage = `/${encodeURIComponent('alias/orders')}/usage`;
    expect((await send('GET', usage)).body['standing']).toEqual({
      kind: 'NOT_NOW',
      reason: 'The key is disabled: enable it.',
      since: '2026-12-01T00:00:00Z',
    });
    await deliver(keyConfigurationInvalidated, { ...invalid, evidence: evidence('KEY_NOT_FOUND'), revision: 3 });
    expect((await send('GET', usage)).body['standing']).toMatchObject({ kind: 'NEVER' });
  });

  it('lists the keys of a project, the configured ones first, and nobody else’s', async () => {
    await deliver(keyConfigurationSaved, keyState());
    await epoch('GCP', { completed: 1, createdAt: new Date(NOW.getTime() - 2 * DAY) });
    await epoch('AZURE', { completed: 4, createdAt: new Date(NOW.getTime() - DAY) });
    await database.query(
      `INSERT INTO epoch (id, cluster_id, project_id, provider, created_at, completed) VALUES ($1, $2, $3, 'NONE', $4, 7)`,
      [newObjectId(), newObjectId(), project.id, NOW],
    );
    const { status, body } = await send('GET', '');
    expect(status).toBe(200);
    expect(body.results?.map(({ encryptionKeyId }) => encryptionKeyId)).toEqual([KEYS.AWS, KEYS.AZURE, KEYS.GCP]);
    expect(body.results?.map(({ snapshots }) => (snapshots as { count: number }).count)).toEqual([0, 4, 1]);
    expect(body['totalCount']).toBe(3);
    expect((await send('GET', '?itemsPerPage=1&pageNum=3')).body.results).toHaveLength(1);

    const other = newProject();
    await deliver(projectCreated, other);
    expect(await send('GET', '', other.id)).toMatchObject({ status: 404, body: { errorCode: 'GROUP_NOT_FOUND' } });
  });

  it('a key that the project never used is not found: a name that was mistyped must not look like one that nobody needs', async () => {
    await epoch('AWS', { completed: 1 });
    for (const name of [`${encodeURIComponent(KEYS.AWS)}x`, randomUUID(), encodeURIComponent('x'.repeat(1_000)), '%00']) {
      expect(await send('POST', `/${name}:deletion-check`)).toMatchObject({ status: 404, body: { errorCode: 'ENCRYPTION_KEY_NOT_FOUND' } });
    }
  });
});
