import type pg from 'pg';
import type { EntityManager } from 'typeorm';
import { TransactionEndedError } from './errors.js';

declare const transactionBrand: unique symbol;

/**
 * TypeORM's manager inside an open transaction. Only `ServiceDatabase.transaction` makes one, so whoever asks for a `Transaction` cannot be
 * called outside of one. `rows(tx, sql, parameters)` is the common tool.
 */
export type Transaction = EntityManager & { readonly [transactionBrand]: true };

/** A statement that PostgreSQL parses and plans once per connection. Worth it for what runs for every event, not for the rest. */
export interface Statement {
  /** Unique in the service. */
  readonly name: string;
  /** Names its result columns: after a migration, `SELECT *` would fail on connections that know an older result. */
  readonly text: string;
}

/** SQL with `$1`, `$2` … for parameters. */
export type Sql = string | Statement;

/** What belongs to a transaction beside TypeORM's manager, which has no place for it. */
interface TransactionContext {
  readonly client: pg.ClientBase;
  /** Channels to wake once it is committed. */
  readonly signals: Set<string>;
  ended: boolean;
}

const contexts = new WeakMap<object, TransactionContext>();

/** Called by `ServiceDatabase` only. */
export function openTransactionContext(manager: EntityManager, client: pg.ClientBase): TransactionContext {
  const context: TransactionContext = { client, signals: new Set(), ended: false };
  contexts.set(manager, context);
  return context;
}

/** Runs one statement and returns its rows, for UPDATE and DELETE with RETURNING as well (TypeORM gives `[rows, count]` for those). */
export async function rows<Row = Record<string, unknown>>(tx: Transaction, sql: Sql, parameters: readonly unknown[] = []): Promise<Row[]> {
  const context = contextOf(tx);
  if (context.ended) throw new TransactionEndedError();
  const result = await context.client.query(queryOf(sql, parameters));
  return result.rows as Row[];
}

/** For pg. */
export function queryOf(sql: Sql, parameters: readonly unknown[]): pg.QueryConfig {
  return typeof sql === 'string' ? { text: sql, values: [...parameters] } : { ...sql, values: [...parameters] };
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
  contextOf(tx).signals.add(channel);
}

function contextOf(tx: Transaction): TransactionContext {
  const context = contexts.get(tx);
  if (context === undefined) throw new Error('This manager belongs to no transaction. Use ServiceDatabase.transaction.');
  return context;
}
