import { randomUUID } from 'node:crypto';
import type { Evidence, EnforcementMode, ValidityState } from '@atrest/contracts';
import type { Canary } from '@atrest/kms';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { AwsKmsSettings } from './aws-kms-settings.js';
import { statesBefore, type KeyConfiguration } from './key-configuration.js';

/** The right to check one configuration now. It ends by itself, so that another replica takes over what a killed one left. */
export interface Lease {
  readonly token: string;
  readonly owner: string;
  readonly until: Date;
}

/** A configuration that was claimed for a check. */
export interface Claimed {
  readonly configuration: KeyConfiguration;
  readonly lease: Lease;
}

/**
 * How writing the result of a check ended. Only `applied` changed anything: a result about older settings, or one that came after its
 * lease was taken over, is worth nothing.
 */
export type ApplyOutcome = 'applied' | 'changed-meanwhile' | 'lease-lost' | 'removed';

/** How writing new settings, or removing them, ended. */
export type ChangeOutcome = 'written' | 'changed-meanwhile' | 'removed';

/** How a claim of one configuration ended. */
export type ClaimOutcome =
  { readonly kind: 'claimed'; readonly claimed: Claimed } | { readonly kind: 'being-checked' } | { readonly kind: 'removed' };

interface Row {
  id: string;
  project_id: string;
  provider: 'AWS';
  mode: EnforcementMode;
  settings: AwsKmsSettings;
  sealed_credentials: string;
  canary: Canary;
  state: ValidityState;
  state_since: Date;
  evidence: Evidence[];
  last_evidence: Evidence | null;
  unreachable_since: Date | null;
  unreachable_announced: boolean;
  last_proven_at: Date | null;
  announced_findings: string[];
  last_wrap_proof_at: Date;
  next_check_at: Date;
  revision: number;
  created_at: Date;
  updated_at: Date;
}

const COLUMNS = `id, project_id, provider, mode, settings, sealed_credentials, canary, state, state_since, evidence, last_evidence,
  unreachable_since, unreachable_announced, last_proven_at, announced_findings, last_wrap_proof_at, next_check_at, revision, created_at, updated_at`;

