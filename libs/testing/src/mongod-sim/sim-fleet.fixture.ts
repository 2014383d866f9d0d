import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient, type MongoClientOptions } from 'mongodb';
import { waitFor } from '../postgres/wait-for.js';
import { MongodSimControl } from './control/mongod-sim-control.js';
import { simExecutables } from './executables.js';

/** One line of a process's log. */
export interface SeenLine {
  s: string;
  c: string;
  id: number;
  ctx: string;
  msg: string;
  attr?: Record<string, unknown>;
}

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export const CLEAN: Exit = { code: 0, signal: null };

/** A port that nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** One started stand-in. */
export class SimProcess {
  readonly exited: Promise<Exit>;
  exit: Exit | undefined;

  constructor(
    readonly child: ChildProcess,
    readonly port: number,
    readonly dbPath: string,
    readonly files: { out: string; err: string; control: string },
  ) {
    this.exited = new Promise((resolve) =>
      child.once('exit', (code, signal) => {
        this.exit = { code, signal };
        resolve(this.exit);
      }),
    );
  }

  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  get control(): MongodSimControl {
    return new MongodSimControl(this.files.control);
  }

  lines(): SeenLine[] {
    return readFileSync(this.files.out, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as SeenLine);
  }

  ids(): number[] {
    return this.lines().map((line) => line.id);
  }

  stderr(): string {
    return readFileSync(this.files.err, 'utf8');
  }

  async ready(): Promise<this> {
    await this.logged(23016);
    return this;
  }

  async logged(id: number): Promise<void> {
    await waitFor(() => this.ids().includes(id) || this.exit !== undefined, { describe: () => `log id ${id} of ${this.files.out}` });
    if (!this.ids().includes(id))
      throw new Error(`the process ended before it logged ${id}: ${readFileSync(this.files.out, 'utf8')}${this.stderr()}`);
  }

  kill(signal: NodeJS.Signals): Promise<Exit> {
    this.child.kill(signal);
    return this.exited;
  }
}

/** Starts stand-ins in a folder of its own and ends those it started. */
export class SimFleet {
  readonly folder = mkdtempSync(join(tmpdir(), 'atrest-sim-'));
  readonly #processes: SimProcess[] = [];
  readonly #clients: MongoClient[] = [];
  #count = 0;

  constructor() {
    if (!existsSync(new URL('../../dist/mongod-sim/main.js', import.meta.url))) {
      throw new Error("mongod-sim is not built: run 'npm run build' first");
    }
  }

  dbPath(name: string): string {
    const path = join(this.folder, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** Starts a mongod (or a mongos) without waiting for it. */
  async start(
    o: { args?: string[]; dbPath?: string | undefined; port?: number; mongos?: boolean; control?: boolean } = {},
  ): Promise<SimProcess> {
    const port = o.port ?? (await freePort());
    this.#count += 1;
    const name = join(this.folder, `p${this.#count}`);
    const dbPath = o.dbPath ?? this.dbPath(`d${port}`);
    const files = { out: `${name}.log`, err: `${name}.err`, control: join(this.folder, `${port}.sock`) };
    const out = openSync(files.out, 'w');
    const err = openSync(files.err, 'w');
    const { mongod, mongos } = simExecutables();
    const args = [
      ...(o.mongos === true ? [] : ['--dbpath', dbPath]),
      '--port',
      String(port),
      '--setParameter',
      `simControl=${files.control}`,
      ...(o.args ?? []),
    ];
    const child = spawn(o.mongos === true ? mongos : mongod, args, { stdio: ['ignore', out, err] });
    closeSync(out);
    closeSync(err);
    const process = new SimProcess(child, port, dbPath, files);
    this.#processes.push(process);
    return process;
  }

  async startReady(o: Parameters<SimFleet['start']>[0] = {}): Promise<SimProcess> {
    return (await this.start(o)).ready();
  }

  /** A client of one server alone. */
  direct(process: SimProcess, options: MongoClientOptions = {}): MongoClient {
    return this.client(`mongodb://${process.host}/?directConnection=true`, options);
  }

  client(url: string, options: MongoClientOptions = {}): MongoClient {
    const client = new MongoClient(url, { serverSelectionTimeoutMS: 30_000, ...options });
    this.#clients.push(client);
    return client;
  }

  async close(): Promise<void> {
    for (const client of this.#clients.splice(0)) await client.close(true);
    for (const each of this.#processes.splice(0)) await each.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }
}
