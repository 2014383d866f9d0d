import type { Evidence, EnforcementMode, KeyProviderName, ValidityState } from '@atrest/contracts';
import type { Canary } from '@atrest/kms';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import { statesBefore, type KeyConfiguration } from './key-configuration.js';
import type { KeyProspects, KnownEnding } from './key-prospects.js';
import type { ProviderSettings } from './providers/provider-binding.js';
import type { HeldShutdown } from './validity-policy.js';

/** How writing the result of a check ended. Only `applied` changed anything: a result about older settings is worth nothing. */
export type ApplyOutcome = 'applied' | 'changed-meanwhile' | 'removed';

/** How writing new settings, or removing them, ended. */
export type ChangeOutcome = 'written' | 'changed-meanwhile' | 'removed';

/** As JSON has it. */
type StoredHold = Omit<HeldShutdown, 'since' | 'until'> & { readonly since: string; readonly until: string };

type StoredProspects = Omit<KeyProspects, 'rotatedAt' | 'ending'> & {
  readonly rotatedAt: string;
  readonly ending: (Omit<KnownEnding, 'at'> & { readonly at: string }) | null;
};

const toProspects = ({ rotatedAt, ending, ...rest }: StoredProspects): KeyProspects => ({
  ...rest,
  rotatedAt: new Date(rotatedAt),
  ending: ending && { ...ending, at: new Date(ending.at) },
});

interface Row {
  id: string;
  project_id: string;
  provider: KeyProviderName;
  mode: EnforcementMode;
  settings: ProviderSettings;
  sealed_credentials: string;
  canary: Canary;
  epoch: number;
  checked_key_id: string;
  state: ValidityState;
  state_since: Date;
  evidence: Evidence[];
  last_evidence: Evidence | null;
  unreachable_since: Date | null;
  unreachable_alerts: number;
  hold: StoredHold | null;
  fail_closed: boolean;
  prospects: StoredProspects;
  last_proven_at: Date | null;
  announced_findings: string[];
  revision: number;
  created_at: Date;
  updated_at: Date;
  /** Of the checked key. */
  next_check_at: Date;
  key_evidence: Evidence | null;
  key_proven_at: Date | null;
}

/** What is read, and from where: a configuration and the key that is checked for it. */
const SELECT = `SELECT c.id, c.project_id, c.provider, c.mode, c.settings, c.sealed_credentials, c.canary, c.epoch, c.checked_key_id, c.state, c.state_since,
    c.evidence, c.last_evidence, c.unreachable_since, c.unreachable_alerts, c.hold, c.fail_closed, c.prospects, c.last_proven_at, c.announced_findings, c.revision, c.created_at,
    c.updated_at, k.next_check_at, k.last_evidence AS key_evidence, k.last_proven_at AS key_proven_at
  FROM key_configuration c JOIN checked_key k ON k.id = c.checked_key_id`;

const laterOf = (a: Date | null, b: Date | null): Date | null => (a !== null && (b === null || a > b) ? a : b);

/** A result that is like the one before is stored on the key only; one that changed something, on the configuration, too. */
const laterEvidence = (own: Evidence | null, key: Evidence | null): Evidence | null =>
  own !== null && (key === null || Date.parse(own.at) > Date.parse(key.at)) ? own : key;

