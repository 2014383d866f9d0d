import { newObjectId, validityBreakerClosed, validityBreakerOpened, type BreakerIncident } from '@atrest/contracts';
import type { EventPublisher } from '@atrest/platform-messaging';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { breakerHolds, type BreakerLimits, type Tally } from './breaker-policy.js';

export interface BreakerOptions {
  readonly database: ServiceDatabase;
  readonly publisher: EventPublisher;
  readonly limits: BreakerLimits;
  readonly clock: Clock;
}

/** What the breaker says of a shutdown that is about to be ordered. */
export interface BreakerAnswer {
  readonly holds: boolean;
  readonly tally: Tally;
}

interface IncidentRow {
  id: string;
  opened_at: Date;
  closed_at: Date | null;
  failing: number;
  total: number;
  max_count: number;
  max_share: number;
}

/** Holds shutdowns while an unlikely share of all configurations fails. Counts in the database, so every replica sees the same, also after a restart. */
export class Breaker {
  constructor(private readonly options: BreakerOptions) {}

  /** Whether what would be stopped now is to be held. Whoever asks is suspected already, and so counted. */
  async ask(): Promise<BreakerAnswer> {
    const { database, limits, clock } = this.options;
    const now = clock.now().getTime();
    // A state of the future was written before a clock was set back: it counts as of now.
    const found = await database.query<{ failing: string; total: string }>(
      `SELECT count(*) FILTER (WHERE state = 'SUSPECT' OR (state IN ('HELD', 'INVALID') AND state_since > $1)) AS failing, count(*) AS total
       FROM key_configuration`,
      [new Date(now - limits.cycleMs)],
    );
    const tally = { failing: Number(found[0]?.failing ?? 0), total: Number(found[0]?.total ?? 0) };
    return { holds: breakerHolds(tally, limits), tally };
  }

  /** A shutdown is held: the operators are told, once for all that are held together. */
  async open(tx: Transaction, tally: Tally): Promise<void> {
    const { limits, clock, publisher } = this.options;
    const opened = await rows<IncidentRow>(
      tx,
      `INSERT INTO breaker_incident (id, opened_at, failing, total, max_count, max_share) VALUES ($1, $2, $3, $4, $5, $6)
       ON CONFLICT ((true)) WHERE closed_at IS NULL DO NOTHING RETURNING *`,
      [newObjectId(clock.now()), clock.now(), tally.failing, tally.total, limits.maxCount, limits.maxShare],
    );
    if (opened[0]) await publisher.publish(tx, validityBreakerOpened, toIncident(opened[0]));
  }

  /** Closes the incident when nothing waits for a decision any more; done once a minute. */
  async closeWhenDecided(): Promise<'closed' | 'open' | 'none'> {
    const { database, clock, publisher } = this.options;
    return database.transaction(async (tx) => {
      const [open] = await rows<IncidentRow>(tx, 'SELECT * FROM breaker_incident WHERE closed_at IS NULL FOR UPDATE');
      if (open === undefined) return 'none';
      const waiting = await rows(tx, `SELECT id FROM key_configuration WHERE state = 'HELD' AND hold ->> 'decision' = 'PENDING' LIMIT 1`);
      if (waiting.length > 0) return 'open';
      const closed = await rows<IncidentRow>(
        tx,
        'UPDATE breaker_incident SET closed_at = $2 WHERE id = $1 AND closed_at IS NULL RETURNING *',
        [open.id, clock.now()],
      );
      if (closed[0] === undefined) return 'none';
      await publisher.publish(tx, validityBreakerClosed, toIncident(closed[0]));
      return 'closed';
    });
  }
}

const toIncident = (row: IncidentRow): BreakerIncident => ({
  id: row.id,
  openedAt: row.opened_at.toISOString(),
  closedAt: row.closed_at?.toISOString() ?? null,
  failing: row.failing,
  total: row.total,
  maxCount: row.max_count,
  // A real has seven digits; what was configured as 0.3 is told as 0.3.
  maxShare: Number(row.max_share.toPrecision(6)),
  revision: row.closed_at === null ? 1 : 2,
});
