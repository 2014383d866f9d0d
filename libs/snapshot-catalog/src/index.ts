export { createSnapshotCatalogService, snapshotCatalogMigrations, type SnapshotCatalogOptions } from './snapshot-catalog.service.js';
export { snapshotCatalogControllers } from './snapshot-catalog.module.js';
export { firstIdOf, monthOf, monthOfId, SnapshotPartitions, type Month } from './snapshots/partitions.js';
