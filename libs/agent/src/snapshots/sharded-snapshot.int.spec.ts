import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AGENT_USERNAME, newObjectId, type OplogTime, type TakeSnapshotTask } from '@atrest/contracts';
import { waitFor } from '@atrest/testing';
import type { Document, Timestamp } from 'mongodb';
import { afterEach, beforeEach, describe, expect, it, type TestContext } from 'vitest';
import { all } from '../test-goals.contract.js';
import { documentsAsOf, restoredFiles } from './restored-copy.contract.js';
import { NOT_HELD, QUICK_LEASES, TestBackups } from './test-backups.contract.js';

type Sharded = Awaited<ReturnType<TestBackups['shardedGoals']>>;

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

async function started(context: TestContext): Promise<Sharded> {
  context.skip(backups.host.programs.mongos === null, 'set MONGOS_BIN to run this against a real server');
  await backups.host.startAgent(backups.options());
  const cluster = await backups.shardedGoals();
  backups.host.controlPlane.order(cluster.all);
  await backups.host.controlPlane.until(
    'the cluster to be writable',
    all(cluster.all, (process) => process.writable),
  );
  const admin = routed(cluster).db('admin');
  for (const [index, name] of ['a', 'b'].entries()) {
    await routed(cluster).db(name).collection('orders').insertOne({ n: -1 });
    await admin.command({ movePrimary: name, to: `s${index + 1}` }).catch(() => undefined);
  }
  return cluster;
}

const routed = ({ router }: Sharded) => backups.host.client(`mongodb://127.0.0.1:${router.port}`);
const balancer = async (cluster: Sharded): Promise<unknown> => (await routed(cluster).db('admin').command({ balancerStatus: 1 }))['mode'];

async function partsOf({ config, shards, router }: Sharded, change: Partial<TakeSnapshotTask> = {}): Promise<TakeSnapshotTask[]> {
  const groupId = newObjectId();
  const routers = [`127.0.0.1:${router.port}`];
  return Promise.all(
    [config, ...shards].map((member) =>
      backups.takeTask(member, { methods: ['backupCursor'], part: { groupId, ...(member === config && { routers }) }, ...change }),
    ),
  );
}

const ids = (parts: readonly TakeSnapshotTask[]): string[] => parts.map(({ id }) => id);

/** Has all parts held; skips the test where the server has no cursor. */
async function held(context: TestContext, parts: readonly TakeSnapshotTask[]): Promise<OplogTime> {
  const { controlPlane } = backups.host;
  for (const part of parts) controlPlane.giveTask(part);
  const ends = await controlPlane.holding(ids(parts)).catch((error: unknown) => {
    context.skip(
      controlPlane.taskResults.some(({ failure }) => failure?.code === 'NO_METHOD'),
      'this server has no $backupCursor',
    );
    throw error;
  });
  return ends.toSorted((one, other) => other.seconds - one.seconds || other.increment - one.increment)[0]!;
}

async function expectNothingHeld(cluster: Sharded): Promise<void> {
  for (const member of [cluster.config, ...cluster.shards]) expect(await backups.holdsOf(member)).toEqual(NOT_HELD);
  expect(await balancer(cluster)).toBe('full');
}

