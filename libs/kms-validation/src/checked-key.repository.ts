import { randomUUID } from 'node:crypto';
import type { Evidence, KeyProviderName } from '@atrest/contracts';
import { rows, type ServiceDatabase, type Statement, type Transaction } from '@atrest/platform-persistence';
import type { CheckedKey } from './checked-key.js';

/** The right to check one key now. It ends by itself, so that another replica takes over what a killed one left. */
export interface Lease {
  readonly token: string;
  readonly owner: string;
  readonly until: Date;
}

/** A key that was claimed for a check. */
export interface ClaimedKey {
  readonly key: CheckedKey;
  readonly lease: Lease;
}

/** How a claim of one key ended. */
export type ClaimOutcome =
  { readonly kind: 'claimed'; readonly claimed: ClaimedKey } | { readonly kind: 'being-checked' } | { readonly kind: 'removed' };

/** What a finished check leaves on its key. */
export type FinishedCheck = Omit<CheckedKey, 'id' | 'provider'>;

/** The end of a claim. */
export interface Finish {
  readonly id: string;
  readonly lease: Lease;
  readonly after: FinishedCheck;
  readonly now: Date;
}

interface Row {
  id: string;
  provider: KeyProviderName;
  next_check_at: Date;
  last_evidence: Evidence | null;
  last_proven_at: Date | null;
  last_wrap_proof_at: Date;
  last_described_at: Date;
  last_member_id: string | null;
  sampled_at: Date | null;
  checks_since_sample: number;
}

const COLUMNS =
  'id, provider, next_check_at, last_evidence, last_proven_at, last_wrap_proof_at, last_described_at, last_member_id, sampled_at, checks_since_sample';

const toKey = (row: Row): CheckedKey => ({
  id: row.id,
  provider: row.provider,
  nextCheckAt: row.next_check_at,
  lastEvidence: row.last_evidence,
  lastProvenAt: row.last_proven_at,
  lastWrapProofAt: row.last_wrap_proof_at,
  lastDescribedAt: row.last_described_at,
  lastMemberId: row.last_member_id,
  sampledAt: row.sampled_at,
  checksSinceSample: row.checks_since_sample,
});

const toColumns = (after: FinishedCheck): Omit<Row, 'id' | 'provider'> => ({
  next_check_at: after.nextCheckAt,
  last_evidence: after.lastEvidence,
  last_proven_at: after.lastProvenAt,
  last_wrap_proof_at: after.lastWrapProofAt,
  last_described_at: after.lastDescribedAt,
  last_member_id: after.lastMemberId,
  sampled_at: after.sampledAt,
  checks_since_sample: after.checksSinceSample,
});

/** Many at once: a statement costs about as much as ten rows in it. */
const FINISH: Statement = {
  name: 'finish-checks',
  text: `UPDATE checked_key k SET next_check_at = f.next_check_at, planned_at = f.planned_at, last_evidence = f.last_evidence,
      last_proven_at = f.last_proven_at, last_wrap_proof_at = f.last_wrap_proof_at, last_described_at = f.last_described_at,
      last_member_id = f.last_member_id, sampled_at = f.sampled_at, checks_since_sample = f.checks_since_sample,
      lease_token = NULL, lease_owner = NULL, lease_until = NULL
    FROM jsonb_to_recordset($1::jsonb) AS f (id text, token text, next_check_at timestamptz, planned_at timestamptz, last_evidence jsonb,
      last_proven_at timestamptz, last_wrap_proof_at timestamptz, last_described_at timestamptz, last_member_id text, sampled_at timestamptz,
      checks_since_sample integer)
    WHERE k.id = f.id AND k.lease_token = f.token RETURNING k.id`,
};

/** Leases of other replicas end about as late as our own. */
const longestLease = (now: Date, lease: Pick<Lease, 'until'>): Date => new Date(2 * lease.until.getTime() - now.getTime());

