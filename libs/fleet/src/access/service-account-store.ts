import { ClientIdSchema, type OrganisationRole } from '@atrest/contracts';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { StoredSecret } from './service-account-secret.js';
import { AccessError, type CommandKey, type ProjectRoles, type ServiceAccount } from './service-account.js';

interface AccountRow {
  client_id: string;
  org_id: string;
  name: string;
  description: string;
  org_roles: OrganisationRole[];
  project_roles: ProjectRoles[];
  signing_keys: CommandKey[];
  created_at: Date;
  deleted_at: Date | null;
  revision: number;
}

interface SecretRow {
  id: string;
  client_id: string;
  hash: Buffer;
  masked: string;
  created_at: Date;
  expires_at: Date;
  last_used_at: Date | null;
}

/** Which accounts a list is about: those of an organisation, or those that have a role in a project of it. */
export interface AccountScope {
  readonly orgId: string;
  readonly projectId?: string;
}

/** A slice of a list. */
export interface Slice {
  readonly limit: number;
  readonly offset: number;
}

const accountColumns = 'client_id, org_id, name, description, org_roles, project_roles, signing_keys, created_at, deleted_at, revision';

/** Service accounts and their secrets as they are stored. Deleted accounts stay as rows and are never found. */
export class ServiceAccountStore {
  constructor(private readonly database: ServiceDatabase) {}

  async list(scope: AccountScope, slice: Slice): Promise<{ accounts: ServiceAccount[]; total: number }> {
    const { condition, parameters } = inScope(scope);
    const found = await this.database.query<AccountRow>(
      `SELECT ${accountColumns} FROM service_account WHERE ${condition}
        ORDER BY created_at, client_id LIMIT $${parameters.length + 1} OFFSET $${parameters.length + 2}`,
      [...parameters, slice.limit, slice.offset],
    );
    const [count] = await this.database.query<{ total: number }>(
      `SELECT count(*)::int AS total FROM service_account WHERE ${condition}`,
      parameters,
    );
    return { accounts: found.map(accountOf), total: count?.total ?? 0 };
  }

  async find(scope: AccountScope, clientId: string): Promise<ServiceAccount | undefined> {
    if (!isClientId(clientId)) return undefined;
    const { condition, parameters } = inScope(scope);
    const [row] = await this.database.query<AccountRow>(
      `SELECT ${accountColumns} FROM service_account WHERE ${condition} AND client_id = $${parameters.length + 1}`,
      [...parameters, clientId],
    );
    return row && accountOf(row);
  }

  /** The account for a change: nobody else changes it until the transaction ends. */
  async lock(tx: Transaction, scope: AccountScope, clientId: string): Promise<ServiceAccount> {
    if (!isClientId(clientId)) throw new AccessError('SERVICE_ACCOUNT_UNKNOWN', clientId.slice(0, 64));
    const { condition, parameters } = inScope(scope);
    const [row] = await rows<AccountRow>(
      tx,
      `SELECT ${accountColumns} FROM service_account WHERE ${condition} AND client_id = $${parameters.length + 1} FOR UPDATE`,
      [...parameters, clientId],
    );
    if (row === undefined) throw new AccessError('SERVICE_ACCOUNT_UNKNOWN', clientId);
    return accountOf(row);
  }

  /** Every account with a role in the project, for a change. In one order, so that two such changes cannot lock each other out. */
  async lockAllInProject(tx: Transaction, projectId: string): Promise<ServiceAccount[]> {
    const found = await rows<AccountRow>(
      tx,
      `SELECT ${accountColumns} FROM service_account
        WHERE deleted_at IS NULL AND project_roles @> $1 ORDER BY client_id FOR UPDATE`,
      [projectPattern(projectId)],
    );
    return found.map(accountOf);
  }

