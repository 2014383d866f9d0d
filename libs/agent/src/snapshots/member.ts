import type { ProcessGoal } from '@atrest/contracts';
import type { MongodConnection, ProcessIdentity } from '@atrest/mongod';

/** A member as work for backups sees it. Its supervisor is one. */
export interface BackupMember {
  readonly goal: ProcessGoal;
  /** The process that runs and takes connections; null while there is none, and from the moment it is told to stop. */
  readonly process: ProcessIdentity | null;
  /** A connection of its own, for commands that take minutes. The caller closes it. */
  connect(): Pick<MongodConnection, 'run' | 'close'>;
  /** The same to another server of its cluster, `hostname:port`, with the login that there is for this one. */
  connectTo(address: string): Pick<MongodConnection, 'run' | 'close'>;
  /** Keeps the process stopped, whatever its goal says, until {@link resume}; resolves when it has ended. Another life of the agent starts it again. */
  suspend(reason: string, signal: AbortSignal): Promise<void>;
  /** The goal counts again. */
  resume(): void;
}
