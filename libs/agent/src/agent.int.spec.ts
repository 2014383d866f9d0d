import { spawn } from 'node:child_process';
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProcessGoal, ProcessObservation } from '@atrest/contracts';
import { newObjectId } from '@atrest/contracts';
import { commandLine } from '@atrest/mongod';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createAgent } from './agent.js';
import { ChannelError } from './channel-client.js';
import { TestHost } from './test-host.contract.js';

type Observed = Map<string, ProcessObservation>;
const all = (goals: readonly ProcessGoal[], satisfied: (process: ProcessObservation) => boolean) => (observed: Observed) =>
  goals.every((goal) => observed.has(goal.id) && satisfied(observed.get(goal.id)!));
const stopped = (goals: readonly ProcessGoal[]) => all(goals, (process) => process.status === 'stopped' && process.pid === null);
const running = (goals: readonly ProcessGoal[]) => all(goals, (process) => process.status === 'running');
const writable = (goals: readonly ProcessGoal[]) => (observed: Observed) =>
  running(goals)(observed) && goals.some((goal) => observed.get(goal.id)!.writable);
const desire = (goals: readonly ProcessGoal[], change: Partial<ProcessGoal>) => goals.map((goal) => ({ ...goal, ...change }));
const stop = { desired: 'stopped', reason: 'The AWS key configuration is invalid.' } as const;

let host: TestHost;
let goals: ProcessGoal[];

beforeEach(async () => {
  goals = [];
  host = await TestHost.open();
});

afterEach(async () => {
  await host.close(goals);
});

/** A process that nobody but its data path connects with the agent. */
function startByHand(goal: ProcessGoal): { pid: number; exited: Promise<number | null> } {
  const { argv } = commandLine(goal, join(host.folder, `${goal.id}-by-hand.log`));
  const child = spawn(host.programs.mongod, argv, { stdio: 'ignore', detached: true });
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  child.unref();
  return { pid: child.pid!, exited };
}

describe('enrolment', () => {
  it('keeps its credential for its owner only and is not repeated by the next agent', async () => {
    await host.startAgent();
    expect(host.agent!.hostId).toBe(host.controlPlane.hostId);
    const file = join(host.folder, 'state', 'credential.json');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await host.endAgent();
    await host.startAgent({ token: undefined });
    await vi.waitUntil(async () => (await host.agent!.readiness()).ok, { timeout: 20_000 });
    expect(JSON.stringify(host.lines)).not.toContain(host.controlPlane.token);
  });

  it('fails clearly with a wrong token or none', async () => {
    host.controlPlane.revoked = true;
    await expect(createAgent(host.options()).start()).rejects.toMatchObject({ code: 'CHANNEL.REFUSED', status: 401 });
    await expect(createAgent(host.options({ token: undefined })).start()).rejects.toBeInstanceOf(ChannelError);
    host.controlPlane.revoked = false;
  });
});

