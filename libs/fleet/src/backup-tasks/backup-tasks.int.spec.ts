import { clusterConcernRaised, keyAccessGranted, newObjectId, type ClusterConcern } from '@atrest/contracts';
import { waitFor } from '@atrest/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { BackupStage, done, failed, KEY_ID, SEALED, type Stage } from '../test-support/backup-stage.contract.js';
import type { FakeAgent } from '../test-support/fake-agent.contract.js';
import { FleetInstallation } from '../test-support/fleet-installation.contract.js';
import { SILENT_AFTER_MS } from './backup-task.js';

let fleet: FleetInstallation;
let backups: BackupStage;
let agents: FakeAgent[];

beforeAll(async () => {
  fleet = await FleetInstallation.start('backup tasks');
  agents = [];
  for (const hostname of ['a.example', 'b.example', 'c.example']) {
    const agent = await fleet.agent({ hostname, allowsColocation: false });
    agent.equip();
    agent.electable = agents.length === 0;
    agents.push(agent);
  }
  backups = new BackupStage(fleet, agents);
});
afterAll(() => fleet?.stop());
afterEach(() => {
  for (const agent of agents) {
    agent.works.clear();
    agent.cancelled.length = 0;
  }
});

const CANCELLED = { code: 'CANCELLED', detail: 'It was cancelled.' } as const;

/** Time passes, and every agent goes on reporting. */
async function pass(ms: number): Promise<void> {
  fleet.clock.advance(ms);
  for (const agent of agents) await agent.sync();
}

/** A snapshot whose agent has said that it works on it. */
async function working(stage: Stage) {
  const job = backups.job(stage);
  const ordered = await backups.order(job);
  const task = stage.key === null ? ordered : await backups.grant(ordered);
  const agent = backups.agentOf(task);
  await agent.take();
  agent.workOn(task.id);
  await agent.report();
  return { job, task, agent };
}

