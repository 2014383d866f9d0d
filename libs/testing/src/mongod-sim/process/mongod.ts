import { readFileSync, writeFileSync } from 'node:fs';
import { hostname, release } from 'node:os';
import { Access, memberLogin } from '../access/access.js';
import { ownUsers } from '../access/users.js';
import { BackupCursors } from '../commands/backup-cursor.js';
import { Cursors } from '../commands/cursors.js';
import { Dispatcher } from '../commands/dispatcher.js';
import { admitCommand, mongodTables, replyFields } from '../commands/mongod-commands.js';
import { readPlantedFaults, serveControl } from '../control/control-server.js';
import { Faults } from '../control/faults.js';
import type { Replication } from '../replication/replication.js';
import { awaitConfigServer, lingerWithoutConfigServer } from '../router/shard-member.js';
import type { MongodServer, StopRequest } from '../server.js';
import { DataWriter } from '../storage/data-writer.js';
import type { StorageEngine } from '../storage/engine.js';
import { FsyncLock } from '../storage/fsync-lock.js';
import { TopologyVersion } from '../topology-version.js';
import { WireClient } from '../wire/client.js';
import { WireServer } from '../wire/server.js';
import { connectionHooks } from './connection-hooks.js';
import { DbPathError, DbPathLock } from './db-path.js';
import { type StopSignal, abort, endOnDiskError, logSignal } from './ending.js';
import { StartRefused, hasDataFiles, openEngine } from './open-engine.js';
import { writeFirstCollections, writeSessionsCollection } from './first-collections.js';
import { buildInfo } from './identity.js';
import { keyFileProblem } from './key-file.js';
import { ACCESS_CONTROL_WARNING, MAIN_LINES, ROOT_WARNING } from './log-lines.js';
import type { ServerLog, Severity } from './log.js';
import type { ServerOptions } from './options.js';
import { type Parameters, type Timings, timingsFor } from './parameters.js';
import { type Launch, controlPathOf, listenProblem, listenerError } from './launch.js';
import { onSignal } from './startup-signals.js';
import { runStopSequence } from './stop-sequence.js';

const INIT = 'initandlisten';
/** A stopping member seeks no election any more. */
const NEVER_AGAIN_MS = 24 * 3600 * 1000;

/** A never-settling promise: the start ends here because the server is being stopped. */
function forever(): Promise<never> {
  return new Promise(() => undefined);
}

/** The stand-in of one mongod process, from its start to its exit code. */
export class Mongod implements MongodServer {
  readonly options: ServerOptions;
  readonly parameters: Parameters;
  readonly timings: Timings;
  readonly log: ServerLog;
  readonly faults = new Faults();
  readonly topology = new TopologyVersion();
  readonly wire: WireServer;
  readonly cursors = new Cursors();
  readonly backup = new BackupCursors(this);
  readonly fsyncLock = new FsyncLock();
  readonly startedAt = Date.now();
  stopping = false;
  engine!: StorageEngine;
  writer!: DataWriter;
  replication: Replication | undefined;
  readonly access: Access | undefined;
  #lock: DbPathLock | undefined;
  /** A stop has begun: the start must not go on. */
  #stopRequested = false;
  readonly #stage = { transport: false, storage: false, capture: false, listening: false };

  constructor({ options, parameters, log }: Launch) {
    this.options = options;
    this.parameters = parameters;
    this.log = log;
    this.timings = timingsFor(parameters.get('simFast') === true);
    const { keyFile } = options;
    this.access = keyFile === undefined ? undefined : new Access(this, keyFile, ownUsers(this));
    if (keyFile !== undefined) WireClient.login = () => memberLogin(keyFile);
    const { tables, commandNames } = mongodTables(this);
    const dispatcher = new Dispatcher(this, tables, {
      admit: (command, context) => admitCommand(this, command, context),
      replyFields: () => replyFields(this),
      fatal: (error) => endOnDiskError(log, error),
    });
    commandNames.push(...dispatcher.names());
    this.wire = new WireServer(
      connectionHooks(log, dispatcher, ({ member }) => {
        if (member !== undefined) this.replication?.connectionLost(member);
      }),
    );
  }

