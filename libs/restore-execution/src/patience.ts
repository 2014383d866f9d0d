import type { Clock } from '@atrest/platform-time';

/** Messages remembered. Anybody can name keys that do not exist: beyond this many, the next one is not waited for. */
const MAX_WAITING = 10_000;

/**
 * The account or key that a command names is not known, which may change within moments: thrown for the command to be tried again a little
 * later, while everything else goes on, the event that is missing included.
 */
export class NotYetKnownError extends Error {
  override readonly name = 'NotYetKnownError';
  readonly code = 'RESTORE_COMMAND.SIGNER_NOT_YET_KNOWN';
  constructor() {
    super('The service account or the key that signed this command is not known yet.');
  }
}

/**
 * How long to wait for what is not known. A key registered and a command signed with it travel on different topics, so the command may be
 * here first. Each process counts for itself, which at worst makes a command wait longer.
 */
export class Patience {
  readonly #since = new Map<string, number>();

  /** @param limitMs 0: never waits */
  constructor(
    private readonly limitMs: number,
    private readonly clock: Clock,
  ) {}

  /** @throws NotYetKnownError while there is still hope for the message */
  hopeFor(messageId: string): void {
    const now = this.clock.now().getTime();
    const since = this.#since.get(messageId);
    if (since !== undefined && now - since >= this.limitMs) {
      this.#since.delete(messageId);
      return;
    }
    if (since === undefined) {
      if (this.limitMs === 0 || this.#isFull(now)) return;
      this.#since.set(messageId, now);
    }
    throw new NotYetKnownError();
  }

  /** What the message waited for is there. */
  fulfilled(messageId: string): void {
    this.#since.delete(messageId);
  }

  /** Messages that another replica decided are forgotten when room is needed. */
  #isFull(now: number): boolean {
    if (this.#since.size < MAX_WAITING) return false;
    for (const [messageId, since] of this.#since) if (now - since >= this.limitMs) this.#since.delete(messageId);
    return this.#since.size >= MAX_WAITING;
  }
}
