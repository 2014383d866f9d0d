import { AGENT_USERNAME, type ProcessAccessSecret } from '@atrest/contracts';
import { SealingKeys } from '@atrest/platform-auth';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { FakeAgent } from '../test-support/fake-agent.contract.js';
import { FleetInstallation, replicaSet } from '../test-support/fleet-installation.contract.js';
import { ClusterAccess } from './cluster-access.js';

const PASSWORD = 'correct horse battery';
const PEM = `-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n`;
const KEYED_PEM = `${PEM}-----BEGIN PRIVATE KEY-----\nMIIC\n-----END PRIVATE KEY-----\n`;

let fleet: FleetInstallation;
let agent: FakeAgent;
let project: string;
beforeAll(async () => {
  fleet = await FleetInstallation.start('access control');
  agent = await fleet.agent();
});
beforeEach(async () => {
  project = await fleet.project();
});
afterAll(() => fleet?.stop());

const create = (name: string, selfManaged?: object, token?: string) =>
  fleet.call('POST', `/groups/${project}/clusters`, { body: replicaSet(name, { selfManaged }), ...(token && { token }) });
const patch = (name: string, selfManaged: object, token?: string) =>
  fleet.call('PATCH', `/groups/${project}/clusters/${name}`, { body: { selfManaged }, ...(token && { token }) });

async function secretsOf(name: string): Promise<ProcessAccessSecret[]> {
  await agent.take();
  const ids = (await fleet.cluster(project, name)).selfManaged.processes.map((each: { id: string }) => each.id) as string[];
  const secrets = await Promise.all(ids.map((id) => agent.accessTo(id)));
  return secrets.filter((each) => each !== null);
}

const named = (port: number, change: object = {}) => ({
  hostId: agent.hostId,
  kind: 'mongod',
  replicaSet: `rs${port}`,
  port,
  ...change,
});

