import type { Logger } from '@atrest/platform-logging';
import { BackgroundLoop } from '@atrest/platform-time';
import type { AttemptRunner } from './attempt-runner.js';
import type { Allowance, ClaimedEvent, Inbox, Stored } from './inbox.js';
import { Lanes } from './lanes.js';

/** While a run of fast events goes on, a second one begins with so many or after so many milliseconds: most likely the first ends before. */
const WORTH_A_RUN = 32;
const PATIENCE_MS = 5;

/** How long what arrives waits for those before it to be handled, in milliseconds. Well below any transport's patience. */
const BACK_PRESSURE_MS = 500;

export interface InboxWorkerOptions {
  readonly service: string;
  readonly inbox: Inbox;
  readonly attempts: AttemptRunner;
  /** Transactions at the same time. */
  readonly concurrency: number;
  readonly pollIntervalMs: number;
  readonly logger: Logger;
}

interface Claim<T> {
  readonly result: T;
  readonly claimed: readonly ClaimedEvent[];
  /** Lanes of which more waits in the inbox. */
  readonly more: readonly string[];
}

/**
 * Decides what is handled when: different lanes (topic and subject) at the same time, in as many runs; the events of one lane one after
 * another. A run takes what waits, of several lanes, and handles it in one transaction. An event whose attempt took the process with it is
 * tried again while nothing else is, so that a crash is blamed on nobody who merely stood by.
 */
export class InboxWorker {
  readonly #o: InboxWorkerOptions;
  readonly #loop: BackgroundLoop;
  readonly #lanes = new Lanes();
  readonly #runs = new Set<Promise<void>>();
  readonly #timers = new Set<NodeJS.Timeout>();
  /** Lanes whose events are being given back. */
  readonly #releasing = new Set<string>();
  /** Lanes that were given up while events are being claimed: what is claimed behind them comes too late. */
  #givenUp = new Set<string>();
  #claiming: Promise<unknown> = Promise.resolve();
  #roomWanted: (() => void) | undefined;
  #waitingSince: number | undefined;
  #patience: NodeJS.Timeout | undefined;
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

  /** Something waits in the inbox. */
  wake(): void {
    this.#loop.wake();
  }

  /** Lets so many events be stored and takes those that were claimed with it. One call at a time. */
  async take(count: number, store: (allowance: Allowance) => Promise<Stored>): Promise<Stored> {
    await this.#room(count);
    return this.#claim(async () => {
      const { attempts } = this.#o;
      const events = this.#stopping ? 0 : Math.max(0, this.#capacity - this.#lanes.waiting);
      const stored = await store({ events, ofLane: (lane) => attempts.ahead - this.#lanes.waitingIn(lane) });
      return { result: stored, claimed: stored.claimed, more: stored.lanes };
    });
  }

  /** Lets the attempts under way end and gives back what was only claimed. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#roomWanted?.();
    clearTimeout(this.#patience);
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#loop.stop();
    await this.#claiming;
    await Promise.all(this.#runs);
    await this.#release(this.#lanes.drop());
  }

  /** Events that wait in this process at most. */
  get #capacity(): number {
    return Math.max(this.#o.concurrency, this.#o.attempts.ahead);
  }

