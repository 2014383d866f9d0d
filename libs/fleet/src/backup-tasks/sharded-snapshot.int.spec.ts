import type { OplogTime } from '@atrest/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { BackupStage, done, failed, KEY_ID, SEALED, type Stage } from '../test-support/backup-stage.contract.js';
import type { FakeAgent } from '../test-support/fake-agent.contract.js';
import { FleetInstallation } from '../test-support/fleet-installation.contract.js';

let fleet: FleetInstallation;
let backups: BackupStage;
let agents: FakeAgent[];

beforeAll(async () => {
  fleet = await FleetInstallation.start('sharded snapshots');
  agents = [];
  for (const hostname of ['a.example', 'b.example', 'c.example']) {
    const agent = await fleet.agent({ hostname, allowsColocation: false });
    agent.equip();
    agents.push(agent);
  }
  backups = new BackupStage(fleet, agents);
});
afterAll(() => fleet?.stop());
afterEach(() => {
  for (const agent of agents) {
    agent.works.clear();
    for (const list of [agent.given, agent.cancelled, agent.cuts]) list.length = 0;
  }
});

const regionConfigs = [
  { providerName: 'AWS', regionName: 'US_EAST_1', priority: 7, electableSpecs: { instanceSize: 'M10', nodeCount: 1 } },
];
const SHARDED = { clusterType: 'SHARDED', replicationSpecs: [{ regionConfigs }, { regionConfigs }] };
const at = (seconds: number): OplogTime => ({ seconds, increment: 1, term: 1 });
const CUT = { ...at(30), term: null };

interface Part {
  readonly id: string;
  readonly replicaSet: string;
  readonly agent: FakeAgent;
}

/** The parts as they were given to agents, the config servers first. */
async function given(): Promise<Part[]> {
  for (const agent of agents) await agent.take();
  const parts = agents.flatMap((agent) => {
    const setOf = (processId: string) => agent.processes.find((each) => each.id === processId)?.replicaSet?.name ?? '';
    return agent.given.flatMap((task) =>
      task.kind === 'take-snapshot'
        ? [{ id: task.id, replicaSet: setOf(task.processId), agent, config: task.part?.routers !== undefined }]
        : [],
    );
  });
  return parts.toSorted((a, b) => Number(b.config) - Number(a.config) || a.replicaSet.localeCompare(b.replicaSet, 'en'));
}

const report = async () => {
  for (const agent of agents) await agent.report();
};

const doneWith = (part: Part, change: object = {}) => {
  const result = done(part.id);
  return part.agent.finish({ ...result, taken: { ...result.taken!, cut: CUT, ...change } });
};

/** A running sharded cluster, whose config servers have one primary and two secondaries; each shard is one member. */
async function running(name: string, provider: 'AWS' | 'NONE' = 'NONE'): Promise<Stage> {
  const stage = await backups.running(name, provider, SHARDED);
  for (const [index, agent] of agents.entries()) {
    const own = agent.processes.filter((each) => each.clusterName === name && each.kind === 'config');
    const claim = index === 0 ? { memberState: 'PRIMARY', writable: true } : { memberState: 'SECONDARY', writable: false };
    for (const { id } of own) agent.claims.set(id, claim);
  }
  await report();
  return stage;
}

async function ordered(name: string, provider: 'AWS' | 'NONE' = 'NONE') {
  const stage = await running(name, provider);
  const job = backups.job(stage);
  return { stage, job, task: await backups.order(job) };
}

const statusOfParts = async (job: { readonly id: string }) =>
  (await fleet.database.query<{ status: string }>('SELECT status FROM backup_task WHERE group_id = $1', [job.id])).map((row) => row.status);

