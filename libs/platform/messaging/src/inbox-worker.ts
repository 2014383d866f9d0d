import type { Logger } from '@atrest/platform-logging';
import { BackgroundLoop } from '@atrest/platform-time';
import type { AttemptRunner } from './attempt-runner.js';
import type { ClaimedEvent, Inbox } from './inbox.js';

/** Events handled in one run before the other lanes get their turn. */
const RUN_LENGTH = 100;

/** So many fast events are not spread over several transactions: that would cost more than it saves. */
const TOGETHER_MIN = 8;

export interface InboxWorkerOptions {
  readonly service: string;
  readonly inbox: Inbox;
  readonly attempts: AttemptRunner;
  /** Transactions at the same time. */
  readonly concurrency: number;
  readonly pollIntervalMs: number;
  readonly logger: Logger;
}

/**
 * Decides what is handled when: different lanes (topic and subject) at the same time, in as many runs; the events of one lane one after
 * another. When more waits than there may be runs, a run takes several events and handles them in one transaction. An event whose attempt
 * took the process with it is tried again while nothing else is, so that a crash is blamed on nobody who merely stood by.
 */
export class InboxWorker {
  readonly #o: InboxWorkerOptions;
  readonly #loop: BackgroundLoop;
  readonly #queue: ClaimedEvent[] = [];
  /** Positions in the queue or in a run: a claim that ran out while it waited may be claimed twice. */
  readonly #taken = new Set<number>();
  readonly #runs = new Set<Promise<void>>();
  readonly #busy = new Set<string>();
  /** Busy lanes that have more, which nobody can take before the run is done with them. */
  readonly #renewed = new Set<string>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #alone = false;
  #moreWaits = false;
  #cursor = '';
  #stopping = false;

