export { ServiceDatabase, type ServiceDatabaseOptions } from './service-database.js';
export {
  notify,
  rows,
  sendTogether,
  signalAfterCommit,
  writeLastly,
  type Sql,
  type Statement,
  type Transaction,
  type Write,
} from './transaction.js';
export { DatabaseSession } from './session.js';
export { awaitProjection } from './await-projection.js';
export {
  databaseErrorCode,
  DatabaseUnavailableError,
  isRetryableTransactionError,
  MigrationFailedError,
  SessionLostError,
  TransactionAbortedError,
  TransactionEndedError,
  UnsafeIntegerError,
} from './errors.js';
export { EmbeddedPostgres, type EmbeddedPostgresOptions } from './embedded-postgres/embedded-postgres.js';
export { EmbeddedPostgresError, type EmbeddedPostgresErrorCode } from './embedded-postgres/errors.js';
