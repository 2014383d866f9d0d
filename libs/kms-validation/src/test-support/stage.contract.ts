// Excluded from the package like every *.contract.ts: for the suites of this library only.
import { randomUUID } from 'node:crypto';
import {
  newObjectId,
  projectCreated,
  type AwsKmsChange,
  type BreakerIncident,
  type ClusterSummary,
  type EncryptionAtRest,
  type EventDefinition,
  type EventEnvelope,
  type KeyConfigurationState,
  type KeyValidityStatus,
  type ProjectState,
} from '@atrest/contracts';
import { AwsKeyProvider, awsRequestQuotaOf, CallLimiters, type AtlasAwsRegion } from '@atrest/kms';
import { SealingKeys } from '@atrest/platform-auth';
import { createLogger } from '@atrest/platform-logging';
import { EmbeddedTransport, EventPublisher, type EventHandler } from '@atrest/platform-messaging';
import { Metrics } from '@atrest/platform-metrics';
import { rows, ServiceDatabase } from '@atrest/platform-persistence';
import { SimulatedClock } from '@atrest/platform-time';
import { DevelopmentKms, testDatabase, type Credentials, type TestDatabase } from '@atrest/testing';
import { AccessRoleRepository } from '../access-roles/access-role.repository.js';
import { CheckedKeyRepository } from '../checked-key.repository.js';
import type { KeyReference, ProviderFactories } from '../key-access.js';
import { keyAccessHandlers } from '../key-access/key-access-handlers.js';
import { KeyAccessRequestRepository } from '../key-access/key-access-request.repository.js';
import { KeyConfigurationRepository } from '../key-configuration.repository.js';
import { createKmsValidationService, type KmsValidationOptions, type KmsValidationService } from '../kms-validation.service.js';
import { ProjectPolicyRepository } from '../project-policy/project-policy.repository.js';
import { ClusterProjection } from '../projections/cluster-projection.js';
import { projectionHandlers } from '../projections/handlers.js';
import { MissingKeys } from '../projections/missing-keys.js';
import { ProjectProjection } from '../projections/project-projection.js';
import type { Outcome, Refusal } from '../refusal.js';
import { RoutedProvider } from './routed-provider.contract.js';

/** Now: the development KMSs know the real time only, and what they schedule is counted from it. */
export const START = new Date(Math.floor(Date.now() / 1_000) * 1_000);
export const ISSUER = 'https://atrest.example';
export const MINUTE = 60_000;
const SEALING_KEYS = SealingKeys.generate('k1');

export interface StageOptions {
  readonly policy?: KmsValidationOptions['policy'];
  readonly breaker?: KmsValidationOptions['breaker'];
  /** Whatever else the service is given. */
  readonly service?: Partial<KmsValidationOptions>;
  readonly timeLimitMs?: number;
  /** In place of the development KMS's. */
  readonly providerFactories?: ProviderFactories;
}

/** How clients reach the KMS, per access key id; anything else goes to the stage's development KMS. */
export interface Route {
  readonly endpoint: string;
  readonly requestTimeoutMs: number;
}

/** A project with a key, as most tests need it. */
export interface ConfiguredProject {
  readonly projectId: string;
  readonly keyId: string;
  readonly arn: string;
  readonly credentials: Credentials;
}

/** The whole service on a database of its own, with the real AWS SDK, a development KMS and a clock that stands still. */
export class Stage {
  readonly clock = new SimulatedClock(START);
  readonly logLines: string[] = [];
  readonly routes = new Map<string, Route>();
  /** Awaited before each unwrap. */
  beforeUnwrap: () => Promise<void> = () => Promise.resolve();
  private readonly services: KmsValidationService[] = [];
  readonly transport = new EmbeddedTransport();
  readonly metrics = new Metrics();
  private readonly logger = createLogger({
    service: 'kms-validation',
    level: 'debug',
    destination: { write: (line: string) => void this.logLines.push(line) },
  });

  private constructor(
    readonly kms: DevelopmentKms,
    readonly testDatabase: TestDatabase,
    readonly database: ServiceDatabase,
    private readonly options: StageOptions,
  ) {}

  static async open(name: string, options: StageOptions = {}): Promise<Stage> {
    const [kms, database] = await Promise.all([DevelopmentKms.start(), testDatabase(name)]);
    const own = await ServiceDatabase.open({
      service: 'kms-validation',
      url: database.url,
      migrations: [],
      logger: createLogger({ service: 'test', level: 'silent' }),
      metrics: new Metrics(),
      poolSize: 4,
    });
    return new Stage(kms, database, own, options);
  }

