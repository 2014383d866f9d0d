import { Fleet1795392200000 } from './1795392200000-fleet.js';

/** Tables of projects, clusters, hosts and the agent channel. */
export const fleetMigrations = [Fleet1795392200000];
