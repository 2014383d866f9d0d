import type { OplogTime } from '@atrest/contracts';
import { Long, Timestamp, UUID } from 'mongodb';
import type { CommandFailure, CommandOutcome } from '../command-outcome.js';
import { timeOfOptime, timeOfTimestamp } from './oplog-time.js';
import { mapOutcome, type RunCommand } from './run-command.js';

/** A file that belongs to the copy. */
export interface BackupFile {
  /** Absolute. */
  readonly path: string;
  /** Exactly so many bytes of its beginning are copied; files grow meanwhile. */
  readonly size: number;
}

/** A backup cursor: as long as it is open, the files it lists stay as they are. It outlives the connection that opened it. */
export interface BackupCursor {
  readonly id: Long;
  readonly backupId: UUID | null;
  /** The data path, in the server's words. */
  readonly dbPath: string;
  readonly oplogStart: OplogTime | null;
  /** The copy's oplog reaches so far. */
  readonly oplogEnd: OplogTime | null;
  /** The copy's data files are as they were then; its oplog has the rest. */
  readonly checkpointTimestamp: OplogTime | null;
  readonly files: readonly BackupFile[];
}

/** A cursor that was left open, by whomever. */
export interface OpenBackupCursor {
  readonly id: Long;
  readonly openedAt: Date | null;
  /** What whoever opened it said. */
  readonly comment: string | null;
}

const ADMIN = 'admin';
const COLLECTION = '$cmd.aggregate';
/** It waits for a checkpoint, which takes a minute or two on a big, busy server. */
const OPEN_LIMIT_MS = 300_000;
/** An empty batch comes at once; a server under load takes its time. */
const READ_LIMIT_MS = 30_000;
/** 2,000 collections are four batches; a server that goes on for ever is broken. */
const MAX_BATCHES = 10_000;

/** The cursor was opened, but not what a backup cursor is: it is open all the same. */
const notUnderstood = (message: string): CommandFailure => ({ kind: 'other', code: null, message });

/** Opens a cursor and reads its list to the end. @param comment tells later whose it is. When this fails after the opening, the cursor may be left open. */
export async function openBackupCursor(run: RunCommand, comment: string): Promise<CommandOutcome<BackupCursor>> {
  const opened = await run(ADMIN, { aggregate: 1, pipeline: [{ $backupCursor: {} }], cursor: {}, comment }, OPEN_LIMIT_MS);
  if (!opened.ok) return opened;
  const { id, firstBatch } = opened.value['cursor'] as { id: Long; firstBatch: Record<string, unknown>[] };
  const [first, ...documents] = firstBatch;
  for (let batches = 0; ; batches += 1) {
    const more = await readOn(run, id);
    if (!more.ok) return more;
    if (more.value.length === 0) break;
    if (batches === MAX_BATCHES) return { ok: false, failure: notUnderstood('The list of the backup cursor has no end.') };
    documents.push(...more.value);
  }
  const metadata = first?.['metadata'] as Record<string, unknown> | undefined;
  if (metadata === undefined) return { ok: false, failure: notUnderstood('The backup cursor does not begin with its metadata.') };
  const backupId = metadata['backupId'];
  return {
    ok: true,
    value: {
      id,
      backupId: backupId instanceof UUID ? backupId : null,
      dbPath: String(metadata['dbpath']),
      oplogStart: timeOfOptime(metadata['oplogStart']),
      oplogEnd: timeOfOptime(metadata['oplogEnd']),
      checkpointTimestamp: timeOfTimestamp(metadata['checkpointTimestamp']),
      files: documents.map(({ filename, fileSize }) => ({ path: String(filename), size: Number(fileSize) })),
    },
  };
}

/** Keeps a cursor from being closed for want of use (10 minutes), and tells whether it is still open: `other` with code 43 when it is not. */
export async function keepBackupCursor(run: RunCommand, cursor: Pick<BackupCursor, 'id'>): Promise<CommandOutcome<void>> {
  return mapOutcome(await readOn(run, cursor.id), () => undefined);
}

async function readOn(run: RunCommand, id: Long): Promise<CommandOutcome<Record<string, unknown>[]>> {
  const reply = await run(ADMIN, { getMore: id, collection: COLLECTION }, READ_LIMIT_MS);
  return mapOutcome(reply, (value) => (value['cursor'] as { nextBatch: Record<string, unknown>[] }).nextBatch);
}

/** Journal files that the copy needs to reach a later moment; also such as were listed before. A sharded cluster is cut at one moment so. */
export async function extendBackupCursor(run: RunCommand, cursor: BackupCursor, to: OplogTime): Promise<CommandOutcome<string[]>> {
  const timestamp = new Timestamp({ t: to.seconds, i: to.increment });
  const stage = { $backupCursorExtend: { backupId: cursor.backupId, timestamp } };
  const reply = await run(ADMIN, { aggregate: 1, pipeline: [stage], cursor: {} }, OPEN_LIMIT_MS);
  return mapOutcome(reply, (value) =>
    (value['cursor'] as { firstBatch: { filename: unknown }[] }).firstBatch.map(({ filename }) => String(filename)),
  );
}

/** Backup cursors that are open, whoever opened them and however long ago that connection ended. */
export async function findBackupCursors(run: RunCommand): Promise<CommandOutcome<OpenBackupCursor[]>> {
  // Of thousands of cursors that applications leave idle, none is of this namespace.
  const pipeline = [
    { $currentOp: { idleCursors: true, allUsers: true } },
    { $match: { type: 'idleCursor', ns: `${ADMIN}.${COLLECTION}` } },
  ];
  const reply = await run(ADMIN, { aggregate: 1, pipeline, cursor: { batchSize: 10_000 } }, READ_LIMIT_MS);
  return mapOutcome(reply, (value) => {
    const { firstBatch } = value['cursor'] as { firstBatch: { cursor?: IdleCursor }[] };
    return firstBatch.flatMap(({ cursor }): OpenBackupCursor[] => {
      const command = cursor?.originatingCommand;
      const stage = command?.pipeline?.[0];
      if (cursor === undefined || stage === undefined || !('$backupCursor' in stage)) return [];
      const { cursorId: id, createdDate } = cursor;
      const comment = typeof command?.comment === 'string' ? command.comment : null;
      return [{ id, openedAt: createdDate instanceof Date ? createdDate : null, comment }];
    });
  });
}

interface IdleCursor {
  readonly cursorId: Long;
  readonly createdDate?: unknown;
  readonly originatingCommand?: { readonly pipeline?: readonly object[]; readonly comment?: unknown };
}

/** Ends cursors from whatever connection. One that is gone already counts as ended. */
export async function killBackupCursors(run: RunCommand, ids: readonly (Long | string)[]): Promise<CommandOutcome<void>> {
  if (ids.length === 0) return { ok: true, value: undefined };
  const cursors = ids.map((id) => (typeof id === 'string' ? Long.fromString(id) : id));
  return mapOutcome(await run(ADMIN, { killCursors: COLLECTION, cursors }, READ_LIMIT_MS), () => undefined);
}
