import { randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { SimulatedClock } from '@atrest/platform-time';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ObjectDamagedError } from '../errors.js';
import { beginEpoch, type OpenEpoch } from '../format/epoch.js';
import { blocksPrefix, collectorKey, manifestKey, manifestsPrefix, writerKey, writersPrefix } from '../format/layout.js';
import type { Manifest } from '../format/manifest.js';
import { InMemoryObjectStore } from '../object-store/in-memory-object-store.js';
import type { ObjectStore } from '../object-store/object-store.js';
import { verifySnapshot } from '../read/verify-snapshot.js';
import { LocalWrapper, owner, QUICK_LEASES, SourceFolder, usual } from '../test-support.contract.js';
import { writeSnapshot, type WriteSnapshotOptions } from '../write/write-snapshot.js';
import { collectEpoch, type Collection } from './collect-epoch.js';

const FIRST = '65f0c0ffee65f0c0ffee0101';
const SECOND = '65f0c0ffee65f0c0ffee0102';
const never = new AbortController().signal;
const HOUR = 60 * 60_000;

describe('a collection', () => {
  let clock: SimulatedClock;
  let store: InMemoryObjectStore;
  let epoch: OpenEpoch;
  let source: SourceFolder;

  beforeEach(async () => {
    clock = new SimulatedClock(new Date('2026-11-23T10:00:00Z'));
    store = new InMemoryObjectStore(clock);
    epoch = await beginEpoch(store, owner, new LocalWrapper(), clock.now());
    source = await SourceFolder.create();
    await source.write('kept', randomBytes(1_000));
  });
  afterEach(() => source.remove());

  const take = async (snapshotId: string, options: Partial<WriteSnapshotOptions> = {}): Promise<Manifest> =>
    writeSnapshot({ ...usual, store, epoch, snapshotId, files: await source.files(), signal: never, ...options });
  const collect = (through: ObjectStore = store): Promise<Collection> =>
    collectEpoch({ store: through, keys: epoch.keys, leaseTimes: QUICK_LEASES, signal: never });
  const keysBelow = async (prefix: string): Promise<string[]> => {
    const keys: string[] = [];
    for await (const { key } of store.list(prefix)) keys.push(key);
    return keys;
  };
  const problems = async (snapshotId: string): Promise<readonly Error[]> =>
    (await verifySnapshot({ store, keys: epoch.keys, snapshotId, signal: never })).problems;
  /** A store that does something of its own before it lists a prefix for the n-th time. */
  const interrupted = (prefix: string, nth: number, before: () => Promise<unknown>): ObjectStore => {
    let lists = 0;
    return {
      description: 'interrupted',
      put: (key, body, options) => store.put(key, body, options),
      get: (key) => store.get(key),
      head: (key) => store.head(key),
      list: async function* (listed) {
        if (listed === prefix && ++lists === nth) await before();
        yield* store.list(listed);
      },
      delete: (keys) => store.delete(keys),
      flush: () => store.flush(),
      close: () => store.close(),
    };
  };

  it('frees what only deleted snapshots named, and nothing that another one names', async () => {
    await take(FIRST);
    await source.write('new', randomBytes(1_000));
    await take(SECOND, { parentId: FIRST });
    clock.advance(2 * HOUR);
    await expect(collect()).resolves.toMatchObject({ kind: 'swept', snapshots: 2, deleted: 0 });
    await store.delete([manifestKey(owner.epochId, FIRST)]);
    // The first one's list of files; its only content is the second one's too.
    await expect(collect()).resolves.toMatchObject({ kind: 'swept', snapshots: 1, live: 3, deleted: 1, finished: true });
    await expect(problems(SECOND)).resolves.toEqual([]);
    await store.delete([manifestKey(owner.epochId, SECOND)]);
    await expect(collect()).resolves.toMatchObject({ snapshots: 0, deleted: 3 });
    await expect(keysBelow(blocksPrefix(owner.epochId))).resolves.toEqual([]);
    await expect(store.head(collectorKey(owner.epochId))).resolves.toBeNull();
  });

  it('keeps what is young, whoever wrote it', async () => {
    await take(FIRST);
    await store.delete([manifestKey(owner.epochId, FIRST)]);
    clock.advance(HOUR - 1);
    await expect(collect()).resolves.toMatchObject({ deleted: 0 });
    clock.advance(1);
    await expect(collect()).resolves.toMatchObject({ deleted: 2 });
  });

  it('deletes nothing while a manifest cannot be read: nobody knows what it names', async () => {
    await take(FIRST);
    await take(SECOND);
    const key = manifestKey(owner.epochId, FIRST);
    const bytes = (await store.get(key))!;
    bytes[bytes.length - 1]! ^= 1;
    await store.put(key, bytes);
    await store.delete([manifestKey(owner.epochId, SECOND)]);
    clock.advance(2 * HOUR);
    await expect(collect()).rejects.toThrow(ObjectDamagedError);
    await expect(keysBelow(blocksPrefix(owner.epochId))).resolves.toHaveLength(2);
    await expect(store.head(collectorKey(owner.epochId))).resolves.toBeNull();
  });

  it('F64 gives way to a snapshot under way, and a dead one holds it up only until its lease is over', async () => {
    await store.put(writerKey(owner.epochId, FIRST), Buffer.from('{}'));
    await expect(collect()).resolves.toEqual({ kind: 'busy' });
    clock.advance(QUICK_LEASES.expiryMs);
    await expect(collect()).resolves.toMatchObject({ kind: 'swept' });
  });

  it('F64 gives way to another collector, and takes over from a dead one', async () => {
    await store.put(collectorKey(owner.epochId), Buffer.from('{"holder":"another"}'));
    await expect(collect()).resolves.toEqual({ kind: 'busy' });
    clock.advance(QUICK_LEASES.expiryMs);
    await expect(collect()).resolves.toMatchObject({ kind: 'swept' });
  });

  it('F64 of two at once at most one sweeps', async () => {
    await take(FIRST);
    await store.delete([manifestKey(owner.epochId, FIRST)]);
    clock.advance(2 * HOUR);
    const both = await Promise.all([collect(), collect()]);
    expect(both.map(({ kind }) => kind).sort()).toEqual(['busy', 'swept']);
  });

  it('F64 a snapshot waits for a collection that began before it', async () => {
    await take(FIRST);
    await store.delete([manifestKey(owner.epochId, FIRST)]);
    clock.advance(2 * HOUR);
    let taking: Promise<Manifest> | undefined;
    // Listed the second time when its lease is there: a snapshot that begins now must see it.
    const through = interrupted(writersPrefix(owner.epochId), 2, async () => {
      taking = take(SECOND);
      while ((await store.head(writerKey(owner.epochId, SECOND))) === null) await setImmediate();
    });
    // It saw the snapshot too: either may yield, never neither.
    await expect(collect(through)).resolves.toEqual({ kind: 'busy' });
    await expect(taking).resolves.toMatchObject({ snapshotId: SECOND });
    await expect(problems(SECOND)).resolves.toEqual([]);
  });

  it('F58 a store that lists a snapshot under way too late costs that snapshot, never its content', async () => {
    await take(FIRST);
    await store.delete([manifestKey(owner.epochId, FIRST)]);
    clock.advance(2 * HOUR);
    const blind: ObjectStore = {
      ...interrupted('', 0, async () => undefined),
      list: (prefix) => (prefix === writersPrefix(owner.epochId) ? nothing() : store.list(prefix)),
    };
    let collected: Collection | undefined;
    const failed = await take(SECOND, {
      onProgress: () => undefined,
      source: async () => {
        collected = await collect(blind);
        // Still held when the snapshot looks once more before it counts.
        await store.put(collectorKey(owner.epochId), Buffer.from('{"holder":"blind"}'));
        return {};
      },
    }).catch((error: unknown) => error);
    expect(collected).toMatchObject({ kind: 'swept', deleted: 2 });
    expect(failed).toMatchObject({ code: 'STORE.LEASE_LOST' });
    await expect(keysBelow(manifestsPrefix(owner.epochId))).resolves.toEqual([]);
  });

  it('F59 says what the store would not delete, and goes on with the rest', async () => {
    await take(FIRST);
    await store.delete([manifestKey(owner.epochId, FIRST)]);
    clock.advance(2 * HOUR);
    const [locked] = await keysBelow(blocksPrefix(owner.epochId));
    const through: ObjectStore = {
      ...interrupted('', 0, async () => undefined),
      delete: async (keys) => {
        await store.delete(keys.filter((key) => key !== locked));
        return keys.includes(locked!) ? [{ key: locked!, reason: 'AccessDenied: Object Lock' }] : [];
      },
    };
    await expect(collect(through)).resolves.toMatchObject({
      deleted: 1,
      undeleted: [{ key: locked, reason: 'AccessDenied: Object Lock' }],
      finished: true,
    });
    await expect(keysBelow(blocksPrefix(owner.epochId))).resolves.toEqual([locked]);
  });
});

async function* nothing(): AsyncGenerator<never> {
  // A listing that lags behind.
}
