import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';

/** Runs one statement: on its own or inside a transaction. Reading code takes it, so that it serves both. */
export type Query = <Row>(sql: string, parameters?: readonly unknown[]) => Promise<Row[]>;

export const inTransaction =
  (tx: Transaction): Query =>
  (sql, parameters = []) =>
    rows(tx, sql, parameters);

export const onDatabase =
  (database: ServiceDatabase): Query =>
  (sql, parameters = []) =>
    database.query(sql, parameters);
