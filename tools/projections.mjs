// npm run projections -- rebuild <service>
// Lets a stopped service read its compacted topics again (docs/how-to/rebuild-projections.md).
import { topics } from '@atrest/contracts';
import { compileConfig, secret } from '@atrest/platform-config';
import { kafkaFields, kafkaSettings } from '@atrest/platform-host';
import { createLogger } from '@atrest/platform-logging';
import { rebuildProjections } from '@atrest/platform-messaging';
import { KafkaTransport } from '@atrest/platform-messaging-kafka';
import { Metrics } from '@atrest/platform-metrics';
import { ServiceDatabase } from '@atrest/platform-persistence';

const USAGE = `Lets a stopped service read its compacted topics again.

  npm run projections -- rebuild <service>

Set ATREST_DATABASE_URL and ATREST_KAFKA_* as for the service.`;

const [command, service, ...rest] = process.argv.slice(2);
if (command !== 'rebuild' || service === undefined || rest.length > 0) {
  console.error(USAGE);
  process.exit(2);
}
const logger = createLogger({ service: 'projections', level: 'warn' });
let database;
try {
  const fields = { ATREST_DATABASE_URL: secret({ description: "PostgreSQL, with the service's own role" }), ...kafkaFields };
  const configuration = compileConfig(fields, process.env);
  const transport = new KafkaTransport({ ...kafkaSettings(configuration), clientId: 'atrest-projections', logger });
  database = await ServiceDatabase.open({
    service,
    url: configuration.ATREST_DATABASE_URL.reveal(),
    migrations: [],
    logger,
    metrics: new Metrics({}),
  });
  const forgotten = await rebuildProjections({ database, transport, topics: Object.values(topics) });
  console.log(`${forgotten} events will be handled again. Start ${service}.`);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
} finally {
  await database?.close();
}
