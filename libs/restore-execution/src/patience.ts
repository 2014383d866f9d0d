import { awaitProjection } from '@atrest/platform-persistence';

/** Anybody can name a key that does not exist, and each wait keeps one of the lanes busy in which events are handled. */
const MAX_WAITING = 2;

/**
 * Waits for what is not known yet, because its event may still be on the way: a key registered and a command signed with it travel on
 * different topics. Only a few wait at a time; the others are told at once that there is nothing.
 */
export class Patience {
  #waiting = 0;

  /** @param limitMs 0: never waits */
  constructor(private readonly limitMs: number) {}

  /** Resolves when the look-up finds something, or when there is no point in waiting longer. */
  async until(isKnown: () => Promise<boolean>): Promise<void> {
    if (this.limitMs === 0 || this.#waiting >= MAX_WAITING || (await isKnown())) return;
    this.#waiting += 1;
    try {
      await awaitProjection(async () => (await isKnown()) || undefined, { timeoutMs: this.limitMs });
    } finally {
      this.#waiting -= 1;
    }
  }
}
