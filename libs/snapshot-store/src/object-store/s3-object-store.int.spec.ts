import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { DevelopmentS3 } from '@atrest/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StoreFullError, StoreRefusedError, StoreUnavailableError } from '../errors.js';
import { BLOCK_BYTES } from '../format/block.js';
import { beginEpoch } from '../format/epoch.js';
import { collectEpoch } from '../collect/collect-epoch.js';
import { manifestKey } from '../format/layout.js';
import { verifySnapshot } from '../read/verify-snapshot.js';
import { LocalWrapper, owner, QUICK_LEASES, SourceFolder, usual } from '../test-support.contract.js';
import { writeSnapshot } from '../write/write-snapshot.js';
import { objectStoreContract } from './object-store.contract.js';
import { S3ObjectStore, type S3StoreSettings } from './s3-object-store.js';

const KEY = { accessKeyId: 'AKIADEVELOPMENT00001', secretAccessKey: 'not a secret 1' };
const OTHER_KEY = { accessKeyId: 'AKIADEVELOPMENT00002', secretAccessKey: 'not a secret 2' };

const settingsOf = (s3: DevelopmentS3, more: Partial<S3StoreSettings> = {}): S3StoreSettings => ({
  bucket: s3.bucket,
  prefix: 'atrest',
  region: 'us-east-1',
  endpoint: s3.endpoint,
  forcePathStyle: true,
  credentials: KEY,
  ...more,
});

objectStoreContract('S3', async () => {
  const s3 = await DevelopmentS3.start('snapshots', [KEY]);
  const store = new S3ObjectStore(settingsOf(s3));
  return {
    store,
    reopen: async () => new S3ObjectStore(settingsOf(s3)),
    close: async () => {
      await store.close();
      await s3.close();
    },
  };
});