/** Clocks of replicas differ by less; what was planned further in the future than this was planned before a clock was set back. */
const CLOCK_TOLERANCE_MS = 30_000;
const latestPlan = (now: Date): Date => new Date(now.getTime() + CLOCK_TOLERANCE_MS);

/** Keys to check, in the database. All moments come from the caller's clock; leases are long compared with clock differences. */
export class CheckedKeyRepository {
  constructor(private readonly database: ServiceDatabase) {}

  /** Makes the key known, or due sooner, for a configuration that was just proven to reach it. */
  async join(tx: Transaction, key: Pick<CheckedKey, 'id' | 'provider' | 'nextCheckAt'>, now: Date): Promise<void> {
    await rows(
      tx,
      `INSERT INTO checked_key (id, provider, next_check_at, planned_at, last_wrap_proof_at, last_described_at) VALUES ($1, $2, $3, $4, $4, $4)
       ON CONFLICT (id) DO UPDATE SET next_check_at = LEAST(checked_key.next_check_at, EXCLUDED.next_check_at) RETURNING id`,
      [key.id, key.provider, key.nextCheckAt, now],
    );
  }

  /** Claims keys that are due and that nobody checks, the longest overdue first. */
  async claimDue(limit: number, now: Date, lease: Omit<Lease, 'token'>): Promise<ClaimedKey[]> {
    const token = randomUUID();
    const claimed = await this.database.query<Row>(
      `UPDATE checked_key SET lease_token = $3, lease_owner = $4, lease_until = $5
       WHERE id IN (SELECT id FROM checked_key WHERE (next_check_at <= $1 OR planned_at > $6)
                      AND (lease_until IS NULL OR lease_until <= $1 OR lease_until > $7)
                    ORDER BY next_check_at LIMIT $2 FOR UPDATE SKIP LOCKED)
       RETURNING ${COLUMNS}`,
      [now, limit, token, lease.owner, lease.until, latestPlan(now), longestLease(now, lease)],
    );
    return claimed.map((row) => ({ key: toKey(row), lease: { ...lease, token } }));
  }

  /** Claims the key of a configuration whether or not it is due. */
  async claimOf(configurationId: string, now: Date, lease: Omit<Lease, 'token'>): Promise<ClaimOutcome> {
    return this.database.transaction(async (tx) => {
      const token = randomUUID();
      const claimed = await rows<Row>(
        tx,
        `UPDATE checked_key SET lease_token = $3, lease_owner = $4, lease_until = $5
         WHERE id = (SELECT checked_key_id FROM key_configuration WHERE id = $1)
           AND (lease_until IS NULL OR lease_until <= $2 OR lease_until > $6) RETURNING ${COLUMNS}`,
        [configurationId, now, token, lease.owner, lease.until, longestLease(now, lease)],
      );
      if (claimed[0]) return { kind: 'claimed', claimed: { key: toKey(claimed[0]), lease: { ...lease, token } } };
      const left = await rows(tx, 'SELECT id FROM key_configuration WHERE id = $1', [configurationId]);
      return { kind: left.length === 0 ? 'removed' : 'being-checked' };
    });
  }

  /** Makes the key of a configuration due at once. Decides nothing. */
  async makeDue(tx: Transaction, configurationId: string, now: Date): Promise<'made-due' | 'removed'> {
    const updated = await rows(
      tx,
      `UPDATE checked_key SET next_check_at = LEAST(next_check_at, $2), planned_at = $2
       WHERE id = (SELECT checked_key_id FROM key_configuration WHERE id = $1) RETURNING id`,
      [configurationId, now],
    );
    return updated.length === 1 ? 'made-due' : 'removed';
  }

