import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What `postmaster.pid` says. Lines: process id, data folder, start time, port, socket folder, address, shared memory key, status. */
export interface PidFile {
  readonly pid: number;
  /** Missing while the server has not got that far. */
  readonly port: number | undefined;
}

/** Above the highest process id of Linux (2^22) and macOS (99,998): nobody has it. */
const NOBODY_S_PID = 2_000_000_000;

export async function readPidFile(data: string): Promise<PidFile | undefined> {
  const text = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '');
  return parsePidFile(text);
}

export function parsePidFile(text: string): PidFile | undefined {
  const lines = text.split('\n');
  const pid = Number(lines[0]?.trim());
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  const port = Number(lines[3]?.trim());
  return { pid, port: Number.isInteger(port) && port > 0 ? port : undefined };
}

/** Whether a process with this id exists and has not ended (a zombie that nobody collects has). */
export async function isAlive(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it exists and belongs to somebody else.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return !/^\d+ \(.*\) [ZX]/s.test(status);
}

/** Whether the process is a PostgreSQL server on this data, as far as its command line tells; `undefined` when that cannot be read. */
export async function isServerOf(pid: number, data: string): Promise<boolean | undefined> {
  const words = await commandLine(pid);
  return words === undefined ? undefined : words.includes('postgres') && words.includes(data);
}

async function commandLine(pid: number): Promise<string | undefined> {
  if (process.platform === 'linux') return readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined);
  return run('ps', ['-ww', '-o', 'args=', '-p', String(pid)]).then(
    (result) => result.stdout,
    () => undefined,
  );
}

/**
 * After a reboot, or in a new container, the process id in the file often belongs to something else, and PostgreSQL then refuses to start
 * for ever. The id is replaced by one that nobody has; the rest stays, so that PostgreSQL's own check of the shared memory key still
 * protects the data from a server that is alive after all.
 */
export async function disownPidFile(data: string): Promise<void> {
  const path = join(data, 'postmaster.pid');
  const text = await readFile(path, 'utf8');
  await writeFile(path, text.replace(/^\s*\d+/, String(NOBODY_S_PID)));
}
