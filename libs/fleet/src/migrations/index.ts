import { Fleet1795392200000 } from './1795392200000-fleet.js';
import { ClusterChanges1795392500000 } from './1795392500000-cluster-changes.js';
import { HostSealingKey1795392600000 } from './1795392600000-host-sealing-key.js';
import { BackupTasks1795481100000 } from './1795481100000-backup-tasks.js';
import { ClusterAccess1795481200000 } from './1795481200000-cluster-access.js';
import { SnapshotParts1795481300000 } from './1795481300000-snapshot-parts.js';

/** Tables of projects, clusters, hosts and the agent channel. */
export const fleetMigrations = [
  Fleet1795392200000,
  ClusterChanges1795392500000,
  HostSealingKey1795392600000,
  BackupTasks1795481100000,
  ClusterAccess1795481200000,
  SnapshotParts1795481300000,
];
