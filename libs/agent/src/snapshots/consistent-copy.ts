import type { BackupFailureCode, OplogTime, SnapshotMethod } from '@atrest/contracts';
import {
  extendBackupCursor,
  findBackupCursors,
  fsyncLock,
  fsyncUnlock,
  isFsyncLocked,
  keepBackupCursor,
  killBackupCursors,
  lastOplogEntry,
  openBackupCursor,
  readMemberFacts,
  type CommandFailure,
  type MemberFacts,
  type RunCommand,
} from '@atrest/mongod';
import type { Logger } from '@atrest/platform-logging';
import type { Clock } from '@atrest/platform-time';
import type { SourceFile } from '@atrest/snapshot-store';
import { BackupError } from './backup-error.js';
import { commentOf, giveBack, type Hold, type HoldNotes } from './holds.js';
import type { BackupMember } from './member.js';
import { whyNotStopped } from './source-check.js';
import { filesExtended, filesOfCursor, filesOfDataPath, sizesOf } from './source-files.js';

/** Files of a member that stay as they are, as long as it is held. */
export interface ConsistentCopy {
  readonly method: SnapshotMethod;
  readonly files: readonly SourceFile[];
  /** The copy holds every write up to here; null where nobody could be asked. */
  readonly optime: OplogTime | null;
  readonly checkpointTimestamp: OplogTime | null;
  readonly oplogEnd: OplogTime | null;
  /**
   * Only with a backup cursor: waits until the oplog reaches a later moment, and answers the files of which the copy reaches it, too.
   *
   * @throws BackupError NOT_CUT when it does not reach it
   */
  readonly extend?: (to: OplogTime) => Promise<readonly SourceFile[]>;
  /** @throws BackupError SOURCE_CHANGED when the files may have changed. */
  assertHeld(): Promise<void>;
  /** Gives back what was taken. Once it has, it does nothing; it may be called at any time, and never throws. */
  end(): Promise<void>;
}

export interface CopyContext {
  readonly taskId: string;
  readonly member: BackupMember;
  readonly run: RunCommand;
  readonly facts: MemberFacts;
  readonly notes: HoldNotes;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Why one method gave nothing. The next one is tried. */
export class MethodFailedError extends Error {
  readonly code: BackupFailureCode;

