// Vitest's global setup: names the run, so that its test files share one PostgreSQL server (started by the first that asks), and stops
// that server after the last. Imports nothing of ours: most runs need no server.
import { readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TEST_POSTGRES_FOLDER, testPostgresFolder } from './run.js';

export default async function setup(): Promise<() => Promise<void>> {
  await removeRunsThatWereKilled();
  const folder = testPostgresFolder(process.pid);
  process.env[TEST_POSTGRES_FOLDER] = folder;
  return () => remove(folder);
}

async function removeRunsThatWereKilled(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = /^atrest-test-postgres-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) await remove(join(tmpdir(), name));
  }
}

async function remove(folder: string): Promise<void> {
  const pidFile = await readFile(join(folder, 'cluster', 'data', 'postmaster.pid'), 'utf8').catch(() => '');
  const pid = Number(pidFile.split('\n')[0]);
  if (Number.isInteger(pid) && pid > 0 && isAlive(pid)) {
    // Immediate shutdown: nobody wants this data any more.
    process.kill(pid, 'SIGQUIT');
    for (let waits = 0; waits < 500 && isAlive(pid); waits += 1) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await rm(folder, { recursive: true, force: true });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
