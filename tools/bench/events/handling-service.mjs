// Service B of the benchmark: its handler keeps a projection, as the services do, with one upsert per event.
import { defineHandler, Messaging, messagingMigrations } from '@atrest/platform-messaging';
import { KafkaTransport } from '@atrest/platform-messaging-kafka';
import { Metrics } from '@atrest/platform-metrics';
import { rows, ServiceDatabase } from '@atrest/platform-persistence';
import { systemClock } from '@atrest/platform-time';
import { changedOn, keyOf, loggerOf, migration, serve, topicOf } from './shared.mjs';

const { url, brokers, topic } = JSON.parse(process.argv[2]);
const logger = loggerOf('bench-b');
const metrics = new Metrics();
const changed = changedOn(topic);
const database = await ServiceDatabase.open({
  service: 'bench-b',
  url,
  migrations: [
    ...messagingMigrations,
    migration('Projections1700000000001', 'CREATE TABLE projection (id text PRIMARY KEY, revision int NOT NULL, padding text NOT NULL)'),
  ],
  logger,
  metrics,
});
const REMEMBER = {
  name: 'bench-remember',
  text: `INSERT INTO projection (id, revision, padding) VALUES ($1, $2, $3)
    ON CONFLICT (id) DO UPDATE SET revision = EXCLUDED.revision, padding = EXCLUDED.padding WHERE projection.revision = EXCLUDED.revision - 1
    RETURNING pg_current_xact_id()::text AS xid`,
};
/** `<subject>/<revision>` and the transaction of each effect, so that PostgreSQL can be asked when it was committed. */
let effects = [];
/** Events that did not follow the one before them. */
let strange = 0;
const handler = defineHandler(
  changed,
  'remember',
  async (event, tx) => {
    const { id, revision, padding } = event.data;
    const [row] = await rows(tx, REMEMBER, [id, revision, padding]);
    if (row === undefined) strange += 1;
    else effects.push([keyOf(id, revision), row.xid]);
  },
  // As of a projection that compares revisions: what it writes depends on nothing that it reads.
  { oneStatement: true },
);
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
  effects: () => {
    const taken = effects;
    effects = [];
    return taken;
  },
  strange: () => strange,
  end: async () => {
    await messaging.stop();
    await transport.close();
    await database.close();
  },
});
