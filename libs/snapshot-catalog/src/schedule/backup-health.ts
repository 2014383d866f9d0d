import {
  backupCaughtUp,
  backupFellBehind,
  backupPaused,
  backupProofOverdue,
  backupResumed,
  type BackupHealth,
  type EventDefinition,
} from '@atrest/contracts';
import type { EventPublisher } from '@atrest/platform-messaging';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { KnownCluster } from '../projections/cluster-projection.js';
import { isProofOverdue } from '../proof/proof-policy.js';
import { isQuiet, type Pause, type PauseCode } from './pause-policy.js';

/** The backups of a cluster as they stand. */
export interface KnownHealth {
  readonly clusterId: string;
  readonly projectId: string;
  readonly clusterName: string;
  readonly pausedCode: PauseCode | null;
  readonly pausedReason: string | null;
  readonly pausedSince: Date | null;
  /** The oldest scheduled run that is not completed. */
  readonly dueSince: Date | null;
  readonly behindSince: Date | null;
  readonly lastCompletedAt: Date | null;
  readonly lastSnapshotId: string | null;
  readonly proofOverdueSince: Date | null;
  readonly lastProvenAt: Date | null;
  readonly revision: number;
}

const COLUMNS = `cluster_id AS "clusterId", project_id AS "projectId", cluster_name AS "clusterName", paused_code AS "pausedCode",
  paused_reason AS "pausedReason", paused_since AS "pausedSince", due_since AS "dueSince", behind_since AS "behindSince",
  last_completed_at AS "lastCompletedAt", last_snapshot_id AS "lastSnapshotId", proof_overdue_since AS "proofOverdueSince",
  last_proven_at AS "lastProvenAt", health_revision AS revision`;

/** Whether the backups of clusters go as they should, and who hears when they do not: each turn is told of once. */
export class BackupHealths {
  constructor(private readonly parts: { readonly database: ServiceDatabase; readonly publisher: EventPublisher }) {}

  async find(clusterId: string): Promise<KnownHealth | null> {
    const found = await this.parts.database.query<KnownHealth>(`SELECT ${COLUMNS} FROM cluster_backup WHERE cluster_id = $1`, [clusterId]);
    return found[0] ?? null;
  }

  /** Keeps a row for a cluster whose backup is enabled. */
  async ensure(tx: Transaction, { id, projectId, name }: KnownCluster, firstProofAt: Date): Promise<void> {
    await rows(
      tx,
      `INSERT INTO cluster_backup (cluster_id, project_id, cluster_name, next_proof_at) VALUES ($1, $2, $3, $4)
       ON CONFLICT (cluster_id) DO UPDATE SET cluster_name = EXCLUDED.cluster_name,
         next_proof_at = COALESCE(cluster_backup.next_proof_at, EXCLUDED.next_proof_at)`,
      [id, projectId, name, firstProofAt],
    );
  }

  /** The schedule pauses, for this reason; or goes on: null. */
  async pause(tx: Transaction, clusterId: string, pause: Pause | null, now: Date): Promise<'unchanged' | 'changed'> {
    const health = await this.lock(tx, clusterId);
    if (health === null || (health.pausedCode === (pause?.code ?? null) && health.pausedReason === (pause?.reason ?? null)))
      return 'unchanged';
    // What became due while it paused counts from now on.
    const changed = await this.write(
      tx,
      clusterId,
      `paused_code = $2, paused_reason = $3, paused_since = $4, due_since = CASE WHEN due_since IS NOT NULL AND $2::text IS NULL THEN $5 ELSE due_since END`,
      [pause?.code ?? null, pause?.reason ?? null, pause === null ? null : (health.pausedSince ?? now), now],
    );
    const told = health.pausedCode !== null && !isQuiet(health.pausedCode);
    if (pause !== null && !isQuiet(pause.code) && health.pausedCode !== pause.code) await this.tell(tx, backupPaused, changed);
    else if (told && (pause === null || isQuiet(pause.code))) await this.tell(tx, backupResumed, changed);
    return 'changed';
  }

  /** A run is due; it is not completed before a snapshot is. */
  async due(tx: Transaction, clusterId: string, dueAt: Date): Promise<void> {
    await rows(tx, 'UPDATE cluster_backup SET due_since = LEAST(due_since, $2) WHERE cluster_id = $1', [clusterId, dueAt]);
  }

