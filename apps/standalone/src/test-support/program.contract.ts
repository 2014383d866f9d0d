import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { processEnd, waitFor } from '@atrest/testing';
import { ApiClient } from '../demo/api-client.js';
import { endProcessesIn, freePortRange } from './machine.contract.js';
import { freePort } from '../free-port.js';
import { SHORT_INTERVALS, testFolder } from './installation.contract.js';
import { TestProject, type SystemAddresses } from './project.contract.js';

/** The program as `npm start` runs it; `npm test` has built it. */
const PROGRAM = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

/**
 * The standalone app as a process of its own with everything it brings along (PostgreSQL, agent, development KMS, mailbox), to be ended or
 * killed and started again on the same data folder.
 */
export class TestProgram {
  readonly dataFolder: string;
  #child: ChildProcess | null = null;
  #output = '';
  #addresses: SystemAddresses | null = null;

  private constructor(
    readonly folder: string,
    private readonly environment: Record<string, string>,
  ) {
    this.dataFolder = join(folder, 'data');
  }

  static async start(variables: Record<string, string> = {}): Promise<TestProgram> {
    const folder = await testFolder();
    const ports = await freePortRange(20);
    const program = new TestProgram(folder, {
      ...SHORT_INTERVALS,
      ATREST_HTTP_PORT: String(await freePort()),
      ATREST_AGENT_PORTS: `${ports}-${ports + 19}`,
      ...variables,
    });
    // Made here, so that root's PostgreSQL may enter it and lies in it too.
    await mkdir(program.dataFolder, { mode: 0o755 });
    try {
      await program.startAgain();
      return program;
    } catch (error) {
      await program.close();
      throw error;
    }
  }

  /** What the program has printed in its present life. */
  get output(): string {
    return this.#output;
  }

  get addresses(): SystemAddresses {
    if (this.#addresses === null) throw new Error('The program was never ready');
    return this.#addresses;
  }

  /** Starts the program and waits until it says that it is ready. */
  async startAgain(): Promise<void> {
    this.#output = '';
    const env = { ...process.env, ...this.environment, ATREST_DATA_DIR: this.dataFolder };
    const child = spawn(process.execPath, [PROGRAM], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (this.#output += chunk.toString()));
    await waitFor(() => child.exitCode !== null || /^Database server: /m.test(this.#output), {
      describe: () => `the program to be ready; it printed ${this.#output}`,
      limitMs: 120_000,
    });
    if (child.exitCode !== null) throw new Error(`The program ended with ${child.exitCode}: ${this.#output}`);
    const printed = (pattern: RegExp): string | undefined => pattern.exec(this.#output)?.[1];
    const [clientId, secret, orgId] = [/client id +(\S+)/, /client secret +(\S+)/, /^ +organisation +(\S+)/m].map(printed);
    const first = clientId !== undefined && secret !== undefined;
    this.#addresses = {
      // The same client with the same access token over all lives of the program: the owner is shown only once.
      api: first ? new ApiClient(printed(/Atrest is ready at (\S+)/)!, { clientId, secret }) : this.addresses.api,
      orgId: orgId ?? this.addresses.orgId,
      kmsUrl: printed(/Development KMS.* at (\S+)/)!,
      mailboxUrl: printed(/Mail is caught at (\S+)/)!,
    };
  }

  async project(name: string): Promise<TestProject> {
    return (await new TestProject(() => this.addresses, name, 1).create()).bringKey();
  }

  /** SIGTERM lets it end in order, SIGKILL does not. Answers how it ended. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | NodeJS.Signals> {
    const child = this.#child!;
    const ended = processEnd(child);
    const printed = Promise.all([child.stdout!, child.stderr!].map((stream) => once(stream, 'close')));
    child.kill(signal);
    const end = await ended;
    await printed;
    this.#child = null;
    return end;
  }

  async close(): Promise<void> {
    if (this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null) await this.end('SIGKILL');
    await endProcessesIn(this.folder);
    await rm(this.folder, { recursive: true, force: true });
  }
}