describe('a snapshot of a cluster', () => {
  it('waits for its key, is given to the agent of a secondary with it, is reported on and ends; each event is handled once', async () => {
    const stage = await backups.running('orders', 'AWS');
    const job = backups.job(stage);
    const waiting = await backups.order(job);
    const agent = backups.agentOf(waiting);
    expect(waiting).toMatchObject({ status: 'WAITING_FOR_KEY', provider: 'AWS', hostSealingKey: agent.sealingKey, revision: 1 });
    expect(waiting.member).toMatch(/^b\.example:\d+$/);
    await agent.take();
    expect(agent.given).toEqual([]);

    expect(await backups.grant(waiting)).toMatchObject({ status: 'OPEN', hostSealingKey: null, revision: 2 });
    await agent.take();
    expect(agent.given).toMatchObject([
      {
        id: job.id,
        kind: 'take-snapshot',
        clusterName: 'orders',
        keyAccess: SEALED,
        encryptionKeyId: KEY_ID,
        processId: agent.processes.find((each) => each.clusterName === 'orders')?.id,
        snapshotId: job.snapshotId,
        methods: job.methods,
      },
    ]);
    agent.workOn(job.id, 500);
    await agent.report();
    expect(await backups.last(job)).toMatchObject({ status: 'OPEN', progress: { phase: 'copying', bytes: 500 } });

    for (let time = 1; time <= 2; time += 1) expect((await agent.finish(done(job.id))).status).toBe(204);
    expect(await backups.names(job)).toEqual(['key-requested', 'assigned', 'progressed', 'finished']);
    const { result, ...ended } = await backups.last(job);
    expect(ended).toMatchObject({ status: 'DONE', failure: null, revision: 4 });
    expect(result).toMatchObject({ taken: { method: 'backupCursor' }, proof: { blocksSampled: 8 } });
    expect(result).not.toHaveProperty('deletion');
    expect(await backups.stored()).not.toContain(SEALED);
    expect(JSON.stringify(fleet.events.filter((event) => event.type !== keyAccessGranted.type))).not.toContain(SEALED);
  });

  it('needs no key where encryption at rest is off, and wakes the agent that waits', async () => {
    const stage = await backups.running('plain');
    const agent = agents[1]!;
    const waiting = agent.poll({ waitSeconds: 25 });
    const task = await backups.order(backups.job(stage));
    expect(task).toMatchObject({ status: 'OPEN', hostId: agent.hostId, provider: 'NONE' });
    expect((await waiting)?.tasks).toMatchObject([{ id: task.id, keyAccess: null, encryptionKeyId: null }]);
    await agent.finish(done(task.id));
  });

  it('says how far it is once in two seconds at most', async () => {
    const { task, agent } = await working(await backups.running('progressing'));
    for (const bytes of [100, 200, 300]) {
      fleet.clock.advance(900);
      agent.workOn(task.id, bytes);
      await agent.report();
    }
    const bytes = (await backups.said(task)).flatMap(({ event, state }) => (event === 'progressed' ? [state.progress?.bytes] : []));
    expect(bytes).toEqual([0, 300]);
    const revisions = (await backups.said(task)).map(({ state }) => state.revision);
    expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b));
    await agent.finish(done(task.id));
  });

  it('is given again to an agent that does not say that it works on it, as one that lost the answer or was restarted', async () => {
    const stage = await backups.running('again');
    const task = await backups.order(backups.job(stage));
    const agent = backups.agentOf(task);
    const before = agent.given.length;
    const times = () => agent.given.slice(before).filter((each) => each.id === task.id).length;
    await agent.sync();
    expect(times()).toBe(1);
    await pass(14_000);
    expect(times()).toBe(1);
    await pass(1_000);
    expect(times()).toBe(2);
    agent.workOn(task.id);
    for (let round = 0; round < 4; round += 1) await pass(10_000);
    expect(times()).toBe(2);
    // The agent is killed and starts again: it knows of nothing, and hears of the task although it waits already.
    agent.works.clear();
    await pass(10_000);
    expect(times()).toBe(2);
    const waiting = agent.poll({ waitSeconds: 25 });
    fleet.clock.advance(10_000);
    await agent.report();
    expect((await waiting)?.tasks).toMatchObject([{ id: task.id }]);
    await agent.finish(done(task.id));
    await pass(20_000);
    expect(times()).toBe(2);
  });

  it('fails with the code and the words of its agent', async () => {
    const { task, agent } = await working(await backups.running('broken'));
    const failure = { code: 'SOURCE_DISK_FULL', detail: 'No space is left on the disk of the member.' } as const;
    const stranger = agents.find((each) => each !== agent)!;
    await stranger.finish(done(task.id));
    expect(await backups.status(task)).toBe('OPEN');
    await agent.finish(failed(task.id, failure));
    expect(await backups.last(task)).toMatchObject({ status: 'FAILED', failure, result: null });
  });

  it('F51 is never taken beside another one of the cluster, also not when both are ordered at the same moment', async () => {
    const stage = await backups.running('twice');
    const jobs = [backups.job(stage), backups.job(stage), backups.job(stage)];
    const tasks = await Promise.all(jobs.map((job) => backups.order(job)));
    expect(tasks.map((task) => task.failure?.code ?? task.status).sort()).toEqual(['ALREADY_RUNNING', 'ALREADY_RUNNING', 'OPEN']);
    const [taken] = tasks.filter((task) => task.status === 'OPEN');
    await backups.agentOf(taken!).finish(done(taken!.id));
    const next = await backups.order(backups.job(stage));
    expect(next.status).toBe('OPEN');
    await backups.cancel(backups.job(stage, { id: next.id }));
  });

  it('F41 goes on when its host was cut off for a while, and ends as HOST_SILENT when that lasts; the agent that comes back is told to end it', async () => {
    const { task, agent } = await working(await backups.running('cut'));
    const started = fleet.clock.now();
    fleet.clock.advance(SILENT_AFTER_MS - 60_000);
    await backups.lookAfter(started);
    expect(await backups.status(task)).toBe('OPEN');
    agent.workOn(task.id, 700);
    await agent.sync();
    expect(await backups.last(task)).toMatchObject({ status: 'OPEN', progress: { bytes: 700 } });

    fleet.clock.advance(SILENT_AFTER_MS);
    // A replica that has only just begun to listen has heard of nobody yet.
    await backups.lookAfter(fleet.clock.now());
    expect(await backups.status(task)).toBe('OPEN');
    await backups.lookAfter(started);
    expect(await backups.last(task)).toMatchObject({ status: 'FAILED', failure: { code: 'HOST_SILENT' } });
    expect((await backups.last(task)).failure?.detail).toContain('b.example');

    const waiting = agent.poll({ waitSeconds: 25 });
    const woken = waiting.then((answer) => answer?.cancelled);
    await agent.report();
    expect(await woken).toEqual([task.id]);
    await agent.sync();
    expect(agent.cancelled).toEqual([]);
    await agent.finish(done(task.id));
    expect(await backups.names(task)).toEqual(expect.arrayContaining(['finished']));
    expect((await backups.names(task)).filter((name) => name === 'finished')).toHaveLength(1);
    await pass(20_000);
    expect(agent.cancelled).toEqual([]);
  });
});

