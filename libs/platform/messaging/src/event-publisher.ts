import { randomUUID } from 'node:crypto';
import type { EventDefinition, EventEnvelope } from '@atrest/contracts';
import { currentCorrelation } from '@atrest/platform-logging';
import { signalAfterCommit, writeLastly, type Statement, type Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { InvalidEventError } from './errors.js';
import { newEventId } from './event-id.js';
import { jsonLines } from './json-lines.js';
import { problemsOf } from './judge.js';

/** Listened to by the relay. */
export const OUTBOX_CHANNEL = 'outbox';

/** $1 ids, $2 topics, $3 subjects, $4 envelopes as lines, in the order of their publication. */
const INSERT: Statement = {
  name: 'outbox-insert',
  text: `INSERT INTO outbox (event_id, topic, subject, envelope)
    SELECT id, topic, subject, envelope FROM unnest($1::uuid[], $2::text[], $3::text[], string_to_array($4, E'\\n')::json[])
      WITH ORDINALITY AS event (id, topic, subject, envelope, number) ORDER BY number`,
};

interface Publication {
  readonly topic: string;
  readonly envelope: EventEnvelope;
}

/** What transactions that are still open publish. */
const publications = new WeakMap<Transaction, Publication[]>();

/** Writes events into the outbox of its service. The only way for an event to leave a service. */
export class EventPublisher {
  readonly #source: string;
  readonly #clock: Clock;

  constructor(service: string, clock: Clock) {
    this.#source = `/atrest/${service}`;
    this.#clock = clock;
  }

  /**
   * Publishes when, and only when, the transaction commits; all its events are written together with the COMMIT. Call it after the write that
   * guards the aggregate (the UPDATE … WHERE revision): that write makes transactions on one aggregate wait for each other, and so its
   * events leave in the order of its changes. Correlation and causation come from the running request or handler. Throws
   * {@link InvalidEventError}.
   */
  async publish<D>(tx: Transaction, definition: EventDefinition<D>, data: D): Promise<EventEnvelope<D>> {
    const parsed = definition.schema.safeParse(data);
    if (!parsed.success) throw new InvalidEventError(definition.type, problemsOf(parsed.error));
    const now = this.#clock.now();
    const correlation = currentCorrelation();
    const envelope: EventEnvelope<D> = {
      specversion: '1.0',
      id: newEventId(now),
      source: this.#source,
      type: definition.type,
      subject: definition.subjectOf(parsed.data),
      time: now.toISOString(),
      datacontenttype: 'application/json',
      correlationid: correlation?.correlationId ?? randomUUID(),
      ...(correlation?.causationId === undefined ? {} : { causationid: correlation.causationId }),
      ...(correlation?.traceparent === undefined ? {} : { traceparent: correlation.traceparent }),
      data: parsed.data,
    };
    publicationsOf(tx).push({ topic: definition.topic.name, envelope });
    return envelope;
  }
}

function publicationsOf(tx: Transaction): Publication[] {
  const known = publications.get(tx);
  if (known !== undefined) return known;
  const list: Publication[] = [];
  publications.set(tx, list);
  writeLastly(tx, () => ({
    sql: INSERT,
    parameters: [
      list.map(({ envelope }) => envelope.id),
      list.map(({ topic }) => topic),
      list.map(({ envelope }) => envelope.subject),
      jsonLines(list.map(({ envelope }) => envelope)),
    ],
  }));
  signalAfterCommit(tx, OUTBOX_CHANNEL);
  return list;
}
