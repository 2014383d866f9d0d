import { spawn, type ChildProcess } from 'node:child_process';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { newObjectId } from '@atrest/contracts';
import { waitFor } from '@atrest/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { all } from '../test-goals.contract.js';
import { NOT_HELD, TestBackups } from './test-backups.contract.js';

/** The program as it is installed; `npm test` has built it. */
const PROGRAM = fileURLToPath(new URL('../../../../apps/agent/dist/main.js', import.meta.url));

let backups: TestBackups;
let agents: ChildProcess[];

beforeEach(async () => {
  backups = await TestBackups.open();
  agents = [];
});
afterEach(async () => {
  for (const agent of agents) await kill(agent);
  await backups.close();
});

async function startProgram(): Promise<ChildProcess> {
  const { folder, dataFolder, controlPlane, programs } = backups.host;
  const config = join(folder, 'agent.yaml');
  await writeFile(
    config,
    JSON.stringify({
      controlPlane: { url: controlPlane.url },
      token: controlPlane.token,
      hostname: '127.0.0.1',
      dataFolder,
      stateFolder: join(folder, 'state'),
      portRange: { first: 20_000, last: 29_999 },
      capacity: 5,
      allowsColocation: true,
      snapshotStore: { folder: backups.storeFolder },
    }),
  );
  const env = { ...process.env, MONGOD_BIN: programs.mongod, MONGOS_BIN: programs.mongos ?? '' };
  const agent = spawn(process.execPath, [PROGRAM, '--config', config], { env, stdio: ['ignore', 'ignore', 'inherit'] });
  agents.push(agent);
  return agent;
}

async function kill(agent: ChildProcess): Promise<void> {
  if (agent.exitCode !== null || agent.signalCode !== null) return;
  const exited = new Promise((resolve) => agent.once('exit', resolve));
  agent.kill('SIGKILL');
  await exited;
}

const notes = (kind: string) => readdir(join(backups.host.folder, 'state', kind)).catch((): string[] => []);

describe('F42 an agent that is killed while it holds the parts of a sharded cluster', { timeout: 240_000 }, () => {
  it('leaves open cursors and a stopped balancer, which the next one gives back', async (context) => {
    context.skip(backups.host.programs.mongos === null, 'set MONGOS_BIN to run this against a real server');
    const { config, shards, router, all: goals } = await backups.shardedGoals();
    const { controlPlane } = backups.host;
    const first = await startProgram();
    controlPlane.order(goals);
    await controlPlane.until(
      'the cluster to be writable',
      all(goals, (process) => process.writable),
    );
    const groupId = newObjectId();
    const parts = await Promise.all(
      [config, ...shards].map((member) => {
        const part = { groupId, ...(member === config && { routers: [`127.0.0.1:${router.port}`] }) };
        return backups.takeTask(member, { encryptionKeyId: null, methods: ['backupCursor'], part });
      }),
    );
    for (const part of parts) controlPlane.giveTask(part);
    await controlPlane.holding(parts.map(({ id }) => id)).catch((error: unknown) => {
      context.skip(
        controlPlane.taskResults.some(({ failure }) => failure?.code === 'NO_METHOD'),
        'this server has no $backupCursor',
      );
      throw error;
    });
    await kill(first);
    const admin = backups.host.client(`mongodb://127.0.0.1:${router.port}`).db('admin');
    const mode = async (): Promise<unknown> => (await admin.command({ balancerStatus: 1 }))['mode'];
    expect(await mode()).toBe('off');
    for (const member of [config, ...shards]) expect((await backups.holdsOf(member)).cursors).toBe(1);
    expect([await notes('holds'), await notes('balancers')]).toEqual([expect.any(Array), [`${config.id}.json`]]);

    controlPlane.reports.length = 0;
    await startProgram();
    await waitFor(async () => (await mode()) === 'full', { describe: 'the balancer to run again' });
    for (const member of [config, ...shards]) {
      await waitFor(async () => (await backups.holdsOf(member)).cursors === 0, { describe: 'the cursor to be closed' });
      expect(await backups.holdsOf(member)).toEqual(NOT_HELD);
    }
    await waitFor(async () => [...(await notes('holds')), ...(await notes('balancers'))].length === 0, {
      describe: 'the notes to be gone',
    });
    expect(await backups.stored('manifests/')).toEqual([]);
  });
});