describe('who takes a snapshot', () => {
  it('is found by what agents report; where none can, the failure says what to do', async () => {
    const stage = await backups.running('unequipped');
    const stores = agents.map((agent) => agent.snapshotStore);
    for (const agent of agents) agent.snapshotStore = null;
    await pass(1_000);
    const without = await backups.order(backups.job(stage));
    expect(without).toMatchObject({ status: 'FAILED', hostId: null, failure: { code: 'NO_SNAPSHOT_STORE' } });
    expect(without.failure?.detail).toMatch(/snapshotStore.*b\.example, c\.example/);
    const remove = await backups.order(backups.workOn(stage, 'delete-snapshots'));
    expect(remove.failure).toMatchObject({ code: 'NO_SNAPSHOT_STORE' });

    agents.forEach((agent, index) => (agent.snapshotStore = stores[index] ?? null));
    await pass(1_000);
    fleet.clock.advance(31_000);
    await agents[0]!.sync();
    const silent = await backups.order(backups.job(stage));
    expect(silent).toMatchObject({ status: 'FAILED', failure: { code: 'NO_SOURCE' } });
    expect(silent.failure?.detail).toMatch(/a\.example:\d+ is PRIMARY, b\.example:\d+ is on a host whose agent is not heard of/);
    await pass(0);
    const member = `${agents[2]!.processes.length > 0 ? 'c.example' : ''}:${agents[2]!.processes.find((each) => each.clusterName === 'unequipped')!.port}`;
    const named = await backups.order(backups.job(stage, { source: { kind: 'member', member } }));
    expect(named).toMatchObject({ status: 'OPEN', member });
    await backups.cancel(backups.job(stage, { id: named.id }));
  });

  it('is shown with its store and the public key that secrets for it are sealed for', async () => {
    const { body } = await fleet.call('GET', `/orgs/${fleet.owner.orgId}/hosts`);
    const [host] = body.results;
    expect(host).toMatchObject({ snapshotStore: '/var/lib/atrest/snapshots', sealingKey: agents[0]!.sealingKey });
    expect(Object.keys(host.sealingKey).sort()).toEqual(['crv', 'kty', 'x']);
  });

  it('is no cluster that there is not, or no project', async () => {
    const stage = await backups.running('elsewhere');
    const other = await fleet.project();
    for (const change of [{ clusterId: newObjectId() }, { projectId: other }, { projectId: newObjectId() }]) {
      expect(await backups.order(backups.job(stage, change))).toMatchObject({ status: 'FAILED', failure: { code: 'CLUSTER_GONE' } });
    }
    const changed = backups.job(stage, { provider: 'AZURE', encryptionKeyId: 'https://vault/keys/1' });
    expect(await backups.order(changed)).toMatchObject({ status: 'FAILED', failure: { code: 'KEY_CHANGED' } });
  });
});

