import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BackupTask, ProcessGoal, SnapshotMethod } from '@atrest/contracts';
import { waitFor } from '@atrest/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { running, writable } from '../test-goals.contract.js';
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
  const { host } = backups;
  const config = join(host.folder, 'agent.yaml');
  const { url, token } = host.controlPlane;
  const file = {
    controlPlane: { url },
    token,
    hostname: '127.0.0.1',
    dataFolder: host.dataFolder,
    stateFolder: join(host.folder, 'state'),
    portRange: { first: 20_000, last: 29_999 },
    capacity: 3,
    allowsColocation: true,
    // So slow that there is time to be killed in.
    snapshotStore: { folder: backups.storeFolder, threads: 1, uploadLimit: 65_536 },
    kms: { awsEndpoint: backups.kms.url },
  };
  await writeFile(config, JSON.stringify(file));
  const env = { ...process.env, MONGOD_BIN: host.programs.mongod, MONGOS_BIN: host.programs.mongos ?? '' };
  // What an earlier life said is no evidence of what this one does.
  host.controlPlane.reports.length = 0;
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

const names = (task: BackupTask, phase?: string) => (): boolean =>
  (backups.host.controlPlane.reports.at(-1)?.tasks ?? []).some(
    ({ taskId, progress }) => taskId === task.id && (phase === undefined || progress.phase === phase),
  );

/** What the control plane does when a task is not named any more. */
async function finish(task: BackupTask): Promise<void> {
  const { outcome, failure } = await backups.result(task);
  expect(failure).toBeUndefined();
  expect(outcome).toBe('done');
}

async function free(member: ProcessGoal): Promise<void> {
  await backups.host.controlPlane.until('all to run', running(backups.goals));
  await waitFor(async () => JSON.stringify(await backups.holdsOf(member)) === JSON.stringify(NOT_HELD), {
    describe: 'the member to be free',
  });
}

describe('the agent program', { timeout: 240_000 }, () => {
  it('F42 killed at each step of a snapshot: the next life gives back what was held, starts what was stopped, and takes it', async () => {
    const { controlPlane } = backups.host;
    let agent = await startProgram();
    await waitFor(() => controlPlane.sealingKey !== null, { describe: 'the host to be enrolled' });
    await backups.orderSet(3);
    await controlPlane.until('the set to be writable', writable(backups.goals));
    const orders = backups.host.client(backups.url).db('shop').collection('orders');
    await orders.insertMany(Array.from({ length: 200 }, (_, n) => ({ n, text: randomBytes(1_000).toString('hex') })));

    // Before anything was taken.
    let member = await backups.secondary();
    let task: BackupTask = await backups.takeTask(member);
    controlPlane.giveTask(task);
    await waitFor(names(task), { describe: 'the task to be taken up' });
    await kill(agent);
    agent = await startProgram();
    await free(member);

    for (const method of ['backupCursor', 'fsyncLock', 'stoppedMember'] satisfies SnapshotMethod[]) {
      member = await backups.secondary();
      task = await backups.takeTask(member, { methods: [method] });
      controlPlane.giveTask(task);
      if (method === 'stoppedMember') {
        await controlPlane.until('it to be stopped', (processes) => processes.get(member.id)?.status === 'stopped');
      }
      await waitFor(names(task, 'copying'), { describe: `a copy by ${method}` });
      await kill(agent);
      const left = { backupCursor: { cursors: 1, locked: false }, fsyncLock: { cursors: 0, locked: true }, stoppedMember: null }[method];
      if (left !== null) expect(await backups.holdsOf(member)).toEqual(left);
      agent = await startProgram();
      await free(member);
      expect(await backups.stored('manifests/')).toEqual([]);
    }

    // After the manifest was written, and before anybody was told.
    member = await backups.secondary();
    task = await backups.takeTask(member);
    controlPlane.giveTask(task);
    await waitFor(names(task, 'copying'), { describe: 'a copy' });
    await controlPlane.goDown();
    await waitFor(async () => (await backups.stored('manifests/')).length === 1, { describe: 'the manifest', limitMs: 90_000 });
    await kill(agent);
    await controlPlane.listen();
    agent = await startProgram();
    await free(member);
    await finish(task);
    expect(await backups.stored('manifests/')).toEqual([
      `epochs/${backups.epochId}/manifests/${(task as { snapshotId: string }).snapshotId}`,
    ]);
  });
});
