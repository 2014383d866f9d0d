import { writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { Dispatcher } from '../commands/dispatcher.js';
import { readPlantedFaults, serveControl } from '../control/control-server.js';
import { Faults } from '../control/faults.js';
import { type StopSignal, abort, logSignal } from '../process/ending.js';
import { buildInfo } from '../process/identity.js';
import { Access, memberLogin } from '../access/access.js';
import { ConfigUsers } from '../access/users.js';
import { keyFileProblem } from '../process/key-file.js';
import { WireClient } from '../wire/client.js';
import { ACCESS_CONTROL_WARNING, MAIN_LINES, ROOT_WARNING } from '../process/log-lines.js';
import type { ServerLog } from '../process/log.js';
import type { ServerOptions } from '../process/options.js';
import { type Parameters, type Timings, timingsFor } from '../process/parameters.js';
import { connectionHooks } from '../process/connection-hooks.js';
import { type Launch, controlPathOf, listenProblem, listenerError } from '../process/launch.js';
import { onSignal } from '../process/startup-signals.js';
import type { ServerBase, StopRequest } from '../server.js';
import { TopologyVersion } from '../topology-version.js';
import { WireServer } from '../wire/server.js';
import { mongosTables } from './mongos-commands.js';
import { parseSetAddress } from './replica-set-monitor.js';
import { ShardingCatalog } from './sharding-catalog.js';

const MAIN = 'mongosMain';

/** The stand-in of one mongos process, from its start to its exit code. */
export class Mongos implements ServerBase {
  readonly options: ServerOptions;
  readonly parameters: Parameters;
  readonly timings: Timings;
  readonly log: ServerLog;
  readonly faults = new Faults();
  readonly topology = new TopologyVersion();
  readonly wire: WireServer;
  readonly startedAt = Date.now();
  stopping = false;
  readonly #catalog: ShardingCatalog;
  #listening = false;

  constructor({ options, parameters, log }: Launch) {
    this.options = options;
    this.parameters = parameters;
    this.log = log;
    this.timings = timingsFor(parameters.get('simFast') === true);
    this.#catalog = new ShardingCatalog(parseSetAddress(options.configDb ?? ''));
    const { keyFile } = options;
    const users = new ConfigUsers((command) => this.#catalog.config('admin', command));
    const access = keyFile === undefined ? undefined : new Access(this, keyFile, users);
    const { tables, commandNames } = mongosTables(this, () => this.#catalog, access);
    const dispatcher = new Dispatcher(this, tables, {
      admit: (_command, context) => access?.admit(context),
      replyFields: () => ({}),
      fatal: () => undefined,
    });
    commandNames.push(...dispatcher.names());
    this.wire = new WireServer(connectionHooks(log, dispatcher, () => undefined));
  }

  /** Starts the router. It says that it waits for connections as soon as its config servers have a primary. */
  async start(): Promise<void> {
    onSignal((signal) => this.#signalled(signal));
    const controlPath = controlPathOf(this);
    if (controlPath !== undefined) readPlantedFaults(controlPath, this.faults);
    this.#startLines();
    const problem = await listenProblem(this.options);
    if (problem !== undefined) this.#portFailure(problem);
    await this.#pause(0);
    if (this.options.pidFile !== undefined) writeFileSync(this.options.pidFile, `${process.pid}\n`);
    if (controlPath !== undefined) {
      await serveControl(controlPath, this.faults, (kind) => {
        if (kind === 'crash') abort(this.log, 'SignalHandler');
      });
    }
    await this.#awaitConfigServers();
    if (this.options.logPath === undefined) {
      this.log.warn(
        MAIN,
        'FTDC',
        23911,
        "FTDC is disabled because neither '--logpath' nor set parameter 'diagnosticDataCollectionDirectoryPath' are specified.",
      );
    }
    this.log.info(MAIN, 'FTDC', 20625, 'Initializing full-time diagnostic data capture', { dataDirectory: '' });
    await this.#pause(this.faults.startDelayMs);
    try {
      await this.wire.listen(this.options.addresses, this.options.port);
    } catch (error) {
      this.#portFailure(error as NodeJS.ErrnoException);
    }
    this.#listening = true;
    await this.#pause(0);
    const { addresses, port } = this.options;
    this.log.info('listener', 'NETWORK', 23015, 'Listening on', { address: `/tmp/mongodb-${port}.sock` });
    for (const address of addresses) this.log.info('listener', 'NETWORK', 23015, 'Listening on', { address });
    this.log.info('listener', 'NETWORK', 23016, 'Waiting for connections', { port, ssl: 'off' });
  }

  stop({ context }: StopRequest): Promise<void> {
    if (this.stopping) return new Promise(() => undefined);
    this.stopping = true;
    this.topology.wake();
    this.log.info(context, 'NETWORK', 22843, 'shutdown: going to close all sockets...');
    this.wire.stopListening();
    if (this.#listening)
      this.log.info('listener', 'NETWORK', 23017, 'removing socket file', { path: `/tmp/mongodb-${this.options.port}.sock` });
    for (const replicaSet of [...this.#catalog.shards.map((shard) => shard.name), this.#catalog.configServers.setName]) {
      this.log.info(context, 'NETWORK', 4333209, 'Closing Replica Set Monitor', { replicaSet });
      this.log.info(context, 'NETWORK', 4333210, 'Done closing Replica Set Monitor', { replicaSet });
    }
    this.#catalog.close();
    this.log.info('ReplicaSetMonitor-TaskExecutor', 'ASIO', 22582, 'Killing all outstanding egress activity.');
    this.log.info(context, '-', 4695300, 'Interrupted all currently running operations', { opsKilled: this.wire.connections });
    this.wire.closeConnections();
    this.log.info('ShardRegistry', 'ASIO', 22582, 'Killing all outstanding egress activity.');
    this.log.info('TaskExecutorPool-0', 'ASIO', 22582, 'Killing all outstanding egress activity.');
    this.log.warn('shard-registry-reload', 'SHARDING', 22734, 'Error reloading shard registry', {
      error: 'CallbackCanceled: Callback canceled',
    });
    this.log.info('shard-registry-reload', 'ASIO', 22582, 'Killing all outstanding egress activity.');
    if (this.#listening) this.log.info(context, 'FTDC', 20626, 'Shutting down full-time diagnostic data capture');
    return this.#exit(context, 0);
  }

  #signalled(signal: StopSignal): void {
    if (this.stopping) return;
    logSignal(this.log, signal);
    if (this.faults.has('ignore-sigterm')) return;
    void this.stop({ context: 'SignalHandler', force: true, waitMs: 0 });
  }

  #exit(context: string, exitCode: number): never {
    this.log.info(context, 'CONTROL', 23138, 'Shutting down', { exitCode });
    this.log.close();
    process.exit(exitCode);
  }

  async #pause(ms: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, ms));
    if (this.stopping) await new Promise(() => undefined);
  }

  #startLines(): void {
    const { hosts } = this.#catalog.configServers;
    if (hosts.length < 3) {
      this.log.warn(
        'main',
        'SHARDING',
        24132,
        'Running a sharded cluster with fewer than 3 config servers should only be done for testing purposes and is not recommended for production.',
      );
    }
    const [first, , last] = MAIN_LINES;
    if (first !== undefined) this.log.write('main', { s: first[0], c: first[1], id: first[2], msg: first[3] });
    const { keyFile } = this.options;
    if (keyFile !== undefined) {
      WireClient.login = () => memberLogin(keyFile);
      const problem = keyFileProblem(keyFile);
      if (problem !== undefined) {
        this.log.info('main', 'ACCESS', 20254, 'Read security file failed', { error: problem });
        process.exit(1);
      }
    }
    for (const [s, c, id, msg] of [
      ...(this.options.keyFile === undefined ? [ACCESS_CONTROL_WARNING] : []),
      ...(process.getuid?.() === 0 ? [ROOT_WARNING] : []),
    ]) {
      this.log.write('main', { s, c, id, msg, startupWarning: true });
    }
    this.log.info(MAIN, 'CONTROL', 23403, 'Build Info', { buildInfo: buildInfo() });
    this.log.info(MAIN, 'CONTROL', 51765, 'Operating System', { os: { name: process.platform, version: `Kernel ${release()}` } });
    this.log.info(MAIN, 'CONTROL', 21951, 'Options set by command line', { options: this.options.parsed });
    if (last !== undefined) this.log.write(MAIN, { s: last[0], c: last[1], id: last[2], msg: last[3] });
  }

  #portFailure(problem: NodeJS.ErrnoException): never {
    this.log.error(MAIN, 'SHARDING', 22856, 'Error setting up listener', { error: listenerError(problem) });
    return this.#exit(MAIN, 48);
  }

  async #awaitConfigServers(): Promise<void> {
    const { configServers } = this.#catalog;
    const uri = this.options.configDb;
    const replicaSet = configServers.setName;
    this.log.info(MAIN, 'NETWORK', 4603701, 'Starting Replica Set Monitor', { protocol: 'streamable', uri });
    this.log.info(MAIN, '-', 4333223, 'RSM now monitoring replica set', { replicaSet, nReplicaSetMembers: configServers.hosts.length });
    for (const host of configServers.hosts) this.log.info(MAIN, '-', 4333226, 'RSM host was added to the topology', { replicaSet, host });
    this.log.info('thread1', 'SHARDING', 22649, 'Creating distributed lock ping thread', { pingIntervalMillis: 30_000 });
    for (;;) {
      try {
        await this.#catalog.refresh(0);
        break;
      } catch (error) {
        const reason = error instanceof Error ? error.message : 'unknown';
        this.log.warn(MAIN, 'SHARDING', 22823, 'Error initializing sharding state, sleeping for 2 seconds and trying again', {
          error: reason,
        });
        await this.#pause(this.timings.configServerRetryMs);
      }
    }
    await this.#pause(0);
    const connectionString = configServers.connectionString;
    this.log.info('ReplicaSetMonitor-TaskExecutor', 'NETWORK', 4333213, 'RSM Topology Change', { replicaSet });
    this.log.info('ReplicaSetMonitor-TaskExecutor', 'SHARDING', 471693, 'Updating the shard registry with confirmed replica set', {
      connectionString,
    });
    this.log.info('Sharding-Fixed-0', 'SHARDING', 22846, 'Updating sharding state with confirmed replica set', { connectionString });
  }
}
