import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Topic } from '@atrest/contracts';
import { createLogger } from '@atrest/platform-logging';
import { defineHandler, rebuildProjections } from '@atrest/platform-messaging';
import { eventTransportContract, openSampleService, sampleEvent, effectHandler } from '@atrest/platform-messaging/contract';
import { rows } from '@atrest/platform-persistence';
import { KAFKA_START_LIMIT_MS, kafkaAvailable, testDatabase, testKafka, waitFor, type TestKafka } from '@atrest/testing';
import kafkajs, { type KafkaMessage } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test, onTestFinished } from 'vitest';
import { KafkaTransport, ServiceRunningError, TopicMismatchError } from './index.js';

const logger = createLogger({ service: 'test', level: 'error' });

describe.skipIf(!(await kafkaAvailable()))('Apache Kafka', () => {
  let kafka: TestKafka;

  beforeAll(async () => {
    kafka = await testKafka();
  }, KAFKA_START_LIMIT_MS);

  afterAll(() => kafka.stop());

  eventTransportContract('kafka', async () => {
    const run = randomUUID();
    const topic: Topic = { name: `test.${run}`, partitions: 3, compacted: false, retentionDays: 1, description: 'of one test' };
    const transports: KafkaTransport[] = [];
    return {
      topic: async () => topic,
      connect: async () => {
        const transport = new KafkaTransport({ brokers: kafka.brokers, clientId: 'test', logger, topics: [topic], groupPrefix: run });
        transports.push(transport);
        return transport;
      },
      dispose: async () => {
        await Promise.all(transports.map((transport) => transport.close()));
      },
    };
  });

  test('what is parked is also on the dead-letter topic, as it arrived and with the reason', async () => {
    const database = await testDatabase('dead letter topics');
    onTestFinished(() => database.drop());
    const topic: Topic = { name: `test.${randomUUID()}`, partitions: 3, compacted: false, retentionDays: 1, description: 'of one test' };
    const transport = new KafkaTransport({ brokers: kafka.brokers, clientId: 'test', logger, topics: [topic], groupPrefix: randomUUID() });
    const changed = sampleEvent(topic);
    const fails = effectHandler(changed, () => {
      throw new Error('cannot be handled, password=hunter2');
    });
    const service = await openSampleService({ service: 'consumer', url: database.url, transport, handlers: [fails] });
    await service.publish(changed, { id: 'a', revision: 1 });
    await service.publish(sampleEvent(topic, 'renamed'), { id: 'b', revision: 1 });
    const client = new kafkajs.Kafka({ brokers: [...kafka.brokers], logLevel: kafkajs.logLevel.NOTHING });
    const stranger = client.producer();
    await stranger.connect();
    await stranger.send({
      topic: topic.name,
      messages: [
        { value: 'no event' },
        { key: 'c', value: JSON.stringify('x'.repeat(900_000)), headers: { ce_id: 'none', ce_subject: 'c' } },
      ],
    });
    await stranger.disconnect();

    const received: KafkaMessage[] = [];
    const watcher = client.consumer({ groupId: randomUUID(), maxWaitTimeInMs: 100 });
    await watcher.connect();
    await watcher.subscribe({ topic: `${topic.name}.dlq`, fromBeginning: true });
    await watcher.run({ eachMessage: async ({ message }) => void received.push(message) });
    await waitFor(() => received.length >= 4, { describe: () => `four messages (there are ${received.length})` });
    await watcher.disconnect();

    const header = (message: KafkaMessage, name: string): string | undefined => message.headers?.[name]?.toString();
    const byReason = new Map(
      received.map((message) => [`${header(message, 'x-atrest-dlq-reason')} ${message.key?.toString() ?? ''}`, message]),
    );
    const [failed, unknown, unreadable, large] = ['HANDLER_FAILED a', 'UNKNOWN_TYPE b', 'INVALID_ENVELOPE ', 'INVALID_ENVELOPE c'].map(
      (reason) => byReason.get(reason)!,
    );
    expect(received).toHaveLength(4);
    expect(JSON.parse(failed!.value!.toString())).toEqual({ id: 'a', revision: 1 });
    expect(
      ['ce_type', 'x-atrest-dlq-attempts', 'x-atrest-dlq-service', 'x-atrest-dlq-origin'].map((name) => header(failed!, name)),
    ).toEqual([changed.type, '4', 'consumer', expect.stringContaining(`${topic.name}[`)]);
    expect(header(failed!, 'x-atrest-dlq-detail')).toContain('cannot be handled');
    expect(header(failed!, 'x-atrest-dlq-detail')).not.toContain('hunter2');
    expect(header(unknown!, 'x-atrest-dlq-detail')).toContain('renamed');
    expect(unreadable!.value!.toString()).toBe('"no event"');
    expect([large!.value, header(large!, 'x-atrest-dlq-cut')]).toEqual([null, 'true']);
    await service.stop();
    await transport.close();
  });

  test('topics are made as declared; each difference of one that is there is named with what to do, and nothing is sent', async () => {
    const admin = new kafkajs.Kafka({ brokers: [...kafka.brokers], logLevel: kafkajs.logLevel.NOTHING }).admin();
    await admin.connect();
    onTestFinished(() => admin.disconnect());
    const run = randomUUID();
    const declared = (name: string, compacted: boolean): Topic => ({
      name: `test.${run}.${name}`,
      partitions: 3,
      compacted,
      retentionDays: 7,
      description: 'of one test',
    });
    const [kept, state] = [declared('kept', false), declared('state', true)];
    const send = async (topics: readonly Topic[]): Promise<void> => {
      const transport = new KafkaTransport({ brokers: kafka.brokers, clientId: 'test', logger, topics, groupPrefix: run });
      try {
        await transport.send([]);
        expect(await transport.readiness()).toEqual({ ok: true });
      } finally {
        await transport.close();
      }
    };
    await send([kept, state]);
    const { topics } = await admin.fetchTopicMetadata({ topics: [kept.name, state.name] });
    expect(topics.map(({ partitions }) => partitions.length)).toEqual([3, 3]);
    await send([kept, state]);

    const day = 86_400_000;
    const alter = (topic: Topic, name: string, value: string): Promise<unknown> =>
      admin.alterConfigs({
        validateOnly: false,
        resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic.name, configEntries: [{ name, value }] }],
      });
    await alter(kept, 'retention.ms', String(day));
    await alter(state, 'cleanup.policy', 'delete');
    const problems = await send([{ ...kept, partitions: 12 }, state]).then(
      () => [],
      (error: unknown) => (error instanceof TopicMismatchError ? error.problems : [String(error)]),
    );
    expect(problems).toEqual([
      expect.stringMatching(/kept has 3 partitions, declared are 12: .*recreate the topic/),
      expect.stringMatching(/kept has retention\.ms=86400000, declared is 604800000: .*alter the topic's configuration/),
      expect.stringMatching(/state has cleanup\.policy=delete, declared is compact: .*alter the topic's configuration/),
    ]);
  });

  test('projections are rebuilt from a compacted topic, and only what is missing comes back', async () => {
    const database = await testDatabase('rebuild');
    onTestFinished(() => database.drop());
    const topic: Topic = { name: `test.${randomUUID()}`, partitions: 3, compacted: true, retentionDays: 1, description: 'of one test' };
    const transport = (): KafkaTransport =>
      new KafkaTransport({ brokers: kafka.brokers, clientId: 'test', logger, topics: [topic], groupPrefix: topic.name });
    const changed = sampleEvent(topic);
    const project = defineHandler(changed, 'remember-sample', async (event, tx) => {
      const { id, revision } = event.data;
      await rows(
        tx,
        `INSERT INTO projection VALUES ($1, $2)
         ON CONFLICT (id) DO UPDATE SET revision = EXCLUDED.revision WHERE projection.revision < EXCLUDED.revision`,
        [id, revision],
      );
    });
    const open = async () => {
      const connection = transport();
      const o = { service: 'consumer', url: database.url, transport: connection, handlers: [project], start: false };
      const service = await openSampleService(o);
      await service.database.query('CREATE TABLE IF NOT EXISTS projection (id text PRIMARY KEY, revision int NOT NULL)');
      await service.messaging.start();
      const stop = async (): Promise<void> => {
        await service.messaging.stop();
        await connection.close();
      };
      return { service, stop };
    };
    const first = await open();
    const publisher = await openSampleService({ service: 'publisher', url: database.url, transport: transport() });
    const source: { id: string; revision: number }[] = [];
    for (let index = 0; index < 20; index += 1) {
      const id = `subject-${String(index).padStart(2, '0')}`;
      for (let revision = 1; revision <= 3; revision += 1) await publisher.publish(changed, { id, revision });
      source.push({ id, revision: 3 });
    }
    const projection = () => first.service.database.query('SELECT id, revision FROM projection ORDER BY id');
    const complete = () =>
      waitFor(async () => isDeepStrictEqual(await projection(), source), { describe: 'the projection to equal its source' });
    await complete();

    const rebuild = () => rebuildProjections({ database: first.service.database, transport: transport(), topics: [topic] });
    await expect(rebuild()).rejects.toThrow(ServiceRunningError);
    await first.stop();
    await first.service.database.query(`DELETE FROM projection WHERE id < 'subject-10'`);
    // What the handler finds is kept if it is newer than what comes.
    await first.service.database.query(`UPDATE projection SET revision = 7 WHERE id = 'subject-15'`);
    source[15] = { id: 'subject-15', revision: 7 };
    expect(await rebuild()).toBe(60);
    const second = await open();
    await complete();
    await second.service.messaging.whenCaughtUp();
    expect(await projection()).toEqual(source);
    await second.stop();
    await second.service.database.close();
    await first.service.database.close();
    await publisher.stop();
  });
});