  async insert(tx: Transaction, account: ServiceAccount): Promise<void> {
    await rows(tx, `INSERT INTO service_account (${accountColumns}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, [
      account.clientId,
      account.orgId,
      account.name,
      account.description,
      account.orgRoles,
      JSON.stringify(account.projectRoles),
      JSON.stringify(account.signingKeys),
      account.createdAt,
      account.deletedAt,
      account.revision,
    ]);
  }

  /**
   * Stores the account under the next revision and returns it with that revision.
   * @throws AccessError CHANGED_MEANWHILE when the stored revision is not the one the change was made from
   */
  async update(tx: Transaction, account: ServiceAccount): Promise<ServiceAccount> {
    const changed = await rows(
      tx,
      `UPDATE service_account
          SET name = $3, description = $4, org_roles = $5, project_roles = $6, signing_keys = $7, deleted_at = $8, revision = revision + 1
        WHERE client_id = $1 AND revision = $2 AND deleted_at IS NULL RETURNING client_id`,
      [
        account.clientId,
        account.revision,
        account.name,
        account.description,
        account.orgRoles,
        JSON.stringify(account.projectRoles),
        JSON.stringify(account.signingKeys),
        account.deletedAt,
      ],
    );
    if (changed.length === 0) throw new AccessError('CHANGED_MEANWHILE', account.clientId);
    return { ...account, revision: account.revision + 1 };
  }

  /** How many accounts other than this one own the organisation. Only sure under the organisation's lock. */
  async countOtherOwners(tx: Transaction, orgId: string, clientId: string): Promise<number> {
    const [row] = await rows<{ owners: number }>(
      tx,
      `SELECT count(*)::int AS owners FROM service_account
        WHERE org_id = $1 AND client_id <> $2 AND deleted_at IS NULL AND 'ORG_OWNER' = ANY (org_roles)`,
      [orgId, clientId],
    );
    return row?.owners ?? 0;
  }

  /** The secrets of these accounts, oldest first. */
  async secretsOf(clientIds: readonly string[]): Promise<StoredSecret[]> {
    const found = await this.database.query<SecretRow>(
      'SELECT * FROM service_account_secret WHERE client_id = ANY ($1) ORDER BY created_at, id',
      [clientIds],
    );
    return found.map(secretOf);
  }

  async lockedSecretsOf(tx: Transaction, clientId: string): Promise<StoredSecret[]> {
    const found = await rows<SecretRow>(tx, 'SELECT * FROM service_account_secret WHERE client_id = $1 ORDER BY created_at, id', [
      clientId,
    ]);
    return found.map(secretOf);
  }

  async insertSecret(tx: Transaction, secret: StoredSecret): Promise<void> {
    await rows(
      tx,
      `INSERT INTO service_account_secret (id, client_id, hash, masked, created_at, expires_at, last_used_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7)`,
      [secret.id, secret.clientId, secret.hash, secret.masked, secret.createdAt, secret.expiresAt, secret.lastUsedAt],
    );
  }

  async deleteSecret(tx: Transaction, id: string): Promise<void> {
    await rows(tx, 'DELETE FROM service_account_secret WHERE id = $1', [id]);
  }

  async deleteSecretsOf(tx: Transaction, clientId: string): Promise<void> {
    await rows(tx, 'DELETE FROM service_account_secret WHERE client_id = $1', [clientId]);
  }

  /** Organisations none of whose owners has a secret that outlives the given moment, with the moment of the last one's end. */
  async organisationsLosingTheirOwners(moment: Date): Promise<{ orgId: string; expiresAt: Date }[]> {
    const found = await this.database.query<{ org_id: string; expires_at: Date }>(
      `SELECT account.org_id, max(secret.expires_at) AS expires_at
         FROM service_account account JOIN service_account_secret secret USING (client_id)
        WHERE account.deleted_at IS NULL AND account.org_roles @> ARRAY['ORG_OWNER']
        GROUP BY account.org_id HAVING max(secret.expires_at) < $1`,
      [moment],
    );
    return found.map((row) => ({ orgId: row.org_id, expiresAt: row.expires_at }));
  }

  /** Only forward: two replicas that log the same account in must not set the time back. */
  async secretUsed(id: string, now: Date): Promise<void> {
    await this.database.query('UPDATE service_account_secret SET last_used_at = GREATEST(last_used_at, $2) WHERE id = $1', [id, now]);
  }
}

function inScope(scope: AccountScope): { condition: string; parameters: unknown[] } {
  return scope.projectId === undefined
    ? { condition: 'deleted_at IS NULL AND org_id = $1', parameters: [scope.orgId] }
    : {
        condition: 'deleted_at IS NULL AND org_id = $1 AND project_roles @> $2',
        parameters: [scope.orgId, projectPattern(scope.projectId)],
      };
}

/** What is no client id belongs to no account. It comes from a path and may hold what PostgreSQL refuses to take. */
const isClientId = (text: string): boolean => ClientIdSchema.safeParse(text).success;

const projectPattern = (projectId: string): string => JSON.stringify([{ projectId }]);

function accountOf(row: AccountRow): ServiceAccount {
  return {
    clientId: row.client_id,
    orgId: row.org_id,
    name: row.name,
    description: row.description,
    orgRoles: row.org_roles,
    projectRoles: row.project_roles,
    signingKeys: row.signing_keys,
    createdAt: row.created_at,
    deletedAt: row.deleted_at,
    revision: row.revision,
  };
}

function secretOf(row: SecretRow): StoredSecret {
  return {
    id: row.id,
    clientId: row.client_id,
    hash: row.hash,
    masked: row.masked,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    lastUsedAt: row.last_used_at,
  };
}
