import { mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { createAgent, folderStore, type Agent } from '@atrest/agent';
import { createFleetService, type FleetService } from '@atrest/fleet';
import { createKmsValidationService, operatorOptions } from '@atrest/kms-validation';
import { createNotificationService } from '@atrest/notification';
import { SealingKeys } from '@atrest/platform-auth';
import { Secret } from '@atrest/platform-config';
import { healthModule } from '@atrest/platform-health';
import { createHttpApp, type HttpApp } from '@atrest/platform-http';
import type { Logger } from '@atrest/platform-logging';
import { EmbeddedTransport } from '@atrest/platform-messaging';
import { Metrics } from '@atrest/platform-metrics';
import { EmbeddedPostgres } from '@atrest/platform-persistence';
import type { Service, ServiceDependencies } from '@atrest/platform-service';
import { createSnapshotCatalogService } from '@atrest/snapshot-catalog';
import { systemClock } from '@atrest/platform-time';
import type { MailCatcher } from '@atrest/testing';
import type { StandaloneConfiguration } from './configuration.js';
import { startDevelopmentKms, startMailCatcher, type RunningDevelopmentKms } from './development-tools.js';
import { freePort } from './free-port.js';
import { localSecret, newSealingKey } from './local-secrets.js';
import { findServers, type Servers } from './servers.js';
import { snapshotFolder } from './snapshot-folder.js';

/** What a person needs to know after the start. */
export interface StandaloneSummary {
  readonly apiUrl: string;
  /** The first organisation owner; null when one exists already. */
  readonly owner: { readonly clientId: string; readonly secret: string; readonly orgId: string } | null;
  /** The mailbox page; null when a mail server is configured. */
  readonly mailboxUrl: string | null;
  /** The development KMS, with an access key for it; null when a real one is used. */
  readonly developmentKms: RunningDevelopmentKms | null;
  readonly servers: Servers | null;
}

type Closer = () => Promise<void>;

/** A mongod that was told to stop normally needs 1-4 s (measured); after this long a person should know. */
const STOP_WARN_AFTER_MS = 30_000;

/**
 * All services and a local agent in one process: the default for trying Atrest and for small installations. Nothing in it is
 * simplified: same outbox and inbox, same handlers, same agent channel over HTTP as in the distributed set-up.
 */
export class Standalone {
  private constructor(
    readonly summary: StandaloneSummary,
    readonly mailCatcher: MailCatcher | null,
    private readonly agent: Agent | null,
    private readonly onExit: 'leave' | 'stop',
    private readonly closers: Closer[],
  ) {}

  /** Starts everything, or nothing: what had started is stopped again when a later part fails. */
  static async start(configuration: StandaloneConfiguration, logger: Logger): Promise<Standalone> {
    const closers: Closer[] = [];
    try {
      return await Standalone.compose(configuration, logger, closers);
    } catch (error) {
      await closeAll(closers, logger);
      throw error;
    }
  }

  private static async compose(configuration: StandaloneConfiguration, logger: Logger, closers: Closer[]): Promise<Standalone> {
    const dataFolder = resolve(configuration.ATREST_DATA_DIR);
    // Others may pass through but not look around: PostgreSQL, which refuses to run as root, must reach its own folder in here.
    await mkdir(dataFolder, { recursive: true, mode: 0o711 });
    const metrics = new Metrics({ service: 'standalone', defaultMetrics: true });
    const databaseUrl = await startDatabase(configuration, dataFolder, logger, closers);
    const sealingKeys = SealingKeys.parse(
      configuration.ATREST_SEALING_KEYS?.reveal() ?? (await localSecret(join(dataFolder, 'secrets'), 'sealing-keys', newSealingKey)),
    );
    const developmentKms = await startKms(configuration, dataFolder, closers);
    const mailCatcher = await startMailbox(configuration, dataFolder, closers);

    const transport = new EmbeddedTransport();
    closers.push(() => transport.close());
    const dependencies = (service: string): ServiceDependencies => ({
      database: { url: databaseUrl },
      transport,
      clock: systemClock,
      logger: logger.child({ service }),
      metrics,
    });

    // Chosen here and not when listening: mails and access tokens name the address from the start.
    const port = configuration.ATREST_HTTP_PORT || (await freePort());
    const publicUrl = configuration.ATREST_PUBLIC_URL ?? `http://${configuration.ATREST_HTTP_HOST}:${port}`;
    const fleet = await createFleetService(dependencies('fleet'), { sealingKeys, issuer: publicUrl });
    const options = operatorOptions(configuration, publicUrl);
    const kmsValidation = await createKmsValidationService(dependencies('kms-validation'), {
      sealingKeys,
      issuer: publicUrl,
      observer: `${hostname()}:${process.pid}`,
      ...options,
      ...(developmentKms !== null && {
        awsEndpoint: developmentKms.server.url,
        aws: { ...options.aws, stsEndpoint: options.aws?.stsEndpoint ?? developmentKms.server.url },
      }),
    });
    const notification = await createNotificationService(dependencies('notification'), {
      smtpUrl: configuration.ATREST_SMTP_URL?.reveal() ?? mailCatcher!.smtpUrl,
      from: configuration.ATREST_MAIL_FROM,
      issuer: publicUrl,
      publicUrl,
      delivery: { baseMs: configuration.ATREST_MAIL_RETRY },
      ...(configuration.ATREST_OPERATOR_ADDRESS === undefined ? {} : { operatorAddress: configuration.ATREST_OPERATOR_ADDRESS }),
    });
    const snapshotCatalog = await createSnapshotCatalogService(dependencies('snapshot-catalog'), { issuer: publicUrl });
    const services: Service[] = [fleet, kmsValidation, notification, snapshotCatalog];

    const http = await createHttpApp({
      modules: [
        ...services.map((service) => service.module),
        healthModule({ checks: services.map((service) => ({ name: service.name, check: () => service.readiness() })), metrics }),
      ],
      logger,
      metrics,
    });
    for (const service of services) {
      await service.start();
      closers.push(() => service.stop());
    }
    const apiUrl = await listen(http, { port, host: configuration.ATREST_HTTP_HOST }, closers);
    const owner = await fleet.bootstrap();

    const servers = configuration.ATREST_AGENT
      ? await findServers({
          environment: process.env,
          download: configuration.ATREST_MONGOD_DOWNLOAD,
          cacheFolder: join(dataFolder, 'download'),
          logger,
        })
      : null;
    const agent =
      servers === null ? null : await startLocalAgent({ configuration, fleet, apiUrl, dataFolder, servers, developmentKms, logger });
    return new Standalone(
      { apiUrl, owner, mailboxUrl: mailCatcher?.pageUrl ?? null, developmentKms, servers },
      mailCatcher,
      agent,
      configuration.ATREST_ON_EXIT,
      closers,
    );
  }

  /** Stops in the reverse order of the start. `processes` decides about the local agent's mongod and mongos; default: as configured. */
  async stop(logger: Logger, processes: 'leave' | 'stop' = this.onExit): Promise<void> {
    await this.agent?.stop({ processes });
    await closeAll(this.closers, logger);
  }
}

async function closeAll(closers: Closer[], logger: Logger): Promise<void> {
  for (const close of closers.reverse()) {
    try {
      await close();
    } catch (error) {
      // The others must still be closed; the first cause is already on its way to the caller or there is none.
      logger.error({ err: error }, 'a part did not stop cleanly');
    }
  }
}

async function startDatabase(
  configuration: StandaloneConfiguration,
  dataFolder: string,
  logger: Logger,
  closers: Closer[],
): Promise<string> {
  if (configuration.ATREST_DATABASE_URL !== undefined) return configuration.ATREST_DATABASE_URL.reveal();
  const postgres = await EmbeddedPostgres.start({ dataFolder: join(dataFolder, 'postgres'), logger });
  closers.push(() => postgres.stop());
  return postgres.url;
}

async function startKms(
  configuration: StandaloneConfiguration,
  dataFolder: string,
  closers: Closer[],
): Promise<StandaloneSummary['developmentKms']> {
  if (configuration.ATREST_AWS_KMS_ENDPOINT !== undefined || !configuration.ATREST_DEVELOPMENT_KMS) return null;
  const kms = await startDevelopmentKms(dataFolder);
  closers.push(() => kms.server.close());
  return kms;
}

async function startMailbox(configuration: StandaloneConfiguration, dataFolder: string, closers: Closer[]): Promise<MailCatcher | null> {
  if (configuration.ATREST_SMTP_URL !== undefined) return null;
  const catcher = await startMailCatcher(dataFolder);
  closers.push(() => catcher.close());
  return catcher;
}

async function listen(http: HttpApp, address: { readonly port: number; readonly host: string }, closers: Closer[]): Promise<string> {
  const url = await http.listen(address.port, address.host);
  closers.push(() => http.close());
  return url;
}

async function startLocalAgent(parts: {
  readonly configuration: StandaloneConfiguration;
  readonly fleet: FleetService;
  readonly apiUrl: string;
  readonly dataFolder: string;
  readonly servers: Servers;
  readonly developmentKms: StandaloneSummary['developmentKms'];
  readonly logger: Logger;
}): Promise<Agent> {
  const [first, last] = parts.configuration.ATREST_AGENT_PORTS.split('-').map(Number) as [number, number];
  const dataPaths = join(parts.dataFolder, 'data');
  await mkdir(dataPaths, { recursive: true, mode: 0o700 });
  // Keys in AWS are asked for where kms-validation asks for them.
  const awsEndpoint = parts.configuration.ATREST_AWS_KMS_ENDPOINT ?? parts.developmentKms?.server.url;
  const agent = createAgent({
    controlPlane: { url: parts.apiUrl },
    token: new Secret(await parts.fleet.createEnrolmentToken()),
    hostname: '127.0.0.1',
    dataFolder: dataPaths,
    stateFolder: join(parts.dataFolder, 'agent'),
    portRange: { first, last },
    capacity: 50,
    allowsColocation: true,
    programs: parts.servers,
    snapshotStore: folderStore(await snapshotFolder(parts.configuration.ATREST_SNAPSHOT_STORE, parts.dataFolder)),
    kms: awsEndpoint === undefined ? {} : { aws: { endpoint: awsEndpoint } },
    stop: { warnAfterMs: STOP_WARN_AFTER_MS, killAfterMs: parts.configuration.ATREST_STOP_KILL_AFTER },
    logger: parts.logger.child({ service: 'agent' }),
    clock: systemClock,
  });
  await agent.start();
  return agent;
}
