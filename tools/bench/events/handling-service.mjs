// Service B of the benchmark: its handler writes one row per event.
import { defineHandler, Messaging, messagingMigrations } from '@atrest/platform-messaging';
import { KafkaTransport } from '@atrest/platform-messaging-kafka';
import { Metrics } from '@atrest/platform-metrics';
import { rows, ServiceDatabase } from '@atrest/platform-persistence';
import { systemClock } from '@atrest/platform-time';
import { changedOn, loggerOf, migration, serve, topicOf } from './shared.mjs';

const { url, brokers, topic } = JSON.parse(process.argv[2]);
const logger = loggerOf('bench-b');
const metrics = new Metrics();
const changed = changedOn(topic);
const database = await ServiceDatabase.open({
  service: 'bench-b',
  url,
  migrations: [
    ...messagingMigrations,
    migration('Effects1700000000001', 'CREATE TABLE effect (id text NOT NULL, revision int NOT NULL, PRIMARY KEY (id, revision))'),
  ],
  logger,
  metrics,
});
const EFFECT = { name: 'bench-effect', text: 'INSERT INTO effect (id, revision) VALUES ($1, $2)' };
const handler = defineHandler(changed, 'write-effect', async (event, tx) => {
  await rows(tx, EFFECT, [event.data.id, event.data.revision]);
});
const transport = new KafkaTransport({ brokers, clientId: 'bench-b', logger, topics: [topicOf(topic)] });
const messaging = new Messaging({
  service: 'bench-b',
  database,
  transport,
  consumes: [changed],
  handlers: [handler],
  clock: systemClock,
  logger,
  metrics,
});
await messaging.start();
serve({
  end: async () => {
    await messaging.stop();
    await transport.close();
    await database.close();
  },
});