  /** Another replica, or the first. It does nothing by itself: `runDue` and requests drive it. */
  async replica(observer = 'replica-1', more: Partial<KmsValidationOptions> = {}): Promise<KmsValidationService> {
    const { metrics } = this;
    const service = await createKmsValidationService(
      { database: { url: this.testDatabase.url, poolSize: 8 }, transport: this.transport, clock: this.clock, logger: this.logger, metrics },
      {
        sealingKeys: SealingKeys.parse(SEALING_KEYS),
        issuer: ISSUER,
        observer,
        policy: { jitter: 0, ...this.options.policy },
        ...(this.options.breaker && { breaker: this.options.breaker }),
        ...this.options.service,
        ...(more.awsEndpoint === undefined && {
          providerFactories: { AWS: (key) => this.clientFor(key), ...this.options.providerFactories },
        }),
        // Retries do not wait: the pauses are libs/kms's subject.
        checks: { timeLimitMs: this.options.timeLimitMs ?? 30_000, retries: { sleep: () => Promise.resolve() } },
        ...more,
      },
    );
    this.services.push(service);
    return service;
  }

  /** A real client on the way that the stage's routes say. */
  clientFor({ settings, credentials }: KeyReference): RoutedProvider {
    const { metrics } = this;
    const access = {
      keyId: String(settings['customerMasterKeyID']),
      region: settings['region'] as AtlasAwsRegion,
      accessKeyId: String(settings['accessKeyID']),
      secretAccessKey: credentials.kind === 'secret' ? credentials.secret : '',
    };
    const limiters = new CallLimiters({ clock: this.clock, sleep: () => Promise.resolve(), quotaOf: awsRequestQuotaOf });
    return new RoutedProvider(
      () => JSON.stringify(this.routes.get(access.accessKeyId) ?? { endpoint: this.kms.url, requestTimeoutMs: 5_000 }),
      (route) => new AwsKeyProvider(access, { limiters, metrics, ...(JSON.parse(route) as Route) }),
      () => this.beforeUnwrap(),
    );
  }

  /** A new key in front of the one that sealed until now. */
  rotatedSealingKeys(): SealingKeys {
    return SealingKeys.parse(`${SealingKeys.generate('k2')},${SEALING_KEYS}`);
  }

  /** Keys of which none has sealed anything yet. */
  otherSealingKeys(): SealingKeys {
    return SealingKeys.parse(SealingKeys.generate('k3'));
  }

  /** Handles an event as the inbox does, and then once more, as a redelivery. */
  async deliver<Data>(definition: EventDefinition<Data>, data: Data): Promise<void> {
    const repository = new KeyConfigurationRepository(this.database);
    const publisher = new EventPublisher('kms-validation', this.clock);
    const projects = new ProjectProjection(this.database);
    const handlers: EventHandler[] = projectionHandlers({
      projects,
      clusters: new ClusterProjection(),
      repository,
      keys: new CheckedKeyRepository(this.database),
      policyRepository: new ProjectPolicyRepository(this.database),
      roles: new AccessRoleRepository(this.database),
      missingKeys: new MissingKeys({ repository, publisher, clock: this.clock }),
      publisher,
      clock: this.clock,
    });
    handlers.push(...keyAccessHandlers(new KeyAccessRequestRepository(this.database), this.clock));
    const [handler, ...others] = handlers.filter((candidate) => candidate.definition.type === definition.type);
    if (!handler || others.length > 0) throw new Error(`${definition.type} has ${others.length + (handler ? 1 : 0)} handlers`);
    const event = { type: definition.type, subject: definition.subjectOf(data), data } as EventEnvelope<Data>;
    for (let delivery = 1; delivery <= 2; delivery += 1) await this.database.transaction((tx) => handler.handle(event, tx));
  }

  /** Sends an event the way another service's relay does. */
  send<Data>(definition: EventDefinition<Data>, data: Data): Promise<void> {
    const envelope: EventEnvelope<Data> = {
      specversion: '1.0',
      id: randomUUID(),
      source: '/atrest/fleet',
      type: definition.type,
      subject: definition.subjectOf(data),
      time: this.clock.now().toISOString(),
      datacontenttype: 'application/json',
      correlationid: randomUUID(),
      data,
    };
    return this.transport.send([{ topic: definition.topic.name, envelope }]);
  }

  /** Events of this service so far, in their order. */
  async events(projectId?: string): Promise<{ name: string; data: KeyConfigurationState }[]> {
    const found = await this.database.query<{ envelope: EventEnvelope<KeyConfigurationState> }>(
      'SELECT envelope FROM outbox ORDER BY position',
    );
    return found
      .filter(({ envelope }) => envelope.type.startsWith('io.atrest.key-configuration.'))
      .map(({ envelope }) => ({ name: envelope.type.split('.').at(-2)!, data: envelope.data }))
      .filter(({ data }) => projectId === undefined || data.projectId === projectId);
  }

  /** Events of the breaker so far, in their order. */
  async breakerEvents(): Promise<{ name: string; data: BreakerIncident }[]> {
    const found = await this.database.query<{ envelope: EventEnvelope<BreakerIncident> }>(
      `SELECT envelope FROM outbox WHERE envelope ->> 'type' LIKE 'io.atrest.validity-breaker.%' ORDER BY position`,
    );
    return found.map(({ envelope }) => ({ name: envelope.type.split('.').at(-2)!, data: envelope.data }));
  }

