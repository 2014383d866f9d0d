import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProcessGoal } from '@atrest/contracts';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { all, desire, running, stop, stopped, writable } from './test-goals.contract.js';
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