describe('a snapshot of a sharded cluster', () => {
  it('is one task of three parts, each with its own key, that are held, cut at one moment and done together', async () => {
    const { stage, job, task } = await ordered('world', 'AWS');
    expect(task).toMatchObject({ status: 'OPEN', failure: null, hostId: null, member: null, hostSealingKey: null });
    expect(task.parts?.map(({ role }) => role)).toEqual(['config', 'shard', 'shard']);
    const waiting = await backups.partsWaiting(stage);
    expect(waiting).toHaveLength(3);
    for (const part of waiting) await backups.grant(part);
    const parts = await given();
    const configTask = parts[0]!.agent.given.find(({ id }) => id === parts[0]!.id);
    expect(configTask).toMatchObject({
      keyAccess: SEALED,
      encryptionKeyId: KEY_ID,
      methods: ['backupCursor'],
      clusterName: 'world',
      part: { groupId: job.id },
    });
    expect(configTask).toHaveProperty('part.routers.0', expect.stringMatching(/^[abc]\.example:\d+$/));
    expect(parts.map(({ replicaSet }) => replicaSet)).toEqual(task.parts?.map(({ replicaSet }) => replicaSet));

    parts.slice(0, 2).forEach((part, index) => part.agent.hold(part.id, at(10 * (index + 1))));
    await report();
    for (const agent of agents) await agent.take();
    expect(agents.flatMap(({ cuts }) => cuts)).toEqual([]);
    const waitingAgent = parts[0]!.agent;
    const poll = waitingAgent.poll({ waitSeconds: 25 });
    parts[2]!.agent.hold(parts[2]!.id, at(30));
    await report();
    expect((await poll)?.cuts).toContainEqual({ taskId: parts[0]!.id, at: CUT });
    for (const agent of agents) await agent.take();
    const told = () => agents.flatMap(({ cuts }) => cuts).filter(({ taskId }) => taskId !== parts[0]!.id);
    for (const part of parts.slice(1)) if (part.agent !== waitingAgent) expect(told()).toContainEqual({ taskId: part.id, at: CUT });

    // The answer was lost: it is said again to whoever still holds, and to nobody else.
    for (const agent of agents) agent.cuts.length = 0;
    parts[1]!.agent.workOn(parts[1]!.id, 500);
    fleet.clock.advance(16_000);
    await report();
    for (const agent of agents) await agent.take();
    expect(
      agents
        .flatMap(({ cuts }) => cuts)
        .map(({ taskId }) => taskId)
        .sort(),
    ).toEqual([parts[0]!.id, parts[2]!.id].sort());
    for (const part of parts) part.agent.workOn(part.id, 500);
    fleet.clock.advance(3_000);
    await report();
    fleet.clock.advance(3_000);
    await report();
    expect(await backups.last(job)).toMatchObject({ status: 'OPEN', progress: { phase: 'copying', bytes: 1_500 } });

    const shards = parts.slice(1).map(({ replicaSet }) => ({ name: replicaSet, replicaSet }));
    await doneWith(parts[1]!);
    await doneWith(parts[0]!, { shards });
    expect(await backups.status(job)).toBe('OPEN');
    for (let time = 1; time <= 2; time += 1) await doneWith(parts[2]!);
    const ended = await backups.last(job);
    expect(ended).toMatchObject({
      status: 'DONE',
      result: { taken: { cut: CUT, optime: CUT, bytes: 3_000, shards }, proof: { blocksRead: 24 } },
    });
    expect(ended.parts?.map(({ taken }) => taken?.cut)).toEqual([CUT, CUT, CUT]);
    const names = await backups.names(job);
    expect([names[0], names.at(-1), names.filter((name) => name === 'finished')]).toEqual(['assigned', 'finished', ['finished']]);
    for (const part of parts) expect(await backups.names(part)).toEqual(['key-requested']);
    expect(await backups.stored()).not.toContain(SEALED);
    // What is done with it later is done where a part was.
    const deletion = await backups.order(backups.workOn(stage, 'delete-snapshots'));
    expect(deletion.hostId).not.toBeNull();
  });

  it('of which a part fails ends the others: those that nobody has at once, the rest through their agents', async () => {
    const { job, task } = await ordered('broken');
    expect(task.status).toBe('OPEN');
    const parts = await given();
    for (const part of parts) part.agent.hold(part.id, at(10));
    await report();
    await parts[1]!.agent.finish(failed(parts[1]!.id, { code: 'STORE_FULL', detail: 'The store is full.' }));
    expect(await backups.status(job)).toBe('CANCELLING');
    for (const agent of agents) await agent.take();
    expect(agents.flatMap(({ cancelled }) => cancelled).sort()).toEqual([parts[0]!.id, parts[2]!.id].sort());
    for (const part of [parts[0]!, parts[2]!]) await part.agent.finish(failed(part.id, { code: 'CANCELLED', detail: 'It was cancelled.' }));
    expect(await backups.last(job)).toMatchObject({
      status: 'FAILED',
      failure: { code: 'STORE_FULL', detail: expect.stringContaining(parts[1]!.replicaSet) },
    });
    expect(await statusOfParts(job)).toEqual(['FAILED', 'FAILED', 'FAILED']);
  });

  it('is cancelled in all parts at once while no agent has one', async () => {
    const { job, task } = await ordered('cancelled', 'AWS');
    expect(task.status).toBe('OPEN');
    expect(await backups.cancel(job)).toMatchObject({ status: 'FAILED', failure: { code: 'CANCELLED', detail: 'It was cancelled.' } });
    expect(await statusOfParts(job)).toEqual(['FAILED', 'FAILED', 'FAILED']);
  });

  it('whose key is refused for one part, or whose cluster is disabled, ends with that', async () => {
    const { stage, job } = await ordered('refused', 'AWS');
    const [first, ...others] = await backups.partsWaiting(stage);
    for (const part of others) await backups.grant(part);
    for (const agent of agents) await agent.take();
    await backups.refuse(first!, { code: 'KEY_REFUSED', detail: 'The key is disabled.' });
    expect(await backups.status(job)).toBe('CANCELLING');
    for (const part of await given()) await part.agent.finish(failed(part.id, { code: 'CANCELLED', detail: 'It was cancelled.' }));
    expect(await backups.last(job)).toMatchObject({ status: 'FAILED', failure: { code: 'KEY_REFUSED' } });

    const second = backups.job(stage);
    await backups.order(second);
    await stage.key?.invalidated();
    expect(await backups.last(second)).toMatchObject({ status: 'FAILED', failure: { code: 'CLUSTER_DISABLED' } });
  });

  it('is one at a time, and ends when an agent is silent for too long', async () => {
    const { stage, job } = await ordered('silent');
    expect(await backups.order(backups.job(stage))).toMatchObject({ status: 'FAILED', failure: { code: 'ALREADY_RUNNING' } });
    const [silent, ...others] = await given();
    fleet.clock.advance(31 * 60_000);
    for (const part of others) part.agent.workOn(part.id);
    await Promise.all(others.map((part) => part.agent.report()));
    await backups.lookAfter(new Date(0));
    expect(await backups.status(silent!)).toBe('FAILED');
    for (const part of others) await part.agent.finish(failed(part.id, { code: 'CANCELLED', detail: 'It was cancelled.' }));
    expect(await backups.last(job)).toMatchObject({ status: 'FAILED', failure: { code: 'HOST_SILENT' } });
  });

  it('cannot be taken by another method, nor without a mongos', async () => {
    const stage = await running('methods');
    const task = await backups.order(backups.job(stage, { methods: ['fsyncLock'] }));
    expect(task).toMatchObject({ status: 'FAILED', failure: { code: 'NO_METHOD', detail: expect.stringContaining('$backupCursor') } });
  });
});
