import { Long, Timestamp, UUID } from 'mongodb';
import { describe, expect, it } from 'vitest';
import type { CommandOutcome } from '../command-outcome.js';
import { findBackupCursors, keepBackupCursor, openBackupCursor } from './backup-cursor.js';
import { fsyncUnlock } from './fsync-lock.js';
import { timeOfOptime } from './oplog-time.js';
import type { RunCommand } from './run-command.js';
import { readMemberFacts, readServerSettings, storageOf } from './server-facts.js';

const fine = (value: Record<string, unknown>): CommandOutcome<Record<string, unknown>> => ({ ok: true, value });
const refused = (code: number, message = 'no'): CommandOutcome<Record<string, unknown>> => ({
  ok: false,
  failure: { kind: code === 13 ? 'unauthorized' : 'other', code, message },
});
/** Answers each command by its name. */
const server =
  (answers: Record<string, CommandOutcome<Record<string, unknown>>>): RunCommand =>
  async (_db, command) =>
    answers[Object.keys(command)[0]!] ?? refused(59, 'no such command');

const ts = new Timestamp({ t: 1_700_000_000, i: 7 });
const optime = { ts, t: Long.fromNumber(3) };

describe('what a restore has to know of a server', () => {
  it('is what it says; a default that was never set is absent, what may not be asked or a shard does not tell is null', async () => {
    const answers = {
      buildInfo: fine({ version: '4.4.6-8' }),
      getParameter: fine({ featureCompatibilityVersion: { version: '4.4' } }),
      getDefaultRWConcern: fine({
        defaultWriteConcern: { w: 'majority', wtimeout: 0 },
        updateOpTime: ts,
        localUpdateWallClockTime: new Date(),
        ok: 1,
      }),
      getCmdLineOpts: fine({ parsed: { storage: { directoryPerDB: true }, security: { enableEncryption: true } } }),
    };
    const settings = await readServerSettings(server(answers));
    expect(settings).toMatchObject({
      value: {
        mongoDBVersion: '4.4.6-8',
        featureCompatibilityVersion: '4.4',
        defaultRWConcern: { defaultWriteConcern: { w: 'majority', wtimeout: 0 }, updateOpTime: { $timestamp: { t: 1_700_000_000, i: 7 } } },
        storage: {
          engine: 'wiredTiger',
          directoryPerDB: true,
          directoryForIndexes: false,
          blockCompressor: null,
          cipherMode: 'AES256-CBC',
        },
      },
    });
    expect(settings).not.toHaveProperty('value.defaultRWConcern.defaultReadConcern');
    const shard = await readServerSettings(server({ ...answers, getDefaultRWConcern: refused(51301), getCmdLineOpts: refused(13) }));
    expect(shard).toMatchObject({ value: { defaultRWConcern: null, storage: { engine: null, cipherMode: null } } });
  });

  it.each([
    [{}, { engine: null, directoryPerDB: false, directoryForIndexes: false, blockCompressor: null, cipherMode: null }],
    [
      {
        parsed: {
          storage: {
            engine: 'inMemory',
            wiredTiger: { engineConfig: { directoryForIndexes: true }, collectionConfig: { blockCompressor: 'zstd' } },
          },
          security: { enableEncryption: true, encryptionCipherMode: 'AES256-GCM' },
        },
      },
      { engine: 'inMemory', directoryPerDB: false, directoryForIndexes: true, blockCompressor: 'zstd', cipherMode: 'AES256-GCM' },
    ],
  ])('reads %j', (reply, storage) => expect(storageOf(reply)).toEqual(storage));

  it('is of a member what it may be asked for', async () => {
    const hello = fine({ setName: 'rs0', secondary: true, lastWrite: { opTime: optime } });
    const denied = await readMemberFacts(server({ hello, replSetGetStatus: refused(13), replSetGetRBID: refused(13) }));
    expect(denied).toMatchObject({ value: { setName: 'rs0', state: 'SECONDARY', term: 3, rollbackId: null, members: [] } });
    const members = [{ name: 'a:1', stateStr: 'RECOVERING', health: 1, self: true }];
    const asked = await readMemberFacts(
      server({ hello, replSetGetStatus: fine({ term: Long.fromNumber(4), members }), replSetGetRBID: fine({ rbid: 2 }) }),
    );
    expect(asked).toMatchObject({ value: { state: 'RECOVERING', term: 4, rollbackId: 2 } });
    expect(await readMemberFacts(server({ hello: fine({ isWritablePrimary: true }) }))).toMatchObject({
      value: { setName: null, state: null },
    });
    expect(await readMemberFacts(server({ hello: fine({ isreplicaset: true }) }))).toMatchObject({ value: { state: 'STARTUP' } });
    expect(await readMemberFacts(server({ hello: refused(13) }))).toMatchObject({ ok: false });
  });

  it('no optime is none', () => {
    expect(timeOfOptime(optime)).toEqual({ seconds: 1_700_000_000, increment: 7, term: 3 });
    for (const odd of [null, undefined, 5, {}, { ts: 5 }]) expect(timeOfOptime(odd)).toBeNull();
    expect(timeOfOptime({ ts, t: Long.fromNumber(-1) })).toMatchObject({ term: null });
  });
});

