import { createHash } from 'node:crypto';
import type { EventEnvelope } from '@atrest/contracts';
import { rows, type ServiceDatabase, type Statement, type Transaction } from '@atrest/platform-persistence';
import type { ReceivedEvent } from './event-transport.js';
import {
  BEGIN,
  CLAIM,
  IGNORE,
  PARK,
  PARK_REFUSED,
  PARK_UNREADABLE,
  RELEASE,
  RETRY_LATER,
  START_SUSPECT,
  STORE,
} from './inbox-statements.js';
import { readEnvelope, type ParkReason } from './judge.js';

/** An event that this replica is about to handle. */
export interface ClaimedEvent {
  readonly position: number;
  readonly eventId: string;
  readonly topic: string;
  /** Topic and subject: the events of a lane are handled one after another. */
  readonly lane: string;
  readonly subject: string;
  readonly envelope: EventEnvelope;
  /** Attempts that began. Includes the coming one, unless `suspect`. */
  readonly started: number;
  readonly failed: number;
  /** An earlier attempt took its process with it, or seems to have. It is handled while nothing else is, and counted when it begins. */
  readonly suspect: boolean;
}

/** Why an event was parked, after how many attempts. */
export interface Parking {
  readonly reason: ParkReason;
  readonly detail: string;
  readonly handler: string | null;
  readonly attempts: number;
}

/** What is stored is a fact only if the row says so: `elsewhere` means that another replica was faster. */
export type Outcome = 'done' | 'elsewhere';

/** What became of a batch that arrived. */
export interface Stored {
  /** New events that this replica may handle at once. */
  readonly claimed: readonly ClaimedEvent[];
  /** Lanes that have something new which nobody claimed yet. */
  readonly lanes: readonly string[];
  /** How many were no events. */
  readonly parked: number;
}

interface ReadableEvent {
  readonly event: ReceivedEvent;
  readonly envelope: EventEnvelope;
}

type StoredRow = Pick<ClaimedEvent, 'position' | 'eventId' | 'topic' | 'lane' | 'started'> & { readonly status: string };

/** The rows of the inbox and what may happen to them. */
export class Inbox {
  readonly #database: ServiceDatabase;
  readonly #claimSeconds: number;
  readonly #deadLetterService: string | null;

  /** With `deadLetterTopics`, what is parked is also put into the outbox, for the dead-letter topic of where it came from. */
  constructor(database: ServiceDatabase, o: { readonly claimMs: number; readonly deadLetterTopics: boolean }) {
    this.#database = database;
    this.#claimSeconds = o.claimMs / 1000;
    this.#deadLetterService = o.deadLetterTopics ? database.service : null;
  }

