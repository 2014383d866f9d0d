import type { ProjectMember, ProjectRole, ProjectState } from '@atrest/contracts';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';

/** A project as far as messages need to know it. */
export interface KnownProject {
  readonly id: string;
  readonly orgId: string;
  readonly name: string;
  readonly members: readonly ProjectMember[];
  readonly deletedAt: Date | null;
}

/** An event of a project's key, cluster or snapshot came before the project itself; it is handled again in a moment. */
export class ProjectUnknownError extends Error {
  readonly code = 'NOTIFICATION.PROJECT_UNKNOWN';

  constructor(projectId: string) {
    super(`The project ${projectId} is not known yet.`);
    this.name = 'ProjectUnknownError';
  }
}

/** What is remembered of `fleet`'s projects. An older state never replaces a newer one. */
export class ProjectProjection {
  constructor(private readonly database: ServiceDatabase) {}

  async remember(tx: Transaction, project: ProjectState): Promise<'remembered' | 'known-already'> {
    const written = await rows(
      tx,
      `INSERT INTO project (id, org_id, name, members, deleted_at, revision) VALUES ($1, $2, $3, $4, $5, $6)
       ON CONFLICT (id) DO UPDATE SET org_id = EXCLUDED.org_id, name = EXCLUDED.name, members = EXCLUDED.members,
         deleted_at = EXCLUDED.deleted_at, revision = EXCLUDED.revision
       WHERE project.revision < EXCLUDED.revision RETURNING id`,
      [project.id, project.orgId, project.name, JSON.stringify(project.members), project.deletedAt, project.revision],
    );
    return written.length === 1 ? 'remembered' : 'known-already';
  }

  /** Also a deleted one; null for a project that was never heard of. */
  async find(tx: Transaction, id: string): Promise<KnownProject | null> {
    const found = await rows<{ id: string; org_id: string; name: string; members: ProjectMember[]; deleted_at: Date | null }>(
      tx,
      'SELECT id, org_id, name, members, deleted_at FROM project WHERE id = $1',
      [id],
    );
    const row = found[0];
    return row === undefined ? null : { id: row.id, orgId: row.org_id, name: row.name, members: row.members, deletedAt: row.deleted_at };
  }

  /** For the access guard; a deleted project keeps its organisation. */
  async organisationOf(id: string): Promise<string | null> {
    const found = await this.database.query<{ org_id: string }>('SELECT org_id FROM project WHERE id = $1', [id]);
    return found[0]?.org_id ?? null;
  }

  /** Null for a project that is unknown or deleted. */
  async findLiving(id: string): Promise<{ readonly orgId: string } | null> {
    const found = await this.database.query<{ org_id: string }>('SELECT org_id FROM project WHERE id = $1 AND deleted_at IS NULL', [id]);
    return found[0] === undefined ? null : { orgId: found[0].org_id };
  }
}

/** Who hears of keys and of databases that are stopped. */
export const OWNERS: readonly ProjectRole[] = ['GROUP_OWNER'];
/** Who hears of backups. */
export const BACKUP_KEEPERS: readonly ProjectRole[] = ['GROUP_OWNER', 'GROUP_BACKUP_MANAGER'];

/** Addresses of everybody who has one of the roles in the project, each once, sorted. */
export function addressesOf(project: KnownProject, roles: readonly ProjectRole[]): string[] {
  const found = project.members.filter((member) => member.roles.some((role) => roles.includes(role))).map(({ email }) => email);
  // Two spellings of one mailbox would be two mails to one person.
  return [...new Map(found.map((email) => [email.toLowerCase(), email])).values()].sort();
}
