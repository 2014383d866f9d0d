export {
  createSnapshotCatalogService,
  snapshotCatalogMigrations,
  type SnapshotCatalogOptions,
  type SnapshotCatalogService,
} from './snapshot-catalog.service.js';
export { snapshotTransitions } from './snapshots/snapshot-state.js';
export { snapshotCatalogControllers } from './snapshot-catalog.module.js';
export { firstIdOf, monthOf, monthOfId, SnapshotPartitions, type Month } from './snapshots/partitions.js';
export { importCatalogue, type ImportReport } from './import/import-catalogue.js';
