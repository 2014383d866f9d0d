import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from '@atrest/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isRunning, processesIn, signal } from './test-support/machine.contract.js';
import { TestProgram } from './test-support/program.contract.js';
import { pidsOf, type TestProject } from './test-support/project.contract.js';

const LIMIT_MS = 300_000;
let program: TestProgram;
let project: TestProject;
/** What the cluster `orders` has acknowledged: all of it must be there ever after, whichever of the tests ran before (`npm run faults` runs some). */
const acknowledged: number[] = [];

async function write(): Promise<void> {
  const n = acknowledged.length + 1;
  await project.write('orders', n);
  acknowledged.push(n);
}

beforeAll(async () => {
  program = await TestProgram.start({ ATREST_ON_EXIT: 'leave' });
  project = await program.project('Restarted');
  await project.createPlaced('orders', 3);
  await project.createPlaced('carts', 1);
  for (const name of ['orders', 'carts']) await project.untilClusterIs(name, 'IDLE');
  await write();
}, LIMIT_MS);

afterAll(() => program.close(), LIMIT_MS);

/** Pids of all processes, once all are seen to run: an agent that has just started has not looked at them yet. */
async function running(): Promise<number[]> {
  const clusters = await Promise.all(
    ['orders', 'carts'].map((name) =>
      project.untilCluster(
        name,
        'IDLE with every process running',
        ({ state, processes }) => state === 'IDLE' && processes.every(({ pid, status }) => pid !== null && status === 'running'),
      ),
    ),
  );
  return clusters.flatMap(pidsOf);
}

const postgresPid = async (): Promise<number> =>
  Number((await readFile(join(program.dataFolder, 'postgres', 'cluster', 'data', 'postmaster.pid'), 'utf8')).split('\n')[0]);

/** Until the agent of the program's present life has taken them over, and nothing was started instead. */
async function expectAdopted(pids: readonly number[]): Promise<void> {
  const adopted = () => [...program.output.matchAll(/"pid":(\d+).*"msg":"running process adopted"/g)].map((match) => Number(match[1]));
  await waitFor(() => pids.every((pid) => adopted().includes(pid)), {
    describe: () => `the processes ${pids.join(', ')} to be adopted, not only ${adopted().join(', ')}`,
  });
  expect(await running()).toEqual(pids);
  expect(program.output).not.toContain('"msg":"process started"');
}

describe('the standalone app, ended and started again on its data folder', { timeout: LIMIT_MS }, () => {
  it('after SIGTERM: mongods ran on and are adopted, configuration, credentials and tokens hold', async () => {
    const pids = await running();
    expect(pids).toHaveLength(4);
    expect(await program.end('SIGTERM')).toBe(0);
    expect(program.output).toContain('keep running');
    expect(new Set(await processesIn(program.folder))).toEqual(new Set(pids));

    await program.startAgain();
    expect(program.output).not.toContain('client secret');
    await expectAdopted(pids);
    await write();
    expect(await project.written('orders')).toEqual(acknowledged);
    expect(await project.checkKey()).toMatchObject({ verdict: 'usable' });
  });

  it('after SIGKILL: PostgreSQL and the mongods ran on, and both are adopted', async () => {
    const pids = await running();
    const database = await postgresPid();
    expect(await program.end('SIGKILL')).toBe('SIGKILL');
    expect(await isRunning(database)).toBe(true);

    await program.startAgain();
    expect(await postgresPid()).toBe(database);
    await expectAdopted(pids);
    await write();
    expect(await project.written('orders')).toEqual(acknowledged);
    expect(await project.mails()).toEqual([]);
  });

  it('F32 killed between the decision and the last stop: the next one carries it out, and there is one mail in all', async () => {
    const [frozen, ...others] = (await running()) as [number, ...number[]];
    signal(frozen, 'SIGSTOP');
    await project.key('disable');
    await project.untilKeyIs('INVALID');
    await program.end('SIGKILL');
    expect(await isRunning(frozen)).toBe(true);

    await program.startAgain();
    await project.untilClusterIs('carts', 'DISABLED');
    await project.untilCluster('orders', 'DISABLING with one process left', ({ state, processes }) => {
      const stopped = processes.filter(({ status }) => status === 'stopped');
      return state === 'DISABLING' && stopped.length === processes.length - 1;
    });
    signal(frozen, 'SIGCONT');
    const disabled = await project.untilClusterIs('orders', 'DISABLED');
    expect(disabled.selfManaged.disabledReason?.detail).toContain('KEY_DISABLED');
    for (const pid of [frozen, ...others]) expect(await isRunning(pid)).toBe(false);
    const first = await project.untilMail(/not usable: 2 clusters being stopped/);

    await project.key('enable');
    await write();
    expect(await running()).toHaveLength(4);
    expect(await project.written('orders')).toEqual(acknowledged);
    const second = await project.untilMail(/usable again/);
    // The mailbox keeps its mails over restarts: one from either life would show. By their ids, because a mail that was accepted at the very moment
    // of the kill comes again under the same id, which mail programs show once.
    expect(new Set((await project.mails()).map(({ messageId }) => messageId))).toEqual(new Set([first.messageId, second.messageId]));
  });
});
