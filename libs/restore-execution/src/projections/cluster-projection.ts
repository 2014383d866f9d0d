import type { ClusterReference, ClusterSummary } from '@atrest/contracts';
import { rows, type Transaction } from '@atrest/platform-persistence';

/** `deleted`: there was one of this name and there is none now. Its snapshots may outlive it. */
export type ClusterPresence = 'present' | 'deleted' | 'unknown';

/** What is remembered of `fleet`'s clusters. An older state never replaces a newer one. */
export class ClusterProjection {
  async remember(tx: Transaction, cluster: ClusterSummary): Promise<'remembered' | 'known-already'> {
    const written = await rows(
      tx,
      `INSERT INTO cluster (id, project_id, name, deleted_at, revision) VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, deleted_at = EXCLUDED.deleted_at, revision = EXCLUDED.revision
       WHERE cluster.revision < EXCLUDED.revision RETURNING id`,
      [cluster.id, cluster.projectId, cluster.name, cluster.deletedAt, cluster.revision],
    );
    return written.length === 1 ? 'remembered' : 'known-already';
  }

  async presence(tx: Transaction, { projectId, clusterName }: ClusterReference): Promise<ClusterPresence> {
    const [found] = await rows<{ present: boolean | null }>(
      tx,
      'SELECT bool_or(deleted_at IS NULL) AS present FROM cluster WHERE project_id = $1 AND name = $2',
      [projectId, clusterName],
    );
    if (found?.present == null) return 'unknown';
    return found.present ? 'present' : 'deleted';
  }
}
