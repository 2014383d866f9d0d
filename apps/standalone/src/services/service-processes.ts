import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '@atrest/platform-logging';
import { EmbeddedPostgres } from '@atrest/platform-persistence';
import { KafkaBroker, type MailCatcher } from '@atrest/testing';
import { ApiClient } from '../demo/api-client.js';
import { startDevelopmentKms, startMailCatcher } from '../development-tools.js';
import { freePort } from '../free-port.js';
import { findServers, type Servers } from '../servers.js';
import { snapshotFolder } from '../snapshot-folder.js';
import type { StandaloneSummary } from '../standalone.js';
import { HANDED_ON, type ServicesConfiguration } from './configuration.js';
import { Leftovers } from './leftovers.js';
import { Program } from './program.js';
import { runScript } from './run-script.js';

/** The five services (docs/explanation/architecture.md). */
const SERVICES = ['fleet', 'kms-validation', 'notification', 'restore-execution', 'snapshot-catalog'] as const;
export type ServiceName = (typeof SERVICES)[number];

/** What a person needs to know after the start. */
export interface ServicesSummary extends StandaloneSummary {
  readonly servers: Servers;
  readonly brokers: string;
}

export interface ServiceProcessesOptions {
  readonly configuration: ServicesConfiguration;
  /** What the configuration was read from: services get their own settings from here. */
  readonly environment: NodeJS.ProcessEnv;
  readonly logger: Logger;
}

type Closer = () => Promise<void>;

/** A first start migrates five schemas and creates the topics; on a busy machine that is slow, and nothing asserts how slow. */
const READY_LIMIT_MS = 180_000;

/**
 * Every service in a process of its own, over a real Apache Kafka and a real PostgreSQL with a role per service, behind one address, with an
 * agent, a development KMS and a mail catcher: the distributed set-up on one machine, without Docker.
 */
export class ServiceProcesses {
  private constructor(
    readonly summary: ServicesSummary,
    readonly mailCatcher: MailCatcher,
    /** By name: the services, `ingress` and `agent`. */
    readonly programs: ReadonlyMap<string, Program>,
    readonly postgres: EmbeddedPostgres,
    /** Null when KAFKA_BROKERS names one that is not ours. */
    readonly kafka: KafkaBroker | null,
    readonly logFolder: string,
    private readonly leftovers: Leftovers,
    private readonly closers: Closer[],
    private readonly logger: Logger,
  ) {}

  /** Starts everything, or nothing: what had started is stopped again when a later part fails. */
  static async start(options: ServiceProcessesOptions): Promise<ServiceProcesses> {
    const closers: Closer[] = [];
    try {
      return await ServiceProcesses.compose(options, closers);
    } catch (error) {
      await closeAll(closers, options.logger);
      throw error;
    }
  }