describe('access to the key of a snapshot', () => {
  it('F52 that is refused, or is to another key than was ordered, fails it', async () => {
    const stage = await backups.running('refused', 'AWS');
    const refused = await backups.order(backups.job(stage));
    const failure = { code: 'KEY_REFUSED', detail: 'The key is disabled.' } as const;
    expect(await backups.refuse(refused, failure)).toMatchObject({ status: 'FAILED', failure });
    const changed = await backups.order(backups.job(stage));
    const ended = await backups.grant(changed, { encryptionKeyId: 'arn:other' });
    expect(ended).toMatchObject({ status: 'FAILED', failure: { code: 'KEY_CHANGED', detail: expect.stringContaining('arn:other') } });
    expect(await backups.stored()).not.toContain(SEALED);
  });

  it('to snapshots that exist may be to a later key; without it they are deleted all the same, and are not proven', async () => {
    const stage = await backups.running('later', 'AWS');
    const proven = await backups.order(backups.workOn(stage, 'prove-snapshot'));
    expect(await backups.grant(proven, { encryptionKeyId: 'arn:other' })).toMatchObject({ status: 'OPEN' });
    const failure = { code: 'KEY_REFUSED', detail: 'The key is deleted.' } as const;
    const unproven = await backups.order(backups.workOn(stage, 'prove-snapshot'));
    expect(await backups.refuse(unproven, failure)).toMatchObject({ status: 'FAILED', failure });
    const removed = await backups.order(backups.workOn(stage, 'delete-snapshots'));
    expect(await backups.refuse(removed, failure)).toMatchObject({ status: 'OPEN', failure: null });
    const agent = backups.agentOf(removed);
    await agent.take();
    expect(agent.given.find((each) => each.id === removed.id)).toMatchObject({ keyAccess: null, encryptionKeyId: KEY_ID });
    for (const task of [proven, removed]) await backups.agentOf(task).finish(done(task.id));
    expect((await backups.last(removed)).result).toEqual({ deletion: { deleted: [], refused: [], freedBytes: 0 } });
  });

  it('is asked for anew when the host has another key to seal for; an answer to the earlier request is worth nothing', async () => {
    const stage = await backups.running('rekeyed', 'AWS');
    const last = await backups.grant(await backups.order(backups.job(stage)));
    await backups.agentOf(last).finish(done(last.id));
    const { task, agent } = await working(stage);
    const other = await backups.order(backups.workOn(stage, 'prove-snapshot'));
    expect(other.hostId).toBe(agent.hostId);
    const earlier = agent.sealingKey;
    // The state folder of the agent was lost with its key, and with what it worked on.
    agent.equip();
    agent.works.clear();
    fleet.clock.advance(20_000);
    await fleet.database.query('UPDATE host SET sealing_key = $2 WHERE id = $1 RETURNING id', [
      agent.hostId,
      JSON.stringify(agent.sealingKey),
    ]);
    const before = agent.given.length;
    await agent.take();
    expect(agent.given.length).toBe(before);
    await agent.report();
    for (const each of [task, other]) {
      expect(await backups.last(each)).toMatchObject({ status: 'WAITING_FOR_KEY', hostSealingKey: agent.sealingKey });
      expect((await backups.names(each)).at(-1)).toBe('key-requested');
      await backups.grant(await backups.last(each), { sealedFor: earlier! });
      expect(await backups.status(each)).toBe('WAITING_FOR_KEY');
      expect(await backups.grant(await backups.last(each))).toMatchObject({ status: 'OPEN' });
    }
    const given = agent.given.length;
    await agent.take();
    expect(agent.given.slice(given).map((each) => each.id)).toEqual([task.id, other.id].sort());
    for (const { id } of [task, other]) await agent.finish(done(id));
  });

  it('is asked for anew before an agent that begins anew is given one that is too old to be used', async () => {
    const { task, agent } = await working(await backups.running('aged', 'AWS'));
    for (let minute = 0; minute < 50; minute += 10) {
      agent.workOn(task.id);
      await pass(600_000);
    }
    agent.works.clear();
    fleet.clock.advance(20_000);
    const given = agent.given.length;
    await agent.sync();
    expect(agent.given.length).toBe(given);
    expect(await backups.last(task)).toMatchObject({ status: 'WAITING_FOR_KEY', hostSealingKey: agent.sealingKey });
    await backups.grant(await backups.last(task));
    await agent.take();
    expect(agent.given.at(-1)).toMatchObject({ id: task.id, keyAccess: SEALED });
    await agent.finish(done(task.id));
  });

  it('that never comes ends the task', async () => {
    const stage = await backups.running('unanswered', 'AWS');
    const task = await backups.order(backups.job(stage));
    const started = fleet.clock.now();
    for (let minute = 0; minute < 31; minute += 10) await pass(600_000);
    await backups.lookAfter(started);
    expect(await backups.last(task)).toMatchObject({ status: 'FAILED', failure: { code: 'KEY_UNREACHABLE' } });
    await backups.grant(task);
    expect(await backups.status(task)).toBe('FAILED');
  });
});

