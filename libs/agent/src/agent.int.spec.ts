import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProcessGoal } from '@atrest/contracts';
import { newObjectId } from '@atrest/contracts';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createAgent } from './agent.js';
import { ChannelError } from './channel-client.js';
import { all, desire, running, startByHand, stop, stopped, writable } from './test-goals.contract.js';
import { TestHost } from './test-host.contract.js';

let host: TestHost;
let goals: ProcessGoal[];

beforeEach(async () => {
  goals = [];
  host = await TestHost.open();
});

afterEach(async () => {
  await host.close(goals);
});

describe('enrolment', () => {
  it('keeps its credential for its owner only and is not repeated by the next agent', async () => {
    await host.startAgent();
    expect(host.agent!.hostId).toBe(host.controlPlane.hostId);
    const file = join(host.folder, 'state', 'credential.json');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await host.endAgent();
    await host.startAgent({ token: undefined });
    await vi.waitUntil(async () => (await host.agent!.readiness()).ok, { timeout: 45_000 });
    expect(JSON.stringify(host.lines)).not.toContain(host.controlPlane.token);
  });

  it('is asked for again, also by the next life of the agent, when its answer was lost', async () => {
    host.controlPlane.losesEnrolments = true;
    await expect(createAgent(host.options({ hostname: '127.0.0.1' })).start()).rejects.toMatchObject({ code: 'CHANNEL.NOT_UNDERSTOOD' });
    const secret = join(host.folder, 'state', 'enrolment-secret');
    expect((await stat(secret)).mode & 0o777).toBe(0o600);
    host.controlPlane.losesEnrolments = false;
    await host.startAgent();
    expect(host.agent!.hostId).toBe(host.controlPlane.hostId);
    await vi.waitUntil(async () => (await host.agent!.readiness()).ok, { timeout: 45_000 });
    await expect(stat(secret)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(JSON.stringify(host.lines)).not.toContain(host.controlPlane.enrolledBy);
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
    await vi.waitUntil(() => host.controlPlane.taskResults.length > 0, { timeout: 45_000 });
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
    await vi.waitUntil(() => host.lines.some((line) => String(line['msg']).includes('is dropped')), { timeout: 45_000 });
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
    await vi.waitUntil(() => failures() >= 2, { timeout: 45_000 });

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
    const byHand = startByHand(host, goal);
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
    const theirs = startByHand(host, adopted);
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
