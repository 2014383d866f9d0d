import type { KeyProviderName } from '@atrest/contracts';
import type { ServiceDatabase } from '@atrest/platform-persistence';
import type { NamedKey } from './key-standing.js';
import { NO_SNAPSHOTS, type SnapshotsUnderKey } from './key-usage.js';

/** Names of clusters in an answer; whoever has more looks at the list of clusters. */
const NAMES = 100;

/** One row per cluster and key, kept with every change of a snapshot: nobody counts snapshots. */
const COUNTERS = `sum(completed)::int AS completed, sum(unfinished)::int AS unfinished, min(oldest_created_at) AS "oldestCreatedAt",
  max(newest_created_at) AS "newestCreatedAt", max(last_expires_at) AS "lastExpiresAt"`;

/** What the database knows of the use of keys. */
export class KeyUsageRepository {
  constructor(private readonly database: ServiceDatabase) {}

  /** Every key that was used for snapshots of the project, the newest first. */
  async keysOf(projectId: string): Promise<(NamedKey & { readonly snapshots: SnapshotsUnderKey })[]> {
    const found = await this.database.query<NamedKey & SnapshotsUnderKey>(
      `SELECT provider, encryption_key_id AS "encryptionKeyId", ${COUNTERS} FROM epoch
       WHERE project_id = $1 AND encryption_key_id IS NOT NULL GROUP BY provider, encryption_key_id ORDER BY max(created_at) DESC, encryption_key_id`,
      [projectId],
    );
    return found.map(({ provider, encryptionKeyId, ...snapshots }) => ({ provider, encryptionKeyId, snapshots }));
  }

  /** The same keys by name only. From one to the next in the index: a key may have ten thousand rows. */
  async namesOf(projectId: string): Promise<NamedKey[]> {
    return this.database.query<NamedKey>(
      `WITH RECURSIVE key AS (
         (SELECT encryption_key_id, provider FROM epoch WHERE project_id = $1 AND encryption_key_id IS NOT NULL
          ORDER BY encryption_key_id, provider LIMIT 1)
         UNION ALL
         SELECT next.encryption_key_id, next.provider FROM key CROSS JOIN LATERAL (
           SELECT encryption_key_id, provider FROM epoch
           WHERE project_id = $1 AND (encryption_key_id, provider) > (key.encryption_key_id, key.provider)
           ORDER BY encryption_key_id, provider LIMIT 1) next)
       SELECT encryption_key_id AS "encryptionKeyId", provider FROM key`,
      [projectId],
    );
  }

  async snapshotsUnder(projectId: string, { provider, encryptionKeyId }: NamedKey): Promise<SnapshotsUnderKey> {
    const found = await this.database.query<SnapshotsUnderKey>(
      `SELECT ${COUNTERS} FROM epoch WHERE project_id = $1 AND encryption_key_id = $2 AND provider = $3 HAVING count(*) > 0`,
      [projectId, encryptionKeyId, provider],
    );
    return found[0] ?? NO_SNAPSHOTS;
  }

  /** Living clusters of the project that use the provider, sorted by name. */
  async clustersUsing(projectId: string, provider: KeyProviderName): Promise<{ readonly count: number; readonly names: string[] }> {
    const using = 'FROM cluster WHERE project_id = $1 AND provider = $2 AND deleted_at IS NULL';
    const [counted, named] = await Promise.all([
      this.database.query<{ count: number }>(`SELECT count(*)::int AS count ${using}`, [projectId, provider]),
      this.database.query<{ name: string }>(`SELECT name ${using} ORDER BY name LIMIT ${NAMES}`, [projectId, provider]),
    ]);
    return { count: counted[0]?.count ?? 0, names: named.map(({ name }) => name) };
  }
}
