import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { Evidence, ValidityState } from '@atrest/contracts';

/** One finished check, as the history keeps it. */
export interface FinishedCheck {
  readonly configurationId: string;
  readonly revision: number;
  readonly evidence: Evidence;
  readonly durationMs: number;
  readonly stateAfter: ValidityState;
}

/** Every check that was applied, append-only: what an auditor asks for after a stop. */
export class CheckHistory {
  constructor(private readonly database: ServiceDatabase) {}

  async append(tx: Transaction, check: FinishedCheck): Promise<void> {
    const { evidence } = check;
    await rows(
      tx,
      `INSERT INTO validity_check (configuration_id, revision, checked_at, verdict, reason, error_name, request_id, observer, duration_ms, state_after)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id`,
      [
        check.configurationId,
        check.revision,
        evidence.at,
        evidence.verdict,
        evidence.reason,
        evidence.errorName,
        evidence.requestId,
        evidence.observer,
        Math.round(check.durationMs),
        check.stateAfter,
      ],
    );
  }

  /** Deletes what is older, at most `limit` rows, so that no statement runs for long; answers how many it deleted. */
  async prune(olderThan: Date, limit: number): Promise<number> {
    const deleted = await this.database.query(
      `DELETE FROM validity_check WHERE id IN (SELECT id FROM validity_check WHERE checked_at < $1 ORDER BY id LIMIT $2) RETURNING id`,
      [olderThan, limit],
    );
    return deleted.length;
  }
}