  /** Makes keys due at once by the name that their provider gives them, or its beginning; answers how many. They are described anew as well. */
  async makeAffectedDue(
    tx: Transaction,
    { names, prefixes }: { readonly names: readonly string[]; readonly prefixes: readonly string[] },
    now: Date,
  ): Promise<number> {
    const updated = await rows(
      tx,
      `UPDATE checked_key SET next_check_at = LEAST(next_check_at, $3), planned_at = $3, last_described_at = to_timestamp(0)
       WHERE id IN (SELECT checked_key_id FROM key_configuration c, LATERAL (SELECT c.canary -> 'blob' ->> 'resolvedKeyId' AS name) key
                    WHERE key.name = ANY ($1) OR EXISTS (SELECT FROM unnest($2::text[]) prefix WHERE starts_with(key.name, prefix)))
       RETURNING id`,
      [names, prefixes, now],
    );
    return updated.length;
  }

  /** Plans nothing later than this: the interval was shortened. */
  async bringForward(latest: Date, now: Date): Promise<void> {
    await this.database.query('UPDATE checked_key SET next_check_at = $1, planned_at = $2 WHERE next_check_at > $1 RETURNING id', [
      latest,
      now,
    ]);
  }

  /** The same for the keys of one project. */
  async bringForwardOf(tx: Transaction, projectId: string, latest: Date, now: Date): Promise<void> {
    await rows(
      tx,
      `UPDATE checked_key SET next_check_at = $2, planned_at = $3
       WHERE next_check_at > $2 AND id IN (SELECT checked_key_id FROM key_configuration WHERE project_id = $1) RETURNING id`,
      [projectId, latest, now],
    );
  }

  /** Whether the lease is still ours; while the transaction lasts nobody else takes it. */
  async holds(tx: Transaction, id: string, lease: Lease): Promise<boolean> {
    const held = await rows(tx, 'SELECT id FROM checked_key WHERE id = $1 AND lease_token = $2 FOR NO KEY UPDATE', [id, lease.token]);
    return held.length === 1;
  }

  /** Ends a claim with what its check left; `lease-lost` when somebody else has taken over. */
  async finish(tx: Transaction, finish: Finish): Promise<'finished' | 'lease-lost'> {
    return (await this.finishAll(tx, [finish])).has(finish.id) ? 'finished' : 'lease-lost';
  }

  /** Ends claims of different keys; answers which. Of the others somebody else has taken over. */
  async finishAll(tx: Transaction, finishes: readonly Finish[]): Promise<ReadonlySet<string>> {
    const given = finishes.map(({ id, lease, after, now }) => ({ id, token: lease.token, planned_at: now, ...toColumns(after) }));
    const updated = await rows<{ id: string }>(tx, FINISH, [JSON.stringify(given)]);
    return new Set(updated.map(({ id }) => id));
  }

  /** Gives a claim back without a result: the next replica that looks takes it. */
  async release(id: string, lease: Lease): Promise<void> {
    await this.database.query(
      'UPDATE checked_key SET lease_token = NULL, lease_owner = NULL, lease_until = NULL WHERE id = $1 AND lease_token = $2 RETURNING id',
      [id, lease.token],
    );
  }

  /** Forgets a key that no configuration uses any more. One that is just being saved keeps it. */
  async forgetUnused(id: string): Promise<'forgotten' | 'in-use'> {
    return this.database.transaction(async (tx) => {
      // The lock first: a statement after it sees every configuration that joined before.
      await rows(tx, 'SELECT id FROM checked_key WHERE id = $1 FOR UPDATE', [id]);
      const deleted = await rows(
        tx,
        'DELETE FROM checked_key WHERE id = $1 AND NOT EXISTS (SELECT FROM key_configuration WHERE checked_key_id = $1) RETURNING id',
        [id],
      );
      return deleted.length === 1 ? 'forgotten' : 'in-use';
    });
  }

  /** When the next check is due, or null when there is none. Those that are being checked are not counted: they are due later. */
  async nextDueAt(): Promise<Date | null> {
    const found = await this.database.query<{ due: Date }>(
      'SELECT next_check_at AS due FROM checked_key WHERE lease_until IS NULL ORDER BY next_check_at LIMIT 1',
    );
    return found[0]?.due ?? null;
  }
}