describe('a backup cursor', () => {
  /** A server with this many files, in batches as the real one has them. */
  function withFiles(count: number): RunCommand {
    const files = Array.from({ length: count }, (_, n) => ({ filename: `/data/collection-${n}.wt`, fileSize: Long.fromNumber(4_096 * n) }));
    const metadata = { backupId: new UUID(), dbpath: '/data', oplogStart: optime, oplogEnd: optime, checkpointTimestamp: ts };
    const rest = [{ metadata }, ...files];
    const id = Long.fromString('8214565720323784500');
    return async (_db, command) => {
      if ('aggregate' in command) return fine({ cursor: { id, firstBatch: rest.splice(0, 101) } });
      if ('getMore' in command) return fine({ cursor: { id: command['getMore'], nextBatch: rest.splice(0, 10_000) } });
      return refused(59);
    };
  }

  it('F89 of a server with 10,000 collections lists each of their files once', async () => {
    const opened = await openBackupCursor(withFiles(20_014), 'mine');
    if (!opened.ok) throw new Error(opened.failure.message);
    expect(new Set(opened.value.files.map(({ path }) => path)).size).toBe(20_014);
    expect(opened.value.files[3]).toEqual({ path: '/data/collection-3.wt', size: 12_288 });
    expect(opened.value).toMatchObject({ dbPath: '/data', oplogEnd: { seconds: 1_700_000_000, increment: 7, term: 3 } });
  });

  it('that a server refuses, breaks off or describes in another way is a failure, not an empty copy', async () => {
    await expect(openBackupCursor(server({ aggregate: refused(50886) }), 'mine')).resolves.toMatchObject({ failure: { code: 50886 } });
    const aggregate = fine({ cursor: { id: Long.ONE, firstBatch: [{ filename: '/data/a.wt', fileSize: 1 }] } });
    await expect(openBackupCursor(server({ aggregate, getMore: refused(43) }), 'mine')).resolves.toMatchObject({ failure: { code: 43 } });
    const getMore = fine({ cursor: { id: Long.ONE, nextBatch: [] } });
    await expect(openBackupCursor(server({ aggregate, getMore }), 'mine')).resolves.toMatchObject({ ok: false });
    await expect(keepBackupCursor(server({ getMore: refused(43) }), { id: Long.ONE })).resolves.toMatchObject({ ok: false });
  });

  it('is told from every other cursor', async () => {
    const of = (command: object) => ({
      type: 'idleCursor',
      cursor: { cursorId: Long.ONE, createdDate: new Date(0), originatingCommand: command },
    });
    const firstBatch = [
      of({ find: 'orders' }),
      of({ aggregate: 1, pipeline: [{ $match: {} }] }),
      of({ aggregate: 1, pipeline: [{ $backupCursor: {} }], comment: 'mine' }),
      { type: 'op' },
    ];
    await expect(findBackupCursors(server({ aggregate: fine({ cursor: { firstBatch } }) }))).resolves.toEqual({
      ok: true,
      value: [{ id: Long.ONE, openedAt: new Date(0), comment: 'mine' }],
    });
  });
});

it('a lock that nobody holds is given back already', async () => {
  const not: CommandOutcome<Record<string, unknown>> = {
    ok: false,
    failure: { kind: 'other', code: null, message: 'fsyncUnlock called when not locked' },
  };
  await expect(fsyncUnlock(server({ fsyncUnlock: not }))).resolves.toEqual({ ok: true, value: 0 });
  await expect(fsyncUnlock(server({ fsyncUnlock: fine({ lockCount: Long.ONE }) }))).resolves.toEqual({ ok: true, value: 1 });
  await expect(fsyncUnlock(server({ fsyncUnlock: refused(13) }))).resolves.toMatchObject({ ok: false });
});
