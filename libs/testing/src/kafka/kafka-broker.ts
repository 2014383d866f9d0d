import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { createConnection, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { kafkaDistribution, KafkaNotAvailableError, kafkaVersion } from './kafka-distribution.js';
import type { EncryptedListeners, KafkaClientFiles, KafkaLogins } from './kafka-logins.js';

const run = promisify(execFile);
const CLUSTER_ID = 'YXRyZXN0LXRlc3Qta2Fma2E';
/** A JVM on a busy two-core machine takes its time; nothing asserts how long. */
const START_LIMIT_MS = 90_000;

export interface KafkaBrokerOptions {
  /** The release; `ATREST_KAFKA_VERSION`, else the default, when left out. */
  readonly version?: string;
  /** Keeps its data, also after `stop`, for the next start; a temporary folder when left out. */
  readonly folder?: string;
  /** Adds encrypted listeners ({@link KafkaBroker.encrypted}) for these users. */
  readonly logins?: KafkaLogins;
}

/** Where a broker listens, and for whom. */
interface Ports {
  readonly open: number;
  readonly controller: number;
  readonly tls: number;
  readonly sasl: number;
}

/** A real Apache Kafka (KRaft, one node) on the loopback interface. */
export class KafkaBroker {
  private child: ChildProcess | null = null;

  private constructor(
    private readonly jars: string,
    private readonly folder: string,
    private readonly ports: Ports,
    private readonly keep: boolean,
    private readonly listeners: EncryptedListeners | null,
  ) {}

  /** @throws KafkaNotAvailableError when it cannot be had or does not start. */
  static async start(options: KafkaBrokerOptions = {}): Promise<KafkaBroker> {
    const jars = await kafkaDistribution(options.version ?? kafkaVersion());
    const keep = options.folder !== undefined;
    const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'atrest-kafka-')));
    await mkdir(folder, { recursive: true });
    const [open, controller, tls, sasl] = (await freePorts(4)) as [number, number, number, number];
    const listeners = options.logins === undefined ? null : await listenersFor(folder, options.logins);
    const broker = new KafkaBroker(jars, folder, { open, controller, tls, sasl }, keep, listeners);
    await writeFile(broker.configFile, serverProperties(folder, broker.ports, listeners));
    const format = ['format', '--ignore-formatted', '-t', CLUSTER_ID, '-c', broker.configFile, ...(listeners?.formatArguments ?? [])];
    await run('java', [...broker.javaArguments('kafka.tools.StorageTool'), ...format]);
    await broker.resume();
    return broker;
  }

  get brokers(): string {
    return `127.0.0.1:${this.ports.open}`;
  }

  /** The encrypted listeners: one wants a client certificate, one a login. Null without {@link KafkaBrokerOptions.logins}. */
  get encrypted(): { readonly tls: string; readonly sasl: string; readonly files: KafkaClientFiles } | null {
    if (this.listeners === null) return null;
    return { tls: `127.0.0.1:${this.ports.tls}`, sasl: `127.0.0.1:${this.ports.sasl}`, files: this.listeners.files };
  }

  /** Process id while it runs. */
  get pid(): number | null {
    return this.child?.pid ?? null;
  }

  /** Starts it (again) on the same data and port; resolves when it accepts connections. */
  async resume(): Promise<void> {
    if (this.child !== null) return;
    const log = await open(join(this.folder, 'broker.log'), 'a');
    const child = spawn('java', ['-Xms128m', '-Xmx512m', ...this.javaArguments('kafka.Kafka'), this.configFile], {
      stdio: ['ignore', log.fd, log.fd],
      // Ctrl-C in a terminal must not end a broker that others still talk to; who keeps its data stops it in order.
      detached: this.keep,
    });
    this.child = child;
    child.once('exit', () => void log.close());
    const deadline = performance.now() + START_LIMIT_MS;
    while (!(await accepts(this.ports.open))) {
      if (child.exitCode !== null || performance.now() > deadline) {
        throw new KafkaNotAvailableError(
          `the broker did not start: ${(await readFile(join(this.folder, 'broker.log'), 'utf8')).slice(-500)}`,
        );
      }
      await delay(100);
    }
  }

  /** Ends it, by default as a crash would. */
  async halt(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.child;
    this.child = null;
    if (child === null || child.exitCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  }

  async stop(): Promise<void> {
    if (this.keep) return this.halt('SIGTERM');
    await this.halt('SIGKILL');
    await rm(this.folder, { recursive: true, force: true });
  }

  private get configFile(): string {
    return join(this.folder, 'server.properties');
  }

  private javaArguments(mainClass: string): string[] {
    return [...(this.listeners?.javaOptions ?? []), '-cp', join(this.jars, '*'), mainClass];
  }
}

/** Only who asks for logins loads what makes certificates. */
async function listenersFor(folder: string, logins: KafkaLogins): Promise<EncryptedListeners> {
  const { encryptedListeners } = await import('./kafka-logins.js');
  return encryptedListeners(folder, logins);
}

function serverProperties(folder: string, ports: Ports, encrypted: EncryptedListeners | null): string {
  const forClients = [
    `PLAINTEXT://127.0.0.1:${ports.open}`,
    ...(encrypted === null ? [] : [`TLS://127.0.0.1:${ports.tls}`, `SASL://127.0.0.1:${ports.sasl}`]),
  ].join(',');
  return [
    'process.roles=broker,controller',
    'node.id=1',
    `controller.quorum.voters=1@127.0.0.1:${ports.controller}`,
    `listeners=${forClients},CONTROLLER://127.0.0.1:${ports.controller}`,
    `advertised.listeners=${forClients}`,
    'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,SASL:SASL_SSL',
    'inter.broker.listener.name=PLAINTEXT',
    'controller.listener.names=CONTROLLER',
    `log.dirs=${join(folder, 'data')}`,
    'auto.create.topics.enable=false',
    'default.replication.factor=1',
    'offsets.topic.replication.factor=1',
    'offsets.topic.num.partitions=4',
    'transaction.state.log.replication.factor=1',
    'transaction.state.log.min.isr=1',
    // A test does not wait for more members to join.
    'group.initial.rebalance.delay.ms=0',
    // Nor for a member that was killed, longer than it wants to.
    'group.min.session.timeout.ms=500',
    ...(encrypted?.properties ?? []),
    '',
  ].join('\n');
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