describe('a cluster whose processes Atrest makes', () => {
  it('has access control unless it is asked for otherwise: one secret for all its processes, and no word of it anywhere else', async () => {
    const { status, body } = await create('guarded');
    expect([status, body.selfManaged.accessControl]).toEqual([201, true]);
    expect(body.selfManaged.administrator).toEqual({ username: null, hint: expect.stringContaining('selfManaged') });
    const secrets = await secretsOf('guarded');
    expect(secrets).toHaveLength(3);
    expect(new Set(secrets.map((each) => JSON.stringify(each))).size).toBe(1);
    const [secret] = secrets;
    expect(secret).toMatchObject({
      clusterId: body.id,
      login: { kind: 'password', username: AGENT_USERNAME },
      administrator: null,
      tls: null,
    });
    expect(secret!.keyFile).toMatch(/^[A-Za-z0-9+/]{1000}$/);
    const login = secret!.login as { password: string };
    const dump = JSON.stringify([
      body,
      fleet.events,
      await fleet.database.query('SELECT * FROM cluster'),
      await fleet.database.query('SELECT * FROM process'),
      await fleet.database.query('SELECT * FROM cluster_access'),
      await fleet.database.query('SELECT * FROM host_access'),
      await fleet.database.query('SELECT * FROM cluster_history'),
    ]);
    for (const word of [secret!.keyFile!, login.password]) expect(dump).not.toContain(word);

    expect((await create('open', { accessControl: false })).body.selfManaged).toMatchObject({ accessControl: false });
    expect(await secretsOf('open')).toEqual([]);
    for (const accessControl of [true, false, null]) {
      expect((await patch('open', { accessControl })).status).toBe(accessControl === true ? 400 : 200);
    }
  });

  it('keeps its goals as they are while nobody wants something else, whatever is looked at in between', async () => {
    await create('calm');
    const settled = await fleet.settle(project, 'calm', 'IDLE', [agent]);
    await agent.sync();
    const before = agent.goal!.version;
    expect((await fleet.call('PATCH', `/groups/${project}/clusters/calm`, { body: settled })).status).toBe(200);
    await agent.sync();
    expect(agent.goal!.version).toBe(before);
  });

  it('gets an administrator at creation and another password or name at any time, which nobody is ever told', async () => {
    const administrator = { username: 'owner', password: PASSWORD };
    const { body } = await create('administered', { administrator });
    expect(body.selfManaged.administrator).toEqual({ username: 'owner', state: 'PENDING' });
    const [first] = await secretsOf('administered');
    expect(first!.administrator).toMatchObject(administrator);
    await fleet.settle(project, 'administered', 'IDLE', [agent]);
    const primary = agent.processes.find((each) => each.clusterName === 'administered' && each.replicaSet?.leads)!;
    agent.claims.set(primary.id, { administrator: first!.administrator!.id });
    await agent.report();
    const shown = (await fleet.cluster(project, 'administered')).selfManaged;
    expect(shown.administrator).toEqual({ username: 'owner', state: 'SET' });
    expect((await patch('administered', shown)).status).toBe(200);
    expect((await secretsOf('administered'))[0]).toEqual(first);

    const reset = { username: 'owner', password: 'staple battery horse' };
    const answer = await patch('administered', { administrator: reset });
    expect(answer.body).toMatchObject({ stateName: 'IDLE', selfManaged: { administrator: { username: 'owner', state: 'PENDING' } } });
    const [second] = await secretsOf('administered');
    expect(second).toMatchObject({ keyFile: first!.keyFile, login: first!.login, administrator: reset });
    expect(second!.administrator!.id).not.toBe(first!.administrator!.id);
    const said = JSON.stringify([answer.body, fleet.events, await fleet.database.query('SELECT * FROM cluster')]);
    for (const word of [PASSWORD, reset.password]) expect(said).not.toContain(word);
  });

  it('takes an administrator while it is paused, and none while it is being deleted', async () => {
    await create('resting');
    await fleet.settle(project, 'resting', 'IDLE', [agent]);
    expect((await fleet.call('PATCH', `/groups/${project}/clusters/resting`, { body: { paused: true } })).status).toBe(200);
    expect((await patch('resting', { administrator: { username: 'owner', password: PASSWORD } })).status).toBe(200);
    expect((await secretsOf('resting'))[0]!.administrator).toMatchObject({ username: 'owner' });
    await fleet.call('DELETE', `/groups/${project}/clusters/resting`);
    const refused = await patch('resting', { administrator: { username: 'owner', password: 'another password' } });
    expect(refused).toMatchObject({ status: 400, body: { errorCode: 'CLUSTER_ALREADY_REQUESTED_DELETION' } });
    await fleet.settle(project, 'resting', 'gone', [agent]);
    expect(
      await fleet.database.query('SELECT FROM cluster_access JOIN cluster ON cluster.id = cluster_id WHERE name = $1', ['resting']),
    ).toEqual([]);
  });

  it('refuses what contradicts itself, in a sentence and without a secret', async () => {
    await create('strict', { administrator: { username: 'owner', password: PASSWORD } });
    const own = { processes: [named(28_100, { extraArguments: ['--keyFile', '/etc/key'] })] };
    const answers = [
      await create('a', { accessControl: false, administrator: { username: 'owner', password: PASSWORD } }),
      await create('b', { ...own, accessControl: true }),
      await create('c', { agentAccess: { username: 'agent', password: PASSWORD } }),
      await patch('strict', { administrator: { username: AGENT_USERNAME, password: PASSWORD } }),
      await patch('strict', { administrator: { username: 'other' } }),
      await patch('strict', { administrator: { username: 'owner', password: 'short' } }),
      await patch('strict', { accessControl: false }),
    ];
    for (const { status, body } of answers) {
      expect([status, body.detail]).toEqual([400, expect.stringMatching(/\w/)]);
      expect(JSON.stringify(body)).not.toMatch(new RegExp(`${PASSWORD}|short`));
    }
    const { processes } = (await fleet.cluster(project, 'strict')).selfManaged;
    const rearranged = processes.map((each: object) => ({ ...each, extraArguments: ['--noauth'] }));
    expect((await patch('strict', { processes: rearranged })).body.detail).toContain('Atrest controls the access');
  });

  it('is let into only by the owner of its project', async () => {
    const manager = await fleet.member(project, ['GROUP_CLUSTER_MANAGER']);
    const administrator = { username: 'owner', password: PASSWORD };
    expect((await create('managed', { administrator }, manager)).status).toBe(403);
    expect((await create('managed', undefined, manager)).status).toBe(201);
    expect((await patch('managed', { administrator }, manager)).status).toBe(403);
    expect((await patch('managed', { administrator })).status).toBe(200);
  });
});

