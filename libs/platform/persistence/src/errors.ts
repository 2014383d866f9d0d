/** PostgreSQL was not there, or did not let us in, until the time to connect was over. */
export class DatabaseUnavailableError extends Error {
  override readonly name = 'DatabaseUnavailableError';
  readonly code = 'DATABASE.UNAVAILABLE';
}

/** A migration failed; it was rolled back and the service must not start on the older schema. */
export class MigrationFailedError extends Error {
  override readonly name = 'MigrationFailedError';
  readonly code = 'DATABASE.MIGRATION_FAILED';
}

/** A statement was sent through a transaction that is already committed or rolled back; it was not run. */
export class TransactionEndedError extends Error {
  override readonly name = 'TransactionEndedError';
  readonly code = 'DATABASE.TRANSACTION_ENDED';
  constructor() {
    super('The transaction is over. Await every statement before the work of the transaction ends.');
  }
}

/** A statement of the transaction failed, its caller did not wait for it, and so COMMIT rolled back. */
export class TransactionAbortedError extends Error {
  override readonly name = 'TransactionAbortedError';
  readonly code = 'DATABASE.TRANSACTION_ABORTED';
  constructor() {
    super('A statement failed that nobody waited for; the transaction was rolled back.');
  }
}

/** PostgreSQL gave a bigint that JavaScript's number cannot hold exactly. Select it as text. */
export class UnsafeIntegerError extends Error {
  override readonly name = 'UnsafeIntegerError';
  readonly code = 'DATABASE.UNSAFE_INTEGER';
}

/** The connection of a session is gone, and with it everything that hung on it (advisory locks, LISTEN). */
export class SessionLostError extends Error {
  override readonly name = 'SessionLostError';
  readonly code = 'DATABASE.SESSION_LOST';
}

/** SQLSTATE or Node error code of a failed statement or connection, wherever the libraries put it. */
export function databaseErrorCode(error: unknown): string | undefined {
  for (let current: unknown = error, depth = 0; typeof current === 'object' && current !== null && depth < 5; depth += 1) {
    const { code, driverError, cause, errors } = current as { code?: unknown; driverError?: unknown; cause?: unknown; errors?: unknown };
    if (typeof code === 'string' && code !== '') return code;
    // Node reports a host name with several addresses as an AggregateError without a code of its own.
    current = driverError ?? cause ?? (Array.isArray(errors) ? errors[0] : undefined);
  }
  return undefined;
}

/** serialization_failure and deadlock_detected: PostgreSQL rolled back one of several transactions, which may succeed when repeated. */
export function isRetryableTransactionError(error: unknown): boolean {
  const code = databaseErrorCode(error);
  return code === '40001' || code === '40P01';
}

/** True when PostgreSQL cannot be reached or is starting, stopping or full: it may answer later. */
export function isUnavailable(error: unknown): boolean {
  const code = databaseErrorCode(error);
  if (code === undefined) {
    // pg's own words when a connection breaks or takes too long; they carry no code.
    return error instanceof Error && /timeout|terminated|Connection/i.test(error.message);
  }
  // Class 08: connection exception; 57P0x: shutdown, crash, starting up; 53300: too many connections.
  return /^(08...|57P0[1-5]|53300|ECONN(REFUSED|RESET|ABORTED)|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EPIPE)$/.test(code);
}
