import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clusterProcessEndedForKey, type ProcessGoal } from '@atrest/contracts';
import { createLogger } from '@atrest/platform-logging';
import { EventPublisher } from '@atrest/platform-messaging';
import { waitFor } from '@atrest/testing';
import { keyConfigurationHandlers } from '../projections/key-configuration-handlers.js';
import type { FakeAgent } from '../test-support/fake-agent.contract.js';
import { FakeKey, FleetInstallation, replicaSet } from '../test-support/fleet-installation.contract.js';
import { ClusterAccess } from './cluster-access.js';
import { ClusterLifecycle } from './cluster-lifecycle.js';

let fleet: FleetInstallation;
let agents: FakeAgent[];
beforeAll(async () => {
  fleet = await FleetInstallation.start('key validity');
  agents = [await fleet.agent({ hostname: 'a.example', allowsColocation: false })];
  agents.push(await fleet.agent({ hostname: 'b.example', allowsColocation: false }));
  agents.push(await fleet.agent({ hostname: 'c.example', allowsColocation: false }));
});
afterAll(() => fleet?.stop());

/** A project with a valid key and a cluster that uses it and runs. */
async function running(name: string, change: object = {}): Promise<{ projectId: string; key: FakeKey }> {
  const projectId = await fleet.project();
  const key = new FakeKey(fleet, projectId);
  await key.saved();
  const created = await fleet.call('POST', `/groups/${projectId}/clusters`, {
    body: replicaSet(name, { encryptionAtRestProvider: 'AWS', ...change }),
  });
  expect(created).toMatchObject({ status: 201 });
  await fleet.settle(projectId, name, 'IDLE', agents);
  return { projectId, key };
}

const goalsOf = (name: string) => agents.flatMap((agent) => agent.processes.filter((process) => process.clusterName === name));

