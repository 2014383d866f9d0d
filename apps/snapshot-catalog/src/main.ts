import { hostService } from '@atrest/platform-host';
import { createSnapshotCatalogService, type SnapshotCatalogOptions } from '@atrest/snapshot-catalog';
import { snapshotCatalogFields } from './configuration.js';

await hostService({
  name: 'snapshot-catalog',
  fields: snapshotCatalogFields,
  prepare: (configuration): SnapshotCatalogOptions => ({ issuer: configuration.ATREST_PUBLIC_URL }),
  create: createSnapshotCatalogService,
});
