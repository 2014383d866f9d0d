import { redactText, runWithCorrelation, type Logger } from '@atrest/platform-logging';
import type { ServiceDatabase } from '@atrest/platform-persistence';
import { BackgroundLoop, type Clock } from '@atrest/platform-time';
import { afterFailure, beforeAttempt, type NextStep } from './attempts.js';
import { HandlerTimeoutError } from './errors.js';
import type { EventHandler } from './event-handler.js';
import type { ClaimedEvent, Inbox } from './inbox.js';
import { judge, type ParkReason, type Routes } from './judge.js';
import type { MessagingMetrics } from './messaging-metrics.js';
import type { RetryOptions } from './messaging-options.js';

/** Events of one subject in a row, before the other subjects get their turn. */
const RUN_LENGTH = 50;

export interface InboxWorkerOptions {
  readonly service: string;
  readonly database: ServiceDatabase;
  readonly inbox: Inbox;
  readonly routes: Routes;
  readonly retry: RetryOptions;
  readonly concurrency: number;
  readonly pollIntervalMs: number;
  readonly handlerTimeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MessagingMetrics;
}

/**
 * Handles the inbox: different subjects at the same time, the events of one subject one after another. An event whose attempt took the
 * process with it is tried again while nothing else is, so that a crash is blamed on nobody who merely stood by.
 */
export class InboxWorker {
  readonly #o: InboxWorkerOptions;
  readonly #loop: BackgroundLoop;
  readonly #queue: ClaimedEvent[] = [];
  /** Positions in the queue or in a lane: a claim that ran out while it waited may be claimed twice. */
  readonly #taken = new Set<number>();
  readonly #lanes = new Set<Promise<void>>();
  readonly #busy = new Set<string>();
  /** Busy subjects that got new events, which only a look after the present attempt can find. */
  readonly #renewed = new Set<string>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #alone = false;
  #moreWaits = false;
  #cursor = '';
  #stopping = false;

