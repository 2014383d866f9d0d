import type { ProjectState } from '@atrest/contracts';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';

/** A project as far as key configurations need to know it. */
export interface KnownProject {
  readonly id: string;
  readonly deletedAt: Date | null;
}

/** What is remembered of `fleet`'s projects. An older state never replaces a newer one. */
export class ProjectProjection {
  constructor(private readonly database: ServiceDatabase) {}

  async remember(tx: Transaction, project: ProjectState): Promise<'remembered' | 'known-already'> {
    const written = await rows(
      tx,
      `INSERT INTO project (id, deleted_at, revision) VALUES ($1, $2, $3)
       ON CONFLICT (id) DO UPDATE SET deleted_at = EXCLUDED.deleted_at, revision = EXCLUDED.revision WHERE project.revision < EXCLUDED.revision
       RETURNING id`,
      [project.id, project.deletedAt, project.revision],
    );
    return written.length === 1 ? 'remembered' : 'known-already';
  }

  /** Null for a project that is unknown or deleted. */
  async find(id: string): Promise<KnownProject | null> {
    const found = await this.database.query<{ id: string }>('SELECT id FROM project WHERE id = $1 AND deleted_at IS NULL', [id]);
    return found[0] ? { id: found[0].id, deletedAt: null } : null;
  }

  /** Keeps the project from being deleted before this transaction ends; false when it is deleted already or unknown. */
  async hold(tx: Transaction, id: string): Promise<boolean> {
    return (await rows(tx, 'SELECT id FROM project WHERE id = $1 AND deleted_at IS NULL FOR SHARE', [id])).length === 1;
  }
}
