import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Logger } from '@atrest/platform-logging';
import type { Leftovers } from './leftovers.js';

export interface ProgramOptions {
  readonly name: string;
  /** Below the folder of the apps: `fleet/dist/main.js`. */
  readonly script: string;
  readonly parameters?: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Gets what it writes. */
  readonly logFile: string;
  readonly logger: Logger;
  readonly leftovers: Leftovers;
  /** How long {@link Program.stop} waits after SIGTERM before SIGKILL, in milliseconds; 30 s by default. */
  readonly stopLimitMs?: number;
}

/** From apps/standalone/dist/services. */
const APPS = new URL('../../../', import.meta.url);

/** A program that ends by itself is started again after this long: at once looks like a loop, and a person who ended it wants to see that. */
const RESTART_MS = 1_000;
/** A stack trace and what was said before it. */
const LAST_LINES = 15;

/** What every program of ours inherits; nothing else of the environment, so that a setting cannot reach a service by accident. */
const INHERITED = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'TZ', 'NODE_OPTIONS'];

export function baseEnvironment(): Record<string, string> {
  return Object.fromEntries(INHERITED.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));
}

/** The path of an app's script. */
export function scriptPath(script: string): string {
  return fileURLToPath(new URL(script, APPS));
}

/** One of our programs as a child process, which is started again when it ends, until it is told to stop. */
export class Program {
  readonly name: string;
  readonly #o: ProgramOptions;
  #child: ChildProcess | null = null;
  #stopping = false;
  #restart: NodeJS.Timeout | undefined;
  #restarts = 0;

  private constructor(options: ProgramOptions) {
    this.name = options.name;
    this.#o = options;
  }

  static async start(options: ProgramOptions): Promise<Program> {
    const program = new Program(options);
    await program.#spawn();
    return program;
  }

  /** Null while it does not run. */
  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** How often it ended by itself and was started again. */
  get restarts(): number {
    return this.#restarts;
  }

  /** The end of what it wrote, for whoever must know why it keeps ending. */
  async lastWords(): Promise<string> {
    const text = await readFile(this.#o.logFile, 'utf8').catch(() => '');
    return text.trimEnd().split('\n').slice(-LAST_LINES).join('\n');
  }

  /** Ends it as a crash would; it is started again. */
  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  /** Resolves when it has ended. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    const child = this.#child;
    if (child === null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    const limit = setTimeout(() => {
      this.#o.logger.warn({ program: this.name }, 'did not end in time; killed');
      child.kill('SIGKILL');
    }, this.#o.stopLimitMs ?? 30_000);
    await ended;
    clearTimeout(limit);
  }

  async #spawn(): Promise<void> {
    const { script, parameters = [], environment, logFile, logger, leftovers } = this.#o;
    const log = await open(logFile, 'a', 0o600);
    try {
      const child = spawn(process.execPath, [scriptPath(script), ...parameters], {
        env: { ...baseEnvironment(), ...environment },
        stdio: ['ignore', log.fd, log.fd],
        // Ctrl-C in our terminal is for us: we end them one after the other.
        detached: true,
      });
      this.#child = child;
      child.once('error', (error) => logger.error({ err: error, program: this.name }, 'could not be started'));
      child.once('exit', (code, signal) => this.#ended(child, code, signal));
      if (child.pid !== undefined) await leftovers.add(this.name, child.pid);
    } finally {
      await log.close();
    }
  }

  #ended(child: ChildProcess, code: number | null, signal: NodeJS.Signals | null): void {
    this.#child = null;
    if (child.pid !== undefined) void this.#o.leftovers.remove(child.pid);
    if (this.#stopping) return;
    this.#o.logger.warn({ program: this.name, code, signal, log: this.#o.logFile }, 'ended by itself; starting it again');
    this.#restarts += 1;
    this.#restart = setTimeout(() => {
      this.#spawn().catch((error: unknown) => this.#o.logger.error({ err: error, program: this.name }, 'could not be started again'));
    }, RESTART_MS);
  }
}
