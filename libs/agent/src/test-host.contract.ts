import { mkdir, mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newObjectId, type ProcessGoal } from '@atrest/contracts';
import { ChildProcessRunner, findMongod } from '@atrest/mongod';
import { Secret } from '@atrest/platform-config';
import { createLogger, type Logger } from '@atrest/platform-logging';
import { simExecutables } from '@atrest/testing';
import { MongoClient } from 'mongodb';
import { createAgent, type Agent, type AgentOptions } from './agent.js';
import { TestControlPlane } from './test-control-plane.contract.js';

/** The servers under test: the real ones where MONGOD_BIN is set, else the stand-in with replication times cut to a tenth. */
export async function programsUnderTest() {
  if (process.env['MONGOD_BIN']) {
    const found = await findMongod({ env: process.env });
    if (!found.found) throw new Error(found.message);
    return { ...found, real: true, extraArguments: ['--wiredTigerCacheSizeGB', '0.25', '--oplogSize', '64'] };
  }
  return { ...simExecutables(), real: false, extraArguments: ['--setParameter', 'simFast=true'] };
}

/** One machine with an agent, its control plane, and the folders that outlive the agent. */
export class TestHost {
  readonly controlPlane = new TestControlPlane();
  readonly lines: Record<string, unknown>[] = [];
  readonly programs: Awaited<ReturnType<typeof programsUnderTest>>;
  readonly folder: string;
  readonly #logger: Logger;
  readonly #clients: MongoClient[] = [];
  agent: Agent | null = null;

  private constructor(folder: string, programs: Awaited<ReturnType<typeof programsUnderTest>>) {
    this.folder = folder;
    this.programs = programs;
    this.#logger = createLogger({
      service: 'agent',
      level: 'debug',
      destination: { write: (line: string) => void this.lines.push(JSON.parse(line) as Record<string, unknown>) },
    });
  }

  static async open(): Promise<TestHost> {
    const folder = await realpath(await mkdtemp(join(tmpdir(), 'atrest-host-')));
    await mkdir(join(folder, 'data'));
    const host = new TestHost(folder, await programsUnderTest());
    await host.controlPlane.listen();
    return host;
  }

  get dataFolder(): string {
    return join(this.folder, 'data');
  }

  options(change: Partial<AgentOptions> = {}): AgentOptions {
    return {
      controlPlane: { url: this.controlPlane.url },
      token: new Secret(this.controlPlane.token),
      hostname: '127.0.0.1',
      dataFolder: this.dataFolder,
      stateFolder: join(this.folder, 'state'),
      portRange: { first: 20_000, last: 29_999 },
      capacity: 10,
      allowsColocation: true,
      programs: this.programs,
      stop: { warnAfterMs: 1_000, killAfterMs: 600_000 },
      logger: this.#logger,
      runner: new ChildProcessRunner({ pollMs: 50 }),
      intervals: { heartbeatMs: 500, rememberedGoalAfterMs: 500, restartBaseMs: 1_000, restartMaxMs: 4_000 },
      ...change,
    };
  }

  async startAgent(change: Partial<AgentOptions> = {}): Promise<Agent> {
    // What an earlier agent said is no evidence of what this one does.
    this.controlPlane.reports.length = 0;
    this.agent = createAgent(this.options(change));
    await this.agent.start();
    return this.agent;
  }

  /** As when its process ends: what it started runs on. */
  async endAgent(): Promise<void> {
    await this.agent?.stop({ processes: 'leave' });
    this.agent = null;
  }

  /** Ends everything this host started, by data path and port. */
  async close(goals: readonly ProcessGoal[]): Promise<void> {
    for (const client of this.#clients.splice(0)) await client.close();
    await this.endAgent();
    await this.controlPlane.goDown();
    const runner = new ChildProcessRunner({ pollMs: 50, scanReuseMs: 0 });
    for (const goal of goals) {
      const found = await runner.find(goal.dbPath === null ? { mongosPort: goal.port } : { dbPath: goal.dbPath });
      const adopted = found && (await runner.adopt(found));
      if (!adopted) continue;
      await runner.signal(adopted.identity, 'SIGKILL');
      await adopted.exited;
    }
    await rm(this.folder, { recursive: true, force: true });
    const [problem] = this.controlPlane.problems;
    if (problem !== undefined) throw new Error('the agent sent what the contracts do not allow', { cause: problem });
  }

  client(url: string): MongoClient {
    const client = new MongoClient(url, { serverSelectionTimeoutMS: 60_000 });
    this.#clients.push(client);
    return client;
  }

  async process(change: Partial<ProcessGoal> = {}): Promise<ProcessGoal & { dbPath: string }> {
    const id = newObjectId();
    const dbPath = join(this.dataFolder, id);
    return {
      id,
      clusterId: newObjectId(),
      clusterName: 'shop',
      kind: 'mongod',
      desired: 'running',
      reason: null,
      requiresKey: true,
      deleteData: false,
      adopted: false,
      bindIp: '127.0.0.1',
      port: await freePort(),
      extraArguments: [...this.programs.extraArguments],
      replicaSet: null,
      router: null,
      ...change,
      dbPath: change.dbPath ?? dbPath,
    };
  }

  /** The members of one set, the first one leading. */
  async replicaSet(
    name: string,
    size: number,
    role: 'plain' | 'shard' | 'config' = 'plain',
  ): Promise<(ProcessGoal & { dbPath: string })[]> {
    const goals = await Promise.all(Array.from({ length: size }, () => this.process({ kind: role === 'config' ? 'config' : 'mongod' })));
    const members = goals.map((goal, id) => ({ id, host: `127.0.0.1:${goal.port}`, priority: 1, votes: 1, arbiterOnly: false }));
    return goals.map((goal, id) => ({ ...goal, replicaSet: { name, role, members, leads: id === 0 } }));
  }

  async lockedPid(dbPath: string): Promise<number> {
    return Number((await readFile(join(dbPath, 'mongod.lock'), 'utf8')).trim());
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
