import { redactText, runWithCorrelation, traceOf, type Logger } from '@atrest/platform-logging';
import { sendTogether, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { afterFailure, beforeAttempt } from './attempts.js';
import { HandlerTimeoutError } from './errors.js';
import type { Refusal } from './event-handler.js';
import type { ClaimedEvent, Inbox, Parking } from './inbox.js';
import { judge, type Routes, type Verdict } from './judge.js';
import type { MessagingMetrics } from './messaging-metrics.js';
import type { RetryOptions } from './messaging-options.js';

/** How an attempt ended for its lane: it goes on, or waits (for that long, when known). */
export type AttemptResult =
  { readonly kind: 'over' } | { readonly kind: 'elsewhere' } | { readonly kind: 'waits'; readonly waitMs: number };

/** A claimed event with who handles it. */
type Handling = Extract<Verdict, { kind: 'handle' }> & { readonly claimed: ClaimedEvent };

/** A handler that ran, and why it refused the event, if it did. */
type Handled = Handling & { readonly refused?: Parking };

export interface AttemptRunnerOptions {
  readonly service: string;
  readonly database: ServiceDatabase;
  readonly inbox: Inbox;
  readonly routes: Routes;
  readonly retry: RetryOptions;
  readonly handlerTimeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MessagingMetrics;
}

/**
 * Handlers that take longer together than this do not share a transaction: their locks would be held too long, and those of another
 * replica's events with them. Milliseconds.
 */
const TOGETHER_MS = 250;

/** More would save little: the round trips of a transaction are then a small part of it already. */
const TOGETHER_MAX = 128;

/** Work claimed ahead, in milliseconds: far below the length of a claim, and enough for there always to be some while the next is stored. */
const AHEAD_MS = 1_000;
const AHEAD_MAX = 1_000;

/** Handlers faster than this cost less than the transaction around them. Milliseconds. */
const FAST_MS = 20;

/** Attempts at claimed events: judged, handled in a transaction with their mark, and what follows from a failure. */
export class AttemptRunner {
  readonly #o: AttemptRunnerOptions;
  /** Moving average of what a handler takes, in milliseconds. Pessimistic at first. */
  #averageMs = TOGETHER_MS;

  constructor(o: AttemptRunnerOptions) {
    this.#o = o;
  }

  /** How many events may share a transaction, as far as their handlers' speed allows. */
  get together(): number {
    return Math.max(1, Math.min(TOGETHER_MAX, Math.floor(TOGETHER_MS / Math.max(this.#averageMs, 0.1))));
  }

  /** How many events to claim ahead, in all or of one lane. */
  get ahead(): number {
    return Math.max(1, Math.min(AHEAD_MAX, Math.floor(AHEAD_MS / Math.max(this.#averageMs, 0.1))));
  }

  /** Whether it pays to wait a moment for more events that could share a transaction. */
  get areFast(): boolean {
    return this.#averageMs < FAST_MS;
  }

  /**
   * Handles events in one transaction, in order. False when that cannot be: one of them is not simply to be handled, is another replica's,
   * or its handler threw. Then nothing has happened, and each must be attempted by itself.
   */
  async attemptTogether(claimed: readonly ClaimedEvent[]): Promise<boolean> {
    const { database, inbox, routes, logger } = this.#o;
    const handlings: Handling[] = [];
    for (const event of claimed) {
      const verdict = judge(event.envelope, event.topic, routes);
      if (verdict.kind !== 'handle') return false;
      handlings.push({ ...verdict, claimed: event });
    }
    try {
      const handled = await database.transaction(async (tx) => {
        const positions = claimed.map((event) => event.position);
        if ((await inbox.finish(tx, positions)) === 'elsewhere') throw new ElsewhereError();
        return this.#runAll(handlings, tx);
      });
      for (const each of handled) this.#count(each);
      return true;
    } catch (error) {
      logger.debug({ err: error, events: claimed.length }, 'events could not be handled together; handling each by itself');
      return false;
    }
  }

  /** One event. Rejects only when the outcome could not be recorded. */
  async attempt(claimed: ClaimedEvent): Promise<AttemptResult> {
    const { inbox, routes, retry } = this.#o;
    let { started } = claimed;
    if (claimed.suspect) {
      const counted = await inbox.startSuspect(claimed.position);
      if (counted === 'elsewhere') return { kind: 'elsewhere' };
      started = counted;
    }
    const verdict = judge(claimed.envelope, claimed.topic, routes);
    if (verdict.kind === 'ignore') {
      await inbox.ignore(claimed.position);
      return { kind: 'over' };
    }
    if (verdict.kind === 'park') return this.#park(claimed, { ...verdict, handler: null, attempts: started });
    const step = beforeAttempt({ started, failed: claimed.failed }, retry);
    if (step.kind === 'park') return this.#park(claimed, { ...step, handler: verdict.handler.name, attempts: started - 1 });
    return this.#attemptHandling({ ...verdict, claimed: { ...claimed, started } });
  }

  async #attemptHandling(handling: Handling): Promise<AttemptResult> {
    const { database, inbox, logger } = this.#o;
    const { claimed } = handling;
    try {
      const handled = await database.transaction(async (tx) =>
        (await inbox.finish(tx, [claimed.position])) === 'done' ? (await this.#runAll([handling], tx))[0] : undefined,
      );
      if (handled === undefined) {
        logger.debug({ eventId: claimed.eventId }, 'another replica handles this event');
        return { kind: 'elsewhere' };
      }
      this.#count(handled);
      return { kind: 'over' };
    } catch (error) {
      return this.#failed(handling, error);
    }
  }

  /** In order; those that do not wait for what they read are sent together. */
  async #runAll(handlings: readonly Handling[], tx: Transaction): Promise<Handled[]> {
    const begin = performance.now();
    const handled: Handled[] = [];
    for (let index = 0; index < handlings.length;) {
      const next = handlings.slice(index).findIndex(({ handler }) => handler.oneStatement !== true);
      const group = handlings.slice(index, next === -1 ? undefined : index + Math.max(next, 1));
      const results = await sendTogether(tx, () => Promise.allSettled(group.map((handling) => this.#run(handling, tx))));
      for (const result of results) {
        if (result.status === 'rejected') throw result.reason;
        handled.push(result.value);
      }
      index += group.length;
    }
    // Few events say little: a moment in which the process was busy with something else must not count as a slow handler.
    const weight = handlings.length / (handlings.length + 16);
    this.#averageMs += ((performance.now() - begin) / handlings.length - this.#averageMs) * weight;
    return handled;
  }

  async #run(handling: Handling, tx: Transaction): Promise<Handled> {
    const { claimed, handler, event } = handling;
    const { handlerTimeoutMs, inbox, metrics, service } = this.#o;
    const begin = performance.now();
    try {
      const correlation = { correlationId: event.correlationid, causationId: event.id, ...traceOf(event.traceparent) };
      const result = await runWithCorrelation(correlation, () => within(handlerTimeoutMs, handler.name, () => handler.handle(event, tx)));
      if (result === undefined) return handling;
      const refused: Parking = { reason: 'REFUSED', detail: redactText(result.detail), handler: handler.name, attempts: claimed.started };
      await inbox.parkRefused(tx, claimed, refused);
      return { ...handling, refused };
    } finally {
      metrics.handlerSeconds.observe({ service, handler: handler.name }, (performance.now() - begin) / 1000);
    }
  }

  /** After the commit. */
  #count({ claimed, handler, event, refused }: Handled): void {
    const { metrics, service, clock } = this.#o;
    metrics.deliverySeconds.observe({ service }, Math.max(0, (clock.now().getTime() - Date.parse(event.time)) / 1000));
    if (refused === undefined) metrics.handled.inc({ service, handler: handler.name });
    else this.#reportParked(claimed, refused);
  }

  async #failed({ claimed, handler }: Handling, error: unknown): Promise<AttemptResult> {
    const { inbox, retry, logger, metrics, service } = this.#o;
    const detail = redactText(error instanceof Error ? `${error.name}: ${error.message}` : String(error)).slice(0, 2_000);
    const step = afterFailure(claimed, detail, retry);
    if (step.kind === 'park') return this.#park(claimed, { ...step, handler: handler.name, attempts: claimed.started }, error);
    const waitMs = step.kind === 'retry' ? step.waitMs : 0;
    logger.warn({ ...contextOf(claimed), handler: handler.name, err: error, attempt: claimed.started, waitMs }, 'an event handler failed');
    metrics.retried.inc({ service, handler: handler.name });
    await inbox.retryLater(claimed.position, waitMs);
    return { kind: 'waits', waitMs };
  }

  async #park(claimed: ClaimedEvent, why: Parking, error?: unknown): Promise<AttemptResult> {
    if ((await this.#o.inbox.park(claimed.position, why)) === 'elsewhere') return { kind: 'elsewhere' };
    this.#reportParked(claimed, why, error);
    return { kind: 'over' };
  }

  #reportParked(claimed: ClaimedEvent, why: Parking, error?: unknown): void {
    const { logger, metrics, service } = this.#o;
    metrics.parked.inc({ service, reason: why.reason });
    logger.error({ ...contextOf(claimed), ...why, ...(error === undefined ? {} : { err: error }) }, 'an event was parked');
  }
}

/** Undoes a transaction of which another replica has a part. */
class ElsewhereError extends Error {
  override readonly name = 'ElsewhereError';
}

const contextOf = (claimed: ClaimedEvent) => ({ eventId: claimed.eventId, type: claimed.envelope.type, subject: claimed.subject });

async function within(limitMs: number, name: string, work: () => Promise<void | Refusal>): Promise<void | Refusal> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new HandlerTimeoutError(name, limitMs)), limitMs);
  });
  try {
    return await Promise.race([work(), limit]);
  } finally {
    clearTimeout(timer);
  }
}
