import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@atrest/platform-time';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ObjectDamagedError, ObjectMissingError, SnapshotCancelledError, SourceChangedError, TooManyFilesError } from './errors.js';
import { BLOCK_BYTES, BLOCK_OVERHEAD_BYTES } from './format/block.js';
import { beginEpoch, dataKeyContext, openEpoch, type OpenEpoch } from './format/epoch.js';
import { blocksPrefix, epochHeaderKey, epochPrefix, manifestKey } from './format/layout.js';
import { readManifestLabel, type Manifest } from './format/manifest.js';
import { unsealedDataKeys } from './format/unsealed-data-key.js';
import { InMemoryObjectStore } from './object-store/in-memory-object-store.js';
import { readFileList } from './read/file-list-reader.js';
import { restoreFiles } from './read/restore-files.js';
import { proveEncrypted, verifySnapshot } from './read/verify-snapshot.js';
import { contentsOf, failingAt, LocalWrapper, owner, SourceFolder, usual } from './test-support.contract.js';
import { BlockPool } from './write/block-pool.js';
import { writeSnapshot, type WriteSnapshotOptions } from './write/write-snapshot.js';

const FIRST = '65f0c0ffee65f0c0ffee0101';
const SECOND = '65f0c0ffee65f0c0ffee0102';
const never = new AbortController().signal;

