import { Timestamp } from 'bson';
import { type Doc, encodeDocument } from '../bson-values.js';

/** The oplog in memory: entries in the order of their time, oldest dropped beyond a size. */
export class Oplog {
  readonly #maxBytes: number;
  #entries: Doc[] = [];
  #sizes: number[] = [];
  #bytes = 0;
  /** Number of entries dropped at the old end: keeps positions of readers valid. */
  #dropped = 0;
  #waiting = new Set<() => void>();

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get length(): number {
    return this.#entries.length;
  }

  get first(): Doc | undefined {
    return this.#entries[0];
  }

  get last(): Doc | undefined {
    return this.#entries.at(-1);
  }

  entries(): Doc[] {
    return [...this.#entries];
  }

  append(entry: Doc): void {
    const size = encodeDocument(entry).length;
    this.#entries.push(entry);
    this.#sizes.push(size);
    this.#bytes += size;
    let surplus = 0;
    while (this.#bytes > this.#maxBytes && surplus < this.#entries.length - 1) {
      this.#bytes -= this.#sizes[surplus] as number;
      surplus += 1;
    }
    if (surplus > 0) {
      this.#entries.splice(0, surplus);
      this.#sizes.splice(0, surplus);
      this.#dropped += surplus;
    }
    this.wake();
  }

  /** Position of the first entry at or after `ts`. A position stays valid while entries are appended or dropped. */
  positionFrom(ts: Timestamp): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (((this.#entries[middle] as Doc)['ts'] as Timestamp).lessThan(ts)) low = middle + 1;
      else high = middle;
    }
    return this.#dropped + low;
  }

  /** Entries from a position, or undefined when they were dropped already. */
  read(position: number, limit: number): Doc[] | undefined {
    const from = position - this.#dropped;
    if (from < 0) return undefined;
    return this.#entries.slice(from, from + limit);
  }

  /** Drops the entries after `ts`. Nobody who was reading may go on: what follows is another history. */
  cutAfter(ts: Timestamp): void {
    const kept = this.#entries.filter((entry) => !(entry['ts'] as Timestamp).greaterThan(ts)).length;
    this.#dropped += this.#entries.length + 1;
    this.#entries = this.#entries.slice(0, kept);
    this.#sizes = this.#sizes.slice(0, kept);
    this.#bytes = this.#sizes.reduce((sum, size) => sum + size, 0);
    this.wake();
  }

  /** Drops everything, as {@link cutAfter} does. */
  clear(): void {
    this.cutAfter(new Timestamp({ t: 0, i: 0 }));
  }

  /** Resolves when something was appended, the log was cleared, {@link wake} was called, or after `ms`. */
  changed(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#waiting.add(done);
    });
  }

  wake(): void {
    for (const done of this.#waiting) done();
  }
}
