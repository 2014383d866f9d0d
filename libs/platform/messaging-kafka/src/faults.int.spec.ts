import {
  kafkaAvailable,
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

/** 200 in full; by default a tenth, which takes a minute or two. */
const ROUNDS = Number(process.env['ATREST_FAULT_ROUNDS'] ?? 20);
/** 100,000 in full; by default a twentieth, which takes seconds. */
const LAG = Number(process.env['ATREST_FAULT_LAG'] ?? 5_000);

const IDS = Array.from({ length: 10 }, (_, index) => `aggregate-${index}`);

describe.skipIf(!(await kafkaAvailable()))(
  'faults on Apache Kafka and PostgreSQL',
  { timeout: 300_000 + ROUNDS * 15_000 + LAG * 10 },
  () => {
    let kafka: TestKafka;
    let database: TestDatabase;
    let world: FaultWorld;

    beforeAll(async () => {
      kafka = await testKafka();
    });
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

    test('broker away for 5 minutes: events stay in the outbox, none is lost, order is kept', async ({ skip }) => {
      const broker = kafka.broker ?? skip('the broker of KAFKA_BROKERS is not ours to stop');
      world = await FaultWorld.open({ url: database.url, brokers: kafka.brokers });
      await world.consumer();
      await changeAll(3);
      expect(await world.comparison()).toEqual(NOTHING_WRONG);
      await broker.halt('SIGTERM');
      await changeAll(10);
      // So often does a relay fail within five minutes: kafkajs, which gives up at once here, tries for 25 s, and the relay waits up to 30 s.
      const failures = async (): Promise<number> =>
        Number(/atrest_outbox_send_failures_total\{[^}]*\} (\d+)/.exec(await world.sourceMetrics.render())?.[1] ?? 0);
      await waitFor(async () => (await failures()) >= 6, { describe: 'failures to send', limitMs: LIMIT_MS });
      expect(await world.effectCount()).toBe(30);
      await broker.resume();
      await changeAll(2);
      expect(await world.comparison()).toEqual(NOTHING_WRONG);
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
      const wrong = await world.consumerDatabase.query(
        `SELECT subject FROM (SELECT subject, revision, row_number() OVER (PARTITION BY subject ORDER BY number) AS place FROM effect) AS e WHERE revision <> place`,
      );
      expect(wrong).toEqual([]);
      expect(await world.effectCount()).toBe(LAG);
      expect(await world.consumerDatabase.query('SELECT DISTINCT revision FROM projection')).toEqual([{ revision: LAG / subjects }]);
    });

    test('duplicate and out-of-order delivery', async () => {
      world = await FaultWorld.open({ url: database.url, brokers: kafka.brokers });
      await world.consumer();
      const envelopes = IDS.flatMap((id) => Array.from({ length: 20 }, (_, index) => world.envelope(id, index + 1)));
      const shuffled = [...envelopes, ...envelopes, ...envelopes].sort(() => Math.random() - 0.5);
      for (let index = 0; index < shuffled.length; index += 100) await world.sendAsIs(shuffled.slice(index, index + 100));
      await waitFor(async () => (await world.effectCount()) >= envelopes.length, { describe: 'all effects', limitMs: LIMIT_MS });
      const projection = () => world.consumerDatabase.query('SELECT id, revision FROM projection ORDER BY id');
      expect(await projection()).toEqual(IDS.map((id) => ({ id, revision: 20 })));
      await world.sendAsIs([...envelopes, ...IDS.map((id) => world.envelope(id, 21))]);
      await waitFor(async () => (await projection()).every(({ revision }) => revision === 21), { describe: 'the last', limitMs: LIMIT_MS });
      const twice = await world.consumerDatabase.query('SELECT event_id FROM effect GROUP BY event_id HAVING count(*) > 1');
      expect(twice).toEqual([]);
      expect(await world.effectCount()).toBe(envelopes.length + IDS.length);
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
