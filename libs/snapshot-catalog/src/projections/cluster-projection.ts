import type { ClusterState, ClusterSummary, ClusterType, EncryptionAtRestProvider } from '@atrest/contracts';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';

/** A cluster as it is remembered. */
export interface KnownCluster {
  readonly id: string;
  readonly projectId: string;
  readonly name: string;
  readonly clusterType: ClusterType;
  readonly state: ClusterState;
  /** For people; null while it is not disabled. */
  readonly disabledReason: string | null;
  readonly provider: EncryptionAtRestProvider;
  readonly backupEnabled: boolean;
  readonly paused: boolean;
  readonly retainBackups: boolean;
  readonly mongoDBVersion: string | null;
  readonly replicaSets: readonly string[];
  readonly dataMembers: number;
  readonly createdAt: Date;
  readonly deletedAt: Date | null;
  readonly revision: number;
}

const SELECT = `SELECT id, project_id AS "projectId", name, cluster_type AS "clusterType", state, disabled_reason AS "disabledReason", provider,
    backup_enabled AS "backupEnabled", paused, retain_backups AS "retainBackups", mongodb_version AS "mongoDBVersion", replica_sets AS "replicaSets",
    data_members AS "dataMembers", created_at AS "createdAt", deleted_at AS "deletedAt", revision
  FROM cluster`;

/** What is remembered of `fleet`'s clusters. An older state never replaces a newer one. */
export class ClusterProjection {
  constructor(private readonly database: ServiceDatabase) {}

  async remember(tx: Transaction, cluster: ClusterSummary): Promise<'remembered' | 'known-already'> {
    const carriers = cluster.processes.filter(({ kind }) => kind === 'mongod');
    const replicaSets = [...new Set(carriers.flatMap(({ replicaSet }) => replicaSet ?? []))].toSorted();
    const written = await rows(
      tx,
      `INSERT INTO cluster (id, project_id, name, cluster_type, state, disabled_reason, provider, backup_enabled, paused, retain_backups, mongodb_version,
         replica_sets, data_members, created_at, deleted_at, revision)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
       ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, cluster_type = EXCLUDED.cluster_type, state = EXCLUDED.state,
         disabled_reason = EXCLUDED.disabled_reason, provider = EXCLUDED.provider, backup_enabled = EXCLUDED.backup_enabled, paused = EXCLUDED.paused,
         retain_backups = EXCLUDED.retain_backups, mongodb_version = EXCLUDED.mongodb_version, replica_sets = EXCLUDED.replica_sets,
         data_members = EXCLUDED.data_members, deleted_at = EXCLUDED.deleted_at, revision = EXCLUDED.revision
       WHERE cluster.revision < EXCLUDED.revision RETURNING id`,
      [
        cluster.id,
        cluster.projectId,
        cluster.name,
        cluster.clusterType,
        cluster.state,
        cluster.disabledReason?.detail ?? null,
        cluster.encryptionAtRestProvider,
        cluster.backupEnabled,
        cluster.paused ?? false,
        cluster.retainBackups ?? false,
        cluster.mongoDBVersion,
        replicaSets,
        carriers.length,
        cluster.createdAt,
        cluster.deletedAt,
        cluster.revision,
      ],
    );
    return written.length === 1 ? 'remembered' : 'known-already';
  }

  /** The cluster of a name; where there is none any more, the last one that had it. */
  async named(projectId: string, name: string): Promise<KnownCluster | null> {
    const found = await this.database.query<KnownCluster>(
      `${SELECT} WHERE project_id = $1 AND name = $2 ORDER BY deleted_at IS NULL DESC, created_at DESC LIMIT 1`,
      [projectId, name],
    );
    return found[0] ?? null;
  }

  async get(tx: Transaction, id: string): Promise<KnownCluster | null> {
    return (await rows<KnownCluster>(tx, `${SELECT} WHERE id = $1`, [id]))[0] ?? null;
  }

  /** Keeps the cluster as it is until the transaction ends. */
  async hold(tx: Transaction, id: string): Promise<KnownCluster | null> {
    return (await rows<KnownCluster>(tx, `${SELECT} WHERE id = $1 FOR SHARE`, [id]))[0] ?? null;
  }

  /** Clusters that use a provider, and are there. */
  async usingProvider(tx: Transaction, projectId: string, provider: EncryptionAtRestProvider): Promise<KnownCluster[]> {
    return rows<KnownCluster>(tx, `${SELECT} WHERE project_id = $1 AND provider = $2 AND deleted_at IS NULL ORDER BY id`, [
      projectId,
      provider,
    ]);
  }
}
