import type { Timestamp } from 'bson';
import type { Doc } from '../bson-values.js';
import { matches } from '../storage/matcher.js';
import type { Oplog } from '../storage/oplog.js';
import { CommandError } from './command-error.js';
import type { CursorSource } from './cursors.js';

const MAX_BATCH = 1000;

/** A tailable cursor on the oplog: waits at its end for what is appended. */
export class OplogSource implements CursorSource {
  readonly exhausted = false;
  #position: number;

  constructor(
    readonly oplog: Oplog,
    from: Timestamp,
    readonly filter: Doc,
  ) {
    this.#position = oplog.positionFrom(from);
  }

  async take(limit: number, awaitMs: number): Promise<Doc[]> {
    let batch = this.#read(limit);
    if (batch.length === 0 && awaitMs > 0) {
      await this.oplog.changed(awaitMs);
      batch = this.#read(limit);
    }
    return batch;
  }

  #read(limit: number): Doc[] {
    const entries = this.oplog.read(this.#position, Math.min(limit, MAX_BATCH));
    if (entries === undefined) throw new CommandError(136, 'CollectionScan died due to position in capped collection being deleted');
    this.#position += entries.length;
    return entries.filter((entry) => matches(entry, this.filter));
  }
}
