import { randomBytes } from 'node:crypto';
import { copyFile, cp, mkdir, open, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { BSON, type Db, type Document, Long, type MongoClient, Timestamp } from 'mongodb';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi, type TestContext } from 'vitest';
import type { ArgumentsGoal } from './arguments.js';
import { LOG_IDS } from './log-ids.js';
import { MongodHarness, PATIENCE, type ServerUnderTest, type TestProcess } from './mongod-harness.contract.js';

const clean = { code: 0, signal: null };
const LOCK_INFO = 'now locked against writes, use db.fsyncUnlock() to unlock';

interface Member {
  readonly goal: ArgumentsGoal & { dbPath: string };
  readonly process: TestProcess;
  readonly client: MongoClient;
  readonly admin: Db;
}

/**
 * The two ways to copy the files of a running server, as recorded from Percona Server for MongoDB 4.4: the lock of `fsync`, which every server has, and
 * `$backupCursor` (Percona, Enterprise), which is tried: where the server does not know it, those tests say that they were skipped.
 */
export function fileBackupContract(name: string, server: ServerUnderTest, options: { skipped?: boolean } = {}): void {
  describe.skipIf(options.skipped)(`copies of files: ${name}`, { timeout: 240_000 }, () => {
    const harness = new MongodHarness(server);
    const clients: MongoClient[] = [];
    let member: Member;
    beforeAll(() => harness.open());
    afterEach(async () => {
      // While the server still runs: later they would look for one to end their sessions on.
      for (const client of clients.splice(0)) await client.close();
      await harness.killAll();
    });
    afterAll(() => harness.close());

    function connect(port: number): MongoClient {
      const client = harness.client(`mongodb://127.0.0.1:${port}/?directConnection=true`);
      clients.push(client);
      return client;
    }

    /** Ends a member and starts its copy in its place. */
    async function documentsOfCopy(original: Member, dbPath: string): Promise<number> {
      await original.client.close();
      expect(await harness.terminate(original.process)).toEqual(clean);
      await harness.startReady({ ...original.goal, dbPath });
      const client = connect(original.goal.port);
      await writable(client.db('admin'));
      return client.db('shop').collection('orders').countDocuments();
    }

    /** A replica set of one with some documents. */
    async function started(extraArguments: readonly string[] = []): Promise<Member> {
      const base = await harness.goal();
      const members = [{ id: 0, host: `127.0.0.1:${base.port}`, priority: 1, votes: 1, arbiterOnly: false }];
      const goal = {
        ...base,
        extraArguments: [...base.extraArguments, ...extraArguments],
        replicaSet: { name: 'rs0', role: 'plain' as const, members, leads: true },
      };
      const process = await harness.startReady(goal);
      const client = connect(goal.port);
      const admin = client.db('admin');
      await admin.command({ replSetInitiate: { _id: 'rs0', members: [{ _id: 0, host: `127.0.0.1:${goal.port}` }] } });
      await writable(admin);
      const orders = client.db('shop').collection('orders');
      await orders.insertMany(
        Array.from({ length: 200 }, (_, n) => ({ n })),
        { writeConcern: { w: 1, journal: true } },
      );
      return { goal, process, client, admin };
    }

    describe('fsync with lock', () => {
      it('is counted, belongs to nobody, lets no write through, and is given back once as often', async () => {
        member = await started();
        const { admin, client, goal } = member;
        const error = await admin.command({ fsyncUnlock: 1 }).then(
          () => null,
          (reason: { message: string; code?: number }) => reason,
        );
        expect([error?.message, error?.code]).toEqual(['fsyncUnlock called when not locked', undefined]);
        const other = connect(goal.port);
        expect(await other.db('admin').command({ fsync: 1, lock: true })).toMatchObject({ info: LOCK_INFO, lockCount: 1 });
        expect(await other.db('admin').command({ fsync: 1, lock: true })).toMatchObject({ lockCount: 2 });
        await other.close();
        expect(await admin.command({ currentOp: 1 })).toMatchObject({ fsyncLock: true });
        const orders = client.db('shop').collection('orders');
        await expect(orders.insertOne({ n: -1 }, { maxTimeMS: 200 })).rejects.toMatchObject({ code: 50 });
        expect(await admin.command({ fsyncUnlock: 1 })).toMatchObject({ info: 'fsyncUnlock completed', lockCount: 1 });
        await expect(orders.insertOne({ n: -2 }, { maxTimeMS: 200 })).rejects.toMatchObject({ code: 50 });
        expect(await admin.command({ fsyncUnlock: 1 })).toMatchObject({ lockCount: 0 });
        await orders.insertOne({ n: 200 });
        expect(await orders.countDocuments()).toBe(201);
        expect(await admin.command({ currentOp: 1 })).not.toHaveProperty('fsyncLock');
      });

      it('a copy of the data path that was made under it starts with every document, and a locked server ends with 0 on SIGTERM', async () => {
        member = await started();
        await member.admin.command({ fsync: 1, lock: true });
        const copy = await harness.goal();
        await copyDataPath(member.goal.dbPath, copy.dbPath);
        expect(await documentsOfCopy(member, copy.dbPath)).toBe(200);
      });

      it('a copy of encrypted files starts under the same key, in both cipher modes', async (context) => {
        for (const mode of ['AES256-CBC', 'AES256-GCM']) {
          const encryption = await withKey(harness, mode);
          await skipWithout(context, harness, encryption);
          member = await started(encryption);
          await member.admin.command({ fsync: 1, lock: true });
          const copy = await harness.goal();
          await copyDataPath(member.goal.dbPath, copy.dbPath);
          expect(await documentsOfCopy(member, copy.dbPath)).toBe(200);
        }
      });
    });

    it('storage.bson tells how the files are laid out, also where they are encrypted, and how they were laid out stays', async (context) => {
      const plain = await harness.goal();
      const encryption = await withKey(harness, 'AES256-CBC');
      await harness.terminate(await harness.startReady(plain));
      const expected = { engine: 'wiredTiger', options: { directoryPerDB: false, directoryForIndexes: false } };
      expect(await storageOf(plain.dbPath)).toMatchObject(expected);
      const other = await harness.start({ ...plain, extraArguments: [...plain.extraArguments, '--directoryperdb'] });
      expect(await other.process.exited).toEqual({ code: 100, signal: null });
      await harness.startReady(plain);

      await skipWithout(context, harness, encryption);
      const encrypted = await harness.goal();
      await harness.startReady({ ...encrypted, extraArguments: [...encrypted.extraArguments, ...encryption] });
      expect(await storageOf(encrypted.dbPath)).toMatchObject(expected);
    });

    describe('$backupCursor', () => {
      it('lists what belongs to a copy, one cursor at a time; the cursor outlives its connection and anybody may end it', async (context) => {
        member = await started();
        const { admin, goal } = member;
        const opener = connect(goal.port);
        const { metadata, files, id } = await openBackup(context, opener.db('admin'));
        expect(metadata).toMatchObject({ dbpath: goal.dbPath });
        expect(metadata['oplogEnd'].ts.greaterThanOrEqual(metadata['oplogStart'].ts)).toBe(true);
        expect(metadata['checkpointTimestamp']).toBeInstanceOf(Timestamp);
        const names = files.map(({ filename }) => relative(goal.dbPath, filename));
        for (const wanted of ['WiredTiger', 'WiredTiger.backup', 'WiredTigerHS.wt', '_mdb_catalog.wt', 'sizeStorer.wt'])
          expect(names).toContain(wanted);
        expect(names.some((each) => each.startsWith('journal/WiredTigerLog.'))).toBe(true);
        expect(names.some((each) => each.startsWith('collection-'))).toBe(true);
        for (const absent of ['storage.bson', 'WiredTiger.turtle', 'WiredTiger.wt', 'WiredTiger.lock', 'mongod.lock'])
          expect(names).not.toContain(absent);

        const again = { aggregate: 1, pipeline: [{ $backupCursor: {} }], cursor: {} };
        await expect(admin.command(again)).rejects.toMatchObject({ code: 50886 });
        await expect(admin.command({ fsync: 1, lock: true })).rejects.toMatchObject({ code: 50884 });
        const { ts } = (await admin.command({ hello: 1 }))['lastWrite'].opTime as { ts: Timestamp };
        const extend = { aggregate: 1, pipeline: [{ $backupCursorExtend: { backupId: metadata['backupId'], timestamp: ts } }], cursor: {} };
        const extended = (await admin.command(extend))['cursor'];
        expect(Number(extended.id)).toBe(0);
        expect(extended.firstBatch.length).toBeGreaterThan(0);
        for (const { filename } of extended.firstBatch as { filename: string }[]) expect(basename(filename)).toMatch(/^WiredTigerLog\./);

        await opener.close();
        await expect(admin.command(again)).rejects.toMatchObject({ code: 50886 });
        const idle = {
          aggregate: 1,
          pipeline: [{ $currentOp: { idleCursors: true, allUsers: true } }, { $match: { type: 'idleCursor' } }],
          cursor: {},
        };
        const listed = (await admin.command(idle))['cursor'].firstBatch as Document[];
        const found = listed.find(({ cursor }) => '$backupCursor' in (cursor.originatingCommand?.pipeline?.[0] ?? {}));
        expect(found).toMatchObject({ ns: 'admin.$cmd.aggregate', cursor: { tailable: true } });
        expect(String(found?.['cursor'].cursorId)).toBe(String(id));
        expect(await admin.command({ killCursors: '$cmd.aggregate', cursors: [id] })).toMatchObject({
          cursorsNotFound: [],
          cursorsAlive: [],
        });

        await admin.command({ fsync: 1, lock: true });
        await expect(admin.command(again)).rejects.toMatchObject({ code: 50887 });
        await admin.command({ fsyncUnlock: 1 });
        expect(Number((await admin.command(again))['cursor'].id)).not.toBe(0);
      });

      it('its files, copied while the server writes on, are a data path whose oplog reaches the end that was promised', async (context) => {
        member = await started();
        const { metadata, files } = await openBackup(context, member.admin);
        const orders = member.client.db('shop').collection('orders');
        const copy = await harness.goal();
        for (const { filename, fileSize } of files) {
          await orders.insertOne({ during: filename });
          await copyBytes(filename, join(copy.dbPath, relative(member.goal.dbPath, filename)), fileSize);
        }
        await copyFile(join(member.goal.dbPath, 'storage.bson'), join(copy.dbPath, 'storage.bson'));
        const quiet = ['--setParameter', 'disableLogicalSessionCacheRefresh=true', '--setParameter', 'ttlMonitorEnabled=false'];
        const restored = { ...copy, extraArguments: [...copy.extraArguments, ...quiet] };
        await harness.startReady(restored);
        const oplog = connect(copy.port).db('local').collection('oplog.rs');
        const [newest] = await oplog.find().sort({ $natural: -1 }).limit(1).toArray();
        expect((newest!['ts'] as Timestamp).greaterThanOrEqual(metadata['oplogEnd'].ts as Timestamp)).toBe(true);
      });

      it('a server with an open cursor ends with 0 on SIGTERM, and starts as usual after SIGKILL', async (context) => {
        member = await started();
        await openBackup(context, member.admin);
        await harness.kill(member.process);
        const second = await harness.startReady(member.goal);
        await harness.expectIds(second, [LOG_IDS.uncleanShutdown, LOG_IDS.ready]);
        const admin = connect(member.goal.port).db('admin');
        await writable(admin);
        await openBackup(context, admin);
        expect(await harness.terminate(second)).toEqual(clean);
      });

      it('is tried, not inferred: with encrypted storage it works or says which file it did not find', async (context) => {
        const encryption = await withKey(harness, 'AES256-CBC');
        await skipWithout(context, harness, encryption);
        member = await started(encryption);
        const outcome = await member.admin
          .command({ aggregate: 1, pipeline: [{ $backupCursor: {} }], cursor: {} })
          .catch((error: unknown) => error);
        if (outcome instanceof Error) expect(outcome).toMatchObject({ code: 31403, message: expect.stringContaining('key.db') });
        else expect(outcome).toMatchObject({ ok: 1 });
        // Neither way leaves anything behind that keeps the lock away.
        if (outcome instanceof Error) expect(await member.admin.command({ fsync: 1, lock: true })).toMatchObject({ lockCount: 1 });
      });
    });
  });
}

