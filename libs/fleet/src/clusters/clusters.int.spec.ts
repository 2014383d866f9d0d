import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FakeAgent } from '../test-support/fake-agent.contract.js';
import { FakeKey, FleetInstallation, replicaSet, type CallOptions } from '../test-support/fleet-installation.contract.js';

let fleet: FleetInstallation;
let agent: FakeAgent;
let projectId: string;
beforeAll(async () => {
  fleet = await FleetInstallation.start('clusters');
  agent = await fleet.agent({ capacity: 200, portRange: { first: 30_000, last: 30_999 } });
  projectId = await fleet.project();
});
afterAll(() => fleet?.stop());

const create = (body: object, o: CallOptions = {}) => fleet.call('POST', `/groups/${projectId}/clusters`, { ...o, body });
const idle = (name: string) => fleet.settle(projectId, name, 'IDLE', [agent]);

/** A cluster that runs, in a project that it has for itself. */
async function running(name: string): Promise<{ path: string; project: string }> {
  const project = await fleet.project();
  expect((await fleet.call('POST', `/groups/${project}/clusters`, { body: replicaSet(name) })).status).toBe(201);
  await fleet.settle(project, name, 'IDLE', [agent]);
  return { path: `/groups/${project}/clusters/${name}`, project };
}

describe('a cluster', () => {
  it('is created from the body that Terraform sends, and looks as clients of each version expect', async () => {
    const project = await fleet.project();
    const created = await fleet.call('POST', `/groups/${project}/clusters`, {
      body: replicaSet('orders'),
      version: '2024-10-23',
      headers: { 'use-effective-instance-fields': 'false' },
    });
    expect(created.status).toBe(201);
    expect(created.headers.get('content-type')).toContain('application/vnd.atlas.2024-10-23+json');
    expect(created.body).toMatchObject({ name: 'orders', stateName: 'CREATING', connectionStrings: {}, groupId: project, paused: false });
    const { selfManaged } = await fleet.settle(project, 'orders', 'IDLE', [agent]);
    const seeds = selfManaged.processes.map((each: { port: number }) => `127.0.0.1:${each.port}`).join(',');

    const newest = await fleet.call('GET', `/groups/${project}/clusters/orders`, {
      headers: { 'use-effective-instance-fields': 'true' },
    });
    expect(newest.headers.get('content-type')).toContain('2024-08-05');
    expect(newest.body).toMatchObject({
      stateName: 'IDLE',
      connectionStrings: { standard: `mongodb://${seeds}/?replicaSet=orders` },
      mongoDBMajorVersion: '8.0',
      mongoDBVersion: '8.0.4',
      replicationSpecs: [{ regionConfigs: [{ electableSpecs: { nodeCount: 3 }, effectiveElectableSpecs: { nodeCount: 3 } }] }],
    });
    const older = await fleet.call('GET', `/groups/${project}/clusters/orders`, { version: '2023-02-01' });
    expect(older.body.replicationSpecs).toMatchObject([{ numShards: 1 }]);
    const oldest = await fetch(`${fleet.url}/api/atlas/v1.0/groups/${project}/clusters/orders`, {
      headers: { authorization: `Bearer ${fleet.token}`, accept: 'application/json' },
    });
    expect(await oldest.json()).toMatchObject({ providerSettings: { instanceSizeName: 'M10' }, replicationFactor: 3, numShards: 1 });
    const listed = await fleet.call('GET', `/groups/${project}/clusters?includeCount=true&itemsPerPage=100&pageNum=1`);
    expect(listed.body).toMatchObject({ totalCount: 1, results: [{ name: 'orders' }] });
  });

  it('is not changed by an empty PATCH, nor by one that says what is so', async () => {
    const { path } = await running('unchanged');
    const revision = async () =>
      (await fleet.database.query<{ revision: number }>(`SELECT revision FROM cluster WHERE name = 'unchanged'`))[0]?.revision;
    const before = await revision();
    expect(await fleet.call('PATCH', path, { body: {} })).toMatchObject({ status: 200, body: { name: 'unchanged', stateName: 'IDLE' } });
    for (const version of ['2023-01-01', '2023-02-01', '2024-10-23']) {
      const { body } = await fleet.call('GET', path, { version });
      expect((await fleet.call('PATCH', path, { version, body })).status).toBe(200);
    }
    expect(await revision()).toBe(before);
    const changed = await fleet.call('PATCH', path, { body: { backupEnabled: true, pitEnabled: true } });
    expect(changed.body).toMatchObject({ backupEnabled: true, stateName: 'IDLE' });
    expect(
      (await fleet.call('PATCH', path, { version: '2023-01-01', body: { providerBackupEnabled: false, pitEnabled: false } })).body,
    ).toMatchObject({
      providerBackupEnabled: false,
    });
  });

  it('answers what clients ask beside it', async () => {
    const { path, project } = await running('asked');
    const get = async (rest: string, version?: string) => (await fleet.call('GET', rest, version === undefined ? {} : { version })).body;
    expect(await get(`${path}/status`)).toEqual({ changeStatus: 'APPLIED' });
    expect(await get(`${path}/autoScalingConfiguration`)).toEqual({ autoScalingMode: 'CLUSTER_WIDE_SCALING' });
    expect(await get(`${path}/processArgs`, '2024-08-05')).not.toHaveProperty('defaultReadConcern');
    expect(await get(`${path}/processArgs`, '2023-01-01')).toMatchObject({ defaultReadConcern: null, javascriptEnabled: true });
    await fleet.call('PATCH', `${path}/processArgs`, { body: { javascriptEnabled: false } });
    expect(await get(`${path}/processArgs`)).toMatchObject({ javascriptEnabled: false, noTableScan: false });
    const containers = await get(`/groups/${project}/containers?providerName=AWS`);
    expect(containers.results).toMatchObject([{ providerName: 'AWS', regionName: 'US_EAST_1', provisioned: true }]);
    expect((await get(`/groups/${project}/containers/all`)).results).toEqual(containers.results);
    expect((await fleet.call('GET', `/groups/${project}/containers`)).status).toBe(400);
    expect(await get(`/groups/${project}/flexClusters`)).toMatchObject({ results: [], totalCount: 0 });
    for (const rest of [
      '',
      '/backup/snapshots',
      `/backup/snapshots/${'0'.repeat(24)}`,
      '/backup/restoreJobs',
      `/backup/restoreJobs/${'0'.repeat(24)}`,
    ]) {
      expect(await fleet.call('GET', `/groups/${project}/flexClusters/asked${rest}`)).toMatchObject({
        status: 400,
        body: { errorCode: 'CANNOT_USE_NON_FLEX_CLUSTER_IN_FLEX_API', parameters: ['asked'] },
      });
    }
    expect((await get(`/groups/${project}/flexClusters/nobody/backup/snapshots`)).errorCode).toBe('CLUSTER_NOT_FOUND');
  });

  it('is sharded: config servers first, then shards, then routers', async () => {
    const regionConfigs = [
      { providerName: 'GCP', regionName: 'WESTERN_EUROPE', priority: 7, electableSpecs: { instanceSize: 'M30', nodeCount: 1 } },
    ];
    const created = await create({ name: 'events', clusterType: 'SHARDED', replicationSpecs: [{ regionConfigs }, { regionConfigs }] });
    expect(created.body.configServerType).toBe('DEDICATED');
    await agent.take();
    const running = () =>
      agent.processes.filter((each) => each.clusterName === 'events' && each.desired === 'running').map((each) => each.kind);
    expect(new Set(running())).toEqual(new Set(['config']));
    await agent.report();
    await agent.take();
    expect(new Set(running())).toEqual(new Set(['config', 'mongod']));
    const cluster = await idle('events');
    expect(cluster.selfManaged.processes.map((each: { kind: string }) => each.kind)).toEqual([
      'mongod',
      'mongod',
      'config',
      'config',
      'config',
      'mongos',
    ]);
    const router = agent.processes.find((each) => each.kind === 'mongos')!;
    expect(router.router).toMatchObject({ leads: true, shards: [{ name: 'events-shard-0' }, { name: 'events-shard-1' }] });
    expect(router.router!.configDB).toMatch(/^events-config\/127\.0\.0\.1:\d+,127\.0\.0\.1:\d+,127\.0\.0\.1:\d+$/);
    expect(cluster.connectionStrings.standard).toBe(`mongodb://127.0.0.1:${router.port}/`);
    const older = await fleet.call('GET', `/groups/${projectId}/clusters/events`, { version: '2023-02-01' });
    expect(older.body.replicationSpecs).toMatchObject([{ numShards: 2 }]);
  });

  it('takes over processes that exist, and never deletes their data', async () => {
    const process = (port: number) => ({
      hostId: agent.hostId,
      kind: 'mongod',
      replicaSet: 'legacy0',
      port,
      dbPath: `/srv/mongo/${port}`,
      extraArguments: ['--auth', '--kmipClientCertificatePassword', 'hunter2'],
      adopted: true,
    });
    const created = await create({ name: 'adopted', selfManaged: { processes: [process(40_001), process(40_002)] } });
    expect(created).toMatchObject({ status: 201 });
    expect(JSON.stringify(created.body)).not.toContain('hunter2');
    const cluster = await idle('adopted');
    expect(cluster.selfManaged.processes).toMatchObject([
      { adopted: true, dbPath: '/srv/mongo/40001', replicaSet: 'legacy0' },
      { port: 40_002 },
    ]);
    expect((await fleet.call('PATCH', `/groups/${projectId}/clusters/adopted`, { body: cluster })).status).toBe(200);
    expect((await create({ name: 'second', selfManaged: { processes: [process(40_001)] } })).body.errorCode).toBe(
      'INVALID_CLUSTER_CONFIGURATION',
    );

    await fleet.call('DELETE', `/groups/${projectId}/clusters/adopted`);
    await agent.take();
    const goals = agent.processes.filter((each) => each.clusterName === 'adopted');
    expect(goals.map((goal) => [goal.desired, goal.deleteData, goal.extraArguments.at(-1)])).toEqual(
      [1, 2].map(() => ['removed', false, 'hunter2']),
    );
    await fleet.settle(projectId, 'adopted', 'gone', [agent]);
  });

  it('refuses processes that contradict each other, their host or what Atrest sets itself', async () => {
    const base = { hostname: '127.0.0.1', kind: 'mongod', replicaSet: 'r', port: 41_000 };
    await fleet.agent({ hostname: 'elsewhere.example', capacity: 0 });
    const wrong: object[] = [
      [{ ...base, hostname: 'nowhere.example' }],
      [{ ...base, hostname: undefined }],
      [base, base],
      [{ ...base, replicaSet: undefined }],
      [{ ...base, dbPath: '/etc' }],
      [{ ...base, dbPath: '/var/lib/atrest/../../etc' }],
      [{ ...base, extraArguments: ['--dbpath=/etc'] }],
      [{ ...base, extraArguments: ['-dbpath', '/etc'] }],
      [{ ...base, extraArguments: ['-fork'] }],
      [base, { ...base, port: 41_001, votes: 0, priority: 1 }],
      [{ ...base, arbiterOnly: true }],
      [base, { ...base, port: 41_001, priority: 0, votes: 1 }, { ...base, port: 41_000, hostname: 'elsewhere.example' }],
      Array.from({ length: 8 }, (_, member) => ({ ...base, port: 41_000 + member })),
      [{ ...base, adopted: true }],
      [base, { hostname: '127.0.0.1', kind: 'mongos', port: 41_001 }],
    ];
    for (const processes of wrong) {
      const { status, body } = await create({ name: 'wrong', selfManaged: { processes } });
      expect([status, body.errorCode]).toEqual([400, expect.stringMatching(/INVALID_CLUSTER_CONFIGURATION|MISSING_ATTRIBUTE/)]);
    }
  });

  it('keeps its data paths apart from those of other clusters, so that no deletion takes the data of another one along', async () => {
    const folder = '/var/lib/atrest/apart';
    const process = (port: number, dbPath: string, change: object = {}) => ({
      hostId: agent.hostId,
      kind: 'mongod',
      replicaSet: 'r',
      port,
      dbPath,
      ...change,
    });
    const named = (name: string, ...processes: object[]) => create({ name, selfManaged: { processes } });
    expect((await named('apart', process(42_000, `${folder}/a/db`))).status).toBe(201);
    await idle('apart');
    const others = [`${folder}/a/db`, `${folder}/a`, folder, `${folder}/a/db/inner`, `${folder}/a/../a/db/`];
    for (const dbPath of others) {
      for (const adopted of [false, true]) {
        const { status, body } = await named('intruder', process(42_001, dbPath, { adopted }));
        expect([status, body.errorCode, dbPath]).toEqual([400, 'INVALID_CLUSTER_CONFIGURATION', dbPath]);
      }
    }
    expect((await named('intruder', process(42_001, `${folder}/b`), process(42_002, `${folder}/b/c`))).status).toBe(400);
    expect((await named('neighbour', process(42_001, `${folder}/a/db-2`))).status).toBe(201);
    await idle('neighbour');
  });

  it('F84 names with quotes, dots, signs, unicode or 1,000 characters get a clear error, in the body and in the path', async () => {
    for (const name of ['a"b', "o'hara", 'a.b', '$where', 'größe', 'a b', '%00']) {
      expect((await create(replicaSet(name))).body).toMatchObject({ error: 400, errorCode: 'CLUSTER_NAME_INVALID', parameters: [name] });
      const path = `/groups/${projectId}/clusters/${encodeURIComponent(name)}`;
      expect((await fleet.call('GET', path)).body).toMatchObject({
        error: 404,
        errorCode: 'CLUSTER_NOT_FOUND',
        parameters: [name, projectId],
      });
    }
    expect((await create(replicaSet('n'.repeat(1_000)))).body.errorCode).toBe('CLUSTER_NAME_TOO_LONG');
    expect((await fleet.call('GET', `/groups/${projectId}/clusters/${'n'.repeat(1_000)}`)).body.errorCode).toBe('CLUSTER_NOT_FOUND');
    expect((await create({ ...replicaSet('x'), name: undefined })).body.errorCode).toBe('MISSING_ATTRIBUTE');
    expect((await create(replicaSet('taken'))).status).toBe(201);
    expect((await create(replicaSet('taken'))).body).toMatchObject({
      error: 400,
      errorCode: 'DUPLICATE_CLUSTER_NAME',
      detail: `A cluster named taken is already present in group ${projectId}.`,
      parameters: ['taken', projectId],
    });
    expect((await create(replicaSet('x', { paused: true }))).body.errorCode).toBe('CANNOT_CREATE_PAUSED_CLUSTER');
    expect((await create(replicaSet('x', { surprise: 1 }))).body.errorCode).toBe('INVALID_ATTRIBUTE');
  });

  it('uses a key only when the project has a valid one for the provider, by an owner, in any one cloud', async () => {
    const encrypted = (name: string, change: object = {}) => replicaSet(name, { encryptionAtRestProvider: 'AWS', ...change });
    const own = await fleet.project();
    const post = (body: object, token?: string) => fleet.call('POST', `/groups/${own}/clusters`, { body, ...(token && { token }) });
    expect((await post(encrypted('a'))).body).toMatchObject({ error: 400, errorCode: 'ENCRYPTION_AT_REST_NOT_ENABLED' });
    const key = new FakeKey(fleet, own);
    await key.saved();
    const regionConfigs = [
      { providerName: 'GCP', regionName: 'WESTERN_EUROPE', priority: 7, electableSpecs: { instanceSize: 'M10', nodeCount: 3 } },
      { providerName: 'AWS', regionName: 'US_EAST_1', priority: 6, electableSpecs: { instanceSize: 'M10', nodeCount: 2 } },
    ];
    const oneCloud = { replicationSpecs: [{ regionConfigs: regionConfigs.slice(0, 1) }] };
    expect((await post(encrypted('b', { replicationSpecs: [{ regionConfigs }] }))).body.errorCode).toBe(
      'ENCRYPTION_AT_REST_PROVIDER_NOT_SUPPORTED',
    );
    const manager = await fleet.member(own, ['GROUP_CLUSTER_MANAGER']);
    expect((await post(encrypted('c'), manager)).body.errorCode).toBe('ACCESS_FORBIDDEN');
    expect((await post(encrypted('c', oneCloud))).status).toBe(201);
    expect((await post(replicaSet('d'), manager)).status).toBe(201);
    await fleet.settle(own, 'd', 'IDLE', [agent]);
    await fleet.settle(own, 'c', 'IDLE', [agent]);
    const patched = await fleet.call('PATCH', `/groups/${own}/clusters/d`, { body: { encryptionAtRestProvider: 'AWS' } });
    expect(patched.body).toMatchObject({ stateName: 'UPDATING', encryptionAtRestProvider: 'AWS' });
    await fleet.settle(own, 'd', 'IDLE', [agent]);
    expect(agent.processes.filter((each) => each.clusterName === 'd').every((each) => each.requiresKey)).toBe(true);
    await key.saved({ enabled: true, state: 'SUSPECT' });
    expect((await post(encrypted('e'))).body.errorCode).toBe('ENCRYPTION_AT_REST_SETTINGS_INVALID');
    expect((await fleet.cluster(own, 'd')).selfManaged.state).toBe('IDLE');
    const reader = await fleet.member(own, ['GROUP_READ_ONLY']);
    expect((await post(replicaSet('f'), reader)).status).toBe(403);
    expect((await fleet.call('DELETE', `/groups/${own}/clusters/d`, { token: manager })).status).toBe(403);
  });

  it('is protected from deletion when it is asked to be, and closes its project', async () => {
    const { path, project } = await running('guarded');
    expect((await fleet.call('DELETE', `/groups/${project}`)).body.errorCode).toBe('CANNOT_CLOSE_GROUP_ACTIVE_ATLAS_CLUSTERS');
    await fleet.call('PATCH', path, { body: { terminationProtectionEnabled: true } });
    expect((await fleet.call('DELETE', path)).body.errorCode).toBe('CANNOT_TERMINATE_CLUSTER_WHEN_TERMINATION_PROTECTION_ENABLED');
    await fleet.call('PATCH', path, { body: { terminationProtectionEnabled: false } });
    expect(await fleet.call('DELETE', path, { version: '2023-02-01' })).toMatchObject({ status: 202, body: {} });
    expect((await fleet.cluster(project, 'guarded')).stateName).toBe('DELETING');
    expect((await fleet.call('DELETE', path)).body.errorCode).toBe('CLUSTER_ALREADY_REQUESTED_DELETION');
    expect((await fleet.call('PATCH', path, { body: { backupEnabled: true } })).body.errorCode).toBe('CLUSTER_ALREADY_REQUESTED_DELETION');
    await fleet.settle(project, 'guarded', 'gone', [agent]);
    expect((await fleet.call('POST', `/groups/${project}/clusters`, { body: replicaSet('guarded') })).status).toBe(201);
  });

  it('has one backup: the old switch of version 2023-01-01 means it, but is refused with a customer key; point in time needs it', async () => {
    const project = await fleet.project();
    await new FakeKey(fleet, project).saved();
    const clusters = `/groups/${project}/clusters`;
    const legacy = (method: string, path: string, body: object) => fleet.call(method, path, { version: '2023-01-01', body });
    const asked = replicaSet('switched', { encryptionAtRestProvider: 'AWS' });
    const refused = { status: 400, body: { errorCode: 'INVALID_CLUSTER_CONFIGURATION', parameters: ['backupEnabled'] } };
    expect(await legacy('POST', clusters, { ...asked, backupEnabled: true })).toMatchObject(refused);
    expect((await fleet.call('POST', clusters, { body: { ...asked, pitEnabled: true } })).body.detail).toContain(
      'pitEnabled needs backupEnabled',
    );
    expect((await legacy('POST', clusters, { ...asked, providerBackupEnabled: true })).status).toBe(201);
    const cluster = await fleet.settle(project, 'switched', 'IDLE', [agent]);
    expect(cluster.backupEnabled).toBe(true);
    const path = `${clusters}/switched`;
    const shown = (await fleet.call('GET', path, { version: '2023-01-01' })).body;
    expect(shown).toMatchObject({ backupEnabled: false, providerBackupEnabled: true });
    expect(await legacy('PATCH', path, { backupEnabled: true })).toMatchObject(refused);
    expect((await legacy('PATCH', path, shown)).status).toBe(200);
    expect((await fleet.call('PATCH', path, { body: { backupEnabled: true } })).body.backupEnabled).toBe(true);

    const { path: plain } = await running('plainly');
    expect((await legacy('PATCH', plain, { backupEnabled: true })).body).toMatchObject({
      backupEnabled: false,
      providerBackupEnabled: true,
    });
  });

  it('says whether its snapshots are to outlive it, as it was set or as it was asked on its deletion', async () => {
    const told = async (name: string) => {
      await fleet.fleet.messaging.whenCaughtUp();
      return fleet.events.findLast((event) => (event.data as { name?: string }).name === name)?.data;
    };
    for (const [name, query] of [
      ['kept', '?retainBackups=true'],
      ['dropped', ''],
    ] as const) {
      const { path } = await running(name);
      expect(await told(name)).toMatchObject({ retainBackups: false, paused: false });
      expect((await fleet.call('DELETE', `${path}${query}`)).status).toBe(202);
      expect(await told(name)).toMatchObject({ state: 'DELETING', retainBackups: name === 'kept' });
    }
    const { path } = await running('set');
    await fleet.call('PATCH', path, { body: { retainBackups: true } });
    await fleet.call('DELETE', path);
    expect(await told('set')).toMatchObject({ state: 'DELETING', retainBackups: true });
  });

  it('finds its place when many are created at the same moment, or says that there is no room', async () => {
    const names = Array.from({ length: 6 }, (_, index) => `many-${index}`);
    const created = await Promise.all(names.map((name) => create(replicaSet(name))));
    expect(created.map((reply) => reply.status)).toEqual(names.map(() => 201));
    const taken = await fleet.database.query<{ port: number }>('SELECT port FROM process WHERE removed_at IS NULL');
    expect(new Set(taken.map((row) => row.port)).size).toBe(taken.length);
    const huge = {
      replicationSpecs: Array.from({ length: 70 }, () => (replicaSet('x') as { replicationSpecs: object[] }).replicationSpecs[0]),
    };
    const refused = await create({ ...replicaSet('huge'), ...huge, clusterType: 'SHARDED' });
    expect(refused.body).toMatchObject({ errorCode: 'INVALID_CLUSTER_CONFIGURATION', detail: expect.stringContaining('room') });
    expect((await fleet.call('GET', `/groups/${projectId}/clusters/huge`)).status).toBe(404);
  });
});
