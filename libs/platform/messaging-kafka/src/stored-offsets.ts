import { BackgroundLoop } from '@atrest/platform-time';

/** How far one group has stored one partition: the offset of the next message. */
export interface StoredOffset {
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
}

/** After a crash, so much is delivered once more at most, and recognised by the inbox. A commit per batch would hold up the next batch. */
const INTERVAL_MS = 250;

/** Commits offsets of what is stored, for all partitions together. */
export class StoredOffsets {
  readonly #commit: (offsets: StoredOffset[]) => Promise<unknown>;
  readonly #offsets = new Map<string, StoredOffset>();
  readonly #loop: BackgroundLoop;

  constructor(o: { commit: (offsets: StoredOffset[]) => Promise<unknown>; onError: (error: unknown) => void }) {
    this.#commit = o.commit;
    this.#loop = new BackgroundLoop({ name: 'stored offsets', intervalMs: INTERVAL_MS, run: () => this.flush(), onError: o.onError });
    this.#loop.start();
  }

  stored(offset: StoredOffset): void {
    this.#offsets.set(`${offset.partition}/${offset.topic}`, offset);
  }

  /** After a rebalance: others may have these partitions now. */
  forget(): void {
    this.#offsets.clear();
  }

  async flush(): Promise<void> {
    const offsets = [...this.#offsets];
    if (offsets.length === 0) return;
    await this.#commit(offsets.map(([, offset]) => offset));
    for (const [key, offset] of offsets) if (this.#offsets.get(key) === offset) this.#offsets.delete(key);
  }

  /** Commits what is left. */
  async close(): Promise<void> {
    await this.#loop.stop();
    await this.flush();
  }
}
