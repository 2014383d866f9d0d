import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createLogger } from '@atrest/platform-logging';
import pg from 'pg';
import { EmbeddedPostgres } from '../index.js';

/** Starts a server, writes something, and is killed without a chance to stop it. */
export async function startAndDie(dataFolder: string): Promise<void> {
  const server = await EmbeddedPostgres.start({ dataFolder, logger: createLogger({ service: 'test', level: 'error' }), durable: false });
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  await client.query(`CREATE TABLE kept AS SELECT 'written by the parent' AS word`);
  await client.end();
  await writeFile(join(dataFolder, 'port'), String(server.port));
  process.kill(process.pid, 'SIGKILL');
}