describe('object store: S3, its own', () => {
  let s3: DevelopmentS3;
  let store: S3ObjectStore;

  beforeEach(async () => {
    s3 = await DevelopmentS3.start('snapshots', [KEY]);
    store = new S3ObjectStore(settingsOf(s3));
  });
  afterEach(async () => {
    await store.close();
    await s3.close();
  });

  it('works with a store that knows neither conditional puts nor checksums', async () => {
    s3.fail({ noConditions: true, noChecksums: true });
    await expect(store.put('a', Buffer.from('one'), { ifAbsent: true })).resolves.toBe('stored');
    await expect(store.put('a', Buffer.from('two'), { ifAbsent: true })).resolves.toBe('exists');
    expect((await store.get('a'))?.toString()).toBe('one');
  });

  it.each(['cutPuts', 'losePuts'] as const)(
    'F55 %s: a confirmed put that did not happen is found, where the store has no checksums',
    async (fault) => {
      s3.fail({ [fault]: true, noChecksums: true });
      await expect(store.put('a', randomBytes(1_000))).rejects.toThrow(/was confirmed, but/);
    },
  );

  it.each([
    [403, 'AccessDenied', StoreRefusedError],
    [404, 'NoSuchBucket', StoreRefusedError],
    [301, 'PermanentRedirect', StoreRefusedError],
    [403, 'InvalidAccessKeyId', StoreRefusedError],
    [400, 'ExpiredToken', StoreRefusedError],
    [507, 'XMinioStorageFull', StoreFullError],
    [403, 'RequestTimeTooSkewed', StoreUnavailableError],
    [400, 'SomethingNew', StoreUnavailableError],
  ] as const)('%i %s is %o', async (status, code, expected) => {
    s3.fail({ refuse: { methods: ['PUT', 'GET'], status, code } });
    for (const call of [() => store.put('a', Buffer.from('x')), () => store.get('a')]) {
      const error = await call().then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(expected);
      expect((error as Error).message).toContain(code);
      expect((error as Error).message).not.toContain(KEY.secretAccessKey);
    }
  });

  it.each([
    [503, 'SlowDown'],
    [500, 'InternalError'],
  ])('%i %s is tried again, and given up as passing', async (status, code) => {
    s3.fail({ refuse: { methods: ['PUT'], status, code, count: 2 } });
    await expect(store.put('a', Buffer.from('x'))).resolves.toBe('stored');
    s3.fail({ refuse: { methods: ['PUT'], status, code } });
    await expect(store.put('b', Buffer.from('x'))).rejects.toThrow(StoreUnavailableError);
  });

  it('a connection that is reset is tried again', async () => {
    s3.fail({ resetPuts: 2 });
    await expect(store.put('a', Buffer.from('x'))).resolves.toBe('stored');
  });

  it('F60 refuses a bucket, prefix or region that cannot be right, and takes slashes at the ends of a prefix', () => {
    for (const more of [{ bucket: 'Up_per' }, { bucket: '' }, { prefix: 'a//b' }, { prefix: 'a b' }, { region: ' ' }]) {
      expect(() => new S3ObjectStore(settingsOf(s3, more)), JSON.stringify(more)).toThrow(StoreRefusedError);
    }
    expect(new S3ObjectStore(settingsOf(s3, { prefix: '/atrest/' })).description).toBe('s3 snapshots/atrest');
  });

  it('F61 says that the signature is refused, as a store with another idea of signatures answers', async () => {
    const stranger = new S3ObjectStore(settingsOf(s3, { credentials: { ...KEY, secretAccessKey: 'another' } }));
    await expect(stranger.get('a')).rejects.toThrow(/SignatureDoesNotMatch.*Renew the credentials/);
    await stranger.close();
  });

  it('F63 takes credentials that were renewed under way', async () => {
    let current = KEY;
    const renewed = new S3ObjectStore(settingsOf(s3, { credentials: async () => ({ ...current, expiration: new Date(0) }) }));
    await renewed.put('a', Buffer.from('x'));
    s3.accept([OTHER_KEY]);
    current = OTHER_KEY;
    await expect(renewed.put('b', Buffer.from('x'))).resolves.toBe('stored');
    await renewed.close();
  });

  it('F58 F59 a snapshot and a collection on a bucket that lists late and locks objects', async () => {
    const source = await SourceFolder.create();
    await source.write('a', randomBytes(100_000));
    await source.write('b', randomBytes(200_000));
    const never = new AbortController().signal;
    s3.fail({ listLag: 3 });
    const epoch = await beginEpoch(store, owner, new LocalWrapper(), new Date());
    const snapshotId = '65f0c0ffee65f0c0ffee0101';
    await writeSnapshot({ ...usual, store, epoch, snapshotId, files: await source.files(), signal: never });
    const verified = await verifySnapshot({ store, keys: epoch.keys, snapshotId, signal: never });
    expect(verified).toMatchObject({ blocksRead: 2, problems: [] });
    await store.delete([manifestKey(owner.epochId, snapshotId)]);
    s3.fail({ locked: (key) => key.includes('/blocks/') });
    const collected = await collectEpoch({ store, keys: epoch.keys, graceMs: 0, leaseTimes: QUICK_LEASES, signal: never });
    expect(collected).toMatchObject({ kind: 'swept', deleted: 0, undeleted: [{}, {}, {}] });
    s3.fail({});
    await expect(collectEpoch({ store, keys: epoch.keys, graceMs: 0, leaseTimes: QUICK_LEASES, signal: never })).resolves.toMatchObject({
      deleted: 3,
    });
    await rm(source.path, { recursive: true });
  });

  it('F56 no object is stored in parts, so that none can be missing, doubled or out of order', async () => {
    const source = await SourceFolder.create();
    await source.write('a', randomBytes(2 * BLOCK_BYTES + 1));
    const epoch = await beginEpoch(store, owner, new LocalWrapper(), new Date());
    const signal = new AbortController().signal;
    await writeSnapshot({ ...usual, store, epoch, snapshotId: '65f0c0ffee65f0c0ffee0101', files: await source.files(), signal });
    const blocks = s3.requests.filter((request) => request.startsWith('PUT') && request.includes('/blocks/'));
    expect(blocks.length).toBeGreaterThanOrEqual(4);
    expect(new Set(blocks).size).toBe(blocks.length);
    // A POST that names an object would begin or end an upload in parts.
    expect(s3.requests.filter((request) => /^POST ./.test(request))).toEqual([]);
    await source.remove();
  });

  it('F62 a store at 1 MB/s is slow and nothing else', async () => {
    const source = await SourceFolder.create();
    await source.write('a', randomBytes(600_000));
    s3.fail({ bytesPerSecond: 1_000_000 });
    const epoch = await beginEpoch(store, owner, new LocalWrapper(), new Date());
    const signal = new AbortController().signal;
    await writeSnapshot({ ...usual, store, epoch, snapshotId: '65f0c0ffee65f0c0ffee0101', files: await source.files(), signal });
    expect(s3.requests.filter((request) => request.startsWith('PUT') && request.includes('/blocks/'))).toHaveLength(2);
    await source.remove();
  });
});
