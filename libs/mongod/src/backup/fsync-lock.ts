import type { CommandOutcome } from '../command-outcome.js';
import { mapOutcome, type RunCommand } from './run-command.js';

const ADMIN = 'admin';
/** The lock waits for what is being written and for a checkpoint. */
const LOCK_LIMIT_MS = 300_000;
const LIMIT_MS = 30_000;

/** Locks writes once more; answers how often they are locked now. The lock belongs to nobody and outlives the connection that took it. */
export async function fsyncLock(run: RunCommand, comment: string): Promise<CommandOutcome<number>> {
  return mapOutcome(await run(ADMIN, { fsync: 1, lock: true, comment }, LOCK_LIMIT_MS), (reply) => Number(reply['lockCount'] ?? 1));
}

/** Gives one lock back; answers how many are left. One that nobody holds is given back already: 0. */
export async function fsyncUnlock(run: RunCommand): Promise<CommandOutcome<number>> {
  const outcome = await run(ADMIN, { fsyncUnlock: 1 }, LIMIT_MS);
  // The server has no code for it.
  if (!outcome.ok && /called when not locked/.test(outcome.failure.message)) return { ok: true, value: 0 };
  return mapOutcome(outcome, (reply) => Number(reply['lockCount'] ?? 0));
}

/** Whether writes are locked, by anybody. */
export async function isFsyncLocked(run: RunCommand): Promise<CommandOutcome<boolean>> {
  return mapOutcome(await run(ADMIN, { currentOp: 1, $ownOps: true }, LIMIT_MS), (reply) => reply['fsyncLock'] === true);
}
