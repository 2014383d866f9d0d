import { DeadLetters } from './dead-letters.js';
import type { MessagingOptions } from './messaging-options.js';

/** Outbox relay, inbox and handlers of one service. */
export class Messaging {
  readonly deadLetters: DeadLetters;

  constructor(o: MessagingOptions) {
    this.deadLetters = new DeadLetters(o.database, () => undefined);
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  /** Resolves when nothing waits in the outbox and in the inbox. Parked events do not wait. */
  whenCaughtUp(): Promise<void> {
    return Promise.resolve();
  }

  readiness(): Promise<{ ok: boolean; detail?: string }> {
    return Promise.resolve({ ok: true });
  }
}