  /**
   * Stores what arrived, in its order; what is known already is left alone. Types to ignore are stored as ended, so that only their ids
   * are kept; what is no envelope goes to the dead letters. Up to `claims` of the new events are claimed for this replica.
   */
  async store(batch: readonly ReceivedEvent[], ignores: ReadonlySet<string>, claims: number): Promise<Stored> {
    const events: ReadableEvent[] = [];
    const unreadable: { readonly event: ReceivedEvent; readonly problems: readonly string[] }[] = [];
    for (const event of batch) {
      const read = readEnvelope(event.envelope);
      if ('envelope' in read) events.push({ event, envelope: read.envelope });
      else unreadable.push({ event, problems: read.problems });
    }
    const parameters = [
      events.map(({ envelope }) => envelope.id),
      events.map(({ event }) => event.topic),
      events.map(({ envelope }) => envelope.type),
      events.map(({ envelope }) => envelope.subject),
      events.map(({ event }) => event.origin),
      events.map(({ envelope }) => (ignores.has(envelope.type) ? null : JSON.stringify(envelope))),
      claims,
      this.#claimSeconds,
    ];
    if (unreadable.length === 0) return { ...sortStored(await this.#database.query<StoredRow>(STORE, parameters), events), parked: 0 };
    return this.#database.transaction(async (tx) => {
      const stored = events.length === 0 ? [] : await rows<StoredRow>(tx, STORE, parameters);
      let parked = 0;
      for (const { event, problems } of unreadable) parked += await parkUnreadable(tx, event, problems, this.#deadLetterService);
      return { ...sortStored(stored, events), parked };
    });
  }

  /** Takes up to `limit` events, each the first of its lane and due, of the lanes after `after`; in the order in which they arrived. */
  async claim(after: string, limit: number): Promise<ClaimedEvent[]> {
    const claimed = await this.#database.query<ClaimedEvent>(CLAIM, [after, limit, this.#claimSeconds]);
    return claimed.sort(byPosition);
  }

  /** Counts the attempt at a suspect, committed before it begins. Returns the attempts that began. */
  async startSuspect(position: number): Promise<number | 'elsewhere'> {
    const [row] = await this.#database.query<{ started: number }>(START_SUSPECT, [position, this.#claimSeconds]);
    return row?.started ?? 'elsewhere';
  }

  /**
   * First statement of a transaction of attempts: takes the rows' locks and marks the events as finished, which becomes true if and only if
   * the handlers' writes do. `elsewhere` when another replica has one of them: then the transaction must not be committed. Also counts the
   * attempts at up to `following` next events of each lane, which is thereby committed before they begin and saves them a claim.
   */
  async begin(tx: Transaction, positions: readonly number[], following: number): Promise<{ outcome: Outcome; next: ClaimedEvent[] }> {
    const found = await rows<{ mine: number; position: number | null }>(tx, BEGIN, [positions, following, this.#claimSeconds]);
    if (found[0]?.mine !== positions.length) return { outcome: 'elsewhere', next: [] };
    const next = found.filter((row) => row.position !== null) as unknown as ClaimedEvent[];
    return { outcome: 'done', next: next.sort(byPosition) };
  }

  /** The attempt failed; the event, and with it its lane, waits. */
  retryLater(position: number, waitMs: number): Promise<Outcome> {
    return this.#change(RETRY_LATER, [position, waitMs / 1000]);
  }

  /** Takes the event out of the way, for a person to look at. */
  park(position: number, why: Parking): Promise<Outcome> {
    return this.#change(PARK, [position, why.reason, withoutNull(why.detail), why.handler, why.attempts, this.#deadLetterService]);
  }

  /** Parks an event in the transaction of its attempt, after {@link begin}: the handler's writes stay. */
  async parkRefused(tx: Transaction, event: ClaimedEvent, why: Parking): Promise<void> {
    const envelope = JSON.stringify(event.envelope);
    const detail = withoutNull(why.detail);
    await rows(tx, PARK_REFUSED, [event.position, envelope, why.reason, detail, why.handler, why.attempts, this.#deadLetterService]);
  }

  /** The service learned to ignore the type while the event waited. */
  ignore(position: number): Promise<Outcome> {
    return this.#change(IGNORE, [position]);
  }

  /** Gives claims back whose attempts did not begin. */
  async release(events: readonly ClaimedEvent[]): Promise<void> {
    if (events.length === 0) return;
    await this.#database.query(RELEASE, [events.map((event) => event.position), events.map((event) => (event.suspect ? 0 : 1))]);
  }

  async #change(statement: Statement, parameters: readonly unknown[]): Promise<Outcome> {
    const changed = await this.#database.query(statement, parameters);
    return changed.length === 0 ? 'elsewhere' : 'done';
  }
}

function sortStored(stored: readonly StoredRow[], events: readonly ReadableEvent[]): Pick<Stored, 'claimed' | 'lanes'> {
  const envelopes = new Map<string, EventEnvelope>();
  for (const { event, envelope } of events) {
    // PostgreSQL writes ids in lower case, and of two events with one id it took the first.
    const key = `${event.topic}/${envelope.id.toLowerCase()}`;
    if (!envelopes.has(key)) envelopes.set(key, envelope);
  }
  const claimed: ClaimedEvent[] = [];
  const lanes: string[] = [];
  for (const { status, ...row } of stored) {
    if (status !== 'pending') continue;
    const envelope = envelopes.get(`${row.topic}/${row.eventId}`);
    if (row.started === 1 && envelope !== undefined)
      claimed.push({ ...row, subject: envelope.subject, envelope, failed: 0, suspect: false });
    else lanes.push(row.lane);
  }
  return { claimed: claimed.sort(byPosition), lanes };
}

/** Returns 1, or 0 when the same bytes are parked already. */
async function parkUnreadable(tx: Transaction, event: ReceivedEvent, problems: readonly string[], service: string | null): Promise<number> {
  const text = JSON.stringify(event.envelope) ?? 'null';
  const id = `unreadable:${createHash('sha256').update(text).digest('hex')}`;
  const reason: ParkReason = 'INVALID_ENVELOPE';
  const parked = await rows(tx, PARK_UNREADABLE, [id, event.topic, event.origin, text, reason, withoutNull(problems.join('; ')), service]);
  return parked.length;
}

/** PostgreSQL's text cannot hold U+0000. */
const withoutNull = (text: string): string => text.replaceAll('\0', '\uFFFD');

const byPosition = (a: ClaimedEvent, b: ClaimedEvent): number => a.position - b.position;
