import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { BackgroundLoop } from '@atrest/platform-time';
import { LeaseLostError } from '../errors.js';
import { collectorKey, writerKey, writersPrefix } from '../format/layout.js';
import type { ObjectStore, StoredObject } from '../object-store/object-store.js';

/**
 * How writers of snapshots and the collector of an epoch keep out of each other's way, with nothing but objects in the store:
 * each side puts its lease first and looks for the other's afterwards, so at least one of two that meet sees the other. The collector
 * always gives way; a writer waits for a collector that was there first. All ages are by the store's clock.
 */
export interface LeaseTimes {
  /** A writer renews its lease this often. */
  readonly renewMs: number;
  /** A lease that was not renewed for this long is over: its owner is dead. */
  readonly expiryMs: number;
  /** A collector waits this long between its lease and the sweep: every writer has looked by then, however late the store lists. */
  readonly settleMs: number;
}

/** Renewal every 20 s survives a network that is gone for minutes; settling is two renewals. */
export const DEFAULT_LEASE_TIMES: LeaseTimes = { renewMs: 20_000, expiryMs: 10 * 60_000, settleMs: 40_000 };

/** Whether a lease is held, seen at a moment of the store's clock. */
const isHeld = (lease: StoredObject | null, storeNow: Date, times: LeaseTimes): boolean =>
  lease !== null && storeNow.getTime() - lease.modifiedAt.getTime() < times.expiryMs;

async function putLease(store: ObjectStore, key: string, holder: string): Promise<Date> {
  await store.put(key, Buffer.from(JSON.stringify({ holder })));
  const lease = await store.head(key);
  if (lease === null) throw new LeaseLostError(`The lease ${key} is gone right after it was written.`);
  return lease.modifiedAt;
}

/** The right to add a snapshot to an epoch. */
export class WriterLease {
  readonly #store: ObjectStore;
  readonly #epochId: string;
  readonly #key: string;
  readonly #holder = randomBytes(8).toString('hex');
  readonly #times: LeaseTimes;
  readonly #lost = new AbortController();
  readonly #renewal: BackgroundLoop;
  #renewedAt = performance.now();

  private constructor(store: ObjectStore, epochId: string, snapshotId: string, times: LeaseTimes) {
    this.#store = store;
    this.#epochId = epochId;
    this.#key = writerKey(epochId, snapshotId);
    this.#times = times;
    this.#renewal = new BackgroundLoop({
      name: 'snapshot lease',
      intervalMs: times.renewMs,
      run: () => this.#renew(),
      // The next renewal may work; what counts is whether one did in time.
      onError: () => this.#checkAge(),
    });
  }

  /** Waits while a collector is at work on the epoch. */
  static async acquire(
    store: ObjectStore,
    epochId: string,
    snapshotId: string,
    times: LeaseTimes,
    signal: AbortSignal,
  ): Promise<WriterLease> {
    const lease = new WriterLease(store, epochId, snapshotId, times);
    for (;;) {
      const storeNow = await putLease(store, lease.#key, lease.#holder);
      lease.#renewedAt = performance.now();
      const collector = await store.head(collectorKey(epochId));
      if (!isHeld(collector, storeNow, times)) break;
      await sleep(Math.min(times.renewMs, 1_000), undefined, { signal });
    }
    lease.#renewal.start();
    return lease;
  }

  /** Aborted when the lease was lost: nothing may be added on the strength of what was seen under it. */
  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  async #renew(): Promise<void> {
    const storeNow = await putLease(this.#store, this.#key, this.#holder);
    this.#renewedAt = performance.now();
    // It may have begun because the store listed our lease too late. What we took for stored may be gone.
    if (isHeld(await this.#store.head(collectorKey(this.#epochId)), storeNow, this.#times))
      this.#lose('a collector began to sweep the epoch');
  }

  #checkAge(): void {
    if (performance.now() - this.#renewedAt >= this.#times.expiryMs / 2) this.#lose('the store could not be reached for too long');
  }

  #lose(reason: string): void {
    this.#lost.abort(new LeaseLostError(`The snapshot is given up: ${reason}. Take it again.`));
  }

  /** @throws LeaseLostError */
  async assertHeld(): Promise<void> {
    this.#lost.signal.throwIfAborted();
    await this.#renew();
    this.#lost.signal.throwIfAborted();
  }

  async release(): Promise<void> {
    await this.#renewal.stop();
    await this.#store.delete([this.#key]);
  }
}

/** The right to sweep an epoch; null when snapshots are being written there or another collector is at work. */
export async function acquireCollectorLease(
  store: ObjectStore,
  epochId: string,
  times: LeaseTimes,
  signal: AbortSignal,
): Promise<CollectorLease | null> {
  const key = collectorKey(epochId);
  const holder = randomBytes(8).toString('hex');
  // Looked at before the lease is put: a collector that comes while a snapshot is written must not disturb it.
  const [present, writersBefore] = [await store.head(key), await writersOf(store, epochId)];
  if (present !== null) {
    // Only the store's clock tells how old a lease is, and only something written now tells its time.
    const probe = `${key}-${holder}`;
    const storeNow = await putLease(store, probe, holder);
    await store.delete([probe]);
    if (isHeld(present, storeNow, times)) return null;
    await store.delete([key]);
  }
  if ((await store.put(key, Buffer.from(JSON.stringify({ holder })), { ifAbsent: true })) === 'exists') return null;
  const lease = new CollectorLease(store, epochId, times, holder);
  try {
    const mine = await store.head(key);
    if (mine === null) return null;
    if (writersBefore.some((writer) => isHeld(writer, mine.modifiedAt, times))) return await lease.giveWay();
    await sleep(times.settleMs, undefined, { signal });
    return (await lease.isUndisturbed()) ? lease : await lease.giveWay();
  } catch (error) {
    await lease.release();
    throw error;
  }
}

async function writersOf(store: ObjectStore, epochId: string): Promise<StoredObject[]> {
  const writers: StoredObject[] = [];
  for await (const writer of store.list(writersPrefix(epochId))) writers.push(writer);
  return writers;
}

/** Held while an epoch is swept. */
export class CollectorLease {
  readonly #store: ObjectStore;
  readonly #epochId: string;
  readonly #times: LeaseTimes;
  readonly #holder: string;

  constructor(store: ObjectStore, epochId: string, times: LeaseTimes, holder: string) {
    this.#store = store;
    this.#epochId = epochId;
    this.#times = times;
    this.#holder = holder;
  }

  /**
   * Renews the lease and says whether sweeping may go on: no writer is there and the lease is still ours. Asked before each batch of
   * deletions.
   */
  async isUndisturbed(): Promise<boolean> {
    const key = collectorKey(this.#epochId);
    const present = await this.#store.get(key);
    if (present === null || !present.includes(this.#holder)) return false;
    const storeNow = await putLease(this.#store, key, this.#holder);
    const writers = await writersOf(this.#store, this.#epochId);
    return !writers.some((writer) => isHeld(writer, storeNow, this.#times));
  }

  /** The store's time, now. */
  storeTime(): Promise<Date> {
    return putLease(this.#store, collectorKey(this.#epochId), this.#holder);
  }

  async giveWay(): Promise<null> {
    await this.release();
    return null;
  }

  async release(): Promise<void> {
    const present = await this.#store.get(collectorKey(this.#epochId));
    if (present?.includes(this.#holder) === true) await this.#store.delete([collectorKey(this.#epochId)]);
  }
}