  /** What is claimed and taken by one call comes before what is claimed by the next. */
  #claim<T>(claim: () => Promise<Claim<T>>): Promise<T> {
    const claiming = this.#claiming.then(async () => {
      this.#givenUp = new Set(this.#releasing);
      const { result, claimed, more } = await claim();
      const late = claimed.filter((event) => this.#stopping || this.#givenUp.has(event.lane));
      for (const event of claimed) if (!late.includes(event)) this.#lanes.add(event);
      for (const lane of more) {
        if (this.#lanes.moreOf(lane)) continue;
        this.#moreWaits = true;
        this.#loop.wake();
      }
      await this.#release(late);
      this.#pump();
      return result;
    });
    this.#claiming = claiming.catch(() => undefined);
    return claiming;
  }

  async #refill(): Promise<void | 'again'> {
    const { attempts, concurrency, inbox } = this.#o;
    // A claim is made for many at once, when the queue has run low, and not for every run that ends.
    if (this.#stopping || this.#lanes.waiting > this.#capacity / 2) {
      this.#moreWaits = true;
      return undefined;
    }
    return this.#claim(async () => {
      const perLane = Math.max(1, Math.min(attempts.ahead, Math.floor(this.#capacity / concurrency)));
      const limit = Math.ceil(this.#capacity / perLane);
      const claimed = await inbox.claim(this.#cursor, limit, perLane);
      const counts = new Map<string, number>();
      for (const { lane } of claimed) counts.set(lane, (counts.get(lane) ?? 0) + 1);
      const wrapped = counts.size < limit && this.#cursor !== '';
      // Lanes take turns: the next claim begins where this one ended.
      this.#cursor = counts.size < limit ? '' : claimed.reduce((last, event) => (event.lane > last ? event.lane : last), '');
      this.#moreWaits = counts.size === limit;
      const more = [...counts].filter(([, count]) => count === perLane).map(([lane]) => lane);
      return { result: wrapped ? ('again' as const) : undefined, claimed, more };
    });
  }

  #pump(): void {
    clearTimeout(this.#patience);
    while (!this.#stopping && !this.#alone && this.#runs.size < this.#o.concurrency) {
      const batch = this.#takeBatch();
      const [first] = batch;
      if (first === undefined) break;
      this.#alone = first.suspect;
      const run: Promise<void> = this.#runThrough(batch).finally(() => {
        this.#runs.delete(run);
        if (first.suspect) this.#alone = false;
        // After what was no first attempt, and where a claim did not reach far enough, more waits in the inbox only.
        if (this.#lanes.done(batch) || !batch.every(isFresh)) this.#loop.wake();
        this.#pump();
      });
      this.#runs.add(run);
    }
    this.#roomWanted?.();
    if (this.#moreWaits && this.#lanes.waiting <= this.#capacity / 2) this.#loop.wake();
  }

  #takeBatch(): ClaimedEvent[] {
    const { attempts, concurrency } = this.#o;
    const { next } = this.#lanes;
    if (next === undefined || (next.suspect && this.#runs.size > 0)) return [];
    if (!isFresh(next)) return this.#lanes.take(1, () => true);
    const share = Math.ceil(this.#lanes.waiting / (concurrency - this.#runs.size));
    // Fast events are not spread over several transactions: that would cost more than it saves.
    const size = attempts.areFast ? attempts.together : Math.min(attempts.together, share);
    if (this.#runs.size > 0 && attempts.areFast && this.#lanes.count(WORTH_A_RUN, isFresh) < Math.min(WORTH_A_RUN, size)) {
      this.#waitingSince ??= performance.now();
      const leftMs = this.#waitingSince + PATIENCE_MS - performance.now();
      if (leftMs > 0) {
        this.#patience = setTimeout(() => this.#pump(), Math.ceil(leftMs));
        return [];
      }
    }
    this.#waitingSince = undefined;
    return this.#lanes.take(size, isFresh);
  }

  /** Never rejects. */
  async #runThrough(batch: readonly ClaimedEvent[]): Promise<void> {
    try {
      if (batch.length > 1 && (await this.#o.attempts.attemptTogether(batch))) return;
      await this.#handleSingly(batch);
    } catch (error) {
      // The database is away. The claims run out and the events are taken up again, by whoever is there.
      this.#o.logger.warn({ err: error, events: batch.length }, 'attempts could not be recorded');
      this.#o.inbox.renounce();
      for (const { lane } of batch) await this.#giveUp(lane, []);
    }
  }

  async #handleSingly(batch: readonly ClaimedEvent[]): Promise<void> {
    const held = new Map<string, ClaimedEvent[]>();
    for (const event of batch) {
      const behind = held.get(event.lane);
      if (behind !== undefined || this.#stopping) {
        held.set(event.lane, [...(behind ?? []), event]);
        continue;
      }
      const result = await this.#o.attempts.attempt(event);
      if (result.kind === 'over') continue;
      held.set(event.lane, []);
      if (result.kind === 'waits') this.#wakeIn(result.waitMs);
    }
    for (const [lane, events] of held) await this.#giveUp(lane, events);
  }

  /** The lane must wait: nothing of it is handled here until it is claimed again. */
  async #giveUp(lane: string, taken: readonly ClaimedEvent[]): Promise<void> {
    this.#givenUp.add(lane);
    this.#releasing.add(lane);
    await this.#release([...taken, ...this.#lanes.drop(lane)]);
    this.#releasing.delete(lane);
    this.#loop.wake();
  }

  async #release(events: readonly ClaimedEvent[]): Promise<void> {
    try {
      await this.#o.inbox.release(events);
    } catch (error) {
      this.#o.inbox.renounce();
      this.#o.logger.debug({ err: error }, 'claims could not be given back; they run out');
    }
  }

  #wakeIn(waitMs: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#loop.wake();
    }, waitMs + 1);
    this.#timers.add(timer);
  }

  /**
   * Resolves when there is room for so many, or soon: what is stored without being claimed costs more, and who handles slowly must not keep
   * others from being stored.
   */
  async #room(count: number): Promise<void> {
    const hasRoom = (): boolean =>
      this.#stopping || !this.#o.attempts.areFast || this.#lanes.waiting <= Math.max(0, this.#capacity - count);
    if (hasRoom()) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, BACK_PRESSURE_MS);
      this.#roomWanted = () => {
        if (!hasRoom()) return;
        clearTimeout(timer);
        resolve();
      };
    });
    this.#roomWanted = undefined;
  }
}

/** Never attempted before, so nothing speaks against handling it together with others. */
const isFresh = (event: ClaimedEvent): boolean => !event.suspect && event.started === 1 && event.failed === 0;