describe('F54 a cancelled task', () => {
  it('ends at once while it waits for its key, or before any agent was given it', async () => {
    const stage = await backups.running('early', 'AWS');
    const waiting = backups.job(stage);
    await backups.order(waiting);
    expect(await backups.cancel(waiting)).toMatchObject({ status: 'FAILED', failure: CANCELLED });
    const open = backups.job(stage);
    const granted = await backups.grant(await backups.order(open));
    expect(await backups.cancel(open)).toMatchObject({ status: 'FAILED', failure: CANCELLED });
    const agent = backups.agentOf(granted);
    const given = agent.given.length;
    await agent.sync();
    expect([agent.given.length, agent.cancelled]).toEqual([given, []]);
    // A job that nobody knows, and one that has ended.
    await expect(backups.cancel(backups.job(stage))).rejects.toThrow('nothing was said');
    await backups.cancel(open);
    expect(await backups.names(open)).toEqual(['key-requested', 'assigned', 'finished']);
  });

  it('is named to its agent until its result is known, and ends as CANCELLED, or as what it became when that was faster', async () => {
    const stage = await backups.running('late');
    const { job, task, agent } = await working(stage);
    const waiting = agent.poll({ waitSeconds: 25 });
    await backups.cancel(job);
    expect((await waiting)?.cancelled).toEqual([task.id]);
    expect(await backups.status(task)).toBe('CANCELLING');
    expect((await backups.order(backups.job(stage))).failure).toMatchObject({ code: 'ALREADY_RUNNING' });
    await pass(15_000);
    expect(agent.cancelled).toEqual([task.id]);
    // Killed and started again: it does not know the task, and is told to end it and nothing else.
    agent.works.clear();
    const given = agent.given.length;
    await pass(15_000);
    expect([agent.cancelled, agent.given.length]).toEqual([[task.id, task.id], given]);
    await agent.finish(failed(task.id, { code: 'CANCELLED', detail: 'It was ended.' }));
    expect(await backups.last(task)).toMatchObject({ status: 'FAILED', failure: CANCELLED });

    const next = await working(stage);
    await backups.cancel(next.job);
    await next.agent.finish(done(next.task.id));
    expect(await backups.last(next.task)).toMatchObject({ status: 'DONE', failure: null });
  });

  it('ends as silent when its agent never says what became of it', async () => {
    const { job, task, agent } = await working(await backups.running('forgotten'));
    await backups.cancel(job);
    agent.works.clear();
    const started = fleet.clock.now();
    for (let minute = 0; minute < 31; minute += 10) await pass(600_000);
    await backups.lookAfter(started);
    expect(await backups.last(task)).toMatchObject({
      status: 'FAILED',
      failure: { code: 'CANCELLED', detail: expect.stringMatching(/cancelled.*b\.example/) },
    });
  });
});

