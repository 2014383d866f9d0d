import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BSONRegExp, Double, Int32, Long, ObjectId } from 'bson';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CommandError } from '../commands/command-error.js';
import { OplogSource } from '../commands/oplog-source.js';
import type { Doc } from '../bson-values.js';
import { MasterKeyError, decodeKey } from '../process/master-key.js';
import { CIPHER_MODES, CipherError, KEY_BYTES, pageCipher } from './cipher.js';
import { DataWriter, statementOf } from './data-writer.js';
import { DiskError, StorageEngine, StorageError } from './engine.js';
import { KeyDatabase, KeyDatabaseError } from './key-database.js';
import { keyOf } from './keys.js';
import { matches, project, sortDocuments } from './matcher.js';
import { applyUpdate, upsertDocument } from './update.js';

const OPTIONS = { oplogBytes: 1 << 20 };

describe('storage', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'atrest-sim-storage-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const journal = (): string => join(folder, 'journal', readdirSync(join(folder, 'journal'))[0] ?? '');
  const ids = (engine: StorageEngine): unknown[] =>
    (engine.collection('shop.orders')?.documents() ?? []).map((document) => document['_id']);

  it('drops a record that a crash cut short, at whatever byte, and keeps all before it', () => {
    const writer = new DataWriter(StorageEngine.open(folder, OPTIONS));
    writer.term = 1;
    const sizes = [0, 1, 2].map((n) => {
      writer.write([{ op: 'insert', ns: 'shop.orders', doc: { _id: n } }]);
      return readFileSync(journal()).length;
    }) as [number, number, number];
    const whole = readFileSync(journal());
    fc.assert(
      fc.property(fc.integer({ min: sizes[1], max: sizes[2] - 1 }), (length) => {
        writeFileSync(journal(), whole);
        truncateSync(journal(), length);
        const engine = StorageEngine.open(folder, OPTIONS);
        // The document and its oplog entry are one record: both are there or none.
        expect(ids(engine)).toEqual([new Int32(0), new Int32(1)]);
        expect(engine.oplog.length).toBe(3);
      }),
      { numRuns: 25 },
    );
  });

  it('refuses a journal with damage in its middle, and folders of a real mongod', () => {
    const writer = new DataWriter(StorageEngine.open(folder, OPTIONS));
    for (const n of [1, 2]) writer.write([{ op: 'insert', ns: 'shop.orders', doc: { _id: n } }]);
    const bytes = readFileSync(journal());
    bytes[12] = (bytes[12] ?? 0) ^ 1;
    writeFileSync(journal(), bytes);
    expect(() => StorageEngine.open(folder, OPTIONS)).toThrow(StorageError);
    rmSync(folder, { recursive: true });
    folder = mkdtempSync(join(tmpdir(), 'atrest-sim-storage-'));
    appendFileSync(join(folder, 'WiredTiger.wt'), 'real');
    expect(() => StorageEngine.open(folder, OPTIONS)).toThrow(/real mongod/);
  });

  it('keeps everything through checkpoints, and loses nothing when one is repeated', async () => {
    const first = StorageEngine.open(folder, OPTIONS);
    const writer = new DataWriter(first);
    writer.term = 1;
    writer.write([{ op: 'insert', ns: 'shop.orders', doc: { _id: 1 } }]);
    const synced = first.sync();
    first.checkpoint();
    await synced;
    writer.write([
      { op: 'insert', ns: 'shop.orders', doc: { _id: 2 } },
      { op: 'insert', ns: 'shop.passing', doc: { _id: 1 } },
    ]);
    writer.write([{ op: 'drop', ns: 'shop.passing' }]);
    first.close();
    const second = StorageEngine.open(folder, OPTIONS);
    expect(ids(second)).toEqual([new Int32(1), new Int32(2)]);
    expect(second.namespaces()).toEqual(['shop.orders']);
    expect(second.oplog.length).toBe(first.oplog.length);
    second.close();
    expect(ids(StorageEngine.open(folder, OPTIONS))).toHaveLength(2);
  });

  it('applies entries of another oplog twice with one effect, and knows which statements were done', () => {
    const source = new DataWriter(StorageEngine.open(folder, OPTIONS));
    source.term = 1;
    const other = mkdtempSync(join(tmpdir(), 'atrest-sim-storage-'));
    const engine = StorageEngine.open(other, OPTIONS);
    const target = new DataWriter(engine);
    const command = { lsid: { id: new ObjectId() }, txnNumber: Long.fromNumber(5) };
    const statement = statementOf(command, 0);
    source.write([{ op: 'insert', ns: 'shop.orders', doc: { _id: 1, n: 1 }, ...(statement === undefined ? {} : { statement }) }]);
    source.write([{ op: 'replace', ns: 'shop.orders', doc: { _id: 1, n: 2 } }]);
    source.write([{ op: 'insert', ns: 'shop.orders', doc: { _id: 2 } }]);
    source.write([{ op: 'delete', ns: 'shop.orders', id: 2 }]);
    const sourceEngine = StorageEngine.open(folder, OPTIONS);
    for (const round of [1, 2]) target.applyEntries(sourceEngine.oplog.entries(), { append: round === 1 });
    expect(engine.collection('shop.orders')?.documents()).toEqual([{ _id: new Int32(1), n: new Int32(2) }]);
    expect(target.lastApplied).toEqual(source.lastApplied);
    expect(target.retryable.find(statement)).toMatchObject({ op: 'i' });
    expect(target.retryable.find(statementOf({ ...command, txnNumber: 6 }, 0))).toBeUndefined();
    rmSync(other, { recursive: true });
  });

  it('cuts the oplog: what was taken back was never done, and who was reading must look again', async () => {
    const engine = StorageEngine.open(folder, OPTIONS);
    const writer = new DataWriter(engine);
    writer.term = 1;
    const kept = writer.write([{ op: 'insert', ns: 'shop.orders', doc: { _id: 1 } }]);
    const statement = statementOf({ lsid: { id: new ObjectId() }, txnNumber: Long.fromNumber(5) }, 0);
    writer.write([{ op: 'insert', ns: 'shop.orders', doc: { _id: 2 }, ...(statement === undefined ? {} : { statement }) }]);
    const reader = new OplogSource(engine.oplog, kept.ts, {});
    expect(await reader.take(10, 0)).toHaveLength(2);
    writer.writeUnlogged([
      { k: 'remove', ns: 'shop.orders', id: 2 },
      { k: 'cutOplog', after: kept.ts },
    ]);
    expect(writer.retryable.find(statement)).toBeUndefined();
    expect(writer.lastApplied).toEqual(kept);
    writer.write([{ op: 'insert', ns: 'shop.orders', doc: { _id: 3 } }]);
    await expect(reader.take(10, 0)).rejects.toMatchObject({ code: 136 });
    const again = StorageEngine.open(folder, OPTIONS);
    expect(again.oplog.entries().map(({ ts }) => ts)).toEqual(engine.oplog.entries().map(({ ts }) => ts));
    expect(ids(again)).toEqual([new Int32(1), new Int32(3)]);
  });

  it('fails every write when the disk is lost', async () => {
    const engine = StorageEngine.open(folder, OPTIONS);
    engine.diskLost = true;
    expect(() => new DataWriter(engine).write([{ op: 'insert', ns: 'a.b', doc: { _id: 1 } }])).toThrow(DiskError);
    await expect(engine.sync()).rejects.toThrow(DiskError);
  });
});

