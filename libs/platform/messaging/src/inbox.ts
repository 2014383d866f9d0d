import { createHash, randomUUID } from 'node:crypto';
import type { EventEnvelope } from '@atrest/contracts';
import { rows, type ServiceDatabase, type Statement, type Transaction } from '@atrest/platform-persistence';
import type { ReceivedEvent } from './event-transport.js';
import {
  CLAIM,
  FINISH,
  IGNORE,
  PARK,
  PARK_REFUSED,
  PARK_UNREADABLE,
  RELEASE,
  RETRY_LATER,
  START_SUSPECT,
  STORE,
} from './inbox-statements.js';
import { jsonLines } from './json-lines.js';
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

/** How many events may be claimed. */
export interface Allowance {
  /** In all. */
  readonly events: number;
  /** Of this lane. */
  ofLane(lane: string): number;
}

/** What became of a batch that arrived. */
export interface Stored {
  /** New events that this replica may handle at once, in their order. */
  readonly claimed: readonly ClaimedEvent[];
  /** Lanes that have something new which nobody claimed yet. */
  readonly lanes: readonly string[];
  /** How many were no events. */
  readonly parked: number;
}

interface Arrival {
  readonly event: ReceivedEvent;
  readonly envelope: EventEnvelope;
  readonly lane: string;
  readonly ignored: boolean;
  readonly mayClaim: boolean;
}

type StoredRow = Pick<ClaimedEvent, 'position' | 'eventId' | 'topic'> & { readonly mine: boolean };

/** The rows of the inbox and what may happen to them. */
export class Inbox {
  readonly #database: ServiceDatabase;
  readonly #claimSeconds: number;
  readonly #deadLetterService: string | null;
  #holder = randomUUID();

  /** With `deadLetterTopics`, what is parked is also put into the outbox, for the dead-letter topic of where it came from. */
  constructor(database: ServiceDatabase, o: { readonly claimMs: number; readonly deadLetterTopics: boolean }) {
    this.#database = database;
    this.#claimSeconds = o.claimMs / 1000;
    this.#deadLetterService = o.deadLetterTopics ? database.service : null;
  }