interface OpenBackup {
  readonly id: Long;
  readonly metadata: Document;
  readonly files: readonly { readonly filename: string; readonly fileSize: number }[];
}

async function writable(admin: Db): Promise<void> {
  await vi.waitUntil(async () => (await admin.command({ hello: 1 }))['isWritablePrimary'] === true, PATIENCE);
}

/** Opens a cursor and reads it to its present end. A server that does not know it skips the test. */
async function openBackup(context: TestContext, admin: Db): Promise<OpenBackup> {
  const command = { aggregate: 1, pipeline: [{ $backupCursor: {} }], cursor: {} };
  const reply = await admin.command(command, { promoteLongs: false }).catch((error: { code?: number }) => {
    context.skip(error.code === 40324, 'this server has no $backupCursor');
    throw error;
  });
  const [first, ...rest] = reply['cursor'].firstBatch as Document[];
  const id = reply['cursor'].id as Long;
  for (;;) {
    const more = await admin.command({ getMore: id, collection: '$cmd.aggregate' }, { promoteLongs: false });
    const batch = more['cursor'].nextBatch as Document[];
    expect(String(more['cursor'].id)).toBe(String(id));
    if (batch.length === 0) break;
    rest.push(...batch);
  }
  const files = rest.map((file) => ({ filename: file['filename'] as string, fileSize: Number(file['fileSize']) }));
  return { id, metadata: first!['metadata'] as Document, files };
}

