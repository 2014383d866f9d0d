import { rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { ArgumentsGoal } from './arguments.js';
import { readLockFile } from './find-process.js';
import { LOG_IDS } from './log-ids.js';
import { at, MongodHarness, PATIENCE, type ServerUnderTest, type TestProcess } from './mongod-harness.contract.js';
import { chooseStepUp, initialConfiguration } from './replica-set.js';

const clean = { code: 0, signal: null };

/**
 * What Atrest relies on in mongod and mongos, as recorded from Percona Server for MongoDB 4.4. Run against the stand-in always and against
 * the real server where there is one, so that the two cannot drift apart. Three members at a time at most: test machines are small.
 */
export function mongodContract(name: string, server: ServerUnderTest, options: { skipped?: boolean } = {}): void {
  describe.skipIf(options.skipped)(`mongod contract: ${name}`, { timeout: 240_000 }, () => {
    const harness = new MongodHarness(server);
    beforeAll(() => harness.open());
    afterEach(() => harness.killAll());
    afterAll(() => harness.close());

    describe('one process', () => {
      it('logs its start in order, writes its pid into the lock file and ends with 0 on SIGTERM', async () => {
        const goal = await harness.goal();
        const mongod = await harness.startReady(goal);
        await harness.expectIds(mongod, [LOG_IDS.starting, LOG_IDS.listening, LOG_IDS.ready]);
        const { pid } = mongod.process.identity;
        const starting = (await harness.records(mongod)).find((record) => record.id === LOG_IDS.starting);
        expect(starting?.attributes).toMatchObject({ pid, port: goal.port, dbPath: goal.dbPath });
        expect(await readLockFile(goal.dbPath)).toEqual({ state: 'pid', pid });
        expect(await harness.runner.find({ dbPath: goal.dbPath })).toMatchObject(mongod.process.identity);
        const hello = await harness.connection(mongod).hello();
        expect(hello).toMatchObject({ ok: true, value: { kind: 'standalone', writable: true } });
        expect(await harness.connection(mongod).version()).toMatchObject({ ok: true, value: expect.stringMatching(/^\d+\.\d+/) });

        expect(await harness.terminate(mongod)).toEqual(clean);
        await harness.expectIds(mongod, [LOG_IDS.signal, 23378, 23381, LOG_IDS.shutDown]);
        const last = (await harness.records(mongod)).at(-1);
        expect(last).toMatchObject({ id: LOG_IDS.shutDown, attributes: { exitCode: 0 } });
        expect(await readLockFile(goal.dbPath)).toEqual({ state: 'empty' });
        expect((await stat(join(goal.dbPath, 'mongod.lock'))).size).toBe(0);
      });

      it('lets no second one onto its dbPath, whatever the port, and is not harmed by the attempt', async () => {
        const goal = await harness.goal();
        const first = await harness.startReady(goal);
        const other = await harness.goal({ dbPath: goal.dbPath });
        const second = await harness.start(other);
        const exit = await second.process.exited;
        expect(exit.code).toBe(100);
        await second.log.read();
        expect(second.log.explain(exit).cause).toBe('dbpath-in-use');
        expect(await harness.connection(first).hello()).toMatchObject({ ok: true });
        expect(await readLockFile(goal.dbPath)).toEqual({ state: 'pid', pid: first.process.identity.pid });
      });

      it('ends with 48 when its port is taken', async () => {
        const first = await harness.startReady(await harness.goal());
        const second = await harness.start(await harness.goal({ port: first.port }));
        const exit = await second.process.exited;
        expect(exit.code).toBe(48);
        await second.log.read();
        expect(second.log.explain(exit).cause).toBe('port-in-use');
      });

      it('ends with 2 on an unknown option, with the reason on standard error', async () => {
        const goal = await harness.goal();
        const refused = await harness.start({ ...goal, extraArguments: [...goal.extraArguments, '--nosuch'] });
        const exit = await refused.process.exited;
        expect(exit.code).toBe(2);
        await refused.log.read();
        expect(refused.log.sawRecord).toBe(false);
        expect(refused.log.explain(exit)).toMatchObject({ cause: 'options', error: expect.stringContaining('nosuch') });
      });

      it('ends with 100 when its dbPath is missing', async () => {
        const goal = await harness.goal();
        await rm(goal.dbPath, { recursive: true });
        const lost = await harness.start(goal);
        const exit = await lost.process.exited;
        expect(exit.code).toBe(100);
        await lost.log.read();
        expect(lost.log.explain(exit).cause).toBe('dbpath-missing');
      });

      it('ends with 1 on a key file that others may read', async () => {
        const goal = await harness.goal();
        const keyFile = join(harness.folder, 'open-key');
        await writeFile(keyFile, 'a2V5a2V5a2V5a2V5', { mode: 0o644 });
        const refused = await harness.start({ ...goal, extraArguments: [...goal.extraArguments, '--keyFile', keyFile] });
        const exit = await refused.process.exited;
        expect(exit.code).toBe(1);
        await refused.log.read();
        expect(refused.log.explain(exit).cause).toBe('security-file');
      });

      it('keeps what was written with a journal through SIGKILL, and says that it recovers', async () => {
        const goal = await harness.goal();
        const first = await harness.startReady(goal);
        const write = harness.client(`mongodb://127.0.0.1:${goal.port}/?directConnection=true`);
        await write
          .db('shop')
          .collection('orders')
          .insertOne({ n: 1 }, { writeConcern: { w: 1, journal: true } });
        expect(await harness.kill(first)).toEqual({ code: null, signal: 'SIGKILL' });
        expect(await readLockFile(goal.dbPath)).toEqual({ state: 'pid', pid: first.process.identity.pid });
        expect(await harness.runner.find({ dbPath: goal.dbPath })).toBeNull();

        const second = await harness.startReady(goal);
        await harness.expectIds(second, [LOG_IDS.starting, LOG_IDS.uncleanShutdown, 22302, LOG_IDS.ready]);
        const read = harness.client(`mongodb://127.0.0.1:${goal.port}/?directConnection=true`);
        expect(await read.db('shop').collection('orders').countDocuments()).toBe(1);
      });

      it('ends with 0 on SIGTERM while it starts, and on a second SIGTERM', async () => {
        const mongod = await harness.start(await harness.goal());
        await vi.waitUntil(async () => (await harness.ids(mongod)).includes(LOG_IDS.starting), PATIENCE);
        await harness.runner.signal(mongod.process.identity, 'SIGTERM');
        await harness.runner.signal(mongod.process.identity, 'SIGTERM');
        expect(await mongod.process.exited).toEqual(clean);
        await mongod.log.read();
        expect(mongod.log.exitCode).toBe(0);
      });

      it('ends with 0 on the shutdown command, which has no answer', async () => {
        const mongod = await harness.startReady(await harness.goal());
        expect(await harness.connection(mongod).shutdown()).toEqual({ ok: true, value: undefined });
        expect(await mongod.process.exited).toEqual(clean);
      });
    });

    describe('replica set of three', () => {
      async function goals(): Promise<(ArgumentsGoal & { dbPath: string })[]> {
        const three = await Promise.all([harness.goal(), harness.goal(), harness.goal()]);
        const members = three.map((goal, id) => ({ id, host: `127.0.0.1:${goal.port}`, priority: 1, votes: 1, arbiterOnly: false }));
        return three.map((goal, id) => ({ ...goal, replicaSet: { name: 'rs0', role: 'plain', members, leads: id === 0 } }));
      }

      const rs0 = (goals: readonly ArgumentsGoal[]) => {
        const { replicaSet } = at(goals, 0);
        if (!replicaSet) throw new Error('the goal is no member of a set');
        return replicaSet;
      };

      const startAll = (all: ArgumentsGoal[]) => Promise.all(all.map((goal) => harness.startReady(goal)));

      /** One member is stepped up as soon as it sees the others; returns the primary. */
      async function hurry(all: TestProcess[]): Promise<TestProcess> {
        const leader = harness.connection(at(all, 0));
        const members = rs0(all.map((each) => each.goal)).members;
        const choice = await vi.waitUntil(async () => {
          const status = await leader.replicaSetStatus();
          if (!status.ok) throw new Error(status.failure.message);
          const next = chooseStepUp(status.value, members);
          return next.kind !== 'wait' && next;
        }, PATIENCE);
        if (choice.kind === 'step-up') {
          const chosen = all.find((each) => choice.host === `127.0.0.1:${each.port}`)!;
          const outcome = await harness.connection(chosen).stepUp();
          // The set may have been quicker; then the election is lost, which is an ordinary answer.
          expect(outcome.ok || outcome.failure.kind === 'election-failed').toBe(true);
        }
        return primaryOf(all);
      }

      async function primaryOf(all: TestProcess[]): Promise<TestProcess> {
        const connections = all.map((each) => harness.connection(each));
        const index = await vi.waitUntil(async () => {
          const answers = await Promise.all(connections.map((each) => each.hello()));
          const found = answers.findIndex((answer) => answer.ok && answer.value.writable);
          return found >= 0 && { found };
        }, PATIENCE);
        return at(all, index.found);
      }

      const ordersOf = (all: TestProcess[]) =>
        harness
          .client(`mongodb://${all.map((each) => `127.0.0.1:${each.port}`).join(',')}/?replicaSet=rs0`)
          .db('shop')
          .collection('orders');

      it('is initiated, written to, stopped all at once, started again and stepped up', async () => {
        const three = await goals();
        const first = await startAll(three);
        const leader = harness.connection(at(first, 0));
        expect(await leader.hello()).toMatchObject({ ok: true, value: { kind: 'uninitialized', writable: false, setName: null } });
        expect(await leader.replicaSetStatus()).toMatchObject({ ok: false, failure: { kind: 'not-yet-initialized', code: 94 } });
        expect(await leader.initiate(initialConfiguration(rs0(three)))).toMatchObject({ ok: true });
        expect(await leader.initiate(initialConfiguration(rs0(three)))).toMatchObject({
          ok: false,
          failure: { kind: 'already-initialized', code: 23 },
        });
        await hurry(first);
        const written = await ordersOf(first).insertOne({ n: 1 }, { writeConcern: { w: 3, wtimeoutMS: PATIENCE.timeout } });
        expect(written.acknowledged).toBe(true);

        const exits = await Promise.all(first.map((each) => harness.terminate(each)));
        expect(exits).toEqual([clean, clean, clean]);

        const second = await startAll(three);
        const primary = await hurry(second);
        expect((await harness.ids(primary)).includes(LOG_IDS.writable)).toBe(true);
        await vi.waitUntil(async () => {
          await primary.log.read();
          return primary.log.memberState === 'PRIMARY';
        }, PATIENCE);
        expect(await ordersOf(second).countDocuments()).toBe(1);
      });

      it('elects another primary after SIGTERM and after SIGKILL, and refuses writes without a majority', async () => {
        const three = await goals();
        const all = await startAll(three);
        await harness.connection(at(all, 0)).initiate(initialConfiguration(rs0(three)));
        const first = await hurry(all);
        const orders = ordersOf(all);
        await orders.insertOne({ n: 1 }, { writeConcern: { w: 3, wtimeoutMS: PATIENCE.timeout } });

        expect(await harness.terminate(first)).toEqual(clean);
        const rest = all.filter((each) => each !== first);
        const second = await primaryOf(rest);
        await orders.insertOne({ n: 2 }, { writeConcern: { w: 'majority', wtimeoutMS: PATIENCE.timeout } });

        const back = await harness.startReady(first.goal);
        const others = [...rest.filter((each) => each !== second), back];
        await vi.waitUntil(async () => {
          const status = await harness.connection(second).replicaSetStatus();
          return status.ok && status.value.members.every((member) => member.healthy && /PRIMARY|SECONDARY/.test(member.state));
        }, PATIENCE);
        await harness.kill(second);
        const third = await primaryOf(others);
        await orders.insertOne({ n: 3 }, { writeConcern: { w: 'majority', wtimeoutMS: PATIENCE.timeout } });

        await harness.kill(others.find((each) => each !== third)!);
        const lonely = harness.client(`mongodb://127.0.0.1:${third.port}/?directConnection=true&retryWrites=false`);
        await vi.waitUntil(async () => {
          const code = await lonely
            .db('shop')
            .collection('orders')
            .insertOne({ n: 4 }, { writeConcern: { w: 1 } })
            .then(
              () => 0,
              (error: { code?: number }) => error.code,
            );
          return code === 10107;
        }, PATIENCE);
        expect(await harness.terminate(third)).toEqual(clean);
      });
    });

    describe.skipIf(server.mongos === null)('sharded cluster', () => {
      it('is started config servers first and stopped mongos first; a mongos without config servers stops on SIGTERM', async () => {
        const single = async (set: string, role: 'shard' | 'config') => {
          const goal = await harness.goal();
          const members = [{ id: 0, host: `127.0.0.1:${goal.port}`, priority: 1, votes: 1, arbiterOnly: false }];
          return { ...goal, kind: role === 'config' ? 'config' : 'mongod', replicaSet: { name: set, role, members, leads: true } } as const;
        };
        const initiated = async (goal: Awaited<ReturnType<typeof single>>) => {
          const process = await harness.startReady(goal);
          const connection = harness.connection(process);
          expect(await connection.initiate(initialConfiguration(goal.replicaSet))).toMatchObject({ ok: true });
          await vi.waitUntil(async () => {
            const hello = await connection.hello();
            return hello.ok && hello.value.writable;
          }, PATIENCE);
          return process;
        };
        const configGoal = await single('cfg', 'config');
        const shardGoal = await single('s1', 'shard');
        const router: ArgumentsGoal = {
          ...(await harness.goal()),
          kind: 'mongos',
          dbPath: null,
          // A mongos knows few of mongod's options.
          extraArguments: server.extraArguments.filter(
            (_, index, all) => all[index] === '--setParameter' || all[index - 1] === '--setParameter',
          ),
          router: { configDB: `cfg/127.0.0.1:${configGoal.port}`, shards: [], leads: true },
        };

        const early = await harness.start(router);
        await vi.waitUntil(async () => (await harness.ids(early)).length > 0, PATIENCE);
        expect(await harness.terminate(early)).toEqual(clean);
        await early.log.read();
        expect(early.log).toMatchObject({ ready: false, exitCode: 0 });

        const config = await initiated(configGoal);
        const shard = await initiated(shardGoal);
        const mongos = await harness.startReady(router);
        const connection = harness.connection(mongos);
        expect(await connection.hello()).toMatchObject({ ok: true, value: { kind: 'mongos', writable: true } });
        expect(await connection.listShards()).toEqual({ ok: true, value: [] });
        const entry = { name: 's1', connection: `s1/127.0.0.1:${shard.port}` };
        expect(await connection.addShard(entry)).toMatchObject({ ok: true });
        expect(await connection.listShards()).toEqual({ ok: true, value: [{ name: 's1', host: entry.connection }] });
        expect(await harness.runner.find({ mongosPort: mongos.port })).toMatchObject(mongos.process.identity);
        const client = harness.client(`mongodb://127.0.0.1:${mongos.port}`);
        const orders = client.db('shop').collection('orders');
        await orders.insertOne({ n: 1 }, { writeConcern: { w: 'majority' } });
        expect(await orders.countDocuments()).toBe(1);

        // A client that is closed later looks for a server to end its sessions on.
        await client.close();
        for (const each of [mongos, shard, config]) expect(await harness.terminate(each)).toEqual(clean);
      });
    });
  });
}
