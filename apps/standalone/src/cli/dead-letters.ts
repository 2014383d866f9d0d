import { parseArgs } from 'node:util';
import { createLogger, type Logger } from '@atrest/platform-logging';
import { DeadLetters } from '@atrest/platform-messaging';
import { Metrics } from '@atrest/platform-metrics';
import { ServiceDatabase } from '@atrest/platform-persistence';
import { withOperatorDatabase } from './operator-database.js';

const USAGE = `Parked events: taken out of the way of the others, kept, waiting for a person.

  npm run dead-letters -- list   <service> [--all]
  npm run dead-letters -- show   <service> <id>
  npm run dead-letters -- replay <service> <id>

Services: fleet, kms-validation, notification, restore-execution, snapshot-catalog.`;

const SERVICES = ['fleet', 'kms-validation', 'notification', 'restore-execution', 'snapshot-catalog'];

class UsageError extends Error {}

async function main(args: string[]): Promise<void> {
  const { positionals, values } = parseArgs({ args, allowPositionals: true, options: { all: { type: 'boolean', default: false } } });
  const [command, service, id] = positionals;
  if (command === undefined || service === undefined || !SERVICES.includes(service)) throw new UsageError(USAGE);
  const logger = createLogger({ service: 'dead-letters', level: 'warn' });
  await withDatabase(service, logger, async (database) => {
    // A running service looks into its inbox every second: no wake-up is needed from here.
    await run(command, new DeadLetters(database, () => undefined), { id: Number(id), all: values.all });
  });
}

async function run(command: string, letters: DeadLetters, o: { readonly id: number; readonly all: boolean }): Promise<void> {
  if (command === 'list') {
    const found = await letters.list({ all: o.all });
    if (found.length === 0) console.log('Nothing is parked.');
    for (const letter of found) {
      const replayed = letter.replayedAt === null ? '' : `  replayed ${letter.replayedAt.toISOString()}`;
      console.log(
        `${letter.id}  ${letter.parkedAt.toISOString()}  ${letter.type ?? 'unknown type'}  ${letter.reason}  ${letter.detail}${replayed}`,
      );
    }
    return;
  }
  if (!Number.isSafeInteger(o.id)) throw new UsageError(USAGE);
  if (command === 'show') {
    const letter = await letters.show(o.id);
    if (letter === undefined) throw new UsageError(`There is no parked event ${o.id}.`);
    console.log(JSON.stringify(letter, null, 2));
    return;
  }
  if (command !== 'replay') throw new UsageError(USAGE);
  const outcome = await letters.replay(o.id);
  if (outcome !== 'replayed') throw new UsageError(`Event ${o.id} was not replayed: ${outcome}.`);
  console.log(`Event ${o.id} is back in the inbox; the running service handles it within a second.`);
}

/** The service's database; nothing is migrated. */
async function withDatabase(service: string, logger: Logger, work: (database: ServiceDatabase) => Promise<void>): Promise<void> {
  await withOperatorDatabase(logger, async (url) => {
    const database = await ServiceDatabase.open({ service, url, migrations: [], logger, metrics: new Metrics({}) });
    try {
      await work(database);
    } finally {
      await database.close();
    }
  });
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