describe('encrypted files', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'atrest-sim-storage-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it.each(CIPHER_MODES)('pages of %s: each is opened by its key alone, and is never the same twice', (mode) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (plain) => {
        const cipher = pageCipher(mode, randomBytes(KEY_BYTES));
        const sealed = cipher.seal(plain);
        expect(new Uint8Array(cipher.open(sealed))).toEqual(plain);
        expect(cipher.seal(plain)).not.toEqual(sealed);
        expect(() => pageCipher(mode, randomBytes(KEY_BYTES)).open(sealed)).toThrow(CipherError);
        expect(() => cipher.open(sealed.subarray(0, -1))).toThrow(CipherError);
      }),
    );
  });

  it.each(CIPHER_MODES)('with %s a journal and a checkpoint are read back under the same key, and refused otherwise', (mode) => {
    const key = randomBytes(KEY_BYTES);
    const open = (masterKey: Buffer, asked = mode): StorageEngine =>
      StorageEngine.open(folder, { ...OPTIONS, encryption: { keys: KeyDatabase.open(folder, masterKey), mode: asked } });
    const first = open(key);
    new DataWriter(first).write([{ op: 'insert', ns: 'shop.orders', doc: { _id: 1, text: 'in plain sight' } }]);
    const stored = (): string =>
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
        .join();
    expect(stored()).not.toContain('in plain sight');
    expect(open(key).collection('shop.orders')?.size).toBe(1);
    first.close();
    expect(stored()).not.toContain('in plain sight');
    expect(open(key).collection('shop.orders')?.documents()).toMatchObject([{ text: 'in plain sight' }]);
    expect(() => open(randomBytes(KEY_BYTES))).toThrow(KeyDatabaseError);
    expect(() => StorageEngine.open(folder, OPTIONS)).toThrow(expect.objectContaining({ reason: 'encryption' }));
    const other = mode === 'AES256-CBC' ? 'AES256-GCM' : 'AES256-CBC';
    expect(() => open(key, other)).toThrow(expect.objectContaining({ reason: 'cipher-mode' }));
    // Without the database keys the data is lost: new ones do not fit it.
    rmSync(join(folder, 'key.db'), { recursive: true });
    expect(() => open(key)).toThrow(expect.objectContaining({ cause: expect.any(CipherError) }));
  });

  it('takes a key of exactly 32 bytes in base64 and nothing else (F86)', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
        const text = Buffer.from(bytes).toString('base64');
        if (bytes.length === KEY_BYTES) expect(new Uint8Array(decodeKey(text))).toEqual(bytes);
        else expect(() => decodeKey(text)).toThrow(MasterKeyError);
        expect(() => decodeKey(Buffer.from(bytes).toString('hex'))).toThrow(MasterKeyError);
      }),
    );
  });
});

