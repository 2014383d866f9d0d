import { randomUUID } from 'node:crypto';
import type { Topic } from '@atrest/contracts';
import { createLogger } from '@atrest/platform-logging';
import { eventTransportContract } from '@atrest/platform-messaging/contract';
import { kafkaAvailable, testKafka, type TestKafka } from '@atrest/testing';
import { afterAll, beforeAll, describe } from 'vitest';
import { KafkaTransport } from './index.js';

const logger = createLogger({ service: 'test', level: 'error' });

describe.skipIf(!(await kafkaAvailable()))('Apache Kafka', () => {
  let kafka: TestKafka;

  beforeAll(async () => {
    kafka = await testKafka();
  });

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
});
