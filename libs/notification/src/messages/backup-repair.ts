import type { BackupFailureCode } from '@atrest/contracts';

/** What somebody can do about a failure of work for backups; what the failure says itself comes before it. */
export const BACKUP_REPAIR: Readonly<Record<BackupFailureCode, string>> = {
  NO_SOURCE:
    'Let an agent that has a snapshot store run a member of the cluster that can be copied: a healthy secondary, or choose another sync source.',
  NO_SNAPSHOT_STORE: 'Configure snapshotStore in the settings of an agent of this cluster and restart that agent.',
  HOST_SILENT: 'Look at the host: its agent was not heard of. The work is done by another host, or begins anew when the agent is back.',
  TOO_MANY_FILES: 'Drop collections and indexes that are not needed, or divide the data among more clusters: each is at least one file.',
  SOURCE_DISK_FULL: 'Free or add disk space on the host of the member that was copied.',
  STORE_FULL: 'Add space to the snapshot store, or keep fewer snapshots.',
  STORE_UNAVAILABLE: 'Look at the snapshot store and at the way to it from the host of the agent.',
  STORE_REFUSED: 'Check the credentials of the agent for its snapshot store, and what they allow.',
  SOURCE_CHANGED: 'Nothing, if it was a single election or restart; the next attempt copies from a member that is healthy then.',
  NO_METHOD: 'Look at what the server said of each method, and at the rights of the agent’s user on it.',
  SOURCE_ACCESS_DENIED: 'Give the agent a login for the cluster with the roles that the documentation lists.',
  KEY_REFUSED: 'Look at the customer key: enable it, call off its deletion, or give the access back that was taken.',
  KEY_UNREACHABLE: 'Check the network, name resolution and limits between the host of the agent and the KMS.',
  KEY_CHANGED: 'Nothing: the next snapshot is taken under the key that the project uses now.',
  NOT_PROVEN: 'Do not rely on this snapshot. Take one on demand, and report this: it must not happen.',
  STORE_DAMAGED:
    'Find out what changed objects in the snapshot store, take a snapshot on demand now, and bring the objects back from a copy of the store if there is one.',
  SNAPSHOT_MISSING: 'Find out who deleted it from the snapshot store, and bring its objects back from a copy of the store if there is one.',
  ALREADY_RUNNING: 'Nothing: only one snapshot of a cluster is taken at a time.',
  NOT_CUT:
    'Look whether all members that are copied, and their agents, run and keep up with their primaries: every replica set of the cluster has to come to one moment together.',
  BALANCER_NOT_STOPPED: 'Look whether a mongos of the cluster runs and nobody else starts the balancer, and wait for chunks that move.',
  CANCELLED: 'Nothing: somebody cancelled it.',
  CLUSTER_DISABLED: 'Make the customer key usable again: the schedule goes on by itself as soon as the cluster runs.',
  CLUSTER_GONE: 'Nothing: the cluster was deleted.',
  INTERNAL: 'Look at the log of the agent and of the service snapshot-catalog at that time, and report what they say.',
};