describe('a snapshot', () => {
  let store: InMemoryObjectStore;
  let wrapper: LocalWrapper;
  let epoch: OpenEpoch;
  let source: SourceFolder;
  const folders: string[] = [];

  beforeEach(async () => {
    store = new InMemoryObjectStore(systemClock);
    wrapper = new LocalWrapper();
    epoch = await beginEpoch(store, owner, wrapper, new Date());
    source = await SourceFolder.create();
  });
  afterEach(async () => {
    await source.remove();
    for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
  });

  const take = async (snapshotId: string, options: Partial<WriteSnapshotOptions> = {}): Promise<Manifest> =>
    writeSnapshot({ ...usual, store, epoch, snapshotId, files: await source.files(), signal: never, ...options });
  const restore = async (snapshotId: string): Promise<string> => {
    const folder = await mkdtemp(join(tmpdir(), 'atrest-target-'));
    folders.push(folder);
    const { manifest } = await verifySnapshot({ store, keys: epoch.keys, snapshotId, signal: never });
    await restoreFiles({ store, keys: epoch.keys, manifest, target: folder, signal: never });
    return folder;
  };
  const blocks = async (): Promise<string[]> => {
    const keys: string[] = [];
    for await (const { key } of store.list(blocksPrefix(owner.epochId))) keys.push(key);
    return keys;
  };

  it('gives every file back: empty, small, sparse, at and around the borders of blocks, with its mode', async () => {
    await source.write('empty', '');
    await source.write('journal/WiredTigerLog.0000000001', Buffer.concat([randomBytes(5_000), Buffer.alloc(2 * BLOCK_BYTES)]));
    await source.write('a/exact.wt', randomBytes(BLOCK_BYTES));
    await source.write('a/more.wt', randomBytes(BLOCK_BYTES + 1), 0o640);
    await source.write('a/less.wt', randomBytes(BLOCK_BYTES - 1));
    await source.write('ünïcode-ﬁle', 'x', 0o400);
    const manifest = await take(FIRST);
    expect(manifest).toMatchObject({ files: 6, labels: { clusterName: 'orders' }, source: { mongodVersion: '4.4.6' } });
    await expect(contentsOf(await restore(FIRST))).resolves.toEqual(await contentsOf(source.path));
  });

  it('restores zeros as holes', async () => {
    await source.write('log', Buffer.concat([Buffer.from('begin'), Buffer.alloc(25 * BLOCK_BYTES)]));
    await take(FIRST);
    const restored = await stat(join(await restore(FIRST), 'log'));
    expect(restored.size).toBe(25 * BLOCK_BYTES + 5);
    // One block of content: 512-byte units on the disk.
    expect(restored.blocks * 512).toBeLessThanOrEqual(BLOCK_BYTES + 4_096);
  });

  it('any set of files comes back, whatever is compressed, however many threads', async () => {
    const content = fc.oneof(
      fc.uint8Array({ maxLength: 2_000 }),
      fc
        .record({ byte: fc.integer({ min: 0, max: 255 }), length: fc.integer({ min: 0, max: 9_000_000 }) })
        .map(({ byte, length }) => Buffer.alloc(length, byte)),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(
          fc.stringMatching(/^[a-z0-9.-]{1,12}$/).filter((name) => !/^\.+$/.test(name)),
          content,
          { maxKeys: 6 },
        ),
        fc.boolean(),
        fc.integer({ min: 1, max: 3 }),
        async (files, compress, threads) => {
          await source.remove();
          source = await SourceFolder.create();
          for (const [name, bytes] of Object.entries(files)) await source.write(name, bytes);
          await take(FIRST, { compress, threads });
          expect(await contentsOf(await restore(FIRST))).toEqual(await contentsOf(source.path));
        },
      ),
      { numRuns: 15 },
    );
  });

  it('stores equal blocks once, and of a second snapshot only what changed', async () => {
    const big = randomBytes(10 * BLOCK_BYTES);
    await source.write('one.wt', big);
    await source.write('two.wt', big);
    await take(FIRST);
    const before = await blocks();
    expect(before).toHaveLength(10 + 1);
    big.writeUInt32BE(1, 3 * BLOCK_BYTES);
    await source.write('two.wt', big);
    const second = await take(SECOND, { parentId: FIRST });
    const added = (await blocks()).filter((key) => !before.includes(key));
    // The block that changed, and the list of files.
    expect(added).toHaveLength(2);
    expect(second.storedBytes).toBeLessThan(BLOCK_BYTES + BLOCK_OVERHEAD_BYTES + 10_000);
    await expect(contentsOf(await restore(SECOND))).resolves.toEqual(await contentsOf(source.path));
  });

  it('takes over unread what nobody touched since, from the same member only', async () => {
    await source.write('one.wt', randomBytes(2 * BLOCK_BYTES));
    // The kernel's change time cannot be set, so the snapshot's clock is ahead of it.
    const clock = { now: () => new Date(Date.now() + 60_000) };
    const first = await take(FIRST, { clock });
    const taken = async (member: string, snapshotId = SECOND): Promise<{ bytes: number; reads: number }> => {
      const read = vi.spyOn(BlockPool.prototype, 'run');
      const manifest = await take(snapshotId, { clock, parentId: FIRST, member });
      const reads = read.mock.calls.length;
      read.mockRestore();
      return { bytes: manifest.bytes, reads };
    };
    await expect(taken('db1:27017')).resolves.toEqual({ bytes: first.bytes, reads: 0 });
    await expect(contentsOf(await restore(SECOND))).resolves.toEqual(await contentsOf(source.path));
    await expect(taken('db2:27017')).resolves.toEqual({ bytes: first.bytes, reads: 2 });
    await source.write('one.wt', randomBytes(2 * BLOCK_BYTES));
    await expect(taken('db1:27017')).resolves.toEqual({ bytes: first.bytes, reads: 2 });
    await expect(contentsOf(await restore(SECOND))).resolves.toEqual(await contentsOf(source.path));
  });

  it('takes nothing over unread from a file that had changed a moment before it was read', async () => {
    await source.write('one.wt', randomBytes(1_000));
    const identities: unknown[] = [];
    const manifest = await take(FIRST, { clock: systemClock });
    for await (const { file } of readFileList(store, epoch.keys, manifest)) identities.push(file.identity);
    expect(identities).toEqual([null]);
  });

  it('hides contents and names of what it holds', async () => {
    await source.write('customers-of-acme.wt', Buffer.alloc(300_000, 'a very recognisable text '));
    const manifest = await take(FIRST, { compress: true });
    for await (const { key } of store.list('')) {
      const object = (await store.get(key))!;
      expect(object.includes('recognisable'), key).toBe(false);
      expect(object.includes('customers-of-acme'), key).toBe(false);
    }
    await expect(proveEncrypted(store, epoch.keys, manifest, 10)).resolves.toEqual({ blocksSampled: 2 });
  });

  it('says without its key whose it is', async () => {
    await source.write('a', 'x');
    await take(FIRST);
    const key = manifestKey(owner.epochId, FIRST);
    expect(readManifestLabel(key, (await store.get(key))!)).toMatchObject({
      snapshotId: FIRST,
      epochId: owner.epochId,
      labels: { clusterName: 'orders' },
    });
  });

  it('F57 a bit that flipped anywhere, a cut, emptied, swapped or replayed object is found, and said which', async () => {
    for (const name of ['a', 'b']) await source.write(name, randomBytes(50_000));
    await take(FIRST);
    await source.write('a', randomBytes(50_000));
    await take(SECOND, { parentId: FIRST });
    const damaged = async (key: string, damage: (bytes: Buffer) => Uint8Array | null): Promise<unknown> => {
      const whole = (await store.get(key))!;
      const changed = damage(Buffer.from(whole));
      if (changed === null) await store.delete([key]);
      else await store.put(key, changed);
      const outcome = await verifySnapshot({ store, keys: epoch.keys, snapshotId: SECOND, threads: 1, signal: never }).then(
        ({ problems }) => problems[0],
        (error: unknown) => error,
      );
      await store.put(key, whole);
      return outcome;
    };
    const manifest = manifestKey(owner.epochId, SECOND);
    const used = new Set<string>();
    for (const key of await blocks()) if ((await damaged(key, () => null)) !== undefined) used.add(key);
    expect(used.size).toBe(3);
    const [one, other] = [...used];
    for (const key of [manifest, ...used]) {
      const { length } = (await store.get(key))!;
      for (const at of [0, 4, 5, 6, 9, 20, Math.floor(length / 2), length - 1]) {
        const outcome = await damaged(key, (bytes) => {
          bytes[at]! ^= 0x10;
          return bytes;
        });
        expect(outcome, `${key} byte ${at}`).toBeInstanceOf(Error);
        expect((outcome as { key: string }).key).toBe(key);
      }
      await expect(damaged(key, (bytes) => bytes.subarray(0, bytes.length - 1))).resolves.toBeInstanceOf(ObjectDamagedError);
      await expect(damaged(key, (bytes) => Buffer.concat([bytes, Buffer.from([0])]))).resolves.toBeInstanceOf(ObjectDamagedError);
      await expect(damaged(key, () => Buffer.alloc(0))).resolves.toBeInstanceOf(ObjectDamagedError);
      await expect(damaged(key, () => null)).resolves.toBeInstanceOf(ObjectMissingError);
    }
    const swapped = (await store.get(other!))!;
    await expect(damaged(one!, () => swapped)).resolves.toBeInstanceOf(ObjectDamagedError);
    const replayed = (await store.get(manifestKey(owner.epochId, FIRST)))!;
    await expect(damaged(manifest, () => replayed)).resolves.toBeInstanceOf(ObjectDamagedError);
  });

  it('F53 a block in clear, or under a key that others have, is found by the proof', async () => {
    await source.write('a', Buffer.from(Array.from({ length: 5_000 }, (_, index) => index % 251)));
    const manifest = await take(FIRST);
    for (const key of await blocks()) {
      const sealed = (await store.get(key))!;
      await store.put(key, Buffer.from('{"path":"a","size":5000}'.padEnd(sealed.length)));
    }
    await expect(proveEncrypted(store, epoch.keys, manifest, 10)).rejects.toThrow(ObjectDamagedError);
  });

  it('of another epoch is no snapshot of this one', async () => {
    await source.write('a', 'x');
    await take(FIRST);
    const other = await beginEpoch(store, { ...owner, epochId: '65f0c0ffee65f0c0ffee0009' }, wrapper, new Date());
    for await (const { key } of store.list(epochPrefix(owner.epochId))) {
      if (!key.endsWith('epoch.json')) await store.put(key.replace(owner.epochId, other.keys.epochId), (await store.get(key))!);
    }
    await expect(verifySnapshot({ store, keys: other.keys, snapshotId: FIRST, signal: never })).rejects.toThrow(ObjectDamagedError);
  });

  it('is refused with too many files, before anything is read', async () => {
    for (const name of ['a', 'b', 'c']) await source.write(name, name);
    await expect(take(FIRST, { maxFiles: 2 })).rejects.toThrow(TooManyFilesError);
    await expect(blocks()).resolves.toEqual([]);
  });

  it('F45 a file that disappears or shrinks ends it: no snapshot, no lease', async () => {
    await source.write('collection.wt', randomBytes(BLOCK_BYTES));
    const files = await source.files();
    await expect(take(FIRST, { files: files.map((file) => ({ ...file, size: 2 * BLOCK_BYTES })) })).rejects.toThrow(SourceChangedError);
    await rm(join(source.path, 'collection.wt'));
    await expect(take(FIRST, { files })).rejects.toThrow(SourceChangedError);
    const left: string[] = [];
    for await (const { key } of store.list('')) left.push(key);
    expect(left.filter((key) => !key.includes('/blocks/'))).toEqual([epochHeaderKey(owner.epochId)]);
  });

  it('F54 cancelled at any moment it leaves no snapshot and no lease', async () => {
    for (let index = 0; index < 6; index += 1) await source.write(`f${index}`, randomBytes(BLOCK_BYTES));
    for (let step = 0; step <= 6; step += 1) {
      const controller = new AbortController();
      let reports = 0;
      const taking = take(FIRST, {
        signal: controller.signal,
        onProgress: () => {
          if (reports++ === step) controller.abort();
        },
      });
      await expect(taking, `step ${step}`).rejects.toThrow(SnapshotCancelledError);
      const left: string[] = [];
      for await (const { key } of store.list('')) if (!key.includes('/blocks/')) left.push(key);
      expect(left, `step ${step}`).toEqual([epochHeaderKey(owner.epochId)]);
    }
    await expect(take(FIRST)).resolves.toMatchObject({ files: 6 });
  });

  it('F62 a store that fails in the middle fails it; the next one stores only what is missing', async () => {
    for (let index = 0; index < 4; index += 1) await source.write(`f${index}`, randomBytes(BLOCK_BYTES));
    await expect(take(FIRST, { store: failingAt(store, 3) })).rejects.toThrow('connection reset');
    await expect(store.get(manifestKey(owner.epochId, FIRST))).resolves.toBeNull();
    const manifest = await take(FIRST);
    expect(manifest.storedBytes).toBeLessThan(3 * BLOCK_BYTES);
    await expect(contentsOf(await restore(FIRST))).resolves.toEqual(await contentsOf(source.path));
  });

  it('F66 says of each object that is missing which it is, and a restore without it fails instead of leaving a gap', async () => {
    for (const name of ['a', 'b']) await source.write(name, randomBytes(BLOCK_BYTES + 1));
    const manifest = await take(FIRST);
    const missing = (await blocks()).slice(0, 2);
    await store.delete(missing);
    const found = await verifySnapshot({ store, keys: epoch.keys, snapshotId: FIRST, signal: never }).then(
      ({ problems }) => problems.map((problem) => (problem as ObjectMissingError).key),
      (error: unknown) => [(error as ObjectMissingError).key],
    );
    expect(missing).toEqual(expect.arrayContaining(found));
    expect(found.length).toBeGreaterThan(0);
    const target = await mkdtemp(join(tmpdir(), 'atrest-target-'));
    await expect(restoreFiles({ store, keys: epoch.keys, manifest, target, signal: never })).rejects.toThrow(ObjectMissingError);
    await rm(target, { recursive: true });
  });

  it('never overwrites a file of the target', async () => {
    await source.write('a', 'x');
    const manifest = await take(FIRST);
    const target = await restore(FIRST);
    await expect(restoreFiles({ store, keys: epoch.keys, manifest, target, signal: never })).rejects.toThrow(
      /restore into an empty folder/,
    );
  });
});

