import type { Statement } from '@atrest/platform-persistence';

/** Columns of a claimed event; `i` is its row. */
const CLAIMED = `i.position, i.event_id AS "eventId", i.topic, i.lane, i.subject, i.envelope, i.started, i.failed`;

/**
 * $1 ids, $2 topics, $3 types, $4 subjects, $5 origins, $6 envelopes (null: to be ignored), $7 how many may be claimed, $8 seconds of the
 * claim. In this order, so that positions keep the order in which events arrived. What is known already is left alone. The first event of a
 * lane in which nothing waits is claimed at once, its attempt counted: that spares it the way through {@link CLAIM}.
 */
export const STORE: Statement = {
  name: 'inbox-store',
  text: `INSERT INTO inbox (event_id, topic, type, subject, origin, envelope, status, ended_at, started, due_at)
    SELECT id, topic, type, subject, origin, envelope,
      CASE WHEN envelope IS NULL THEN 'ignored' ELSE 'pending' END, CASE WHEN envelope IS NULL THEN now() END,
      CASE WHEN claim THEN 1 ELSE 0 END, CASE WHEN claim THEN now() + make_interval(secs => $8) ELSE now() END
    FROM (
      SELECT *, first AND count(*) FILTER (WHERE first) OVER (ORDER BY number) <= $7 AS claim FROM (
        SELECT *, envelope IS NOT NULL AND row_number() OVER (PARTITION BY topic, subject, envelope IS NULL ORDER BY number) = 1
          AND NOT EXISTS (SELECT 1 FROM inbox WHERE lane = e.topic || '/' || e.subject AND status = 'pending') AS first
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::json[])
          WITH ORDINALITY AS e (id, topic, type, subject, origin, envelope, number)) AS firsts) AS claims
    ORDER BY number
    ON CONFLICT (event_id, topic) DO NOTHING RETURNING position, event_id AS "eventId", topic, lane, started, status`,
};

/**
 * $1 after which lane, $2 how many, $3 seconds of the claim. Lanes are visited one by one through the index, so one with a long queue
 * costs as little as one with a short one; only the first event of each counts. FOR UPDATE SKIP LOCKED passes over lanes whose first
 * event is being handled. An attempt is counted here, unless an earlier one took its process with it: that one is counted when it begins.
 */
export const CLAIM: Statement = {
  name: 'inbox-claim',
  text: `WITH RECURSIVE heads (lane, position, due_at) AS (
      (SELECT lane, position, due_at FROM inbox WHERE status = 'pending' AND lane > $1 ORDER BY lane, position LIMIT 1)
    UNION ALL
      SELECT next.lane, next.position, next.due_at FROM heads, LATERAL (
        SELECT lane, position, due_at FROM inbox WHERE status = 'pending' AND lane > heads.lane
        ORDER BY lane, position LIMIT 1) AS next
    ),
    due AS (SELECT position FROM heads WHERE due_at <= now() LIMIT $2),
    locked AS (
      SELECT i.position, i.started > i.failed AS suspect FROM due JOIN inbox i ON i.position = due.position
      WHERE i.status = 'pending' AND i.due_at <= now() FOR UPDATE OF i SKIP LOCKED)
  UPDATE inbox i SET started = i.started + CASE WHEN locked.suspect THEN 0 ELSE 1 END, due_at = now() + make_interval(secs => $3)
  FROM locked WHERE i.position = locked.position RETURNING ${CLAIMED}, locked.suspect`,
};

/** $1 position, $2 seconds of the claim. */
export const START_SUSPECT: Statement = {
  name: 'inbox-start-suspect',
  text: `UPDATE inbox SET started = started + 1, due_at = now() + make_interval(secs => $2)
    WHERE position = $1 AND status = 'pending' RETURNING started`,
};

/**
 * $1 positions, $2 how many following events per lane to take as well, $3 seconds of the claim. Those that follow are taken up to the
 * first whose earlier attempt took its process with it. One row for each of them, or one without a position; all tell how many of $1 are ours.
 */
export const BEGIN: Statement = {
  name: 'inbox-begin',
  text: `WITH mine AS (
      UPDATE inbox SET status = 'finished', ended_at = now(), envelope = NULL
      WHERE position IN (SELECT position FROM inbox WHERE position = ANY($1::bigint[]) AND status = 'pending' FOR UPDATE SKIP LOCKED)
      RETURNING position, lane),
    lasts AS (SELECT lane, max(position) AS position FROM mine GROUP BY lane),
    next AS (
      SELECT checked.position FROM lasts, LATERAL (
        SELECT f.position, bool_and(f.started = f.failed) OVER (ORDER BY f.position) AS unsuspected FROM (
          SELECT position, started, failed FROM inbox
          WHERE lane = lasts.lane AND status = 'pending' AND position > lasts.position ORDER BY position LIMIT $2) AS f) AS checked
      WHERE checked.unsuspected),
    i AS (
      UPDATE inbox SET started = started + 1, due_at = now() + make_interval(secs => $3)
      FROM next WHERE inbox.position = next.position AND inbox.status = 'pending'
      RETURNING inbox.position, event_id, topic, lane, subject, envelope, started, failed)
  SELECT (SELECT count(*) FROM mine) AS mine, ${CLAIMED}, false AS suspect FROM (SELECT) AS one LEFT JOIN i ON true`,
};