  private static async compose(options: ServiceProcessesOptions, closers: Closer[]): Promise<ServiceProcesses> {
    const { configuration, environment, logger } = options;
    const dataFolder = resolve(configuration.ATREST_DATA_DIR);
    // Others may pass through: PostgreSQL, which refuses to run as root, must reach its own folder in here.
    await mkdir(dataFolder, { recursive: true, mode: 0o711 });
    const secrets = join(dataFolder, 'secrets');
    const logs = join(dataFolder, 'logs');
    for (const folder of [secrets, logs]) await mkdir(folder, { recursive: true, mode: 0o700 });
    const leftovers = await Leftovers.endThose(dataFolder, logger);

    const postgres = await EmbeddedPostgres.start({ dataFolder: join(dataFolder, 'postgres'), logger });
    closers.push(() => postgres.stop());
    const kafka = configuration.KAFKA_BROKERS === undefined ? await startKafka(dataFolder, leftovers, closers) : null;
    const brokers = configuration.KAFKA_BROKERS ?? kafka!.brokers;
    const developmentKms = await startDevelopmentKms(dataFolder);
    closers.push(() => developmentKms.server.close());
    const mailCatcher = await startMailCatcher(dataFolder);
    closers.push(() => mailCatcher.close());

    await runScript('provision/dist/main.js', [], { ATREST_ADMIN_DATABASE_URL: postgres.url, ATREST_SECRETS_FOLDER: secrets });
    const port = configuration.ATREST_HTTP_PORT || (await freePort());
    const apiUrl = `http://127.0.0.1:${port}`;
    const shared = { ATREST_PUBLIC_URL: apiUrl, ATREST_KAFKA_BROKERS: brokers, ...handedOn(environment) };
    const enrolmentToken = join(secrets, 'enrolment-token');
    const owner = await bootstrap(secrets, enrolmentToken, shared);

    const programs = new Map<string, Program>();
    const start = async (
      name: string,
      script: string,
      environment: Record<string, string>,
      more: Partial<Parameters<typeof Program.start>[0]> = {},
    ) => {
      const program = await Program.start({ name, script, environment, logFile: join(logs, `${name}.log`), logger, leftovers, ...more });
      programs.set(name, program);
      closers.push(() => program.stop());
    };
    const own: Partial<Record<ServiceName, Record<string, string>>> = {
      'kms-validation': { ATREST_AWS_KMS_ENDPOINT: developmentKms.server.url },
      notification: { ATREST_SMTP_URL: mailCatcher.smtpUrl, ATREST_MAIL_FROM: configuration.ATREST_MAIL_FROM },
    };
    const addresses: Record<string, string> = {};
    for (const service of SERVICES) {
      const servicePort = await freePort();
      addresses[`ATREST_${service.toUpperCase().replaceAll('-', '_')}_URL`] = `http://127.0.0.1:${servicePort}`;
      await start(service, `${service}/dist/main.js`, {
        ...shared,
        ...secretFiles(secrets, service),
        ...own[service],
        ATREST_HTTP_PORT: String(servicePort),
      });
    }
    await start('ingress', 'ingress/dist/main.js', { ...addresses, ATREST_HTTP_PORT: String(port) });
    await untilReady(apiUrl, programs);

    const servers = await findServers({
      environment: process.env,
      download: configuration.ATREST_MONGOD_DOWNLOAD,
      cacheFolder: join(dataFolder, 'download'),
      logger,
    });
    const agentFile = await writeAgentFile(configuration, { dataFolder, apiUrl, enrolmentToken, awsEndpoint: developmentKms.server.url });
    const agentEnvironment = { MONGOD_BIN: servers.mongod, ...(servers.mongos !== null && { MONGOS_BIN: servers.mongos }) };
    await start('agent', 'agent/dist/main.js', agentEnvironment, {
      parameters: ['--config', agentFile],
      // It stops mongod first, which may take as long as SIGKILL is not allowed.
      stopLimitMs: configuration.ATREST_STOP_KILL_AFTER + 30_000,
    });
    if (owner !== null) await untilHostIsThere(apiUrl, owner, programs);
    const summary = { apiUrl, owner, mailboxUrl: mailCatcher.pageUrl, developmentKms, servers, brokers };
    return new ServiceProcesses(summary, mailCatcher, programs, postgres, kafka, logs, leftovers, closers, logger);
  }

  /** Stops in the reverse order of the start. */
  async stop(): Promise<void> {
    await closeAll(this.closers, this.logger);
  }

  /** Programs of ours that still run, by name; after {@link ServiceProcesses.stop} there must be none. */
  async leftRunning(): Promise<string[]> {
    return (await this.leftovers.alive()).map(({ name }) => name);
  }
}

async function closeAll(closers: Closer[], logger: Logger): Promise<void> {
  for (const close of closers.splice(0).reverse()) {
    try {
      await close();
    } catch (error) {
      // The others must still be closed.
      logger.error({ err: error }, 'a part did not stop cleanly');
    }
  }
}

async function startKafka(dataFolder: string, leftovers: Leftovers, closers: Closer[]): Promise<KafkaBroker> {
  const kafka = await KafkaBroker.start({ folder: join(dataFolder, 'kafka') });
  closers.push(() => kafka.stop());
  if (kafka.pid !== null) await leftovers.add('kafka', kafka.pid);
  return kafka;
}

function handedOn(environment: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(HANDED_ON.flatMap((name) => (environment[name] === undefined ? [] : [[name, environment[name]]])));
}

