import type { BackupFailure, BackupJob } from '@atrest/contracts';
import { rows, type Transaction } from '@atrest/platform-persistence';

/** A job as it is stored. */
export interface StoredJob {
  readonly id: string;
  readonly kind: BackupJob['kind'];
  readonly clusterId: string;
  readonly epochId: string;
  readonly snapshotIds: readonly string[];
  readonly status: 'OPEN' | 'CANCELLING' | 'DONE' | 'FAILED';
  readonly member: string | null;
  readonly job: BackupJob;
  /** Of the last event of its task. */
  readonly taskRevision: number;
}

const SELECT = `SELECT id, kind, cluster_id AS "clusterId", epoch_id AS "epochId", snapshot_ids AS "snapshotIds", status, member, job,
    task_revision AS "taskRevision"
  FROM backup_job`;

const snapshotsOf = (job: BackupJob): readonly string[] => (job.kind === 'delete-snapshots' ? job.snapshotIds : [job.snapshotId]);

/** Jobs in the database. */
export class BackupJobRepository {
  /** Stores a job; `busy` when one of its kind is under way where only one may be. */
  async insert(tx: Transaction, job: BackupJob): Promise<'ordered' | 'busy'> {
    const inserted = await rows(
      tx,
      `INSERT INTO backup_job (id, kind, project_id, cluster_id, epoch_id, snapshot_ids, status, ordered_at, job)
       VALUES ($1, $2, $3, $4, $5, $6, 'OPEN', $7, $8) ON CONFLICT DO NOTHING RETURNING id`,
      [job.id, job.kind, job.projectId, job.clusterId, job.epochId, snapshotsOf(job), job.orderedAt, JSON.stringify(job)],
    );
    return inserted.length === 1 ? 'ordered' : 'busy';
  }

  /** Nobody changes it before the transaction ends. */
  async lock(tx: Transaction, id: string): Promise<StoredJob | null> {
    return (await rows<StoredJob>(tx, `${SELECT} WHERE id = $1 FOR UPDATE`, [id]))[0] ?? null;
  }

  /** Whether work of a kind is under way for a cluster. */
  async isUnderWay(tx: Transaction, clusterId: string, kind: 'take-snapshot' | 'prove-snapshot'): Promise<boolean> {
    const open = await rows(tx, `SELECT FROM backup_job WHERE cluster_id = $1 AND kind = $2 AND status IN ('OPEN', 'CANCELLING')`, [
      clusterId,
      kind,
    ]);
    return open.length > 0;
  }

  /** `hostname:port` of the member that a job copied; null when none was chosen. */
  async memberOf(tx: Transaction, id: string): Promise<string | null> {
    return (await rows<{ member: string | null }>(tx, 'SELECT member FROM backup_job WHERE id = $1', [id]))[0]?.member ?? null;
  }

  /** What the task's events say; an older one says nothing new. */
  async follow(
    tx: Transaction,
    id: string,
    task: { readonly revision: number; readonly hostId: string | null; readonly member: string | null },
  ): Promise<'followed' | 'known-already'> {
    const updated = await rows(
      tx,
      `UPDATE backup_job SET task_revision = $2, host_id = COALESCE($3, host_id), member = COALESCE($4, member)
       WHERE id = $1 AND task_revision < $2 AND status IN ('OPEN', 'CANCELLING') RETURNING id`,
      [id, task.revision, task.hostId, task.member],
    );
    return updated.length === 1 ? 'followed' : 'known-already';
  }

  async finish(tx: Transaction, id: string, status: 'DONE' | 'FAILED', failure: BackupFailure | null, at: Date): Promise<void> {
    await rows(tx, 'UPDATE backup_job SET status = $2, failure = $3, finished_at = $4 WHERE id = $1', [
      id,
      status,
      failure === null ? null : JSON.stringify(failure),
      at,
    ]);
  }

  async markCancelling(tx: Transaction, id: string): Promise<'marked' | 'over-already'> {
    const updated = await rows(tx, `UPDATE backup_job SET status = 'CANCELLING' WHERE id = $1 AND status = 'OPEN' RETURNING id`, [id]);
    return updated.length === 1 ? 'marked' : 'over-already';
  }

  /** Forgets some that ended before; answers how many. */
  async prune(tx: Transaction, before: Date, limit: number): Promise<number> {
    const pruned = await rows(
      tx,
      `DELETE FROM backup_job WHERE id IN (SELECT id FROM backup_job WHERE finished_at < $1 ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED)
       RETURNING id`,
      [before, limit],
    );
    return pruned.length;
  }
}