  constructor(o: InboxWorkerOptions) {
    this.#o = o;
    this.#loop = new BackgroundLoop({
      name: `${o.service} inbox`,
      intervalMs: o.pollIntervalMs,
      run: () => this.#refill(),
      onError: (error) => o.logger.warn({ err: error }, 'the inbox could not be read; trying again'),
    });
  }

  start(): void {
    this.#loop.start();
  }

  /** These lanes got new events. */
  wake(lanes: readonly string[]): void {
    for (const lane of lanes) if (this.#busy.has(lane)) this.#renewed.add(lane);
    this.#loop.wake();
  }

  /** How many events more may be handed to {@link offer}. */
  get room(): number {
    const { concurrency, attempts } = this.#o;
    return this.#stopping ? 0 : Math.max(0, concurrency * attempts.claimsPerRun - this.#queue.length);
  }

  /** Takes events that were claimed when they were stored. */
  async offer(events: readonly ClaimedEvent[]): Promise<void> {
    if (this.#stopping) return this.#release(events);
    for (const event of events) this.#taken.add(event.position);
    this.#queue.push(...events);
    this.#pump();
    return undefined;
  }

  /** Lets the attempts under way end and gives back what was only claimed. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#loop.stop();
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.all(this.#runs);
    await this.#release(this.#queue.splice(0));
  }

  async #refill(): Promise<void | 'again'> {
    const { concurrency, inbox, attempts } = this.#o;
    // A claim costs a round trip, so it is made for many at once: when the queue has run low, not for every run that ends.
    if (this.#queue.length > concurrency / 2) {
      this.#moreWaits = true;
      return undefined;
    }
    const limit = concurrency * attempts.claimsPerRun;
    const claimed = await inbox.claim(this.#cursor, limit);
    const wrapped = claimed.length < limit && this.#cursor !== '';
    // Lanes take turns: the next claim begins where this one ended.
    this.#cursor = claimed.length < limit ? '' : claimed.reduce((last, event) => (event.lane > last ? event.lane : last), '');
    this.#moreWaits = claimed.length === limit;
    if (this.#stopping) {
      await this.#release(claimed);
      return undefined;
    }
    for (const event of claimed) {
      if (this.#taken.has(event.position)) continue;
      this.#taken.add(event.position);
      this.#queue.push(event);
    }
    this.#pump();
    return wrapped ? 'again' : undefined;
  }

  #pump(): void {
    while (!this.#stopping && !this.#alone && this.#runs.size < this.#o.concurrency) {
      const batch = this.#takeBatch();
      const [first] = batch;
      if (first === undefined) break;
      this.#alone = first.suspect;
      const lanes = batch.map((event) => event.lane);
      for (const lane of lanes) this.#busy.add(lane);
      const run: Promise<void> = this.#runThrough(batch).finally(() => {
        this.#runs.delete(run);
        if (first.suspect) this.#alone = false;
        let renewed = false;
        for (const lane of lanes) {
          this.#busy.delete(lane);
          if (this.#renewed.delete(lane)) renewed = true;
        }
        if (renewed) this.#loop.wake();
        this.#pump();
      });
      this.#runs.add(run);
    }
    if (this.#moreWaits && this.#queue.length <= this.#o.concurrency / 2) this.#loop.wake();
  }

  #takeBatch(): ClaimedEvent[] {
    const [first] = this.#queue;
    if (first === undefined || (first.suspect && this.#runs.size > 0)) return [];
    const share = Math.ceil(this.#queue.length / (this.#o.concurrency - this.#runs.size));
    const size = isFresh(first) ? Math.min(this.#o.attempts.together, Math.max(share, TOGETHER_MIN)) : 1;
    let count = 1;
    while (count < size && isFresh(this.#queue[count])) count += 1;
    return this.#queue.splice(0, count);
  }

  /** Handles these events and those of their lanes that follow. Never rejects. */
  async #runThrough(first: readonly ClaimedEvent[]): Promise<void> {
    let batch = first;
    for (let handled = 0; batch.length > 0; handled += batch.length) {
      for (const event of batch) this.#taken.add(event.position);
      const current = batch;
      try {
        if (this.#stopping) {
          await this.#release(current);
          return;
        }
        const last = handled + current.length >= RUN_LENGTH || current[0]?.suspect === true;
        if (last) for (const event of current) this.#renewed.add(event.lane);
        batch = await this.#handle(current, last);
      } catch (error) {
        // The database is away. The claims run out and the events are taken up again, by whoever is there.
        this.#o.logger.warn({ err: error, events: current.length }, 'attempts could not be recorded');
        return;
      } finally {
        for (const event of current) this.#taken.delete(event.position);
      }
    }
  }

  /** Returns the claimed events that follow. */
  async #handle(batch: readonly ClaimedEvent[], last: boolean): Promise<readonly ClaimedEvent[]> {
    const { attempts } = this.#o;
    const lanes = new Set(batch.map((event) => event.lane)).size;
    const following = last ? 0 : Math.max(1, Math.floor(attempts.together / lanes));
    if (batch.length > 1 && batch.every(isFresh)) {
      const next = await attempts.attemptTogether(batch, following);
      if (next !== undefined) return next;
    }
    return this.#handleSingly(batch, batch.length === 1 ? following : 0);
  }

  async #handleSingly(batch: readonly ClaimedEvent[], following: number): Promise<readonly ClaimedEvent[]> {
    const waiting = new Set<string>();
    let next: readonly ClaimedEvent[] = [];
    for (const event of batch) {
      if (waiting.has(event.lane) || this.#stopping) {
        await this.#release([event]);
        continue;
      }
      const result = await this.#o.attempts.attempt(event, following);
      if (result.kind === 'over') next = result.next;
      else waiting.add(event.lane);
      if (result.kind === 'waits') this.#wakeIn(result.waitMs);
      // Who was handled without a look at what follows is looked at again.
      if (next.length === 0) this.#renewed.add(event.lane);
    }
    return next;
  }

  #wakeIn(waitMs: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#loop.wake();
    }, waitMs + 1);
    this.#timers.add(timer);
  }

  async #release(events: readonly ClaimedEvent[]): Promise<void> {
    for (const event of events) this.#taken.delete(event.position);
    try {
      await this.#o.inbox.release(events);
    } catch (error) {
      this.#o.logger.debug({ err: error }, 'claims could not be given back; they run out');
    }
  }
}

/** Never attempted before, so nothing speaks against handling it together with others. */
const isFresh = (event: ClaimedEvent | undefined): boolean =>
  event !== undefined && !event.suspect && event.started === 1 && event.failed === 0;
