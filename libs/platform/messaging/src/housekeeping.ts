import type { Logger } from '@atrest/platform-logging';
import type { ServiceDatabase } from '@atrest/platform-persistence';
import { BackgroundLoop, type Clock } from '@atrest/platform-time';
import type { MessagingMetrics } from './messaging-metrics.js';

/** Gauges are as old as this at most; Prometheus asks every 15 s or so. */
const MEASURE_INTERVAL_MS = 5_000;

/** Rows are kept for days; a few minutes more do not matter. */
const PRUNE_INTERVAL_MS = 600_000;

/** Rows looked at by one statement: a second of work at most. */
const PRUNE_BATCH = 5_000;

/**
 * Deletes what is over among the oldest rows. $1 after which position, $2 over before when, $3 how many rows to look at. Tells from where to go
 * on, as long as rows are old enough to hold something: rows are as old as their position says.
 */
const prune = (table: string, recordedAt: string, over: string): string => `WITH page AS (
    SELECT position, ${recordedAt} AS recorded_at, ${over} AS done FROM ${table} WHERE position > $1 ORDER BY position LIMIT $3),
  gone AS (DELETE FROM ${table} USING page WHERE ${table}.position = page.position AND page.done)
  SELECT CASE WHEN count(*) = $3 AND bool_and(recorded_at < $2) THEN max(position) END AS next FROM page`;

const PRUNE_INBOX = prune('inbox', 'received_at', `status IN ('finished', 'ignored') AND ended_at < $2`);
const PRUNE_OUTBOX = prune('outbox', 'recorded_at', 'coalesce(published_at < $2, false)');

/** Measures what waits and deletes what is too old. Any number of replicas may do so. */
export class Housekeeping {
  readonly #service: string;
  readonly #database: ServiceDatabase;
  readonly #metrics: MessagingMetrics;
  readonly #clock: Clock;
  readonly #keepFinishedMs: number;
  readonly #keepPublishedMs: number;
  readonly #loop: BackgroundLoop;
  #nextPrune = 0;

  constructor(o: {
    service: string;
    database: ServiceDatabase;
    metrics: MessagingMetrics;
    clock: Clock;
    logger: Logger;
    keepFinishedMs: number;
    keepPublishedMs: number;
  }) {
    this.#service = o.service;
    this.#database = o.database;
    this.#metrics = o.metrics;
    this.#clock = o.clock;
    this.#keepFinishedMs = o.keepFinishedMs;
    this.#keepPublishedMs = o.keepPublishedMs;
    this.#loop = new BackgroundLoop({
      name: `${o.service} messaging housekeeping`,
      intervalMs: MEASURE_INTERVAL_MS,
      run: (signal) => this.#run(signal),
      onError: (error) => o.logger.warn({ err: error }, 'messaging could not be measured or pruned; trying again'),
    });
  }

  start(): void {
    this.#loop.start();
  }

  stop(): Promise<void> {
    return this.#loop.stop();
  }

  async #run(signal: AbortSignal): Promise<void> {
    await this.#measure();
    if (performance.now() < this.#nextPrune) return;
    const now = this.#clock.now().getTime();
    await this.#prune(signal, PRUNE_INBOX, new Date(now - this.#keepFinishedMs));
    await this.#prune(signal, PRUNE_OUTBOX, new Date(now - this.#keepPublishedMs));
    this.#nextPrune = performance.now() + PRUNE_INTERVAL_MS;
  }

  async #measure(): Promise<void> {
    const [row] = await this.#database.query<{ outbox: number; lag: number; inbox: number; letters: number }>(
      `SELECT (SELECT count(*) FROM outbox WHERE published_at IS NULL) AS outbox,
        (SELECT coalesce(extract(epoch FROM now() - min(recorded_at)), 0)::float8 FROM outbox WHERE published_at IS NULL) AS lag,
        (SELECT count(*) FROM inbox WHERE status = 'pending') AS inbox,
        (SELECT count(*) FROM dead_letter WHERE replayed_at IS NULL) AS letters`,
    );
    if (row === undefined) return;
    const labels = { service: this.#service };
    this.#metrics.outboxPending.set(labels, row.outbox);
    this.#metrics.outboxLag.set(labels, row.lag);
    this.#metrics.inboxPending.set(labels, row.inbox);
    this.#metrics.deadLetters.set(labels, row.letters);
  }

  async #prune(signal: AbortSignal, sql: string, before: Date): Promise<void> {
    for (let after: number | undefined = 0; after !== undefined && !signal.aborted;) {
      const [page]: { next: number | null }[] = await this.#database.query(sql, [after, before, PRUNE_BATCH]);
      after = page?.next ?? undefined;
    }
  }
}
