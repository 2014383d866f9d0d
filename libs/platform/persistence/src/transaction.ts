import type { Duplex } from 'node:stream';
import type pg from 'pg';
import { TransactionAbortedError, TransactionEndedError } from './errors.js';

declare const transactionBrand: unique symbol;

/**
 * An open transaction. Only `ServiceDatabase.transaction` makes one, so whoever asks for a `Transaction` cannot be called outside of one.
 * {@link rows} runs statements in it.
 */
export interface Transaction {
  readonly [transactionBrand]: true;
}

/** A statement that PostgreSQL parses and plans once per connection. Worth it for what runs for every event, not for the rest. */
export interface Statement {
  /** Unique in the service. */
  readonly name: string;
  /** Names its result columns: after a migration, `SELECT *` would fail on connections that know an older result. */
  readonly text: string;
}

/** SQL with `$1`, `$2` … for parameters. */
export type Sql = string | Statement;

/** A statement and its values. */
export interface Write {
  readonly sql: Sql;
  readonly parameters: readonly unknown[];
}

/**
 * One transaction on one connection of the pool. BEGIN goes out together with the first statement, and what was kept for the end together
 * with COMMIT: each saves a round trip, during which the transaction would only hold its locks.
 */
export class OpenTransaction {
  /** Channels to wake once it is committed. */
  readonly signals = new Set<string>();
  readonly #client: pg.ClientBase;
  readonly #lastWrites: (() => Write)[] = [];
  #begin: Promise<unknown> | undefined;
  #ended = false;

  constructor(client: pg.ClientBase) {
    this.#client = client;
  }

  /** What the work of the transaction gets. */
  get handle(): Transaction {
    return this as unknown as Transaction;
  }

  static of(tx: Transaction): OpenTransaction {
    const open: unknown = tx;
    if (!(open instanceof OpenTransaction)) throw new Error('This is no transaction. Use ServiceDatabase.transaction.');
    return open;
  }

  async rows<Row>(sql: Sql, parameters: readonly unknown[]): Promise<Row[]> {
    if (this.#ended) throw new TransactionEndedError();
    const result = await this.#afterBegin(() => this.#client.query(queryOf(sql, parameters)));
    return result.rows as Row[];
  }

  together<T>(send: () => T): T {
    return inOneFlight(this.#client, send);
  }

  lastly(write: () => Write): void {
    if (this.#ended) throw new TransactionEndedError();
    this.#lastWrites.push(write);
  }

  /** @throws TransactionAbortedError when a statement failed without anybody noticing: PostgreSQL answers such a COMMIT by rolling back. */
  async commit(): Promise<void> {
    this.#ended = true;
    const writes = this.#lastWrites.map((write) => write());
    if (this.#begin === undefined && writes.length === 0) return;
    const [committed, ...written] = await this.#afterBegin(() => {
      const answers = writes.map((write) => this.#client.query(queryOf(write.sql, write.parameters)));
      return Promise.allSettled([this.#client.query('COMMIT'), ...answers]);
    });
    for (const each of written) if (each.status === 'rejected') throw each.reason;
    if (committed.status === 'rejected') throw committed.reason;
    if (committed.value.command !== 'COMMIT') throw new TransactionAbortedError();
  }

  /** Rejects when the connection is gone; PostgreSQL rolls back by itself then. */
  async rollback(): Promise<void> {
    this.#ended = true;
    if (this.#begin !== undefined) await this.#client.query('ROLLBACK');
  }

  /** Sends at once, preceded by BEGIN when nothing was sent yet. */
  #afterBegin<T>(send: () => T): T {
    if (this.#begin !== undefined) return send();
    return inOneFlight(this.#client, () => {
      this.#begin = this.#client.query('BEGIN');
      // When it fails the connection is gone, and so is what was sent behind it.
      this.#begin.catch(() => undefined);
      return send();
    });
  }
}

/** Lets what is sent meanwhile leave in as few packets as possible. */
export function inOneFlight<T>(client: pg.ClientBase, send: () => T): T {
  const { stream } = (client as unknown as { readonly connection: { readonly stream: Duplex } }).connection;
  stream.cork();
  try {
    return send();
  } finally {
    stream.uncork();
  }
}

/** Runs one statement and returns its rows, for UPDATE and DELETE with RETURNING as well. */
export function rows<Row = Record<string, unknown>>(tx: Transaction, sql: Sql, parameters: readonly unknown[] = []): Promise<Row[]> {
  return OpenTransaction.of(tx).rows<Row>(sql, parameters);
}

/** Lets statements that `send` starts, without waiting for any answer, leave together. */
export function sendTogether<T>(tx: Transaction, send: () => T): T {
  return OpenTransaction.of(tx).together(send);
}

/** For pg. */
export function queryOf(sql: Sql, parameters: readonly unknown[]): pg.QueryConfig {
  return typeof sql === 'string' ? { text: sql, values: [...parameters] } : { ...sql, values: [...parameters] };
}

/**
 * Keeps a write for the end of the transaction: it leaves together with COMMIT, and when it fails nothing is committed. For what nobody in
 * the transaction reads. `write` is called when the work is over; when it throws, nothing is committed either.
 */
export function writeLastly(tx: Transaction, write: () => Write): void {
  OpenTransaction.of(tx).lastly(write);
}

/**
 * Sends a notification when the transaction commits, to every `ServiceDatabase.listen` on this channel of the same service, in all
 * replicas. `payload` has at most 7,999 bytes. PostgreSQL commits transactions that notify one after another: for a mere wake-up that may
 * get lost, {@link signalAfterCommit} is cheaper.
 */
export async function notify(tx: Transaction, channel: string, payload: string): Promise<void> {
  await rows(tx, `SELECT pg_notify(current_schema() || '.' || $1, $2)`, [channel, payload]);
}

/**
 * After the commit, wakes everybody who listens to this channel: in this process at once, in other replicas by a notification of its own
 * outside of the transaction, many within a few milliseconds joined into one. It may get lost with the process, so the listener also polls.
 */
export function signalAfterCommit(tx: Transaction, channel: string): void {
  OpenTransaction.of(tx).signals.add(channel);
}
