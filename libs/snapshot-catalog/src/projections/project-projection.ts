import type { ProjectState } from '@atrest/contracts';
import type { ProjectDirectory } from '@atrest/platform-auth';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';

/** What is remembered of `fleet`'s projects. An older state never replaces a newer one. */
export class ProjectProjection implements ProjectDirectory {
  constructor(private readonly database: ServiceDatabase) {}

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

  /** Whether there is such a project; null when it is unknown, false when it is deleted. */
  async exists(id: string): Promise<boolean | null> {
    const found = await this.database.query<{ deleted: boolean }>('SELECT deleted_at IS NOT NULL AS deleted FROM project WHERE id = $1', [
      id,
    ]);
    return found[0] ? !found[0].deleted : null;
  }

  async organisationOf(id: string): Promise<string | null> {
    const found = await this.database.query<{ org_id: string }>('SELECT org_id FROM project WHERE id = $1', [id]);
    return found[0]?.org_id ?? null;
  }
}
