import { MongoClient, type MongoClientOptions } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestInstallation } from './test-support/installation.contract.js';
import { freePorts, serversUnderTest } from './test-support/machine.contract.js';
import type { TestHost } from './test-support/host.contract.js';

const LIMIT_MS = 300_000;
let atrest: TestInstallation;

beforeAll(async () => {
  atrest = await TestInstallation.start('sharded-cluster');
}, LIMIT_MS);

afterAll(() => atrest.close(), LIMIT_MS);

/** Kinds of processes with when the first of each was told to stop and when the last of each was gone, by the agent's log. */
function stopsOf(host: TestHost) {
  const times = (message: string, kind: string) =>
    host
      .lines(message)
      .filter((line) => line.kind === kind)
      .map((line) => Date.parse(line.time));
  return (kind: string) => ({
    ordered: Math.min(...times('stop signal sent', kind)),
    gone: Math.max(...times('process stopped', kind)),
    count: times('process stopped', kind).length,
  });
}

/** What a client on this machine is told that makes itself a user: the code of the refusal. */
async function intruding(port: number, login: MongoClientOptions = {}): Promise<unknown> {
  const client = new MongoClient(`mongodb://127.0.0.1:${port}/?directConnection=true`, { serverSelectionTimeoutMS: 30_000, ...login });
  try {
    await client.db('admin').command({ createUser: 'intruder', pwd: 'a word', roles: ['root'] });
    return 'made';
  } catch (error) {
    return (error as { code: unknown }).code;
  } finally {
    await client.close();
  }
}

describe('a sharded cluster', { timeout: LIMIT_MS }, () => {
  it('is written through mongos, stops in order when its key is disabled, and comes back with its data', async (context) => {
    if ((await serversUnderTest()).mongos === null) context.skip('set MONGOS_BIN to run this against a real server');
    const host = await atrest.host('sharded');
    const project = await atrest.project('Sharded');
    const [config, first, second, mongos] = (await freePorts(4)) as [number, number, number, number];
    const common = { hostId: host.id, extraArguments: host.servers.arguments };
    const processes = [
      { ...common, kind: 'config', replicaSet: 'world-config', port: config },
      { ...common, kind: 'mongod', replicaSet: 'world-shard-0', port: first },
      { ...common, kind: 'mongod', replicaSet: 'world-shard-1', port: second },
      { ...common, kind: 'mongos', port: mongos, extraArguments: host.servers.mongosArguments },
    ] as const;
    await project.createNamed('world', processes, 'SHARDED');
    await project.untilClusterIs('world', 'IDLE');
    await project.write('world', 1);

    await project.key('disable');
    const disabled = await project.untilClusterIs('world', 'DISABLED');
    for (const process of disabled.selfManaged.processes) expect(process).toMatchObject({ status: 'stopped', pid: null });
    const stops = stopsOf(host);
    expect(['mongos', 'mongod', 'config'].map((kind) => stops(kind).count)).toEqual([1, 2, 1]);
    expect(stops('mongod').ordered).toBeGreaterThanOrEqual(stops('mongos').gone);
    expect(stops('config').ordered).toBeGreaterThanOrEqual(stops('mongod').gone);
    expect(host.lines('process stopped').map((line) => line.exitCode)).toEqual([0, 0, 0, 0]);

    await project.key('enable');
    await project.write('world', 2);
    await project.untilClusterIs('world', 'IDLE');
    expect(await project.written('world')).toEqual([1, 2]);
    expect((await project.mails()).length).toBe(2);
  });

  it('takes a further shard, and has users of its own in every shard: nobody but its agents gets in there', async (context) => {
    if ((await serversUnderTest()).mongos === null) context.skip('set MONGOS_BIN to run this against a real server');
    const host = await atrest.host('growing');
    const project = await atrest.project('Growing');
    const [config, first, second, mongos] = (await freePorts(4)) as [number, number, number, number];
    const common = { hostId: host.id, extraArguments: host.servers.arguments };
    const further = { ...common, kind: 'mongod', replicaSet: 'isles-shard-1', port: second } as const;
    await project.createNamed(
      'isles',
      [
        { ...common, kind: 'config', replicaSet: 'isles-config', port: config },
        { ...common, kind: 'mongod', replicaSet: 'isles-shard-0', port: first },
        { ...common, kind: 'mongos', port: mongos, extraArguments: host.servers.mongosArguments },
      ],
      'SHARDED',
    );
    const { selfManaged } = await project.untilClusterIs('isles', 'IDLE');
    await project.patch('isles', { selfManaged: { processes: [...selfManaged.processes, further] } });
    await project.untilCluster('isles', 'IDLE with two shards', ({ state, processes }) => state === 'IDLE' && processes.length === 4);
    await project.write('isles', 1);
    expect(await project.written('isles')).toEqual([1]);
    for (const port of [config, first, second, mongos]) expect([port, await intruding(port)]).toEqual([port, 13]);
    const { login } = await project.connection('isles');
    expect(await intruding(first, login)).toBe(18);
  });
});
