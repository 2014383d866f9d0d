import type { EntityManager } from 'typeorm';

declare const transactionBrand: unique symbol;

/**
 * TypeORM's manager inside an open transaction. Only `ServiceDatabase.transaction` makes one, so whoever asks for a `Transaction` cannot be
 * called outside of one. `rows(tx, sql, parameters)` is the common tool.
 */
export type Transaction = EntityManager & { readonly [transactionBrand]: true };

/** What is to happen once the transaction is committed. Lives beside the manager, which has no place for it. */
interface TransactionContext {
  readonly signals: Set<string>;
}

const contexts = new WeakMap<object, TransactionContext>();

/** Called by `ServiceDatabase` only. */
export function openTransactionContext(manager: EntityManager): TransactionContext {
  const context: TransactionContext = { signals: new Set() };
  contexts.set(manager, context);
  return context;
}

/** Runs one statement and returns its rows, for UPDATE and DELETE with RETURNING as well (TypeORM gives `[rows, count]` for those). */
export async function rows<Row = Record<string, unknown>>(
  tx: Transaction,
  sql: string,
  parameters: readonly unknown[] = [],
): Promise<Row[]> {
  const { queryRunner } = tx;
  if (queryRunner === undefined) throw new Error('This manager belongs to no transaction. Use ServiceDatabase.transaction.');
  const result = await queryRunner.query(sql, [...parameters], true);
  return result.records as Row[];
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
  const context = contexts.get(tx);
  if (context === undefined) throw new Error('This manager belongs to no transaction. Use ServiceDatabase.transaction.');
  context.signals.add(channel);
}
