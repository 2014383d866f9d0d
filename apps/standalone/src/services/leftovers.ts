import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { processTable, type ProcessIdentity } from '@atrest/mongod';
import type { Logger } from '@atrest/platform-logging';

/** An orderly end is given this long, then SIGKILL follows. */
const END_LIMIT_MS = 20_000;

interface Entry extends ProcessIdentity {
  readonly name: string;
}

/**
 * Remembers which processes were started for a data folder, so that the next start ends what a killed one left behind. A process is known by
 * its pid and its start time: another one that got the pid later is left alone.
 */
export class Leftovers {
  readonly #path: string;
  readonly #table = processTable();
  readonly #entries = new Map<number, Entry>();

  private constructor(folder: string) {
    this.#path = join(folder, 'processes.json');
  }

  /** Ends what an earlier start left behind in this folder. */
  static async endThose(folder: string, logger: Logger): Promise<Leftovers> {
    const leftovers = new Leftovers(folder);
    for (const entry of await leftovers.#read()) {
      if (!(await leftovers.#isAlive(entry))) continue;
      logger.warn({ name: entry.name, pid: entry.pid }, 'left behind by an earlier start; ending it');
      await leftovers.#end(entry);
    }
    await leftovers.#write();
    return leftovers;
  }

  async add(name: string, pid: number): Promise<void> {
    const startTime = await this.#table.startTimeOf(pid);
    if (startTime === null) return;
    this.#entries.set(pid, { name, pid, startTime });
    await this.#write();
  }

  async remove(pid: number): Promise<void> {
    if (this.#entries.delete(pid)) await this.#write();
  }

  /** Those that still run. */
  async alive(): Promise<readonly Entry[]> {
    const entries = [...this.#entries.values()];
    const alive = await Promise.all(entries.map((entry) => this.#isAlive(entry)));
    return entries.filter((_, index) => alive[index]);
  }

  async #isAlive({ pid, startTime }: ProcessIdentity): Promise<boolean> {
    return (await this.#table.startTimeOf(pid)) === startTime;
  }

  async #end(entry: Entry): Promise<void> {
    process.kill(entry.pid, 'SIGTERM');
    const deadline = performance.now() + END_LIMIT_MS;
    while (await this.#isAlive(entry)) {
      if (performance.now() > deadline) process.kill(entry.pid, 'SIGKILL');
      await delay(100);
    }
  }

  async #read(): Promise<readonly Entry[]> {
    try {
      return JSON.parse(await readFile(this.#path, 'utf8')) as readonly Entry[];
    } catch (error) {
      // None yet, or torn by a crash of the machine, which left no process either.
      if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }

  #writing: Promise<void> = Promise.resolve();

  #write(): Promise<void> {
    this.#writing = this.#writing.then(() => writeFile(this.#path, `${JSON.stringify([...this.#entries.values()])}\n`, { mode: 0o600 }));
    return this.#writing;
  }
}
