import { randomUUID } from 'node:crypto';
import type { EventEnvelope } from '@atrest/contracts';
import { currentCorrelation, runWithCorrelation } from '@atrest/platform-logging';
import { SimulatedClock } from '@atrest/platform-time';
import { processEnd, sourceProcess, testDatabase, waitFor, type TestDatabase } from '@atrest/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Inbox } from './inbox.js';
import {
  defineHandler,
  EmbeddedTransport,
  EventPublisher,
  InvalidEventError,
  Refusal,
  type EventHandler,
  type EventTransport,
} from './index.js';
import {
  effectHandler,
  openSampleService,
  revisionsOf,
  sampleEvent,
  sampleTopic,
  whenEffects,
  writeEffect,
  type Sample,
  type SampleService,
} from './sample-service.contract.js';

const topic = sampleTopic('test.samples');
const changed = sampleEvent(topic);
const oneTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

let database: TestDatabase;
let transport: EmbeddedTransport;
let services: SampleService[];

beforeEach(async () => {
  services = [];
  transport = new EmbeddedTransport();
  database = await testDatabase('messaging');
});

afterEach(async () => {
  for (const service of services) await service.stop();
  await database.drop();
});

async function open(
  o: Omit<Parameters<typeof openSampleService>[0], 'url' | 'transport'> & { transport?: EventTransport },
): Promise<SampleService> {
  const service = await openSampleService({ transport, ...o, url: database.url });
  services.push(service);
  return service;
}

/** Ends every connection to the test's database, as a restart or a failover of PostgreSQL does. */
async function breakConnections(service: SampleService): Promise<void> {
  // The one that asks survives, or there would be no answer. It may itself be one that broke before.
  const sql = 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()';
  await waitFor(() => service.database.query(sql), { describe: 'a connection to break the others by' });
}

describe('publishing', () => {
  test('an event exists if and only if its transaction commits', async () => {
    const service = await open({ service: 'publisher' });
    const publisher = new EventPublisher('publisher', new SimulatedClock(new Date('2026-01-02T03:04:05.678Z')));
    const failed = service.database.transaction(async (tx) => {
      await publisher.publish(tx, changed, { id: 'a', revision: 1 });
      throw new Error('changed my mind');
    });
    await expect(failed).rejects.toThrow('changed my mind');
    expect(await service.database.query('SELECT 1 FROM outbox')).toEqual([]);

    const envelope = await runWithCorrelation({ correlationId: 'request-1', causationId: 'event-0' }, () =>
      service.database.transaction((tx) => publisher.publish(tx, changed, { id: 'a', revision: 2 })),
    );
    expect(envelope).toMatchObject({
      source: '/atrest/publisher',
      type: changed.type,
      subject: 'a',
      time: '2026-01-02T03:04:05.678Z',
      correlationid: 'request-1',
      causationid: 'event-0',
      data: { id: 'a', revision: 2 },
    });
    expect(await service.database.query('SELECT envelope FROM outbox')).toEqual([{ envelope }]);
  });

  test('data that does not fit its schema is refused by path and rule, without its value', async () => {
    const service = await open({ service: 'publisher' });
    const error = await service
      .publish(changed, { id: 'a', revision: 1.5, secret: 'hunter2' } as Sample)
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(InvalidEventError);
    expect(String(error)).toContain('revision');
    expect(String(error)).not.toContain('hunter2');
  });
});

describe('a service', () => {
  test('whose start failed stops in order and leaves no connection behind', async () => {
    const unreachable: EventTransport = {
      announce: () => undefined,
      send: () => Promise.reject(new Error('unreachable')),
      subscribe: () => Promise.reject(new Error('unreachable')),
      readiness: () => Promise.resolve({ ok: false }),
      close: () => Promise.resolve(),
    };
    const service = await open({ service: 'consumer', handlers: [effectHandler(changed)], transport: unreachable, start: false });
    await expect(service.messaging.start()).rejects.toThrow('unreachable');
    await service.stop();
    const observer = await open({ service: 'observer', start: false });
    await waitFor(
      async () => (await observer.database.query(`SELECT 1 FROM pg_stat_activity WHERE application_name = 'atrest-consumer'`)).length === 0,
      { describe: 'the end of its connections' },
    );
  });
});

