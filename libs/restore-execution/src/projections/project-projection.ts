import type { ProjectState } from '@atrest/contracts';
import { rows, type Transaction } from '@atrest/platform-persistence';

/** A project as it is remembered. */
export interface KnownProject {
  readonly id: string;
  readonly orgId: string;
  readonly deleted: boolean;
}

/** What is remembered of `fleet`'s projects. An older state never replaces a newer one. */
export class ProjectProjection {
  async remember(tx: Transaction, project: ProjectState): Promise<'remembered' | 'known-already'> {
    const written = await rows(
      tx,
      `INSERT INTO project (id, org_id, deleted_at, revision) VALUES ($1, $2, $3, $4)
       ON CONFLICT (id) DO UPDATE SET deleted_at = EXCLUDED.deleted_at, revision = EXCLUDED.revision WHERE project.revision < EXCLUDED.revision
       RETURNING id`,
      [project.id, project.orgId, project.deletedAt, project.revision],
    );
    return written.length === 1 ? 'remembered' : 'known-already';
  }

  /** Null when never heard of. */
  async find(tx: Transaction, id: string): Promise<KnownProject | null> {
    const [found] = await rows<KnownProject>(
      tx,
      'SELECT id, org_id AS "orgId", deleted_at IS NOT NULL AS deleted FROM project WHERE id = $1',
      [id],
    );
    return found ?? null;
  }
}
