import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { optionValue } from '@atrest/mongod';
import { waitFor } from '@atrest/testing';
import { TestInstallation } from './test-support/installation.contract.js';
import { commandLineOf, freePorts, isRunning } from './test-support/machine.contract.js';
import type { TestHost } from './test-support/host.contract.js';
import { pidsOf, type ClusterAnswer, type NamedProcess, type ProcessAnswer, type TestProject } from './test-support/project.contract.js';

const LIMIT_MS = 300_000;
let atrest: TestInstallation;
let project: TestProject;
/** Two, so that members are told by agents that know nothing of one another. */
let hosts: TestHost[];
/** All that the cluster has acknowledged: it must be there ever after. */
const acknowledged: number[] = [];

beforeAll(async () => {
  atrest = await TestInstallation.start('cluster changes');
  hosts = [await atrest.host('near'), await atrest.host('far')];
  project = await atrest.project('Changing');
  await project.createReplicaSet('orders', [hosts[0]!, hosts[0]!, hosts[1]!]);
  await project.untilClusterIs('orders', 'IDLE');
  for (let n = 1; n <= 3; n += 1) await write();
}, LIMIT_MS);

afterAll(() => atrest?.close(), LIMIT_MS);

async function write(): Promise<void> {
  const n = acknowledged.length + 1;
  await project.write('orders', n);
  acknowledged.push(n);
}

const processes = async (): Promise<readonly ProcessAnswer[]> => (await project.cluster('orders')).selfManaged.processes;

/** Until it is IDLE with this many members, one of them primary and the others its secondaries. */
const untilWhole = (size: number): Promise<ClusterAnswer> =>
  project.untilCluster('orders', `IDLE with ${size} members that serve`, ({ state, processes: all }) => {
    const count = (wanted: string) => all.filter(({ memberState }) => memberState === wanted).length;
    return state === 'IDLE' && all.length === size && count('PRIMARY') === 1 && count('SECONDARY') === size - 1;
  });

/** What one member has by itself. */
async function heldBy({ port }: ProcessAnswer): Promise<number[]> {
  const { login } = await project.connection('orders');
  const client = new MongoClient(`mongodb://127.0.0.1:${port}/?directConnection=true&readPreference=secondaryPreferred`, login);
  try {
    const found = await client.db('shop').collection<{ _id: number; n: number }>('orders').find().toArray();
    return found.map(({ n }) => n).sort((a, b) => a - b);
  } finally {
    await client.close();
  }
}

describe('a cluster that is changed while it runs', { timeout: LIMIT_MS }, () => {
  it('grows from three members to five: its documents stay, and the new members are secondaries that have them', async () => {
    const before = await processes();
    const ports = await freePorts(2);
    const added = hosts.map((host, index): NamedProcess => ({
      hostId: host.id,
      kind: 'mongod',
      replicaSet: 'orders',
      port: ports[index]!,
      extraArguments: [...host.servers.arguments],
    }));
    const changed = await project.patch('orders', { selfManaged: { processes: [...before, ...added] } });
    expect(changed.selfManaged).toMatchObject({ state: 'UPDATING', processes: { length: 5 } });
    await write();
    const whole = await untilWhole(5);
    // Nobody was restarted for it.
    for (const { pid } of before) expect(pidsOf(whole)).toContain(pid);
    const news = whole.selfManaged.processes.filter(({ id }) => before.every((each) => each.id !== id));
    expect(news.map(({ memberState }) => memberState)).toEqual(['SECONDARY', 'SECONDARY']);
    expect(await project.written('orders')).toEqual(acknowledged);
    for (const member of news) {
      await waitFor(async () => (await heldBy(member)).length === acknowledged.length, {
        describe: `the new member on port ${member.port} to have every document`,
      });
      expect(await heldBy(member)).toEqual(acknowledged);
    }
  });

  it('is restarted member by member for other arguments, and no write that was acknowledged meanwhile is lost', async () => {
    const before = await processes();
    let writing = true;
    const writer = (async () => {
      while (writing) await write();
    })();
    try {
      const extraArguments = [...hosts[0]!.servers.arguments, '--slowms', '250'];
      const wanted = before.map((each) => ({ ...each, extraArguments }));
      const known = acknowledged.length;
      expect((await project.patch('orders', { selfManaged: { processes: wanted } })).selfManaged.state).toBe('UPDATING');
      let fewest = before.length;
      const whole = await project.untilCluster('orders', 'IDLE with other processes', ({ state, processes: all }) => {
        fewest = Math.min(fewest, all.filter(({ status }) => status === 'running').length);
        return state === 'IDLE' && all.every(({ pid, id }) => pid !== null && pid !== before.find((each) => each.id === id)?.pid);
      });
      // One at a time: whoever looks never sees two of them away.
      expect(fewest).toBeGreaterThanOrEqual(before.length - 1);
      for (const pid of pidsOf(whole)) expect(optionValue(await commandLineOf(pid), 'slowms')).toBe('250');
      for (const { pid } of before) expect(await isRunning(pid!)).toBe(false);
      expect(acknowledged.length).toBeGreaterThan(known);
    } finally {
      writing = false;
      await writer;
    }
    await untilWhole(5);
    expect(await project.written('orders')).toEqual(acknowledged);
  });

  it('is paused, with its data kept and no process left, and resumed', async () => {
    const before = await processes();
    await project.patch('orders', { paused: true });
    await project.untilCluster(
      'orders',
      'IDLE with every process stopped',
      ({ state, processes: all }) => state === 'IDLE' && all.every(({ status, pid }) => status === 'stopped' && pid === null),
    );
    for (const { pid } of before) expect(await isRunning(pid!)).toBe(false);
    await project.patch('orders', { paused: false });
    await untilWhole(5);
    expect(await project.written('orders')).toEqual(acknowledged);
    await write();
    expect(await project.written('orders')).toEqual(acknowledged);
  });
});
