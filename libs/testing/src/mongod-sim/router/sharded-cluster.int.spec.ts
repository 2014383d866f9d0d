import type { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '../../postgres/wait-for.js';
import { RECORDED_MONGOS, containsInOrder } from '../recorded.fixture.js';
import { CLEAN, SimFleet, type SimProcess, freePort } from '../sim-fleet.fixture.js';

const FAST = ['--setParameter', 'simFast=true'];

describe('a sharded cluster of stand-ins: one config server, two shards, one mongos', () => {
  let fleet: SimFleet;
  let config: SimProcess;
  let shards: SimProcess[];
  let mongos: SimProcess;
  let client: MongoClient;

  const shardArgs = (name: string): string[] => ['--replSet', name, '--shardsvr', ...FAST];
  const configArgs = ['--replSet', 'cfg', '--configsvr', ...FAST];

  async function initiate(process: SimProcess, setName: string, extra: object = {}): Promise<void> {
    const admin = fleet.direct(process).db('admin');
    await admin.command({ replSetInitiate: { _id: setName, ...extra, members: [{ _id: 0, host: process.host }] } });
    await waitFor(async () => (await admin.command({ hello: 1 }))['isWritablePrimary'] === true, { describe: `primary of ${setName}` });
  }

  beforeAll(() => {
    fleet = new SimFleet();
  });
  afterAll(() => fleet.close());

  it('is started: a mongos without its config servers waits, and stops at once when told to', async () => {
    const port = await freePort();
    const early = await fleet.start({ mongos: true, args: ['--configdb', `cfg/127.0.0.1:${port}`, ...FAST] });
    [config, ...shards] = (await Promise.all([
      fleet.startReady({ port, args: configArgs }),
      fleet.startReady({ args: shardArgs('s1') }),
      fleet.startReady({ args: shardArgs('s2') }),
    ])) as [SimProcess, ...SimProcess[]];
    await early.logged(22823);
    expect(early.ids()).not.toContain(23016);
    expect(await early.kill('SIGTERM')).toEqual(CLEAN);

    mongos = await fleet.start({ mongos: true, args: ['--configdb', `cfg/127.0.0.1:${port}`, ...FAST] });
    const withoutFlag = fleet
      .direct(config)
      .db('admin')
      .command({ replSetInitiate: { _id: 'cfg', members: [{ _id: 0, host: config.host }] } });
    await expect(withoutFlag).rejects.toMatchObject({ code: 93 });
    await Promise.all([
      initiate(config, 'cfg', { configsvr: true }),
      initiate(shards[0] as SimProcess, 's1'),
      initiate(shards[1] as SimProcess, 's2'),
    ]);
    await mongos.ready();
    client = fleet.client(`mongodb://${mongos.host}`);
  });

  it('takes shards and keeps each database on one of them', async () => {
    const admin = client.db('admin');
    expect(await admin.command({ hello: 1 })).toMatchObject({ isWritablePrimary: true, msg: 'isdbgrid', maxWireVersion: 9 });
    await expect(client.db('shop').collection('orders').insertOne({ n: 0 })).rejects.toMatchObject({ code: 70 });
    await expect(admin.command({ addShard: `cfg/${config.host}` })).rejects.toMatchObject({ code: 193 });
    for (const [index, shard] of shards.entries()) {
      expect(await admin.command({ addShard: `s${index + 1}/${shard.host}` })).toMatchObject({ shardAdded: `s${index + 1}` });
      expect(await admin.command({ addShard: `s${index + 1}/${shard.host}` })).toMatchObject({ shardAdded: `s${index + 1}` });
    }
    expect((await admin.command({ listShards: 1 }))['shards']).toEqual(
      shards.map((shard, index) => ({ _id: `s${index + 1}`, host: `s${index + 1}/${shard.host}`, state: 1 })),
    );
    expect(await admin.command({ enableSharding: 'shop' })).toMatchObject({ ok: 1 });
    expect(await admin.command({ shardCollection: 'shop.orders', key: { _id: 1 } })).toMatchObject({ collectionsharded: 'shop.orders' });
    const orders = client.db('shop').collection<{ _id: number }>('orders');
    await orders.insertMany(
      Array.from({ length: 300 }, (_, n) => ({ _id: n })),
      { writeConcern: { w: 'majority' } },
    );
    expect(await orders.find().batchSize(50).toArray()).toHaveLength(300);
    await client.db('other').collection('things').insertOne({ n: 1 });
    const homes = await client.db('config').collection('databases').find().toArray();
    expect(homes.map(({ _id, primary }) => `${String(_id)} ${primary as string}`).sort()).toEqual(['other s2', 'shop s1']);
    expect((await admin.command({ listDatabases: 1, nameOnly: true }))['databases']).toEqual([
      { name: 'admin' },
      { name: 'config' },
      { name: 'other' },
      { name: 'shop' },
    ]);

    // A session that reads its own writes on shards whose clocks differ.
    await client.withSession(async (session) => {
      await orders.insertOne({ _id: 1000 }, { session });
      expect(await client.db('other').collection('things').findOne({}, { session })).toMatchObject({ n: 1 });
    });
    expect(await admin.command({ balancerStop: 1 })).toMatchObject({ ok: 1 });
    expect(await admin.command({ balancerStatus: 1 })).toMatchObject({ mode: 'off', inBalancerRound: false });
  });

  it('keeps the default concerns on the config servers, where a shard refuses to tell them', async () => {
    const admin = client.db('admin');
    expect(await admin.command({ setDefaultRWConcern: 1, defaultWriteConcern: { w: 'majority' } })).toMatchObject({
      defaultWriteConcern: { w: 'majority', wtimeout: 0 },
    });
    const reply = await admin.command({ getDefaultRWConcern: 1 });
    expect(reply).toMatchObject({ defaultWriteConcern: { w: 'majority', wtimeout: 0 } });
    expect(reply).not.toHaveProperty('defaultReadConcern');
    const onShard = fleet
      .direct(shards[0] as SimProcess)
      .db('admin')
      .command({ getDefaultRWConcern: 1 });
    await expect(onShard).rejects.toMatchObject({ code: 51301, errmsg: "'getDefaultRWConcern' is not supported on shard nodes." });
  });

  it('goes on without its config server, stops slowly then, and heals when it comes back', async () => {
    expect(await config.kill('SIGTERM')).toEqual(CLEAN);
    const orders = client.db('shop').collection<{ _id: number }>('orders');
    await orders.insertOne({ _id: 2000 });
    expect(await orders.countDocuments()).toBe(302);
    await client.close();
    expect(await mongos.kill('SIGTERM')).toEqual(CLEAN);
    expect(containsInOrder(mongos.ids(), RECORDED_MONGOS)).toBe(true);

    const [first, second] = shards as [SimProcess, SimProcess];
    const stopping = second.kill('SIGTERM');
    expect(await first.kill('SIGTERM')).toEqual(CLEAN);
    expect(await stopping).toEqual(CLEAN);

    const again = await fleet.start({ port: first.port, dbPath: first.dbPath, args: shardArgs('s1') });
    await again.logged(22071);
    const direct = fleet.direct(again, { readPreference: 'primaryPreferred' }).db('shop').collection('orders');
    await waitFor(async () => (await direct.countDocuments()) === 302, { describe: 'the shard to answer a find' });
    expect(again.ids()).not.toContain(23016);
    const back = await fleet.startReady({ port: config.port, dbPath: config.dbPath, args: configArgs });
    await again.ready();
    expect(await again.kill('SIGTERM')).toEqual(CLEAN);
    expect(await back.kill('SIGTERM')).toEqual(CLEAN);
  });
});
