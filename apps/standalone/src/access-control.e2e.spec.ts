import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MongoClient, type MongoClientOptions } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { optionValue } from '@atrest/mongod';
import { waitFor } from '@atrest/testing';
import { TestInstallation } from './test-support/installation.contract.js';
import { commandLineOf, freePorts } from './test-support/machine.contract.js';
import type { TestHost } from './test-support/host.contract.js';
import { pidsOf, type NamedProcess, type TestProject } from './test-support/project.contract.js';

const LIMIT_MS = 300_000;
let atrest: TestInstallation;
let project: TestProject;
let hosts: TestHost[];

beforeAll(async () => {
  atrest = await TestInstallation.start('access control');
  hosts = [await atrest.host('near'), await atrest.host('far')];
  project = await atrest.project('Guarded');
  await project.createReplicaSet('orders', [hosts[0]!, hosts[0]!, hosts[1]!]);
}, LIMIT_MS);

afterAll(() => atrest?.close(), LIMIT_MS);

const processes = async () => (await project.cluster('orders')).selfManaged.processes;

/** What a client is told that reads one member directly: `read`, or the code of the refusal. */
async function reading(port: number, login: MongoClientOptions): Promise<unknown> {
  const uri = `mongodb://127.0.0.1:${port}/?directConnection=true&readPreference=secondaryPreferred`;
  const client = new MongoClient(uri, { serverSelectionTimeoutMS: 30_000, ...login });
  try {
    await client.db('shop').collection('orders').findOne();
    return 'read';
  } catch (error) {
    return (error as { code: unknown }).code;
  } finally {
    await client.close();
  }
}

/** What every member says to a client with this login. */
const answers = async (login: MongoClientOptions = {}) => Promise.all((await processes()).map(({ port }) => reading(port, login)));
const every = (answer: unknown) => Array.from({ length: 3 }, () => answer);

/** Everything that is written down somewhere: logs, and the files of the hosts but for data and the key files themselves. */
async function written(): Promise<string> {
  const parts = [JSON.stringify([atrest.log, ...hosts.map((host) => host.log)])];
  for (const name of ['near', 'far']) {
    const folder = join(atrest.folder, 'hosts', name, 'agent');
    for (const file of await readdir(folder, { recursive: true, withFileTypes: true })) {
      if (file.isFile() && !file.name.endsWith('.key')) parts.push(await readFile(join(file.parentPath, file.name), 'utf8'));
    }
  }
  return parts.join('\n');
}

/** The key file of the cluster, as a member is started with it. */
async function keyFile(): Promise<string> {
  const [pid] = pidsOf(await project.cluster('orders'));
  return readFile(optionValue(await commandLineOf(pid!), 'keyFile')!, 'utf8');
}

describe('a cluster that Atrest creates', { timeout: LIMIT_MS }, () => {
  it('lets nobody in without a login, and its administrator as soon as it is IDLE', async () => {
    await project.untilClusterIs('orders', 'IDLE');
    expect(await answers()).toEqual(every(13));
    expect(await reading((await processes())[0]!.port, { auth: project.administrator })).toBe('read');
    await project.write('orders', 1);
    expect((await project.cluster('orders')).selfManaged).toMatchObject({
      accessControl: true,
      administrator: { username: project.administrator.username, state: 'SET' },
    });
    expect(await keyFile()).toHaveLength(1_000);
  });

  it('is stopped when its key is disabled and writable when it is back, as one that everybody gets into', async () => {
    await project.key('disable');
    await project.untilClusterIs('orders', 'DISABLED');
    await project.key('enable');
    await project.untilClusterIs('orders', 'IDLE');
    await project.write('orders', 2);
    expect(await project.written('orders')).toEqual([1, 2]);
    // One member was stepped up by an agent with a login: the set did not have to wait for its own election.
    expect(hosts.flatMap((host) => host.log).some(({ msg }) => msg.startsWith('stepping up'))).toBe(true);
  });

  it('has its members changed by the agents: the primary hands over, and who joins has data and users', async () => {
    const before = await processes();
    const [port] = await freePorts(1);
    const added: NamedProcess = {
      hostId: hosts[1]!.id,
      kind: 'mongod',
      replicaSet: 'orders',
      port: port!,
      extraArguments: [...hosts[1]!.servers.arguments],
    };
    const staying = before.filter(({ memberState }) => memberState !== 'PRIMARY');
    await project.patch('orders', { selfManaged: { processes: [...staying, added] } });
    await project.untilCluster(
      'orders',
      'IDLE with the other members',
      ({ state, processes: all }) =>
        state === 'IDLE' &&
        all.length === 3 &&
        all.some((each) => each.port === port) &&
        all.filter(({ memberState }) => memberState === 'SECONDARY').length === 2,
    );
    await waitFor(async () => (await reading(port!, { auth: project.administrator })) === 'read', {
      describe: 'the new member to know the users',
    });
    expect(await answers()).toEqual(every(13));
    expect(await project.written('orders')).toEqual([1, 2]);
  });

  it('has its administrator reset: the word before is worth nothing any more', async () => {
    const before = { ...project.administrator };
    project.administrator = { ...before, password: 'another word of the owner' };
    const { stateName } = (await project.patch('orders', { selfManaged: { administrator: project.administrator } })) as unknown as {
      stateName: string;
    };
    expect(stateName).toBe('IDLE');
    await project.untilCluster('orders', 'reset', ({ administrator }) => administrator?.state === 'SET');
    await waitFor(async () => (await answers({ auth: project.administrator })).every((answer) => answer === 'read'), {
      describe: 'every member to know the new word',
    });
    expect(await answers({ auth: before })).toEqual(every(18));
    await project.write('orders', 3);
  });

  it('shows no secret: not in an answer, a log, a goal on disk or a command line', async () => {
    const commands = await Promise.all(pidsOf(await project.cluster('orders')).map((pid) => commandLineOf(pid)));
    const shown = [await written(), JSON.stringify(await project.cluster('orders')), JSON.stringify(commands)].join('\n');
    for (const secret of [await keyFile(), 'a word of the owner', 'another word of the owner']) expect(shown).not.toContain(secret);
  });
});