function toConfiguration(row: Row): KeyConfiguration {
  return {
    id: row.id,
    projectId: row.project_id,
    provider: row.provider,
    mode: row.mode,
    failClosed: row.fail_closed,
    settings: row.settings,
    sealedCredentials: row.sealed_credentials,
    canary: row.canary,
    epoch: row.epoch,
    checkedKeyId: row.checked_key_id,
    validity: {
      state: row.state,
      since: row.state_since,
      evidence: row.evidence,
      unreachableSince: row.unreachable_since,
      unreachableAlerts: row.unreachable_alerts,
      hold: row.hold && { ...row.hold, since: new Date(row.hold.since), until: new Date(row.hold.until) },
      lastProvenAt: laterOf(row.last_proven_at, row.key_proven_at),
      lastEvidence: laterEvidence(row.last_evidence, row.key_evidence),
      announcedFindings: row.announced_findings,
    },
    prospects: toProspects(row.prospects),
    nextCheckAt: row.next_check_at,
    revision: row.revision,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

const json = (value: unknown): string => JSON.stringify(value);

/** The values of a check's result, in the order in which `applyCheck` numbers them from $4. */
const validityValues = ({ validity, prospects, checkedKeyId, revision }: KeyConfiguration): unknown[] => [
  validity.state,
  validity.since,
  json(validity.evidence),
  validity.lastEvidence === null ? null : json(validity.lastEvidence),
  validity.unreachableSince,
  validity.unreachableAlerts,
  validity.lastProvenAt,
  json(validity.announcedFindings),
  validity.hold === null ? null : json(validity.hold),
  json(prospects),
  checkedKeyId,
  revision,
];

const VALIDITY_ASSIGNMENTS = `state = $4, state_since = $5, evidence = $6, last_evidence = $7, unreachable_since = $8, unreachable_alerts = $9,
  last_proven_at = $10, announced_findings = $11, hold = $12, prospects = $13, checked_key_id = $14, revision = $15`;

/** Key configurations in the database. */
export class KeyConfigurationRepository {
  constructor(private readonly database: ServiceDatabase) {}

  async find(projectId: string, provider: KeyProviderName): Promise<KeyConfiguration | null> {
    const found = await this.database.query<Row>(`${SELECT} WHERE c.project_id = $1 AND c.provider = $2`, [projectId, provider]);
    return found[0] ? toConfiguration(found[0]) : null;
  }

  /** The id of a project's configuration for a provider. */
  async idOf(tx: Transaction, projectId: string, provider: KeyProviderName): Promise<string | null> {
    const sql = 'SELECT id FROM key_configuration WHERE project_id = $1 AND provider = $2';
    return (await rows<{ id: string }>(tx, sql, [projectId, provider]))[0]?.id ?? null;
  }

  /** All of a project. */
  async ofProject(projectId: string): Promise<KeyConfiguration[]> {
    return (await this.database.query<Row>(`${SELECT} WHERE c.project_id = $1 ORDER BY c.provider`, [projectId])).map(toConfiguration);
  }

  /** The configurations that one check of each of these keys answers for. */
  async usingKeys(checkedKeyIds: readonly string[]): Promise<KeyConfiguration[]> {
    if (checkedKeyIds.length === 0) return [];
    return (await this.database.query<Row>(`${SELECT} WHERE c.checked_key_id = ANY ($1) ORDER BY c.id`, [checkedKeyIds])).map(
      toConfiguration,
    );
  }

  async get(id: string): Promise<KeyConfiguration | null> {
    const found = await this.database.query<Row>(`${SELECT} WHERE c.id = $1`, [id]);
    return found[0] ? toConfiguration(found[0]) : null;
  }

  /** For a handler that must see what nobody changes before it has written. */
  async findForUpdate(tx: Transaction, projectId: string): Promise<KeyConfiguration[]> {
    const found = await rows<Row>(tx, `${SELECT} WHERE c.project_id = $1 ORDER BY c.id FOR UPDATE OF c`, [projectId]);
    return found.map(toConfiguration);
  }

  /** Whether the project has a configuration for the provider; it keeps it until the transaction ends. */
  async holdConfigured(tx: Transaction, projectId: string, provider: KeyProviderName): Promise<boolean> {
    const found = await rows(tx, 'SELECT id FROM key_configuration WHERE project_id = $1 AND provider = $2 FOR SHARE', [
      projectId,
      provider,
    ]);
    return found.length === 1;
  }

  /** Stores a new configuration; another one that was first wins. */
  async insert(tx: Transaction, configuration: KeyConfiguration, sealingKeyId: string): Promise<'written' | 'changed-meanwhile'> {
    const { id, projectId, provider, mode, failClosed, settings, sealedCredentials, canary, epoch, createdAt, updatedAt } = configuration;
    const inserted = await rows(
      tx,
      `INSERT INTO key_configuration (id, project_id, provider, state, state_since, evidence, last_evidence, unreachable_since, unreachable_alerts,
         last_proven_at, announced_findings, hold, prospects, checked_key_id, revision, mode, fail_closed, settings, sealed_credentials, sealing_key_id, canary, epoch,
         created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)
       ON CONFLICT (project_id, provider) DO NOTHING RETURNING id`,
      [
        id,
        projectId,
        provider,
        ...validityValues(configuration),
        mode,
        failClosed,
        json(settings),
        sealedCredentials,
        sealingKeyId,
        json(canary),
        epoch,
        createdAt,
        updatedAt,
      ],
    );
    return inserted.length === 1 ? 'written' : 'changed-meanwhile';
  }

  /** Writes new settings over the revision they were decided on. The result of a check that runs meanwhile is discarded, because the revision moved. */
  async replace(tx: Transaction, expectedRevision: number, configuration: KeyConfiguration, sealingKeyId: string): Promise<ChangeOutcome> {
    const { id, settings, sealedCredentials, canary, epoch, updatedAt, validity } = configuration;
    const updated = await rows(
      tx,
      `UPDATE key_configuration SET ${VALIDITY_ASSIGNMENTS}, settings = $16, sealed_credentials = $17, sealing_key_id = $18, canary = $19, epoch = $20, updated_at = $21
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
        epoch,
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

  /** Writes what a check led to, over exactly the revision it was made for, and from a state that may lead to the new one. */
  async applyCheck(tx: Transaction, before: KeyConfiguration, after: KeyConfiguration): Promise<ApplyOutcome> {
    const updated = await rows(
      tx,
      `UPDATE key_configuration SET ${VALIDITY_ASSIGNMENTS} WHERE id = $1 AND revision = $2 AND state = ANY ($3) RETURNING id`,
      [before.id, before.revision, statesBefore(after.validity.state), ...validityValues(after)],
    );
    return updated.length === 1 ? 'applied' : this.whyNotWritten(tx, before.id);
  }

  /** Writes a decision of the project's people: its policy, or what becomes of a held shutdown. */
  async applyDecision(tx: Transaction, before: KeyConfiguration, after: KeyConfiguration): Promise<ChangeOutcome> {
    const { id, mode, failClosed, validity, revision } = after;
    const updated = await rows(
      tx,
      `UPDATE key_configuration SET mode = $4, fail_closed = $5, hold = $6, revision = $7
       WHERE id = $1 AND revision = $2 AND state = $3 RETURNING id`,
      [id, before.revision, validity.state, mode, failClosed, validity.hold === null ? null : json(validity.hold), revision],
    );
    return updated.length === 1 ? 'written' : this.whyNotWritten(tx, id);
  }

  /** Shutdowns of an organisation's projects that are held. */
  async heldOf(orgId: string): Promise<KeyConfiguration[]> {
    const found = await this.database.query<Row>(
      `${SELECT} JOIN project p ON p.id = c.project_id WHERE p.org_id = $1 AND c.state = 'HELD' ORDER BY c.id`,
      [orgId],
    );
    return found.map(toConfiguration);
  }

  /** The oldest proof of any configuration that is not INVALID, or null when there is none. */
  async oldestProof(): Promise<Date | null> {
    const found = await this.database.query<{ oldest: Date | null }>(
      `SELECT min(GREATEST(c.last_proven_at, k.last_proven_at)) AS oldest FROM key_configuration c JOIN checked_key k ON k.id = c.checked_key_id
       WHERE c.state <> 'INVALID'`,
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
