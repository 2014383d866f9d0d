import { rows, type Transaction } from '@atrest/platform-persistence';
import { NOTHING_KNOWN, type KnownBackups } from './backup-alerts.js';

interface Row {
  readonly cluster_id: string;
  readonly project_id: string;
  readonly cluster_name: string;
  readonly last_success_at: Date | null;
  readonly last_failure_at: Date | null;
  readonly last_proof_at: Date | null;
  readonly proof_overdue_at: Date | null;
  readonly behind_since: Date | null;
  readonly health_revision: number;
  readonly told: boolean;
}

/** The cluster whose backups it is about. */
export interface BackedUpCluster {
  readonly id: string;
  readonly projectId: string;
  readonly name: string;
}

const COLUMNS =
  'cluster_id, project_id, cluster_name, last_success_at, last_failure_at, last_proof_at, proof_overdue_at, behind_since, health_revision, told';

/** What is known of the backups of clusters. */
export class KnownBackupsRepository {
  /** Locked for this transaction: events of many snapshots of one cluster are taken one after the other. */
  async lock(tx: Transaction, cluster: BackedUpCluster): Promise<KnownBackups> {
    await rows(tx, 'INSERT INTO cluster_backup (cluster_id, project_id, cluster_name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING', [
      cluster.id,
      cluster.projectId,
      cluster.name,
    ]);
    const [row] = await rows<Row>(tx, `SELECT ${COLUMNS} FROM cluster_backup WHERE cluster_id = $1 FOR UPDATE`, [cluster.id]);
    return row === undefined ? NOTHING_KNOWN : fromRow(row);
  }

  async write(tx: Transaction, cluster: BackedUpCluster, known: KnownBackups): Promise<void> {
    await rows(
      tx,
      `UPDATE cluster_backup SET cluster_name = $2, last_success_at = $3, last_failure_at = $4, last_proof_at = $5, proof_overdue_at = $6,
         behind_since = $7, health_revision = $8, told = $9 WHERE cluster_id = $1`,
      [
        cluster.id,
        cluster.name,
        known.lastSuccessAt,
        known.lastFailureAt,
        known.lastProofAt,
        known.proofOverdueAt,
        known.behindSince,
        known.healthRevision,
        known.told,
      ],
    );
  }

  /** Notes whether a snapshot could be proven; answers how many of the cluster could not. */
  async noteProof(tx: Transaction, clusterId: string, snapshotId: string, proof: 'failed' | 'fine'): Promise<number> {
    await (proof === 'failed'
      ? rows(tx, 'INSERT INTO unproven_snapshot (snapshot_id, cluster_id) VALUES ($1, $2) ON CONFLICT DO NOTHING', [snapshotId, clusterId])
      : rows(tx, 'DELETE FROM unproven_snapshot WHERE snapshot_id = $1', [snapshotId]));
    const [counted] = await rows<{ unproven: number }>(
      tx,
      'SELECT count(*)::int AS unproven FROM unproven_snapshot WHERE cluster_id = $1',
      [clusterId],
    );
    return counted?.unproven ?? 0;
  }

  /** A cluster without backups, or that is gone, has nothing that could be wrong with them. */
  async forget(tx: Transaction, clusterId: string): Promise<void> {
    await rows(tx, 'DELETE FROM unproven_snapshot WHERE cluster_id = $1', [clusterId]);
    await rows(tx, 'UPDATE cluster_backup SET behind_since = NULL, told = false WHERE cluster_id = $1', [clusterId]);
  }

  /** One cluster whose snapshots are overdue since before, and that has no alert of this type for it yet, locked; null when there is none. */
  async behindWithoutAlert(
    tx: Transaction,
    before: Date,
    eventType: string,
  ): Promise<{ readonly cluster: BackedUpCluster; readonly known: KnownBackups } | null> {
    const [row] = await rows<Row>(
      tx,
      `SELECT ${COLUMNS} FROM cluster_backup b WHERE behind_since <= $1 AND NOT EXISTS (
         SELECT 1 FROM alert a WHERE a.source_id = b.cluster_id AND a.event_type = $2 AND a.created_at >= b.behind_since)
         AND NOT EXISTS (SELECT 1 FROM alert_config c WHERE c.project_id = b.project_id AND c.event_type = $2 AND NOT c.enabled)
       ORDER BY behind_since LIMIT 1 FOR UPDATE SKIP LOCKED`,
      [before, eventType],
    );
    if (row === undefined) return null;
    return { cluster: { id: row.cluster_id, projectId: row.project_id, name: row.cluster_name }, known: fromRow(row) };
  }
}

const fromRow = (row: Row): KnownBackups => ({
  lastSuccessAt: row.last_success_at,
  lastFailureAt: row.last_failure_at,
  lastProofAt: row.last_proof_at,
  proofOverdueAt: row.proof_overdue_at,
  behindSince: row.behind_since,
  healthRevision: row.health_revision,
  told: row.told,
});
