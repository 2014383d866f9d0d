import type { ProcessGoal } from '@atrest/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FakeAgent } from '../test-support/fake-agent.contract.js';
import { FakeKey, FleetInstallation, replicaSet } from '../test-support/fleet-installation.contract.js';

let fleet: FleetInstallation;
let agent: FakeAgent;
beforeAll(async () => {
  fleet = await FleetInstallation.start('cluster updates');
  agent = await fleet.agent({ capacity: 200, portRange: { first: 30_000, last: 30_999 } });
});
afterAll(() => fleet?.stop());

/** A cluster that runs, in a project of its own. */
async function running(name: string, body: object = replicaSet(name)) {
  const project = await fleet.project();
  const path = `/groups/${project}/clusters/${name}`;
  const patch = (change: object, version?: string) =>
    fleet.call('PATCH', path, { body: change, ...(version !== undefined && { version }) });
  const create = async () => {
    expect(await fleet.call('POST', `/groups/${project}/clusters`, { body })).toMatchObject({ status: 201 });
    await fleet.settle(project, name, 'IDLE', [agent]);
  };
  const settle = (state: string) => fleet.settle(project, name, state, [agent]);
  const goals = () => agent.processes.filter((each) => each.clusterName === name);
  return { project, path, patch, create, settle, goals, get: () => fleet.cluster(project, name) };
}

const nodes = (nodeCount: number, count = 1) => {
  const regionConfigs = [{ providerName: 'AWS', regionName: 'US_EAST_1', priority: 7, electableSpecs: { instanceSize: 'M10', nodeCount } }];
  return { replicationSpecs: Array.from({ length: count }, () => ({ regionConfigs })) };
};
const sharded = (name: string, shards: number) => ({ name, clusterType: 'SHARDED', ...nodes(1, shards) });
const refused = { status: 400, body: { errorCode: 'INVALID_CLUSTER_CONFIGURATION' } };
const ports = (cluster: { selfManaged: { processes: { port: number }[] } }) =>
  cluster.selfManaged.processes.map((each) => each.port).sort((a, b) => a - b);
const states = (goals: readonly ProcessGoal[]) => goals.map((goal) => goal.desired);