describe('a key that is gone', () => {
  it('stops every process of the clusters that use it, says why, and starts them when it is back', async () => {
    const { projectId, key } = await running('orders');
    await fleet.call('POST', `/groups/${projectId}/clusters`, { body: replicaSet('press') });
    await fleet.settle(projectId, 'press', 'IDLE', agents);

    await key.invalidated();
    const disabling = await fleet.cluster(projectId, 'orders');
    expect(disabling).toMatchObject({
      stateName: 'IDLE',
      selfManaged: { state: 'DISABLING', disabledReason: { provider: 'AWS', detail: 'KEY_DISABLED: The key is disabled.' } },
    });
    const disabled = await fleet.settle(projectId, 'orders', 'DISABLED', agents);
    expect(disabled.selfManaged.processes.map((each: { status: string }) => each.status)).toEqual(['stopped', 'stopped', 'stopped']);
    expect(goalsOf('orders').every((goal) => goal.desired === 'stopped' && goal.requiresKey && goal.reason?.includes('KEY_DISABLED'))).toBe(
      true,
    );
    expect(goalsOf('press').every((goal) => goal.desired === 'running' && !goal.requiresKey)).toBe(true);

    await key.validated();
    const idle = await fleet.settle(projectId, 'orders', 'IDLE', agents);
    expect(idle.selfManaged.disabledReason).toBeNull();
    expect(await fleet.clusterEvents('orders')).toEqual([
      'created',
      'updated',
      'disabling-started',
      'disabled',
      'enabling-started',
      'enabled',
    ]);
    const revisions = fleet.events.flatMap((event) => {
      const data = event.data as { name?: string; revision: number };
      return data.name === 'orders' ? [data.revision] : [];
    });
    expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b));
  });

  it('is enforced once however often the event is handled, and an old event changes nothing', async () => {
    const { projectId, key } = await running('twice');
    const saved = await key.saved();
    const event = await key.invalidated();
    const lifecycle = new ClusterLifecycle({
      publisher: new EventPublisher('fleet', fleet.clock),
      clock: fleet.clock,
      logger: createLogger({ service: 'test', level: 'silent' }),
      access: new ClusterAccess(fleet.sealingKeys),
    });
    const handlers = keyConfigurationHandlers({ lifecycle, clock: fleet.clock });
    for (const handler of handlers) {
      for (const each of [event, event, saved]) await fleet.database.transaction((tx) => handler.handle(each, tx));
    }
    await fleet.settle(projectId, 'twice', 'DISABLED', agents);
    expect((await fleet.clusterEvents('twice')).filter((name) => name.startsWith('dis'))).toEqual(['disabling-started', 'disabled']);
    const history = await fleet.database.query<{ to_state: string }>(
      `SELECT to_state FROM cluster_history JOIN cluster ON cluster.id = cluster_id WHERE name = 'twice' ORDER BY cluster_history.id`,
    );
    expect(history.map((row) => row.to_state)).toEqual(['CREATING', 'IDLE', 'DISABLING', 'DISABLED']);
  });

  it('stops the other clusters when one of them cannot be judged, and that one as soon as it can', async () => {
    const { projectId, key } = await running('sound');
    const body = replicaSet('broken', { encryptionAtRestProvider: 'AWS' });
    expect((await fleet.call('POST', `/groups/${projectId}/clusters`, { body })).status).toBe(201);
    await fleet.settle(projectId, 'broken', 'IDLE', agents);
    const settings = (change: string) =>
      fleet.database.query(`UPDATE cluster SET settings = settings ${change} WHERE name = 'broken' RETURNING id`);
    const states = async () =>
      Object.fromEntries(
        (
          await fleet.database.query<{ name: string; state: string }>(`SELECT name, state FROM cluster WHERE name IN ('sound', 'broken')`)
        ).map((row) => [row.name, row.state]),
      );
    await settings(`- 'clusterType'`);
    await key.invalidated();
    expect(await states()).toEqual({ sound: 'DISABLING', broken: 'IDLE' });
    expect(await fleet.fleet.messaging.deadLetters.list()).toEqual([]);
    // A try that is under way while it is mended would count its wait from the time to which the clock is set below.
    const isPutOff = async () =>
      (await fleet.database.query(`SELECT FROM cluster WHERE name = 'broken' AND reconcile_at > $1`, [fleet.clock.now()])).length === 1;
    await waitFor(isPutOff, { describe: () => 'the broken cluster to be tried in vain' });
    await settings(`|| '{"clusterType": "REPLICASET"}'`);
    fleet.clock.advance(30_000);
    await waitFor(async () => (await states())['broken'] === 'DISABLING', { describe: () => 'the mended cluster to be disabled' });
  });

  it('stops nothing in mode observe', async () => {
    const { projectId, key } = await running('observed');
    await key.invalidated({ mode: 'observe' });
    for (const agent of agents) await agent.sync();
    expect((await fleet.cluster(projectId, 'observed')).selfManaged.state).toBe('IDLE');
    expect(goalsOf('observed').every((goal) => goal.desired === 'running')).toBe(true);
  });

  it('F30 a host that is silent when the order is given holds the cluster DISABLING, is named, and gets the order when it comes back', async () => {
    const { projectId, key } = await running('silent');
    const [lost, ...present] = agents as [FakeAgent, ...FakeAgent[]];
    await key.invalidated();
    fleet.clock.advance(31_000);
    for (const agent of present) await agent.sync();
    const concerns = () =>
      fleet.events.filter((event) => {
        const data = event.data as { cluster?: { name: string }; processId?: string };
        const process = lost.processes.find((each) => each.clusterName === 'silent');
        return data.cluster?.name === 'silent' && data.processId === process?.id;
      });
    await waitFor(() => concerns().length > 0, { describe: 'the concern about the silent host' });
    expect(concerns()[0]?.data).toMatchObject({ kind: 'HOST_UNREACHABLE', detail: expect.stringContaining('a.example') });
    const waiting = await fleet.cluster(projectId, 'silent');
    expect(waiting.selfManaged).toMatchObject({ state: 'DISABLING', stale: true });
    const stale = waiting.selfManaged.processes.filter((each: { stale: boolean }) => each.stale);
    expect(stale).toMatchObject([{ hostId: lost.hostId, status: 'running' }]);

    expect((await lost.poll())?.goal?.processes.find((each) => each.clusterName === 'silent')).toMatchObject({ desired: 'stopped' });
    await fleet.settle(projectId, 'silent', 'DISABLED', agents);
    await fleet.fleet.messaging.whenCaughtUp();
    expect(concerns()).toHaveLength(1);
  });

  it('F35 turns round when the key is valid again while stopping is half done', async () => {
    const { projectId, key } = await running('half');
    await key.invalidated();
    await agents[0]!.sync();
    expect((await fleet.cluster(projectId, 'half')).selfManaged.state).toBe('DISABLING');
    await key.validated();
    expect((await fleet.cluster(projectId, 'half')).selfManaged.state).toBe('ENABLING');
    // The reports of the agents that never heard of the stop answer an older goal: they prove nothing.
    await agents[1]!.report();
    await agents[2]!.report();
    expect((await fleet.cluster(projectId, 'half')).selfManaged.state).toBe('ENABLING');
    await fleet.settle(projectId, 'half', 'IDLE', agents);
    expect((await fleet.clusterEvents('half')).slice(2)).toEqual(['disabling-started', 'enabling-started', 'enabled']);
  });

  it('F34 raises a concern once when somebody starts a process by hand, and stays DISABLED', async () => {
    const { projectId, key } = await running('byhand');
    await key.invalidated();
    await fleet.settle(projectId, 'byhand', 'DISABLED', agents);
    const [agent] = agents as [FakeAgent];
    const process = agent.processes.find((each) => each.clusterName === 'byhand')!;
    const startedByHandAt = fleet.clock.now().toISOString();
    for (const status of ['running', 'stopping', 'stopped'] as const) {
      agent.claims.set(process.id, { status, pid: status === 'stopped' ? null : 1, startedByHandAt });
      await agent.report();
    }
    const shown = (await fleet.cluster(projectId, 'byhand')).selfManaged;
    expect(shown.processes.find((each: { id: string }) => each.id === process.id)).toMatchObject({
      startedByHandAt: `${startedByHandAt.slice(0, 19)}Z`,
      stopOverdueSince: null,
    });
    agent.claims.clear();
    expect(shown.state).toBe('DISABLED');
    expect((await fleet.clusterEvents('byhand')).filter((name) => name === 'concern-raised')).toHaveLength(1);
  });

  it('ends DISABLED when the key goes again while the cluster is being enabled, whoever comes first', async () => {
    const { projectId, key } = await running('flapping');
    await key.invalidated();
    await fleet.settle(projectId, 'flapping', 'DISABLED', agents);
    await key.validated();
    for (const agent of agents) await agent.take();
    // The last reports that would make it IDLE and the event that the key is gone again, at the same moment.
    await Promise.all([...agents.map((agent) => agent.report()), key.invalidated()]);
    await fleet.settle(projectId, 'flapping', 'DISABLED', agents);
    const events = await fleet.clusterEvents('flapping');
    expect(events.filter((name) => name === 'disabling-started')).toHaveLength(2);
  });

  it('is found by the cluster that begins to use it at the same moment', async () => {
    const projectId = await fleet.project();
    const key = new FakeKey(fleet, projectId);
    await key.saved();
    const name = 'racing';
    const [created] = await Promise.all([
      fleet.call('POST', `/groups/${projectId}/clusters`, { body: replicaSet(name, { encryptionAtRestProvider: 'AWS' }) }),
      key.invalidated(),
    ]);
    if (created.status === 201) await fleet.settle(projectId, name, 'DISABLED', agents);
    else expect(created.body.errorCode).toBe('ENCRYPTION_AT_REST_SETTINGS_INVALID');
  });

  it('lets two observations that complete the stop at the same time make one transition', async () => {
    const { projectId, key } = await running('together');
    await key.invalidated();
    for (const agent of agents) await agent.take();
    await Promise.all([...agents, ...agents].map((agent) => agent.report()));
    expect((await fleet.cluster(projectId, 'together')).selfManaged.state).toBe('DISABLED');
    expect((await fleet.clusterEvents('together')).filter((name) => name === 'disabled')).toHaveLength(1);
  });

  it('keeps changes to a disabled cluster pending, applies them when it is enabled, and lets binaries be patched meanwhile', async () => {
    const { projectId, key } = await running('pending');
    await key.invalidated();
    await fleet.settle(projectId, 'pending', 'DISABLED', agents);
    const path = `/groups/${projectId}/clusters/pending`;
    const patched = await fleet.call('PATCH', path, {
      body: { backupEnabled: true, mongoDBVersion: '8.0.5', tags: [{ key: 'a', value: 'b' }] },
    });
    expect(patched).toMatchObject({
      status: 200,
      body: {
        backupEnabled: true,
        selfManaged: { state: 'DISABLED', pendingChanges: { backupEnabled: true, tags: [{ key: 'a', value: 'b' }] } },
      },
    });
    expect(patched.body.selfManaged.pendingChanges).not.toHaveProperty('mongoDBVersion');
    expect((await fleet.call('GET', `${path}/status`)).body).toEqual({ changeStatus: 'PENDING' });
    const last = fleet.events.findLast((event) => (event.data as { name?: string }).name === 'pending')?.data;
    expect(last).toMatchObject({ state: 'DISABLED', backupEnabled: false });

    const off = await fleet.call('PATCH', path, { body: { encryptionAtRestProvider: 'NONE' } });
    expect(off).toMatchObject({ status: 400, body: { errorCode: 'ENCRYPTION_AT_REST_SETTINGS_INVALID' } });

    await key.validated();
    const enabled = await fleet.settle(projectId, 'pending', 'IDLE', agents);
    expect(enabled).toMatchObject({ backupEnabled: true, selfManaged: { pendingChanges: null } });
    expect((await fleet.call('GET', `${path}/status`)).body).toEqual({ changeStatus: 'APPLIED' });
    const starting = fleet.events.find(
      (event) => event.type === 'io.atrest.cluster.enabling-started.v1' && (event.data as { name: string }).name === 'pending',
    );
    expect(starting?.data).toMatchObject({ backupEnabled: true });
  });

  it('does not keep a disabled cluster from being deleted, nor from being metered', async () => {
    const { projectId, key } = await running('doomed');
    await key.invalidated();
    await fleet.settle(projectId, 'doomed', 'DISABLED', agents);
    fleet.clock.advance(1_800_000);
    const { body: usage } = await fleet.call('GET', `/groups/${projectId}/clusters/doomed/usage`);
    expect(usage.processes).toHaveLength(3);
    expect(usage.totalHours).toBeGreaterThanOrEqual(1.5);
    expect(await fleet.call('DELETE', `/groups/${projectId}/clusters/doomed`)).toMatchObject({ status: 202, body: {} });
    for (const agent of agents) await agent.take();
    expect(goalsOf('doomed').map((goal) => [goal.desired, goal.deleteData])).toEqual(Array.from({ length: 3 }, () => ['removed', true]));
    await fleet.settle(projectId, 'doomed', 'gone', agents);
    for (const agent of agents) await agent.take();
    expect(goalsOf('doomed')).toEqual([]);
    expect((await fleet.clusterEvents('doomed')).slice(-2)).toEqual(['deletion-started', 'deleted']);
  });
});

