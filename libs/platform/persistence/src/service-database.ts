import { randomUUID } from 'node:crypto';
import type { Logger } from '@atrest/platform-logging';
import type { Metrics } from '@atrest/platform-metrics';
import { backoffMs } from '@atrest/platform-time';
import type pg from 'pg';
import type { DataSource } from 'typeorm';
import { connectionOptions, schemaOf } from './connection.js';
import { databaseErrorCode, isRetryableTransactionError } from './errors.js';
import { NotificationListener } from './notification-listener.js';
import { openDataSource } from './open-data-source.js';
import { DatabaseSession } from './session.js';
import { OpenTransaction, queryOf, type Sql, type Transaction } from './transaction.js';

export interface ServiceDatabaseOptions {
  /** Names the schema (`-` becomes `_`). */
  readonly service: string;
  /** `postgres://user:password@host:port/database`. */
  readonly url: string;
  /** TypeORM migration classes; run in the order of their time stamps. */
  readonly migrations: readonly Function[];
  readonly entities?: readonly Function[];
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Connections at most, without the two of messaging and the one that listens. 16 by default: eight handlers and as many requests at a time. */
  readonly poolSize?: number;
  /** How long to wait for PostgreSQL at the start, in milliseconds; 60,000 by default. */
  readonly connectTimeoutMs?: number;
}

/** A deadlock's survivor is done within milliseconds; who still loses after five rounds has another problem than bad luck. */
const TRANSACTION_ATTEMPTS = 5;

/** Wake-ups of other replicas within this time become one. Well below what a person or a poller notices. */
const SIGNAL_INTERVAL_MS = 20;

const SIGNAL_PREFIX = 'signal:';

/**
 * A service's own schema in PostgreSQL. A lost connection fails the statements on it and nothing else: the next statement gets a new one.
 * `bigint` columns arrive as numbers (beyond 2^53 the statement fails with UnsafeIntegerError), `timestamptz` as Date.
 */
export class ServiceDatabase {
  readonly service: string;
  readonly schema: string;
  readonly #dataSource: DataSource;
  readonly #pool: pg.Pool;
  readonly #connection: pg.ClientConfig;
  readonly #listener: NotificationListener;
  readonly #logger: Logger;
  readonly #instance = `${SIGNAL_PREFIX}${randomUUID()}`;
  readonly #signals = new Map<string, { again: boolean }>();
  readonly #retries;
  #closing: Promise<void> | undefined;

