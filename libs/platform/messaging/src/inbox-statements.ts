import type { Statement } from '@atrest/platform-persistence';

/*
 * What is pending has not ended and the other way round. Statements that look for lanes say `status = 'pending'` and order by lane and
 * position: PostgreSQL then reads the small index of what waits, however little it knows of the table. Statements that look for positions
 * say `ended_at IS NULL`, because that index, which PostgreSQL believes to be next to empty, is the wrong one for them.
 */

/** Columns of a claimed event; `i` is its row. */
const CLAIMED = `i.position, i.event_id AS "eventId", i.topic, i.lane, i.subject, i.envelope, i.started, i.failed`;

/**
 * $1 ids, $2 topics, $3 types, $4 subjects, $5 origins, $6 envelopes as lines (empty: to be ignored), $7 which may be claimed, $8 by whom, $9 seconds
 * of the claim. In this order, so that positions keep the order in which events arrived. What is known already is left alone. A claim
 * counts the attempt, and comes about unless something waits in the lane that is not the same holder's.
 */
export const STORE: Statement = {
  name: 'inbox-store',
  text: `WITH arrived AS MATERIALIZED (
      SELECT *, topic || '/' || subject COLLATE "C" AS lane
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], string_to_array($6, E'\\n', '')::json[], $7::boolean[])
        WITH ORDINALITY AS event (id, topic, type, subject, origin, envelope, claim, number)),
    blocked AS MATERIALIZED (
      SELECT lanes.lane FROM (SELECT DISTINCT lane FROM arrived WHERE claim) AS lanes, LATERAL (
        SELECT FROM inbox WHERE inbox.lane = lanes.lane AND inbox.status = 'pending' AND inbox.holder IS DISTINCT FROM $8::uuid
        ORDER BY inbox.lane, inbox.position LIMIT 1) AS waiting),
    event AS MATERIALIZED (SELECT arrived.*, claim AND lane NOT IN (SELECT lane FROM blocked) AS mine FROM arrived)
    INSERT INTO inbox (event_id, topic, type, subject, origin, envelope, status, ended_at, started, holder, due_at)
    SELECT id, topic, type, subject, origin, envelope,
      CASE WHEN envelope IS NULL THEN 'ignored' ELSE 'pending' END, CASE WHEN envelope IS NULL THEN now() END,
      CASE WHEN mine THEN 1 ELSE 0 END, CASE WHEN mine THEN $8::uuid END, CASE WHEN mine THEN now() + make_interval(secs => $9) ELSE now() END
    FROM event
    ORDER BY number
    ON CONFLICT (event_id, topic) DO NOTHING RETURNING position, event_id AS "eventId", topic, started = 1 AS mine`,
};

/**
 * $1 after which lane, $2 how many lanes, $3 how many events of each, $4 by whom, $5 seconds of the claim. Lanes are visited one by one
 * through the index, so one with a long queue costs as little as one with a short one, and one whose first event is not due or is being
 * handled (SKIP LOCKED) is passed over. An attempt is counted here, unless an earlier one took its process with it: that one is counted when
 * it begins, and nothing is taken beyond it.
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
    firsts AS MATERIALIZED (
      SELECT i.lane, i.position, i.started > i.failed AS suspect FROM due JOIN inbox i ON i.position = due.position
      WHERE i.ended_at IS NULL AND i.due_at <= now() FOR UPDATE OF i SKIP LOCKED),
    followers AS (
      SELECT checked.position FROM firsts, LATERAL (
        SELECT waiting.position, bool_and(waiting.started = waiting.failed AND waiting.due_at <= now()) OVER (ORDER BY waiting.position) AS free
        FROM (SELECT position, started, failed, due_at FROM inbox WHERE lane = firsts.lane AND status = 'pending' AND position > firsts.position
          ORDER BY lane, position LIMIT $3::int - 1) AS waiting) AS checked
      WHERE NOT firsts.suspect AND checked.free),
    claims AS (SELECT position, suspect FROM firsts UNION ALL SELECT position, false FROM followers)
  UPDATE inbox i SET started = i.started + CASE WHEN claims.suspect THEN 0 ELSE 1 END, holder = $4, due_at = now() + make_interval(secs => $5)
  FROM claims WHERE i.position = claims.position AND i.ended_at IS NULL AND i.due_at <= now() RETURNING ${CLAIMED}, claims.suspect`,
};

/** $1 position, $2 seconds of the claim. */
export const START_SUSPECT: Statement = {
  name: 'inbox-start-suspect',
  text: `UPDATE inbox SET started = started + 1, due_at = now() + make_interval(secs => $2)
    WHERE position = $1 AND ended_at IS NULL RETURNING started`,
};

/** $1 positions. Tells how many of them were still to be handled, and by nobody else. */
export const FINISH: Statement = {
  name: 'inbox-finish',
  text: `WITH mine AS MATERIALIZED (SELECT position FROM inbox WHERE position = ANY($1::bigint[]) AND ended_at IS NULL FOR UPDATE SKIP LOCKED),
    finished AS (
      UPDATE inbox SET status = 'finished', ended_at = now(), envelope = NULL FROM mine WHERE inbox.position = mine.position RETURNING 1)
    SELECT count(*) AS count FROM finished`,
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
  text: `UPDATE inbox SET failed = failed + 1, holder = NULL, due_at = now() + make_interval(secs => $2)
    WHERE position = $1 AND ended_at IS NULL RETURNING position`,
};

/** $1 position, $2 reason, $3 detail, $4 handler, $5 attempts, $6 service when dead letters have topics. An event that was replayed and failed again keeps its one letter. */
export const PARK: Statement = {
  name: 'inbox-park',
  text: `WITH parked AS (UPDATE inbox SET status = 'parked', ended_at = now() WHERE position = $1 AND ended_at IS NULL
      RETURNING event_id, topic, type, subject, origin, envelope),
    ${toDeadLetterTopic({ parked: 'parked', id: 'event_id', subject: 'subject', service: '$6', reason: '$2', detail: '$3', attempts: '$5' })}
    INSERT INTO dead_letter (event_id, topic, type, subject, origin, envelope, reason, detail, handler, attempts)
    SELECT event_id::text, topic, type, subject, origin, envelope, $2, $3, $4, $5 FROM parked
    ON CONFLICT (event_id, topic) DO UPDATE SET reason = EXCLUDED.reason, detail = EXCLUDED.detail, handler = EXCLUDED.handler,
      attempts = EXCLUDED.attempts, parked_at = now(), replayed_at = NULL
    RETURNING id`,
};

/** $1 position, $2 envelope, $3 reason, $4 detail, $5 handler, $6 attempts, $7 service when dead letters have topics. In the transaction of an attempt, whose FINISH dropped the envelope. */
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
  text: `UPDATE inbox SET status = 'ignored', ended_at = now(), envelope = NULL WHERE position = $1 AND ended_at IS NULL RETURNING position`,
};

/** $1 positions, $2 how many attempts were counted for each without having begun. */
export const RELEASE: Statement = {
  name: 'inbox-release',
  text: `UPDATE inbox SET started = started - claim.counted, holder = NULL, due_at = now()
    FROM unnest($1::bigint[], $2::int[]) AS claim (position, counted) WHERE inbox.position = claim.position AND ended_at IS NULL`,
};
