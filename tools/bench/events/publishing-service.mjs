// Service A of the benchmark: changes aggregates and publishes each change in the same transaction.
import { EventPublisher, Messaging, messagingMigrations } from '@atrest/platform-messaging';
import { KafkaTransport } from '@atrest/platform-messaging-kafka';
import { Metrics } from '@atrest/platform-metrics';
import { rows, ServiceDatabase } from '@atrest/platform-persistence';
import { systemClock } from '@atrest/platform-time';
import { atRate, changedOn, flood, keyOf, loggerOf, migration, PADDING, serve, SUBJECTS, topicOf } from './shared.mjs';

const { url, brokers, topic } = JSON.parse(process.argv[2]);
const logger = loggerOf('bench-a');
const metrics = new Metrics();
const changed = changedOn(topic);
const database = await ServiceDatabase.open({
  service: 'bench-a',
  url,
  migrations: [
    ...messagingMigrations,
    migration('Aggregates1700000000001', 'CREATE TABLE aggregate (id text PRIMARY KEY, revision int NOT NULL DEFAULT 0)'),
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

/** The state of the subjects; one statement for all that a transaction changes, as a service changes the clusters of a key. */
const CHANGE = {
  name: 'bench-change',
  text: `UPDATE aggregate SET revision = revision + 1 WHERE id = ANY($1) RETURNING id, revision, pg_current_xact_id()::text AS xid`,
};

/** `<subject>/<revision>` and the transaction of each change, so that PostgreSQL can be asked when it was committed. */
let changes = [];

function change(index, perTransaction = 1) {
  const ids = Array.from({ length: perTransaction }, (_, step) => `subject-${(index * perTransaction + step) % SUBJECTS}`);
  return database.transaction(async (tx) => {
    for (const { id, revision, xid } of await rows(tx, CHANGE, [ids])) {
      changes.push([keyOf(id, revision), xid]);
      await publisher.publish(tx, changed, { id, revision, padding: PADDING });
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
  changes: () => {
    const taken = changes;
    changes = [];
    return taken;
  },
  end: async () => {
    await messaging.stop();
    await transport.close();
    await database.close();
  },
});