/** The files that provisioning wrote for a service, as a mounted secret would be named. */
function secretFiles(secrets: string, service: ServiceName): Record<string, string> {
  const file = (name: string): string => join(secrets, service, name);
  const seals = service === 'fleet' || service === 'kms-validation';
  return { ATREST_DATABASE_URL_FILE: file('database-url'), ...(seals && { ATREST_SEALING_KEYS_FILE: file('sealing-keys') }) };
}

async function bootstrap(
  secrets: string,
  enrolmentToken: string,
  shared: { readonly ATREST_PUBLIC_URL: string },
): Promise<StandaloneSummary['owner']> {
  const environment = { ATREST_PUBLIC_URL: shared.ATREST_PUBLIC_URL, ...secretFiles(secrets, 'fleet') };
  const answer = await runScript('fleet/dist/cli/bootstrap.js', ['--enrolment-token-file', enrolmentToken], environment);
  return (JSON.parse(answer) as { owner: StandaloneSummary['owner'] }).owner;
}

/** Until every service says that it can work. */
function untilReady(apiUrl: string, programs: ReadonlyMap<string, Program>): Promise<void> {
  return untilDone(programs, async () => {
    const answer = await fetch(`${apiUrl}/readyz`);
    if (!answer.ok) throw new Error(`The services are not ready: ${await answer.text()}`);
  });
}

/** After the first start: until the agent has enrolled, so that a cluster can be created at once. */
function untilHostIsThere(
  apiUrl: string,
  owner: NonNullable<StandaloneSummary['owner']>,
  programs: ReadonlyMap<string, Program>,
): Promise<void> {
  const api = new ApiClient(apiUrl, owner);
  return untilDone(programs, async () => {
    const { totalCount } = await api.get<{ totalCount: number }>(`/orgs/${owner.orgId}/hosts`);
    if (totalCount === 0) throw new Error('The agent has not enrolled');
  });
}

/** Tries again until nothing is thrown; what was thrown last is thrown when it takes too long, with the words of programs that keep ending. */
async function untilDone(programs: ReadonlyMap<string, Program>, attempt: () => Promise<void>): Promise<void> {
  const deadline = performance.now() + READY_LIMIT_MS;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > deadline) throw new Error(`${(error as Error).message}${await wordsOfFailing(programs)}`, { cause: error });
    }
    await delay(100);
  }
}

async function wordsOfFailing(programs: ReadonlyMap<string, Program>): Promise<string> {
  const failing = [...programs.values()].filter(({ restarts }) => restarts > 0);
  const words = failing.map(
    async (program) => `\n${program.name} ended ${program.restarts} times; its log ends with\n${await program.lastWords()}`,
  );
  return (await Promise.all(words)).join('');
}

async function writeAgentFile(
  configuration: ServicesConfiguration,
  o: { readonly dataFolder: string; readonly apiUrl: string; readonly enrolmentToken: string; readonly awsEndpoint: string },
): Promise<string> {
  const [first, last] = configuration.ATREST_AGENT_PORTS.split('-').map(Number) as [number, number];
  const path = join(o.dataFolder, 'agent.yaml');
  const file = {
    controlPlane: { url: o.apiUrl },
    tokenFile: o.enrolmentToken,
    hostname: '127.0.0.1',
    dataFolder: join(o.dataFolder, 'data'),
    stateFolder: join(o.dataFolder, 'agent'),
    portRange: { first, last },
    capacity: 50,
    allowsColocation: true,
    stop: { killAfter: `${configuration.ATREST_STOP_KILL_AFTER}ms` },
    onTerminate: configuration.ATREST_ON_EXIT,
    snapshotStore: { folder: await snapshotFolder(configuration.ATREST_SNAPSHOT_STORE, o.dataFolder) },
    kms: { awsEndpoint: o.awsEndpoint },
  };
  // JSON is YAML.
  await writeFile(path, JSON.stringify(file, null, 2), { mode: 0o600 });
  await mkdir(file.dataFolder, { recursive: true, mode: 0o700 });
  return path;
}