describe('the members of a replica set', () => {
  it('grow and shrink by the number of nodes, as each version of the API says it', async () => {
    const { create, patch, settle, goals, get } = await running('growing');
    await create();
    const before = ports(await get());
    const grown = await patch(nodes(5), '2024-08-05');
    expect(grown).toMatchObject({ status: 200, body: { stateName: 'UPDATING' } });
    expect(grown.body.replicationSpecs[0].regionConfigs[0].electableSpecs.nodeCount).toBe(5);
    expect(grown.body.selfManaged.processes.map((each: { change: string | null }) => each.change)).toEqual([
      null,
      null,
      null,
      'JOINING',
      'JOINING',
    ]);
    // Clients go on with the members that carry the cluster.
    expect(grown.body.connectionStrings.standard).toBe(
      `mongodb://${before.map((port) => `127.0.0.1:${port}`).join(',')}/?replicaSet=growing`,
    );
    await agent.take();
    const changes = goals().map((goal) => goal.replicaSet!.changes);
    expect(changes.every((each) => each?.joining.length === 2 && each.leaving.length === 0)).toBe(true);
    expect(goals().every((goal) => goal.replicaSet!.members.length === 3)).toBe(true);
    const five = await settle('IDLE');
    expect(five.selfManaged.processes).toHaveLength(5);
    expect(goals().every((goal) => goal.replicaSet!.changes === undefined && goal.replicaSet!.members.length === 5)).toBe(true);
    const last = fleet.events.findLast((event) => (event.data as { name?: string }).name === 'growing')?.data;
    expect(last).toMatchObject({ state: 'IDLE', processes: { length: 5 } });

    expect((await patch({ replicationFactor: 3 }, '2023-01-01')).body.stateName).toBe('UPDATING');
    await agent.take();
    expect(states(goals())).toEqual(Array.from({ length: 5 }, () => 'running'));
    const three = await settle('IDLE');
    expect(three.selfManaged.processes).toHaveLength(3);
    expect(three.replicationSpecs[0].regionConfigs[0].electableSpecs.nodeCount).toBe(3);
    // The oldest stay, and with them the primary.
    expect(ports(three)).toEqual(before);
    const [usage] = await fleet.database.query<{ open: number }>(
      `SELECT count(*) FILTER (WHERE ended_at IS NULL) AS open FROM usage_period JOIN cluster ON cluster.id = cluster_id WHERE name = 'growing'`,
    );
    expect(usage?.open).toBe(3);
  });

  it('that leave are stopped only when the set does not have them any more, and keep their data', async () => {
    const { create, patch, settle, goals, get } = await running('shrinking');
    await create();
    const { processes } = (await get()).selfManaged;
    const [, , last] = processes;
    agent.keepsMembers.add(last.id);
    expect((await patch({ selfManaged: { processes: processes.slice(0, 2) } })).body.stateName).toBe('UPDATING');
    for (let round = 0; round < 3; round += 1) await agent.sync();
    expect(goals().find((goal) => goal.id === last.id)).toMatchObject({ desired: 'running', replicaSet: { changes: { yields: true } } });
    expect((await get()).selfManaged.processes.find((each: { id: string }) => each.id === last.id)).toMatchObject({ change: 'LEAVING' });
    agent.keepsMembers.clear();
    await agent.sync();
    await agent.take();
    expect(goals().find((goal) => goal.id === last.id)).toMatchObject({ desired: 'removed', deleteData: false });
    expect((await settle('IDLE')).replicationSpecs[0].regionConfigs[0].electableSpecs.nodeCount).toBe(2);
  });

  it('are named: a new one joins, one that existed is taken over as it is', async () => {
    const named = (port: number, change: object = {}) => ({ hostId: agent.hostId, kind: 'mongod', replicaSet: 'named', port, ...change });
    const { create, patch, settle, goals, get } = await running('named', {
      name: 'named',
      selfManaged: { accessControl: false, processes: [named(45_001), named(45_002), named(45_003)] },
    });
    await create();
    const known = (await get()).selfManaged.processes;
    const adopted = named(45_005, { adopted: true, dbPath: '/srv/mongo/5' });
    const patched = await patch({ selfManaged: { processes: [...known, named(45_004), adopted] } });
    expect(patched.status).toBe(200);
    await agent.take();
    const [goal] = goals();
    expect(goal?.replicaSet?.changes?.joining.map((member) => [member.id, member.host])).toEqual([[3, '127.0.0.1:45004']]);
    expect(goal?.replicaSet?.members.map((member) => member.host)).toContain('127.0.0.1:45005');
    const settled = await settle('IDLE');
    expect(settled.replicationSpecs[0].regionConfigs[0].electableSpecs.nodeCount).toBe(5);

    // What is sent back as it was read changes nothing, whatever state it was read in.
    const revision = async () =>
      (await fleet.database.query<{ revision: number }>(`SELECT revision FROM cluster WHERE name = 'named'`))[0]?.revision;
    const before = await revision();
    expect((await patch(settled)).status).toBe(200);
    expect(await revision()).toBe(before);

    for (const change of [
      [{ ...known[0], port: 45_009 }, ...known.slice(1)],
      [{ ...known[0], dbPath: '/var/lib/atrest/other' }, ...known.slice(1)],
      [{ ...known[0], id: '0'.repeat(24) }],
      [named(45_009), named(45_010)],
      [known[0], known[0]],
      [...known, ...[6, 7, 8].map((port) => named(45_000 + port))],
      [...known, named(45_006, { replicaSet: 'second' })],
    ]) {
      expect(await patch({ selfManaged: { processes: change } })).toMatchObject(refused);
    }
    expect(await patch({ ...nodes(6), selfManaged: { processes: known } })).toMatchObject(refused);
    expect((await patch(nodes(3))).body.detail).toContain('existed before Atrest');
    expect(await revision()).toBe(before);
  });
});

describe('arguments', () => {
  it('are given to one member at a time, to the primary last; secrets that were not shown stay as they are', async () => {
    const args = ['--setParameter', 'ttlMonitorEnabled=false', '--kmipClientCertificatePassword', 'hunter2'];
    const named = (port: number) => ({ hostId: agent.hostId, kind: 'mongod', replicaSet: 'rs', port, extraArguments: args });
    const { create, patch, settle, goals, get } = await running('args', {
      name: 'args',
      selfManaged: { processes: [46_001, 46_002, 46_003].map(named) },
    });
    await create();
    const processes = (await get()).selfManaged.processes.map((each: { extraArguments: string[] }) => ({
      ...each,
      extraArguments: [...each.extraArguments, '--quiet'],
    }));
    expect(JSON.stringify(processes)).not.toContain('hunter2');
    expect((await patch({ selfManaged: { processes } })).body.stateName).toBe('UPDATING');
    const down: string[] = [];
    for (let round = 0; round < 20; round += 1) {
      await agent.take();
      const stopped = goals().filter((goal) => goal.desired === 'stopped');
      expect(stopped.length).toBeLessThanOrEqual(1);
      for (const goal of stopped) if (down.at(-1) !== goal.id) down.push(goal.id);
      await agent.report();
    }
    expect(down).toEqual([processes[2].id, processes[1].id, processes[0].id]);
    await settle('IDLE');
    expect(goals().map((goal) => [goal.extraArguments, goal.argumentsVersion])).toEqual([1, 2, 3].map(() => [[...args, '--quiet'], 1]));
    const starred = (await get()).selfManaged.processes.map((each: object) => ({ ...each, extraArguments: ['--other', '***'] }));
    expect(await patch({ selfManaged: { processes: starred } })).toMatchObject(refused);
    const own = (await get()).selfManaged.processes.map((each: object) => ({ ...each, extraArguments: ['--dbpath=/etc'] }));
    expect(await patch({ selfManaged: { processes: own } })).toMatchObject(refused);
  });
});

