import type { ServiceDatabase } from '@atrest/platform-persistence';
import type { ParkReason } from './judge.js';

/** An event that was parked: taken out of the way of the others, kept, and waiting for a person. */
export interface DeadLetter {
  readonly id: number;
  /** The event's id; of what could not be read, a digest. */
  readonly eventId: string;
  readonly topic: string;
  readonly type: string | null;
  readonly subject: string | null;
  /** Where it was received. */
  readonly origin: string;
  readonly reason: ParkReason;
  /** What went wrong, for a person. */
  readonly detail: string;
  readonly handler: string | null;
  readonly attempts: number;
  readonly parkedAt: Date;
  readonly replayedAt: Date | null;
}

/** `replayed`: handled again soon. `not-replayable`: never was an event, so no handler can take it. `already-replayed`: somebody was faster. */
export type ReplayOutcome = 'replayed' | 'not-found' | 'already-replayed' | 'not-replayable';

const COLUMNS = `id, event_id AS "eventId", topic, type, subject, origin, reason, detail, handler, attempts,
  parked_at AS "parkedAt", replayed_at AS "replayedAt"`;

/** The parked events of one service. */
export class DeadLetters {
  readonly #database: ServiceDatabase;
  readonly #wake: () => void;

  constructor(database: ServiceDatabase, wake: () => void) {
    this.#database = database;
    this.#wake = wake;
  }

  /** Oldest first. Those already replayed only with `all`. */
  list(o: { all?: boolean; limit?: number; afterId?: number } = {}): Promise<DeadLetter[]> {
    return this.#database.query<DeadLetter>(
      `SELECT ${COLUMNS} FROM dead_letter WHERE id > $1 AND ($2 OR replayed_at IS NULL) ORDER BY id LIMIT $3`,
      [o.afterId ?? 0, o.all ?? false, o.limit ?? 100],
    );
  }

  /** One of them with the whole envelope. */
  async show(id: number): Promise<(DeadLetter & { readonly envelope: unknown }) | undefined> {
    const [row] = await this.#database.query<DeadLetter & { envelope: unknown }>(
      `SELECT ${COLUMNS}, envelope FROM dead_letter WHERE id = $1`,
      [id],
    );
    return row;
  }

  /**
   * Puts the event back into the inbox, with its attempts counted from zero. Later events of its subject were handled meanwhile: handlers
   * compare revisions and ignore what is older than what they know.
   */
  async replay(id: number): Promise<ReplayOutcome> {
    const outcome = await this.#database.query<{ outcome: ReplayOutcome }>(
      `WITH letter AS (SELECT id, event_id, topic, reason, replayed_at FROM dead_letter WHERE id = $1 FOR UPDATE),
        back AS (
          UPDATE inbox SET status = 'pending', started = 0, failed = 0, holder = NULL, due_at = now(), ended_at = NULL
          FROM letter WHERE inbox.event_id::text = letter.event_id AND inbox.topic = letter.topic AND letter.replayed_at IS NULL AND inbox.status = 'parked'
          RETURNING letter.id),
        marked AS (UPDATE dead_letter SET replayed_at = now() FROM back WHERE dead_letter.id = back.id RETURNING dead_letter.id)
      SELECT CASE WHEN EXISTS (SELECT 1 FROM marked) THEN 'replayed'
        WHEN replayed_at IS NOT NULL THEN 'already-replayed' ELSE 'not-replayable' END AS outcome FROM letter`,
      [id],
    );
    this.#wake();
    return outcome[0]?.outcome ?? 'not-found';
  }
}
