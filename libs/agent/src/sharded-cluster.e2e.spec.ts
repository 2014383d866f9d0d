import { join } from 'node:path';
import type { ProcessGoal, ProcessObservation } from '@atrest/contracts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StateFolder } from './state-folder.js';
import { TestHost } from './test-host.contract.js';

let host: TestHost;
let goals: ProcessGoal[];

beforeEach(async () => {
  host = await TestHost.open();
  goals = [];
});

afterEach(async () => {
  await host.close(goals);
});

describe('sharded cluster', () => {
  it('is created, stopped mongos first, and started config servers first, with its data', async (context) => {
    if (host.programs.mongos === null) context.skip('set MONGOS_BIN to run this against a real server');
    const [config] = (await host.replicaSet('cfg', 1, 'config')) as [ProcessGoal];
    const [shard] = (await host.replicaSet('s1', 1, 'shard')) as [ProcessGoal];
    const mongos: ProcessGoal = {
      ...(await host.process()),
      kind: 'mongos',
      dbPath: null,
      // Replica-set times and cache sizes mean nothing to a mongos.
      extraArguments: host.programs.extraArguments.filter(
        (_, at, list) => list[at] === '--setParameter' || list[at - 1] === '--setParameter',
      ),
      router: {
        configDB: `cfg/127.0.0.1:${config.port}`,
        shards: [{ name: 's1', connection: `s1/127.0.0.1:${shard.port}` }],
        leads: true,
      },
    };
    goals = [mongos, shard, config];

    /** The control plane's phases: the next one begins when the last one is over. */
    const order = async (desired: 'running' | 'stopped', kinds: readonly ProcessGoal['kind'][]) => {
      const over = new Set<string>();
      for (const kind of kinds) {
        for (const goal of goals) if (goal.kind === kind) over.add(goal.id);
        const before = desired === 'running' ? 'stopped' : 'running';
        host.controlPlane.order(goals.map((goal) => ({ ...goal, desired: over.has(goal.id) ? desired : before })));
        const reached = (process: ProcessObservation | undefined) => process?.status === desired;
        await host.controlPlane.until(`${kind} to be ${desired}`, (observed) => [...over].every((id) => reached(observed.get(id))));
      }
    };

    await host.startAgent();
    await order('running', ['config', 'mongod', 'mongos']);
    const orders = () => host.client(`mongodb://127.0.0.1:${mongos.port}`).db('shop').collection('orders');
    await host.controlPlane.until('all to be writable', (observed) => goals.every((goal) => observed.get(goal.id)?.writable));
    // The shard was added by the mongos that leads; it is not called writable before, when a write would find no place to go.
    await orders().insertOne({ n: 1 });
    // Kept for the day when the cluster has users and tells the agent nothing any more.
    expect(await new StateFolder(join(host.folder, 'state')).wasMember(mongos.id)).toBe(true);

    await order('stopped', ['mongos', 'mongod', 'config']);
    const seen = await host.controlPlane.until('all to be stopped', (observed) =>
      goals.every((goal) => observed.get(goal.id)?.status === 'stopped'),
    );
    for (const goal of goals) expect(seen.get(goal.id)).toMatchObject({ pid: null, exitCode: 0 });

    await order('running', ['config', 'mongod', 'mongos']);
    await expect.poll(() => orders().countDocuments(), { timeout: 60_000 }).toBe(1);
    expect(host.lines.filter((line) => String(line['msg']).startsWith('adding shards'))).toHaveLength(1);
  });
});
