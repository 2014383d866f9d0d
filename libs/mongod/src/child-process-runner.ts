import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { findMongosOnPort, findProcessOnDbPath } from './find-process.js';
import { processTable, type ProcessIdentity, type ProcessTable, type TableEntry } from './process-table.js';
import {
  StartError,
  type ProcessExit,
  type ProcessQuery,
  type ProcessRunner,
  type SignalOutcome,
  type StartSpec,
  type SupervisedProcess,
} from './process-runner.js';

export interface ChildProcessRunnerOptions {
  readonly table?: ProcessTable;
  /** How often an adopted process is looked at. A quarter of a second is well below a mongod's own shutdown (0.4 s and more). */
  readonly pollMs?: number;
  /** How long one look over all processes serves everybody who asks. */
  readonly scanReuseMs?: number;
}

/** Processes of this machine. Children get a session of their own and files instead of pipes, so the end of the agent does not reach them. */
export class ChildProcessRunner implements ProcessRunner {
  readonly #table: ProcessTable;
  readonly #pollMs: number;
  readonly #scanReuseMs: number;
  #scan: { at: number; entries: Promise<TableEntry[]> } | undefined;

  constructor(options: ChildProcessRunnerOptions = {}) {
    this.#table = options.table ?? processTable();
    this.#pollMs = options.pollMs ?? 250;
    this.#scanReuseMs = options.scanReuseMs ?? 100;
  }

  async start(spec: StartSpec): Promise<SupervisedProcess> {
    const file = await open(spec.consolePath, 'w', 0o600).catch((error: unknown) => {
      throw new StartError(`The console file of the process cannot be written: ${(error as Error).message}`, { cause: error });
    });
    try {
      const child = spawn(spec.program, spec.argv, {
        cwd: spec.cwd,
        env: spec.env,
        detached: true,
        stdio: ['ignore', file.fd, file.fd],
      });
      const exited = new Promise<ProcessExit>((resolve) => {
        child.once('exit', (code, signal) => resolve({ code, signal }));
      });
      await new Promise<void>((resolve, reject) => {
        child.once('spawn', () => resolve());
        child.once('error', (error) => reject(new StartError(`${spec.program} cannot be started: ${error.message}`, { cause: error })));
      });
      child.unref();
      const pid = child.pid!;
      // A child that ended at once has no start time any more; its exit is still told by the promise.
      const startTime = (await this.#table.startTimeOf(pid)) ?? 'ended';
      return { identity: { pid, startTime }, adopted: false, exited };
    } finally {
      await file.close();
    }
  }

  async adopt(identity: ProcessIdentity): Promise<SupervisedProcess | null> {
    if (!(await this.isAlive(identity))) return null;
    const exited = new Promise<ProcessExit>((resolve) => {
      const look = () => {
        this.isAlive(identity).then(
          (alive) => (alive ? again() : resolve({ code: null, signal: null })),
          again, // the process table could not be read; that is no evidence of an exit
        );
      };
      const again = () => {
        setTimeout(look, this.#pollMs).unref();
      };
      again();
    });
    return { identity, adopted: true, exited };
  }

  async find(query: ProcessQuery): Promise<TableEntry | null> {
    const candidates = await this.#candidates();
    return 'dbPath' in query
      ? findProcessOnDbPath(this.#table, query.dbPath, candidates)
      : findMongosOnPort(this.#table, query.mongosPort, candidates);
  }

  async signal(identity: ProcessIdentity, signal: 'SIGTERM' | 'SIGKILL'): Promise<SignalOutcome> {
    if (!(await this.isAlive(identity))) return 'gone';
    try {
      process.kill(identity.pid, signal);
      return 'sent';
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'ESRCH') return 'gone';
      if (code === 'EPERM') return 'not-permitted';
      throw error;
    }
  }

  async isAlive(identity: ProcessIdentity): Promise<boolean> {
    return (await this.#table.startTimeOf(identity.pid)) === identity.startTime;
  }

  #candidates(): Promise<TableEntry[]> {
    const now = performance.now();
    if (!this.#scan || now - this.#scan.at > this.#scanReuseMs) this.#scan = { at: now, entries: this.#table.candidates() };
    return this.#scan.entries;
  }
}