  constructor(o: InboxWorkerOptions) {
    this.#o = o;
    this.#loop = new BackgroundLoop({
      name: `${o.service} inbox`,
      intervalMs: o.pollIntervalMs,
      run: () => this.#refill(),
      onError: (error) => o.logger.warn({ err: error }, 'the inbox could not be read; trying again'),
    });
  }

  start(): void {
    this.#loop.start();
  }

  /** These subjects got new events. */
  wake(subjects: readonly string[]): void {
    for (const subject of subjects) if (this.#busy.has(subject)) this.#renewed.add(subject);
    this.#loop.wake();
  }

  /** Lets the attempts under way end and gives back what was only claimed. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#loop.stop();
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.all(this.#lanes);
    await this.#release(this.#queue.splice(0));
  }

  async #refill(): Promise<void | 'again'> {
    const { concurrency, inbox } = this.#o;
    // A claim costs a round trip, so it is made for many at once: when the queue has run low, not for every free lane.
    if (this.#queue.length > concurrency / 2) {
      this.#moreWaits = true;
      return undefined;
    }
    const limit = concurrency * 4;
    const claimed = await inbox.claim(this.#cursor, limit);
    const wrapped = claimed.length < limit && this.#cursor !== '';
    // Subjects take turns: the next claim begins where this one ended.
    this.#cursor = claimed.length < limit ? '' : claimed.reduce((last, event) => (event.subject > last ? event.subject : last), '');
    this.#moreWaits = claimed.length === limit;
    if (this.#stopping) {
      await this.#release(claimed);
      return undefined;
    }
    for (const event of claimed) {
      if (this.#taken.has(event.position)) continue;
      this.#taken.add(event.position);
      this.#queue.push(event);
    }
    this.#pump();
    return wrapped ? 'again' : undefined;
  }

  #pump(): void {
    while (!this.#stopping && !this.#alone && this.#lanes.size < this.#o.concurrency) {
      const event = this.#queue[0];
      if (event === undefined) break;
      if (event.suspect && this.#lanes.size > 0) break;
      this.#queue.shift();
      this.#alone = event.suspect;
      this.#busy.add(event.subject);
      const lane: Promise<void> = this.#lane(event).finally(() => {
        this.#lanes.delete(lane);
        this.#busy.delete(event.subject);
        if (event.suspect) this.#alone = false;
        if (this.#renewed.delete(event.subject)) this.#loop.wake();
        this.#pump();
      });
      this.#lanes.add(lane);
    }
    if (this.#moreWaits && this.#queue.length <= this.#o.concurrency / 2) this.#loop.wake();
  }

  /** Handles the event and those of its subject that follow. Never rejects. */
  async #lane(first: ClaimedEvent): Promise<void> {
    let current: ClaimedEvent | undefined = first;
    for (let count = 1; current !== undefined; count += 1) {
      const event: ClaimedEvent = current;
      this.#taken.add(event.position);
      try {
        if (this.#stopping) {
          await this.#release([event]);
          return;
        }
        const andNext = !event.suspect && count < RUN_LENGTH;
        if (!andNext) this.#renewed.add(event.subject);
        current = await this.#handle(event, andNext);
      } catch (error) {
        // The database is away. The claim runs out and the event is taken up again, by whoever is there.
        this.#o.logger.warn({ err: error, eventId: event.eventId }, 'an attempt could not be recorded');
        return;
      } finally {
        this.#taken.delete(event.position);
      }
    }
  }

  async #handle(claimed: ClaimedEvent, andNext: boolean): Promise<ClaimedEvent | undefined> {
    const { inbox, routes, retry } = this.#o;
    let { started } = claimed;
    if (claimed.suspect) {
      const counted = await inbox.startSuspect(claimed.position);
      if (counted === 'elsewhere') return undefined;
      started = counted;
    }
    const verdict = judge(claimed.envelope, claimed.topic, routes);
    if (verdict.kind === 'ignore') {
      await inbox.ignore(claimed.position);
      this.#renewed.add(claimed.subject);
      return undefined;
    }
    if (verdict.kind === 'park') {
      await this.#park(claimed, { ...verdict, handler: null, attempts: started });
      return undefined;
    }
    const step = beforeAttempt({ started, failed: claimed.failed }, retry);
    if (step.kind === 'park') {
      await this.#park(claimed, { ...step, handler: verdict.handler.name, attempts: started - 1 });
      return undefined;
    }
    return this.#attempt({ ...claimed, started }, verdict.handler, verdict.event, andNext);
  }

  async #attempt(
    claimed: ClaimedEvent,
    handler: EventHandler,
    event: ClaimedEvent['envelope'],
    andNext: boolean,
  ): Promise<ClaimedEvent | undefined> {
    const { database, inbox, metrics, service, handlerTimeoutMs, clock } = this.#o;
    const begin = performance.now();
    try {
      const { outcome, next } = await database.transaction(async (tx) => {
        const begun = await inbox.begin(tx, claimed.position, andNext);
        if (begun.outcome === 'elsewhere') return begun;
        await runWithCorrelation({ correlationId: event.correlationid, causationId: event.id }, () =>
          within(handlerTimeoutMs, handler.name, () => handler.handle(event, tx)),
        );
        return begun;
      });
      if (outcome === 'elsewhere') {
        this.#o.logger.debug({ eventId: event.id }, 'another replica handles this event');
        return undefined;
      }
      metrics.handled.inc({ service, handler: handler.name });
      metrics.deliverySeconds.observe({ service }, Math.max(0, (clock.now().getTime() - Date.parse(event.time)) / 1000));
      return next;
    } catch (error) {
      await this.#failed(claimed, handler, error);
      return undefined;
    } finally {
      metrics.handlerSeconds.observe({ service, handler: handler.name }, (performance.now() - begin) / 1000);
    }
  }

  async #failed(claimed: ClaimedEvent, handler: EventHandler, error: unknown): Promise<void> {
    const { inbox, retry, logger, metrics, service } = this.#o;
    const detail = redactText(error instanceof Error ? `${error.name}: ${error.message}` : String(error)).slice(0, 2_000);
    const step: NextStep = afterFailure(claimed, detail, retry);
    const context = { eventId: claimed.eventId, type: claimed.envelope.type, subject: claimed.subject, handler: handler.name };
    if (step.kind === 'park') {
      logger.error({ ...context, err: error, attempts: claimed.started }, 'an event handler failed for good');
      await this.#park(claimed, { ...step, handler: handler.name, attempts: claimed.started });
    } else if (step.kind === 'retry') {
      logger.warn({ ...context, err: error, attempt: claimed.started, waitMs: step.waitMs }, 'an event handler failed; trying again');
      metrics.retried.inc({ service, handler: handler.name });
      await inbox.retryLater(claimed.position, step.waitMs);
      this.#wakeIn(step.waitMs);
    }
  }

  async #park(claimed: ClaimedEvent, why: { reason: ParkReason; detail: string; handler: string | null; attempts: number }): Promise<void> {
    const { inbox, logger, metrics, service } = this.#o;
    const outcome = await inbox.park(claimed, why);
    // What waited behind it goes on.
    this.#renewed.add(claimed.subject);
    if (outcome === 'elsewhere') return;
    metrics.parked.inc({ service, reason: why.reason });
    logger.error({ eventId: claimed.eventId, type: claimed.envelope.type, subject: claimed.subject, ...why }, 'an event was parked');
  }

  #wakeIn(waitMs: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#loop.wake();
    }, waitMs + 1);
    this.#timers.add(timer);
  }

  async #release(events: readonly ClaimedEvent[]): Promise<void> {
    for (const event of events) this.#taken.delete(event.position);
    try {
      await this.#o.inbox.release(events);
    } catch (error) {
      this.#o.logger.debug({ err: error }, 'claims could not be given back; they run out');
    }
  }
}

async function within(limitMs: number, name: string, work: () => Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new HandlerTimeoutError(name, limitMs)), limitMs);
  });
  try {
    await Promise.race([work(), limit]);
  } finally {
    clearTimeout(timer);
  }
}