describe('one process', () => {
  beforeEach(async () => {
    goals = [await host.process()];
  });

  it('is created, watched, and deleted with its data only on an explicit order', async () => {
    const [goal] = goals as [ProcessGoal];
    host.controlPlane.order(goals);
    await host.startAgent();
    const seen = (await host.controlPlane.until('the process to run', writable(goals))).get(goal.id)!;
    expect(seen).toMatchObject({ version: expect.stringMatching(/^\d+\.\d+/), exitCode: null, error: null });
    expect((await stat(goal.dbPath!)).mode & 0o777).toBe(0o700);
    // This host allows colocation: a mongod there does not take half of the memory.
    const started = host.lines.find((line) => line['msg'] === 'process started');
    expect(String(started?.['argv'])).toContain('--wiredTigerCacheSizeGB,0.25');

    host.controlPlane.giveTask({ id: newObjectId(), kind: 'tail-log', processId: goal.id, lines: 5 });
    await vi.waitUntil(() => host.controlPlane.taskResults.length > 0, { timeout: 20_000 });
    expect(host.controlPlane.taskResults[0]).toMatchObject({ outcome: 'done', lines: { length: 5 } });

    host.controlPlane.order(desire(goals, { desired: 'removed' }));
    await host.controlPlane.until('the process to be forgotten', (observed) => !observed.has(goal.id));
    expect(await readdir(goal.dbPath!)).toContain('mongod.lock');

    host.controlPlane.order(goals);
    await host.controlPlane.until('the process to run again', running(goals));
    host.controlPlane.order(desire(goals, { desired: 'removed', deleteData: true }));
    await host.controlPlane.until('the process to be forgotten', (observed) => !observed.has(goal.id));
    expect(await readdir(host.dataFolder)).toEqual([]);
  });

  it('a result that the control plane will not have keeps no order waiting', async () => {
    const [goal] = goals as [ProcessGoal];
    host.controlPlane.order(goals);
    await host.startAgent();
    await host.controlPlane.until('the process to run', running(goals));
    host.controlPlane.refusesResults = true;
    host.controlPlane.giveTask({ id: newObjectId(), kind: 'tail-log', processId: goal.id, lines: 5 });
    await vi.waitUntil(() => host.lines.some((line) => String(line['msg']).includes('is dropped')), { timeout: 20_000 });
    host.controlPlane.order(desire(goals, stop));
    await host.controlPlane.until('the process to be stopped', stopped(goals));
    expect(host.lines.filter((line) => line['msg'] === 'the control plane does not answer')).toEqual([]);
  });

  it('an exit that was not ordered is reported with its reason and followed by a new start', async () => {
    const [goal] = goals as [ProcessGoal];
    host.controlPlane.order(goals);
    await host.startAgent();
    const first = (await host.controlPlane.until('the process to run', running(goals))).get(goal.id)!;
    process.kill(first.pid!, 'SIGKILL');
    const second = (
      await host.controlPlane.until('the process to run again', (observed) => {
        const seen = observed.get(goal.id);
        return seen?.status === 'running' && seen.pid !== first.pid;
      })
    ).get(goal.id)!;
    expect(second.error).toBeNull();
    const failure = host.controlPlane.reports.flatMap((report) => report.processes).find((each) => each.exitSignal === 'SIGKILL');
    expect(failure).toMatchObject({ status: 'failed', pid: null, error: expect.stringMatching(/SIGKILL/) });
    expect(failure!.lastLogLines.length).toBeGreaterThan(0);
  });

  it('a start that fails is reported with exit code and reason, and tried again', async () => {
    const [goal] = goals as [ProcessGoal];
    goals = [{ ...goal, extraArguments: ['--nosuch'] }];
    host.controlPlane.order(goals);
    await host.startAgent();
    const seen = await host.controlPlane.until(
      'the failure',
      all(goals, (process) => process.status === 'failed'),
    );
    expect(seen.get(goal.id)).toMatchObject({ exitCode: 2, error: expect.stringMatching(/nosuch/) });
    const failures = () => host.lines.filter((line) => String(line['msg']).startsWith('the process ended without an order')).length;
    await vi.waitUntil(() => failures() >= 2, { timeout: 30_000 });

    goals = [{ ...goal, extraArguments: ['--fork'] }];
    host.controlPlane.order(goals);
    await host.controlPlane.until(
      'the refusal',
      all(goals, (process) => /--fork is not allowed/.test(process.error ?? '')),
    );
    goals = [goal];
    host.controlPlane.order(goals);
    await host.controlPlane.until('the process to run', running(goals));
  });

  it('F29 a mongod that does not obey SIGTERM is reported as overdue, then killed, and stays stopped', async () => {
    const [goal] = goals as [ProcessGoal];
    host.controlPlane.order(goals);
    await host.startAgent({ stop: { warnAfterMs: 200, killAfterMs: 3_000 } });
    const { pid } = (await host.controlPlane.until('the process to run', running(goals))).get(goal.id)!;
    // A frozen process keeps SIGTERM pending, as one that hangs does.
    process.kill(pid!, 'SIGSTOP');
    host.controlPlane.order(desire(goals, stop));
    const overdue = await host.controlPlane.until(
      'the overdue report',
      all(goals, (process) => process.stopOverdueSince !== null),
    );
    expect(overdue.get(goal.id)).toMatchObject({ status: 'stopping', pid });
    const ended = await host.controlPlane.until('the process to be stopped', stopped(goals));
    expect(ended.get(goal.id)).toMatchObject({ exitSignal: 'SIGKILL' });
    const logged = host.lines.map((line) => line['msg']);
    expect(logged.indexOf('stop signal sent')).toBeGreaterThanOrEqual(0);
    expect(logged.indexOf('the process did not stop in time and is killed')).toBeGreaterThan(logged.indexOf('stop signal sent'));
  });

  it('F34 a mongod that is started by hand while it should be stopped is found, stopped and reported', async () => {
    const [goal] = goals as [ProcessGoal];
    host.controlPlane.order(goals);
    await host.startAgent();
    await host.controlPlane.until('the process to run', running(goals));
    host.controlPlane.order(desire(goals, stop));
    await host.controlPlane.until('the process to be stopped', stopped(goals));
    const byHand = startByHand(goal);
    await byHand.exited;
    const seen = await host.controlPlane.until(
      'the report',
      all(goals, (process) => process.startedByHandAt !== null && process.status === 'stopped'),
    );
    expect(seen.get(goal.id)!.pid).toBeNull();
    host.controlPlane.order(goals);
    const again = await host.controlPlane.until('the process to run', running(goals));
    expect(again.get(goal.id)).toMatchObject({ startedByHandAt: null });
  });

  it('F35 a goal that turns back to running while the process stops leads to a new start after its exit', async () => {
    const [goal] = goals as [ProcessGoal];
    host.controlPlane.order(goals);
    await host.startAgent();
    const { pid } = (await host.controlPlane.until('the process to run', running(goals))).get(goal.id)!;
    process.kill(pid!, 'SIGSTOP');
    host.controlPlane.order(desire(goals, stop));
    await host.controlPlane.until(
      'the process to stop',
      all(goals, (process) => process.status === 'stopping'),
    );
    host.controlPlane.order(goals);
    await host.controlPlane.until(
      'the new goal to be known',
      all(goals, (process) => process.status === 'stopping'),
    );
    process.kill(pid!, 'SIGCONT');
    const seen = await host.controlPlane.until('the process to run again', running(goals));
    expect(seen.get(goal.id)!.pid).not.toBe(pid);
    expect(host.lines.filter((line) => line['msg'] === 'process started')).toHaveLength(2);
  });

  it('is adopted when it ran before the agent, with its own arguments, and never deleted', async () => {
    const [goal] = goals as [ProcessGoal & { dbPath: string }];
    const adopted = { ...goal, adopted: true, dbPath: join(host.dataFolder, 'theirs') };
    goals = [adopted];
    await mkdir(adopted.dbPath);
    const theirs = startByHand(adopted);
    host.controlPlane.order(goals);
    await host.startAgent();
    const seen = await host.controlPlane.until('the process to be adopted', running(goals));
    expect(seen.get(goal.id)).toMatchObject({ pid: theirs.pid, startedByHandAt: null });
    host.controlPlane.order(desire(goals, { desired: 'removed', deleteData: true }));
    await host.controlPlane.until('the process to be forgotten', (observed) => !observed.has(goal.id));
    await theirs.exited;
    expect(await readdir(adopted.dbPath)).toContain('mongod.lock');
  });

  it('two goals for one data path: only the first is pursued', async () => {
    const [goal] = goals as [ProcessGoal & { dbPath: string }];
    const twin = await host.process({ dbPath: goal.dbPath, desired: 'stopped' });
    host.controlPlane.order([goal, twin]);
    await host.startAgent();
    const seen = await host.controlPlane.until('the process to run', (observed) => running([goal])(observed) && observed.has(twin.id));
    expect(seen.get(twin.id)!.error).toMatch(/data path/);
    expect(await host.lockedPid(goal.dbPath)).toBe(seen.get(goal.id)!.pid);
  });
});

