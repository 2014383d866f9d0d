import { Fleet1795392200000 } from './1795392200000-fleet.js';
import { ClusterChanges1795392500000 } from './1795392500000-cluster-changes.js';
import { HostSealingKey1795392600000 } from './1795392600000-host-sealing-key.js';

/** Tables of projects, clusters, hosts and the agent channel. */
export const fleetMigrations = [Fleet1795392200000, ClusterChanges1795392500000, HostSealingKey1795392600000];
