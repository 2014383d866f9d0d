import { createHash } from 'node:crypto';
import type { EventEnvelope } from '@atrest/contracts';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { ReceivedEvent } from './event-transport.js';
import { readEnvelope, type ParkReason } from './judge.js';

/** An event that this replica is about to handle. */
export interface ClaimedEvent {
  readonly position: number;
  readonly eventId: string;
  readonly topic: string;
  readonly subject: string;
  readonly envelope: EventEnvelope;
  /** Attempts that began. Includes the coming one, unless `suspect`. */
  readonly started: number;
  readonly failed: number;
  /** An earlier attempt took its process with it, or seems to have. It is handled while nothing else is, and counted when it begins. */
  readonly suspect: boolean;
}

const CLAIMED = `i.position, i.event_id AS "eventId", i.topic, i.subject, i.envelope, i.started, i.failed`;

/** What is stored is a fact only if the row says so: `elsewhere` means that another replica was faster. */
export type Outcome = 'done' | 'elsewhere';

/** The statements of the inbox. */
export class Inbox {
  readonly #database: ServiceDatabase;
  readonly #claimSeconds: number;

  constructor(database: ServiceDatabase, claimMs: number) {
    this.#database = database;
    this.#claimSeconds = claimMs / 1000;
  }

  /**
   * Stores what arrived, in its order; what is known already is left alone. Types to ignore are stored as ended, so that only their ids
   * are kept; what is no envelope goes to the dead letters. Returns the subjects that have something new, and how many were parked.
   */
  async store(batch: readonly ReceivedEvent[], ignores: ReadonlySet<string>): Promise<{ subjects: string[]; parked: number }> {
    const columns = { ids: [] as string[], topics: [] as string[], types: [] as string[], subjects: [] as string[] };
    const origins: string[] = [];
    const envelopes: (string | null)[] = [];
    const invalid: { event: ReceivedEvent; problems: string[] }[] = [];
    for (const event of batch) {
      const read = readEnvelope(event.envelope);
      if ('problems' in read) {
        invalid.push({ event, problems: read.problems });
        continue;
      }
      columns.ids.push(read.envelope.id);
      columns.topics.push(event.topic);
      columns.types.push(read.envelope.type);
      columns.subjects.push(read.envelope.subject);
      origins.push(event.origin);
      envelopes.push(ignores.has(read.envelope.type) ? null : JSON.stringify(read.envelope));
    }
    const sql = `INSERT INTO inbox (event_id, topic, type, subject, origin, envelope, status, ended_at)
      SELECT id, topic, type, subject, origin, envelope,
        CASE WHEN envelope IS NULL THEN 'ignored' ELSE 'pending' END, CASE WHEN envelope IS NULL THEN now() END
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::json[])
        WITH ORDINALITY AS e (id, topic, type, subject, origin, envelope, number)
      ORDER BY number
      ON CONFLICT (event_id) DO NOTHING RETURNING subject`;
    const parameters = [columns.ids, columns.topics, columns.types, columns.subjects, origins, envelopes];
    if (invalid.length === 0) {
      const stored = await this.#database.query<{ subject: string }>(sql, parameters);
      return { subjects: stored.map((row) => row.subject), parked: 0 };
    }
    return this.#database.transaction(async (tx) => {
      const stored = await rows<{ subject: string }>(tx, sql, parameters);
      let parked = 0;
      for (const { event, problems } of invalid) parked += await parkUnreadable(tx, event, problems);
      return { subjects: stored.map((row) => row.subject), parked };
    });
  }

  /**
   * Takes up to `limit` events: the first of each subject, if it is due, of the subjects after `after`. Subjects are visited one by one
   * through the index, so a subject with a long queue costs as little as one with a short one. A subject whose first event is being
   * handled elsewhere is skipped as a whole.
   */
  async claim(after: string, limit: number): Promise<ClaimedEvent[]> {
    const claimed = await this.#database.query<ClaimedEvent>(
      `WITH RECURSIVE heads (subject, position, due_at) AS (
          (SELECT subject, position, due_at FROM inbox WHERE status = 'pending' AND subject > $1 ORDER BY subject, position LIMIT 1)
        UNION ALL
          SELECT next.subject, next.position, next.due_at FROM heads, LATERAL (
            SELECT subject, position, due_at FROM inbox WHERE status = 'pending' AND subject > heads.subject
            ORDER BY subject, position LIMIT 1) AS next
        ),
        due AS (SELECT position FROM heads WHERE due_at <= now() LIMIT $2),
        locked AS (
          SELECT i.position, i.started > i.failed AS suspect FROM due JOIN inbox i ON i.position = due.position
          WHERE i.status = 'pending' AND i.due_at <= now() FOR UPDATE OF i SKIP LOCKED)
      UPDATE inbox i SET started = i.started + CASE WHEN locked.suspect THEN 0 ELSE 1 END, due_at = now() + make_interval(secs => $3)
      FROM locked WHERE i.position = locked.position RETURNING ${CLAIMED}, locked.suspect`,
      [after, limit, this.#claimSeconds],
    );
    return claimed.sort((a, b) => a.position - b.position);
  }

  /** Counts the attempt at a suspect, committed before it begins. */
  async startSuspect(position: number): Promise<number | 'elsewhere'> {
    const [row] = await this.#database.query<{ started: number }>(
      `UPDATE inbox SET started = started + 1, due_at = now() + make_interval(secs => $2)
       WHERE position = $1 AND status = 'pending' RETURNING started`,
      [position, this.#claimSeconds],
    );
    return row?.started ?? 'elsewhere';
  }

  /**
   * First statement of an attempt's transaction: takes the row's lock and marks the event as finished, which becomes true if and only if
   * the handler's writes do. With `andNext`, also counts the attempt at the subject's next event, which is thereby committed before that
   * attempt begins and saves it a claim of its own.
   */
  async begin(tx: Transaction, position: number, andNext: boolean): Promise<{ outcome: Outcome; next?: ClaimedEvent }> {
    const [row] = await rows<Partial<ClaimedEvent> & { mine: number }>(
      tx,
      `WITH mine AS (
          UPDATE inbox SET status = 'finished', ended_at = now(), envelope = NULL
          WHERE position = (SELECT position FROM inbox WHERE position = $1 AND status = 'pending' FOR UPDATE SKIP LOCKED)
          RETURNING position, subject),
        next AS (
          SELECT following.position FROM mine, LATERAL (
            SELECT i.position, i.started, i.failed FROM inbox i
            WHERE i.subject = mine.subject AND i.status = 'pending' AND i.position > mine.position
            ORDER BY i.position LIMIT 1 FOR UPDATE SKIP LOCKED) AS following
          WHERE $2 AND following.started = following.failed),
        i AS (
          UPDATE inbox SET started = started + 1, due_at = now() + make_interval(secs => $3)
          FROM next WHERE inbox.position = next.position RETURNING inbox.*)
      SELECT (SELECT count(*) FROM mine) AS mine, ${CLAIMED}, false AS suspect FROM (SELECT) AS one LEFT JOIN i ON true`,
      [position, andNext, this.#claimSeconds],
    );
    if (row === undefined || row.mine === 0) return { outcome: 'elsewhere' };
    return { outcome: 'done', ...(isClaimed(row) ? { next: row } : {}) };
  }

  /** The attempt failed; the event, and with it its subject, waits. */
  async retryLater(position: number, waitMs: number): Promise<Outcome> {
    return this.#outcome(
      `UPDATE inbox SET failed = failed + 1, due_at = now() + make_interval(secs => $2) WHERE position = $1 AND status = 'pending' RETURNING 1`,
      [position, waitMs / 1000],
    );
  }

  /** Takes the event out of the way, for a person to look at. */
  async park(event: ClaimedEvent, why: { reason: ParkReason; detail: string; handler: string | null; attempts: number }): Promise<Outcome> {
    return this.#outcome(
      `WITH parked AS (UPDATE inbox SET status = 'parked', ended_at = now() WHERE position = $1 AND status = 'pending' RETURNING *)
      INSERT INTO dead_letter (event_id, topic, type, subject, origin, envelope, reason, detail, handler, attempts)
      SELECT event_id::text, topic, type, subject, origin, envelope, $2, $3, $4, $5 FROM parked
      ON CONFLICT (event_id) DO UPDATE SET reason = EXCLUDED.reason, detail = EXCLUDED.detail, handler = EXCLUDED.handler,
        attempts = EXCLUDED.attempts, parked_at = now(), replayed_at = NULL
      RETURNING 1`,
      [event.position, why.reason, withoutNull(why.detail), why.handler, why.attempts],
    );
  }

  /** The service learned to ignore the type while the event waited. */
  ignore(position: number): Promise<Outcome> {
    return this.#outcome(
      `UPDATE inbox SET status = 'ignored', ended_at = now(), envelope = NULL WHERE position = $1 AND status = 'pending' RETURNING 1`,
      [position],
    );
  }

  /** Gives claims back whose attempts did not begin. */
  async release(events: readonly ClaimedEvent[]): Promise<void> {
    if (events.length === 0) return;
    await this.#database.query(
      `UPDATE inbox SET started = started - claim.counted, due_at = now()
      FROM unnest($1::bigint[], $2::int[]) AS claim (position, counted) WHERE inbox.position = claim.position AND status = 'pending'`,
      [events.map((event) => event.position), events.map((event) => (event.suspect ? 0 : 1))],
    );
  }

  async #outcome(sql: string, parameters: unknown[]): Promise<Outcome> {
    const changed = await this.#database.query(sql, parameters);
    return changed.length === 0 ? 'elsewhere' : 'done';
  }
}

/** Returns 1, or 0 when the same bytes are parked already. */
async function parkUnreadable(tx: Transaction, event: ReceivedEvent, problems: readonly string[]): Promise<number> {
  const text = JSON.stringify(event.envelope) ?? 'null';
  const reason: ParkReason = 'INVALID_ENVELOPE';
  const inserted = await rows(
    tx,
    `INSERT INTO dead_letter (event_id, topic, origin, envelope, reason, detail, attempts) VALUES ($1, $2, $3, $4, $5, $6, 0)
    ON CONFLICT (event_id) DO NOTHING RETURNING 1`,
    [
      `unreadable:${createHash('sha256').update(text).digest('hex')}`,
      event.topic,
      event.origin,
      text,
      reason,
      withoutNull(problems.join('; ')),
    ],
  );
  return inserted.length;
}

/** PostgreSQL's text cannot hold U+0000. */
const withoutNull = (text: string): string => text.replaceAll('\0', '\uFFFD');

const isClaimed = (row: Partial<ClaimedEvent>): row is ClaimedEvent => row.position !== undefined && row.position !== null;
