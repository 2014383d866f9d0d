import type { EventEnvelope, Topic } from '@atrest/contracts';
import { testDatabase, waitFor, type TestDatabase } from '@atrest/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { defineHandler, type EventTransport } from './index.js';
import {
  effectHandler,
  openSampleService,
  revisionsOf,
  sampleEvent,
  whenEffects,
  writeEffect,
  type SampleService,
} from './sample-service.contract.js';

export * from './sample-service.contract.js';

/** What the suite needs to know about a transport. */
export interface TransportHarness {
  /** A topic that nobody else uses. */
  topic(): Promise<Topic>;
  /** The transport of one process. Services that share a process may get the same one. */
  connect(): Promise<EventTransport>;
  dispose(): Promise<void>;
}

type OpenOptions = Omit<Parameters<typeof openSampleService>[0], 'url' | 'transport'>;

/** What every event transport, together with outbox and inbox, promises. */
export function eventTransportContract(name: string, createHarness: () => Promise<TransportHarness>): void {
  describe(`event transport: ${name}`, () => {
    let harness: TransportHarness;
    let database: TestDatabase;
    let topic: Topic;
    let services: SampleService[];

    beforeEach(async () => {
      services = [];
      [harness, database] = await Promise.all([createHarness(), testDatabase(name)]);
      topic = await harness.topic();
    });

    afterEach(async () => {
      for (const service of services) await service.stop();
      await harness.dispose();
      await database.drop();
    });

    async function open(o: OpenOptions): Promise<SampleService> {
      const service = await openSampleService({ ...o, url: database.url, transport: await harness.connect() });
      services.push(service);
      return service;
    }

    test('keeps the order of each subject and gives every event one effect', async () => {
      const changed = sampleEvent(topic);
      const consumer = await open({ service: 'consumer', handlers: [effectHandler(changed)] });
      const publisher = await open({ service: 'publisher' });
      const subjects = Array.from({ length: 6 }, (_, index) => `subject-${index}`);
      for (let revision = 1; revision <= 30; revision += 1) {
        await publisher.publish(changed, ...subjects.map((id) => ({ id, revision })));
      }
      await whenEffects(consumer, 180);
      const effects = await consumer.effects();
      for (const subject of subjects) expect(revisionsOf(effects, subject)).toEqual(Array.from({ length: 30 }, (_, index) => index + 1));
    });

    test('the same envelope again has no second effect', async () => {
      const changed = sampleEvent(topic);
      const consumer = await open({ service: 'consumer', handlers: [effectHandler(changed)] });
      const transport = await harness.connect();
      const envelope = (id: string, subject: string, revision: number): EventEnvelope => ({
        specversion: '1.0',
        id,
        source: '/atrest/test',
        type: changed.type,
        subject,
        time: new Date().toISOString(),
        datacontenttype: 'application/json',
        correlationid: 'c',
        data: { id: subject, revision },
      });
      const first = { topic: topic.name, envelope: envelope('01890000-0000-7000-8000-000000000001', 'a', 1) };
      const second = { topic: topic.name, envelope: envelope('01890000-0000-7000-8000-000000000002', 'a', 2) };
      await transport.send([first, first]);
      await whenEffects(consumer, 1);
      await transport.send([first, second]);
      await whenEffects(consumer, 2);
      await consumer.messaging.whenCaughtUp();
      expect(revisionsOf(await consumer.effects(), 'a')).toEqual([1, 2]);
    });

    test('a handler that always throws parks its event while other subjects, and then its own, go on', async () => {
      const changed = sampleEvent(topic);
      const consumer = await open({
        service: 'consumer',
        handlers: [
          effectHandler(changed, (sample) => {
            if (sample.id === 'bad' && sample.revision === 2) throw new Error('cannot be handled, password=hunter2');
          }),
        ],
      });
      const publisher = await open({ service: 'publisher' });
      for (const revision of [1, 2, 3]) await publisher.publish(changed, { id: 'bad', revision }, { id: 'good', revision });
      await whenEffects(consumer, 5);
      const effects = await consumer.effects();
      expect(revisionsOf(effects, 'bad')).toEqual([1, 3]);
      expect(revisionsOf(effects, 'good')).toEqual([1, 2, 3]);
      const [letter, ...others] = await consumer.messaging.deadLetters.list();
      expect(others).toEqual([]);
      expect(letter).toMatchObject({
        reason: 'HANDLER_FAILED',
        attempts: 4,
        subject: 'bad',
        type: changed.type,
        topic: topic.name,
        handler: 'write-effect',
      });
      expect(letter?.detail).toContain('cannot be handled');
      expect(letter?.detail).not.toContain('hunter2');
      expect(letter?.origin).not.toBe('');
    });

    test('what nobody handles, what does not fit its schema and what is no event are parked; what is ignored is not', async () => {
      const changed = sampleEvent(topic);
      const unknown = sampleEvent(topic, 'renamed');
      const skipped = sampleEvent(topic, 'skipped');
      const consumer = await open({ service: 'consumer', handlers: [effectHandler(changed)], options: { ignores: [skipped] } });
      const publisher = await open({ service: 'publisher' });
      // The publisher of a later release.
      const loose = { ...changed, schema: sampleEvent(topic).schema.or(unknown.schema.transform((sample) => sample)) };
      await publisher.publish(unknown, { id: 'a', revision: 1 });
      await publisher.publish(skipped, { id: 'a', revision: 2 });
      await publisher.publish(loose, { id: 'a', revision: 3 });
      const transport = await harness.connect();
      const [kept] = await publisher.database.query<{ envelope: EventEnvelope }>('SELECT envelope FROM outbox ORDER BY position LIMIT 1');
      const base = kept?.envelope;
      if (base === undefined) throw new Error('nothing was published');
      const odd = { ...base, id: '01890000-0000-7000-8000-000000000009', type: changed.type, data: { id: 'a', revision: 'three\u0000' } };
      await transport.send([{ topic: topic.name, envelope: odd }]);
      await transport.send([{ topic: topic.name, envelope: { ...odd, id: 'no uuid' } }]);
      const letters = await waitFor(
        async () => {
          const list = await consumer.messaging.deadLetters.list();
          return list.length >= 3 && list;
        },
        { describe: 'three dead letters' },
      );
      expect(letters.map((letter) => letter.reason).sort()).toEqual(['INVALID_DATA', 'INVALID_ENVELOPE', 'UNKNOWN_TYPE']);
      await whenEffects(consumer, 1);
      expect(revisionsOf(await consumer.effects(), 'a')).toEqual([3]);
      const ignored = await consumer.database.query(`SELECT type FROM inbox WHERE status = 'ignored'`);
      expect(ignored).toEqual([{ type: skipped.type }]);
    });

    test('a replayed dead letter is handled once', async () => {
      const changed = sampleEvent(topic);
      let repaired = false;
      const consumer = await open({
        service: 'consumer',
        handlers: [
          effectHandler(changed, () => {
            if (!repaired) throw new Error('not yet');
          }),
        ],
      });
      const publisher = await open({ service: 'publisher' });
      await publisher.publish(changed, { id: 'a', revision: 1 });
      const { deadLetters } = consumer.messaging;
      const letter = await waitFor(async () => (await deadLetters.list())[0], { describe: 'the dead letter' });
      expect((await deadLetters.show(letter.id))?.envelope).toMatchObject({ type: changed.type, data: { id: 'a', revision: 1 } });

      // Still broken: it comes back, as one letter.
      expect(await deadLetters.replay(letter.id)).toBe('replayed');
      await consumer.messaging.whenCaughtUp();
      expect(await deadLetters.list()).toMatchObject([{ id: letter.id, replayedAt: null, attempts: 4 }]);

      repaired = true;
      expect(await deadLetters.replay(letter.id)).toBe('replayed');
      expect(await deadLetters.replay(letter.id)).toBe('already-replayed');
      expect(await deadLetters.replay(letter.id + 1)).toBe('not-found');
      await whenEffects(consumer, 1);
      await consumer.messaging.whenCaughtUp();
      expect(await consumer.effects()).toHaveLength(1);
      expect(await deadLetters.list()).toEqual([]);
      expect(await deadLetters.list({ all: true })).toHaveLength(1);
    });

    test('stopping lets the attempt under way end and loses nothing that waits', async () => {
      const changed = sampleEvent(topic);
      const inside = Promise.withResolvers<void>();
      const goOn = Promise.withResolvers<void>();
      const slow = defineHandler(changed, 'slow', async (event, tx) => {
        inside.resolve();
        await goOn.promise;
        await writeEffect(tx, event.data, event.id, 'first');
      });
      const first = await open({ service: 'consumer', handlers: [slow], options: { concurrency: 1 } });
      const publisher = await open({ service: 'publisher' });
      await publisher.publish(changed, { id: 'a', revision: 1 }, { id: 'a', revision: 2 }, { id: 'b', revision: 1 });
      await inside.promise;
      await waitFor(async () => (await first.database.query('SELECT 1 FROM inbox')).length === 3, {
        describe: 'three events in the inbox',
      });
      const stopped = first.messaging.stop();
      goOn.resolve();
      await stopped;
      expect(await first.effects()).toMatchObject([{ revision: 1, handledBy: 'first' }]);
      // What was only claimed was given back, uncounted.
      expect(await first.database.query('SELECT DISTINCT started FROM inbox WHERE status = $1', ['pending'])).toEqual([{ started: 0 }]);

      await publisher.publish(changed, { id: 'b', revision: 2 });
      const second = await open({ service: 'consumer', handlers: [effectHandler(changed)] });
      await whenEffects(second, 4);
      const effects = await second.effects();
      expect(revisionsOf(effects, 'a')).toEqual([1, 2]);
      expect(revisionsOf(effects, 'b')).toEqual([1, 2]);
    });

    test('two replicas share the work: one effect per event, in order', async () => {
      const changed = sampleEvent(topic);
      const failing = new Set<string>();
      const handlers = (replica: string) => [
        effectHandler(
          changed,
          (sample) => {
            // Each tenth event fails once, wherever it comes first.
            const key = `${sample.id}/${sample.revision}`;
            if (sample.revision % 10 === 0 && !failing.has(key)) {
              failing.add(key);
              throw new Error('once');
            }
          },
          replica,
        ),
      ];
      const options = { pollIntervalMs: 5 };
      const one = await open({ service: 'consumer', handlers: handlers('one'), options });
      const two = await open({ service: 'consumer', handlers: handlers('two'), options });
      const publisher = await open({ service: 'publisher' });
      const subjects = Array.from({ length: 10 }, (_, index) => `subject-${index}`);
      for (let revision = 1; revision <= 40; revision += 1) {
        await publisher.publish(changed, ...subjects.map((id) => ({ id, revision })));
        // Half-way one of them leaves; the other goes on alone.
        if (revision === 20) await two.messaging.stop();
      }
      await whenEffects(one, 400);
      await one.messaging.whenCaughtUp();
      const effects = await one.effects();
      expect(effects).toHaveLength(400);
      for (const subject of subjects) expect(revisionsOf(effects, subject)).toEqual(Array.from({ length: 40 }, (_, index) => index + 1));
      expect(await one.messaging.deadLetters.list()).toEqual([]);
    });
  });
}
