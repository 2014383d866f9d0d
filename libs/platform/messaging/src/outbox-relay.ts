import type { EventEnvelope } from '@atrest/contracts';
import type { Logger } from '@atrest/platform-logging';
import type { DatabaseSession, ServiceDatabase, Statement } from '@atrest/platform-persistence';
import { BackgroundLoop, backoffMs } from '@atrest/platform-time';
import { SubscriberAbsentError } from './errors.js';
import { OUTBOX_CHANNEL } from './event-publisher.js';
import type { EventTransport } from './event-transport.js';
import type { MessagingMetrics } from './messaging-metrics.js';

/** Large enough that a round trip is shared by many, small enough for one Kafka request and a short statement. */
const BATCH = 500;

/** How often a standby asks for the lock: the longest time without a relay after the one that had it is gone. */
const STANDBY_INTERVAL_MS = 1_000;

/** $1 how many. */
const NEXT: Statement = {
  name: 'outbox-next',
  text: 'SELECT position, topic, envelope, headers FROM outbox WHERE published_at IS NULL ORDER BY position LIMIT $1',
};

/** $1 positions of what was sent. */
const MARK: Statement = {
  name: 'outbox-mark',
  text: 'UPDATE outbox SET published_at = now() WHERE position = ANY($1::bigint[])',
};

interface OutboxRow {
  readonly position: number;
  readonly topic: string;
  readonly envelope: EventEnvelope;
  readonly headers: Record<string, string> | null;
}

const next = (session: DatabaseSession): Promise<OutboxRow[]> => session.query<OutboxRow>(NEXT, [BATCH]);

/**
 * Hands the outbox of one service to the transport, in order. Of several replicas one does so, the one whose connection holds an advisory
 * lock; when that connection ends, another takes over. Rows are read and marked through the same connection, so who lost the lock cannot
 * go on. A batch that was sent but not marked is sent again: at least once.
 */
export class OutboxRelay {
  readonly #service: string;
  readonly #database: ServiceDatabase;
  readonly #transport: EventTransport;
  readonly #logger: Logger;
  readonly #metrics: MessagingMetrics;
  readonly #loop: BackgroundLoop;
  #session: DatabaseSession | undefined;
  #nextCandidacy = 0;
  #failures = 0;
  #notBefore = 0;
  #timer: NodeJS.Timeout | undefined;
  #endListening: (() => Promise<void>) | undefined;

  constructor(o: {
    service: string;
    database: ServiceDatabase;
    transport: EventTransport;
    logger: Logger;
    metrics: MessagingMetrics;
    pollIntervalMs: number;
  }) {
    this.#service = o.service;
    this.#database = o.database;
    this.#transport = o.transport;
    this.#logger = o.logger;
    this.#metrics = o.metrics;
    this.#loop = new BackgroundLoop({
      name: `${o.service} outbox relay`,
      intervalMs: Math.min(o.pollIntervalMs, STANDBY_INTERVAL_MS),
      run: (signal) => this.#run(signal),
      onError: (error) => this.#onError(error),
    });
  }

  async start(): Promise<void> {
    this.#endListening = await this.#database.listen(OUTBOX_CHANNEL, () => this.#loop.wake());
    this.#loop.start();
  }

  /** Finishes the batch that is on its way and gives the lock back. */
  async stop(): Promise<void> {
    await this.#endListening?.();
    await this.#loop.stop();
    clearTimeout(this.#timer);
    await this.#session?.close();
    this.#session = undefined;
  }

  async #run(signal: AbortSignal): Promise<void> {
    if (performance.now() < this.#notBefore) return;
    const session = await this.#lead();
    if (session === undefined || signal.aborted) return;
    let batch = await next(session);
    while (batch.length > 0) {
      await this.#transport.send(batch);
      const positions = batch.map((row) => row.position);
      const marked = session.together(() => Promise.all([session.query(MARK, [positions]), next(session)]));
      [, batch] = await marked;
      this.#metrics.published.inc({ service: this.#service }, positions.length);
      this.#recovered();
      // Those that were read and not sent stay in the outbox.
      if (signal.aborted) return;
    }
    this.#recovered();
  }

  /** The connection with the lock, or undefined while another replica has it. */
  async #lead(): Promise<DatabaseSession | undefined> {
    if (this.#session !== undefined && !this.#session.lost) return this.#session;
    this.#session = undefined;
    if (performance.now() < this.#nextCandidacy) return undefined;
    this.#nextCandidacy = performance.now() + STANDBY_INTERVAL_MS;
    const session = await this.#database.session();
    try {
      const [row] = await session.query<{ locked: boolean }>('SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS locked', [
        `atrest.relay.${this.#database.schema}`,
      ]);
      if (row?.locked === true) {
        // The mark that a batch was sent need not survive a crash of PostgreSQL: without it the batch is sent again. Not waiting for the
        // disk lets the next batch leave sooner.
        await session.query('SET synchronous_commit = off');
        session.onLost = () => this.#loop.wake();
        this.#session = session;
        this.#nextCandidacy = 0;
        this.#logger.debug('this replica relays the outbox');
        return session;
      }
    } catch (error) {
      await session.close();
      throw error;
    }
    await session.close();
    return undefined;
  }

  #recovered(): void {
    if (this.#failures > 0) this.#logger.info({ failures: this.#failures }, 'the transport takes events again');
    this.#failures = 0;
  }

  #onError(error: unknown): void {
    this.#failures += 1;
    this.#metrics.sendFailures.inc({ service: this.#service });
    // 30 s at most: a transport that is back is used soon, one that is down is not hammered. Nothing is lost, the rows stay.
    const waitMs = backoffMs(this.#failures, { baseMs: 100, maxMs: 30_000 });
    this.#notBefore = performance.now() + waitMs;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#loop.wake(), waitMs + 1);
    this.#timer.unref();
    if (error instanceof SubscriberAbsentError) this.#logger.debug({ subscriber: error.service, waitMs }, error.message);
    else this.#logger.warn({ err: error, waitMs }, 'events could not be sent; they stay in the outbox');
  }
}
