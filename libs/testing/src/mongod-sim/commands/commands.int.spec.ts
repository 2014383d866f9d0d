import { Long, type Db, type MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { actionOf } from '../access/command-actions.js';
import { SimFleet, type SimProcess } from '../sim-fleet.fixture.js';

describe('commands of mongod-sim, with the real driver', () => {
  let fleet: SimFleet;
  let server: SimProcess;
  let client: MongoClient;
  let admin: Db;
  let shop: Db;

  beforeAll(async () => {
    fleet = new SimFleet();
    server = await fleet.startReady();
    client = fleet.direct(server);
    admin = client.db('admin');
    shop = client.db('shop');
  });
  afterAll(() => fleet.close());

  it('answers about itself as recorded', async () => {
    const hello = await admin.command({ hello: 1 });
    expect(hello).toMatchObject({
      isWritablePrimary: true,
      maxWireVersion: 9,
      maxBsonObjectSize: 16777216,
      maxMessageSizeBytes: 48000000,
      readOnly: false,
    });
    expect(Object.keys(hello)[0]).toBe('topologyVersion');
    const legacy = await admin.command({ isMaster: 1 });
    expect(legacy).toMatchObject({ ismaster: true });
    expect(legacy).not.toHaveProperty('helloOk');
    expect(await admin.command({ buildInfo: 1 })).toMatchObject({
      version: '4.4.6-8',
      psmdbVersion: '4.4.6-8',
      versionArray: [4, 4, 7, -100],
      debug: false,
    });
    expect(await admin.command({ getParameter: 1, featureCompatibilityVersion: 1 })).toEqual({
      featureCompatibilityVersion: { version: '4.4' },
      ok: 1,
    });
    expect(await admin.command({ serverStatus: 1 })).toMatchObject({
      process: 'mongod',
      pid: server.child.pid,
      version: '4.4.6-8',
      storageEngine: { name: 'wiredTiger' },
    });
    const { log } = await admin.command({ getLog: 'global' });
    expect(JSON.parse((log as string[])[0] ?? '')).toMatchObject({ id: 23285 });
  });

  it('knows of every command what rights it needs; only what members ask each other is for them alone', async () => {
    const { commands } = await admin.command({ listCommands: 1 });
    const internal = Object.keys(commands as object).filter((name) => actionOf(name, {}) === 'internal');
    expect(internal).toEqual(['_addShard', 'replSetGetRBID', 'replSetHeartbeat', 'replSetRequestVotes', 'replSetUpdatePosition']);
  });

  it('refuses what mongod refuses, with its codes', async () => {
    await expect(admin.command({ nosuch: 1 })).rejects.toMatchObject({ code: 59, codeName: 'CommandNotFound' });
    await expect(shop.command({ replSetGetStatus: 1 })).rejects.toMatchObject({ code: 13 });
    await expect(admin.command({ replSetGetStatus: 1 })).rejects.toMatchObject({ code: 76, codeName: 'NoReplicationEnabled' });
    await expect(admin.command({ getParameter: 1, nosuch: 1 })).rejects.toMatchObject({ code: 72, codeName: 'InvalidOptions' });
    await expect(shop.collection('x').insertOne({ n: 1 }, { writeConcern: { w: 2 } })).rejects.toMatchObject({ code: 2 });
    await expect(shop.collection('x').findOne({ a: { $nosuch: 1 } })).rejects.toMatchObject({ code: 2 });
    await expect(admin.command({ getDefaultRWConcern: 1 })).rejects.toMatchObject({ code: 51300 });
  });

  it('keeps BSON types, refuses a second document with one _id, and hands out long results in batches', async () => {
    const orders = shop.collection<{ _id: number | string; n?: number; big?: unknown }>('orders');
    const big = Long.fromString('9007199254740993');
    await orders.insertOne({ _id: 'typed', big });
    expect(await client.db('shop', {}).collection('orders', { promoteLongs: false }).findOne({ big })).toMatchObject({ big });
    await orders.insertMany(Array.from({ length: 2500 }, (_, n) => ({ _id: n, n })));
    await expect(orders.insertOne({ _id: 7 })).rejects.toMatchObject({ code: 11000, keyPattern: { _id: 1 } });
    expect(
      await orders
        .find({ n: { $gte: 0 } })
        .sort({ n: -1 })
        .batchSize(100)
        .toArray(),
    ).toHaveLength(2500);
    expect(await orders.countDocuments({ n: { $lt: 100 } })).toBe(100);
    const unordered = await orders
      .insertMany([{ _id: 1 }, { _id: 'new' }], { ordered: false })
      .catch((error: { result: unknown }) => error);
    expect(unordered).toMatchObject({ code: 11000 });
    expect(await orders.findOne({ _id: 'new' })).toEqual({ _id: 'new' });
  });

  it('updates, replaces, upserts and deletes', async () => {
    const stock = shop.collection<{ _id: string; n?: number; tags?: string[] }>('stock');
    await stock.insertMany([
      { _id: 'a', n: 1 },
      { _id: 'b', n: 2 },
    ]);
    expect(await stock.updateOne({ _id: 'a' }, { $inc: { n: 4 }, $push: { tags: 'x' } })).toMatchObject({
      matchedCount: 1,
      modifiedCount: 1,
    });
    expect(await stock.updateMany({}, { $set: { seen: true } })).toMatchObject({ matchedCount: 2, modifiedCount: 2 });
    expect(await stock.updateOne({ _id: 'a' }, { $set: { seen: true } })).toMatchObject({ matchedCount: 1, modifiedCount: 0 });
    expect(await stock.replaceOne({ _id: 'b' }, { n: 9 })).toMatchObject({ modifiedCount: 1 });
    expect(await stock.updateOne({ _id: 'c' }, { $set: { n: 3 } }, { upsert: true })).toMatchObject({ upsertedCount: 1, upsertedId: 'c' });
    expect(await stock.findOneAndUpdate({ _id: 'c' }, { $inc: { n: 1 } }, { returnDocument: 'after' })).toEqual({ _id: 'c', n: 4 });
    expect(await stock.findOneAndDelete({ _id: 'c' })).toEqual({ _id: 'c', n: 4 });
    expect(await stock.deleteMany({ n: { $gt: 5 } })).toMatchObject({ deletedCount: 1 });
    expect(await stock.find().toArray()).toEqual([{ _id: 'a', n: 5, tags: ['x'], seen: true }]);
    await expect(stock.updateOne({ _id: 'a' }, { $set: { _id: 'z' } } as object)).rejects.toMatchObject({ code: 66 });
  });

  it('lists and drops collections, indexes and databases', async () => {
    const db = client.db('passing');
    await db.createCollection('one');
    await expect(db.createCollection('one')).rejects.toMatchObject({ code: 48 });
    await db.collection('one').createIndex({ a: 1 });
    expect((await db.collection('one').listIndexes().toArray()).map((index: { name: string }) => index.name)).toEqual(['_id_', 'a_1']);
    expect((await db.listCollections().toArray()).map(({ name }) => name)).toEqual(['one']);
    expect((await admin.admin().listDatabases({ nameOnly: true })).databases.map(({ name }) => name)).toContain('passing');
    expect(await db.collection('one').drop()).toBe(true);
    await db.dropDatabase();
    expect(await db.listCollections().toArray()).toEqual([]);
  });
});