describe('an agent that starts again', () => {
  it('adopts what runs and starts no second one, also when the control plane does not answer', async () => {
    const goal = await host.process();
    goals = [goal];
    host.controlPlane.order(goals);
    await host.startAgent();
    const { pid } = (await host.controlPlane.until('the process to run', running(goals))).get(goal.id)!;
    await host.endAgent();
    process.kill(pid!, 0);
    await host.controlPlane.goDown();

    await host.startAgent();
    await vi.waitUntil(() => host.lines.some((line) => line['msg'] === 'running process adopted'), { timeout: 20_000 });
    await host.controlPlane.listen();
    const seen = await host.controlPlane.until('the adopted process', running(goals));
    expect(seen.get(goal.id)!.pid).toBe(pid);
    // An exit of a process that is not our child: its code comes from its log.
    host.controlPlane.order(desire(goals, stop));
    const ended = await host.controlPlane.until('the process to be stopped', stopped(goals));
    expect(ended.get(goal.id)).toMatchObject({ exitCode: 0 });
  });

  it('does not start beside another one of the same state folder', async () => {
    const goal = await host.process();
    goals = [goal];
    host.controlPlane.order(goals);
    await host.startAgent();
    await host.controlPlane.until('the process to run', running(goals));
    await expect(createAgent(host.options()).start()).rejects.toMatchObject({ code: 'AGENT.STATE_FOLDER_IN_USE' });
    await host.endAgent();
    await host.startAgent();
    await host.controlPlane.until('the next agent to see it', running(goals));
  });

  it('starts from a remembered goal only what needs no key, until the control plane confirms it', async () => {
    goals = [await host.process({ requiresKey: true }), await host.process({ requiresKey: false })];
    const [withKey, withoutKey] = goals as [ProcessGoal, ProcessGoal];
    host.controlPlane.order(desire(goals, stop));
    await host.startAgent();
    await host.controlPlane.until('the first goal', stopped(goals));
    host.controlPlane.order(goals);
    await host.controlPlane.until('both to run', running(goals));
    await host.endAgent();
    await host.controlPlane.goDown();
    for (const goal of goals) process.kill(await host.lockedPid(goal.dbPath!), 'SIGKILL');

    host.lines.length = 0;
    await host.startAgent();
    const starts = () => host.lines.filter((line) => line['msg'] === 'process started').map((line) => line['processId']);
    await vi.waitUntil(() => starts().includes(withoutKey.id), { timeout: 20_000 });
    expect(starts()).not.toContain(withKey.id);
    await host.controlPlane.listen();
    await host.controlPlane.until('both to run', running(goals));
    expect(new Set(starts())).toEqual(new Set([withKey.id, withoutKey.id]));
    expect(starts()).toHaveLength(2);
  });

  it('keeps its processes as last ordered and says so when its credential is refused', async () => {
    const goal = await host.process();
    goals = [goal];
    host.controlPlane.order(goals);
    await host.startAgent();
    const { pid } = (await host.controlPlane.until('the process to run', running(goals))).get(goal.id)!;
    host.controlPlane.revoked = true;
    host.controlPlane.order(desire(goals, stop));
    await vi.waitUntil(() => host.lines.some((line) => line['level'] === 'fatal'), { timeout: 20_000 });
    expect(await host.agent!.readiness()).toMatchObject({ ok: false, detail: expect.stringMatching(/refuses/) });
    process.kill(pid!, 0);
    host.controlPlane.revoked = false;
  });

  it('stops its processes when it is told to', async () => {
    const goal = await host.process();
    goals = [goal];
    host.controlPlane.order(goals);
    await host.startAgent();
    const { pid } = (await host.controlPlane.until('the process to run', running(goals))).get(goal.id)!;
    await host.agent!.stop({ processes: 'stop' });
    host.agent = null;
    expect(() => process.kill(pid!, 0)).toThrow(/ESRCH/);
  });

  it('a data path that cannot be made is a failure of that process, not of the agent', async () => {
    const blocked = join(host.dataFolder, 'file');
    await writeFile(blocked, '');
    const goal = await host.process({ dbPath: join(blocked, 'db') });
    const other = await host.process();
    goals = [goal, other];
    host.controlPlane.order(goals);
    await host.startAgent();
    const seen = await host.controlPlane.until(
      'one failed, one running',
      (observed) => observed.get(goal.id)?.status === 'failed' && running([other])(observed),
    );
    expect(seen.get(goal.id)!.error).toMatch(/not a folder/);
  });
});