  constructor(code: BackupFailureCode, message: string) {
    super(message);
    this.name = 'MethodFailedError';
    this.code = code;
  }
}

/** 50886 and 50887: a cursor is open, or writes are locked; 50884: a lock is wanted while a cursor is open. Somebody else makes a backup. */
const TAKEN_CODES = new Set([50884, 50886, 50887]);
/** OutOfDiskSpace. */
const DISK_FULL_CODE = 14031;

function failed(what: string, { kind, code, message }: CommandFailure): MethodFailedError {
  const meaning: BackupFailureCode =
    kind === 'unauthorized' || kind === 'authentication-failed'
      ? 'SOURCE_ACCESS_DENIED'
      : code === DISK_FULL_CODE
        ? 'SOURCE_DISK_FULL'
        : code !== null && TAKEN_CODES.has(code)
          ? 'ALREADY_RUNNING'
          : kind === 'unreachable' || kind === 'shutting-down'
            ? 'SOURCE_CHANGED'
            : 'NO_METHOD';
  return new MethodFailedError(meaning, `${what}: ${message}`);
}

const changed = (why: string): BackupError =>
  new BackupError('SOURCE_CHANGED', `The member changed while it was copied: ${why}. The snapshot is given up; take it again.`);

/** Tries the methods in their order: what a server can do shows when it is asked, never from its version. @throws BackupError when none works. */
export async function beginCopy(methods: readonly SnapshotMethod[], context: CopyContext): Promise<ConsistentCopy> {
  const failures: MethodFailedError[] = [];
  for (const method of methods) {
    context.signal.throwIfAborted();
    try {
      return await BEGIN[method](context);
    } catch (error) {
      if (!(error instanceof MethodFailedError)) throw error;
      context.logger.info({ method, reason: error.message }, 'a method gives no consistent copy here; the next one is tried');
      failures.push(error);
    }
  }
  throw whyNone(failures);
}

/** The failure of all methods together: where all say the same that, else the most telling one. */
export function whyNone(failures: readonly MethodFailedError[]): BackupError {
  const detail = failures.map(({ message }) => message).join(' ');
  const codes = new Set(failures.map(({ code }) => code));
  const order: BackupFailureCode[] = ['ALREADY_RUNNING', 'SOURCE_DISK_FULL', 'SOURCE_CHANGED'];
  const [only] = codes.size === 1 ? [...codes] : [];
  return new BackupError(only ?? order.find((code) => codes.has(code)) ?? 'NO_METHOD', detail);
}

const BEGIN: Record<SnapshotMethod, (context: CopyContext) => Promise<ConsistentCopy>> = {
  backupCursor: byBackupCursor,
  fsyncLock: byFsyncLock,
  stoppedMember: byStoppedMember,
};

const noteOf = ({ member, taskId, clock }: CopyContext, kind: Hold['kind'], stage: Hold['stage']): Hold => ({
  processId: member.goal.id,
  taskId,
  kind,
  stage,
  since: clock.now().toISOString(),
});

/** Gives back what is held. What cannot be given back now stays noted, and the watch does it. */
async function release(
  { notes, member, logger }: CopyContext,
  kind: Hold['kind'],
  give: () => Promise<{ readonly ok: boolean }>,
): Promise<void> {
  try {
    if ((await give()).ok) return await notes.remove(member.goal.id);
    logger.warn({ kind }, 'a lock or a cursor could not be given back yet; it is tried again');
  } catch (error) {
    logger.error({ err: error, kind }, 'a lock or a cursor could not be given back yet; it is tried again');
  }
}

/** Whoever calls it again waits for the first call. */
function once(action: () => Promise<void>): () => Promise<void> {
  let begun: Promise<void> | null = null;
  return () => (begun ??= action());
}

async function byBackupCursor(context: CopyContext): Promise<ConsistentCopy> {
  const { run, notes, member, taskId } = context;
  const asked = noteOf(context, 'backupCursor', 'asked');
  await notes.write(asked);
  const opened = await openBackupCursor(run, commentOf(taskId));
  if (!opened.ok) {
    // Told apart by its comment, so that looking once more does no harm: it may be open although its list could not be read.
    const back = await giveBack(run, asked);
    if (back.ok && opened.failure.kind !== 'unreachable') await notes.remove(member.goal.id);
    throw failed('$backupCursor', opened.failure);
  }
  const cursor = opened.value;
  const end = once(() => release(context, 'backupCursor', () => killBackupCursors(run, [cursor.id])));
  try {
    await notes.write({ ...asked, stage: 'held', cursorId: cursor.id.toString() });
    const files = await filesOfCursor(cursor, member.goal.dbPath!);
    const { oplogEnd, checkpointTimestamp } = cursor;
    const assertHeld = async (): Promise<void> => {
      const kept = await keepBackupCursor(run, cursor);
      if (!kept.ok) throw changed(`its backup cursor is gone (${kept.failure.message})`);
    };
    const extend = async (to: OplogTime): Promise<readonly SourceFile[]> => {
      const extended = await extendBackupCursor(run, cursor, to);
      if (!extended.ok) throw new BackupError('NOT_CUT', `The backup cursor could not be extended: ${extended.failure.message}`);
      return filesExtended(files, await sizesOf(extended.value), cursor.dbPath, member.goal.dbPath!);
    };
    return { method: 'backupCursor', files, optime: oplogEnd, oplogEnd, checkpointTimestamp, extend, assertHeld, end };
  } catch (error) {
    await end();
    throw error;
  }
}

async function byFsyncLock(context: CopyContext): Promise<ConsistentCopy> {
  const { run, member } = context;
  const { optime, end } = await lock(context);
  try {
    const files = await filesOfDataPath(member.goal.dbPath!);
    const assertHeld = async (): Promise<void> => {
      const locked = await isFsyncLocked(run);
      if (!locked.ok) throw changed(`it does not say whether its writes are still locked (${locked.failure.message})`);
      if (!locked.value) throw changed('somebody unlocked its writes');
    };
    return { method: 'fsyncLock', files, optime, oplogEnd: optime, checkpointTimestamp: null, assertHeld, end };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Locks writes, and says what the last one was. */
async function lock(context: CopyContext): Promise<{ readonly optime: OplogTime | null; readonly end: () => Promise<void> }> {
  const { run, notes, member, facts, taskId } = context;
  const before = await isFsyncLocked(run);
  if (!before.ok) throw failed('fsyncLock', before.failure);
  // A lock that is found later would be taken for ours and given back.
  if (before.value) throw new MethodFailedError('ALREADY_RUNNING', 'fsyncLock: somebody else has locked the writes of the member.');
  const asked = noteOf(context, 'fsyncLock', 'asked');
  await notes.write(asked);
  const locked = await fsyncLock(run, commentOf(taskId));
  if (!locked.ok) {
    if (locked.failure.kind !== 'unreachable') await notes.remove(member.goal.id);
    throw failed('fsyncLock', locked.failure);
  }
  if (locked.value > 1) {
    // Taken in between. Ours goes; whose the other one is, the report of what is held leaves open.
    await release(context, 'fsyncLock', () => fsyncUnlock(run));
    throw new MethodFailedError('ALREADY_RUNNING', 'fsyncLock: somebody else locked the writes of the member at the same time.');
  }
  const end = once(() => release(context, 'fsyncLock', () => fsyncUnlock(run)));
  try {
    await notes.write({ ...asked, stage: 'held' });
    if (facts.setName === null) return { optime: null, end };
    const entry = await lastOplogEntry(run);
    if (entry.ok) return { optime: entry.value, end };
    // Without the right to read the oplog: what the member says of itself is the same while nothing is written.
    const now = await readMemberFacts(run);
    return { optime: now.ok ? now.value.applied : null, end };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Locks first: so it is known up to where the files of the stopped member go. A locked server stops as any other. */
async function byStoppedMember(context: CopyContext): Promise<ConsistentCopy> {
  const { member, facts, notes, signal } = context;
  const refusal = whyNotStopped(facts, member.goal.replicaSet);
  if (refusal !== null) throw new MethodFailedError('NO_METHOD', `The member is not stopped to be copied: ${refusal}.`);
  const locked = await lock(context).catch((error: unknown) => {
    if (!(error instanceof MethodFailedError)) throw error;
    context.logger.info({ reason: error.message }, 'the end of the oplog is not known before the member is stopped');
    return null;
  });
  const end = once(async () => member.resume());
  try {
    await member.suspend('It is stopped to be copied, and started again afterwards.', signal);
    // The lock ended with the process.
    await notes.remove(member.goal.id);
    const files = await filesOfDataPath(member.goal.dbPath!);
    const assertHeld = async (): Promise<void> => {
      if (member.process !== null) throw changed('somebody started it');
    };
    const optime = locked?.optime ?? null;
    return { method: 'stoppedMember', files, optime, oplogEnd: optime, checkpointTimestamp: null, assertHeld, end };
  } catch (error) {
    await end();
    await locked?.end();
    throw error;
  }
}

/** Whether a backup cursor is open or writes are locked; null when the agent may not ask. */
export async function seeHold(
  run: RunCommand,
): Promise<{ kind: Hold['kind']; since: Date | null; comment: string | null } | 'none' | null> {
  const cursors = await findBackupCursors(run);
  if (!cursors.ok) return null;
  const [cursor] = cursors.value;
  if (cursor !== undefined) return { kind: 'backupCursor', since: cursor.openedAt, comment: cursor.comment };
  const locked = await isFsyncLocked(run);
  if (!locked.ok) return null;
  return locked.value ? { kind: 'fsyncLock', since: null, comment: null } : 'none';
}
