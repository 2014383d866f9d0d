import type { Logger } from '@atrest/platform-logging';
import { type ServiceDatabase } from '@atrest/platform-persistence';
import { BackgroundLoop, type Clock } from '@atrest/platform-time';
import type { BackupJobs } from '../jobs/backup-jobs.js';
import type { BackupHealths } from '../schedule/backup-health.js';
import type { SnapshotMetrics } from '../snapshot-metrics.js';
import type { SnapshotPartitions } from '../snapshots/partitions.js';
import type { Groomer } from './groomer.js';
import type { Proofs } from './proofs.js';
import type { Scheduler } from './scheduler.js';

/** A schedule counts in minutes. */
const SCHEDULE_INTERVAL_MS = 5_000;
const INTERVAL_MS = 60_000;
/** In one transaction. */
const BATCH = 100;

export interface CatalogueLoopsParts {
  readonly database: ServiceDatabase;
  readonly scheduler: Scheduler;
  readonly groomer: Groomer;
  readonly proofs: Proofs;
  readonly healths: BackupHealths;
  readonly orders: BackupJobs;
  readonly partitions: SnapshotPartitions;
  readonly metrics: SnapshotMetrics;
  /** A scheduled run that is not completed after this time is told of. */
  readonly overdueAfterMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What is done by time. Every replica runs all of it: work is claimed, so nothing is done twice. */
export class CatalogueLoops {
  private readonly loops: readonly BackgroundLoop[];

  constructor(private readonly parts: CatalogueLoopsParts) {
    const { logger } = parts;
    const loop = (name: string, intervalMs: number, run: () => Promise<void | 'again'>): BackgroundLoop =>
      new BackgroundLoop({
        name,
        intervalMs,
        run,
        onError: (error) => logger.error({ err: error, loop: name }, 'a round failed; trying again'),
      });
    this.loops = [
      loop('snapshot-scheduler', SCHEDULE_INTERVAL_MS, async () => void (await parts.scheduler.runDue())),
      loop('snapshot-grooming', INTERVAL_MS, () => parts.groomer.run()),
      loop('snapshot-proofs', INTERVAL_MS, async () => void (await parts.proofs.runDue())),
      loop('snapshot-watch', INTERVAL_MS, () => this.watch()),
    ];
  }

  start(): void {
    for (const loop of this.loops) loop.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.loops.map((loop) => loop.stop()));
  }

  /** Tells of runs that are overdue, and orders what waits though nothing is in its way. */
  async watch(): Promise<void> {
    const { database, healths, partitions, metrics, overdueAfterMs, clock } = this.parts;
    const now = clock.now();
    await partitions.prepare(now);
    await database.transaction((tx) => healths.tellOfOverdue(tx, new Date(now.getTime() - overdueAfterMs), BATCH));
    metrics.due(await healths.oldestDue(), now);
    const waiting = await database.query<{ clusterId: string }>(
      `SELECT DISTINCT cluster_id AS "clusterId" FROM snapshot WHERE status = 'queued' AND job_id IS NULL AND deleted_at IS NULL LIMIT ${BATCH}`,
    );
    for (const { clusterId } of waiting) await database.transaction((tx) => this.parts.orders.takeNext(tx, clusterId));
  }
}
