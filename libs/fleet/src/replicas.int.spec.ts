import { afterAll, beforeAll, expect, it } from 'vitest';
import { FakeKey, FleetInstallation, replicaSet } from './test-support/fleet-installation.contract.js';

let fleet: FleetInstallation;
beforeAll(async () => {
  fleet = await FleetInstallation.start('replicas');
});
afterAll(() => fleet?.stop());

it('an agent that waits at one replica hears at once of what another one decides', async () => {
  const agent = await fleet.agent({ hostname: 'far.example', capacity: 3 });
  await agent.take();
  agent.url = await fleet.addReplica();
  const waiting = agent.poll({ waitSeconds: 30 });
  const projectId = await fleet.project();
  await fleet.call('POST', `/groups/${projectId}/clusters`, { body: replicaSet('far') });
  expect((await waiting)?.goal?.processes).toHaveLength(3);
});

it('F32 what was decided is carried out although the replica that decided it is gone before all has stopped', async () => {
  const agent = await fleet.agent({ hostname: 'survivor.example', capacity: 6 });
  const projectId = await fleet.project();
  const key = new FakeKey(fleet, projectId);
  await key.saved();
  const regionConfigs = [
    { providerName: 'AWS', regionName: 'US_EAST_1', priority: 7, electableSpecs: { instanceSize: 'M10', nodeCount: 1 } },
  ];
  await fleet.call('POST', `/groups/${projectId}/clusters`, {
    body: { name: 'survivor', clusterType: 'SHARDED', encryptionAtRestProvider: 'AWS', replicationSpecs: [{ regionConfigs }] },
  });
  await fleet.settle(projectId, 'survivor', 'IDLE', [agent]);
  await key.invalidated();
  await agent.sync();
  expect((await fleet.cluster(projectId, 'survivor')).selfManaged.state).toBe('DISABLING');

  await fleet.addReplica();
  await fleet.stopFirstReplica();
  agent.url = fleet.url;
  await fleet.settle(projectId, 'survivor', 'DISABLED', [agent]);
  expect(agent.processes.every((process) => process.desired === 'stopped')).toBe(true);
});

it('F33 two replicas that hear of a key and of stopped processes at the same time decide once', async () => {
  const agents = [await fleet.agent({ hostname: 'one.example', capacity: 2 }), await fleet.agent({ hostname: 'two.example', capacity: 2 })];
  const projectId = await fleet.project();
  const key = new FakeKey(fleet, projectId);
  await key.saved();
  const names = ['first', 'second'];
  for (const name of names) {
    const regionConfigs = [
      { providerName: 'AWS', regionName: 'US_EAST_1', priority: 7, electableSpecs: { instanceSize: 'M10', nodeCount: 1 } },
    ];
    const body = { name, clusterType: 'REPLICASET', encryptionAtRestProvider: 'AWS', replicationSpecs: [{ regionConfigs }] };
    await fleet.call('POST', `/groups/${projectId}/clusters`, { body });
    await fleet.settle(projectId, name, 'IDLE', agents);
  }
  agents[1]!.url = await fleet.addReplica();
  await key.invalidated();
  for (const name of names) await fleet.settle(projectId, name, 'DISABLING', []);
  // Each replica hears of one host, both at once, again and again.
  for (let round = 0; round < 5; round += 1) await Promise.all(agents.flatMap((agent) => [agent.sync(), agent.sync()]));
  for (const name of names) {
    await fleet.settle(projectId, name, 'DISABLED', agents);
    const events = await fleet.clusterEvents(name);
    expect(events.filter((event) => event === 'disabling-started' || event === 'disabled')).toEqual(['disabling-started', 'disabled']);
  }
});

it('F30 the next phase begins by itself when a silent host has held the first one up for long enough', async () => {
  const quiet = await fleet.agent({ hostname: 'quiet.example', capacity: 1, portRange: { first: 50_000, last: 50_000 } });
  const awake = await fleet.agent({ hostname: 'awake.example', capacity: 2 });
  const projectId = await fleet.project();
  const key = new FakeKey(fleet, projectId);
  await key.saved();
  const process = (hostname: string, kind: string, port: number, replicaSetName?: string) => ({
    hostname,
    kind,
    port,
    replicaSet: replicaSetName,
  });
  const processes = [
    process('quiet.example', 'mongos', 50_000),
    process('awake.example', 'mongod', 50_001, 'shard'),
    process('awake.example', 'config', 50_002, 'configs'),
  ];
  const body = { name: 'phases', clusterType: 'SHARDED', encryptionAtRestProvider: 'AWS', selfManaged: { processes } };
  expect((await fleet.call('POST', `/groups/${projectId}/clusters`, { body })).status).toBe(201);
  await fleet.settle(projectId, 'phases', 'IDLE', [quiet, awake]);
  await key.invalidated();
  // Their turn comes later; a host that restarts meanwhile does not start them again.
  await awake.take();
  expect(awake.processes.map((each) => [each.desired, each.mayStart])).toEqual([
    ['running', false],
    ['running', false],
  ]);
  const waiting = awake.poll({ waitSeconds: 30 });
  fleet.clock.advance(15_000);
  const stopped = (await waiting)?.goal?.processes.filter((each) => each.desired === 'stopped');
  expect(stopped?.map((each) => each.kind)).toEqual(['mongod']);

  // The clock is set back by a day while the shard is silent, too: nobody waits until that day has passed again.
  const next = awake.poll({ goalVersion: (await awake.poll({ goalVersion: 0 }))!.goal!.version, waitSeconds: 30 });
  fleet.clock.advance(-86_400_000);
  const last = (await next)?.goal?.processes.filter((each) => each.desired === 'stopped');
  expect(last?.map((each) => each.kind).sort()).toEqual(['config', 'mongod']);
});
