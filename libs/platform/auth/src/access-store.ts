import type { AccessTokenRevocation, ServiceAccountState, SigningKeyState } from '@atrest/contracts';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { Access1795392000000 } from './migrations/1795392000000-access.js';
import { AccessCommandKeys1795392400000 } from './migrations/1795392400000-access-command-keys.js';

/** The tables of `AccessStore`; every service puts them after messaging's and before its own. */
export const accessMigrations: readonly Function[] = [Access1795392000000, AccessCommandKeys1795392400000];

/**
 * How long an expired revocation or key is kept before it is deleted. Services' clocks differ by seconds; deleting a revocation while
 * another clock still calls its token valid would bring the token back. Ten minutes is far above any drift that TLS would survive anyway.
 */
const KEEP_EXPIRED_MS = 10 * 60_000;
/** Rows deleted at most per write, so that no event handler ever becomes a long transaction. */
const PRUNE_BATCH = 1000;

/** What one look at the tables says about a token's owner. */
export interface AccountLookup {
  /** `undefined`: never heard of it (its event may be on the way). A deleted account is known and has `deletedAt`. */
  readonly account: ServiceAccountState | undefined;
  readonly revoked: boolean;
}

interface AccountRow {
  client_id: string;
  org_id: string;
  name: string;
  grants: ServiceAccountState['grants'];
  signing_keys: ServiceAccountState['signingKeys'];
  deleted_at: Date | null;
  revision: number;
}

interface KeyRow {
  kid: string;
  public_jwk: Record<string, string>;
  signs_until: Date;
  accepted_until: Date;
}

/**
 * What this service knows about access: service accounts with their roles, public signing keys, revoked tokens. `fleet` writes it in the
 * transaction of the change itself, every other service from the events of `atrest.access`.
 *
 * Nothing is cached: a role removed or a token revoked takes effect with the next look, which every request makes.
 */
export class AccessStore {
  readonly #database: ServiceDatabase;
  readonly #clock: Clock;

  constructor(database: ServiceDatabase, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
  }

  /** `stale`: a state of the same or a later revision is stored already. */
  async applyServiceAccount(tx: Transaction, state: ServiceAccountState): Promise<'applied' | 'stale'> {
    const changed = await rows(
      tx,
      `INSERT INTO access_service_account AS known (client_id, org_id, name, grants, signing_keys, deleted_at, revision)
       VALUES ($1, $2, $3, $4, $5, $6, $7)
       ON CONFLICT (client_id) DO UPDATE
          SET org_id = EXCLUDED.org_id, name = EXCLUDED.name, grants = EXCLUDED.grants, signing_keys = EXCLUDED.signing_keys,
              deleted_at = EXCLUDED.deleted_at, revision = EXCLUDED.revision
        WHERE known.revision < EXCLUDED.revision
       RETURNING client_id`,
      [
        state.clientId,
        state.orgId,
        state.name,
        JSON.stringify(state.grants),
        JSON.stringify(state.signingKeys),
        state.deletedAt,
        state.revision,
      ],
    );
    return changed.length === 1 ? 'applied' : 'stale';
  }

  /**
   * A key's public half never changes and its times only ever shrink (a key that leaked is retired early), so the order of events
   * cannot matter. `known`: nothing new.
   */
  async applySigningKey(tx: Transaction, state: SigningKeyState): Promise<'applied' | 'known'> {
    const changed = await rows(
      tx,
      `INSERT INTO access_signing_key AS known (kid, public_jwk, signs_until, accepted_until)
       VALUES ($1, $2, $3, $4)
       ON CONFLICT (kid) DO UPDATE
          SET signs_until = LEAST(known.signs_until, EXCLUDED.signs_until),
              accepted_until = LEAST(known.accepted_until, EXCLUDED.accepted_until)
        WHERE known.signs_until > EXCLUDED.signs_until OR known.accepted_until > EXCLUDED.accepted_until
       RETURNING kid`,
      [state.kid, JSON.stringify(state.publicJwk), state.signsUntil, state.acceptedUntil],
    );
    await this.#prune(tx, 'access_signing_key', 'kid', 'accepted_until');
    return changed.length === 1 ? 'applied' : 'known';
  }

