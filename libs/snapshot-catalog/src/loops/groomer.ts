import type { Logger } from '@atrest/platform-logging';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import type { BackupJobRepository } from '../jobs/backup-job.repository.js';
import type { BackupJobs } from '../jobs/backup-jobs.js';
import type { Epoch } from '../snapshots/epoch.repository.js';
import { firstIdOf } from '../snapshots/partitions.js';
import { groom } from '../snapshots/retention-policy.js';
import type { SnapshotChanges } from '../snapshots/snapshot-changes.js';
import type { SnapshotRepository } from '../snapshots/snapshot.repository.js';
import { fail, remove, storedIds, type Snapshot } from '../snapshots/snapshot-state.js';

const DAY_MS = 86_400_000;
/** In one transaction: each is a few statements and an event. */
const BATCH = 100;
/** Of one deletion job: an agent deletes some a second and should be done within minutes. */
const SNAPSHOTS_OF_A_JOB = 100;
/** For who asks what became of a snapshot. */
const DELETED_KEPT_MS = 90 * DAY_MS;
const JOBS_KEPT_MS = 30 * DAY_MS;
const PRUNE_BATCH = 1_000;

export interface GroomerParts {
  readonly database: ServiceDatabase;
  readonly snapshots: SnapshotRepository;
  readonly changes: SnapshotChanges;
  readonly jobs: BackupJobRepository;
  readonly orders: BackupJobs;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Deletes what nobody keeps any more: from the catalogue at once, from the store by jobs that are ordered until they were done. */
export class Groomer {
  constructor(private readonly parts: GroomerParts) {}

  /** One round; `'again'` when more is left than one round may do. */
  async run(): Promise<void | 'again'> {
    const expired = await this.expire();
    const discarded = await this.discard();
    await this.clearStore();
    const pruned = await this.prune();
    return expired === BATCH || discarded === BATCH || pruned === PRUNE_BATCH ? 'again' : undefined;
  }

  /** Those whose retention is over; answers how many. */
  expire(): Promise<number> {
    const { database, snapshots, changes, clock, logger } = this.parts;
    return database.transaction(async (tx) => {
      const now = clock.now();
      let count = 0;
      for (const snapshot of await snapshots.claimExpired(tx, now, BATCH)) {
        // Read under the cluster's lock: a deletion of the newest one may just have made this the last good one.
        const [backup] = await rows<{ last: string | null }>(
          tx,
          'SELECT last_snapshot_id AS last FROM cluster_backup WHERE cluster_id = $1 FOR UPDATE',
          [snapshot.clusterId],
        );
        if (snapshot.status !== 'completed' && snapshot.status !== 'failed') continue;
        const decision = groom({ ...snapshot, status: snapshot.status }, backup?.last ?? null, now);
        if (decision !== 'delete') continue;
        await changes.apply(tx, snapshot, remove(snapshot, now));
        count += 1;
      }
      if (count > 0) logger.info({ count }, 'snapshots whose retention is over were deleted');
      return count;
    });
  }

  /** Those of clusters that are gone, or whose backup was turned off, without a wish to keep them; answers how many. */
  discard(): Promise<number> {
    const { database, snapshots, clock } = this.parts;
    return database.transaction(async (tx) => {
      const now = clock.now();
      const [claimed] = await rows<{ clusterId: string; until: Date }>(
        tx,
        `SELECT cluster_id AS "clusterId", discard_until AS until FROM cluster_backup WHERE discard_until IS NOT NULL
         ORDER BY discard_until LIMIT 1 FOR UPDATE SKIP LOCKED`,
      );
      if (claimed === undefined) return 0;
      // An id begins with its second: what was asked for in the last one goes, too.
      const before = firstIdOf(new Date(claimed.until.getTime() + 1_000));
      const batch = await snapshots.ofClusterBefore(tx, claimed.clusterId, before, BATCH);
      for (const snapshot of batch) await this.discardOne(tx, snapshot, now);
      // One that somebody else holds was passed by; the next round finds it.
      const left = await snapshots.isAnyBefore(tx, claimed.clusterId, before);
      if (!left) await rows(tx, 'UPDATE cluster_backup SET discard_until = NULL WHERE cluster_id = $1', [claimed.clusterId]);
      return batch.length;
    });
  }

