import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createAgent, type Agent, type AgentOptions } from '@atrest/agent';
import { ChildProcessRunner } from '@atrest/mongod';
import { Secret } from '@atrest/platform-config';
import { createLogger } from '@atrest/platform-logging';
import type { ServersUnderTest } from './machine.contract.js';

export interface TestHostOptions {
  readonly controlPlaneUrl: string;
  readonly token: string;
  readonly folder: string;
  readonly servers: ServersUnderTest;
  readonly stop?: Partial<AgentOptions['stop']>;
}

/** One line of an agent's log. */
export interface AgentLine {
  readonly time: string;
  readonly msg: string;
  readonly kind?: string;
  readonly port?: number;
  readonly exitCode?: number | null;
  readonly pid?: number;
}

/**
 * A host of its own on this machine: an agent with its folders, which outlive it. Nothing is placed on it; a test names the processes that
 * it wants here.
 */
export class TestHost {
  readonly servers: ServersUnderTest;
  readonly dataFolder: string;
  /** What the agents of this host logged, oldest first. */
  readonly log: AgentLine[] = [];
  readonly #options: TestHostOptions;
  #agent: Agent | null = null;

  constructor(options: TestHostOptions) {
    this.#options = options;
    this.servers = options.servers;
    this.dataFolder = join(options.folder, 'data');
  }

  get id(): string {
    const id = this.#agent?.hostId;
    if (id == null) throw new Error('The host is not enrolled');
    return id;
  }

  async start(stop: Partial<AgentOptions['stop']> = {}): Promise<this> {
    const { controlPlaneUrl, token, folder, servers } = this.#options;
    await mkdir(this.dataFolder, { recursive: true });
    this.#agent = createAgent({
      controlPlane: { url: controlPlaneUrl },
      token: new Secret(token),
      hostname: '127.0.0.1',
      dataFolder: this.dataFolder,
      stateFolder: join(folder, 'agent'),
      portRange: { first: 1_024, last: 65_535 },
      capacity: 0,
      allowsColocation: true,
      programs: servers,
      stop: { warnAfterMs: 30_000, killAfterMs: 600_000, ...this.#options.stop, ...stop },
      logger: createLogger({
        service: 'agent',
        destination: { write: (line: string) => void this.log.push(JSON.parse(line) as AgentLine) },
      }),
      runner: new ChildProcessRunner({ pollMs: 50 }),
      intervals: { heartbeatMs: 500, restartBaseMs: 500, restartMaxMs: 4_000 },
    });
    await this.#agent.start();
    return this;
  }

  /** The agent ends, its processes run on: for the control plane the host is silent. */
  async endAgent(): Promise<void> {
    await this.#agent?.stop({ processes: 'leave' });
    this.#agent = null;
  }

  /** Lines with this message, of the process on this port. */
  lines(message: string, port?: number): AgentLine[] {
    return this.log.filter((line) => line.msg === message && (port === undefined || line.port === port));
  }
}
