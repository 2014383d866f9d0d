import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { OplogTime, SnapshotMethod, SnapshotTaken } from '@atrest/contracts';
import type { Timestamp } from 'mongodb';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { documentsAsOf, restoredFiles } from './restored-copy.contract.js';
import { NOT_HELD, TestBackups } from './test-backups.contract.js';

let backups: TestBackups;
let folders: string[];
beforeEach(async () => {
  backups = await TestBackups.open();
  folders = [];
});
afterEach(async () => {
  await backups.close();
  for (const folder of folders) await rm(dirname(folder), { recursive: true, force: true });
});

/** Writes one document after the other until it is told to stop; answers how many. */
function writer(): { stop(): Promise<number> } {
  let [stopping, written] = [false, 0];
  const orders = backups.host.client(backups.url).db('shop').collection('orders');
  const writing = (async () => {
    while (!stopping) {
      await orders.insertOne({ n: written, text: randomBytes(100).toString('hex') }, { writeConcern: { w: 'majority' } });
      written += 1;
    }
    return written;
  })();
  return {
    stop: () => {
      stopping = true;
      return writing;
    },
  };
}

/** The numbers of the documents that were written up to a moment, by the oplog of the set. */
async function writtenUpTo(end: OplogTime): Promise<number[]> {
  const primary = await backups.primary();
  const oplog = backups.host.client(`mongodb://127.0.0.1:${primary.port}/?directConnection=true`).db('local').collection('oplog.rs');
  const entries = await oplog.find({ ns: 'shop.orders', op: 'i' }).toArray();
  const isUpTo = (ts: Timestamp): boolean =>
    ts.getHighBitsUnsigned() < end.seconds || (ts.getHighBitsUnsigned() === end.seconds && ts.getLowBitsUnsigned() <= end.increment);
  return entries.filter((entry) => isUpTo(entry['ts'] as Timestamp)).map((entry) => (entry['o'] as { n: number }).n);
}

async function restoredNumbers(snapshotId: string, { optime }: SnapshotTaken, extraArguments: readonly string[] = []): Promise<number[]> {
  const dbPath = await restoredFiles(await backups.openStore(), await backups.keys(), snapshotId);
  folders.push(dbPath);
  const scratch = { program: backups.host.programs.mongod, extraArguments };
  const documents = await documentsAsOf(scratch, dbPath, optime!, 'shop', 'orders');
  return documents.map((document) => document['n'] as number).sort((a, b) => a - b);
}

describe('a replica set with a writer running', { timeout: 180_000 }, () => {
  it('the snapshot restored into a scratch mongod contains exactly the writes up to its optime, whatever method took it', async () => {
    await backups.startSet(3);
    const writing = writer();
    const taken: { snapshotId: string; taken: SnapshotTaken }[] = [];
    const methods: SnapshotMethod[] = ['backupCursor', 'fsyncLock', 'stoppedMember'];
    for (const method of methods) {
      const member = await backups.secondary();
      const task = await backups.takeTask(member, { methods: [method], parentSnapshotId: taken.at(-1)?.snapshotId ?? null });
      const result = await backups.result(task);
      // A server without the cursor says so; the others it must have.
      if (method === 'backupCursor' && result.failure?.code === 'NO_METHOD') continue;
      expect(result.failure).toBeUndefined();
      expect(result.taken!.method).toBe(method);
      expect(await backups.stored('writers/')).toEqual([]);
      taken.push({ snapshotId: task.snapshotId, taken: result.taken! });
      await backups.secondary();
      expect(await backups.holdsOf(await backups.secondary())).toEqual(NOT_HELD);
    }
    const written = await writing.stop();
    expect(taken.length).toBeGreaterThanOrEqual(2);
    for (const snapshot of taken) {
      const expected = await writtenUpTo(snapshot.taken.optime!);
      expect(expected.length).toBeLessThan(written);
      expect(await restoredNumbers(snapshot.snapshotId, snapshot.taken)).toEqual(expected);
    }
  });

  it('with encrypted storage: a cursor that does not work gives way to the lock, and the keys of the databases travel along', async (context) => {
    const keyFile = join(backups.host.folder, 'master-key');
    await writeFile(keyFile, randomBytes(32).toString('base64'), { mode: 0o600 });
    const encryption = ['--enableEncryption', '--encryptionKeyFile', keyFile, '--encryptionCipherMode', 'AES256-GCM'];
    const { stdout: help } = await promisify(execFile)(backups.host.programs.mongod, ['--help']);
    context.skip(!help.includes('encryptionKeyFile'), 'this server has no encrypted storage');
    const [member] = await backups.startSet(1, {}, encryption);
    const writing = writer();
    const task = await backups.takeTask(member!);
    const { taken, failure } = await backups.result(task);
    await writing.stop();
    expect(failure).toBeUndefined();
    expect(taken).toMatchObject({ storage: { cipherMode: 'AES256-GCM' } });
    expect(['backupCursor', 'fsyncLock']).toContain(taken!.method);
    expect(await restoredNumbers(task.snapshotId, taken!, encryption)).toEqual(await writtenUpTo(taken!.optime!));
  });
});
