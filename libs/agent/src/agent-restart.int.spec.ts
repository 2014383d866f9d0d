import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProcessGoal } from '@atrest/contracts';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createAgent } from './agent.js';
import { desire, running, stop, stopped, writable } from './test-goals.contract.js';
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
    await vi.waitUntil(() => host.lines.some((line) => line['msg'] === 'running process adopted'), { timeout: 45_000 });
    await host.controlPlane.listen();
    const seen = await host.controlPlane.until('the adopted process', running(goals));
    expect(seen.get(goal.id)!.pid).toBe(pid);
    // An exit of a process that is not our child: its code comes from its log.
    host.controlPlane.order(desire(goals, stop));
    const ended = await host.controlPlane.until('the process to be stopped', stopped(goals));
    expect(ended.get(goal.id)).toMatchObject({ exitCode: 0 });
  });

  it('reports nothing of what it finds running before it knows how it is', async () => {
    goals = [await host.process(), await host.process()];
    host.controlPlane.order(goals);
    await host.startAgent();
    const before = await host.controlPlane.until('both to run', writable(goals));
    await host.endAgent();
    const [last] = host.controlPlane.reports.slice(-1);

    await host.startAgent();
    await host.controlPlane.until('the next agent to see them', running(goals));
    for (const { processes } of host.controlPlane.reports) {
      expect(processes.map(({ id, status, pid }) => [id, status, pid])).toEqual(
        goals.map(({ id }) => [id, 'running', before.get(id)!.pid]),
      );
    }
    // Its reports are later ones than those of the life before.
    const numbers = host.controlPlane.reports.map((report) => report.number!);
    expect(numbers.every(({ run }) => run === last!.number!.run + 1)).toBe(true);
    expect(numbers.map(({ sequence }) => sequence)).toEqual(numbers.map((_, index) => index + 1));
  });

  it('starts nothing that is about to be stopped with its cluster', async () => {
    const goal = await host.process({ requiresKey: false });
    goals = [goal];
    host.controlPlane.order(goals);
    await host.startAgent();
    await host.controlPlane.until('the process to run', running(goals));
    host.controlPlane.order(desire(goals, { mayStart: false }));
    const still = await host.controlPlane.until('the goal to be known', running(goals));
    await host.endAgent();
    // As when the whole machine starts again.
    process.kill(still.get(goal.id)!.pid!, 'SIGKILL');
    host.lines.length = 0;
    await host.startAgent();
    const seen = await host.controlPlane.until('the process to stay stopped', stopped(goals));
    expect(seen.get(goal.id)!.error).toMatch(/being stopped/);
    expect(host.lines.filter((line) => line['msg'] === 'process started')).toEqual([]);
    host.controlPlane.order(goals);
    await host.controlPlane.until('the process to run again', running(goals));
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
    await vi.waitUntil(() => starts().includes(withoutKey.id), { timeout: 45_000 });
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
    await vi.waitUntil(() => host.lines.some((line) => line['level'] === 'fatal'), { timeout: 45_000 });
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
