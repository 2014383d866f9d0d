// What kafkajs does without Atrest: the same messages, the same acks, no database. One process produces, one consumes.
import kafkajs from 'kafkajs';
import { toKafkaMessage } from '@atrest/platform-messaging-kafka';
import { atRate, flood, PADDING, serve, SUBJECTS } from './shared.mjs';

const { brokers, topic, role } = JSON.parse(process.argv[2]);
const kafka = new kafkajs.Kafka({ clientId: 'bench-bare', brokers, logLevel: kafkajs.logLevel.ERROR });
const clock = () => performance.timeOrigin + performance.now();
/** Milliseconds from before `send` to after the commit of the offset, of every message. */
let latencies = [];
let received = 0;

async function produce() {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
  await producer.connect();
  const message = (index) => {
    const id = `subject-${index % SUBJECTS}`;
    return toKafkaMessage({
      specversion: '1.0',
      id: '01890000-0000-7000-8000-000000000001',
      source: '/atrest/bench-a',
      type: 'io.atrest.sample.changed.v1',
      subject: id,
      time: new Date().toISOString(),
      datacontenttype: 'application/json',
      correlationid: '01890000-0000-4000-8000-000000000001',
      data: { id, revision: index, padding: PADDING, sentAt: clock() },
    });
  };
  const send = (index, batch = 1) =>
    producer.send({ topic, acks: -1, messages: Array.from({ length: batch }, (_, step) => message(index * batch + step)) });
  let running;
  serve({
    atRate: ({ rate, seconds }) => atRate({ rate, seconds, emit: (index) => send(index) }),
    flood: ({ batch }) => {
      running = flood({ concurrency: batch === 1 ? 16 : 4, emit: (index) => send(index, batch) });
    },
    stop: () => running.stop(),
    end: () => producer.disconnect(),
  });
}

async function consume() {
  const consumer = kafka.consumer({ groupId: `bare-${topic}`, maxWaitTimeInMs: 50 });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  const joined = new Promise((resolve) => consumer.on(consumer.events.GROUP_JOIN, resolve));
  await consumer.run({
    autoCommit: false,
    partitionsConsumedConcurrently: 12,
    eachBatchAutoResolve: false,
    eachBatch: async ({ batch, resolveOffset, heartbeat }) => {
      const sent = batch.messages.map((each) => JSON.parse(each.value.toString()).sentAt);
      const { offset } = batch.messages.at(-1);
      resolveOffset(offset);
      await consumer.commitOffsets([{ topic, partition: batch.partition, offset: String(BigInt(offset) + 1n) }]);
      const now = clock();
      received += sent.length;
      for (const each of sent) latencies.push(now - each);
      await heartbeat();
    },
  });
  await joined;
  serve({
    received: () => received,
    latencies: () => {
      const taken = latencies;
      latencies = [];
      return taken;
    },
    end: () => consumer.disconnect(),
  });
}

await (role === 'produce' ? produce() : consume());
