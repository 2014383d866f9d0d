// A snapshot's files brought to the end of their oplog in a server of their own, as a restore does it: the steps were recorded on a real server.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OplogTime } from '@atrest/contracts';
import { readManifest, restoreFiles, type EpochKeys, type ObjectStore } from '@atrest/snapshot-store';
import { Long, MongoClient, Timestamp, type Document } from 'mongodb';

interface Scratch {
  readonly program: string;
  readonly extraArguments: readonly string[];
}

const QUIET = ['disableLogicalSessionCacheRefresh=true', 'ttlMonitorEnabled=false'];
const FROM_OPLOG = ['recoverFromOplogAsStandalone=true', 'takeUnstableCheckpointOnShutdown=true'];

/** Restores a snapshot into a folder of its own; answers the folder. */
export async function restoredFiles(store: ObjectStore, keys: EpochKeys, snapshotId: string): Promise<string> {
  const target = join(await mkdtemp(join(tmpdir(), 'atrest-restored-')), 'data');
  await mkdir(target, { mode: 0o700 });
  await restoreFiles({ store, keys, manifest: await readManifest(store, keys, snapshotId), target, signal: new AbortController().signal });
  return target;
}

/** The documents of a collection, as of an optime, in restored files. */
export async function documentsAsOf(
  scratch: Scratch,
  dbPath: string,
  optime: OplogTime,
  db: string,
  collection: string,
): Promise<Document[]> {
  await withServer(scratch, dbPath, QUIET, async (client, port) => {
    const local = client.db('local');
    for (const name of ['replset.minvalid', 'replset.oplogTruncateAfterPoint', 'replset.election', 'system.replset'])
      await local.collection(name).deleteMany({});
    const ts = new Timestamp({ t: optime.seconds, i: optime.increment });
    await local.collection('replset.minvalid').insertOne({ ts, t: Long.fromNumber(optime.term ?? 1) });
    await local
      .collection<{ _id: string; oplogTruncateAfterPoint: Timestamp }>('replset.oplogTruncateAfterPoint')
      .insertOne({ _id: 'oplogTruncateAfterPoint', oplogTruncateAfterPoint: ts });
    await local.collection<Document & { _id: string }>('system.replset').insertOne({
      _id: 'restored',
      version: 1,
      protocolVersion: Long.fromNumber(1),
      members: [{ _id: 0, host: `127.0.0.1:${port}` }],
      settings: {},
    });
  });
  return withServer(scratch, dbPath, [...QUIET, ...FROM_OPLOG], (client) => client.db(db).collection(collection).find().toArray());
}

async function withServer<T>(
  scratch: Scratch,
  dbPath: string,
  parameters: string[],
  use: (client: MongoClient, port: number) => Promise<T>,
): Promise<T> {
  const port = await freePort();
  const given = parameters.flatMap((parameter) => ['--setParameter', parameter]);
  const options = ['--dbpath', dbPath, '--port', String(port), '--bind_ip', '127.0.0.1', '--logpath', `${dbPath}.log`, '--logappend'];
  const server = spawn(scratch.program, [...options, ...given, ...scratch.extraArguments], { stdio: 'ignore' });
  const client = new MongoClient(`mongodb://127.0.0.1:${port}/?directConnection=true`, { serverSelectionTimeoutMS: 60_000 });
  try {
    return await use(client, port);
  } finally {
    await client.close();
    await ended(server);
  }
}

async function ended(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const exited = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGTERM');
  await exited;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
