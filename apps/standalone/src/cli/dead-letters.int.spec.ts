import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { createLogger } from '@atrest/platform-logging';
import { EmbeddedTransport, type EventTransport } from '@atrest/platform-messaging';
import { effectHandler, openSampleService, sampleEvent, sampleTopic, type SampleService } from '@atrest/platform-messaging/contract';
import { KafkaTransport } from '@atrest/platform-messaging-kafka';
import { KAFKA_START_LIMIT_MS, kafkaAvailable, testDatabase, testKafka, waitFor, type TestDatabase, type TestKafka } from '@atrest/testing';
import kafkajs, { type KafkaMessage } from 'kafkajs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { baseEnvironment, scriptPath } from '../services/program.js';

const SERVICE = 'notification';

let database: TestDatabase;
let service: SampleService;
let transport: EventTransport;
let repaired: boolean;
beforeEach(async () => {
  database = await testDatabase('dead letters');
  repaired = false;
});
afterEach(async () => {
  await service.stop();
  await transport.close();
  await database.drop();
});

/** `npm run dead-letters -- …` on the test's database. */
async function deadLetters(...parameters: string[]): Promise<{ readonly code: number; readonly out: string; readonly error: string }> {
  const child = spawn(process.execPath, [scriptPath('standalone/dist/cli/dead-letters.js'), ...parameters], {
    env: { ...baseEnvironment(), ATREST_DATABASE_URL: database.url },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, error, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: code as number, out, error };
}

/** A service whose handler fails until it is repaired. */
async function start(topic: string, over: EventTransport): Promise<ReturnType<typeof sampleEvent>> {
  transport = over;
  const changed = sampleEvent(sampleTopic(topic));
  const fails = effectHandler(changed, () => {
    if (!repaired) throw new Error('cannot be handled, password=hunter2');
  });
  service = await openSampleService({ service: SERVICE, url: database.url, transport, handlers: [fails] });
  return changed;
}

const parked = (count: number) =>
  waitFor(async () => (await service.messaging.deadLetters.list()).length === count, { describe: `${count} parked events` });

describe('npm run dead-letters', () => {
  it('lists, shows and replays what a service parked', async () => {
    const changed = await start('test.dead-letters', new EmbeddedTransport());
    expect(await deadLetters('list', SERVICE)).toEqual({ code: 0, out: 'Nothing is parked.\n', error: '' });

    await service.publish(changed, { id: 'a', revision: 1 });
    await parked(1);
    const list = await deadLetters('list', SERVICE);
    expect(list).toMatchObject({ code: 0, error: '' });
    const [, id] = /^(\d+) {2}\S+ {2}io\.atrest\.sample\.changed\.v1 {2}HANDLER_FAILED {2}.*cannot be handled/.exec(list.out) ?? [];
    expect(list.out.trim().split('\n')).toHaveLength(1);
    const shown = await deadLetters('show', SERVICE, id!);
    expect(JSON.parse(shown.out)).toMatchObject({
      id: Number(id),
      subject: 'a',
      attempts: 4,
      handler: 'write-effect',
      origin: 'embedded',
      envelope: { type: changed.type, data: { id: 'a', revision: 1 } },
    });
    expect(list.out + shown.out).not.toContain('hunter2');

    repaired = true;
    expect(await deadLetters('replay', SERVICE, id!)).toMatchObject({ code: 0, out: expect.stringContaining('back in the inbox') });
    await waitFor(async () => (await service.effects()).length > 0, { describe: 'the effect' });
    expect(await deadLetters('replay', SERVICE, id!)).toMatchObject({ code: 2, error: expect.stringContaining('already-replayed') });
    expect(await service.effects()).toMatchObject([{ subject: 'a', revision: 1 }]);
    expect(await deadLetters('list', SERVICE)).toMatchObject({ code: 0, out: 'Nothing is parked.\n' });
    expect((await deadLetters('list', SERVICE, '--all')).out).toMatch(/ {2}replayed \d{4}-/);
  });

  it('says how it is used, what is not there and what cannot be replayed, without a stack trace', async () => {
    await start('test.dead-letters', new EmbeddedTransport());
    const usage = { code: 2, out: '', error: expect.stringContaining('npm run dead-letters -- replay <service> <id>') };
    for (const wrong of [[], ['list'], ['list', 'elsewhere'], ['show', SERVICE], ['replay', SERVICE, 'x'], ['delete', SERVICE, '1']]) {
      expect(await deadLetters(...wrong)).toEqual(usage);
    }
    expect(await deadLetters('show', SERVICE, '99')).toEqual({ code: 2, out: '', error: 'There is no parked event 99.\n' });
    expect(await deadLetters('replay', SERVICE, '99')).toEqual({ code: 2, out: '', error: 'Event 99 was not replayed: not-found.\n' });
  });
});

describe.skipIf(!(await kafkaAvailable()))('npm run dead-letters, over Apache Kafka', () => {
  let kafka: TestKafka;
  beforeAll(async () => {
    kafka = await testKafka();
  }, KAFKA_START_LIMIT_MS);
  afterAll(() => kafka.stop());

  /** The first messages of a topic, in any order. */
  async function read(topic: string, count: number): Promise<KafkaMessage[]> {
    const messages: KafkaMessage[] = [];
    const consumer = new kafkajs.Kafka({ brokers: [...kafka.brokers], logLevel: kafkajs.logLevel.NOTHING }).consumer({
      groupId: randomUUID(),
      maxWaitTimeInMs: 100,
    });
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({ eachMessage: async ({ message }) => void messages.push(message) });
    await waitFor(() => messages.length >= count, { describe: () => `${count} messages on ${topic} (there are ${messages.length})` });
    await consumer.disconnect();
    return messages;
  }

  it('what is on <topic>.dlq is listed with the same reason and origin; replayed it has its effect once, and what is no event stays', async () => {
    const topic = `test.${randomUUID()}`;
    const logger = createLogger({ service: 'test', level: 'silent' });
    const options = { brokers: kafka.brokers, clientId: 'test', logger, topics: [sampleTopic(topic)], groupPrefix: topic };
    const changed = await start(topic, new KafkaTransport(options));
    const producer = new kafkajs.Kafka({ brokers: [...kafka.brokers], logLevel: kafkajs.logLevel.NOTHING }).producer();
    await producer.connect();
    await producer.send({ topic, messages: [{ value: 'no event' }] });
    await producer.disconnect();
    await service.publish(changed, { id: 'a', revision: 1 });
    await parked(2);

    const headersOf = ({ headers }: KafkaMessage) =>
      ['reason', 'detail', 'origin', 'attempts', 'service'].map((name) => headers?.[`x-atrest-dlq-${name}`]?.toString()).join(' | ');
    const copies = (await read(`${topic}.dlq`, 2)).map(headersOf).sort();
    const lines = (await deadLetters('list', SERVICE)).out.trim().split('\n');
    const ids = lines.map((line) => line.split(' ')[0]!);
    const letters = await Promise.all(
      ids.map(async (id) => JSON.parse((await deadLetters('show', SERVICE, id)).out) as Record<string, unknown>),
    );
    const asHeaders = letters.map((letter) =>
      [letter['reason'], letter['detail'], letter['origin'], letter['attempts'], SERVICE].join(' | '),
    );
    expect(asHeaders.sort()).toEqual(copies);
    expect(copies.map((copy) => copy.split(' | ')[0])).toEqual(['HANDLER_FAILED', 'INVALID_ENVELOPE']);

    repaired = true;
    const idOf = (reason: string): string => String(letters.find((letter) => letter['reason'] === reason)?.['id']);
    expect((await deadLetters('replay', SERVICE, idOf('HANDLER_FAILED'))).code).toBe(0);
    await waitFor(async () => (await service.effects()).length > 0, { describe: 'the effect' });
    await service.messaging.whenCaughtUp();
    expect(await service.effects()).toMatchObject([{ subject: 'a', revision: 1 }]);
    expect(await deadLetters('replay', SERVICE, idOf('INVALID_ENVELOPE'))).toMatchObject({
      code: 2,
      error: expect.stringContaining('not-replayable'),
    });
    expect((await deadLetters('list', SERVICE)).out).toMatch(/INVALID_ENVELOPE/);
  });
});
