import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { EnforcementMode, Evidence, KeyProviderName, ValidityState } from '@atrest/contracts';
import { decisiveEvidence, type KeyConfiguration } from './key-configuration.js';

/** One entry: what checks of a key gave. */
export interface Sample {
  readonly evidence: Pick<Evidence, 'verdict' | 'reason' | 'errorName' | 'requestId' | 'observer'>;
  readonly at: Date;
  /** Checks that it stands for: itself and those before it that were no entry of their own. */
  readonly checks: number;
}

/** An entry to be made. */
export interface NewSample {
  readonly checkedKeyId: string;
  readonly evidence: Evidence;
  readonly durationMs: number;
  readonly checks: number;
}

/** A configuration changed its state. */
export interface StateChange {
  readonly at: Date;
  readonly from: ValidityState;
  readonly to: ValidityState;
  readonly mode: EnforcementMode;
  readonly evidence: readonly Evidence[];
}

/** A stop that did not happen, because the project only observes. */
export interface ObservedStop {
  readonly provider: KeyProviderName;
  readonly at: Date;
  /** When the key was usable again; null while it is not. */
  readonly endedAt: Date | null;
  /** The clusters that used the key then. */
  readonly clusters: readonly string[];
  readonly evidence: readonly Evidence[];
}

interface SampleRow {
  checked_at: Date;
  verdict: Evidence['verdict'];
  reason: Evidence['reason'];
  error_name: string | null;
  request_id: string | null;
  observer: string;
  checks: number;
}

interface ChangeRow {
  changed_at: Date;
  from_state: ValidityState;
  to_state: ValidityState;
  mode: EnforcementMode;
  evidence: Evidence[];
}

/** What an auditor asks for after a stop: every change of state with its evidence, and what checks gave, without repetitions. Append-only. */
export class CheckHistory {
  constructor(private readonly database: ServiceDatabase) {}

  /** Makes entries, of any keys. */
  async sample(tx: Transaction, samples: readonly NewSample[]): Promise<void> {
    const given = samples.map(({ checkedKeyId, evidence, durationMs, checks }) => ({
      checked_key_id: checkedKeyId,
      checked_at: evidence.at,
      verdict: evidence.verdict,
      reason: evidence.reason,
      error_name: evidence.errorName,
      request_id: evidence.requestId,
      observer: evidence.observer,
      duration_ms: Math.round(durationMs),
      checks,
    }));
    await rows(
      tx,
      `INSERT INTO validity_check (checked_key_id, checked_at, verdict, reason, error_name, request_id, observer, duration_ms, checks)
       SELECT * FROM jsonb_to_recordset($1::jsonb) AS s (checked_key_id text, checked_at timestamptz, verdict text, reason text, error_name text,
         request_id text, observer text, duration_ms integer, checks integer) RETURNING id`,
      [JSON.stringify(given)],
    );
  }

  async change(tx: Transaction, before: KeyConfiguration, after: KeyConfiguration, at: Date, clusters: readonly string[]): Promise<void> {
    await rows(
      tx,
      `INSERT INTO validity_change (configuration_id, project_id, provider, mode, changed_at, from_state, to_state, evidence, clusters)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id`,
      [
        after.id,
        after.projectId,
        after.provider,
        after.mode,
        at,
        before.validity.state,
        after.validity.state,
        JSON.stringify(decisiveEvidence(after.validity)),
        JSON.stringify(clusters),
      ],
    );
  }

  /** The latest entries of a key, newest first. */
  async samplesOf(checkedKeyId: string, limit: number): Promise<Sample[]> {
    const found = await this.database.query<SampleRow>(
      'SELECT * FROM validity_check WHERE checked_key_id = $1 ORDER BY checked_at DESC, id DESC LIMIT $2',
      [checkedKeyId, limit],
    );
    return found.map(({ verdict, reason, error_name: errorName, request_id: requestId, observer, checked_at: at, checks }) => ({
      evidence: { verdict, reason, errorName, requestId, observer },
      at,
      checks,
    }));
  }

  /** The latest changes of a configuration, newest first. */
  async changesOf(configurationId: string, limit: number): Promise<StateChange[]> {
    const found = await this.database.query<ChangeRow>(
      'SELECT * FROM validity_change WHERE configuration_id = $1 ORDER BY changed_at DESC, id DESC LIMIT $2',
      [configurationId, limit],
    );
    return found.map(({ changed_at: at, from_state: from, to_state: to, mode, evidence }) => ({ at, from, to, mode, evidence }));
  }

  /** What the mode `observe` would have stopped in a project, newest first. */
  async observedOf(projectId: string, limit: number): Promise<ObservedStop[]> {
    const found = await this.database.query<ChangeRow & { provider: KeyProviderName; clusters: string[]; ended_at: Date | null }>(
      `SELECT c.*, (SELECT min(e.changed_at) FROM validity_change e
                    WHERE e.configuration_id = c.configuration_id AND e.from_state = 'INVALID' AND e.id > c.id) AS ended_at
       FROM validity_change c WHERE c.project_id = $1 AND c.mode = 'observe' AND c.to_state = 'INVALID' ORDER BY c.changed_at DESC, c.id DESC LIMIT $2`,
      [projectId, limit],
    );
    return found.map(({ provider, clusters, evidence, changed_at: at, ended_at: endedAt }) => ({
      provider,
      clusters,
      evidence,
      at,
      endedAt,
    }));
  }

  /** Deletes what is older, at most `limit` entries, so that no statement runs for long; answers how many it deleted. */
  async prune(olderThan: Date, limit: number): Promise<number> {
    const checks = await this.database.query(
      `DELETE FROM validity_check WHERE id IN (SELECT id FROM validity_check WHERE checked_at < $1 ORDER BY id LIMIT $2) RETURNING id`,
      [olderThan, limit],
    );
    const changes = await this.database.query(
      `DELETE FROM validity_change WHERE id IN (SELECT id FROM validity_change WHERE changed_at < $1 ORDER BY id LIMIT $2) RETURNING id`,
      [olderThan, limit],
    );
    return Math.max(checks.length, changes.length);
  }
}