describe('the relay', () => {
  test('survives a transport that fails: nothing lost, order kept', async () => {
    const consumer = await open({ service: 'consumer', handlers: [effectHandler(changed)] });
    let sends = 0;
    const failing: EventTransport = {
      announce: (subscriber) => transport.announce(subscriber),
      subscribe: (subscription) => transport.subscribe(subscription),
      readiness: () => transport.readiness(),
      close: () => transport.close(),
      send: async (events) => {
        sends += 1;
        // Before it did anything, then after it did everything, then it works.
        if (sends === 1) throw new Error('unreachable');
        await transport.send(events);
        if (sends === 2) throw new Error('the answer was lost');
      },
    };
    const publisher = await open({ service: 'publisher', transport: failing });
    await publisher.publish(changed, ...oneTo(20).map((revision) => ({ id: 'a', revision })));
    await publisher.messaging.whenCaughtUp();
    await consumer.messaging.whenCaughtUp();
    expect(sends).toBeGreaterThanOrEqual(3);
    expect(revisionsOf(await consumer.effects(), 'a')).toEqual(oneTo(20));
  });

  test('holds back what an announced service cannot take yet', async () => {
    const consumer = await open({ service: 'consumer', handlers: [effectHandler(changed)], start: false });
    const publisher = await open({ service: 'publisher' });
    await publisher.publish(changed, { id: 'a', revision: 1 });
    await waitFor(async () => (await publisher.metrics.render()).match(/send_failures_total\{service="publisher"\} [1-9]/), {
      describe: 'a failed attempt to send',
    });
    expect(await publisher.messaging.isCaughtUp()).toBe(false);
    await consumer.messaging.start();
    await whenEffects(consumer, 1);
  });

  test('one replica relays; when its connection ends another takes over', async () => {
    const consumer = await open({ service: 'consumer', handlers: [effectHandler(changed)] });
    const one = await open({ service: 'publisher' });
    const two = await open({ service: 'publisher' });
    await one.publish(changed, { id: 'a', revision: 1 });
    await whenEffects(consumer, 1);
    const holders = () =>
      one.database.query<{ pid: number }>(
        `SELECT l.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid)
         WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database() AND a.application_name = 'atrest-publisher'`,
      );
    const before = await waitFor(
      async () => {
        const found = await holders();
        return found.length === 1 && found;
      },
      { describe: 'one relay' },
    );
    await one.messaging.stop();
    await two.publish(changed, { id: 'a', revision: 2 });
    await whenEffects(consumer, 2);
    const [holder] = before;
    await two.database.query('SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = $1 AND pid <> $2', [
      'advisory',
      holder?.pid ?? 0,
    ]);
    await two.publish(changed, { id: 'a', revision: 3 });
    await whenEffects(consumer, 3);
    expect(revisionsOf(await consumer.effects(), 'a')).toEqual([1, 2, 3]);
  });
});