  /**
   * Stores what arrived, in its order; what is known already is left alone. Types to ignore are stored as ended, so that only their ids
   * are kept; what is no envelope goes to the dead letters. What the allowance admits is claimed for this replica, unless something of
   * another one, or of nobody, waits before it.
   */
  async store(batch: readonly ReceivedEvent[], ignores: ReadonlySet<string>, allowance: Allowance): Promise<Stored> {
    const { arrivals, unreadable } = readAll(batch, ignores, allowance);
    const parameters = [
      arrivals.map(({ envelope }) => envelope.id),
      arrivals.map(({ event }) => event.topic),
      arrivals.map(({ envelope }) => envelope.type),
      arrivals.map(({ envelope }) => envelope.subject),
      arrivals.map(({ event }) => event.origin),
      jsonLines(arrivals.map(({ envelope, ignored }) => (ignored ? undefined : envelope))),
      arrivals.map(({ mayClaim }) => mayClaim),
      this.#holder,
      this.#claimSeconds,
    ];
    if (unreadable.length === 0) return { ...(await this.#sort(arrivals, await this.#database.query(STORE, parameters))), parked: 0 };
    const { stored, parked } = await this.#database.transaction(async (tx) => {
      let count = 0;
      for (const { event, problems } of unreadable) count += await parkUnreadable(tx, event, problems, this.#deadLetterService);
      return { stored: arrivals.length === 0 ? [] : await rows<StoredRow>(tx, STORE, parameters), parked: count };
    });
    return { ...(await this.#sort(arrivals, stored)), parked };
  }

  /**
   * Takes events of up to so many lanes after `after`, each lane from its first one, which must be due, on; in the order in which they
   * arrived.
   */
  async claim(after: string, lanes: number, perLane: number): Promise<ClaimedEvent[]> {
    const claimed = await this.#database.query<ClaimedEvent>(CLAIM, [after, lanes, perLane, this.#holder, this.#claimSeconds]);
    return claimed.sort(byPosition);
  }

  /** Claims got lost track of: from now on what is stored behind them is not claimed, until they are over. */
  renounce(): void {
    this.#holder = randomUUID();
  }

  /** Counts the attempt at a suspect, committed before it begins. Returns the attempts that began. */
  async startSuspect(position: number): Promise<number | 'elsewhere'> {
    const [row] = await this.#database.query<{ started: number }>(START_SUSPECT, [position, this.#claimSeconds]);
    return row?.started ?? 'elsewhere';
  }

  /**
   * First statement of a transaction of attempts: takes the rows' locks and marks the events as finished, which becomes true if and only if
   * the handlers' writes do. `elsewhere` when another replica has one of them: then the transaction must not be committed.
   */
  async finish(tx: Transaction, positions: readonly number[]): Promise<Outcome> {
    const [row] = await rows<{ count: number }>(tx, FINISH, [positions]);
    return row?.count === positions.length ? 'done' : 'elsewhere';
  }

  /** The attempt failed; the event, and with it its lane, waits. */
  retryLater(position: number, waitMs: number): Promise<Outcome> {
    return this.#change(RETRY_LATER, [position, waitMs / 1000]);
  }

  /** Takes the event out of the way, for a person to look at. */
  park(position: number, why: Parking): Promise<Outcome> {
    return this.#change(PARK, [position, why.reason, withoutNull(why.detail), why.handler, why.attempts, this.#deadLetterService]);
  }

  /** Parks an event in the transaction of its attempt, after {@link finish}: the handler's writes stay. */
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

  async #sort(arrivals: readonly Arrival[], stored: readonly StoredRow[]): Promise<Pick<Stored, 'claimed' | 'lanes'>> {
    const byKey = new Map(stored.map((row) => [keyOf(row.topic, row.eventId), row]));
    // Of a lane in which something arrived once more, only the table knows what is first.
    const uncertain = new Set(arrivals.filter((each) => !byKey.has(keyOf(each.event.topic, each.envelope.id))).map(({ lane }) => lane));
    const claimed: ClaimedEvent[] = [];
    const released: ClaimedEvent[] = [];
    const lanes = new Set<string>();
    for (const { event, envelope, lane, ignored } of arrivals) {
      const row = byKey.get(keyOf(event.topic, envelope.id));
      if (row === undefined || ignored) continue;
      const { position, eventId, topic } = row;
      const asClaimed = { position, eventId, topic, lane, subject: envelope.subject, envelope, started: 1, failed: 0, suspect: false };
      if (row.mine && !uncertain.has(lane)) claimed.push(asClaimed);
      else lanes.add(lane);
      if (row.mine && uncertain.has(lane)) released.push(asClaimed);
    }
    await this.release(released);
    return { claimed, lanes: [...lanes] };
  }
}

/** What arrived, without what arrived twice, and what of it may be claimed. */
function readAll(batch: readonly ReceivedEvent[], ignores: ReadonlySet<string>, allowance: Allowance) {
  const arrivals: Arrival[] = [];
  const unreadable: { readonly event: ReceivedEvent; readonly problems: readonly string[] }[] = [];
  const seen = new Set<string>();
  const left = new Map<string, number>();
  let claims = 0;
  for (const event of batch) {
    const read = readEnvelope(event.envelope);
    if ('problems' in read) {
      unreadable.push({ event, problems: read.problems });
      continue;
    }
    const { envelope } = read;
    const key = keyOf(event.topic, envelope.id);
    if (seen.has(key)) continue;
    seen.add(key);
    const lane = `${event.topic}/${envelope.subject}`;
    const ignored = ignores.has(envelope.type);
    const ofLane = left.get(lane) ?? allowance.ofLane(lane);
    const mayClaim = !ignored && ofLane > 0 && claims < allowance.events;
    if (mayClaim) claims += 1;
    // What follows something unclaimed stays unclaimed.
    if (!ignored) left.set(lane, mayClaim ? ofLane - 1 : 0);
    arrivals.push({ event, envelope, lane, ignored, mayClaim });
  }
  return { arrivals, unreadable };
}

/** PostgreSQL writes ids in lower case. */
const keyOf = (topic: string, eventId: string): string => `${eventId.toLowerCase()}/${topic}`;

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
