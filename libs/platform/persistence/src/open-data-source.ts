import type { Logger } from '@atrest/platform-logging';
import { backoffMs } from '@atrest/platform-time';
import pg from 'pg';
import { DataSource, type Logger as TypeormLogger } from 'typeorm';
import { DatabaseUnavailableError, databaseErrorCode, isUnavailable, MigrationFailedError } from './errors.js';
import { DatabaseSession } from './session.js';

interface Options {
  readonly schema: string;
  readonly connection: pg.ClientConfig;
  readonly url: string;
  readonly migrations: readonly Function[];
  readonly entities: readonly Function[];
  readonly poolSize: number;
  readonly connectTimeoutMs: number;
  readonly logger: Logger;
}

/** The schema with all migrations, and a pool on it. */
export async function openDataSource(o: Options): Promise<DataSource> {
  const session = await connectPatiently(o);
  try {
    // Replicas start together: the first creates and migrates, the others wait here. The lock goes with the connection.
    await lock(session, `atrest.migrations.${o.schema}`);
    // Not CREATE IF NOT EXISTS: a role that owns just this schema may not create any, and need not.
    const [schema] = await session.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [o.schema]);
    if (schema === undefined) await session.query(`CREATE SCHEMA ${o.schema}`);
    const dataSource = new DataSource({
      type: 'postgres',
      driver: pg,
      url: o.url,
      schema: o.schema,
      entities: [...o.entities],
      migrations: [...o.migrations],
      migrationsTableName: 'migrations',
      migrationsTransactionMode: 'each',
      synchronize: false,
      installExtensions: false,
      logging: false,
      logger: typeormLogger(o.logger),
      poolSize: o.poolSize,
      extra: o.connection,
      poolErrorHandler: (error: unknown) => {
        o.logger.warn({ code: databaseErrorCode(error) }, 'a database connection broke while nobody used it; the pool opens a new one');
      },
    });
    await dataSource.initialize();
    await migrate(dataSource, o);
    return dataSource;
  } finally {
    await session.close();
  }
}

async function connectPatiently(o: Options): Promise<DatabaseSession> {
  const deadline = performance.now() + o.connectTimeoutMs;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await DatabaseSession.open(o.connection);
    } catch (error) {
      const code = databaseErrorCode(error);
      if (!isUnavailable(error)) {
        throw new DatabaseUnavailableError(`PostgreSQL refuses the connection (${code ?? 'no code'}): ${reasonOf(error)}`, {
          cause: error,
        });
      }
      const waitMs = backoffMs(attempt, { baseMs: 200, maxMs: 5_000 });
      if (performance.now() + waitMs >= deadline) {
        const seconds = Math.round(o.connectTimeoutMs / 1000);
        throw new DatabaseUnavailableError(`PostgreSQL cannot be reached (${code ?? 'no code'}) after ${seconds} s`, { cause: error });
      }
      o.logger.info({ code, waitMs }, 'PostgreSQL is not there yet');
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }
}

/** Waits without a limit, but in short statements: another replica may be busy with a long migration. */
async function lock(session: DatabaseSession, name: string): Promise<void> {
  for (;;) {
    const [row] = await session.query<{ locked: boolean }>('SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS locked', [name]);
    if (row?.locked === true) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function migrate(dataSource: DataSource, o: Options): Promise<void> {
  try {
    const done = await dataSource.runMigrations();
    if (done.length > 0) o.logger.info({ schema: o.schema, migrations: done.map((migration) => migration.name) }, 'schema migrated');
  } catch (error) {
    await dataSource.destroy();
    throw new MigrationFailedError(`A migration of schema ${o.schema} failed: ${reasonOf(error)}`, { cause: error });
  }
}

/** TypeORM would write to the console. Failed statements are thrown, so whoever catches them reports them. */
function typeormLogger(logger: Logger): TypeormLogger {
  const nothing = (): void => undefined;
  return {
    logQuery: nothing,
    logQueryError: nothing,
    logQuerySlow: nothing,
    logSchemaBuild: nothing,
    logMigration: (message) => logger.debug({ message }, 'migration'),
    log: (level, message: unknown) => logger.debug({ level, message }, 'TypeORM'),
  };
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown reason';
}
