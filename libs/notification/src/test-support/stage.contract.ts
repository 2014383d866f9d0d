// Excluded from the package like every *.contract.ts: for the suites of this library only.
import { randomUUID } from 'node:crypto';
import {
  newObjectId,
  type BackupHealth,
  type ClusterConcern,
  type ClusterSummary,
  type EventDefinition,
  type EventEnvelope,
  type Evidence,
  type Hold,
  type KeyConfigurationState,
  type NotificationState,
  type ProjectRole,
  type ProjectState,
  type SnapshotState,
} from '@atrest/contracts';
import { createLogger } from '@atrest/platform-logging';
import { EmbeddedTransport } from '@atrest/platform-messaging';
import { Metrics } from '@atrest/platform-metrics';
import { ServiceDatabase } from '@atrest/platform-persistence';
import { SimulatedClock } from '@atrest/platform-time';
import { MailCatcher, testDatabase, type TestDatabase } from '@atrest/testing';
import { createNotificationService, type NotificationOptions, type NotificationService } from '../notification-service.js';

export const START = new Date('2026-11-23T12:00:00.000Z');
export const PUBLIC_URL = 'https://atrest.example';
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** The whole service on a database of its own, with a real mail server and a clock that stands still. */
export class Stage {
  readonly clock = new SimulatedClock(START);
  readonly metrics = new Metrics();
  readonly logLines: string[] = [];
  private readonly transport = new EmbeddedTransport();
  private readonly services: NotificationService[] = [];

  private constructor(
    readonly mails: MailCatcher,
    readonly testDatabase: TestDatabase,
    readonly database: ServiceDatabase,
    private readonly options: Partial<NotificationOptions>,
  ) {}

  static async open(name: string, options: Partial<NotificationOptions> = {}): Promise<Stage> {
    const [mails, database] = await Promise.all([MailCatcher.start(), testDatabase(name)]);
    const own = await ServiceDatabase.open({
      service: 'notification',
      url: database.url,
      migrations: [],
      logger: createLogger({ service: 'test', level: 'silent' }),
      metrics: new Metrics(),
      poolSize: 4,
    });
    const stage = new Stage(mails, database, own, options);
    await (await stage.replica()).messaging.start();
    return stage;
  }

  /** Another replica, or the first. It sends nothing by itself: `deliverDue` drives it. */
  async replica(options: Partial<NotificationOptions> = {}): Promise<NotificationService> {
    const service = await createNotificationService(
      {
        database: { url: this.testDatabase.url, poolSize: 8 },
        transport: this.transport,
        clock: this.clock,
        logger: createLogger({
          service: 'notification',
          level: 'debug',
          destination: { write: (line: string) => void this.logLines.push(line) },
        }),
        metrics: this.metrics,
      },
      { smtpUrl: this.mails.smtpUrl, from: 'Atrest <atrest@atrest.example>', publicUrl: PUBLIC_URL, ...this.options, ...options },
    );
    this.services.push(service);
    return service;
  }

  get service(): NotificationService {
    const [first] = this.services;
    if (first === undefined) throw new Error('the stage is not open');
    return first;
  }

  /** Sends an event, the same event again, and its content under a new id as after a replay; waits until all are handled. */
  async deliver<Data>(definition: EventDefinition<Data>, data: Data): Promise<void> {
    const envelope = envelopeOf(definition, data, this.clock.now());
    for (const each of [envelope, envelope, { ...envelope, id: randomUUID() }]) {
      await this.transport.send([{ topic: definition.topic.name, envelope: each }]);
    }
    await this.service.messaging.whenCaughtUp();
  }

  /** Many at once, each twice, in one batch of the transport. */
  async deliverAll<Data>(definition: EventDefinition<Data>, all: readonly Data[]): Promise<void> {
    const envelopes = all.map((data) => envelopeOf(definition, data, this.clock.now()));
    await this.transport.send([...envelopes, ...envelopes].map((envelope) => ({ topic: definition.topic.name, envelope })));
    await this.service.messaging.whenCaughtUp();
  }

  /** Events of this service so far: name and data. */
  async events(): Promise<{ name: string; data: NotificationState }[]> {
    const found = await this.database.query<{ envelope: EventEnvelope<NotificationState> }>(
      'SELECT envelope FROM outbox ORDER BY position',
    );
    return found.map(({ envelope }) => ({ name: envelope.type.split('.').at(-2) ?? '', data: envelope.data }));
  }

  /** Moves the clock to the next moment at which something is due, and sends it. False when nothing is pending. */
  async tick(): Promise<boolean> {
    const due = await this.service.notifications.nextDueAt();
    if (due === null) return false;
    if (due > this.clock.now()) this.clock.set(due);
    await this.service.deliverDue();
    return true;
  }

  async close(): Promise<void> {
    await Promise.all(this.services.map((service) => service.stop()));
    await this.database.close();
    await this.transport.close();
    await this.mails.close();
    await this.testDatabase.drop();
  }
}

