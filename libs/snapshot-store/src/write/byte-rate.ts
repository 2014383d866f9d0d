import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '@atrest/platform-time';

/** Keeps a flow of bytes below a rate, over any second or longer. */
export class ByteRate {
  readonly #clock: Clock;
  readonly #bytesPerSecond: number;
  /** When what was let through so far is paid for, in milliseconds since 1970. */
  #paidUntil = 0;

  constructor(clock: Clock, bytesPerSecond: number) {
    if (!(bytesPerSecond > 0)) throw new RangeError('a rate is more than 0 bytes per second');
    this.#clock = clock;
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Resolves when so many bytes may flow. */
  async pass(bytes: number, signal: AbortSignal): Promise<void> {
    const now = this.#clock.now().getTime();
    const start = Math.max(now, this.#paidUntil);
    this.#paidUntil = start + (bytes / this.#bytesPerSecond) * 1_000;
    if (start > now) await sleep(start - now, undefined, { signal });
  }
}
