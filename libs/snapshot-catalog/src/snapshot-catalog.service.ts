import { accessConsumes, accessHandlers, accessMigrations, accessModule, AccessStore } from '@atrest/platform-auth';
import { EventPublisher, Messaging, messagingMigrations } from '@atrest/platform-messaging';
import { ServiceDatabase } from '@atrest/platform-persistence';
import type { Service, ServiceDependencies } from '@atrest/platform-service';
import { BackupJobRepository } from './jobs/backup-job.repository.js';
import { BackupJobs } from './jobs/backup-jobs.js';
import { taskConsumes, TaskFollower } from './jobs/task-follower.js';
import { KeyUsageRepository } from './key-usage/key-usage.repository.js';
import { KeyUsages } from './key-usage/key-usage.service.js';
import { CatalogueLoops } from './loops/catalogue-loops.js';
import { Groomer } from './loops/groomer.js';
import { Proofs } from './loops/proofs.js';
import { Scheduler } from './loops/scheduler.js';
import { SnapshotCatalog1795600000000 } from './migrations/1795600000000-snapshot-catalog.js';
import { SnapshotParts1795600100000 } from './migrations/1795600100000-snapshot-parts.js';
import { ClusterProjection } from './projections/cluster-projection.js';
import { projectionConsumes, projectionHandlers, projectionIgnores } from './projections/handlers.js';
import { KeyConfigurationProjection } from './projections/key-configuration-projection.js';
import { ProjectProjection } from './projections/project-projection.js';
import { BackupHealths } from './schedule/backup-health.js';
import { ClusterFollower } from './schedule/cluster-follower.js';
import { ScheduleRepository } from './schedule/schedule.repository.js';
import { Schedules } from './schedule/schedules.js';
import { snapshotCatalogModule } from './snapshot-catalog.module.js';
import { SnapshotMetrics } from './snapshot-metrics.js';
import { EpochRepository } from './snapshots/epoch.repository.js';
import { SnapshotPartitions } from './snapshots/partitions.js';
import { SnapshotChanges } from './snapshots/snapshot-changes.js';
import { SnapshotRepository } from './snapshots/snapshot.repository.js';
import { Snapshots } from './snapshots/snapshots.js';

const HOUR_MS = 3_600_000;

export interface SnapshotCatalogOptions {
  /** The `iss` of access tokens: the same text as `fleet` is given. */
  readonly issuer: string;
  /**
   * Milliseconds after which a scheduled run that is not completed is told of; 3 hours by default: a run with its retries is over by then, and half of the
   * time to the next one of the default schedule is left to act.
   */
  readonly overdueAfterMs?: number;
  /** Milliseconds for which a request waits for a cluster that is not known yet; 2,000 by default. */
  readonly projectionWaitMs?: number;
  /** In [0, 1): the time of day of new schedules; `Math.random` unless a test wants to know. */
  readonly random?: () => number;
}

/** The service, and what its tests and tools reach into. */
export interface SnapshotCatalogService extends Service {
  readonly snapshots: Snapshots;
  readonly schedules: Schedules;
  readonly scheduler: Scheduler;
  readonly groomer: Groomer;
  readonly proofs: Proofs;
  readonly loops: CatalogueLoops;
}

/** This service's own tables, without those of messaging and access. */
export const snapshotCatalogMigrations = [SnapshotCatalog1795600000000, SnapshotParts1795600100000];

/** Snapshots, their schedules and retention (DESIGN: snapshot-catalog), ready to start. */
export async function createSnapshotCatalogService(
  dependencies: ServiceDependencies,
  options: SnapshotCatalogOptions,
): Promise<SnapshotCatalogService> {
  const { clock, logger, transport } = dependencies;
  const service = 'snapshot-catalog';
  const database = await ServiceDatabase.open({
    ...dependencies.database,
    service,
    migrations: [...messagingMigrations, ...accessMigrations, ...snapshotCatalogMigrations],
    logger,
    metrics: dependencies.metrics,
  });
  const access = new AccessStore(database, clock);
  const publisher = new EventPublisher(service, clock);
  const metrics = new SnapshotMetrics(dependencies.metrics);
  const projects = new ProjectProjection(database);
  const clusters = new ClusterProjection(database);
  const keyConfigurations = new KeyConfigurationProjection(database);
  const partitions = new SnapshotPartitions(database);
  const repository = new SnapshotRepository(database, partitions);
  const changes = new SnapshotChanges({ repository, publisher, metrics });
  const epochs = new EpochRepository(keyConfigurations);
  const jobs = new BackupJobRepository();
  const schedules = new ScheduleRepository(database);
  const healths = new BackupHealths({ database, publisher });
  const common = { database, clusters, keyConfigurations, changes, epochs, jobs, schedules, healths, metrics, publisher, clock, logger };
  const orders = new BackupJobs({ ...common, snapshots: repository });
  const parts = { ...common, orders, snapshots: repository };
  const follower = new ClusterFollower({ ...parts, random: options.random ?? Math.random });
  const scheduler = new Scheduler({ ...parts, follower });
  const groomer = new Groomer(parts);
  const proofs = new Proofs(parts);
  const loops = new CatalogueLoops({
    ...parts,
    scheduler,
    groomer,
    proofs,
    partitions,
    overdueAfterMs: options.overdueAfterMs ?? 3 * HOUR_MS,
  });
  const tasks = new TaskFollower(parts);
  const snapshotUseCases = new Snapshots({ ...parts, repository, projectionWaitMs: options.projectionWaitMs ?? 2_000 });
  const scheduleUseCases = new Schedules({ ...parts, repository, snapshots: snapshotUseCases });
  const messaging = new Messaging({
    service,
    database,
    transport,
    consumes: [...projectionConsumes, ...taskConsumes, ...accessConsumes],
    handlers: [...projectionHandlers({ projects, clusters, keyConfigurations, follower }), ...tasks.handlers(), ...accessHandlers(access)],
    ignores: projectionIgnores,
    clock,
    logger,
    metrics: dependencies.metrics,
  });
  const guard = accessModule({ store: access, clock, logger, issuer: options.issuer, projects });
  const keyUsages = new KeyUsages({ repository: new KeyUsageRepository(database), keyConfigurations, projects, clock });
  return {
    name: service,
    module: snapshotCatalogModule(guard, { snapshots: snapshotUseCases, schedules: scheduleUseCases, keyUsages }),
    messaging,
    snapshots: snapshotUseCases,
    schedules: scheduleUseCases,
    scheduler,
    groomer,
    proofs,
    loops,
    async start() {
      await partitions.prepare(clock.now());
      await messaging.start();
      loops.start();
    },
    async stop() {
      await loops.stop();
      await messaging.stop();
      await database.close();
    },
    async readiness() {
      const answers = await Promise.all([database.readiness(), messaging.readiness()]);
      return answers.find(({ ok }) => !ok) ?? { ok: true };
    },
  };
}
