import { Long, ObjectId } from 'bson';
import { type Doc, isDocument, numberOf } from './bson-values.js';

/** Counts the changes of a server's role, so that a monitoring driver can wait for the next one (awaitable hello). */
export class TopologyVersion {
  readonly processId = new ObjectId();
  #counter = 0;
  readonly #waiting = new Set<() => void>();

  toDocument(): Doc {
    return { processId: this.processId, counter: Long.fromNumber(this.#counter) };
  }

  get counter(): number {
    return this.#counter;
  }

  bump(): void {
    this.#counter += 1;
    this.wake();
  }

  /** Lets everybody who waits look again, without a change. */
  wake(): void {
    for (const done of this.#waiting) done();
  }

  /** The client has seen the present version: a reply would tell it nothing new. */
  isCurrent(seen: unknown): boolean {
    if (!isDocument(seen)) return false;
    const processId = seen['processId'];
    return processId instanceof ObjectId && processId.equals(this.processId) && numberOf(seen['counter']) === this.#counter;
  }

  /** Resolves at the next change or {@link wake}, when `gone` resolves, or after `ms`. */
  changed(ms: number, gone: Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#waiting.add(done);
      void gone.then(done);
    });
  }
}
