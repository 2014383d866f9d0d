import type { ServiceAccountState } from '@atrest/contracts';
import { SimulatedClock } from '@atrest/platform-time';
import { testDatabase, type TestDatabase } from '@atrest/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FirstOwner } from './fleet-access.js';
import { openReplica, serve, type Client, type Replica } from '../test-support/access-installation.js';

const start = new Date('2026-11-23T12:00:00.000Z');
const project1 = '1'.repeat(24);
const project2 = '2'.repeat(24);
const foreign = 'f'.repeat(24);

let testDb: TestDatabase;
let clock: SimulatedClock;
let replica: Replica;
let client: Client;
let owner: FirstOwner;
let ownerToken: string;

beforeEach(async () => {
  testDb = await testDatabase('service accounts');
  clock = new SimulatedClock(start);
  replica = await openReplica({ url: testDb.url, clock });
  owner = (await replica.access.bootstrap())!;
  const projects = new Map([
    [project1, owner.orgId],
    [project2, owner.orgId],
    [foreign, '9'.repeat(24)],
  ]);
  client = await serve(replica, clock, projects);
  ownerToken = await client.token(owner);
});
afterEach(async () => {
  await client?.close();
  await replica?.close();
  await testDb?.drop();
});

const inOrg = (path = '') => `/api/atlas/v2/orgs/${owner.orgId}/serviceAccounts${path}`;
const inProject = (projectId: string, path = '') => `/api/atlas/v2/groups/${projectId}/serviceAccounts${path}`;
const asOwner = (method: string, path: string, body?: unknown) => client.call(method, path, { token: ownerToken, body });
const wanted = (roles: string[]) => ({ name: 'CI, main', description: 'Builds', roles, secretExpiresAfterHours: 24 });

interface Created {
  clientId: string;
  secret: string;
  secretId: string;
}

async function create(path: string, roles: string[]): Promise<Created> {
  const { status, body } = await asOwner('POST', path, wanted(roles));
  expect(status).toBe(201);
  return { clientId: body.clientId, secret: body.secrets[0].secret, secretId: body.secrets[0].id };
}

/** The events about accounts as they left, in order. */
async function announced(): Promise<ServiceAccountState[]> {
  const found = await replica.database.query<{ data: ServiceAccountState }>(
    "SELECT envelope->'data' AS data FROM outbox WHERE envelope->>'type' = 'io.atrest.service-account.changed.v1' ORDER BY position",
  );
  return found.map((row) => row.data);
}

/** Whatever a test did: the others were told what this service's own guard goes by. */
async function expectAnnouncedAsStored(): Promise<void> {
  const latest = new Map((await announced()).map((state) => [state.clientId, state]));
  for (const state of latest.values()) expect(state).toMatchObject((await replica.access.store.findAccount(state.clientId))!);
}
afterEach(expectAnnouncedAsStored);

