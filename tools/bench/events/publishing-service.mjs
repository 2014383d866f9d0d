// Service A of the benchmark: changes aggregates and publishes each change in the same transaction.
import { EventPublisher, Messaging, messagingMigrations } from '@atrest/platform-messaging';
import { KafkaTransport } from '@atrest/platform-messaging-kafka';
import { Metrics } from '@atrest/platform-metrics';
import { rows, ServiceDatabase } from '@atrest/platform-persistence';
import { systemClock } from '@atrest/platform-time';
import { atRate, changedOn, flood, loggerOf, migration, PADDING, serve, SUBJECTS, topicOf } from './shared.mjs';

const { url, brokers, topic } = JSON.parse(process.argv[2]);
const logger = loggerOf('bench-a');
const metrics = new Metrics();
const changed = changedOn(topic);
const database = await ServiceDatabase.open({
  service: 'bench-a',
  url,
  migrations: [
    ...messagingMigrations,
    migration('Causes1700000000001', 'CREATE TABLE aggregate (id text PRIMARY KEY, revision int NOT NULL DEFAULT 0)'),
    // When each change was committed is asked from PostgreSQL (track_commit_timestamp).
    migration('Causes1700000000002', 'CREATE TABLE cause (id text NOT NULL, revision int NOT NULL, PRIMARY KEY (id, revision))'),
  ],
  logger,
  metrics,
});
await database.query(`INSERT INTO aggregate (id) SELECT 'subject-' || n FROM generate_series(0, $1::int - 1) n ON CONFLICT DO NOTHING`, [
  SUBJECTS,
]);
const transport = new KafkaTransport({ brokers, clientId: 'bench-a', logger, topics: [topicOf(topic)] });
const messaging = new Messaging({
  service: 'bench-a',
  database,
  transport,
  consumes: [],
  handlers: [],
  clock: systemClock,
  logger,
  metrics,
});
await messaging.start();
const publisher = new EventPublisher('bench-a', systemClock);

const CHANGE = {
  name: 'bench-change',
  text: `WITH changed AS (UPDATE aggregate SET revision = revision + 1 WHERE id = $1 RETURNING id, revision)
    INSERT INTO cause SELECT id, revision FROM changed RETURNING revision`,
};

function change(index, perTransaction = 1) {
  return database.transaction(async (tx) => {
    for (let step = 0; step < perTransaction; step += 1) {
      const id = `subject-${(index * perTransaction + step) % SUBJECTS}`;
      const [row] = await rows(tx, CHANGE, [id]);
      await publisher.publish(tx, changed, { id, revision: row.revision, padding: PADDING });
    }
  });
}

let running;
let paused = false;
serve({
  atRate: ({ rate, seconds }) => atRate({ rate, seconds, emit: (index) => change(index) }),
  flood: ({ perTransaction }) => {
    running = flood({ concurrency: perTransaction === 1 ? 12 : 4, emit: (index) => change(index, perTransaction), isPaused: () => paused });
  },
  pause: (value) => {
    paused = value;
  },
  stop: () => running.stop(),
  end: async () => {
    await messaging.stop();
    await transport.close();
    await database.close();
  },
});