describe('a snapshot of a sharded cluster', { timeout: 240_000 }, () => {
  it('reaches one moment of all shards in every part, while a writer writes to all of them', async (context) => {
    const cluster = await started(context);
    const parts = await partsOf(cluster);
    let [written, stopping] = [0, false];
    const client = routed(cluster);
    // To one shard first, and to the other when that is acknowledged.
    const writing = (async () => {
      for (; !stopping; written += 1) for (const name of ['a', 'b']) await client.db(name).collection('orders').insertOne({ n: written });
    })();
    const end = await held(context, parts);
    expect(await balancer(cluster)).toBe('off');
    const before = written;
    await waitFor(() => written > before + 5, { describe: 'writes while the parts are held' });
    backups.host.controlPlane.cut(ids(parts), end);
    const results = await Promise.all(parts.map(({ id }) => backups.host.controlPlane.resultOf(id)));
    stopping = true;
    await writing;
    for (const { failure, taken } of results) {
      expect(failure).toBeUndefined();
      expect(taken).toMatchObject({ method: 'backupCursor', cut: end, optime: end });
    }
    expect(results[0]!.taken!.shards).toEqual([
      { name: 's1', replicaSet: 's1' },
      { name: 's2', replicaSet: 's2' },
    ]);
    expect(await backups.stored('manifests/')).toHaveLength(3);
    await expectNothingHeld(cluster);

    const numbers = new Map<string, number[]>();
    const { programs } = backups.host;
    const scratch = { program: programs.mongod, extraArguments: [] };
    for (const [index, shard] of cluster.shards.entries()) {
      const db = await ownerOf(cluster, shard.replicaSet!.name);
      const dbPath = await restoredFiles(await backups.openStore(), await backups.keys(), parts[index + 1]!.snapshotId);
      folders.push(dbPath);
      const restored = numbersUpTo(end, db, await documentsAsOf(scratch, dbPath, end, 'local', 'oplog.rs'));
      const live = backups.host.client(`mongodb://127.0.0.1:${shard.port}/?directConnection=true`).db('local').collection('oplog.rs');
      expect(restored).toEqual(numbersUpTo(end, db, await live.find().toArray()));
      // The stand-in does not take back what lies beyond the cut.
      const documents = programs.real ? await documentsAsOf(scratch, dbPath, end, db, 'orders') : [];
      if (programs.real) expect(documents).toHaveLength(restored.length);
      numbers.set(db, restored);
    }
    const [first, second] = [numbers.get('a')!, numbers.get('b')!];
    expect(first).toEqual(Array.from({ length: first.length }, (_, n) => n - 1));
    expect(second).toEqual(first.slice(0, second.length));
    // What was not there yet on the second shard was being written at that moment.
    expect(first.length - second.length).toBeLessThanOrEqual(1);
    expect(first.length - 1).toBeLessThan(written);

    const proof = await backups.proveTask(newObjectId(), { partIds: parts.map(({ snapshotId }) => snapshotId) });
    expect((await backups.result(proof)).proof!.blocksRead).toBeGreaterThan(6);
  });

  it('F54 F47 that is cancelled while it is held, cut too early, or whose balancer cannot be stopped, gives back everything and leaves nothing', async (context) => {
    const cluster = await started(context);
    const parts = await partsOf(cluster);
    await held(context, parts);
    for (const { id } of parts) backups.host.controlPlane.cancelTask(id);
    for (const { id } of parts) {
      await expect(backups.host.controlPlane.resultOf(id)).resolves.toMatchObject({ failure: { code: 'CANCELLED' } });
    }
    await expectNothingHeld(cluster);

    // A cut before the copy began: its agent was restarted after the others had been told.
    const late = await partsOf(cluster);
    await held(context, late);
    backups.host.controlPlane.cut(ids(late), { seconds: 1, increment: 1, term: null });
    for (const { id } of late) {
      await expect(backups.host.controlPlane.resultOf(id)).resolves.toMatchObject({ failure: { code: 'NOT_CUT' } });
    }
    await expectNothingHeld(cluster);
    expect(await backups.stored('manifests/')).toEqual([]);
    expect(await backups.stored('writers/')).toEqual([]);

    // Somebody else has stopped the balancer: it stays so. Without a mongos nothing begins.
    await routed(cluster).db('admin').command({ balancerStop: 1 });
    const [config] = await partsOf(cluster);
    const end = await held(context, [config!]);
    backups.host.controlPlane.cut([config!.id], end);
    await expect(backups.host.controlPlane.resultOf(config!.id)).resolves.toMatchObject({ outcome: 'done' });
    expect(await balancer(cluster)).toBe('off');
    const [alone] = await partsOf(cluster, {});
    await expect(backups.failureOf({ ...alone!, part: { ...alone!.part!, routers: ['127.0.0.1:1'] } })).resolves.toMatchObject({
      code: 'BALANCER_NOT_STOPPED',
    });
    expect(await backups.holdsOf(cluster.config)).toEqual(NOT_HELD);
  });

  it('with access control is held by the agent’s own user, and not for ever: a part that is never cut ends by itself', async (context) => {
    const { controlPlane, programs } = backups.host;
    context.skip(programs.mongos === null, 'set MONGOS_BIN to run this against a real server');
    await backups.host.startAgent(backups.options({ storeTimes: { leaseTimes: QUICK_LEASES, graceMs: 0, holdLimitMs: 1_000 } }));
    const cluster = await backups.shardedGoals({
      clusterId: newObjectId(),
      keyFile: randomBytes(750).toString('base64'),
      login: { kind: 'password', username: AGENT_USERNAME, password: randomBytes(24).toString('base64url'), authSource: 'admin' },
      administrator: null,
      tls: null,
    });
    controlPlane.order(cluster.all);
    await controlPlane.until(
      'the cluster to be writable',
      all(cluster.all, (process) => process.writable),
    );
    const parts = await partsOf(cluster);
    for (const part of parts) controlPlane.giveTask(part);
    const codes = await Promise.all(parts.map(async ({ id }) => (await controlPlane.resultOf(id)).failure?.code));
    context.skip(codes.includes('NO_METHOD'), 'this server has no $backupCursor');
    expect(codes).toEqual(['NOT_CUT', 'NOT_CUT', 'NOT_CUT']);
    const said = backups.host.lines.map((line) => String(line['msg'])).filter((message) => message.includes('balancer'));
    expect(said).toEqual(['the balancer of the cluster is stopped', 'the balancer of the cluster runs again']);
    await controlPlane.until(
      'nothing to be held',
      all(cluster.all, (process) => process.heldForBackup === undefined),
    );
  });
});

/** What was inserted up to a moment, by an oplog. */
function numbersUpTo(end: OplogTime, db: string, oplog: readonly Document[]): number[] {
  const isUpTo = (ts: Timestamp): boolean =>
    ts.getHighBitsUnsigned() < end.seconds || (ts.getHighBitsUnsigned() === end.seconds && ts.getLowBitsUnsigned() <= end.increment);
  const inserted = oplog.filter((entry) => entry['ns'] === `${db}.orders` && entry['op'] === 'i' && isUpTo(entry['ts'] as Timestamp));
  return inserted.map((entry) => (entry['o'] as { n: number }).n);
}

/** The database whose home is a shard. */
async function ownerOf(cluster: Sharded, shard: string): Promise<string> {
  const databases = await routed(cluster).db('config').collection<{ _id: string; primary: string }>('databases').find().toArray();
  return databases.find(({ _id, primary }) => primary === shard && ['a', 'b'].includes(_id))!._id;
}
