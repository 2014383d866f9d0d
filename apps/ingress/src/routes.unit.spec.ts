import 'reflect-metadata';
import { fleetControllers } from '@atrest/fleet';
import { kmsValidationControllers } from '@atrest/kms-validation';
import { notificationControllers } from '@atrest/notification';
import { collectRoutes } from '@atrest/platform-http';
import { snapshotCatalogControllers } from '@atrest/snapshot-catalog';
import { expect, it } from 'vitest';
import { upstreamOf, type Upstream } from './routes.js';

const controllers: Record<string, Parameters<typeof collectRoutes>[0]> = {
  fleet: fleetControllers,
  'kms-validation': kmsValidationControllers,
  notification: notificationControllers,
  'snapshot-catalog': snapshotCatalogControllers,
};

it.each(Object.keys(controllers))('leads to %s what it serves, under every prefix', (service) => {
  const paths = collectRoutes(controllers[service]!).flatMap((route) => route.paths.map((path) => path.replaceAll(/:[A-Za-z]\w*/g, 'x1')));
  expect(paths.length).toBeGreaterThan(0);
  expect(paths.filter((path) => upstreamOf(path) !== service)).toEqual([]);
});

it.each<[string, Upstream]>([
  ['/', 'fleet'],
  ['/api/oauth/token', 'fleet'],
  ['/api/atlas/v2/groups/1/encryptionAtRestOther', 'fleet'],
  ['/api/atlas/v2/groups/1/clusters/encryptionAtRest', 'fleet'],
  ['/api/atlas/v2/groups/encryptionAtRest', 'fleet'],
  ['/api/atlas/v2/groups/1/alertConfigs/2/alerts', 'notification'],
  ['/api/atlas/v2/groups/1/events', 'notification'],
  ['/api/atlas/v2/alertConfigs/matchers/fieldNames', 'notification'],
  ['/api/atlas/v2/groups/1/eventsOfOthers', 'fleet'],
  ['/api/atlas/v3/groups/1/alerts', 'fleet'],
  ['/api/atlas/v2/groups/1/clusters/c/backup/restoreJobs/7', 'restore-execution'],
  ['/downloads/token', 'restore-execution'],
  ['/api/atlas/v2/groups/1/clusters/c/backup/snapshots/7', 'snapshot-catalog'],
  ['/api/atlas/v1.0/groups/1/clusters/c/backup/schedule', 'snapshot-catalog'],
  ['/api/atlas/v2/groups/1/clusters/c/backup/snapshotsOfOthers', 'fleet'],
  ['/api/atlas/v2/groups/1/encryptionKeys', 'snapshot-catalog'],
  ['/api/atlas/v2/groups/1/encryptionKeys/arn%3Aaws%3Akms%2Fkey%3A1:deletion-check', 'snapshot-catalog'],
  ['/api/atlas/v2/groups/1/flexClusters/c/backup/restoreJobs', 'fleet'],
])('%s belongs to %s', (path, upstream) => {
  expect(upstreamOf(path)).toBe(upstream);
});
