import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { scramVerifier } from './scram-verifier.js';

export interface ProvisionOptions {
  /** A role that may create roles and schemas in this database; it need not be a superuser. */
  readonly adminUrl: string;
  readonly services: readonly string[];
  /** A password to keep, in ASCII; one is made up where it answers nothing. */
  readonly passwordOf?: (service: string) => string | undefined;
  /** Begins the name of every role, `atrest_` by default. Roles are shared by all databases of a server. */
  readonly rolePrefix?: string;
}

/** A service's way into the database. */
export interface ProvisionedService {
  readonly service: string;
  readonly role: string;
  readonly schema: string;
  /** With the password. */
  readonly url: string;
}

/** Two at a time would trip over each other's roles. */
const LOCK = "hashtextextended('atrest.provision', 0)";

/**
 * Gives each service a role of its own that owns the schema of its name and has no right on anything else in the database. What exists is
 * kept and corrected: running it again changes nothing but the passwords, and a schema that another role owns so far (that of the standalone
 * app, say) goes over with everything in it.
 */
export async function provisionDatabase(o: ProvisionOptions): Promise<ProvisionedService[]> {
  const client = new pg.Client({ connectionString: o.adminUrl, application_name: 'atrest-provision' });
  await client.connect();
  try {
    await client.query('BEGIN');
    await client.query(`SELECT pg_advisory_xact_lock(${LOCK})`);
    const database = await closeDatabase(client);
    const provisioned: ProvisionedService[] = [];
    for (const service of o.services) provisioned.push(await provisionService(client, database, service, o));
    await client.query('COMMIT');
    return provisioned;
  } finally {
    await client.end();
  }
}

/** By default everybody may connect, and before PostgreSQL 15 everybody may also create tables in `public`. */
async function closeDatabase(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ database: string; open: boolean }>(
    `SELECT current_database() AS database,
            coalesce((SELECT has_schema_privilege('public', oid, 'CREATE') FROM pg_namespace WHERE nspname = 'public'), false) AS open`,
  );
  const { database, open } = rows[0]!;
  await client.query(`REVOKE ALL ON DATABASE ${client.escapeIdentifier(database)} FROM PUBLIC`);
  if (open) await client.query('REVOKE CREATE ON SCHEMA public FROM PUBLIC');
  return database;
}

async function provisionService(client: pg.Client, database: string, service: string, o: ProvisionOptions): Promise<ProvisionedService> {
  const schema = service.replaceAll('-', '_');
  // Both names are written into SQL.
  if (!/^[a-z][a-z0-9_]{0,40}$/.test(schema))
    throw new Error(`'${service}' cannot name a schema: use lower-case letters, digits and dashes`);
  const role = `${o.rolePrefix ?? 'atrest_'}${schema}`;
  const password = o.passwordOf?.(service) ?? randomBytes(24).toString('base64url');
  const name = client.escapeIdentifier(role);
  const known = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [role]);
  const verb = known.rowCount === 0 ? 'CREATE' : 'ALTER';
  await client.query(`${verb} ROLE ${name} LOGIN PASSWORD ${client.escapeLiteral(scramVerifier(password))}`);
  await client.query(`GRANT CONNECT ON DATABASE ${client.escapeIdentifier(database)} TO ${name}`);
  await asMember(client, role, () => ownSchema(client, role, schema));
  const url = new URL(o.adminUrl);
  url.username = role;
  url.password = password;
  return { service, role, schema, url: url.href };
}

/** Only a member of a role, or a superuser, may give it something to own. The membership ends with the work. */
async function asMember(client: pg.Client, role: string, work: () => Promise<void>): Promise<void> {
  const { rows } = await client.query<{ member: boolean }>(
    `SELECT pg_has_role(current_user, $1, 'MEMBER') AND pg_has_role(current_user, $1, 'USAGE') AS member`,
    [role],
  );
  if (rows[0]!.member) return work();
  const name = client.escapeIdentifier(role);
  await client.query(`GRANT ${name} TO CURRENT_USER`);
  await work();
  await client.query(`REVOKE ${name} FROM CURRENT_USER`);
}

async function ownSchema(client: pg.Client, role: string, schema: string): Promise<void> {
  const name = client.escapeIdentifier(role);
  const { rows } = await client.query<{ owner: string }>('SELECT pg_get_userbyid(nspowner) AS owner FROM pg_namespace WHERE nspname = $1', [
    schema,
  ]);
  if (rows[0] === undefined) {
    await client.query(`CREATE SCHEMA ${schema} AUTHORIZATION ${name}`);
    return;
  }
  if (rows[0].owner !== role) await client.query(`ALTER SCHEMA ${schema} OWNER TO ${name}`);
  // Sequences of columns and indexes go with their tables. ALTER TABLE takes views and sequences too.
  const foreign = await client.query<{ relation: string }>(
    `SELECT c.oid::regclass::text AS relation
       FROM pg_class c
      WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND pg_get_userbyid(c.relowner) <> $2
        AND NOT (c.relkind = 'S' AND EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i')))`,
    [schema, role],
  );
  for (const { relation } of foreign.rows) await client.query(`ALTER TABLE ${relation} OWNER TO ${name}`);
}