describe('a server that ended for its key before a check found it gone', () => {
  const ended = () => fleet.events.filter((event) => event.type === clusterProcessEndedForKey.type);
  const detail = 'The server stopped by itself: its master key is gone from the key management server (exit code 233).';

  it('F37 is told of once as long as it lasts, changes no state, and is not started again once its configuration is INVALID', async () => {
    const { projectId, key } = await running('polled');
    const [goal] = goalsOf('polled') as [ProcessGoal];
    const agent = agents.find((each) => each.processes.includes(goal))!;
    const at = () => fleet.clock.now().toISOString();
    const failed = () => ({ status: 'failed', pid: null, writable: false, exitCode: 233, endedForKey: { at: at(), detail } }) as const;
    const first = failed();
    agent.claims.set(goal.id, first);
    await agent.report();
    await waitFor(() => ended().length > 0, { describe: 'the event' });
    const cluster = await fleet.cluster(projectId, 'polled');
    expect(ended()).toMatchObject([
      { data: { cluster: { id: cluster.id, projectId, state: 'IDLE' }, processId: goal.id, detail, endedAt: first.endedForKey.at } },
    ]);
    expect(cluster).toMatchObject({ stateName: 'IDLE', selfManaged: { state: 'IDLE', disabledReason: null } });

    // It is tried again in vain: the same trouble. Then it runs, and ends for its key once more: another one.
    fleet.clock.advance(1_000);
    agent.claims.set(goal.id, failed());
    await agent.report();
    agent.claims.delete(goal.id);
    await agent.report();
    fleet.clock.advance(1_000);
    const last = failed();
    agent.claims.set(goal.id, last);
    await agent.report();
    await waitFor(() => ended().length > 1, { describe: 'the second event' });
    expect(ended().map((event) => (event.data as { endedAt: string }).endedAt)).toEqual([first.endedForKey.at, last.endedForKey.at]);

    await key.invalidated();
    agent.claims.set(goal.id, { status: 'stopped', pid: null });
    await fleet.settle(projectId, 'polled', 'DISABLED', agents);
    expect(goalsOf('polled').map((each) => each.desired)).toEqual(['stopped', 'stopped', 'stopped']);

    // What its agent still says of the end before the order to start is no news.
    fleet.clock.advance(1_000);
    await key.validated();
    agent.claims.set(goal.id, last);
    await agent.sync();
    agent.claims.delete(goal.id);
    await fleet.settle(projectId, 'polled', 'IDLE', agents);
    expect(ended()).toHaveLength(2);
  });
});