describe('/orgs/{orgId}/serviceAccounts', () => {
  it('creates an account, shows its secret once, and masks it from then on', async () => {
    const created = await asOwner('POST', inOrg(), wanted(['ORG_MEMBER']));
    expect(created.status).toBe(201);
    expect(created.headers.get('content-type')).toBe('application/vnd.atlas.2024-08-05+json;charset=utf-8');
    const { secret, ...rest } = created.body.secrets[0];
    expect(created.body).toEqual({
      clientId: expect.stringMatching(/^mdb_sa_id_[0-9a-f]{24}$/),
      createdAt: '2026-11-23T12:00:00Z',
      name: 'CI, main',
      description: 'Builds',
      roles: ['ORG_MEMBER'],
      secrets: [
        {
          id: expect.stringMatching(/^[0-9a-f]{24}$/),
          createdAt: '2026-11-23T12:00:00Z',
          expiresAt: '2026-11-24T12:00:00Z',
          secret: expect.stringMatching(/^mdb_sa_sk_/),
        },
      ],
    });
    const masked = { ...rest, maskedSecretValue: `mdb_sa_sk_...${secret.slice(-4)}` };
    const shown = await asOwner('GET', inOrg(`/${created.body.clientId}`));
    expect(shown.body.secrets).toEqual([masked]);
    expect(shown.text).not.toContain(secret);
    await client.token({ clientId: created.body.clientId, secret });
    expect((await asOwner('GET', inOrg(`/${created.body.clientId}`))).body.secrets).toEqual([
      { ...masked, lastUsedAt: '2026-11-23T12:00:00Z' },
    ]);
  });

  it('lists accounts in pages', async () => {
    for (let i = 0; i < 3; i += 1) await create(inOrg(), ['ORG_MEMBER']);
    const first = await asOwner('GET', inOrg('?itemsPerPage=3&includeSystemManaged=true'));
    expect([first.body.totalCount, first.body.results.length]).toEqual([4, 3]);
    expect((await asOwner('GET', inOrg('?itemsPerPage=3&pageNum=2'))).body.results).toHaveLength(1);
    expect(first.text).not.toMatch(/"secret"/);
  });

  it('F83 a role taken away is gone with the next request of a token that is still valid', async () => {
    const second = await create(inOrg(), ['ORG_OWNER']);
    const token = await client.token(second);
    expect((await client.call('GET', inOrg(), { token })).status).toBe(200);
    expect((await asOwner('PATCH', inOrg(`/${second.clientId}`), { roles: ['ORG_MEMBER'] })).body.roles).toEqual(['ORG_MEMBER']);
    expect((await client.call('GET', inOrg(), { token })).status).toBe(403);
    expect((await client.call('GET', '/api/atlas/v2', { token })).status).toBe(200);
  });

  it('a deleted account is gone: its tokens, its secrets, and from every list', async () => {
    const account = await create(inOrg(), ['ORG_OWNER']);
    const token = await client.token(account);
    expect((await asOwner('DELETE', inOrg(`/${account.clientId}`))).status).toBe(204);
    expect((await client.call('GET', '/api/atlas/v2', { token })).status).toBe(401);
    expect((await client.logIn(account.clientId, account.secret)).status).toBe(401);
    for (const [method, body] of [
      ['GET', undefined],
      ['PATCH', { name: 'x' }],
      ['DELETE', undefined],
    ] as const) {
      expect((await asOwner(method, inOrg(`/${account.clientId}`), body)).body).toMatchObject({
        error: 404,
        errorCode: 'RESOURCE_NOT_FOUND',
      });
    }
    expect((await asOwner('GET', inOrg())).body.totalCount).toBe(1);
  });

  it('the last owner can be neither deleted nor demoted, nor lose its last valid secret', async () => {
    const self = inOrg(`/${owner.clientId}`);
    const { secrets } = (await asOwner('GET', self)).body;
    const replies = [
      await asOwner('DELETE', self),
      await asOwner('PATCH', self, { roles: ['ORG_MEMBER'] }),
      await asOwner('PATCH', self, { roles: [] }),
      await asOwner('DELETE', `${self}/secrets/${secrets[0].id}`),
    ];
    for (const reply of replies) {
      expect(reply.body).toMatchObject({ error: 409, errorCode: 'CANNOT_REMOVE_LAST_ORG_OWNER', parameters: [owner.clientId] });
    }
    expect((await asOwner('PATCH', self, { name: 'Renamed' })).body).toMatchObject({ name: 'Renamed', roles: ['ORG_OWNER'] });
    expect((await asOwner('POST', `${self}/secrets`, { secretExpiresAfterHours: 1 })).status).toBe(201);
    expect((await asOwner('DELETE', `${self}/secrets/${secrets[0].id}`)).status).toBe(204);
  });

  it('two owners that remove each other at the same time: one stays', async () => {
    for (let round = 0; round < 5; round += 1) {
      const second = await create(inOrg(), ['ORG_OWNER']);
      const outcomes = await Promise.allSettled([
        replica.access.accounts.updateInOrganisation(owner.orgId, owner.clientId, { roles: ['ORG_MEMBER'] }),
        replica.access.accounts.delete(owner.orgId, second.clientId),
      ]);
      expect(outcomes.map((outcome) => outcome.status).sort()).toEqual(['fulfilled', 'rejected']);
      if (outcomes[0].status === 'fulfilled') {
        await replica.access.accounts.updateInOrganisation(owner.orgId, owner.clientId, { roles: ['ORG_OWNER'] });
        await replica.access.accounts.delete(owner.orgId, second.clientId);
      }
    }
  });

  it('a PATCH that changes nothing is no change: same answer, no event', async () => {
    const before = await announced();
    const shown = (await asOwner('GET', inOrg(`/${owner.clientId}`))).body;
    const reply = await asOwner('PATCH', inOrg(`/${owner.clientId}`), { name: null, description: shown.description, roles: ['ORG_OWNER'] });
    expect(reply.body).toEqual(shown);
    expect((await asOwner('PATCH', inOrg(`/${owner.clientId}`), {})).body).toEqual(shown);
    expect(await announced()).toEqual(before);
  });

  it('secrets: another one is shown once, the most there may be is ten, a deleted one logs nobody in', async () => {
    const account = await create(inOrg(), ['ORG_MEMBER']);
    const path = inOrg(`/${account.clientId}/secrets`);
    const another = await asOwner('POST', path, { secretExpiresAfterHours: 8760 });
    expect([another.status, another.body.expiresAt]).toEqual([201, '2027-11-23T12:00:00Z']);
    expect((await client.logIn(account.clientId, another.body.secret)).status).toBe(200);
    expect((await asOwner('DELETE', `${path}/${account.secretId}`)).status).toBe(204);
    expect((await client.logIn(account.clientId, account.secret)).status).toBe(401);
    expect((await asOwner('DELETE', `${path}/${account.secretId}`)).body.errorCode).toBe('RESOURCE_NOT_FOUND');
    for (let i = 0; i < 9; i += 1) await asOwner('POST', path, { secretExpiresAfterHours: 1 });
    expect((await asOwner('POST', path, { secretExpiresAfterHours: 1 })).status).toBe(400);
  });

  it.each<[string, object, string]>([
    ['a role that Atrest does not have', { roles: ['ORG_BILLING_ADMIN'] }, 'INVALID_ENUM_VALUE'],
    ['a role of projects', { roles: ['GROUP_OWNER'] }, 'INVALID_ENUM_VALUE'],
    ['no role', { roles: [] }, 'INVALID_ATTRIBUTE'],
    ['a name with other signs', { name: '<script>' }, 'INVALID_ATTRIBUTE'],
    ['a name that is too long', { name: 'x'.repeat(65) }, 'INVALID_ATTRIBUTE'],
    ['no life at all', { secretExpiresAfterHours: 0 }, 'INVALID_ATTRIBUTE'],
    ['a life of ten years', { secretExpiresAfterHours: 87_600 }, 'INVALID_ATTRIBUTE'],
    ['a number as text', { secretExpiresAfterHours: '24' }, 'INVALID_ATTRIBUTE'],
    ['an attribute nobody knows', { owner: true }, 'INVALID_ATTRIBUTE'],
    ['no name', { name: undefined }, 'MISSING_ATTRIBUTE'],
  ])('refuses %s', async (_, change, errorCode) => {
    const reply = await asOwner('POST', inOrg(), { ...wanted(['ORG_MEMBER']), ...change });
    expect(reply.body).toMatchObject({ error: 400, errorCode });
  });

  it('is for the owners of this organisation', async () => {
    const member = await client.token(await create(inOrg(), ['ORG_MEMBER']));
    expect((await client.call('GET', inOrg(), { token: member })).body.errorCode).toBe('ACCESS_FORBIDDEN');
    expect((await asOwner('GET', inOrg().replace(owner.orgId, '9'.repeat(24)))).body.errorCode).toBe('ACCESS_FORBIDDEN');
    expect((await client.call('GET', inOrg())).status).toBe(401);
  });

  it.each(['%00', 'mdb_sa_id_%00', 'x'.repeat(500), "'; DROP TABLE service_account --"])(
    'what is no client id is not found: %s',
    async (text) => {
      expect((await asOwner('GET', inOrg(`/${text}`))).status).toBe(404);
      expect((await asOwner('DELETE', inOrg(`/${text}`))).status).toBe(404);
    },
  );
});

