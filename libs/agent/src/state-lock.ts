import { randomBytes } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processTable, type ProcessIdentity } from '@atrest/mongod';
import { z } from 'zod';
import { readIfExists } from './durable-file.js';

/** Thrown when another agent works with the state folder. The message names its pid. */
export class StateFolderInUseError extends Error {
  readonly code = 'AGENT.STATE_FOLDER_IN_USE';

  constructor(folder: string, pid: number) {
    super(
      `Another agent (process ${pid}) works with the state folder ${folder}. Two agents of one host would start and stop against each other.`,
    );
    this.name = 'StateFolderInUseError';
  }
}

/** Several that found a lock of a dead process may take ours away for it. After this the slowest of them has, and who still has the lock keeps it. */
const SETTLING_MS = 200;

const HolderSchema = z.object({ pid: z.number(), startTime: z.string() });

/**
 * Takes the state folder for this process and answers how to give it back. What a killed agent left behind is taken over: the holder is known by pid and
 * start time, so that a later process with its pid is not mistaken for it.
 *
 * @throws StateFolderInUseError
 */
export async function lockStateFolder(folder: string): Promise<() => Promise<void>> {
  const table = processTable();
  const path = join(folder, 'agent.lock');
  const own: ProcessIdentity = { pid: process.pid, startTime: (await table.startTimeOf(process.pid)) ?? 'unknown' };
  const nonce = randomBytes(8).toString('hex');
  const text = JSON.stringify({ ...own, nonce });
  // Written aside and linked, so that whoever finds the lock finds it complete.
  const mine = `${path}.${nonce}`;
  await writeFile(mine, text, { mode: 0o600 });
  try {
    for (;;) {
      if (await linked(mine, path)) {
        await sleep(SETTLING_MS);
        if ((await readIfExists(path)) === text) return () => rm(path, { force: true });
      }
      const found = await readIfExists(path);
      if (found === null) continue; // given back just now
      const holder = holderIn(found);
      if (holder && (await table.startTimeOf(holder.pid)) === holder.startTime) throw new StateFolderInUseError(folder, holder.pid);
      await takeAway(path, found);
    }
  } finally {
    await rm(mine, { force: true });
  }
}

/** Moves a lock that nobody holds out of the way. Of two that try at the same time, the later one puts back what the earlier one has made meanwhile. */
async function takeAway(path: string, stale: string): Promise<void> {
  const aside = `${path}.${randomBytes(4).toString('hex')}`;
  try {
    await rename(path, aside);
    if ((await readFile(aside, 'utf8')) !== stale) await linked(aside, path);
    await rm(aside, { force: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

async function linked(from: string, to: string): Promise<boolean> {
  return link(from, to).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return false;
      throw error;
    },
  );
}

/** Null for what a full disk or another release has left. */
function holderIn(text: string): ProcessIdentity | null {
  try {
    return HolderSchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}