describe('the inbox', () => {
  test('a handler that throws after it wrote leaves nothing; one that succeeds leaves its writes and the mark together', async () => {
    let attempts = 0;
    const handler = defineHandler(changed, 'write-then-throw', async (event, tx) => {
      attempts += 1;
      await writeEffect(tx, event.data, event.id, `attempt ${attempts}`);
      if (attempts < 3) throw new Error('after the write');
    });
    const consumer = await open({ service: 'consumer', handlers: [handler] });
    const publisher = await open({ service: 'publisher' });
    await publisher.publish(changed, { id: 'a', revision: 1 });
    await whenEffects(consumer, 1);
    await consumer.messaging.whenCaughtUp();
    expect(await consumer.effects()).toMatchObject([{ handledBy: 'attempt 3' }]);
    expect(await consumer.database.query('SELECT status, started, failed, envelope FROM inbox')).toEqual([
      { status: 'finished', started: 3, failed: 2, envelope: null },
    ]);
  });

  test('an event that its handler refuses is parked together with what the handler wrote, and can be replayed', async () => {
    const refused = defineHandler<Sample>(changed, 'refuse', async (event, tx) => {
      await writeEffect(tx, event.data, event.id, 'refusing');
      return event.data.revision === 1 ? new Refusal('not the first one') : undefined;
    });
    const service = await open({ service: 'one', handlers: [refused] });
    await service.publish(changed, { id: 'a', revision: 1 }, { id: 'a', revision: 2 });
    await service.messaging.whenCaughtUp();

    expect(revisionsOf(await service.effects(), 'a')).toEqual([1, 2]);
    const parked = { reason: 'REFUSED', detail: 'not the first one', handler: 'refuse', attempts: 1, subject: 'a', replayedAt: null };
    const [letter, ...others] = await service.messaging.deadLetters.list();
    if (letter === undefined) throw new Error('nothing was parked');
    expect(letter).toMatchObject(parked);
    expect(others).toEqual([]);
    expect((await service.messaging.deadLetters.show(letter.id))?.envelope).toMatchObject({ data: { id: 'a', revision: 1 } });
    expect(await service.metrics.render()).toContain('atrest_inbox_parked_total{service="one",reason="REFUSED"} 1');

    expect(await service.messaging.deadLetters.replay(letter.id)).toBe('replayed');
    await service.messaging.whenCaughtUp();
    expect(revisionsOf(await service.effects(), 'a')).toEqual([1, 2, 1]);
    expect(await service.messaging.deadLetters.list()).toMatchObject([parked]);
  });

  test('an id copied onto another topic keeps no event from being handled, and their dead letters are apart', async () => {
    const other = sampleEvent(sampleTopic('test.strangers'), 'asked');
    let refuses = true;
    const handlers = [changed, other].map((definition) =>
      defineHandler<Sample>(definition, 'refuse', async (event, tx) => {
        await writeEffect(tx, event.data, event.id, definition.topic.name);
        return refuses ? new Refusal('no') : undefined;
      }),
    );
    const service = await open({ service: 'one', handlers: handlers as EventHandler[] });
    const copied: EventEnvelope = {
      specversion: '1.0',
      id: randomUUID(),
      source: '/atrest/test',
      type: changed.type,
      subject: 'a',
      time: new Date().toISOString(),
      datacontenttype: 'application/json',
      correlationid: 'c',
      data: { id: 'a', revision: 1 },
    };
    const stranger = { ...copied, type: other.type, data: { id: 'x', revision: 9 } };
    await transport.send([{ topic: other.topic.name, envelope: stranger }]);
    await transport.send([{ topic: topic.name, envelope: copied }]);
    await transport.send([{ topic: topic.name, envelope: copied }]);
    await service.messaging.whenCaughtUp();
    // They are different lanes, so which comes first is open.
    const byTopic = (await service.effects()).map(({ handledBy, revision }) => `${handledBy} ${revision}`).sort();
    expect(byTopic).toEqual([`${topic.name} 1`, `${other.topic.name} 9`]);

    refuses = false;
    const letters = await service.messaging.deadLetters.list();
    const [own, strange] = [topic, other.topic].map(({ name }) => letters.find((letter) => letter.topic === name));
    if (own === undefined || strange === undefined) throw new Error('not both were parked');
    expect(letters).toHaveLength(2);
    expect(await service.messaging.deadLetters.replay(own.id)).toBe('replayed');
    await service.messaging.whenCaughtUp();
    expect(revisionsOf(await service.effects(), 'a')).toEqual([1, 1]);
    expect((await service.messaging.deadLetters.list()).map((letter) => letter.id)).toEqual([strange.id]);
  });

  test('an event that fails holds up its subject on its topic, and not what another topic says about the same subject', async () => {
    const other = sampleEvent(sampleTopic('test.others'), 'told');
    const failing = effectHandler(changed, () => {
      throw new Error('fails for long');
    });
    const consumer = await open({
      service: 'consumer',
      handlers: [failing, effectHandler(other)],
      // So long that what waited behind it would be waited for in vain.
      options: { retry: { baseMs: 600_000, maxMs: 600_000, attempts: 8 } },
    });
    const publisher = await open({ service: 'publisher' });
    await publisher.publish(changed, { id: 'a', revision: 1 });
    await waitFor(async () => (await consumer.database.query('SELECT 1 FROM inbox WHERE failed = 1')).length === 1, {
      describe: 'a failed attempt',
    });
    await publisher.publish(other, { id: 'a', revision: 2 });
    await whenEffects(consumer, 1);
    expect(revisionsOf(await consumer.effects(), 'a')).toEqual([2]);
  });

  test('handlers of one statement share transactions: each event has one effect, in order, also beside one that fails', async () => {
    const failing = new Set(['a/50', 'b/120', 'c/120']);
    const handler = defineHandler<Sample>(
      changed,
      'one-statement',
      (event, tx) => {
        const written = writeEffect(tx, event.data, event.id, 'one');
        // After it sent its statement, so that what others sent behind it is undone with it.
        return failing.delete(`${event.data.id}/${event.data.revision}`) ? Promise.reject(new Error('once')) : written;
      },
      { oneStatement: true },
    );
    const consumer = await open({ service: 'consumer', handlers: [handler] });
    const publisher = await open({ service: 'publisher' });
    await publisher.publish(changed, ...oneTo(200).flatMap((revision) => ['a', 'b', 'c'].map((id): Sample => ({ id, revision }))));
    await whenEffects(consumer, 600);
    await consumer.messaging.whenCaughtUp();
    const effects = await consumer.effects();
    for (const id of ['a', 'b', 'c']) expect(revisionsOf(effects, id)).toEqual(oneTo(200));
    expect(failing.size).toBe(0);
    const [row] = await consumer.database.query<{ count: number }>('SELECT count(DISTINCT xmin::text) AS count FROM effect');
    // How many share one depends on how fast the machine is; that they do does not.
    expect(row?.count).toBeLessThan(600);
  });

  test('a handler works for the correlation and trace of its event, and what it publishes is caused by it', async () => {
    const answered = sampleEvent(topic, 'answered');
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const publisherOfConsumer = new EventPublisher('consumer', { now: () => new Date() });
    const handler = defineHandler(changed, 'answer', async (event, tx) => {
      await publisherOfConsumer.publish(tx, answered, event.data);
      expect(currentCorrelation()).toEqual({ correlationId: 'request-1', causationId: event.id, traceparent });
    });
    const consumer = await open({ service: 'consumer', handlers: [handler], options: { ignores: [answered] } });
    const publisher = await open({ service: 'publisher' });
    await runWithCorrelation({ correlationId: 'request-1', traceparent }, () => publisher.publish(changed, { id: 'a', revision: 1 }));
    const answer = await waitFor(
      async () => (await consumer.database.query<{ envelope: EventEnvelope }>('SELECT envelope FROM outbox'))[0]?.envelope,
      { describe: 'the answer' },
    );
    const [asked] = await publisher.database.query<{ envelope: EventEnvelope }>('SELECT envelope FROM outbox');
    expect(answer).toMatchObject({ correlationid: 'request-1', causationid: asked?.envelope.id, traceparent });
    expect(asked?.envelope.causationid).toBeUndefined();
  });

  test('a handler that does not end is given up, and what it writes afterwards is refused', async () => {
    const late = Promise.withResolvers<void>();
    const lateWrite = Promise.withResolvers<unknown>();
    let attempts = 0;
    const handler = defineHandler(changed, 'sleepy', async (event, tx) => {
      attempts += 1;
      if (attempts > 1) return writeEffect(tx, event.data, event.id, 'awake');
      await late.promise;
      const write = writeEffect(tx, event.data, event.id, 'too late');
      lateWrite.resolve(
        write.then(
          () => 'written',
          (error: { code?: string }) => error.code,
        ),
      );
      return undefined;
    });
    const consumer = await open({ service: 'consumer', handlers: [handler], options: { handlerTimeoutMs: 300 } });
    const publisher = await open({ service: 'publisher' });
    await publisher.publish(changed, { id: 'a', revision: 1 });
    await whenEffects(consumer, 1);
    late.resolve();
    expect(await lateWrite.promise).toBe('DATABASE.TRANSACTION_ENDED');
    expect(await consumer.effects()).toMatchObject([{ handledBy: 'awake' }]);
  });

  test('every connection lost in the middle, several times: each event has one effect, in order', async () => {
    const consumer = await open({
      service: 'consumer',
      handlers: [effectHandler(changed)],
      // Attempts that a lost connection ended count as well; here only the losses are of interest.
      options: { retry: { baseMs: 2, maxMs: 20, attempts: 100 } },
    });
    const publisher = await open({ service: 'publisher' });
    let revision = 0;
    for (let round = 1; round <= 4; round += 1) {
      for (let count = 0; count < 10; count += 1) {
        revision += 1;
        const samples = ['a', 'b', 'c'].map((id): Sample => ({ id, revision }));
        // A publication whose transaction broke is repeated, as a client repeats a request. It is known not to have been committed,
        // because nothing breaks connections at that time but we ourselves, before it.
        await waitFor(() => publisher.publish(changed, ...samples).then(() => true), { describe: 'a publication' });
      }
      await breakConnections(consumer);
    }
    await whenEffects(consumer, 120);
    await consumer.messaging.whenCaughtUp();
    const effects = await consumer.effects();
    for (const id of ['a', 'b', 'c']) expect(revisionsOf(effects, id)).toEqual(oneTo(40));
    expect(await consumer.messaging.readiness()).toEqual({ ok: true });
  });

  test('an event that kills the process is parked by its count; those that were handled beside it are not blamed', async () => {
    const service = await open({ service: 'consumer', start: false });
    const envelope = (subject: string, revision: number): EventEnvelope => ({
      specversion: '1.0',
      id: randomUUID(),
      source: '/atrest/test',
      type: changed.type,
      subject,
      time: new Date().toISOString(),
      datacontenttype: 'application/json',
      correlationid: 'c',
      data: { id: subject, revision },
    });
    const subjects = ['a', 'b', 'c', 'poison', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k'];
    const batch = oneTo(5).flatMap((revision) => subjects.map((subject) => envelope(subject, revision)));
    await new Inbox(service.database, { claimMs: 1_000, deadLetterTopics: false }).store(
      batch
        .filter((event) => event.subject !== 'poison' || event.id === batch[3]?.id)
        .map((event) => ({ topic: topic.name, envelope: event, origin: 'test' })),
      new Set(),
      { events: 0, ofLane: () => 0 },
    );
    const ends: (number | string)[] = [];
    do {
      const child = sourceProcess({
        module: new URL('./poison-process.contract.ts', import.meta.url),
        run: 'runPoisonedService',
        parameters: [database.url, topic.name],
      });
      ends.push(await processEnd(child));
    } while (ends.at(-1) === 'SIGKILL' && ends.length < 6);
    expect(ends).toEqual(['SIGKILL', 'SIGKILL', 'SIGKILL', 0]);
    expect(await service.messaging.deadLetters.list()).toMatchObject([
      { subject: 'poison', reason: 'PROCESS_ENDED', attempts: 3, handler: 'write-effect', origin: 'test' },
    ]);
    const effects = await service.effects();
    expect(effects).toHaveLength(55);
    for (const subject of subjects) if (subject !== 'poison') expect(revisionsOf(effects, subject)).toEqual(oneTo(5));
  }, 120_000);

  test('finished and published rows are deleted when they are old enough, ids of younger ones stay', async () => {
    const clock = new SimulatedClock(new Date());
    const consumer = await open({ service: 'consumer', handlers: [effectHandler(changed)], clock });
    const publisher = await open({ service: 'publisher', clock });
    await publisher.publish(changed, { id: 'a', revision: 1 });
    await whenEffects(consumer, 1);
    await publisher.messaging.whenCaughtUp();
    await consumer.messaging.stop();
    await publisher.messaging.stop();

    clock.advance(10 * 86_400_000);
    const laterPublisher = await open({ service: 'publisher', clock });
    await waitFor(async () => (await laterPublisher.database.query('SELECT 1 FROM outbox')).length === 0, { describe: 'an empty outbox' });
    const laterConsumer = await open({ service: 'consumer', handlers: [effectHandler(changed)], clock });
    expect(await laterConsumer.database.query('SELECT status FROM inbox')).toEqual([{ status: 'finished' }]);
    await laterConsumer.messaging.stop();

    clock.advance(5 * 86_400_000);
    const lastConsumer = await open({ service: 'consumer', handlers: [effectHandler(changed)], clock });
    await waitFor(async () => (await lastConsumer.database.query('SELECT 1 FROM inbox')).length === 0, { describe: 'an empty inbox' });
  });
});
