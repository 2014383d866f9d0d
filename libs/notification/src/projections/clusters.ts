import type { ClusterSummary, KeyProviderName } from '@atrest/contracts';
import { rows, type Transaction } from '@atrest/platform-persistence';

/** What is remembered of `fleet`'s clusters: which of them use a key. An older state never replaces a newer one. */
export class ClusterProjection {
  async remember(tx: Transaction, cluster: ClusterSummary): Promise<'remembered' | 'known-already'> {
    const written = await rows(
      tx,
      `INSERT INTO cluster (id, project_id, name, provider, deleted_at, revision) VALUES ($1, $2, $3, $4, $5, $6)
       ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, provider = EXCLUDED.provider, deleted_at = EXCLUDED.deleted_at, revision = EXCLUDED.revision
       WHERE cluster.revision < EXCLUDED.revision RETURNING id`,
      [cluster.id, cluster.projectId, cluster.name, cluster.encryptionAtRestProvider, cluster.deletedAt, cluster.revision],
    );
    return written.length === 1 ? 'remembered' : 'known-already';
  }

  /** Names of the project's clusters that use the provider, sorted. */
  async using(tx: Transaction, projectId: string, provider: KeyProviderName): Promise<string[]> {
    const found = await rows<{ name: string }>(
      tx,
      'SELECT name FROM cluster WHERE project_id = $1 AND provider = $2 AND deleted_at IS NULL ORDER BY name',
      [projectId, provider],
    );
    return found.map(({ name }) => name);
  }
}
