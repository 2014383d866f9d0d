import type { OplogTime, TakeSnapshotTask } from '@atrest/contracts';
import type { SourceFile } from '@atrest/snapshot-store';
import { stopChunks, type StillCluster } from './balancer.js';
import { BackupError } from './backup-error.js';
import type { ConsistentCopy } from './consistent-copy.js';
import type { BackupMember } from './member.js';
import type { ProgressMeter } from './progress.js';
import type { BackupHost } from './task-context.js';

/** Told where the parts of a snapshot of a sharded cluster are cut. */
export class Cut {
  readonly #told = Promise.withResolvers<OplogTime>();

  /** The first word counts. */
  tell(at: OplogTime): void {
    this.#told.resolve(at);
  }

  /** @throws BackupError NOT_CUT when nobody says it in time; whatever the signal has, when it is over */
  async wait(limitMs: number, signal: AbortSignal): Promise<OplogTime> {
    const over = Promise.withResolvers<never>();
    // Nobody listens when the cut is told first.
    over.promise.catch(() => undefined);
    const onAbort = (): void => over.reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    const timer = setTimeout(() => {
      const minutes = Math.round(limitMs / 60_000);
      over.reject(new BackupError('NOT_CUT', `Not all parts of the snapshot were ready to be cut within ${minutes} minutes.`));
    }, limitMs);
    try {
      return await Promise.race([this.#told.promise, over.promise]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    }
  }
}

const isBefore = (a: OplogTime, b: OplogTime): boolean => a.seconds < b.seconds || (a.seconds === b.seconds && a.increment < b.increment);

/** Longer, and writes would fill the disks of the parts that hold for one that does not come. */
export const HOLD_LIMIT_MS = 10 * 60_000;

/** A part that is held, until all are cut at one moment. */
export interface HeldPart {
  readonly cut: OplogTime;
  /** The copy reaches the cut, and beyond. */
  readonly files: readonly SourceFile[];
}

/** Holds an open cursor until it is said where all parts are cut, and extends it to there. @throws BackupError NOT_CUT */
export async function cutPart(
  source: ConsistentCopy,
  o: {
    readonly told: Cut;
    readonly meter: ProgressMeter;
    readonly onHold: () => void;
    readonly limitMs: number;
    readonly signal: AbortSignal;
  },
): Promise<HeldPart> {
  if (source.extend === undefined || source.oplogEnd === null) {
    throw new BackupError('NO_METHOD', 'A part of a sharded cluster needs a backup cursor that says how far its oplog reaches.');
  }
  o.meter.hold(source.oplogEnd);
  o.onHold();
  const cut = await o.told.wait(o.limitMs, o.signal);
  // The agent was restarted after the others had been told: this copy has more than theirs.
  if (isBefore(cut, source.oplogEnd)) {
    throw new BackupError('NOT_CUT', 'The other parts were cut before this copy began: its agent, or its member, began anew meanwhile.');
  }
  return { cut, files: await source.extend(cut) };
}

/**
 * Where a task copies the config servers of a sharded cluster: its chunks stay where they are until it is cut. A migration that ends before this cursor is
 * opened is in every part, because no part is cut before it; so it does not matter when the others open theirs.
 */
export async function stillCluster(
  host: BackupHost,
  task: TakeSnapshotTask,
  member: BackupMember,
  signal: AbortSignal,
): Promise<StillCluster | null> {
  if (task.part?.routers === undefined) return null;
  const { balancers: notes, clock, logger } = host;
  return stopChunks({ taskId: task.id, member, routers: task.part.routers, notes, clock, logger, signal });
}