  private constructor(o: ServiceDatabaseOptions, dataSource: DataSource, connection: pg.ClientConfig) {
    this.service = o.service;
    this.schema = schemaOf(o.service);
    this.#dataSource = dataSource;
    // TypeORM's own pool: one limit for all connections of the service.
    this.#pool = (dataSource.driver as unknown as { readonly master: pg.Pool }).master;
    this.#connection = connection;
    this.#logger = o.logger;
    this.#listener = new NotificationListener({ open: () => this.session(), schema: this.schema, logger: o.logger });
    this.#retries = o.metrics.counter(
      'atrest_database_transaction_retries_total',
      'Transactions repeated after a deadlock or a serialization failure',
      ['service'],
    );
  }

  /**
   * Creates the schema, runs the migrations that are missing (one replica at a time) and opens the pool. While PostgreSQL is not there it
   * tries again until `connectTimeoutMs`; then, or when it refuses us, {@link DatabaseUnavailableError}. {@link MigrationFailedError} when a
   * migration fails.
   */
  static async open(o: ServiceDatabaseOptions): Promise<ServiceDatabase> {
    const connection = connectionOptions({ url: o.url, schema: schemaOf(o.service), service: o.service });
    const dataSource = await openDataSource({
      schema: schemaOf(o.service),
      connection,
      url: o.url,
      migrations: o.migrations,
      entities: o.entities ?? [],
      poolSize: o.poolSize ?? 16,
      connectTimeoutMs: o.connectTimeoutMs ?? 60_000,
      logger: o.logger,
    });
    return new ServiceDatabase(o, dataSource, connection);
  }

  /**
   * Commits what `work` did when it resolves and undoes it when it throws. Repeats `work` when PostgreSQL chose the transaction as the
   * victim of a deadlock or a serialization failure, so `work` changes nothing but the database. When the connection breaks during COMMIT
   * the outcome is unknown and the error is thrown: whoever calls again must find the change or make it.
   */
  async transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#transactionOnce(work);
      } catch (error) {
        if (!isRetryableTransactionError(error) || attempt >= TRANSACTION_ATTEMPTS) throw error;
        this.#retries.inc({ service: this.service });
        this.#logger.debug({ code: databaseErrorCode(error), attempt }, 'repeating a transaction');
        await new Promise((resolve) => setTimeout(resolve, backoffMs(attempt, { baseMs: 5, maxMs: 200 })));
      }
    }
  }

  /** One statement in a transaction of its own. Rows also for UPDATE and DELETE with RETURNING. */
  async query<Row = Record<string, unknown>>(sql: Sql, parameters: readonly unknown[] = []): Promise<Row[]> {
    const result = await this.#pool.query(queryOf(sql, parameters));
    return result.rows as Row[];
  }

  /** A connection of its own, for advisory locks. Its owner closes it. */
  session(): Promise<DatabaseSession> {
    return DatabaseSession.open(this.#connection);
  }

  /**
   * Calls back for each `notify` or signal on the channel, in any replica. Connects again by itself and then calls back with `''`, because
   * what was sent meanwhile is lost. Returns how to end it.
   */
  listen(channel: string, onNotification: (payload: string) => void): Promise<() => Promise<void>> {
    return this.#listener.add(channel, (payload) => {
      // Our own signals came the short way.
      if (payload === this.#instance) return;
      onNotification(payload.startsWith(SIGNAL_PREFIX) ? '' : payload);
    });
  }

  /** Whether PostgreSQL answers within two seconds. */
  async readiness(): Promise<{ ok: boolean; detail?: string }> {
    if (this.#closing !== undefined) return { ok: false, detail: 'closed' };
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<{ ok: boolean; detail?: string }>((resolve) => {
      timer = setTimeout(() => resolve({ ok: false, detail: 'PostgreSQL does not answer' }), 2_000);
    });
    const answer = this.query('SELECT 1').then(
      () => ({ ok: true }),
      (error: unknown) => ({ ok: false, detail: `PostgreSQL: ${databaseErrorCode(error) ?? 'no connection'}` }),
    );
    try {
      return await Promise.race([answer, limit]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends every connection. Waits for those in use to come back. */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      await this.#listener.close();
      await this.#dataSource.destroy();
    })();
    return this.#closing;
  }

  async #transactionOnce<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect();
    let broken: Error | undefined;
    // Whoever waits for a statement hears of a lost connection; without a listener the process would end of it as well.
    const onError = (error: Error): void => {
      broken = error;
    };
    client.on('error', onError);
    try {
      const open = new OpenTransaction(client);
      let result: T;
      try {
        result = await work(open.handle);
        await open.commit();
      } catch (error) {
        // A failing rollback means that the connection is gone. The first error is the one to report.
        await open.rollback().catch((reason: Error) => {
          broken = reason;
          this.#logger.debug({ code: databaseErrorCode(reason) }, 'rollback on a broken connection');
        });
        throw error;
      }
      for (const channel of open.signals) this.#signal(channel);
      return result;
    } finally {
      client.off('error', onError);
      client.release(broken);
    }
  }

  #signal(channel: string): void {
    this.#listener.deliver(channel, '');
    const pending = this.#signals.get(channel);
    if (pending !== undefined) {
      pending.again = true;
      return;
    }
    this.#signals.set(channel, { again: false });
    void this.#signalReplicas(channel);
  }

  async #signalReplicas(channel: string): Promise<void> {
    try {
      await this.query('SELECT pg_notify($1, $2)', [`${this.schema}.${channel}`, this.#instance]);
    } catch (error) {
      this.#logger.debug({ code: databaseErrorCode(error), channel }, 'other replicas were not woken; they poll');
    }
    setTimeout(() => {
      const again = this.#signals.get(channel)?.again ?? false;
      this.#signals.delete(channel);
      if (again && this.#closing === undefined) {
        this.#signals.set(channel, { again: false });
        void this.#signalReplicas(channel);
      }
    }, SIGNAL_INTERVAL_MS).unref();
  }
}
