import type { RunCommand } from '@atrest/mongod';
import type { Clock } from '@atrest/platform-time';
import type { Logger } from '@atrest/platform-logging';
import type { LeaseTimes } from '@atrest/snapshot-store';
import type { BalancerNotes } from './balancer.js';
import type { AgentKmsOptions } from './task-key.js';
import type { HoldNotes } from './holds.js';
import type { BackupMember } from './member.js';
import type { AgentSnapshotStore } from './store-settings.js';

/** What work on snapshots needs of its host. */
export interface BackupHost {
  /** The name under which other hosts reach this one. */
  readonly hostname: string;
  readonly store: AgentSnapshotStore;
  readonly member: (processId: string) => BackupMember | null;
  /** Opens what is sealed for this host. */
  readonly openSealed: (sealed: string) => Promise<string>;
  readonly kms: AgentKmsOptions;
  readonly notes: HoldNotes;
  readonly balancers: BalancerNotes;
  /** Gives back what earlier snapshots left on a process. */
  readonly settle: (processId: string, run: RunCommand) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** What is held is looked after this often: far below the 10 minutes after which a server closes a cursor that nobody reads. */
  readonly keepAliveMs: number;
  /** For how long a part of a sharded cluster waits to be cut; 10 minutes. Tests shorten it. */
  readonly holdLimitMs?: number;
  /** Of the store; tests shorten them. */
  readonly leaseTimes?: LeaseTimes;
  /** As `collectEpoch` and `deleteEpoch` have it; tests shorten it. */
  readonly graceMs?: number;
}
