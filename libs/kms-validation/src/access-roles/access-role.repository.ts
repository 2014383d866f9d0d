import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { AuthorisedRole, RoleDirectory } from '../key-access.js';
import { authorisedRole, type AccessRole, type RoleIdentity } from './access-role.js';

interface Row {
  id: string;
  project_id: string;
  identity: RoleIdentity;
  authorized_at: Date | null;
  created_at: Date;
  updated_at: Date;
}

const toRole = (row: Row): AccessRole => ({
  id: row.id,
  projectId: row.project_id,
  identity: row.identity,
  authorizedAt: row.authorized_at,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});

/** Roles of projects in the database. A project only ever sees its own. */
export class AccessRoleRepository implements RoleDirectory {
  constructor(private readonly database: ServiceDatabase) {}

  async authorisedRole(projectId: string, roleId: string): Promise<AuthorisedRole | null> {
    const found = await this.find(projectId, roleId);
    return found && authorisedRole(found);
  }

  async find(projectId: string, roleId: string): Promise<AccessRole | null> {
    const found = await this.database.query<Row>('SELECT * FROM access_role WHERE project_id = $1 AND id = $2', [projectId, roleId]);
    return found[0] ? toRole(found[0]) : null;
  }

  async ofProject(projectId: string): Promise<AccessRole[]> {
    return (await this.database.query<Row>('SELECT * FROM access_role WHERE project_id = $1 ORDER BY id', [projectId])).map(toRole);
  }

  /** Ids of the project's roles that key configurations use. */
  async inUse(projectId: string): Promise<ReadonlySet<string>> {
    const found = await this.database.query<{ id: string }>(
      `SELECT settings ->> 'roleId' AS id FROM key_configuration WHERE project_id = $1 AND settings ? 'roleId'`,
      [projectId],
    );
    return new Set(found.map(({ id }) => id));
  }

  async insert(tx: Transaction, role: AccessRole): Promise<void> {
    await rows(
      tx,
      `INSERT INTO access_role (id, project_id, provider, identity, authorized_at, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING id`,
      [role.id, role.projectId, role.identity.provider, JSON.stringify(role.identity), role.authorizedAt, role.createdAt],
    );
  }

  /** Stores the authorisation of a role that no configuration uses. */
  async authorise(role: AccessRole): Promise<'written' | 'in-use-or-removed'> {
    const updated = await this.database.query(
      `UPDATE access_role SET identity = $3, authorized_at = $4, updated_at = $4
       WHERE project_id = $1 AND id = $2
         AND NOT EXISTS (SELECT FROM key_configuration WHERE project_id = $1 AND settings ->> 'roleId' = $2) RETURNING id`,
      [role.projectId, role.id, JSON.stringify(role.identity), role.authorizedAt],
    );
    return updated.length === 1 ? 'written' : 'in-use-or-removed';
  }

  /** Whoever stores settings that name a role holds it, so that it is not removed before they are stored. */
  async hold(tx: Transaction, projectId: string, roleId: string): Promise<boolean> {
    return (await rows(tx, 'SELECT id FROM access_role WHERE project_id = $1 AND id = $2 FOR SHARE', [projectId, roleId])).length === 1;
  }

  /** Removes a role that no configuration uses. */
  async remove(projectId: string, roleId: string): Promise<'removed' | 'in-use'> {
    return this.database.transaction(async (tx) => {
      // The lock first: a statement after it sees every configuration that held the role before.
      await rows(tx, 'SELECT id FROM access_role WHERE project_id = $1 AND id = $2 FOR UPDATE', [projectId, roleId]);
      const removed = await rows(
        tx,
        `DELETE FROM access_role WHERE project_id = $1 AND id = $2
           AND NOT EXISTS (SELECT FROM key_configuration WHERE project_id = $1 AND settings ->> 'roleId' = $2) RETURNING id`,
        [projectId, roleId],
      );
      return removed.length === 1 ? 'removed' : 'in-use';
    });
  }

  async removeOfProject(tx: Transaction, projectId: string): Promise<void> {
    await rows(tx, 'DELETE FROM access_role WHERE project_id = $1 RETURNING id', [projectId]);
  }
}
