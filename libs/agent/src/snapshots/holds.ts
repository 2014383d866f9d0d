import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ObjectIdSchema } from '@atrest/contracts';
import {
  findBackupCursors,
  fsyncUnlock,
  isFsyncLocked,
  killBackupCursors,
  type CommandOutcome,
  type OpenBackupCursor,
  type RunCommand,
} from '@atrest/mongod';
import { z } from 'zod';
import { readIfExists, writeDurably } from '../durable-file.js';

const HoldSchema = z.object({
  processId: ObjectIdSchema,
  taskId: ObjectIdSchema,
  kind: z.enum(['backupCursor', 'fsyncLock']),
  /** `asked`: the server was asked for it, and has not answered. */
  stage: z.enum(['asked', 'held']),
  since: z.iso.datetime(),
  /** Of a cursor that is held: it is ended by its number where the agent may not ask which cursors there are. */
  cursorId: z
    .string()
    .regex(/^-?\d+$/)
    .optional(),
});
/** A lock or a cursor that this agent takes on a process. Both outlive the connection and the agent. */
export type Hold = z.infer<typeof HoldSchema>;

/** What the agent holds, on disk before it is taken: the next life of the agent gives it back. One for each process. */
export class HoldNotes {
  readonly #folder: string;

  constructor(stateFolder: string) {
    this.#folder = join(stateFolder, 'holds');
  }

  async write(hold: Hold): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await writeDurably(this.#pathOf(hold.processId), JSON.stringify(hold));
  }

  async all(): Promise<Hold[]> {
    const names = await readdir(this.#folder).catch(() => []);
    const notes = await Promise.all(names.filter((name) => name.endsWith('.json')).map((name) => readIfExists(join(this.#folder, name))));
    return notes.flatMap((text) => {
      const parsed = text === null ? null : HoldSchema.safeParse(jsonOf(text));
      return parsed?.success ? [parsed.data] : [];
    });
  }

  async remove(processId: string): Promise<void> {
    await rm(this.#pathOf(processId), { force: true });
  }

  #pathOf(processId: string): string {
    return join(this.#folder, `${processId}.json`);
  }
}

const MARK = 'atrest ';
/** What tells later whose a cursor is. */
export const commentOf = (taskId: string): string => `${MARK}${taskId}`;

/** The task that a cursor was opened for by an agent; null when it is somebody else's. */
export function taskOf(cursor: Pick<OpenBackupCursor, 'comment'>): string | null {
  const id = cursor.comment?.startsWith(MARK) ? cursor.comment.slice(MARK.length) : null;
  return ObjectIdSchema.safeParse(id).success ? id : null;
}

/** Gives back what a task holds, if it still does. `held`: there was something to give back. */
export async function giveBack(
  run: RunCommand,
  hold: Pick<Hold, 'kind' | 'taskId' | 'cursorId'>,
): Promise<CommandOutcome<'held' | 'not-held'>> {
  if (hold.kind === 'backupCursor') {
    const cursors = await findBackupCursors(run);
    if (!cursors.ok && cursors.failure.kind === 'unauthorized' && hold.cursorId !== undefined) {
      const ended = await killBackupCursors(run, [hold.cursorId]);
      return ended.ok ? { ok: true, value: 'held' } : ended;
    }
    if (!cursors.ok) return cursors;
    const ours = cursors.value.filter((cursor) => taskOf(cursor) === hold.taskId);
    const killed = await killBackupCursors(
      run,
      ours.map(({ id }) => id),
    );
    return killed.ok ? { ok: true, value: ours.length > 0 ? 'held' : 'not-held' } : killed;
  }
  const locked = await isFsyncLocked(run);
  if (!locked.ok) return locked;
  if (!locked.value) return { ok: true, value: 'not-held' };
  // Once: the lock is counted, and the other counts are somebody else's.
  const unlocked = await fsyncUnlock(run);
  return unlocked.ok ? { ok: true, value: 'held' } : unlocked;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
