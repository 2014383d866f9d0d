import { basename, relative } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { MongodHarness, PATIENCE, type ServerUnderTest } from '../mongod-harness.contract.js';
import { extendBackupCursor, findBackupCursors, keepBackupCursor, killBackupCursors, openBackupCursor } from './backup-cursor.js';
import { fsyncLock, fsyncUnlock, isFsyncLocked } from './fsync-lock.js';
import type { RunCommand } from './run-command.js';
import { lastOplogEntry, readMemberFacts, readServerSettings } from './server-facts.js';

/** The commands that hold a member for a copy and tell what it is, by our own functions. */
export function backupContract(name: string, server: ServerUnderTest, options: { skipped?: boolean } = {}): void {
  describe.skipIf(options.skipped)(`holding a member for a copy: ${name}`, { timeout: 240_000 }, () => {
    const harness = new MongodHarness(server);
    beforeAll(() => harness.open());
    afterEach(() => harness.killAll());
    afterAll(() => harness.close());

    async function started(): Promise<{ run: RunCommand; other: RunCommand; dbPath: string }> {
      const base = await harness.goal();
      const members = [{ id: 0, host: `127.0.0.1:${base.port}`, priority: 1, votes: 1, arbiterOnly: false }];
      const process = await harness.startReady({ ...base, replicaSet: { name: 'rs0', role: 'plain', members, leads: true } });
      const [connection, second] = [harness.connection(process), harness.connection(process)];
      await connection.initiate({ _id: 'rs0', members: [{ _id: 0, host: `127.0.0.1:${base.port}` }] });
      await vi.waitUntil(async () => {
        const hello = await connection.hello();
        return hello.ok && hello.value.writable;
      }, PATIENCE);
      return {
        run: (db, command, limitMs) => connection.run(db, command, limitMs),
        other: (db, command, limitMs) => second.run(db, command, limitMs),
        dbPath: base.dbPath,
      };
    }

    it('a cursor lists files and times, is kept, extended, found by another connection and ended by it', async (context) => {
      const { run, other, dbPath } = await started();
      const opened = await openBackupCursor(run, 'atrest test');
      context.skip(!opened.ok && opened.failure.code === 40324, 'this server has no $backupCursor');
      if (!opened.ok) throw new Error(opened.failure.message);
      const cursor = opened.value;
      expect(cursor.files.map(({ path }) => relative(dbPath, path))).toContain('_mdb_catalog.wt');
      for (const { size } of cursor.files) expect(size).toBeGreaterThanOrEqual(0);
      expect(cursor.oplogEnd).toMatchObject({ seconds: expect.any(Number), term: 1 });
      expect(await keepBackupCursor(run, cursor)).toEqual({ ok: true, value: undefined });
      const extended = await extendBackupCursor(run, cursor, cursor.oplogEnd!);
      if (!extended.ok) throw new Error(extended.failure.message);
      for (const path of extended.value) expect(basename(path)).toMatch(/^WiredTigerLog\./);
      expect(await openBackupCursor(other, 'another')).toMatchObject({ failure: { code: 50886 } });
      const found = await findBackupCursors(other);
      expect(found).toMatchObject({ value: [{ comment: 'atrest test', openedAt: expect.any(Date) }] });
      expect(await killBackupCursors(other, found.ok ? found.value.map(({ id }) => id) : [])).toMatchObject({ ok: true });
      expect(await findBackupCursors(run)).toEqual({ ok: true, value: [] });
      expect(await keepBackupCursor(run, cursor)).toMatchObject({ failure: { code: 43 } });
      expect(await killBackupCursors(run, [cursor.id])).toMatchObject({ ok: true });
    });

    it('a lock is counted and seen by everybody; one too many is given back without harm', async () => {
      const { run, other } = await started();
      expect(await isFsyncLocked(run)).toEqual({ ok: true, value: false });
      expect(await fsyncLock(run, 'test')).toEqual({ ok: true, value: 1 });
      expect(await fsyncLock(other, 'test')).toEqual({ ok: true, value: 2 });
      expect(await isFsyncLocked(other)).toEqual({ ok: true, value: true });
      for (const left of [1, 0, 0]) expect(await fsyncUnlock(other)).toEqual({ ok: true, value: left });
      expect(await isFsyncLocked(run)).toEqual({ ok: true, value: false });
    });

    it('a member tells its state, its set, the end of its oplog and how its files are laid out', async () => {
      const { run } = await started();
      const facts = await readMemberFacts(run);
      expect(facts).toMatchObject({
        value: { setName: 'rs0', state: 'PRIMARY', term: 1, rollbackId: 1, members: [{ self: true, healthy: true }] },
      });
      const end = await lastOplogEntry(run);
      expect(end).toMatchObject({ value: { seconds: expect.any(Number), increment: expect.any(Number), term: 1 } });
      expect(await readServerSettings(run)).toMatchObject({
        value: { mongoDBVersion: expect.stringMatching(/^\d/), storage: { engine: 'wiredTiger', directoryPerDB: false, cipherMode: null } },
      });
    });
  });
}
