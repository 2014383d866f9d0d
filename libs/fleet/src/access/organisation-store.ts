import { newObjectId } from '@atrest/contracts';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';

/** The owner of projects and service accounts. Created at first start; never deleted. */
export interface Organisation {
  readonly id: string;
  readonly name: string;
  readonly createdAt: Date;
}

interface OrganisationRow {
  id: string;
  name: string;
  created_at: Date;
}

/** Stands for "the first organisation is being created" among advisory locks of this schema's transactions. The number has no other meaning. */
const FIRST_ORGANISATION_LOCK = 'atrest/fleet/first-organisation';

/** Organisations as they are stored. */
export class OrganisationStore {
  constructor(private readonly database: ServiceDatabase) {}

  async all(): Promise<Organisation[]> {
    const found = await this.database.query<OrganisationRow>('SELECT * FROM organisation ORDER BY created_at, id');
    return found.map(organisationOf);
  }

  async find(id: string): Promise<Organisation | undefined> {
    const [row] = await this.database.query<OrganisationRow>('SELECT * FROM organisation WHERE id = $1', [id]);
    return row && organisationOf(row);
  }

  /** Creates the organisation if there is none at all. Of several replicas that start together one creates it, the others get `exists`. */
  async createFirst(tx: Transaction, name: string, now: Date): Promise<Organisation | 'exists'> {
    await rows(tx, 'SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [FIRST_ORGANISATION_LOCK]);
    const organisation = { id: newObjectId(now), name, createdAt: now };
    const created = await rows(
      tx,
      'INSERT INTO organisation (id, name, created_at) SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM organisation) RETURNING id',
      [organisation.id, name, now],
    );
    return created.length === 1 ? organisation : 'exists';
  }

  /** Makes changes to who owns the organisation wait for each other, until the transaction ends. */
  async lock(tx: Transaction, id: string): Promise<void> {
    await rows(tx, 'SELECT FROM organisation WHERE id = $1 FOR NO KEY UPDATE', [id]);
  }
}

function organisationOf(row: OrganisationRow): Organisation {
  return { id: row.id, name: row.name, createdAt: row.created_at };
}
