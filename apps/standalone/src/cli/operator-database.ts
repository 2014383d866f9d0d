import { join, resolve } from 'node:path';
import type { Logger } from '@atrest/platform-logging';
import { EmbeddedPostgres } from '@atrest/platform-persistence';
import { readConfiguration } from '../configuration.js';

/** URL of the configured PostgreSQL, or of the embedded one, which is started when it does not run and left as it was found. */
export async function withOperatorDatabase<T>(logger: Logger, work: (url: string) => Promise<T>): Promise<T> {
  const configuration = readConfiguration(process.env);
  const external = configuration.ATREST_DATABASE_URL?.reveal();
  if (external !== undefined) return work(external);
  const embedded = await EmbeddedPostgres.start({ dataFolder: join(resolve(configuration.ATREST_DATA_DIR), 'postgres'), logger });
  try {
    return await work(embedded.url);
  } finally {
    if (embedded.adopted) embedded.leave();
    else await embedded.stop();
  }
}
