export type EmbeddedPostgresErrorCode =
  /** No binaries for this platform, or they do not run here. */
  | 'EMBEDDED_POSTGRES.NO_BINARIES'
  /** The data belongs to another user, or no place for it could be found. */
  | 'EMBEDDED_POSTGRES.DATA_FOLDER'
  /** The data was written by another major release of PostgreSQL. */
  | 'EMBEDDED_POSTGRES.VERSION'
  /** The wanted port is in use. */
  | 'EMBEDDED_POSTGRES.PORT_TAKEN'
  /** initdb or the server failed; the message has the end of its log. */
  | 'EMBEDDED_POSTGRES.START_FAILED';

/** The embedded PostgreSQL cannot run. The message says what to do. */
export class EmbeddedPostgresError extends Error {
  override readonly name = 'EmbeddedPostgresError';
  constructor(
    readonly code: EmbeddedPostgresErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