function toConfiguration(row: Row): KeyConfiguration {
  return {
    id: row.id,
    projectId: row.project_id,
    provider: row.provider,
    mode: row.mode,
    settings: row.settings,
    sealedCredentials: row.sealed_credentials,
    canary: row.canary,
    validity: {
      state: row.state,
      since: row.state_since,
      evidence: row.evidence,
      unreachableSince: row.unreachable_since,
      unreachableAnnounced: row.unreachable_announced,
      lastProvenAt: row.last_proven_at,
      lastEvidence: row.last_evidence,
      announcedFindings: row.announced_findings,
    },
    lastWrapProofAt: row.last_wrap_proof_at,
    nextCheckAt: row.next_check_at,
    revision: row.revision,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** Leases of other replicas end about as late as our own. */
const longestLease = (now: Date, lease: Pick<Lease, 'until'>): Date => new Date(2 * lease.until.getTime() - now.getTime());

const json = (value: unknown): string => JSON.stringify(value);

/** The values of a check's result, in the order in which `applyCheck` numbers them from $4. */
const validityValues = ({ validity, nextCheckAt, lastWrapProofAt, revision }: KeyConfiguration): unknown[] => [
  validity.state,
  validity.since,
  json(validity.evidence),
  validity.lastEvidence === null ? null : json(validity.lastEvidence),
  validity.unreachableSince,
  validity.unreachableAnnounced,
  validity.lastProvenAt,
  json(validity.announcedFindings),
  lastWrapProofAt,
  nextCheckAt,
  revision,
];

const VALIDITY_ASSIGNMENTS = `state = $4, state_since = $5, evidence = $6, last_evidence = $7, unreachable_since = $8, unreachable_announced = $9,
  last_proven_at = $10, announced_findings = $11, last_wrap_proof_at = $12, next_check_at = $13, revision = $14,
  lease_token = NULL, lease_owner = NULL, lease_until = NULL`;

/** Key configurations in the database. All moments come from the caller's clock; leases are long compared with clock differences. */
export class KeyConfigurationRepository {
  constructor(private readonly database: ServiceDatabase) {}

  async find(projectId: string): Promise<KeyConfiguration | null> {
    const found = await this.database.query<Row>(`SELECT ${COLUMNS} FROM key_configuration WHERE project_id = $1 AND provider = 'AWS'`, [
      projectId,
    ]);
    return found[0] ? toConfiguration(found[0]) : null;
  }

  async get(id: string): Promise<KeyConfiguration | null> {
    const found = await this.database.query<Row>(`SELECT ${COLUMNS} FROM key_configuration WHERE id = $1`, [id]);
    return found[0] ? toConfiguration(found[0]) : null;
  }

  /** For a handler that must see what nobody changes before it has written. */
  async findForUpdate(tx: Transaction, projectId: string): Promise<KeyConfiguration[]> {
    const found = await rows<Row>(tx, `SELECT ${COLUMNS} FROM key_configuration WHERE project_id = $1 FOR UPDATE`, [projectId]);
    return found.map(toConfiguration);
  }

  /** Stores a new configuration; another one that was first wins. */
  async insert(tx: Transaction, configuration: KeyConfiguration, sealingKeyId: string): Promise<'written' | 'changed-meanwhile'> {
    const { id, projectId, provider, mode, settings, sealedCredentials, canary, createdAt, updatedAt } = configuration;
    const inserted = await rows(
      tx,
      `INSERT INTO key_configuration (id, project_id, provider, state, state_since, evidence, last_evidence, unreachable_since, unreachable_announced,
         last_proven_at, announced_findings, last_wrap_proof_at, next_check_at, revision, mode, settings, sealed_credentials, sealing_key_id, canary,
         created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
       ON CONFLICT (project_id, provider) DO NOTHING RETURNING id`,
      [
        id,
        projectId,
        provider,
        ...validityValues(configuration),
        mode,
        json(settings),
        sealedCredentials,
        sealingKeyId,
        json(canary),
        createdAt,
        updatedAt,
      ],
    );
    return inserted.length === 1 ? 'written' : 'changed-meanwhile';
  }

  /** Writes new settings over the revision they were decided on. A check that runs meanwhile loses its lease. */
  async replace(tx: Transaction, expectedRevision: number, configuration: KeyConfiguration, sealingKeyId: string): Promise<ChangeOutcome> {
    const { id, settings, sealedCredentials, canary, updatedAt, validity } = configuration;
    const updated = await rows(
      tx,
      `UPDATE key_configuration SET ${VALIDITY_ASSIGNMENTS}, settings = $15, sealed_credentials = $16, sealing_key_id = $17, canary = $18, updated_at = $19
       WHERE id = $1 AND revision = $2 AND state = ANY ($3) RETURNING id`,
      [
        id,
        expectedRevision,
        statesBefore(validity.state),
        ...validityValues(configuration),
        json(settings),
        sealedCredentials,
        sealingKeyId,
        json(canary),
        updatedAt,
      ],
    );
    return updated.length === 1 ? 'written' : this.whyNotWritten(tx, id);
  }

  /** Deletes the configuration with its credentials. */
  async remove(tx: Transaction, id: string, expectedRevision: number): Promise<ChangeOutcome> {
    const deleted = await rows(tx, 'DELETE FROM key_configuration WHERE id = $1 AND revision = $2 RETURNING id', [id, expectedRevision]);
    return deleted.length === 1 ? 'written' : this.whyNotWritten(tx, id);
  }

  private async whyNotWritten(tx: Transaction, id: string): Promise<'changed-meanwhile' | 'removed'> {
    const left = await rows(tx, 'SELECT id FROM key_configuration WHERE id = $1', [id]);
    return left.length === 0 ? 'removed' : 'changed-meanwhile';
  }

  /**
   * Claims configurations that are due and that nobody checks, the longest overdue first. A check that is planned for after `latest`, and a lease that
   * would end long after the one that is asked for, are of another time: the clock was set back, or the interval was shortened.
   */
  async claimDue(limit: number, now: Date, latest: Date, lease: Omit<Lease, 'token'>): Promise<Claimed[]> {
    return this.database.transaction(async (tx) => {
      const token = randomUUID();
      const claimed = await rows<Row>(
        tx,
        `UPDATE key_configuration SET lease_token = $3, lease_owner = $4, lease_until = $5
         WHERE id IN (SELECT id FROM key_configuration WHERE (next_check_at <= $1 OR next_check_at > $6)
                        AND (lease_until IS NULL OR lease_until <= $1 OR lease_until > $7)
                      ORDER BY next_check_at LIMIT $2 FOR UPDATE SKIP LOCKED)
         RETURNING ${COLUMNS}`,
        [now, limit, token, lease.owner, lease.until, latest, longestLease(now, lease)],
      );
      return claimed.map((row) => ({ configuration: toConfiguration(row), lease: { ...lease, token } }));
    });
  }

  /** Claims one configuration whether or not it is due. */
  async claimNow(id: string, now: Date, lease: Omit<Lease, 'token'>): Promise<ClaimOutcome> {
    return this.database.transaction(async (tx) => {
      const token = randomUUID();
      const claimed = await rows<Row>(
        tx,
        `UPDATE key_configuration SET lease_token = $3, lease_owner = $4, lease_until = $5
         WHERE id = $1 AND (lease_until IS NULL OR lease_until <= $2 OR lease_until > $6) RETURNING ${COLUMNS}`,
        [id, now, token, lease.owner, lease.until, longestLease(now, lease)],
      );
      if (claimed[0]) return { kind: 'claimed', claimed: { configuration: toConfiguration(claimed[0]), lease: { ...lease, token } } };
      return { kind: (await this.whyNotWritten(tx, id)) === 'removed' ? 'removed' : 'being-checked' };
    });
  }

  /** Gives a claim back without a result: the next replica that looks takes it. */
  async release(id: string, lease: Lease): Promise<void> {
    await this.database.query(
      'UPDATE key_configuration SET lease_token = NULL, lease_owner = NULL, lease_until = NULL WHERE id = $1 AND lease_token = $2 RETURNING id',
      [id, lease.token],
    );
  }

  /** Writes what a check led to, over exactly the revision and lease it was made under, and from a state that may lead to the new one. */
  async applyCheck(tx: Transaction, before: KeyConfiguration, after: KeyConfiguration, lease: Lease): Promise<ApplyOutcome> {
    const updated = await rows(
      tx,
      `UPDATE key_configuration SET ${VALIDITY_ASSIGNMENTS}
       WHERE id = $1 AND revision = $2 AND state = ANY ($3) AND lease_token = $15 RETURNING id`,
      [before.id, before.revision, statesBefore(after.validity.state), ...validityValues(after), lease.token],
    );
    if (updated.length === 1) return 'applied';
    const left = await rows<{ revision: number }>(tx, 'SELECT revision FROM key_configuration WHERE id = $1', [before.id]);
    if (!left[0]) return 'removed';
    return left[0].revision === before.revision ? 'lease-lost' : 'changed-meanwhile';
  }

  /** When the next check is due, or null when there is none. Those that are being checked are not counted: they are due later. */
  async nextDueAt(): Promise<Date | null> {
    const found = await this.database.query<{ due: Date }>(
      'SELECT next_check_at AS due FROM key_configuration WHERE lease_until IS NULL ORDER BY next_check_at LIMIT 1',
    );
    return found[0]?.due ?? null;
  }

  /** The oldest proof of any configuration that is not INVALID, or null when there is none. */
  async oldestProof(): Promise<Date | null> {
    const found = await this.database.query<{ oldest: Date | null }>(
      "SELECT min(last_proven_at) AS oldest FROM key_configuration WHERE state <> 'INVALID'",
    );
    return found[0]?.oldest ?? null;
  }

  /** Credentials that are sealed under another key than the current one. */
  async sealedUnderOtherKeys(currentKeyId: string, afterId: string, limit: number): Promise<{ id: string; sealedCredentials: string }[]> {
    const found = await this.database.query<{ id: string; sealed_credentials: string }>(
      'SELECT id, sealed_credentials FROM key_configuration WHERE sealing_key_id <> $1 AND id > $2 ORDER BY id LIMIT $3',
      [currentKeyId, afterId, limit],
    );
    return found.map((row) => ({ id: row.id, sealedCredentials: row.sealed_credentials }));
  }

  /** Replaces a seal by another of the same credentials; a PATCH that was faster wins. */
  async reseal(id: string, before: string, after: string, sealingKeyId: string): Promise<'resealed' | 'changed-meanwhile'> {
    const updated = await this.database.query(
      'UPDATE key_configuration SET sealed_credentials = $3, sealing_key_id = $4 WHERE id = $1 AND sealed_credentials = $2 RETURNING id',
      [id, before, after, sealingKeyId],
    );
    return updated.length === 1 ? 'resealed' : 'changed-meanwhile';
  }
}