  /** Starts the server. The promise settles when it waits for connections; it never rejects: failures end the process. */
  async start(): Promise<void> {
    onSignal((signal) => this.#signalled(signal));
    this.#mainLines();
    const controlPath = controlPathOf(this);
    if (controlPath !== undefined) readPlantedFaults(controlPath, this.faults);
    this.#startLines();
    await this.#checkPort();
    await this.#openStorage();
    if (controlPath !== undefined) await serveControl(controlPath, this.faults, (kind) => this.#faultSet(kind));
    this.#stage.capture = true;
    this.log.info(INIT, 'FTDC', 20625, 'Initializing full-time diagnostic data capture', {
      dataDirectory: `${this.options.dbPath}/diagnostic.data`,
    });
    if (this.options.replSet !== undefined) await this.#openReplication(this.options.replSet);
    else
      this.log.info(
        'LogicalSessionCacheReap',
        'CONTROL',
        20712,
        'Sessions collection is not set up; waiting until next sessions reap interval',
        {
          error: 'NamespaceNotFound: config.system.sessions does not exist',
        },
      );
    await this.#startSlowly();
    await this.#listen();
    if (this.options.replSet === undefined) writeSessionsCollection(this);
  }

  async stop({ context, force, waitMs }: StopRequest): Promise<void> {
    if (this.#stopRequested) return forever();
    this.#stopRequested = true;
    const wasPrimary = this.replication?.isPrimary === true;
    const stage = { ...this.#stage, replicaSet: this.options.replSet !== undefined, port: this.options.port };
    await runStopSequence(this.log, context, stage, waitMs, {
      stepDown: async () => {
        if (wasPrimary) {
          try {
            await this.replication?.stepDown({ waitMs, force, frozenMs: NEVER_AGAIN_MS, context });
          } catch (error) {
            this.#stopRequested = false;
            throw error;
          }
        }
        this.stopping = true;
        this.topology.wake();
      },
      closeListener: () => this.wire.stopListening(),
      stopReplication: async () => {
        await this.replication?.stop(context);
        if (this.options.clusterRole === 'shardsvr') await lingerWithoutConfigServer(this);
      },
      closeConnections: () => {
        const open = this.wire.connections;
        this.wire.closeConnections();
        return open;
      },
      closeStorage: () => {
        this.engine.close();
        this.#lock?.release();
        this.#lock = undefined;
      },
    });
    this.#exit(context, 0);
  }

  #signalled(signal: StopSignal): void {
    if (this.#stopRequested) return;
    logSignal(this.log, signal);
    if (this.faults.has('ignore-sigterm')) return;
    void this.stop({ context: 'SignalHandler', force: true, waitMs: this.timings.shutdownWaitMs });
  }

  #exit(context: string, exitCode: number): never {
    // A lock that was taken for a start that failed is given back without touching what an earlier server left.
    if (this.#lock !== undefined && this.#stage.storage) this.#lock.release();
    this.log.info(context, 'CONTROL', 23138, 'Shutting down', { exitCode });
    this.log.close();
    process.exit(exitCode);
  }

  async #fail(exitCode: number): Promise<never> {
    this.stopping = true;
    await runStopSequence(this.log, INIT, { ...this.#stage, replicaSet: false, port: this.options.port }, this.timings.shutdownWaitMs, {
      stepDown: () => Promise.resolve(),
      closeListener: () => undefined,
      stopReplication: () => Promise.resolve(),
      closeConnections: () => 0,
      closeStorage: () => undefined,
    });
    return this.#exit(INIT, exitCode);
  }

  /** Lets signals in between steps of the start; never returns when the server is being stopped. */
  async #pause(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 0));
    if (this.#stopRequested) await forever();
  }

  /** The fault 'start slowly': until its time is over or it is cleared. */
  async #startSlowly(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await this.faults.whileSet('start-slowly', new Promise((resolve) => (timer = setTimeout(resolve, this.faults.startDelayMs))));
    clearTimeout(timer);
    await this.#pause();
  }

  #faultSet(kind: string): void {
    if (kind === 'crash') abort(this.log, 'SignalHandler');
    if (kind === 'lose-disk') this.engine.diskLost = true;
  }

  #mainLines(): void {
    for (const [s, c, id, msg] of MAIN_LINES) this.log.write('main', { s, c, id, msg });
    if (this.options.replSet !== undefined) {
      const [s, c, id, msg] = MAIN_LINES[1] as (typeof MAIN_LINES)[number];
      this.log.write('main', { s, c, id, msg });
    }
    if (this.options.keyFile === undefined) return;
    const problem = keyFileProblem(this.options.keyFile);
    if (problem === undefined) return;
    this.log.info('main', 'ACCESS', 20254, 'Read security file failed', { error: problem });
    process.exit(1);
  }