/**
 * Sends a parked event to the dead-letter topic of where it came from, in the same statement. `parked` are the rows. A letter that was
 * parked again is sent again.
 */
const toDeadLetterTopic = (o: {
  parked: string;
  id: string;
  subject: string;
  service: string;
  reason: string;
  detail: string;
  attempts: string;
}) =>
  `sent AS (INSERT INTO outbox (event_id, topic, subject, envelope, headers)
      SELECT ${o.id}, topic || '.dlq', ${o.subject}, envelope, json_build_object('x-atrest-dlq-reason', ${o.reason}::text, 'x-atrest-dlq-detail', ${o.detail}::text,
        'x-atrest-dlq-origin', origin, 'x-atrest-dlq-attempts', ${o.attempts}::int::text, 'x-atrest-dlq-service', ${o.service}::text)
      FROM ${o.parked} WHERE ${o.service}::text IS NOT NULL)`;

/** $1 position, $2 seconds to wait. */
export const RETRY_LATER: Statement = {
  name: 'inbox-retry-later',
  text: `UPDATE inbox SET failed = failed + 1, due_at = now() + make_interval(secs => $2)
    WHERE position = $1 AND status = 'pending' RETURNING position`,
};

/** $1 position, $2 reason, $3 detail, $4 handler, $5 attempts, $6 service when dead letters have topics. An event that was replayed and failed again keeps its one letter. */
export const PARK: Statement = {
  name: 'inbox-park',
  text: `WITH parked AS (UPDATE inbox SET status = 'parked', ended_at = now() WHERE position = $1 AND status = 'pending'
      RETURNING event_id, topic, type, subject, origin, envelope),
    ${toDeadLetterTopic({ parked: 'parked', id: 'event_id', subject: 'subject', service: '$6', reason: '$2', detail: '$3', attempts: '$5' })}
    INSERT INTO dead_letter (event_id, topic, type, subject, origin, envelope, reason, detail, handler, attempts)
    SELECT event_id::text, topic, type, subject, origin, envelope, $2, $3, $4, $5 FROM parked
    ON CONFLICT (event_id, topic) DO UPDATE SET reason = EXCLUDED.reason, detail = EXCLUDED.detail, handler = EXCLUDED.handler,
      attempts = EXCLUDED.attempts, parked_at = now(), replayed_at = NULL
    RETURNING id`,
};

/** $1 position, $2 envelope, $3 reason, $4 detail, $5 handler, $6 attempts, $7 service when dead letters have topics. In the transaction of an attempt, whose BEGIN dropped the envelope. */
export const PARK_REFUSED: Statement = {
  name: 'inbox-park-refused',
  text: `WITH parked AS (UPDATE inbox SET status = 'parked', envelope = $2 WHERE position = $1 AND status = 'finished'
      RETURNING event_id, topic, type, subject, origin, envelope),
    ${toDeadLetterTopic({ parked: 'parked', id: 'event_id', subject: 'subject', service: '$7', reason: '$3', detail: '$4', attempts: '$6' })}
    INSERT INTO dead_letter (event_id, topic, type, subject, origin, envelope, reason, detail, handler, attempts)
    SELECT event_id::text, topic, type, subject, origin, envelope, $3, $4, $5, $6 FROM parked
    ON CONFLICT (event_id, topic) DO UPDATE SET reason = EXCLUDED.reason, detail = EXCLUDED.detail, handler = EXCLUDED.handler,
      attempts = EXCLUDED.attempts, parked_at = now(), replayed_at = NULL
    RETURNING id`,
};

/** $1 id, $2 topic, $3 origin, $4 what arrived, $5 reason, $6 detail, $7 service when dead letters have topics. */
export const PARK_UNREADABLE: Statement = {
  name: 'inbox-park-unreadable',
  text: `WITH letter AS (
      INSERT INTO dead_letter (event_id, topic, origin, envelope, reason, detail, attempts) VALUES ($1, $2, $3, $4, $5, $6, 0)
      ON CONFLICT (event_id, topic) DO NOTHING RETURNING id, topic, origin, envelope),
    ${toDeadLetterTopic({ parked: 'letter', id: 'gen_random_uuid()', subject: "''", service: '$7', reason: '$5', detail: '$6', attempts: '0' })}
    SELECT id FROM letter`,
};

/** $1 position. */
export const IGNORE: Statement = {
  name: 'inbox-ignore',
  text: `UPDATE inbox SET status = 'ignored', ended_at = now(), envelope = NULL WHERE position = $1 AND status = 'pending' RETURNING position`,
};

/** $1 positions, $2 how many attempts were counted for each without having begun. */
export const RELEASE: Statement = {
  name: 'inbox-release',
  text: `UPDATE inbox SET started = started - claim.counted, due_at = now()
    FROM unnest($1::bigint[], $2::int[]) AS claim (position, counted) WHERE inbox.position = claim.position AND status = 'pending'`,
};
