import { afterAll, beforeAll, expect, it } from 'vitest';
import type { FakeAgent } from '../test-support/fake-agent.contract.js';
import { FakeKey, FleetInstallation, replicaSet } from '../test-support/fleet-installation.contract.js';

let fleet: FleetInstallation;
let agents: [FakeAgent, FakeAgent, FakeAgent];
beforeAll(async () => {
  fleet = await FleetInstallation.start('hosts given up');
});
afterAll(() => fleet?.stop());

const hostPath = (agent: FakeAgent) => `/orgs/${fleet.owner.orgId}/hosts/${agent.hostId}`;
const giveUp = (agent: FakeAgent, token?: string) =>
  fleet.call('DELETE', `${hostPath(agent)}?force=true`, token === undefined ? {} : { token });

/** A cluster with a key on three hosts of its own, of which the first is about to be lost. */
async function running(name: string) {
  const host = (letter: string) => fleet.agent({ hostname: `${name}-${letter}.example`, allowsColocation: false, capacity: 2 });
  for (const agent of agents ?? []) await fleet.database.query('UPDATE host SET capacity = 0 WHERE id = $1 RETURNING id', [agent.hostId]);
  agents = [await host('a'), await host('b'), await host('c')];
  const project = await fleet.project();
  const key = new FakeKey(fleet, project);
  await key.saved();
  const body = replicaSet(name, { encryptionAtRestProvider: 'AWS' });
  expect((await fleet.call('POST', `/groups/${project}/clusters`, { body })).status).toBe(201);
  await fleet.settle(project, name, 'IDLE', agents);
  return { project, key, path: `/groups/${project}/clusters/${name}` };
}

it('a host that is lost is given up by the owner of the organisation: clusters go on, and it is told to stop should it come back', async () => {
  const { project, key } = await running('lost');
  const [lost, ...present] = agents;
  await key.invalidated();
  expect(await giveUp(lost)).toMatchObject({ status: 400, body: { errorCode: 'INVALID_ATTRIBUTE' } });
  fleet.clock.advance(30_001);
  for (let round = 0; round < 3; round += 1) for (const agent of present) await agent.sync();
  expect((await fleet.cluster(project, 'lost')).selfManaged.state).toBe('DISABLING');
  expect((await fleet.call('DELETE', hostPath(lost))).body.detail).toContain('force=true');
  expect((await giveUp(lost, await fleet.member(project, ['GROUP_OWNER']))).status).toBe(403);

  expect((await giveUp(lost)).status).toBe(204);
  expect((await giveUp(lost)).status).toBe(204);
  const disabled = await fleet.settle(project, 'lost', 'DISABLED', present);
  expect(disabled.selfManaged.processes.filter((each: { lost: boolean }) => each.lost)).toMatchObject([{ hostId: lost.hostId }]);
  const { results } = (await fleet.call('GET', `/orgs/${fleet.owner.orgId}/hosts`)).body;
  expect(results.find((host: { id: string }) => host.id === lost.hostId)).toMatchObject({ givenUpAt: expect.any(String), stale: true });
  const concerns = fleet.events.filter((event) => (event.data as { kind?: string }).kind === 'HOST_GIVEN_UP');
  expect(concerns.map((event) => event.data)).toMatchObject([
    { cluster: { name: 'lost' }, detail: expect.stringContaining('lost-a.example') },
  ]);

  // It comes back with its databases running: it is not refused, it is told to stop them, and its files are left alone.
  await lost.take();
  expect(lost.processes.map((each) => [each.desired, each.deleteData])).toEqual([['stopped', false]]);
  expect(lost.processes[0]?.reason).toContain('given up');
  await lost.report();

  // The cluster serves again without it, and its process is taken out of the set.
  const [heir, other] = present.map((agent) => agent.processes[0]!);
  const setMembers = [heir!, other!].map((goal, index) => ({ host: `lost-${index === 0 ? 'b' : 'c'}.example:${goal.port}` }));
  present[0]!.claims.set(heir!.id, { status: 'running', pid: 1, writable: true, memberState: 'PRIMARY', setMembers });
  present[1]!.claims.set(other!.id, { status: 'running', pid: 1, memberState: 'SECONDARY' });
  await key.validated();
  const idle = await fleet.settle(project, 'lost', 'IDLE', present);
  await lost.take();
  expect(lost.processes.map((each) => each.desired)).toEqual(['stopped']);
  const processes = idle.selfManaged.processes.filter((each: { lost: boolean }) => !each.lost);
  expect((await fleet.call('PATCH', `/groups/${project}/clusters/lost`, { body: { selfManaged: { processes } } })).body.stateName).toBe(
    'UPDATING',
  );
  expect((await fleet.settle(project, 'lost', 'IDLE', present)).selfManaged.processes).toHaveLength(2);
  await lost.take();
  expect(lost.processes.map((each) => each.desired)).toEqual(['stopped']);
  expect((await fleet.call('DELETE', hostPath(lost))).body.detail).toContain('given up');
});

it('a cluster that waits only for a host that is lost can be deleted; a new machine of the same name is another host', async () => {
  const { project, path } = await running('doomed');
  const [lost, ...present] = agents;
  fleet.clock.advance(30_001);
  for (const agent of present) await agent.sync();
  expect((await fleet.call('DELETE', path)).status).toBe(202);
  for (let round = 0; round < 3; round += 1) for (const agent of present) await agent.sync();
  expect((await fleet.cluster(project, 'doomed')).stateName).toBe('DELETING');
  expect((await giveUp(lost)).status).toBe(204);
  await fleet.settle(project, 'doomed', 'gone', present);
  await lost.take();
  expect(lost.processes.map((each) => [each.desired, each.deleteData])).toEqual([['stopped', false]]);
  const again = await fleet.agent({ hostname: 'doomed-a.example', capacity: 2 });
  expect(again.hostId).not.toBe(lost.hostId);
});