  private async discardOne(tx: Transaction, snapshot: Snapshot, now: Date): Promise<void> {
    const { changes, orders } = this.parts;
    let current = snapshot;
    if (snapshot.status === 'queued' || snapshot.status === 'inProgress') {
      if (snapshot.jobId !== null) await orders.cancel(tx, snapshot.jobId);
      const failure = { code: 'CLUSTER_GONE', detail: 'The cluster was deleted, or its backup turned off.' } as const;
      const failed = await changes.apply(tx, snapshot, fail(snapshot, failure, null, now));
      if (failed.kind === 'changed') current = failed.snapshot;
    }
    await changes.apply(tx, current, remove(current, now));
  }

  /** Orders deletions from the store, one at a time for each epoch; answers how many. */
  clearStore(): Promise<number> {
    const { database, orders, clock } = this.parts;
    return database.transaction(async (tx) => {
      const now = clock.now();
      const epochs = await rows<Epoch>(
        tx,
        `SELECT e.id, e.cluster_id AS "clusterId", e.project_id AS "projectId", e.provider, e.encryption_key_id AS "encryptionKeyId"
         FROM epoch e
         WHERE e.id IN (SELECT epoch_id FROM snapshot WHERE clear_store UNION SELECT id FROM epoch WHERE collection_due)
           AND e.clearing_after <= $1
           AND NOT EXISTS (SELECT FROM backup_job j WHERE j.epoch_id = e.id AND j.kind = 'delete-snapshots' AND j.status IN ('OPEN', 'CANCELLING'))
         ORDER BY e.clearing_after LIMIT ${BATCH} FOR UPDATE OF e SKIP LOCKED`,
        [now],
      );
      let ordered = 0;
      for (const epoch of epochs) {
        const ids = await this.clearable(tx, epoch.id);
        if (ids.length === 0 && !(await this.isCollectionDue(tx, epoch.id))) continue;
        if ((await orders.clear(tx, epoch, ids)) === 'ordered') ordered += 1;
      }
      return ordered;
    });
  }

  /** Not one that an agent still writes, nor one that another is being built on: they wait for its end. */
  private async clearable(tx: Transaction, epochId: string): Promise<string[]> {
    const found = await rows<Pick<Snapshot, 'id' | 'parts'>>(
      tx,
      `SELECT s.id, s.parts FROM snapshot s WHERE s.epoch_id = $1 AND s.clear_store
         AND NOT EXISTS (
           SELECT FROM backup_job j WHERE j.cluster_id = s.cluster_id AND j.kind = 'take-snapshot' AND j.status IN ('OPEN', 'CANCELLING')
             AND (j.id = s.job_id OR j.job ->> 'parentSnapshotId' = s.id))
       ORDER BY s.id LIMIT ${SNAPSHOTS_OF_A_JOB}`,
      [epochId],
    );
    return found.flatMap(storedIds);
  }

  private async isCollectionDue(tx: Transaction, epochId: string): Promise<boolean> {
    return (await rows(tx, 'SELECT FROM epoch WHERE id = $1 AND collection_due', [epochId])).length > 0;
  }

  /** Forgets what was deleted long ago; answers how many at most of a kind. */
  private prune(): Promise<number> {
    const { database, jobs, clock } = this.parts;
    return database.transaction(async (tx) => {
      const now = clock.now().getTime();
      const forgotten = await rows(
        tx,
        `DELETE FROM snapshot WHERE id IN (SELECT id FROM snapshot WHERE deleted_at < $1 AND NOT clear_store ORDER BY deleted_at LIMIT $2
           FOR UPDATE SKIP LOCKED) RETURNING id`,
        [new Date(now - DELETED_KEPT_MS), PRUNE_BATCH],
      );
      return Math.max(forgotten.length, await jobs.prune(tx, new Date(now - JOBS_KEPT_MS), PRUNE_BATCH));
    });
  }
}
