import { Int32, type Timestamp, UUID } from 'bson';
import type { Collection, Db, MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '../../postgres/wait-for.js';
import { RECORDED_MEMBER_RECOVERY, RECORDED_MEMBER_STOP, containsInOrder } from '../recorded.fixture.js';
import { WireClient } from '../wire/client.js';
import { CLEAN, SimFleet, type SimProcess } from '../sim-fleet.fixture.js';

const FAST = ['--setParameter', 'simFast=true'];
/** No member seeks election by itself: what happens depends on the test alone, however slow the machine is. */
const CALM = { electionTimeoutMillis: 3_600_000 };
/** Only ends what hangs. */
const LIMIT = { timeout: 240_000 };

interface Status {
  myState: number;
  optimes: { appliedOpTime: { ts: Timestamp } };
  members: { name: string; health: number; state: number; stateStr: string; configVersion: number }[];
}

/** A replica set of three of the stand-in. */
class TestSet {
  members: SimProcess[] = [];

  constructor(
    readonly fleet: SimFleet,
    readonly args: string[],
  ) {}

  static async initiated(fleet: SimFleet, args: string[], settings: object = {}): Promise<TestSet> {
    const set = new TestSet(fleet, args);
    set.members = await Promise.all([1, 2, 3].map(() => fleet.startReady({ args: ['--replSet', 'rs0', ...args] })));
    const members = set.members.map((member, index) => ({ _id: index, host: member.host }));
    await set.admin(set.at(0)).command({ replSetInitiate: { _id: 'rs0', members, settings } });
    return set;
  }

  at(index: number): SimProcess {
    return this.members[index] as SimProcess;
  }

  admin(member: SimProcess): Db {
    return this.fleet.direct(member).db('admin');
  }

  client(): MongoClient {
    return this.fleet.client(`mongodb://${this.members.map((member) => member.host).join(',')}/?replicaSet=rs0`);
  }

  async status(member: SimProcess): Promise<Status> {
    return (await this.admin(member).command({ replSetGetStatus: 1 })) as unknown as Status;
  }

  /** Waits until a member sees all three healthy, each as primary or secondary. */
  async settled(seenBy: SimProcess): Promise<void> {
    const admin = this.admin(seenBy);
    await waitFor(
      async () =>
        ((await admin.command({ replSetGetStatus: 1 })) as unknown as Status).members.every(
          ({ health, state }) => health === 1 && (state === 1 || state === 2),
        ),
      { describe: 'all members' },
    );
  }

  /** Has one member take over as soon as it sees all that run as secondaries. */
  async stepUp(member: SimProcess): Promise<void> {
    const admin = this.admin(member);
    const running = this.members.filter(({ exit }) => exit === undefined).length;
    await waitFor(
      async () => {
        const { members } = (await admin.command({ replSetGetStatus: 1 })) as unknown as Status;
        if (members.filter(({ health, state }) => health === 1 && state === 2).length !== running) return false;
        await admin.command({ replSetStepUp: 1 });
        return true;
      },
      { describe: 'a member to be stepped up' },
    );
  }

  async primary(): Promise<SimProcess> {
    const admins = this.members.filter(({ exit }) => exit === undefined).map((member) => ({ member, admin: this.admin(member) }));
    return waitFor(
      async () => {
        for (const { member, admin } of admins) {
          const hello = await admin.command({ hello: 1 });
          if (hello['isWritablePrimary'] === true) return member;
        }
        return undefined;
      },
      { describe: 'a primary' },
    );
  }

  async restart(member: SimProcess): Promise<SimProcess> {
    const again = await this.fleet.startReady({ args: ['--replSet', 'rs0', ...this.args], port: member.port, dbPath: member.dbPath });
    this.members = this.members.map((known) => (known === member ? again : known));
    return again;
  }
}

async function numbers(orders: Collection): Promise<number[]> {
  return (await orders.find().toArray()).map(({ n }) => n as number).sort((a, b) => a - b);
}

/** Writes a number; a connection that is refused during a failover is tried again, as an application does it (the driver does not). */
async function write(orders: Collection, n: number, w: number | 'majority'): Promise<void> {
  const options = { upsert: true, writeConcern: { w, wtimeoutMS: 20_000 } };
  await waitFor(() => orders.updateOne({ n }, { $set: { n } }, options), { describe: `the write of ${n}` });
}

describe.concurrent('mongod-sim, a replica set of three', () => {
  let fleet: SimFleet;
  beforeAll(() => {
    fleet = new SimFleet();
  });
  afterAll(() => fleet.close());

  it('is hurried by replSetStepUp at recorded speed, answers as recorded, and is stopped all at once', LIMIT, async () => {
    const server = await fleet.startReady({ args: ['--replSet', 'rs0'] });
    const before = fleet.direct(server).db('admin');
    expect(await before.command({ hello: 1 })).toMatchObject({
      isWritablePrimary: false,
      info: 'Does not have a valid replica set config',
      isreplicaset: true,
    });
    await expect(before.command({ replSetGetStatus: 1 })).rejects.toMatchObject({ code: 94, codeName: 'NotYetInitialized' });
    await expect(before.command({ replSetInitiate: { _id: 'other', members: [{ _id: 0, host: server.host }] } })).rejects.toMatchObject({
      code: 93,
    });

    const set = await TestSet.initiated(fleet, []);
    const [first, second] = [set.at(0), set.at(1)];
    await waitFor(async () => (await set.status(first)).members.every(({ health, state }) => health === 1 && state === 2), {
      describe: 'three secondaries',
    });
    const admin = set.admin(first);
    await admin.command({ replSetStepUp: 1 });
    const orders = set.client().db('shop').collection('orders');
    const result = await orders.insertOne({ n: 1 }, { writeConcern: { w: 3, wtimeoutMS: 20_000 } });
    expect(result.acknowledged).toBe(true);
    expect(await set.primary()).toBe(first);
    const hello = await admin.command({ hello: 1 });
    expect(hello).toMatchObject({
      hosts: set.members.map(({ host }) => host),
      setName: 'rs0',
      setVersion: 1,
      isWritablePrimary: true,
      primary: first.host,
      me: first.host,
    });
    expect(String(hello['electionId'])).toBe('7fffffff0000000000000001');
    const { config } = await admin.command({ replSetGetConfig: 1 });
    expect(config).toMatchObject({
      version: 1,
      term: 1,
      protocolVersion: 1,
      settings: { electionTimeoutMillis: 10_000, heartbeatTimeoutSecs: 10 },
    });
    expect(await set.status(first)).toMatchObject({
      set: 'rs0',
      myState: 1,
      term: 1,
      majorityVoteCount: 2,
      writeMajorityCount: 2,
      votingMembersCount: 3,
    });

    const away = fleet.direct(second, { readPreference: 'primary' });
    await expect(away.db('shop').collection('orders').insertOne({ n: 2 })).rejects.toMatchObject({
      code: 10107,
      codeName: 'NotWritablePrimary',
    });
    expect(await away.db('shop').collection('orders').countDocuments({}, { readPreference: 'secondary' })).toBe(1);

    const exits = await Promise.all(set.members.map((member) => member.kill('SIGTERM')));
    expect(exits).toEqual([CLEAN, CLEAN, CLEAN]);
    expect(containsInOrder(second.ids(), RECORDED_MEMBER_STOP)).toBe(true);
    expect(first.ids()).toEqual(expect.arrayContaining([21343, 21340, 21347]));

    const again = await set.restart(first);
    expect(again.ids()).not.toContain(22271);
    await again.kill('SIGKILL');
    const killed = await set.restart(again);
    await killed.logged(21301);
    await waitFor(() => killed.ids().filter((id) => id === 21358).length === 3, { describe: 'SECONDARY' });
    expect(containsInOrder(killed.ids(), RECORDED_MEMBER_RECOVERY)).toBe(true);
  });

  it('keeps what a majority acknowledged when the primary is killed, and takes back what only it had', LIMIT, async () => {
    const set = await TestSet.initiated(fleet, FAST, CALM);
    const first = set.at(0);
    await set.stepUp(first);
    const orders = set.client().db('shop').collection('orders');
    await orders.insertOne({ n: 1 }, { writeConcern: { w: 3, wtimeoutMS: 20_000 } });
    const others = set.members.filter((member) => member !== first);
    for (const other of others) await other.control.set({ kind: 'fall-behind' });
    const alone = fleet.direct(first, { retryWrites: false }).db('shop').collection('orders');
    await expect(alone.insertOne({ n: 99 }, { writeConcern: { w: 'majority', wtimeoutMS: 50 } })).rejects.toMatchObject({
      code: 64,
      result: { writeConcernError: { codeName: 'WriteConcernFailed', errInfo: { wtimeout: true } } },
    });
    await expect(alone.insertOne({ n: 98 }, { writeConcern: { w: 4 } })).rejects.toMatchObject({ code: 100 });
    const shop = fleet.direct(first, { retryWrites: false }).db('shop');
    await shop.collection('orders').updateOne({ n: 1 }, { $set: { changed: true } });
    await shop.collection('ghosts').insertOne({ n: 97 });
    await first.kill('SIGKILL');
    for (const other of others) await other.control.clear();
    const second = others[0] as SimProcess;
    await set.stepUp(second);
    await write(orders, 2, 'majority');
    expect(await numbers(orders)).toEqual([1, 2]);

    const back = await set.restart(first);
    await set.settled(second);
    await write(orders, 3, 3);
    // Only what it alone had: it goes back to the last common entry, and holds what a majority acknowledged all the time.
    expect(back.ids()).toContain(21593);
    expect(back.ids()).not.toContain(21164);
    const rolledBack = fleet.direct(back).db('shop');
    expect(await numbers(rolledBack.collection('orders'))).toEqual([1, 2, 3]);
    expect(await rolledBack.collection('orders').findOne({ n: 1 })).not.toHaveProperty('changed');
    expect((await rolledBack.listCollections().toArray()).map(({ name }) => name)).toEqual(['orders']);

    // A driver sends a write again when its answer was lost; the member that takes over knows that it was done.
    await orders.insertOne({ counter: 0 }, { writeConcern: { w: 3 } });
    const increment = {
      update: 'orders',
      updates: [{ q: { counter: { $exists: true } }, u: { $inc: { counter: 1 } } }],
      lsid: { id: new UUID() },
      txnNumber: 5,
    };
    const increments = async (member: SimProcess): Promise<unknown> => {
      const peer = new WireClient(member.host);
      try {
        return await peer.command('shop', { ...increment, writeConcern: { w: 3, wtimeout: 20_000 } }, 30_000);
      } finally {
        peer.close();
      }
    };
    expect(await increments(second)).toMatchObject({ ok: new Int32(1), nModified: new Int32(1) });
    await set.admin(second).command({ replSetStepDown: 60, secondaryCatchUpPeriodSecs: 10 });
    const third = await set.primary();
    expect(third).not.toBe(second);
    await expect(set.admin(second).command({ replSetStepDown: 60 })).rejects.toMatchObject({ code: 10107 });
    expect(await increments(third)).toMatchObject({ nModified: new Int32(1) });
    expect(await orders.findOne({ counter: { $exists: true } })).toMatchObject({ counter: 1 });
  });

  it.for([
    {
      what: 'fall behind: a secondary',
      hold: ({ control }: SimProcess) => control.set({ kind: 'fall-behind' }),
      letGo: ({ control }: SimProcess) => control.clear('fall-behind'),
    },
    {
      what: 'a secondary under the fsync lock',
      hold: (_: SimProcess, admin: Db) => admin.command({ fsync: 1, lock: true }),
      letGo: (_: SimProcess, admin: Db) => admin.command({ fsyncUnlock: 1 }),
    },
  ])('$what takes nothing any more, is not elected, and catches up when it may', LIMIT, async ({ hold, letGo }) => {
    const set = await TestSet.initiated(fleet, FAST, CALM);
    const [first, late] = [set.at(0), set.at(2)];
    await set.stepUp(first);
    const orders = set.client().db('shop').collection('orders');
    await orders.insertOne({ n: 1 }, { writeConcern: { w: 3, wtimeoutMS: 20_000 } });
    await hold(late, set.admin(late));
    await write(orders, 2, 'majority');
    await expect(orders.insertOne({ n: 3 }, { writeConcern: { w: 3, wtimeoutMS: 50 } })).rejects.toMatchObject({ code: 64 });
    const own = fleet.direct(late, { readPreference: 'secondary' }).db('shop').collection('orders');
    expect(await numbers(own)).toEqual([1]);
    const [behind, ahead] = await Promise.all([late, first].map(async (member) => (await set.status(member)).optimes.appliedOpTime.ts));
    expect(behind!.lessThan(ahead!)).toBe(true);
    await expect(set.admin(late).command({ replSetStepUp: 1 })).rejects.toMatchObject({ code: 125 });
    expect(await set.primary()).toBe(first);

    expect((await set.status(late)).myState).toBe(2);
    await letGo(late, set.admin(late));
    await orders.insertOne({ n: 4 }, { writeConcern: { w: 3, wtimeoutMS: 20_000 } });
    expect(await numbers(own)).toEqual([1, 2, 3, 4]);
  });

  it('gives the primary role up without a majority, and a hanging primary is replaced', LIMIT, async () => {
    const set = await TestSet.initiated(fleet, FAST, CALM);
    const first = set.at(0);
    await set.stepUp(first);
    await set.settled(first);
    const admin = set.admin(first);
    const { config } = (await admin.command({ replSetGetConfig: 1 })) as unknown as { config: { version: number; settings: object } };
    // A fifth of it with simFast: longer than a loaded machine keeps a member waiting.
    await admin.command({ replSetReconfig: { ...config, version: 2, settings: { ...config.settings, electionTimeoutMillis: 30_000 } } });
    await waitFor(
      async () => {
        const { members } = (await admin.command({ replSetGetStatus: 1 })) as unknown as Status;
        return members.every((member) => member.configVersion === 2);
      },
      { describe: 'the new configuration' },
    );
    await first.control.set({ kind: 'hang' });
    const rest = set.members.filter((member) => member !== first);
    const second = await waitFor(
      async () => {
        for (const member of rest) if ((await set.admin(member).command({ hello: 1 }))['isWritablePrimary'] === true) return member;
        return undefined;
      },
      { describe: 'a primary beside the hanging one' },
    );
    await first.control.clear();
    await set.settled(second);
    const replaced = set.admin(first);
    await waitFor(async () => (await replaced.command({ hello: 1 }))['secondary'] === true, { describe: 'the replaced primary to follow' });

    await Promise.all(set.members.filter((member) => member !== second).map((member) => member.kill('SIGKILL')));
    await second.logged(21809);
    await expect(fleet.direct(second, { retryWrites: false }).db('shop').collection('orders').insertOne({ n: 1 })).rejects.toMatchObject({
      code: 10107,
    });
    expect(await second.kill('SIGTERM')).toEqual(CLEAN);
  });

  it('makes a wrong stop order visible: the last one is a primary that waits for a secondary', LIMIT, async () => {
    const set = await TestSet.initiated(fleet, FAST, CALM);
    const primary = set.at(0);
    await set.stepUp(primary);
    await set
      .client()
      .db('shop')
      .collection('orders')
      .insertOne({ n: 1 }, { writeConcern: { w: 3, wtimeoutMS: 20_000 } });
    for (const member of set.members) if (member !== primary) expect(await member.kill('SIGTERM')).toEqual(CLEAN);
    await waitFor(() => primary.ids().filter((id) => id === 21216).length >= 2, { describe: 'the primary to see that they are gone' });
    const admin = set.admin(primary);
    await expect(admin.command({ shutdown: 1, timeoutSecs: 0 })).rejects.toMatchObject({ code: 262, codeName: 'ExceededTimeLimit' });
    expect(await primary.kill('SIGTERM')).toEqual(CLEAN);
    expect(primary.ids()).not.toContain(21347);

    const [again] = await Promise.all(set.members.map((member) => set.restart(member)));
    await set.stepUp(again as SimProcess);
    expect(await numbers(set.client().db('shop').collection('orders'))).toEqual([1]);
  });
});
