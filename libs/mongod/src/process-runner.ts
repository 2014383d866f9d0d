import type { ProcessIdentity, TableEntry } from './process-table.js';

export interface StartSpec {
  readonly program: string;
  readonly argv: readonly string[];
  readonly cwd: string;
  /** Standard output and error of the process go here; the file is emptied first. */
  readonly consolePath: string;
  readonly env: Readonly<Record<string, string>>;
}

/** How a supervised process ended. */
export interface ProcessExit {
  /** Null after a signal, and for a process that is not our child: the kernel tells only its parent. */
  readonly code: number | null;
  readonly signal: string | null;
}

/** A process that is, or was, running. */
export interface SupervisedProcess {
  readonly identity: ProcessIdentity;
  /** Started by an earlier agent or by somebody else. */
  readonly adopted: boolean;
  /** Resolves once, when the process is gone. Never rejects. */
  readonly exited: Promise<ProcessExit>;
}

/** Which process is looked for: the one on a data path, or the mongos on a port. */
export type ProcessQuery = { readonly dbPath: string } | { readonly mongosPort: number };

/** What became of a signal. `gone`: that process (not its pid) no longer exists; `not-permitted`: it belongs to another user. */
export type SignalOutcome = 'sent' | 'gone' | 'not-permitted';

/** Thrown when the program cannot be started at all. */
export class StartError extends Error {
  readonly code = 'MONGOD.NOT_STARTED';

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StartError';
  }
}

/**
 * Runs processes that outlive their runner. Everything is by {@link ProcessIdentity}: a pid alone may belong to somebody else by the time
 * it is used.
 */
export interface ProcessRunner {
  /** @throws StartError */
  start(spec: StartSpec): Promise<SupervisedProcess>;
  /** Takes charge of a process that is already running; null when it is gone. */
  adopt(identity: ProcessIdentity): Promise<SupervisedProcess | null>;
  find(query: ProcessQuery): Promise<TableEntry | null>;
  signal(identity: ProcessIdentity, signal: 'SIGTERM' | 'SIGKILL'): Promise<SignalOutcome>;
  isAlive(identity: ProcessIdentity): Promise<boolean>;
}