describe('an epoch', () => {
  it('opens with the customer key that wrapped it and with no other; two who begin it share one data key', async () => {
    const store = new InMemoryObjectStore(systemClock);
    const wrapper = new LocalWrapper();
    const [one, two] = await Promise.all([beginEpoch(store, owner, wrapper, new Date()), beginEpoch(store, owner, wrapper, new Date())]);
    expect(one!.keys).toEqual(two!.keys);
    await expect(openEpoch(store, owner.epochId, wrapper)).resolves.toEqual(one);
    await expect(openEpoch(store, owner.epochId, new LocalWrapper())).rejects.toThrow(/authenticate/);
  });

  it.each([0, 16, 31, 33, 64])('F86 with a data key of %i bytes does not open: it is neither padded nor cut', async (bytes) => {
    const store = new InMemoryObjectStore(systemClock);
    await beginEpoch(store, owner, new LocalWrapper(), new Date());
    const odd = { wrap: async () => ({}), unwrap: async () => new Uint8Array(bytes) };
    await expect(openEpoch(store, owner.epochId, odd)).rejects.toThrow(`its data key has ${bytes} bytes`);
    const inClear = { format: 1, provider: 'NONE', mechanism: 'NONE', dataKey: Buffer.alloc(bytes).toString('base64') } as const;
    await expect(unsealedDataKeys.unwrap(inClear, dataKeyContext(owner))).rejects.toThrow(ObjectDamagedError);
  });

  it('F86 a data key in clear that is hexadecimal, or Base64 for another alphabet, is refused', async () => {
    const key = randomBytes(32);
    for (const dataKey of [key.toString('hex'), Buffer.alloc(32, 0xfb).toString('base64url'), ` ${key.toString('base64')}`]) {
      const inClear = { format: 1, provider: 'NONE', mechanism: 'NONE', dataKey } as const;
      await expect(unsealedDataKeys.unwrap(inClear, dataKeyContext(owner)), dataKey).rejects.toThrow(ObjectDamagedError);
    }
    const right = { format: 1, provider: 'NONE', mechanism: 'NONE', dataKey: key.toString('base64') } as const;
    await expect(unsealedDataKeys.unwrap(right, dataKeyContext(owner))).resolves.toEqual(key);
  });

  it('whose header was edited does not open', async () => {
    const store = new InMemoryObjectStore(systemClock);
    const wrapper = new LocalWrapper();
    await beginEpoch(store, owner, wrapper, new Date());
    const key = epochHeaderKey(owner.epochId);
    const header = (await store.get(key))!.toString();
    for (const [from, to] of [
      [owner.encryptionKeyId, 'another-key'],
      [owner.clusterId, owner.projectId],
      [owner.projectId, owner.clusterId],
      ['"format": 1', '"format": 2'],
    ] as const) {
      await store.put(key, Buffer.from(header.replace(from, to)));
      await expect(openEpoch(store, owner.epochId, wrapper), from).rejects.toThrow();
    }
  });
});
