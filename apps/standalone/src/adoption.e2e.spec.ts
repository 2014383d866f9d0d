import { spawn } from 'node:child_process';
import { access, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { optionValue } from '@atrest/mongod';
import { waitFor } from '@atrest/testing';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestInstallation } from './test-support/installation.contract.js';
import { commandLineOf, isRunning } from './test-support/machine.contract.js';
import { freePort } from './free-port.js';
import { pidsOf } from './test-support/project.contract.js';
import type { TestHost } from './test-support/host.contract.js';

const LIMIT_MS = 300_000;
let atrest: TestInstallation;
let host: TestHost;

beforeAll(async () => {
  atrest = await TestInstallation.start('adoption');
  host = await atrest.host('adoption');
}, LIMIT_MS);

afterAll(() => atrest.close(), LIMIT_MS);

/** A replica set of one member that somebody runs without Atrest, with arguments of their own. */
async function somebodysMongod(): Promise<{ pid: number; port: number; dbPath: string; extraArguments: string[] }> {
  const dbPath = join(atrest.folder, 'somebody', 'db');
  await mkdir(dbPath, { recursive: true });
  const port = await freePort();
  const logPath = join(atrest.folder, 'somebody', 'mongod.log');
  const extraArguments = [...host.servers.arguments, '--logpath', logPath, '--logappend', '--bind_ip', '127.0.0.1', '--maxConns', '321'];
  const own = ['--dbpath', dbPath, '--port', String(port), '--replSet', 'theirs'];
  const { pid } = spawn(host.servers.mongod, [...own, ...extraArguments], { stdio: ['ignore', 'ignore', 'inherit'] });
  const client = new MongoClient(`mongodb://127.0.0.1:${port}/?directConnection=true&serverSelectionTimeoutMS=60000`);
  try {
    const members = [{ _id: 0, host: `127.0.0.1:${port}` }];
    await client.db('admin').command({ replSetInitiate: { _id: 'theirs', members } });
    await waitFor(async () => (await client.db('admin').command({ hello: 1 }))['isWritablePrimary'] === true, {
      describe: 'their replica set to have a primary',
      limitMs: LIMIT_MS,
    });
  } finally {
    await client.close();
  }
  return { pid: pid!, port, dbPath, extraArguments };
}

describe('processes that Atrest did not start', { timeout: LIMIT_MS }, () => {
  it('are taken over as they run, stopped and started again with their arguments, and keep their data when the cluster is deleted', async () => {
    const { pid, port, dbPath, extraArguments } = await somebodysMongod();
    const project = await atrest.project('Adopted');
    await project.createNamed('theirs', [
      { hostId: host.id, kind: 'mongod', replicaSet: 'theirs', port, dbPath, extraArguments, adopted: true },
    ]);
    expect(pidsOf(await project.untilClusterIs('theirs', 'IDLE'))).toEqual([pid]);
    expect(host.lines('process started', port)).toEqual([]);
    await project.write('theirs', 1);

    await project.key('disable');
    await project.untilClusterIs('theirs', 'DISABLED');
    await waitFor(async () => !(await isRunning(pid)), { describe: 'their mongod to be gone' });

    await project.key('enable');
    await project.write('theirs', 2);
    const [again] = pidsOf(await project.untilClusterIs('theirs', 'IDLE')) as [number];
    expect(again).not.toBe(pid);
    const argv = await commandLineOf(again);
    for (const option of ['logpath', 'maxConns', 'bind_ip']) expect(optionValue(argv, option)).toBe(optionValue(extraArguments, option));
    expect(await project.written('theirs')).toEqual([1, 2]);

    await project.deleteCluster('theirs');
    await waitFor(async () => !(await isRunning(again)), { describe: 'their mongod to be gone' });
    expect(await readdir(dbPath)).toContain('mongod.lock');
  });

  it('a cluster that Atrest created is deleted with its data', async () => {
    const project = await atrest.project('Created');
    await project.createReplicaSet('ours', [host]);
    const cluster = await project.untilClusterIs('ours', 'IDLE');
    const dbPath = cluster.selfManaged.processes[0]!.dbPath!;
    await access(join(dbPath, 'mongod.lock'));
    await project.deleteCluster('ours');
    await expect(access(dbPath)).rejects.toMatchObject({ code: 'ENOENT' });
    for (const pid of pidsOf(cluster)) expect(await isRunning(pid)).toBe(false);
  });
});
