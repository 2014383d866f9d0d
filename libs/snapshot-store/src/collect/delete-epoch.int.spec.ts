import { randomBytes } from 'node:crypto';
import { SimulatedClock } from '@atrest/platform-time';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LeaseLostError, SnapshotStoreError } from '../errors.js';
import { beginEpoch, openEpoch, type OpenEpoch } from '../format/epoch.js';
import { epochPrefix, manifestKey, writerKey } from '../format/layout.js';
import { isUnsealed, NOT_ENABLED, unsealedDataKeys } from '../format/unsealed-data-key.js';
import { InMemoryObjectStore } from '../object-store/in-memory-object-store.js';
import type { ObjectStore } from '../object-store/object-store.js';
import { proveEncrypted, verifySnapshot } from '../read/verify-snapshot.js';
import { LocalWrapper, owner, QUICK_LEASES, SourceFolder, usual } from '../test-support.contract.js';
import { writeSnapshot, type WriteSnapshotOptions } from '../write/write-snapshot.js';
import { deleteEpoch, type EpochDeletion } from './delete-epoch.js';

const FIRST = '65f0c0ffee65f0c0ffee0101';
const never = new AbortController().signal;
const HOUR = 60 * 60_000;

let clock: SimulatedClock;
let store: InMemoryObjectStore;
let epoch: OpenEpoch;
let source: SourceFolder;

beforeEach(async () => {
  clock = new SimulatedClock(new Date('2026-11-23T10:00:00Z'));
  store = new InMemoryObjectStore(clock);
  epoch = await beginEpoch(store, owner, new LocalWrapper(), clock.now());
  source = await SourceFolder.create();
  await source.write('data', randomBytes(1_000));
});
afterEach(() => source.remove());

const take = async (options: Partial<WriteSnapshotOptions> = {}) =>
  writeSnapshot({ ...usual, store, epoch, snapshotId: FIRST, files: await source.files(), signal: never, ...options });
const remove = (through: ObjectStore = store): Promise<EpochDeletion> =>
  deleteEpoch({ store: through, epochId: owner.epochId, leaseTimes: QUICK_LEASES, signal: never });
const left = async (): Promise<string[]> => {
  const keys: string[] = [];
  for await (const { key } of store.list(epochPrefix(owner.epochId))) keys.push(key);
  return keys;
};

describe('the deletion of an epoch', () => {
  it('takes everything, without the key, once no snapshot is left in it, and nothing before', async () => {
    await take();
    clock.advance(2 * HOUR);
    await expect(remove()).resolves.toEqual({ kind: 'in-use' });
    await expect(verifySnapshot({ store, keys: epoch.keys, snapshotId: FIRST, signal: never })).resolves.toMatchObject({ problems: [] });
    await store.delete([manifestKey(owner.epochId, FIRST)]);
    await expect(remove()).resolves.toMatchObject({ kind: 'deleted', finished: true, undeleted: [], deletedBytes: expect.any(Number) });
    expect(await left()).toEqual([]);
    await expect(remove()).resolves.toMatchObject({ kind: 'deleted', finished: true, deletedBytes: 0 });
  });

  it('F58 takes nothing that is young: a snapshot may be there that the store does not list yet', async () => {
    await take();
    await store.delete([manifestKey(owner.epochId, FIRST)]);
    await expect(remove()).resolves.toEqual({ kind: 'too-young' });
    expect((await left()).length).toBeGreaterThan(1);
  });

  it('F64 gives way to a snapshot under way, and a snapshot whose epoch is gone is given up, not written where nobody can read it', async () => {
    await store.put(writerKey(owner.epochId, FIRST), Buffer.from('{}'));
    await expect(remove()).resolves.toEqual({ kind: 'busy' });
    await store.delete([writerKey(owner.epochId, FIRST)]);
    await remove();
    await expect(take()).rejects.toThrow(LeaseLostError);
    expect(await left()).toEqual([]);
    epoch = await beginEpoch(store, owner, new LocalWrapper(), clock.now());
    const before = epoch;
    clock.advance(2 * HOUR);
    await remove();
    await beginEpoch(store, owner, new LocalWrapper(), clock.now());
    await expect(take({ epoch: before })).rejects.toThrow(LeaseLostError);
  });

  it('F59 keeps the header as long as the store keeps a block', async () => {
    await take();
    await store.delete([manifestKey(owner.epochId, FIRST)]);
    clock.advance(2 * HOUR);
    const locked: ObjectStore = Object.assign(Object.create(store) as ObjectStore, {
      delete: async (keys: readonly string[]) => {
        const blocks = keys.filter((key) => key.includes('/blocks/'));
        await store.delete(keys.filter((key) => !blocks.includes(key)));
        return blocks.map((key) => ({ key, reason: 'AccessDenied' }));
      },
      put: store.put.bind(store),
      get: store.get.bind(store),
      head: store.head.bind(store),
      list: store.list.bind(store),
      flush: store.flush.bind(store),
    });
    await expect(remove(locked)).resolves.toMatchObject({ kind: 'deleted', deletedBytes: 0, finished: false });
    await expect(remove()).resolves.toMatchObject({ finished: true });
  });
});

describe('an epoch without a customer key', () => {
  it('opens for everybody who reads its header, which says so; its blocks are of the one format', async () => {
    const mine = { ...owner, epochId: '65f0c0ffee65f0c0ffee0009', encryptionKeyId: NOT_ENABLED };
    const begun = await beginEpoch(store, mine, unsealedDataKeys, clock.now());
    expect(begun.header.wrappedDataKey).toMatchObject({ format: 1, provider: 'NONE', mechanism: 'NONE' });
    expect(isUnsealed(begun.header.wrappedDataKey)).toBe(true);
    expect(isUnsealed(epoch.header.wrappedDataKey)).toBe(false);
    const manifest = await take({ epoch: begun });
    const opened = await openEpoch(store, mine.epochId, unsealedDataKeys);
    await expect(proveEncrypted(store, opened.keys, manifest, 10)).resolves.toMatchObject({ blocksSampled: 2 });
    await expect(openEpoch(store, owner.epochId, unsealedDataKeys)).rejects.toThrow(SnapshotStoreError);
  });
});