  async eventNames(projectId?: string): Promise<string[]> {
    return (await this.events(projectId)).map(({ name }) => name);
  }

  /** Moves the clock to the next due time and checks what is due then; answers how many checks that were. */
  async tick(service: KmsValidationService): Promise<number> {
    const due = await new CheckedKeyRepository(this.database).nextDueAt();
    if (due && due > this.clock.now()) this.clock.set(due);
    return service.monitor.runDue();
  }

  /** The history's entries, oldest first. */
  history(): Promise<
    { checked_key_id: string; verdict: string; reason: string | null; observer: string; checked_at: Date; checks: number }[]
  > {
    return this.database.query('SELECT * FROM validity_check ORDER BY id');
  }

  /** The entries that a configuration's key has in the history, and how many checks there were in all. */
  async checksOf(projectId: string): Promise<{ samples: Awaited<ReturnType<Stage['history']>>; checks: number }> {
    const [key] = await this.database.query<{ id: string; since: number }>(
      'SELECT k.id, k.checks_since_sample AS since FROM checked_key k JOIN key_configuration c ON c.checked_key_id = k.id WHERE c.project_id = $1',
      [projectId],
    );
    const samples = (await this.history()).filter((sample) => sample.checked_key_id === key?.id);
    return { samples, checks: samples.reduce((sum, { checks }) => sum + checks, key?.since ?? 0) };
  }

  /** Everything the database holds of configurations, as text: to look for what must not be there. */
  async rawConfigurations(): Promise<string> {
    return JSON.stringify(await this.database.transaction((tx) => rows(tx, 'SELECT * FROM key_configuration')));
  }

  async close(): Promise<void> {
    await Promise.all(this.services.map((service) => service.stop()));
    await this.database.close();
    await this.transport.close();
    await this.kms.close();
    await this.testDatabase.drop();
  }
}

/** A project as `fleet` tells of it. */
export function projectState(change: Partial<ProjectState> = {}): ProjectState {
  const id = newObjectId();
  return {
    id,
    orgId: newObjectId(),
    name: `project ${id}`,
    members: [],
    createdAt: START.toISOString(),
    deletedAt: null,
    revision: 1,
    ...change,
  };
}

/** A cluster as `fleet` tells of it. */
export function clusterState(projectId: string, change: Partial<ClusterSummary> = {}): ClusterSummary {
  return {
    id: newObjectId(),
    projectId,
    name: 'orders',
    clusterType: 'REPLICASET',
    state: 'IDLE',
    disabledReason: null,
    encryptionAtRestProvider: 'AWS',
    backupEnabled: false,
    mongoDBVersion: '8.0',
    processes: [],
    createdAt: START.toISOString(),
    deletedAt: null,
    revision: 1,
    ...change,
  };
}

export function valueOf<Value>(outcome: Outcome<Value>): Value {
  if (outcome.kind === 'refused') throw new Error(`${outcome.refusal.code}: ${outcome.refusal.detail}`);
  return outcome.value;
}

export function refusalOf(outcome: Outcome<unknown>): Refusal {
  if (outcome.kind === 'done') throw new Error('It was not refused.');
  return outcome.refusal;
}

/** A known project without a key. */
export async function newProject(stage: Stage, orgId?: string): Promise<string> {
  const project = projectState(orgId === undefined ? {} : { orgId });
  await stage.deliver(projectCreated, project);
  return project.id;
}

/** A project whose key was proven and stored through the API's use case. */
export async function newConfiguredProject(
  stage: Stage,
  service: KmsValidationService,
  change: AwsKmsChange & { alias?: string; orgId?: string } = {},
): Promise<ConfiguredProject> {
  const { alias, orgId, ...given } = change;
  const projectId = await newProject(stage, orgId);
  const credentials = stage.kms.createAccessKey();
  const key = stage.kms.createKey(alias === undefined ? {} : { alias });
  valueOf(
    await service.useCases.change(projectId, {
      awsKms: {
        enabled: true,
        customerMasterKeyID: alias === undefined ? key.keyId : `alias/${alias}`,
        region: 'US_EAST_1',
        accessKeyID: credentials.accessKeyId,
        secretAccessKey: credentials.secretAccessKey,
        ...given,
      },
    }),
  );
  return { projectId, keyId: key.keyId, arn: key.arn, credentials };
}

export const statusOf = async (service: KmsValidationService, projectId: string): Promise<KeyValidityStatus> =>
  valueOf(await service.useCases.status(projectId, 'AWS'));

export const awsOf = async (service: KmsValidationService, projectId: string): Promise<EncryptionAtRest['awsKms']> =>
  valueOf(await service.useCases.read(projectId)).awsKms;