describe('queries and updates', () => {
  const document: Doc = { _id: 1, n: new Int32(5), s: 'text', list: [1, { a: 2 }], nested: { deep: [{ x: 'y' }] } };

  it('holds numbers of different types equal, as MongoDB does', () => {
    expect([keyOf(1), keyOf(new Int32(1)), keyOf(new Double(1)), keyOf(Long.fromNumber(1))]).toEqual(
      Array.from({ length: 4 }, () => 'n:1'),
    );
    expect(keyOf('1')).not.toBe(keyOf(1));
    expect(matches(document, { n: new Double(5) })).toBe(true);
  });

  it.each([
    [{ s: 'text', n: { $gt: 4, $lte: 5 } }, true],
    [{ n: { $gt: 'a' } }, false],
    [{ 'list.a': 2, list: 1 }, true],
    [{ 'nested.deep.x': { $in: ['z', 'y'] } }, true],
    [{ missing: null }, true],
    [{ missing: { $exists: true } }, false],
    [{ s: new BSONRegExp('^TE', 'i') }, true],
    [{ s: { $regex: 'xt$' } }, true],
    [{ $or: [{ n: 1 }, { $and: [{ s: 'text' }, { n: { $ne: 4 } }] }] }, true],
    [{ $nor: [{ n: 5 }] }, false],
    [{ n: { $not: { $lt: 5 } } }, true],
    [{ list: { $size: 2, $elemMatch: { a: 2 } } }, true],
    [{ n: { $nin: [5] } }, false],
  ])('%j matches: %s', (filter, expected) => {
    expect(matches(document, filter)).toBe(expected);
  });

  it('sorts by type, then by value, and projects', () => {
    const values = [true, 'b', null, new Int32(2), 'a', new Double(1)];
    expect(
      sortDocuments(
        values.map((v) => ({ v })),
        { v: 1 },
      ).map(({ v }) => v),
    ).toEqual([null, new Double(1), new Int32(2), 'a', 'b', true]);
    expect(project(document, { s: 1, _id: 0 })).toEqual({ s: 'text' });
    expect(Object.keys(project(document, { list: 0 }))).toEqual(['_id', 'n', 's', 'nested']);
  });

  it('updates without touching the given document', () => {
    const updated = applyUpdate(document, { $set: { 'nested.more': 1 }, $inc: { n: 1 }, $unset: { s: '' }, $addToSet: { list: 1 } });
    expect(updated).toMatchObject({ n: new Int32(6), nested: { deep: [{ x: 'y' }], more: 1 }, list: [1, { a: 2 }] });
    expect(updated).not.toHaveProperty('s');
    expect(document['s']).toBe('text');
    expect(upsertDocument({ _id: 'k', a: { $gt: 1 }, b: { $eq: 2 } }, { $set: { c: 3 }, $setOnInsert: { d: 4 } })).toEqual({
      _id: 'k',
      b: 2,
      c: 3,
      d: 4,
    });
    for (const update of [{ $nosuch: { a: 1 } }, { $set: { a: 1 }, b: 2 }, { $inc: { s: 1 } }, { _id: 2, n: 1 }, []]) {
      expect(() => applyUpdate(document, update as Doc)).toThrow(CommandError);
    }
  });
});