describe('shards and routers', () => {
  it('a shard joins when the leading mongos knows it; none is removed', async () => {
    const { create, patch, settle, goals } = await running('wide', sharded('wide', 1));
    await create();
    agent.knownShards.add('wide-shard-0');
    expect((await patch(nodes(1, 2))).body.stateName).toBe('UPDATING');
    for (let round = 0; round < 3; round += 1) await agent.sync();
    const joining = goals().find((goal) => goal.replicaSet?.name === 'wide-shard-1')!;
    expect(joining).toMatchObject({ desired: 'running', replicaSet: { leads: true, role: 'shard' } });
    expect(joining.replicaSet).not.toHaveProperty('changes');
    expect(
      goals()
        .find((goal) => goal.router?.leads)
        ?.router?.shards.map((shard) => shard.name),
    ).toEqual(['wide-shard-0', 'wide-shard-1']);
    agent.knownShards.add('wide-shard-1');
    expect((await settle('IDLE')).replicationSpecs).toHaveLength(2);
    expect(await patch(nodes(1, 1))).toMatchObject({ ...refused, body: { detail: expect.stringContaining('shard cannot be removed') } });
  });

  it('of a cluster with access control are added by its owner, because agents have no user there', async () => {
    const named = (kind: string, port: number, replicaSetName?: string) => ({
      hostId: agent.hostId,
      kind,
      port,
      ...(replicaSetName !== undefined && { replicaSet: replicaSetName }),
      extraArguments: ['--keyFile', '/etc/mongo.key'],
    });
    const processes = [named('mongos', 47_001), named('config', 47_002, 'cfg'), named('mongod', 47_003, 's0')];
    const { create, patch, get } = await running('guarded', { name: 'guarded', clusterType: 'SHARDED', selfManaged: { processes } });
    await create();
    const known = (await get()).selfManaged.processes;
    const shard = named('mongod', 47_004, 's1');
    const reply = await patch({ selfManaged: { processes: [...known, shard] } });
    expect(reply).toMatchObject({ ...refused, body: { detail: expect.stringContaining('sh.addShard()') } });
    expect((await patch({ selfManaged: { processes: [...known, { ...shard, adopted: true, dbPath: '/srv/s1' }] } })).status).toBe(200);
  });

  it('a mongos comes and goes; the last one stays', async () => {
    const { create, patch, settle, get } = await running('routed', sharded('routed', 1));
    await create();
    const known = (await get()).selfManaged.processes;
    const router = { hostId: agent.hostId, kind: 'mongos', port: 48_001 };
    expect((await patch({ selfManaged: { processes: [...known, router] } })).body.stateName).toBe('UPDATING');
    const two = await settle('IDLE');
    expect(two.connectionStrings.standard).toContain(',127.0.0.1:48001');
    const without = two.selfManaged.processes.filter(
      (each: { kind: string; port: number }) => each.kind !== 'mongos' || each.port === 48_001,
    );
    expect((await patch({ selfManaged: { processes: without } })).status).toBe(200);
    const one = await settle('IDLE');
    expect(one.connectionStrings.standard).toBe('mongodb://127.0.0.1:48001/');
    const none = one.selfManaged.processes.filter((each: { kind: string }) => each.kind !== 'mongos');
    expect(await patch({ selfManaged: { processes: none } })).toMatchObject(refused);
  });
});

it('a disabled cluster takes such changes; they are carried out when it is enabled', async () => {
  const { project, create, patch, settle, goals } = await running('pending', replicaSet('pending', { encryptionAtRestProvider: 'AWS' }));
  const key = new FakeKey(fleet, project);
  await key.saved();
  await create();
  await key.invalidated();
  await settle('DISABLED');
  const members = new Set(goals().map((goal) => goal.id));
  const patched = await patch(nodes(5));
  expect(patched.body).toMatchObject({ selfManaged: { state: 'DISABLED', pendingChanges: { shards: [{}] } } });
  await agent.take();
  expect(states(goals())).toEqual(Array.from({ length: 5 }, () => 'stopped'));
  const syncing = goals().filter((goal) => !members.has(goal.id));
  for (const { id } of syncing) agent.claims.set(id, { memberState: 'STARTUP2' });
  await key.validated();
  const serving = await settle('UPDATING');
  expect(serving.selfManaged.processes.filter((each: { change: string | null }) => each.change === 'JOINING')).toHaveLength(2);
  for (const { id } of syncing) agent.claims.delete(id);
  const settled = await settle('IDLE');
  expect(settled.selfManaged).toMatchObject({ pendingChanges: null, processes: { length: 5 } });
  // It served before it changed.
  const events = await fleet.clusterEvents('pending');
  expect(events.slice(events.indexOf('enabling-started'))).toEqual(['enabling-started', 'enabled', 'updated']);
});
