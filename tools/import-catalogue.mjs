// npm run import-catalogue -- <file>
// Lists again what the snapshot store holds and the catalogue has lost (docs/how-to/back-up-a-cluster.md).
import { open } from 'node:fs/promises';
import { compileConfig, secret } from '@atrest/platform-config';
import { createLogger } from '@atrest/platform-logging';
import { Metrics } from '@atrest/platform-metrics';
import { ServiceDatabase } from '@atrest/platform-persistence';
import { systemClock } from '@atrest/platform-time';
import { importCatalogue } from '@atrest/snapshot-catalog';

const USAGE = `Lists again what the snapshot store holds and the catalogue has lost. What is listed already stays as it is.

  npm run -s atrest-store -- rebuild-catalog … > catalogue.jsonl
  npm run import-catalogue -- catalogue.jsonl

Set ATREST_DATABASE_URL as for snapshot-catalog, which has made its tables at its first start and may be running.`;

const [file, ...rest] = process.argv.slice(2);
if (file === undefined || rest.length > 0) {
  console.error(USAGE);
  process.exit(2);
}
let database;
try {
  const fields = { ATREST_DATABASE_URL: secret({ description: "PostgreSQL, with the service's own role" }) };
  database = await ServiceDatabase.open({
    service: 'snapshot-catalog',
    url: compileConfig(fields, process.env).ATREST_DATABASE_URL.reveal(),
    migrations: [],
    logger: createLogger({ service: 'import-catalogue', level: 'warn' }),
    metrics: new Metrics({}),
  });
  const { imported, known, problems } = await importCatalogue(database, (await open(file)).readLines(), systemClock);
  for (const { line, detail } of problems) console.error(`line ${line}: ${detail}`);
  console.log(`${imported} snapshots were imported, ${known} were known already, ${problems.length} lines could not be read.`);
  if (problems.length > 0) process.exitCode = 1;
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
} finally {
  await database?.close();
}