  #startLines(): void {
    const { dbPath, port, parsed } = this.options;
    this.log.info(INIT, 'STORAGE', 4615611, 'MongoDB starting', {
      pid: process.pid,
      port,
      dbPath,
      architecture: '64-bit',
      host: hostname(),
    });
    this.log.info(INIT, 'CONTROL', 23403, 'Build Info', { buildInfo: buildInfo() });
    this.log.info(INIT, 'CONTROL', 51765, 'Operating System', { os: { name: process.platform, version: `Kernel ${release()}` } });
    this.log.info(INIT, 'CONTROL', 21951, 'Options set by command line', { options: parsed });
  }

  /** mongod takes the port before it looks at the dbPath: with both in use the port decides. */
  async #checkPort(): Promise<void> {
    const problem = await listenProblem(this.options);
    if (problem !== undefined) await this.#portFailure(problem);
    this.#stage.transport = true;
    await this.#pause();
  }

  #portFailure(problem: NodeJS.ErrnoException): Promise<never> {
    this.log.error(INIT, 'STORAGE', 20568, 'Error setting up listener', { error: listenerError(problem) });
    return this.#fail(48);
  }

  async #openStorage(): Promise<void> {
    const { dbPath } = this.options;
    try {
      this.#lock = await DbPathLock.acquire(dbPath);
    } catch (error) {
      if (!(error instanceof DbPathError)) throw error;
      this.log.error(INIT, 'STORAGE', 20557, 'DBException in initAndListen, terminating', { error: error.message });
      return this.#fail(100);
    }
    if (this.#stopRequested) await forever();
    const unclean = this.#lock.wasUnclean;
    if (unclean) {
      this.log.warn(INIT, 'STORAGE', 22271, 'Detected unclean shutdown - Lock file is not empty', { lockFile: `${dbPath}/mongod.lock` });
    }
    if (this.options.pidFile !== undefined) writeFileSync(this.options.pidFile, `${process.pid}\n`);
    const message = (text: string): void => this.log.info(INIT, 'STORAGE', 22430, 'WiredTiger message', { message: text });
    if (hasDataFiles(dbPath)) {
      const attr = { dbpath: dbPath, storageEngine: 'wiredTiger' };
      this.log.info(INIT, 'STORAGE', 22270, 'Storage engine to use detected by data files', attr);
    }
    if (unclean) this.log.warn(INIT, 'STORAGE', 22302, 'Recovering data from the last clean checkpoint.');
    const begin = Date.now();
    this.log.write(INIT, {
      s: 'I',
      c: 'STORAGE',
      id: 22297,
      msg: 'Using the XFS filesystem is strongly recommended with the WiredTiger storage engine. See http://dochub.mongodb.org/core/prodnotes-filesystem',
      startupWarning: true,
    });
    await this.#loadEngine();
    this.#lock.markRunning();
    if (unclean) message('txn-recover: [WT_VERB_RECOVERY_PROGRESS] Recovering the journal (mongod-sim)');
    message('txn-recover: [WT_VERB_RECOVERY | WT_VERB_RECOVERY_PROGRESS] Set global recovery timestamp: (0, 0)');
    message('txn-recover: [WT_VERB_RECOVERY | WT_VERB_RECOVERY_PROGRESS] Set global oldest timestamp: (0, 0)');
    this.log.info(INIT, 'STORAGE', 4795906, 'WiredTiger opened', { durationMillis: Date.now() - begin });
    this.log.info(INIT, 'RECOVERY', 23987, 'WiredTiger recoveryTimestamp', { recoveryTimestamp: this.writer.lastApplied.ts });
    this.log.info(INIT, 'STORAGE', 4366408, 'No table logging settings modifications are required for existing WiredTiger tables', {
      loggingEnabled: this.options.replSet === undefined,
    });
    this.log.info(INIT, 'STORAGE', 22262, 'Timestamp monitor starting');
    this.#stage.storage = true;
    this.#warnings();
    try {
      writeFirstCollections(this);
    } catch (error) {
      endOnDiskError(this.log, error);
      throw error;
    }
    await this.#pause();
  }

  async #loadEngine(): Promise<void> {
    try {
      this.engine = openEngine(this.options, this.log);
    } catch (error) {
      if (!(error instanceof StartRefused)) throw error;
      return this.#fail(100);
    }
    this.writer = new DataWriter(this.engine);
    if (this.faults.has('lose-disk')) this.engine.diskLost = true;
  }

  #warnings(): void {
    if (this.options.keyFile === undefined) this.#warn(ACCESS_CONTROL_WARNING);
    if (process.getuid?.() === 0) this.#warn(ROOT_WARNING);
    const limit = openFilesLimit();
    if (limit !== undefined && limit < 64_000) {
      const attr = { currentValue: limit, recommendedMinimum: 64_000 };
      this.log.write(INIT, { s: 'W', c: 'CONTROL', id: 22184, msg: 'Soft rlimits too low', attr, startupWarning: true });
    }
  }

  #warn([s, c, id, msg]: readonly [Severity, string, number, string]): void {
    this.log.write(INIT, { s, c, id, msg, startupWarning: true });
  }

  async #openReplication(setName: string): Promise<void> {
    const { ReplicationCoordinator } = await import('../replication/coordinator.js');
    this.replication = new ReplicationCoordinator(this, setName);
    this.replication.recover(this.#lock?.wasUnclean === true);
  }

  async #listen(): Promise<void> {
    const { addresses, port } = this.options;
    try {
      await this.wire.listen(addresses, port);
    } catch (error) {
      await this.#portFailure(error as NodeJS.ErrnoException);
    }
    this.#stage.listening = true;
    if (this.#stopRequested) await forever();
    const replication = this.replication?.start();
    await this.#awaitConfigServer();
    this.log.info('listener', 'NETWORK', 23015, 'Listening on', { address: `/tmp/mongodb-${port}.sock` });
    for (const address of addresses) this.log.info('listener', 'NETWORK', 23015, 'Listening on', { address });
    this.log.info('listener', 'NETWORK', 23016, 'Waiting for connections', { port, ssl: 'off' });
    await replication;
  }

  /** A shard waits for its config servers before it says that it is ready, although it answers already. */
  async #awaitConfigServer(): Promise<void> {
    if (this.options.clusterRole !== 'shardsvr') return;
    await awaitConfigServer(this);
    if (this.#stopRequested) await forever();
  }
}

/** Soft limit of open files, which mongod warns about. */
function openFilesLimit(): number | undefined {
  if (process.platform !== 'linux') return undefined;
  const line = readFileSync('/proc/self/limits', 'utf8')
    .split('\n')
    .find((text) => text.startsWith('Max open files'));
  const value = Number(line?.slice(26).trim().split(/\s+/)[0]);
  return Number.isFinite(value) ? value : undefined;
}
