import { MongoError, MongoServerError } from 'mongodb';

/** Why a command had no result. Callers decide by `kind`; `code` and `message` are for the reader of a log. */
export interface CommandFailure {
  readonly kind:
    /** 94: no replica-set configuration yet. */
    | 'not-yet-initialized'
    /** 23: it has one already. */
    | 'already-initialized'
    /** 13: the agent has no rights there. */
    | 'unauthorized'
    /** 11 or 18: the agent's login was refused. */
    | 'authentication-failed'
    /** 51003: a user of that name is there already. */
    | 'user-exists'
    /** 10107 and its relatives. */
    | 'not-primary'
    /** 125: an election was called and lost. */
    | 'election-failed'
    /** 59: the server does not know the command. */
    | 'unknown-command'
    /** The server is about to end. */
    | 'shutting-down'
    /** No answer: not there, connection lost or too slow. */
    | 'unreachable'
    | 'other';
  readonly code: number | null;
  readonly message: string;
}

export type CommandOutcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly failure: CommandFailure };

const KIND_OF_CODE: Record<number, CommandFailure['kind']> = {
  11: 'authentication-failed',
  13: 'unauthorized',
  18: 'authentication-failed',
  23: 'already-initialized',
  59: 'unknown-command',
  91: 'shutting-down',
  94: 'not-yet-initialized',
  125: 'election-failed',
  10107: 'not-primary',
  51003: 'user-exists',
  13435: 'not-primary',
  11600: 'shutting-down',
  11602: 'not-primary',
};

/** Runs a command and names its outcome. Only a failure that is no answer of a server or driver is thrown. */
export async function outcomeOf<T>(command: Promise<T>): Promise<CommandOutcome<T>> {
  try {
    return { ok: true, value: await command };
  } catch (error) {
    return { ok: false, failure: failureOf(error) };
  }
}

function failureOf(error: unknown): CommandFailure {
  if (error instanceof MongoServerError) {
    const code = typeof error.code === 'number' ? error.code : null;
    return { kind: (code === null ? undefined : KIND_OF_CODE[code]) ?? 'other', code, message: error.message };
  }
  // Everything else of the driver is a connection that cannot be had, was lost or was too slow.
  if (error instanceof MongoError) return { kind: 'unreachable', code: null, message: error.message };
  throw error;
}
