import type { ClusterState, DisabledReason } from '@atrest/contracts';
import type { ProcessDefinition } from './process-goal.js';
import type { ProcessView } from './process-view.js';
import type { ClusterChange, ClusterSettings } from './settings/cluster-settings.js';

/** A cluster as it is stored. */
export interface Cluster {
  readonly id: string;
  readonly projectId: string;
  readonly name: string;
  readonly state: ClusterState;
  /** When the state was entered. */
  readonly stateSince: Date;
  readonly disabledReason: DisabledReason | null;
  readonly settings: ClusterSettings;
  /** Accepted while the cluster is disabled; applied when it is enabled. */
  readonly pendingChanges: ClusterChange | null;
  readonly processArgs: Readonly<Record<string, unknown>>;
  readonly createdAt: Date;
  readonly deletedAt: Date | null;
  /** Grows with every write. */
  readonly revision: number;
}

/** A process with what was ordered and seen, and what it is started with. */
export type ClusterProcess = ProcessView & ProcessDefinition;

export interface ClusterWithProcesses {
  readonly cluster: Cluster;
  readonly processes: readonly ClusterProcess[];
}