describe('hosts and their sealing keys', () => {
  it('a host without a key gets no process of a guarded cluster, but any of one that is open', async () => {
    const deaf = await fleet.agent({ hostname: 'deaf.example', dataFolder: '/srv', sealingKey: undefined });
    const processes = [named(28_200, { hostId: deaf.hostId })];
    expect((await create('deaf', { processes })).body).toMatchObject({
      errorCode: 'INVALID_CLUSTER_CONFIGURATION',
      detail: expect.stringContaining('deaf.example'),
    });
    expect((await create('deaf', { processes, accessControl: false })).status).toBe(201);
    deaf.makeSealingKey();
    await deaf.sync();
    expect((await create('hears', { processes: [named(28_201, { hostId: deaf.hostId })] })).status).toBe(201);
    await deaf.take();
    const [hears] = deaf.processes.filter((each) => each.clusterName === 'hears');
    expect(await deaf.accessTo(hears!.id)).toMatchObject({ keyFile: expect.any(String) });
    await fleet.database.query('UPDATE host SET capacity = 0 WHERE id = $1 RETURNING id', [deaf.hostId]);
  });

  it('a host that lost its key is told again what it needs, sealed for its new one; nobody else is', async () => {
    const other = await fleet.agent({ hostname: 'other.example', dataFolder: '/srv/other' });
    await create('moved', { processes: [named(28_300, { hostId: other.hostId })] });
    await create('elsewhere', { processes: [named(28_301)] });
    await fleet.settle(project, 'moved', 'IDLE', [other, agent]);
    await fleet.settle(project, 'elsewhere', 'IDLE', [other, agent]);
    const id = other.processes[0]!.id;
    const [before, calm] = [await other.accessTo(id), agent.goal!.version];
    other.makeSealingKey();
    await other.report();
    await other.take();
    expect(await other.accessTo(id)).toEqual(before);
    await agent.take();
    expect(agent.goal!.version).toBe(calm);
    await fleet.database.query('UPDATE host SET capacity = 0 WHERE id = $1 RETURNING id', [other.hostId]);
  });

  it('what an older sealing key of the service holds is sealed anew', async () => {
    await create('kept');
    const next = SealingKeys.generate('k2');
    const both = SealingKeys.parse(`${next},${fleet.sealingKeyText}`);
    await new ClusterAccess(both).sealAnew(fleet.database);
    const kept = await fleet.database.query<{ sealed: string }>('SELECT sealed FROM cluster_access');
    expect(kept.length).toBeGreaterThan(0);
    expect(kept.every(({ sealed }) => both.isCurrent(sealed))).toBe(true);
    // Back again, for the service that runs beside.
    await new ClusterAccess(SealingKeys.parse(`${fleet.sealingKeyText},${next}`)).sealAnew(fleet.database);
  });
});

describe('processes with an arrangement of their own', () => {
  it('keep it; agents log in as they are told: by a password, or by a certificate, over TLS', async () => {
    const processes = [named(28_400, { adopted: true, dbPath: '/srv/mongod' })];
    const { body } = await create('adopted', { processes });
    expect(body.selfManaged.accessControl).toBe(false);
    expect(body.selfManaged).not.toHaveProperty('administrator');
    expect(await secretsOf('adopted')).toEqual([]);

    const agentAccess = { username: 'atrest', password: PASSWORD, authSource: 'admin' };
    expect((await patch('adopted', { agentAccess })).body.selfManaged).toMatchObject({
      agentAccess: { username: 'atrest', authSource: 'admin' },
    });
    expect((await secretsOf('adopted'))[0]).toMatchObject({ keyFile: null, login: { kind: 'password', ...agentAccess }, tls: null });
    await patch('adopted', { tls: { ca: PEM } });
    expect((await secretsOf('adopted'))[0]).toMatchObject({ login: agentAccess, tls: { ca: PEM, certificate: null } });

    const { body: changed } = await patch('adopted', { agentAccess: { x509: { certificate: KEYED_PEM } } });
    expect(changed.selfManaged).toMatchObject({ agentAccess: { x509: {} }, tls: { ca: PEM } });
    expect((await secretsOf('adopted'))[0]).toMatchObject({ login: { kind: 'x509' }, tls: { ca: PEM, certificate: KEYED_PEM } });
    expect((await patch('adopted', changed.selfManaged)).status).toBe(200);
    expect(JSON.stringify([changed, fleet.events])).not.toMatch(/PRIVATE KEY|battery/);
  });
});