async function withKey(harness: MongodHarness, mode: string): Promise<string[]> {
  const path = join(harness.folder, `key-${randomBytes(6).toString('hex')}`);
  await writeFile(path, randomBytes(32).toString('base64'), { mode: 0o600 });
  return ['--enableEncryption', '--encryptionKeyFile', path, '--encryptionCipherMode', mode];
}

async function skipWithout(context: TestContext, harness: MongodHarness, encryption: readonly string[]): Promise<void> {
  const goal = await harness.goal();
  await rm(goal.dbPath, { recursive: true });
  // A data path that is not there: exit code 100 when the options are known, 2 when they are not.
  const probe = await harness.start({ ...goal, extraArguments: [...goal.extraArguments, ...encryption] });
  const { code } = await probe.process.exited;
  context.skip(code === 2, 'this server has no encrypted storage');
}

async function storageOf(dbPath: string): Promise<unknown> {
  return BSON.deserialize(await readFile(join(dbPath, 'storage.bson')))['storage'];
}

async function copyDataPath(from: string, to: string): Promise<void> {
  await cp(from, to, { recursive: true });
  await rm(join(to, 'mongod.lock'));
  expect(await readdir(to)).toContain('storage.bson');
}

/** The first bytes of a file, which may have grown since. */
async function copyBytes(from: string, to: string, size: number): Promise<void> {
  await mkdir(dirname(to), { recursive: true, mode: 0o700 });
  await copyFile(from, to);
  const file = await open(to, 'r+');
  try {
    await file.truncate(size);
  } finally {
    await file.close();
  }
}