  async applyRevocation(tx: Transaction, revocation: AccessTokenRevocation): Promise<'applied' | 'known'> {
    const changed = await rows(
      tx,
      'INSERT INTO access_revoked_token (token_id, expires_at) VALUES ($1, $2) ON CONFLICT (token_id) DO NOTHING RETURNING token_id',
      [revocation.tokenId, revocation.expiresAt],
    );
    await this.#prune(tx, 'access_revoked_token', 'token_id', 'expires_at');
    return changed.length === 1 ? 'applied' : 'known';
  }

  /** Account and revocation in one statement, so that both are of the same moment. */
  async lookUp(clientId: string, tokenId: string): Promise<AccountLookup> {
    const [row] = await this.#database.query<Partial<AccountRow> & { revoked: boolean }>(
      `SELECT account.*, EXISTS (SELECT FROM access_revoked_token WHERE token_id = $2) AS revoked
         FROM (SELECT) AS always LEFT JOIN access_service_account AS account ON account.client_id = $1`,
      [clientId, tokenId],
    );
    return { account: row?.client_id ? accountOf(row as AccountRow) : undefined, revoked: row?.revoked ?? false };
  }

  /** `undefined` when never heard of; a deleted account has `deletedAt`. */
  async findAccount(clientId: string): Promise<ServiceAccountState | undefined> {
    const [row] = await this.#database.query<AccountRow>('SELECT * FROM access_service_account WHERE client_id = $1', [clientId]);
    return row && accountOf(row);
  }

  /** As {@link findAccount}, and the account stays as it is until the transaction ends: for who acts on its behalf without a request. */
  async holdAccount(tx: Transaction, clientId: string): Promise<ServiceAccountState | undefined> {
    const [row] = await rows<AccountRow>(tx, 'SELECT * FROM access_service_account WHERE client_id = $1 FOR SHARE', [clientId]);
    return row && accountOf(row);
  }

  /** Whatever its times say: the caller compares them with its clock. */
  async findKey(kid: string): Promise<SigningKeyState | undefined> {
    const [row] = await this.#database.query<KeyRow>('SELECT * FROM access_signing_key WHERE kid = $1', [kid]);
    return row && keyOf(row);
  }

  /** The keys whose tokens are accepted now, the one that signs first in front. */
  async acceptedKeys(): Promise<SigningKeyState[]> {
    const found = await this.#database.query<KeyRow>(
      'SELECT * FROM access_signing_key WHERE accepted_until > $1 ORDER BY signs_until, kid',
      [this.#clock.now()],
    );
    return found.map(keyOf);
  }

  /**
   * Every write takes the expired rows of its table along, so no job is needed and the table holds little more than what is still alive.
   * Rows that another transaction is deleting are left to it.
   */
  async #prune(tx: Transaction, table: string, key: string, expiry: string): Promise<void> {
    await rows(
      tx,
      `DELETE FROM ${table} WHERE ${key} IN
         (SELECT ${key} FROM ${table} WHERE ${expiry} < $1 ORDER BY ${expiry} LIMIT ${PRUNE_BATCH} FOR UPDATE SKIP LOCKED)`,
      [new Date(this.#clock.now().getTime() - KEEP_EXPIRED_MS)],
    );
  }
}

function accountOf(row: AccountRow): ServiceAccountState {
  return {
    clientId: row.client_id,
    orgId: row.org_id,
    name: row.name,
    grants: row.grants,
    signingKeys: row.signing_keys,
    deletedAt: row.deleted_at?.toISOString() ?? null,
    revision: row.revision,
  };
}

function keyOf(row: KeyRow): SigningKeyState {
  return {
    kid: row.kid,
    publicJwk: row.public_jwk,
    signsUntil: row.signs_until.toISOString(),
    acceptedUntil: row.accepted_until.toISOString(),
  };
}