describe('a cluster that is not to be copied', () => {
  it('that is disabled does not wait for its snapshot: the orders to stop and the word to end the copy go out together', async () => {
    const stage = await backups.running('disabled', 'AWS');
    const { task, agent } = await working(stage);
    await stage.key!.invalidated();
    await agent.take();
    expect(agent.cancelled).toEqual([task.id]);
    expect(agent.processes.find((each) => each.clusterName === 'disabled')).toMatchObject({ desired: 'stopped' });
    // The copy is not over, and the cluster is disabled all the same.
    await fleet.settle(stage.projectId, 'disabled', 'DISABLED', agents);
    expect(await backups.status(task)).toBe('CANCELLING');
    await agent.finish(failed(task.id, { code: 'SOURCE_CHANGED', detail: 'The member was stopped.' }));
    expect(await backups.last(task)).toMatchObject({ status: 'FAILED', failure: { code: 'CLUSTER_DISABLED' } });
    expect((await backups.last(task)).failure?.detail).toMatch(/KEY_DISABLED.*The member was stopped\./);

    const refused = await backups.order(backups.job(stage));
    expect(refused).toMatchObject({ status: 'FAILED', failure: { code: 'CLUSTER_DISABLED' } });
    expect((await backups.order(backups.workOn(stage, 'delete-snapshots'))).status).toBe('WAITING_FOR_KEY');
    await stage.key!.validated();
    await fleet.settle(stage.projectId, 'disabled', 'IDLE', agents);
    expect((await backups.order(backups.job(stage))).status).toBe('WAITING_FOR_KEY');
  });

  it('F33 that is disabled while its snapshot is being ordered ends without a task, whoever comes first', async () => {
    const stage = await backups.running('raced', 'AWS');
    const job = backups.job(stage);
    await Promise.all([backups.order(job), stage.key!.invalidated()]);
    await waitFor(async () => (await backups.last(job)).status === 'FAILED', { describe: () => 'the task to end' });
    expect((await backups.last(job)).failure?.code).toBe('CLUSTER_DISABLED');
    expect(await backups.status(job)).toBe('FAILED');
  });

  it('is paused: its snapshot ends, and its events say that it is paused', async () => {
    const stage = await backups.running('paused');
    const { task, agent } = await working(stage);
    const path = `/groups/${stage.projectId}/clusters/paused`;
    expect((await fleet.call('PATCH', path, { body: { paused: true } })).status).toBe(200);
    expect(await backups.status(task)).toBe('CANCELLING');
    await agent.finish(failed(task.id, { code: 'CANCELLED', detail: 'It was ended.' }));
    expect((await backups.last(task)).failure).toMatchObject({ code: 'CLUSTER_DISABLED', detail: expect.stringContaining('paused') });
    await fleet.settle(stage.projectId, 'paused', 'IDLE', agents);
    expect((await backups.order(backups.job(stage))).failure).toMatchObject({ code: 'CLUSTER_DISABLED' });
    const cluster = () => fleet.events.findLast((event) => (event.data as { name?: string }).name === 'paused')?.data;
    expect(cluster()).toMatchObject({ paused: true, state: 'IDLE' });
    await fleet.call('PATCH', path, { body: { paused: false } });
    await fleet.settle(stage.projectId, 'paused', 'IDLE', agents);
    expect(cluster()).toMatchObject({ paused: false });
  });

  it('is deleted: its snapshot ends; what is stored of it is still proven and deleted, by the host that took the last one', async () => {
    const stage = await backups.running('doomed');
    const member = `c.example:${agents[2]!.processes.find((each) => each.clusterName === 'doomed')!.port}`;
    const first = await backups.order(backups.job(stage, { source: { kind: 'member', member } }));
    await agents[2]!.finish(done(first.id));
    const { task, agent } = await working(stage);
    expect((await fleet.call('DELETE', `/groups/${stage.projectId}/clusters/doomed`)).status).toBe(202);
    expect(await backups.status(task)).toBe('CANCELLING');
    await agent.finish(failed(task.id, { code: 'CANCELLED', detail: 'It was ended.' }));
    expect((await backups.last(task)).failure).toMatchObject({ code: 'CLUSTER_GONE' });
    await fleet.settle(stage.projectId, 'doomed', 'gone', agents);
    expect((await backups.order(backups.job(stage))).failure).toMatchObject({ code: 'CLUSTER_GONE' });
    for (const kind of ['delete-snapshots', 'prove-snapshot'] as const) {
      const remaining = await backups.order(backups.workOn(stage, kind));
      expect(remaining).toMatchObject({ status: 'OPEN', hostId: agents[2]!.hostId, member: null });
      await agents[2]!.finish(done(remaining.id));
      expect((await backups.last(remaining)).status).toBe('DONE');
    }
  });
});

