import { mkdir, mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { vi } from 'vitest';
import { commandLine, type ArgumentsGoal } from './arguments.js';
import { ChildProcessRunner } from './child-process-runner.js';
import { MongodConnection } from './connection.js';
import { parseLogLine, type LogRecord } from './log-record.js';
import type { ProcessExit, SupervisedProcess } from './process-runner.js';
import { RunLog } from './run-log.js';

/** The server a suite is run against. */
export interface ServerUnderTest {
  readonly mongod: string;
  /** Null skips what needs a sharded cluster. */
  readonly mongos: string | null;
  /** Given to every process; smaller caches and, for a stand-in, shorter replication times. */
  readonly extraArguments: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Only ends what hangs: an election takes 12 s, a shard without its config servers 23 s, and a shared machine its time. */
export const PATIENCE = { timeout: 90_000, interval: 50 };

export interface TestProcess {
  readonly goal: ArgumentsGoal;
  readonly process: SupervisedProcess;
  readonly log: RunLog;
  readonly logPath: string;
  readonly port: number;
}

/** Starts and ends the processes of one suite, each on a data path and port of its own. */
export class MongodHarness {
  readonly runner = new ChildProcessRunner({ pollMs: 50, scanReuseMs: 0 });
  readonly #server: ServerUnderTest;
  readonly #processes: TestProcess[] = [];
  readonly #connections: { close(): Promise<void> }[] = [];
  #folder = '';
  #count = 0;

  constructor(server: ServerUnderTest) {
    this.#server = server;
  }

  get folder(): string {
    return this.#folder;
  }

  async open(): Promise<void> {
    this.#folder = await realpath(await mkdtemp(join(tmpdir(), 'atrest-mongod-')));
  }

  async close(): Promise<void> {
    await this.killAll();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** For the end of a test, whatever became of it. Only processes that this harness started. */
  async killAll(): Promise<void> {
    for (const connection of this.#connections.splice(0)) await connection.close();
    for (const { process, log } of this.#processes.splice(0)) {
      await this.runner.signal(process.identity, 'SIGKILL');
      await process.exited;
      await log.close();
    }
  }

  /** A goal with a new data path and a free port. */
  async goal(change: Partial<ArgumentsGoal> = {}): Promise<ArgumentsGoal & { dbPath: string }> {
    const dbPath = join(this.#folder, `d${(this.#count += 1)}`);
    await mkdir(dbPath, { mode: 0o700 });
    return {
      kind: 'mongod',
      adopted: false,
      bindIp: '127.0.0.1',
      port: await freePort(),
      extraArguments: [...this.#server.extraArguments],
      replicaSet: null,
      router: null,
      ...change,
      dbPath: change.dbPath ?? dbPath,
    };
  }

  async start(goal: ArgumentsGoal): Promise<TestProcess> {
    const program = goal.kind === 'mongos' ? this.#server.mongos! : this.#server.mongod;
    const name = join(this.#folder, `p${(this.#count += 1)}`);
    const { argv } = commandLine(goal, `${name}.log`);
    const log = new RunLog({ logPath: `${name}.log`, consolePath: `${name}.console` });
    await log.position();
    const env = { PATH: process.env['PATH'] ?? '', ...this.#server.env };
    const started = await this.runner.start({ program, argv, cwd: this.#folder, consolePath: `${name}.console`, env });
    const result = { goal, process: started, log, logPath: `${name}.log`, port: goal.port };
    this.#processes.push(result);
    return result;
  }

  /** Started and ready. A process that ends instead fails the test with its explanation. */
  async startReady(goal: ArgumentsGoal): Promise<TestProcess> {
    const server = await this.start(goal);
    await this.ready(server);
    return server;
  }

  async ready(server: TestProcess): Promise<void> {
    let exit: ProcessExit | null = null;
    void server.process.exited.then((ended) => (exit = ended));
    await vi.waitUntil(async () => {
      await server.log.read();
      return server.log.ready || exit !== null;
    }, PATIENCE);
    if (exit && !server.log.ready) throw new Error(server.log.explain(exit).error);
  }

  async terminate(server: TestProcess): Promise<ProcessExit> {
    await this.runner.signal(server.process.identity, 'SIGTERM');
    return server.process.exited;
  }

  async kill(server: TestProcess): Promise<ProcessExit> {
    await this.runner.signal(server.process.identity, 'SIGKILL');
    return server.process.exited;
  }

  connection(server: TestProcess): MongodConnection {
    const connection = new MongodConnection({ host: '127.0.0.1', port: server.port, timeoutMs: 5_000 });
    this.#connections.push(connection);
    return connection;
  }

  /** An ordinary client, as an application has one. */
  client(url: string): MongoClient {
    const client = new MongoClient(url, { serverSelectionTimeoutMS: 30_000 });
    this.#connections.push(client);
    return client;
  }

  async records(server: TestProcess): Promise<LogRecord[]> {
    const text = await readFile(server.logPath, 'utf8').catch(() => '');
    return text.split('\n').flatMap((line) => parseLogLine(line) ?? []);
  }

  async ids(server: TestProcess): Promise<number[]> {
    return (await this.records(server)).map((record) => record.id);
  }

  /** Ids that must be in the log in this order, other lines between them allowed. */
  async expectIds(server: TestProcess, ids: number[]): Promise<void> {
    const seen = await this.ids(server);
    let position = -1;
    for (const id of ids) {
      position = seen.indexOf(id, position + 1);
      if (position < 0) throw new Error(`log id ${id} is not in its place: ${seen.join(' ')}`);
    }
  }
}

/** An item that must be there. */
export function at<T>(items: readonly T[], index: number): T {
  const item = items[index];
  if (item === undefined) throw new RangeError(`there is no item ${index}`);
  return item;
}

/** A port that nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
