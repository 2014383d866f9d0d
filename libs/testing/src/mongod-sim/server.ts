import type { Faults } from './control/faults.js';
import type { Doc } from './bson-values.js';
import type { CommandContext, CommandTable } from './commands/command.js';
import type { CursorSource, Cursors } from './commands/cursors.js';
import type { DataWriter } from './storage/data-writer.js';
import type { StorageEngine } from './storage/engine.js';
import type { FsyncLock } from './storage/fsync-lock.js';
import type { ServerLog } from './process/log.js';
import type { ServerOptions } from './process/options.js';
import type { Parameters, Timings } from './process/parameters.js';
import type { Replication } from './replication/replication.js';
import type { TopologyVersion } from './topology-version.js';
import type { WireServer } from './wire/server.js';

/** A wish to stop, from a signal or from the command `shutdown`. */
export interface StopRequest {
  /** Name of the thread in the log. */
  context: string;
  /** Stop even when no secondary can take over. */
  force: boolean;
  /** How long a primary waits for an electable secondary. */
  waitMs: number;
}

/** What both programs have. */
export interface ServerBase {
  options: ServerOptions;
  parameters: Parameters;
  timings: Timings;
  log: ServerLog;
  faults: Faults;
  topology: TopologyVersion;
  wire: WireServer;
  /** Wall clock of the start, in milliseconds. */
  startedAt: number;
  stopping: boolean;
  /** Stops the server; the promise settles only when it refuses to. */
  stop(request: StopRequest): Promise<void>;
}

/** Who may do what, as commands ask for it. Declared here, because whoever answers needs the whole server. */
export interface AccessControl {
  /** Throws Unauthorized (13). */
  admit(context: CommandContext): Promise<void>;
  /** What a login adds to the reply of `hello`. */
  greet(context: CommandContext): Doc;
  /** The commands that log in and out. */
  commands(): CommandTable;
}

/** `$backupCursor` and `$backupCursorExtend`, as commands ask for them. */
export interface Backup {
  readonly isOpen: boolean;
  open(): CursorSource;
  extend(operand: unknown): Promise<CursorSource>;
}

/** The parts of a running mongod, as its commands see them. */
export interface MongodServer extends ServerBase {
  engine: StorageEngine;
  writer: DataWriter;
  cursors: Cursors;
  backup: Backup;
  fsyncLock: FsyncLock;
  /** Absent without a key file: then everybody may do everything. */
  access: AccessControl | undefined;
  /** Absent when the server runs without --replSet. */
  replication: Replication | undefined;
}