describe('replica set of three', () => {
  it('is created and initiated, stopped all at once, and writable again after a restart of the agent', async () => {
    const set = await host.replicaSet('rs0', 3);
    goals = set;
    host.controlPlane.order(goals);
    await host.startAgent();
    await host.controlPlane.until('the set to be writable', writable(goals));
    const url = `mongodb://${set.map((goal) => `127.0.0.1:${goal.port}`).join(',')}/?replicaSet=rs0`;
    await host
      .client(url)
      .db('shop')
      .collection('orders')
      .insertOne({ n: 1 }, { writeConcern: { w: 3, wtimeoutMS: 60_000 } });

    host.controlPlane.order(desire(goals, stop));
    const ended = await host.controlPlane.until('all three to be stopped', stopped(goals));
    for (const goal of goals) expect(ended.get(goal.id)).toMatchObject({ exitCode: 0, lastLogLines: [] });
    const signals = host.lines.filter((line) => line['msg'] === 'stop signal sent');
    expect(signals).toHaveLength(3);

    await host.endAgent();
    await host.startAgent();
    await host.controlPlane.until('the next agent to see them stopped', stopped(goals));
    host.lines.length = 0;
    host.controlPlane.order(goals);
    await host.controlPlane.until('the set to be writable again', writable(goals));
    const messages = host.lines.map((line) => String(line['msg']));
    expect(messages.filter((message) => message.startsWith('stepping up')).length).toBeLessThanOrEqual(1);
    expect(messages.filter((message) => message.startsWith('initiating'))).toEqual([]);
    expect(await host.client(url).db('shop').collection('orders').countDocuments()).toBe(1);
  });

  it('that has lost its data is not initiated again: an empty set would pass for the old one', async () => {
    const set = await host.replicaSet('rs0', 2);
    goals = set;
    host.controlPlane.order(goals);
    await host.startAgent();
    await host.controlPlane.until('the set to be writable', writable(goals));
    host.controlPlane.order(desire(goals, stop));
    await host.controlPlane.until('both to be stopped', stopped(goals));
    for (const { dbPath } of set) await rm(dbPath, { recursive: true });

    host.controlPlane.order(goals);
    const failed = await host.controlPlane.until(
      'both to be refused',
      all(goals, (process) => process.status === 'failed'),
    );
    for (const goal of goals) expect(failed.get(goal.id)!.error).toMatch(/is gone.*mounted/);
    for (const { dbPath } of set) await mkdir(dbPath);
    await host.endAgent();
    await host.startAgent();
    const [leader] = goals as [ProcessGoal];
    const empty = await host.controlPlane.until('the loss to be seen', (observed) =>
      /initiated before/.test(observed.get(leader.id)?.error ?? ''),
    );
    expect(empty.get(leader.id)).toMatchObject({ status: 'running', writable: false });
  });

  it('is initiated and stepped up by its leader also when its members are on two hosts', async () => {
    const other = await TestHost.open();
    const set = await host.replicaSet('rs0', 2);
    const [mine, theirs] = set as [ProcessGoal, ProcessGoal & { dbPath: string }];
    const remote = { ...theirs, dbPath: join(other.dataFolder, 'remote') };
    goals = [mine];
    try {
      host.controlPlane.order([mine]);
      await host.startAgent();
      await host.controlPlane.until('the leader to run', running([mine]));
      other.controlPlane.order([remote]);
      await other.startAgent();
      const both = async (what: string) => {
        const [here, there] = await Promise.all([
          host.controlPlane.until(what, running([mine])),
          other.controlPlane.until(what, running([remote])),
        ]);
        return here.get(mine.id)!.writable || there.get(remote.id)!.writable;
      };
      await vi.waitUntil(() => both('both members to run'), { timeout: 60_000 });

      host.controlPlane.order(desire([mine], stop));
      other.controlPlane.order(desire([remote], stop));
      await Promise.all([host.controlPlane.until('a stop', stopped([mine])), other.controlPlane.until('a stop', stopped([remote]))]);
      host.controlPlane.order([mine]);
      other.controlPlane.order([remote]);
      await vi.waitUntil(() => both('both members to run again'), { timeout: 60_000 });
      expect(JSON.stringify(other.lines)).not.toMatch(/stepping up|initiating/);
    } finally {
      await other.close([remote]);
    }
  });
});
