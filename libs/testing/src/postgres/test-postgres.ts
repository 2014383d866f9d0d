import { randomBytes } from 'node:crypto';
import { createLogger } from '@atrest/platform-logging';
import { EmbeddedPostgres } from '@atrest/platform-persistence';
import { TEST_POSTGRES_FOLDER } from './run.js';

let server: Promise<EmbeddedPostgres> | undefined;

/**
 * The PostgreSQL server that all test files of this run share; without fsync. The first who asks starts it, the global setup stops it.
 * Do not stop it.
 */
export function testPostgres(): Promise<EmbeddedPostgres> {
  const dataFolder = process.env[TEST_POSTGRES_FOLDER];
  if (dataFolder === undefined) {
    throw new Error('testPostgres() needs the global setup of vitest.config.ts (libs/testing/src/postgres/global-setup.ts).');
  }
  server ??= EmbeddedPostgres.start({ dataFolder, durable: false, logger: createLogger({ service: 'test-postgres', level: 'error' }) });
  return server;
}

export interface TestDatabase {
  readonly name: string;
  readonly url: string;
  /** Drops it, with the connections to it. Also by `await using`. */
  drop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** An empty database of its own. `name` tells people whose it is; it need not be unique. */
export async function testDatabase(name: string): Promise<TestDatabase> {
  const postgres = await testPostgres();
  const readable = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '_')
    .slice(0, 40);
  const database = `t_${readable}_${randomBytes(6).toString('hex')}`;
  await postgres.createDatabase(database);
  const drop = (): Promise<void> => postgres.dropDatabase(database);
  return { name: database, url: postgres.urlFor(database), drop, [Symbol.asyncDispose]: drop };
}
