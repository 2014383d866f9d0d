import type { ReceivedEvent } from './event-transport.js';

/** Events stored by one statement at most. Above this a statement only gets longer, and memory fuller. */
const TOGETHER_MAX = 500;

interface Arrival {
  readonly batch: readonly ReceivedEvent[];
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * Stores what arrives, one statement at a time. Batches that arrive meanwhile, or in the same moment (a transport reads many partitions at
 * once), share the next statement, and its fate: when it fails, all of them come again.
 */
export class Intake {
  readonly #store: (batch: readonly ReceivedEvent[]) => Promise<void>;
  readonly #arrivals: Arrival[] = [];
  #storing = false;

  constructor(store: (batch: readonly ReceivedEvent[]) => Promise<void>) {
    this.#store = store;
  }

  /** Resolves when the batch is stored. */
  receive(batch: readonly ReceivedEvent[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#arrivals.push({ batch, resolve, reject });
      if (!this.#storing) void this.#storeAll();
    });
  }

  async #storeAll(): Promise<void> {
    this.#storing = true;
    // For the others of this moment.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#arrivals.length > 0) {
      const together = this.#take();
      try {
        await this.#store(together.flatMap((arrival) => arrival.batch));
        for (const arrival of together) arrival.resolve();
      } catch (error) {
        for (const arrival of together) arrival.reject(error);
      }
    }
    this.#storing = false;
  }

  #take(): Arrival[] {
    let events = 0;
    const tooMany = this.#arrivals.findIndex((arrival, index) => (events += arrival.batch.length) > TOGETHER_MAX && index > 0);
    return this.#arrivals.splice(0, tooMany === -1 ? this.#arrivals.length : tooMany);
  }
}