describe('/groups/{groupId}/serviceAccounts', () => {
  it('creates an account with roles in the project, which is a mere member of the organisation', async () => {
    const account = await create(inProject(project1), ['GROUP_CLUSTER_MANAGER', 'GROUP_BACKUP_MANAGER']);
    const shown = await asOwner('GET', inProject(project1, `/${account.clientId}`));
    expect(shown.body.roles).toEqual(['GROUP_CLUSTER_MANAGER', 'GROUP_BACKUP_MANAGER']);
    expect((await asOwner('GET', inOrg(`/${account.clientId}`))).body.roles).toEqual(['ORG_MEMBER']);
    expect((await asOwner('GET', inProject(project1))).body.results.map((each: { clientId: string }) => each.clientId)).toEqual([
      account.clientId,
    ]);
    expect((await asOwner('GET', inProject(project2))).body.totalCount).toBe(0);
    expect((await asOwner('GET', inProject(project2, `/${account.clientId}`))).status).toBe(404);
  });

  it('invites an account of the organisation, changes its roles, and takes it out again; each with the next request', async () => {
    const account = await create(inOrg(), ['ORG_MEMBER']);
    const token = await client.token(account);
    const list = () => client.call('GET', inProject(project1), { token });
    expect((await list()).status).toBe(404);
    const invited = await asOwner('POST', inProject(project1, `/${account.clientId}:invite`), { roles: ['GROUP_OWNER'] });
    expect([invited.status, invited.body.roles]).toEqual([200, ['GROUP_OWNER']]);
    expect((await list()).status).toBe(200);
    await asOwner('PATCH', inProject(project1, `/${account.clientId}`), { roles: ['GROUP_READ_ONLY'] });
    expect((await list()).status).toBe(403);
    expect((await asOwner('DELETE', inProject(project1, `/${account.clientId}`))).status).toBe(204);
    expect((await list()).status).toBe(404);
    expect((await asOwner('GET', inOrg(`/${account.clientId}`))).status).toBe(200);
    expect((await asOwner('DELETE', inProject(project1, `/${account.clientId}`))).status).toBe(404);
  });

  it("who owns a project makes no secrets for accounts that can do more than that project's", async () => {
    const boss = await client.token(await create(inProject(project1), ['GROUP_OWNER']));
    const secretFor = (clientId: string) =>
      client.call('POST', inProject(project1, `/${clientId}/secrets`), { token: boss, body: { secretExpiresAfterHours: 1 } });
    const own = await create(inProject(project1), ['GROUP_READ_ONLY']);
    const made = await secretFor(own.clientId);
    expect(made.status).toBe(201);

    const elsewhere = await create(inProject(project2), ['GROUP_READ_ONLY']);
    expect((await secretFor(elsewhere.clientId)).status).toBe(404);
    for (const clientId of [elsewhere.clientId, owner.clientId]) {
      await asOwner('POST', inProject(project1, `/${clientId}:invite`), { roles: ['GROUP_READ_ONLY'] });
      expect((await secretFor(clientId)).body.errorCode).toBe('ACCESS_FORBIDDEN');
    }
    const [secret] = (await asOwner('GET', inOrg(`/${owner.clientId}`))).body.secrets;
    const removal = await client.call('DELETE', inProject(project1, `/${owner.clientId}/secrets/${secret.id}`), { token: boss });
    expect(removal.body.errorCode).toBe('ACCESS_FORBIDDEN');
    const ownRemoval = await client.call('DELETE', inProject(project1, `/${own.clientId}/secrets/${made.body.id}`), { token: boss });
    expect(ownRemoval.status).toBe(204);
  });

  it('is for the owners of the project; others do not learn that it exists', async () => {
    const boss = await client.token(await create(inProject(project1), ['GROUP_OWNER']));
    const manager = await client.token(await create(inProject(project1), ['GROUP_CLUSTER_MANAGER']));
    expect((await client.call('GET', inProject(project1), { token: boss })).status).toBe(200);
    expect((await client.call('GET', inProject(project1), { token: manager })).body.errorCode).toBe('ACCESS_FORBIDDEN');
    for (const projectId of [project2, foreign, '0'.repeat(24)]) {
      expect((await client.call('GET', inProject(projectId), { token: boss })).body.errorCode).toBe('GROUP_NOT_FOUND');
    }
    expect((await asOwner('GET', inProject(foreign))).body.errorCode).toBe('GROUP_NOT_FOUND');
  });

  it('with a deleted project all roles in it are gone, and nothing else', async () => {
    const both = await create(inProject(project1), ['GROUP_OWNER']);
    await asOwner('POST', inProject(project2, `/${both.clientId}:invite`), { roles: ['GROUP_OWNER'] });
    const token = await client.token(both);
    for (let time = 0; time < 2; time += 1) {
      await replica.database.transaction((tx) => replica.access.projectDeleted(tx, project1));
    }
    expect((await client.call('GET', inProject(project1), { token })).status).toBe(404);
    expect((await client.call('GET', inProject(project2), { token })).status).toBe(200);
  });
});

describe('events', () => {
  it('each change leaves as one event with the next revision and the full state', async () => {
    const account = await create(inProject(project1), ['GROUP_OWNER']);
    await asOwner('PATCH', inProject(project1, `/${account.clientId}`), { roles: ['GROUP_READ_ONLY'] });
    await asOwner('DELETE', inOrg(`/${account.clientId}`));
    const states = (await announced()).filter((state) => state.clientId === account.clientId);
    expect(states).toEqual([
      expect.objectContaining({ revision: 1, grants: [{ role: 'GROUP_OWNER', orgId: null, projectId: project1 }], deletedAt: null }),
      expect.objectContaining({ revision: 2, grants: [{ role: 'GROUP_READ_ONLY', orgId: null, projectId: project1 }], deletedAt: null }),
      expect.objectContaining({ revision: 3, grants: [], deletedAt: start.toISOString() }),
    ]);
  });
});
