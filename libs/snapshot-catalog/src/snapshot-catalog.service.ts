import { accessConsumes, accessHandlers, accessMigrations, accessModule, AccessStore } from '@atrest/platform-auth';
import { Messaging, messagingMigrations } from '@atrest/platform-messaging';
import { ServiceDatabase } from '@atrest/platform-persistence';
import type { Service, ServiceDependencies } from '@atrest/platform-service';
import { KeyUsageRepository } from './key-usage/key-usage.repository.js';
import { KeyUsages } from './key-usage/key-usage.service.js';
import { SnapshotCatalog1795600000000 } from './migrations/1795600000000-snapshot-catalog.js';
import { ClusterProjection } from './projections/cluster-projection.js';
import { projectionConsumes, projectionHandlers, projectionIgnores } from './projections/handlers.js';
import { KeyConfigurationProjection } from './projections/key-configuration-projection.js';
import { ProjectProjection } from './projections/project-projection.js';
import { snapshotCatalogModule } from './snapshot-catalog.module.js';
import { SnapshotPartitions } from './snapshots/partitions.js';

export interface SnapshotCatalogOptions {
  /** The `iss` of access tokens: the same text as `fleet` is given. */
  readonly issuer: string;
}

/** This service's own tables, without those of messaging and access. */
export const snapshotCatalogMigrations = [SnapshotCatalog1795600000000];

/** Snapshots, their schedules and retention (DESIGN: snapshot-catalog), ready to start. */
export async function createSnapshotCatalogService(dependencies: ServiceDependencies, options: SnapshotCatalogOptions): Promise<Service> {
  const { clock, logger, metrics, transport } = dependencies;
  const service = 'snapshot-catalog';
  const database = await ServiceDatabase.open({
    ...dependencies.database,
    service,
    migrations: [...messagingMigrations, ...accessMigrations, ...snapshotCatalogMigrations],
    logger,
    metrics,
  });
  const partitions = new SnapshotPartitions(database);
  const access = new AccessStore(database, clock);
  const projects = new ProjectProjection(database);
  const clusters = new ClusterProjection(database);
  const keyConfigurations = new KeyConfigurationProjection(database);
  const messaging = new Messaging({
    service,
    database,
    transport,
    consumes: [...projectionConsumes, ...accessConsumes],
    handlers: [...projectionHandlers({ projects, clusters, keyConfigurations }), ...accessHandlers(access)],
    ignores: projectionIgnores,
    clock,
    logger,
    metrics,
  });
  const guard = accessModule({ store: access, clock, logger, issuer: options.issuer, projects });
  const keyUsages = new KeyUsages({ repository: new KeyUsageRepository(database), keyConfigurations, projects, clock });
  return {
    name: service,
    module: snapshotCatalogModule(guard, { keyUsages }),
    messaging,
    async start() {
      await partitions.prepare(clock.now());
      await messaging.start();
    },
    async stop() {
      await messaging.stop();
      await database.close();
    },
    async readiness() {
      const answers = await Promise.all([database.readiness(), messaging.readiness()]);
      return answers.find(({ ok }) => !ok) ?? { ok: true };
    },
  };
}
