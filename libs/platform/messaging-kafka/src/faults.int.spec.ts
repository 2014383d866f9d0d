import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@atrest/platform-logging';
import { EmbeddedPostgres } from '@atrest/platform-persistence';
import {
  faultScale,
  kafkaAvailable,
  KAFKA_START_LIMIT_MS,
  processEnd,
  sourceProcess,
  testDatabase,
  testKafka,
  waitFor,
  type TestDatabase,
  type TestKafka,
} from '@atrest/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { FaultWorld, LIMIT_MS, NOTHING_WRONG } from './fault-world.contract.js';

/** The full scale: `ATREST_FAULTS=full` (docs/reference/faults-on-kafka.md). */
const ROUNDS = faultScale('ROUNDS', 4);
const LAG = faultScale('LAG', 5_000);
const AWAY_MS = faultScale('AWAY_SECONDS', 1) * 1_000;

const IDS = Array.from({ length: 10 }, (_, index) => `aggregate-${index}`);

describe.skipIf(!(await kafkaAvailable()))(
  'faults on Apache Kafka and PostgreSQL',
  { timeout: 300_000 + ROUNDS * 15_000 + LAG * 10 + AWAY_MS },
  () => {
    let kafka: TestKafka;
    let database: TestDatabase;
    let world: FaultWorld;

    beforeAll(async () => {
      kafka = await testKafka();
    }, KAFKA_START_LIMIT_MS);
    afterAll(() => kafka.stop());
    beforeEach(async () => {
      database = await testDatabase('faults');
    });
    afterEach(async () => {
      await world.close();
      await database.drop();
    });

    const changeAll = async (rounds: number): Promise<void> => {
      for (let round = 0; round < rounds; round += 1) await Promise.all(IDS.map((id) => world.change(id)));
    };

    test('broker restart in the middle of traffic', async ({ skip }) => {
      const broker = kafka.broker ?? skip('the broker of KAFKA_BROKERS is not ours to stop');
      world = await FaultWorld.open({ url: database.url, brokers: kafka.brokers });
      await world.consumer();
      await changeAll(5);
      await waitFor(async () => (await world.effectCount()) > 10, { describe: 'traffic', limitMs: LIMIT_MS });
      const traffic = changeAll(15);
      await broker.halt('SIGKILL');
      await broker.resume();
      await traffic;
      await changeAll(5);
      expect(await world.comparison()).toEqual(NOTHING_WRONG);
    });

    test(`broker away for ${AWAY_MS / 1_000} s and at least six attempts: events stay in the outbox, none is lost, order is kept`, async ({
      skip,
    }) => {
      const broker = kafka.broker ?? skip('the broker of KAFKA_BROKERS is not ours to stop');
      world = await FaultWorld.open({ url: database.url, brokers: kafka.brokers });
      await world.consumer();
      await changeAll(3);
      expect(await world.comparison()).toEqual(NOTHING_WRONG);
      await broker.halt('SIGTERM');
      await changeAll(10);
      // Six is what five minutes come to: kafkajs, which gives up at once here, tries for 25 s, and the relay waits up to 30 s.
      const failures = async (): Promise<number> =>
        Number(/atrest_outbox_send_failures_total\{[^}]*\} (\d+)/.exec(await world.sourceMetrics.render())?.[1] ?? 0);
      const until = performance.now() + AWAY_MS;
      await waitFor(async () => performance.now() >= until && (await failures()) >= 6, {
        describe: 'the time to pass and sends to fail',
        limitMs: LIMIT_MS + AWAY_MS,
      });
      expect(await world.effectCount()).toBe(30);
      await broker.resume();
      await changeAll(2);
      expect(await world.comparison()).toEqual(NOTHING_WRONG);
    });

    test('PostgreSQL killed in the middle of traffic, three times', async () => {
      // One of its own, durable as in production: the suite's shared server gives up commits at a crash.
      const folder = await mkdtemp(join(tmpdir(), 'atrest-faults-'));
      const postgres = await EmbeddedPostgres.start({ dataFolder: folder, logger: createLogger({ service: 'test', level: 'silent' }) });
      try {
        world = await FaultWorld.open({ url: postgres.url, brokers: kafka.brokers });
        await world.consumer();
        for (let restart = 1; restart <= 3; restart += 1) {
          const traffic = changeAll(10);
          const several = IDS.length * 10 * (restart - 1) + 10;
          await waitFor(async () => (await world.effectCount()) > several, { describe: `effect ${several}`, limitMs: LIMIT_MS });
          // As a crash does: nothing is written any more. Who owns the server starts it again, while the test goes on writing.
          const killed = postgres.pid;
          process.kill(killed, 'SIGQUIT');
          await traffic;
          await waitFor(() => postgres.pid !== killed, { describe: 'PostgreSQL to be there again', limitMs: LIMIT_MS });
        }
        expect(await world.comparison()).toEqual(NOTHING_WRONG);
      } finally {
        await world.close();
        await postgres.stop();
        await rm(folder, { recursive: true, force: true });
      }
    });

    test(`a consumer that is ${LAG} events behind catches up in bounded memory`, async () => {
      world = await FaultWorld.open({ url: database.url, brokers: kafka.brokers });
      const subjects = 50;
      for (let revision = 1; revision <= LAG / subjects;) {
        const envelopes = [];
        for (let step = 0; step < 20 && revision <= LAG / subjects; step += 1, revision += 1) {
          for (let subject = 0; subject < subjects; subject += 1) envelopes.push(world.envelope(`subject-${subject}`, revision));
        }
        await world.sendAsIs(envelopes);
      }
      await world.record(Array.from({ length: subjects }, (_, subject) => ({ id: `subject-${subject}`, revision: LAG / subjects })));
      const heap = process.memoryUsage().heapUsed;
      let most = 0;
      await world.consumer();
      await waitFor(
        async () => {
          most = Math.max(most, process.memoryUsage().heapUsed - heap);
          return (await world.effectCount()) >= LAG;
        },
        { describe: `${LAG} effects`, limitMs: LIMIT_MS + LAG * 10 },
      );
      // A fetch of kafkajs, a statement of the inbox and the claims of the worker; all of them are limited, whatever waits at the broker.
      expect(most).toBeLessThan(300 * 2 ** 20);
      expect(await world.comparison()).toEqual(NOTHING_WRONG);
      expect(await world.effectCount()).toBe(LAG);
    });

    test('duplicate and out-of-order delivery', async () => {
      world = await FaultWorld.open({ url: database.url, brokers: kafka.brokers });
      await world.consumer();
      const envelopes = IDS.flatMap((id) => Array.from({ length: 20 }, (_, index) => world.envelope(id, index + 1)));
      const shuffled = [...envelopes, ...envelopes, ...envelopes].sort(() => Math.random() - 0.5);
      for (let index = 0; index < shuffled.length; index += 100) await world.sendAsIs(shuffled.slice(index, index + 100));
      await waitFor(async () => (await world.effectCount()) >= envelopes.length, { describe: 'all effects', limitMs: LIMIT_MS });
      await world.record(IDS.map((id) => ({ id, revision: 20 })));
      await world.projectionsEqualAggregates();
      // Once more all of them, and something new behind.
      const more = IDS.map((id) => `later ${id}`);
      await world.sendAsIs([...envelopes, ...more.map((id) => world.envelope(id, 1))]);
      await world.record(more.map((id) => ({ id, revision: 1 })));
      await world.projectionsEqualAggregates();
      const twice = await world.consumerDatabase.query('SELECT event_id FROM effect GROUP BY event_id HAVING count(*) > 1');
      expect(twice).toEqual([]);
      expect(await world.effectCount()).toBe(envelopes.length + more.length);
    });

    test('two replicas of each service, and a rebalance in the middle of a handler', async () => {
      world = await FaultWorld.open({ url: database.url, brokers: kafka.brokers });
      await world.anotherSource();
      const inside = Promise.withResolvers<void>();
      const goOn = Promise.withResolvers<void>();
      const first = await world.consumer(async ({ id, revision }) => {
        if (id !== IDS[0] || revision !== 2) return;
        inside.resolve();
        await goOn.promise;
      });
      await changeAll(5);
      await inside.promise;
      // It takes half of the partitions over while the handler is at work.
      await world.consumer();
      await changeAll(10);
      const others = 15 * (IDS.length - 1);
      await waitFor(async () => (await world.effectCount()) >= others, { describe: 'the effects of all others', limitMs: LIMIT_MS });
      goOn.resolve();
      await changeAll(5);
      // And back: the one that is left takes over what the other one had.
      await first.stop();
      await changeAll(5);
      expect(await world.comparison()).toEqual(NOTHING_WRONG);
    });

    test(`kill -9 of source and consumer at random points, ${ROUNDS} rounds`, async () => {
      world = await FaultWorld.open({ url: database.url, brokers: kafka.brokers, relays: false });
      const module = new URL('./fault-world.contract.ts', import.meta.url);
      const start = () => sourceProcess({ module, run: 'runServices', parameters: [JSON.stringify(world.place)] });
      for (let round = 0; round < ROUNDS; round += 1) {
        const services = start();
        const end = processEnd(services);
        const traffic = changeAll(3);
        const atEffect = (await world.effectCount()) + Math.floor(Math.random() * 25);
        await waitFor(async () => (await world.effectCount()) >= atEffect, { describe: `effect ${atEffect}`, limitMs: LIMIT_MS });
        services.kill('SIGKILL');
        await end;
        await traffic;
      }
      const last = start();
      try {
        expect(await world.comparison()).toEqual(NOTHING_WRONG);
      } finally {
        last.kill('SIGKILL');
        await processEnd(last);
      }
    });
  },
);
