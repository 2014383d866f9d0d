import type { Logger } from '@atrest/platform-logging';
import type { ServiceDatabase } from '@atrest/platform-persistence';
import { BackgroundLoop, type Clock } from '@atrest/platform-time';
import type { MessagingMetrics } from './messaging-metrics.js';

/** Gauges are as old as this at most; Prometheus asks every 15 s or so. */
const MEASURE_INTERVAL_MS = 5_000;

/** Rows are kept for days; a few minutes more do not matter. */
const PRUNE_INTERVAL_MS = 600_000;

/** Rows deleted by one statement: a second of work at most. */
const PRUNE_BATCH = 5_000;

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
    await this.#prune(signal, `inbox WHERE status IN ('finished', 'ignored') AND ended_at < $1`, new Date(now - this.#keepFinishedMs));
    await this.#prune(signal, 'outbox WHERE published_at < $1', new Date(now - this.#keepPublishedMs));
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

  async #prune(signal: AbortSignal, from: string, before: Date): Promise<void> {
    for (;;) {
      if (signal.aborted) return;
      const [table] = from.split(' ');
      const deleted = await this.#database.query(
        `DELETE FROM ${table} WHERE position IN (SELECT position FROM ${from} LIMIT ${PRUNE_BATCH}) RETURNING 1`,
        [before],
      );
      if (deleted.length < PRUNE_BATCH) return;
    }
  }
}
