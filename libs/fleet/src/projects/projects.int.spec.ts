import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FleetInstallation } from '../test-support/fleet-installation.contract.js';

let fleet: FleetInstallation;
beforeAll(async () => {
  fleet = await FleetInstallation.start('projects');
});
afterAll(() => fleet?.stop());

const eventsOf = async (projectId: string) => {
  await fleet.fleet.messaging.whenCaughtUp();
  return fleet.events.filter((event) => event.subject === projectId);
};

describe('projects', () => {
  it('are created, found, changed and deleted, with an event each', async () => {
    const created = await fleet.call('POST', '/groups', {
      body: { name: 'Web shop', orgId: fleet.owner.orgId, withDefaultAlertsSettings: true },
    });
    expect(created.status).toBe(201);
    const { id } = created.body;
    expect(created.headers.get('location')).toBe(`${fleet.url}/api/atlas/v2/groups/${id}`);
    expect(created.body).toMatchObject({
      clusterCount: 0,
      created: '2026-11-23T10:00:00Z',
      name: 'Web shop',
      orgId: fleet.owner.orgId,
      tags: [],
    });
    for (const path of [`/groups/${id}`, '/groups/byName/Web%20shop']) expect((await fleet.call('GET', path)).body).toEqual(created.body);
    for (const path of ['/groups', `/orgs/${fleet.owner.orgId}/groups`]) {
      expect((await fleet.call('GET', path)).body).toMatchObject({ totalCount: 1, results: [{ id }] });
    }
    expect((await fleet.call('GET', `/groups/${id}/settings`)).status).toBe(200);
    expect((await fleet.call('PATCH', `/groups/${id}`, { body: { name: 'Store' } })).body.name).toBe('Store');
    expect(await fleet.call('DELETE', `/groups/${id}`)).toMatchObject({ status: 202, body: {} });
    expect((await fleet.call('GET', `/groups/${id}`)).body).toMatchObject({ error: 404, errorCode: 'GROUP_NOT_FOUND' });
    const events = await eventsOf(id);
    expect(events.map((event) => event.type.split('.')[3])).toEqual(['created', 'updated', 'deleted']);
    expect(events.map((event) => (event.data as { revision: number }).revision)).toEqual([1, 2, 3]);
    expect(events[2]?.data).toMatchObject({ name: 'Store', deletedAt: '2026-11-23T10:00:00.000Z' });
  });

  it('F84 have names of any script, 64 characters at most, once in an organisation', async () => {
    const create = (name: string) => fleet.call('POST', '/groups', { body: { name, orgId: fleet.owner.orgId } });
    for (const name of ["Müller & Söhne (店) o'hara", 'n'.repeat(64)]) expect((await create(name)).status).toBe(201);
    for (const name of ['', '$where', 'a"b', 'n'.repeat(1_000), 'a\u0000b', '<b>']) {
      expect((await create(name)).body).toMatchObject({ error: 400, errorCode: 'INVALID_GROUP_NAME' });
    }
    expect((await create('n'.repeat(64))).body).toMatchObject({ error: 409, errorCode: 'GROUP_ALREADY_EXISTS' });
    const other = await fleet.project('other');
    expect((await fleet.call('PATCH', `/groups/${other}`, { body: { name: 'n'.repeat(64) } })).body.errorCode).toBe('GROUP_ALREADY_EXISTS');
  });

  it('are seen only by those who have a role in them', async () => {
    const [mine, hidden] = [await fleet.project('mine'), await fleet.project('hidden')];
    const token = await fleet.member(mine, ['GROUP_READ_ONLY']);
    const get = async (path: string) => (await fleet.call('GET', path, { token })).body;
    expect((await get('/groups')).results.map((group: { id: string }) => group.id)).toEqual([mine]);
    expect((await get('/groups/byName/hidden')).errorCode).toBe('GROUP_NAME_NOT_FOUND');
    expect((await get(`/groups/${hidden}`)).errorCode).toBe('GROUP_NOT_FOUND');
    expect((await fleet.call('PATCH', `/groups/${mine}`, { token, body: { name: 'x' } })).status).toBe(403);
    expect((await fleet.call('POST', '/groups', { token, body: { name: 'x', orgId: fleet.owner.orgId } })).body.errorCode).toBe(
      'NOT_ORG_GROUP_CREATOR',
    );
    expect((await fleet.call('POST', '/groups', { body: { name: 'x', orgId: '0'.repeat(24) } })).body.errorCode).toBe(
      'NOT_ORG_GROUP_CREATOR',
    );
    expect((await get('/orgs')).results).toMatchObject([{ id: fleet.owner.orgId, isDeleted: false }]);
    expect((await get(`/orgs/${'0'.repeat(24)}`)).error).toBe(404);
  });
});

describe('members', () => {
  it('are added by mail address, shown in two versions, given other roles, removed', async () => {
    const projectId = await fleet.project('with members');
    const path = `/groups/${projectId}/users`;
    const added = await fleet.call('POST', path, { body: { username: 'Mara@example.com', roles: ['GROUP_OWNER'] } });
    expect(added).toMatchObject({
      status: 201,
      body: { username: 'Mara@example.com', roles: ['GROUP_OWNER'], orgMembershipStatus: 'ACTIVE' },
    });
    const again = await fleet.call('POST', path, { body: { username: 'mara@EXAMPLE.com', roles: ['GROUP_READ_ONLY'] } });
    expect(again.body).toMatchObject({ error: 409, errorCode: 'USER_ALREADY_IN_GROUP' });
    expect((await fleet.call('POST', path, { body: { username: 'nobody', roles: ['GROUP_OWNER'] } })).status).toBe(400);
    expect((await fleet.call('POST', path, { body: { username: 'x@example.com', roles: ['ORG_OWNER'] } })).status).toBe(400);
    const old = await fleet.call('GET', path, { version: '2023-01-01' });
    expect(old.body.results).toMatchObject([
      { emailAddress: 'Mara@example.com', roles: [{ groupId: projectId, roleName: 'GROUP_OWNER' }] },
    ]);
    const { id } = added.body;
    const changed = await fleet.call('PATCH', `${path}/${id}`, { body: { roles: ['GROUP_READ_ONLY', 'GROUP_BACKUP_MANAGER'] } });
    expect(changed.body.roles).toEqual(['GROUP_READ_ONLY', 'GROUP_BACKUP_MANAGER']);
    expect((await fleet.call('GET', `${path}/${id}`)).body).toEqual(changed.body);
    expect((await fleet.call('GET', `${path}?username=mara@example.com`)).body.totalCount).toBe(1);
    expect((await fleet.call('DELETE', `${path}/${id}`)).status).toBe(204);
    expect((await fleet.call('DELETE', `${path}/${id}`)).body).toMatchObject({ error: 404, errorCode: 'USER_NOT_FOUND' });
    const states = (await eventsOf(projectId)).map((event) => (event.data as { members: { email: string; roles: string[] }[] }).members);
    expect(states.map((members) => members.map((member) => member.roles.length))).toEqual([[], [1], [2], []]);
  });
});