export function envelopeOf<Data>(definition: EventDefinition<Data>, data: Data, time: Date): EventEnvelope<Data> {
  return {
    specversion: '1.0',
    id: randomUUID(),
    source: '/atrest/test',
    type: definition.type,
    subject: definition.subjectOf(data),
    time: time.toISOString(),
    datacontenttype: 'application/json',
    correlationid: randomUUID(),
    data,
  };
}

/** A project as `fleet` tells of it, with members by address. */
export function projectState(members: Readonly<Record<string, readonly ProjectRole[]>>, change: Partial<ProjectState> = {}): ProjectState {
  return {
    id: newObjectId(),
    orgId: newObjectId(),
    name: 'Orders',
    members: Object.entries(members).map(([email, roles]) => ({ id: newObjectId(), email, roles: [...roles] })),
    createdAt: START.toISOString(),
    deletedAt: null,
    revision: 1,
    ...change,
  };
}

/** A cluster as `fleet` tells of it. */
export function clusterState(projectId: string, name: string, change: Partial<ClusterSummary> = {}): ClusterSummary {
  return {
    id: newObjectId(),
    projectId,
    name,
    clusterType: 'REPLICASET',
    state: 'IDLE',
    disabledReason: null,
    encryptionAtRestProvider: 'AWS',
    backupEnabled: false,
    mongoDBVersion: null,
    processes: [],
    createdAt: START.toISOString(),
    deletedAt: null,
    revision: 1,
    ...change,
  };
}

export const ARN = 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';

export function evidence(change: Partial<Evidence> = {}): Evidence {
  return {
    verdict: 'definitive',
    reason: 'KEY_DISABLED',
    errorName: 'DisabledException',
    message: `${ARN} is disabled.`,
    httpStatus: 400,
    requestId: 'request-3',
    at: START.toISOString(),
    observer: 'replica-1',
    ...change,
  };
}

/** A key configuration as `kms-validation` tells of it: valid, until the change says otherwise. */
export function keyState(projectId: string, change: Partial<KeyConfigurationState> = {}): KeyConfigurationState {
  return {
    id: newObjectId(),
    projectId,
    provider: 'AWS',
    enabled: true,
    state: 'VALID',
    mode: 'enforce',
    keyId: 'alias/orders',
    resolvedKeyId: ARN,
    region: 'US_EAST_1',
    evidence: [],
    invalidSince: null,
    unreachableSince: null,
    lastProvenAt: START.toISOString(),
    revision: 1,
    ...change,
  };
}

/** The next event's state of a configuration. */
export function following(state: KeyConfigurationState, change: Partial<KeyConfigurationState>): KeyConfigurationState {
  return { ...state, revision: state.revision + 1, ...change };
}

export function invalid(state: KeyConfigurationState, at: Date): KeyConfigurationState {
  const observations = [1, 2, 3].map((number) => evidence({ requestId: `request-${number}`, at: at.toISOString() }));
  return following(state, { state: 'INVALID', evidence: observations, invalidSince: at.toISOString() });
}

export function hold(change: Partial<Hold> = {}): Hold {
  return {
    since: START.toISOString(),
    decision: 'PENDING',
    until: new Date(START.getTime() + 4 * HOUR).toISOString(),
    atTheEnd: 'HOLD',
    decidedBy: null,
    ...change,
  };
}

/** The shutdown for this key is held. */
export function held(state: KeyConfigurationState, change: Partial<Hold> = {}): KeyConfigurationState {
  return following(state, { state: 'HELD', evidence: [evidence()], hold: hold(change) });
}

export function concern(cluster: ClusterSummary, change: Partial<ClusterConcern> = {}): ClusterConcern {
  return {
    cluster,
    processId: newObjectId(),
    kind: 'STARTED_BY_HAND',
    detail: 'mongod runs with pid 4711 although it should be stopped.',
    since: START.toISOString(),
    ...change,
  };
}

/** A snapshot as `snapshot-catalog` tells of it: asked for, until the change says otherwise. */
export function snapshotState(cluster: ClusterSummary, change: Partial<SnapshotState> = {}): SnapshotState {
  return {
    id: newObjectId(),
    projectId: cluster.projectId,
    clusterId: cluster.id,
    clusterName: cluster.name,
    status: 'queued',
    snapshotType: 'scheduled',
    frequencyType: 'hourly',
    policyItems: [newObjectId()],
    description: null,
    provider: 'AWS',
    encryptionKeyId: ARN,
    epochId: newObjectId(),
    requestedAt: START.toISOString(),
    startedAt: null,
    createdAt: null,
    expiresAt: null,
    deletedAt: null,
    taken: null,
    progress: null,
    failure: null,
    attempt: 1,
    willRetry: false,
    lastProof: null,
    proofFailure: null,
    revision: 1,
    ...change,
  };
}

/** The backups of a cluster as `snapshot-catalog` tells of them: all is well, until the change says otherwise. */
export function healthState(cluster: ClusterSummary, change: Partial<BackupHealth> = {}): BackupHealth {
  return {
    id: cluster.id,
    projectId: cluster.projectId,
    clusterName: cluster.name,
    paused: null,
    behindSince: null,
    lastCompletedAt: null,
    oldestProof: null,
    revision: 1,
    ...change,
  };
}