  /** A scheduled snapshot was completed, or nothing is scheduled any more. */
  async caughtUp(tx: Transaction, clusterId: string): Promise<void> {
    const health = await this.lock(tx, clusterId);
    if (health === null || (health.dueSince === null && health.behindSince === null)) return;
    const changed = await this.write(tx, clusterId, 'due_since = NULL, behind_since = NULL', []);
    if (health.behindSince !== null) await this.tell(tx, backupCaughtUp, changed);
  }

  /** Tells of clusters whose runs are overdue since before `overdue`; answers how many. */
  async tellOfOverdue(tx: Transaction, overdue: Date, limit: number): Promise<number> {
    const claimed = await rows<{ clusterId: string }>(
      tx,
      `SELECT cluster_id AS "clusterId" FROM cluster_backup WHERE due_since < $1 AND behind_since IS NULL AND paused_code IS NULL
       ORDER BY due_since LIMIT $2 FOR UPDATE SKIP LOCKED`,
      [overdue, limit],
    );
    for (const { clusterId } of claimed) {
      await this.tell(tx, backupFellBehind, await this.write(tx, clusterId, 'behind_since = due_since', []));
    }
    return claimed.length;
  }

  /** Tells once of proofs that are overdue, and no more once they are not. */
  async judgeProofs(tx: Transaction, clusterId: string, oldestProof: Date | null, now: Date): Promise<void> {
    const health = await this.lock(tx, clusterId);
    if (health === null) return;
    const overdue = isProofOverdue({ latest: health.lastProvenAt, oldest: oldestProof }, now);
    if (overdue && health.proofOverdueSince === null) {
      await this.tell(tx, backupProofOverdue, await this.write(tx, clusterId, 'proof_overdue_since = $2', [now]));
    } else if (!overdue && health.proofOverdueSince !== null) {
      await this.write(tx, clusterId, 'proof_overdue_since = NULL', []);
    }
  }

  /** When the oldest run of any cluster that goes on became due. */
  async oldestDue(): Promise<Date | null> {
    const found = await this.parts.database.query<{ oldest: Date | null }>(
      'SELECT min(due_since) AS oldest FROM cluster_backup WHERE due_since IS NOT NULL AND paused_code IS NULL',
    );
    return found[0]?.oldest ?? null;
  }

  async lock(tx: Transaction, clusterId: string): Promise<KnownHealth | null> {
    return (await rows<KnownHealth>(tx, `SELECT ${COLUMNS} FROM cluster_backup WHERE cluster_id = $1 FOR UPDATE`, [clusterId]))[0] ?? null;
  }

  private async write(tx: Transaction, clusterId: string, assignments: string, values: readonly unknown[]): Promise<KnownHealth> {
    const [changed] = await rows<KnownHealth>(
      tx,
      `UPDATE cluster_backup SET ${assignments}, health_revision = health_revision + 1 WHERE cluster_id = $1 RETURNING ${COLUMNS}`,
      [clusterId, ...values],
    );
    if (changed === undefined) throw new Error(`The backups of cluster ${clusterId} were locked and are gone.`);
    return changed;
  }

  private async tell(tx: Transaction, definition: EventDefinition<BackupHealth>, health: KnownHealth): Promise<void> {
    const [oldest] = await rows<{ id: string; provenAt: Date | null }>(
      tx,
      `SELECT id, last_proven_at AS "provenAt" FROM snapshot WHERE cluster_id = $1 AND status = 'completed' AND deleted_at IS NULL
       ORDER BY last_proven_at NULLS FIRST LIMIT 1`,
      [health.clusterId],
    );
    const time = (moment: Date | null): string | null => moment?.toISOString() ?? null;
    await this.parts.publisher.publish(tx, definition, {
      id: health.clusterId,
      projectId: health.projectId,
      clusterName: health.clusterName,
      paused:
        health.pausedReason === null || health.pausedSince === null
          ? null
          : { reason: health.pausedReason, since: health.pausedSince.toISOString() },
      behindSince: time(health.behindSince),
      lastCompletedAt: time(health.lastCompletedAt),
      oldestProof: oldest?.provenAt == null ? null : { snapshotId: oldest.id, provenAt: oldest.provenAt.toISOString() },
      revision: health.revision,
    });
  }
}