describe('F48 a member that is left held', () => {
  it('is named once while that lasts, after its copy has ended and never during it, and again when it happens again', async () => {
    const stage = await backups.running('held');
    const { task, agent } = await working(stage);
    const process = agent.processes.find((each) => each.clusterName === 'held')!;
    const hold = () => {
      const since = fleet.clock.now().toISOString();
      agent.claims.set(process.id, { heldForBackup: { kind: 'fsyncLock', since, taskId: task.id } });
    };
    const concerns = async () => {
      await fleet.fleet.messaging.whenCaughtUp();
      const raised = fleet.events.flatMap((event) => (event.type === clusterConcernRaised.type ? [event.data as ClusterConcern] : []));
      return raised.filter((concern) => concern.processId === process.id);
    };
    hold();
    for (let round = 0; round < 5; round += 1) {
      agent.workOn(task.id);
      await pass(20_000);
    }
    expect(await concerns()).toEqual([]);
    // Killed, and the restarted agent cannot let go of it.
    await agent.finish(failed(task.id, { code: 'INTERNAL', detail: 'The agent was restarted.' }));
    await pass(10_000);
    expect(await concerns()).toEqual([]);
    fleet.clock.advance(25_000);
    await waitFor(async () => (await concerns()).length > 0, { describe: () => 'the concern' });
    expect(await concerns()).toMatchObject([{ kind: 'HELD_FOR_BACKUP', cluster: { name: 'held', state: 'IDLE' } }]);
    for (let round = 0; round < 3; round += 1) await pass(20_000);
    expect(await concerns()).toHaveLength(1);

    agent.claims.delete(process.id);
    await pass(1_000);
    hold();
    await pass(1_000);
    fleet.clock.advance(31_000);
    await waitFor(async () => (await concerns()).length > 1, { describe: () => 'the second concern' });
    agent.claims.delete(process.id);
    await pass(1_000);
  });
});

it('tasks that ended are forgotten after a week, but for the last snapshot of each cluster', async () => {
  const stage = await backups.running('pruned');
  const ids: string[] = [];
  for (let round = 0; round < 2; round += 1) {
    const task = await backups.order(backups.job(stage));
    await backups.agentOf(task).finish(done(task.id));
    ids.push(task.id);
    fleet.clock.advance(1_000);
    for (const agent of agents) await agent.sync();
  }
  fleet.clock.advance(8 * 86_400_000);
  await backups.lookAfter(fleet.clock.now());
  const left = await fleet.database.query<{ id: string }>('SELECT id FROM backup_task WHERE cluster_id = $1', [stage.clusterId]);
  expect(left.map((row) => row.id)).toEqual([ids[1]]);
});
