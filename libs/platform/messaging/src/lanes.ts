import type { ClaimedEvent } from './inbox.js';

/** The claimed events of one topic and subject that wait in this process. */
interface Lane {
  readonly name: string;
  readonly waiting: ClaimedEvent[];
  /** While some of its events are in a run, the rest waits. */
  busy: boolean;
  /** More of it waits in the inbox than was claimed. */
  more: boolean;
}

/** Claimed events in the order in which they are to be handled: lanes take turns, the events of a lane do not overtake each other. */
export class Lanes {
  readonly #lanes = new Map<string, Lane>();
  /** Those that wait and are not busy, the longest waiting first. */
  readonly #ready = new Set<Lane>();
  /** Waiting or in a run: a claim that ran out meanwhile may be claimed twice. */
  readonly #held = new Set<number>();
  #waiting = 0;

  /** Events that wait. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Events of this lane that wait. */
  waitingIn(name: string): number {
    return this.#lanes.get(name)?.waiting.length ?? 0;
  }

  /** At its end. Leaves alone what is here already. */
  add(event: ClaimedEvent): void {
    if (this.#held.has(event.position)) return;
    this.#held.add(event.position);
    let lane = this.#lanes.get(event.lane);
    if (lane === undefined) {
      lane = { name: event.lane, waiting: [], busy: false, more: false };
      this.#lanes.set(event.lane, lane);
    }
    lane.waiting.push(event);
    this.#waiting += 1;
    if (!lane.busy) this.#ready.add(lane);
  }

  /** Whether the lane is here; then {@link done} will tell that more of it waits elsewhere. */
  moreOf(name: string): boolean {
    const lane = this.#lanes.get(name);
    if (lane === undefined) return false;
    lane.more = true;
    return true;
  }

  /** The event whose turn it is. */
  get next(): ClaimedEvent | undefined {
    const [lane] = this.#ready;
    return lane?.waiting[0];
  }

  /** How many events {@link take} would give at most. */
  count(limit: number, may: (event: ClaimedEvent) => boolean): number {
    let count = 0;
    for (const lane of this.#ready) {
      for (const event of lane.waiting) {
        if (count === limit) return count;
        if (!may(event)) break;
        count += 1;
      }
    }
    return count;
  }

  /** Takes up to so many events, of each lane those from its first one on that may be taken. Their lanes are busy until they are done. */
  take(limit: number, may: (event: ClaimedEvent) => boolean): ClaimedEvent[] {
    const taken: ClaimedEvent[] = [];
    for (const lane of this.#ready) {
      if (taken.length === limit) break;
      const stop = lane.waiting.slice(0, limit - taken.length).findIndex((event) => !may(event));
      const events = lane.waiting.splice(0, stop === -1 ? limit - taken.length : stop);
      if (events.length === 0) continue;
      taken.push(...events);
      lane.busy = true;
      this.#ready.delete(lane);
    }
    this.#waiting -= taken.length;
    return taken;
  }

  /** These events, all that were taken of their lanes, are no longer ours. True when more of one of the lanes waits in the inbox only. */
  done(events: readonly ClaimedEvent[]): boolean {
    let more = false;
    for (const { position, lane: name } of events) {
      this.#held.delete(position);
      const lane = this.#lanes.get(name);
      if (lane === undefined) continue;
      lane.busy = false;
      if (lane.waiting.length > 0) {
        this.#ready.add(lane);
        continue;
      }
      this.#lanes.delete(name);
      more ||= lane.more;
    }
    return more;
  }

  /** Gives up what waits in a lane, or in all. */
  drop(name?: string): ClaimedEvent[] {
    const dropped = name === undefined ? [...this.#lanes.values()] : [this.#lanes.get(name)].filter((lane) => lane !== undefined);
    const events = dropped.flatMap((lane) => lane.waiting.splice(0));
    for (const lane of dropped) this.#ready.delete(lane);
    for (const event of events) this.#held.delete(event.position);
    this.#waiting -= events.length;
    return events;
  }
}
