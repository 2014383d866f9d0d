import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '@atrest/platform-logging';
import type { EventTransport, OutgoingEvent, Subscription } from '@atrest/platform-messaging';
import { backoffMs } from '@atrest/platform-time';

/**
 * A transport whose subscribers may come before the broker: a subscription that cannot be had is asked for again until it can. Without this a
 * service that starts first would have to end, and whoever supervises it would start it again and again.
 */
export class PatientTransport implements EventTransport {
  /** Why a subscription could not be had the last time; null when none waits. */
  problem: string | null = null;
  readonly #closing = new AbortController();

  constructor(
    private readonly inner: EventTransport,
    private readonly logger: Logger,
  ) {}

  get deadLetterTopics(): boolean {
    return this.inner.deadLetterTopics ?? false;
  }

  announce(subscriber: { readonly service: string; readonly topics: readonly string[] }): void {
    this.inner.announce(subscriber);
  }

  send(events: readonly OutgoingEvent[]): Promise<void> {
    return this.inner.send(events);
  }

  async subscribe(subscription: Subscription): Promise<{ close(): Promise<void> }> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const subscribed = await this.inner.subscribe(subscription);
        this.problem = null;
        return subscribed;
      } catch (error) {
        if (this.#closing.signal.aborted) throw error;
        const waitMs = backoffMs(attempt, { baseMs: 250, maxMs: 10_000 });
        this.problem = error instanceof Error ? error.message : String(error);
        this.logger.warn({ err: error, waitMs }, 'no subscription yet; trying again');
        await delay(waitMs, undefined, { signal: this.#closing.signal });
      }
    }
  }

  readiness(): Promise<{ ok: boolean; detail?: string }> {
    return this.inner.readiness();
  }

  close(): Promise<void> {
    this.#closing.abort();
    return this.inner.close();
  }
}
