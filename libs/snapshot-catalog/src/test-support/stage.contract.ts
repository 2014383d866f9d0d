// Excluded from the package like every *.contract.ts: for the suites of this library only.
import { randomUUID } from 'node:crypto';
import {
  agentTaskAssigned,
  agentTaskFinished,
  agentTaskProgressed,
  backupJobCancelled,
  backupJobOrdered,
  clusterCreated,
  clusterUpdated,
  keyConfigurationSaved,
  newObjectId,
  projectCreated,
  topics,
  type AgentTaskState,
  type BackupFailureCode,
  type BackupHealth,
  type BackupJob,
  type BackupProgress,
  type ClusterSummary,
  type EventDefinition,
  type EventEnvelope,
  type KeyConfigurationState,
  type SnapshotPart,
  type SnapshotProof,
  type SnapshotState,
  type SnapshotTaken,
} from '@atrest/contracts';
import { createLogger } from '@atrest/platform-logging';
import { EmbeddedTransport } from '@atrest/platform-messaging';
import { Metrics } from '@atrest/platform-metrics';
import { ServiceDatabase } from '@atrest/platform-persistence';
import { SimulatedClock } from '@atrest/platform-time';
import { testDatabase, type TestDatabase } from '@atrest/testing';
import { createSnapshotCatalogService, type SnapshotCatalogOptions, type SnapshotCatalogService } from '../snapshot-catalog.service.js';

/** A Monday. */
export const START = new Date('2026-11-23T12:00:00.000Z');
export const ISSUER = 'https://atrest.example';
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
export const KEY_ID = 'arn:aws:kms:eu-central-1:111122223333:key/aaaa';

type TaskChange = Partial<Pick<AgentTaskState, 'status' | 'progress' | 'result' | 'failure' | 'member' | 'parts'>>;

/** The whole service on a database of its own, behind the embedded transport, with a clock that stands still and a fleet that does as it is told. */
export class Stage {
  readonly clock = new SimulatedClock(START);
  readonly transport = new EmbeddedTransport();
  readonly metrics = new Metrics();
  /** What was ordered so far, in order, and not answered by {@link answer} yet. */
  readonly jobs: BackupJob[] = [];
  readonly cancelled: string[] = [];
  private readonly revisions = new Map<string, number>();
  private readonly services: SnapshotCatalogService[] = [];

  private constructor(
    private readonly testDatabase: TestDatabase,
    readonly database: ServiceDatabase,
  ) {}

  static async open(name: string): Promise<Stage> {
    const database = await testDatabase(name);
    const own = await ServiceDatabase.open({
      service: 'snapshot-catalog',
      url: database.url,
      migrations: [],
      logger: createLogger({ service: 'test', level: 'silent' }),
      metrics: new Metrics(),
      poolSize: 4,
    });
    const stage = new Stage(database, own);
    await stage.transport.subscribe({
      service: 'fleet',
      topics: [topics.backupJobs.name],
      receive: (batch) => {
        for (const { envelope } of batch) stage.takeIn(envelope as EventEnvelope<BackupJob>);
        return Promise.resolve();
      },
    });
    return stage;
  }

  private takeIn({ type, data }: EventEnvelope<BackupJob>): void {
    if (type === backupJobOrdered.type) this.jobs.push(data);
    if (type === backupJobCancelled.type) this.cancelled.push(data.id);
  }

  /** Another replica, or the first. Its loops stand still: tests run them. */
  async replica(o: Partial<SnapshotCatalogOptions> = {}): Promise<SnapshotCatalogService> {
    const service = await createSnapshotCatalogService(
      {
        database: { url: this.testDatabase.url, poolSize: 8 },
        transport: this.transport,
        clock: this.clock,
        logger: createLogger({ service: 'snapshot-catalog', level: 'silent' }),
        metrics: this.metrics,
      },
      // 12:00, the time of day at which the stage begins.
      { issuer: ISSUER, projectionWaitMs: 0, random: () => 0.5, ...o },
    );
    this.services.push(service);
    // Without the loops, which would do by real time what tests do by the stage's.
    await service.messaging.start();
    return service;
  }

  /** As at the beginning: tests of one suite share a database, and schedules of one would come due in the next. */
  async reset(): Promise<void> {
    await this.settled();
    await this.database.query('TRUNCATE project, cluster, key_configuration, epoch, snapshot, backup_job, cluster_backup, backup_schedule');
    this.clock.set(START);
    this.jobs.splice(0);
    this.cancelled.splice(0);
    this.revisions.clear();
  }

  /** Everything is handled and published. */
  async settled(): Promise<void> {
    for (const service of this.services) await service.messaging.whenCaughtUp();
  }

  /** Sends an event the way another service's relay does, and then once more, as a redelivery with another id. */
  async tell<Data>(definition: EventDefinition<Data>, data: Data): Promise<void> {
    for (let delivery = 1; delivery <= 2; delivery += 1) {
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
      await this.transport.send([{ topic: definition.topic.name, envelope }]);
      await this.settled();
    }
  }

  /** A project with a cluster of three members whose backup is enabled. */
  async cluster(o: Partial<ClusterSummary> = {}): Promise<ClusterSummary> {
    const projectId = o.projectId ?? newObjectId();
    await this.tell(projectCreated, {
      id: projectId,
      orgId: newObjectId(),
      name: projectId,
      members: [],
      createdAt: START.toISOString(),
      deletedAt: null,
      revision: 1,
    });
    const cluster = clusterState(projectId, 'orders', o);
    await this.tell(clusterCreated, cluster);
    return cluster;
  }

  /** The next state of a cluster. */
  async change(cluster: ClusterSummary, o: Partial<ClusterSummary>, definition = clusterUpdated): Promise<ClusterSummary> {
    const next = { ...cluster, ...o, revision: cluster.revision + 1 };
    await this.tell(definition, next);
    return next;
  }

  async key(projectId: string, o: Partial<KeyConfigurationState> = {}, definition = keyConfigurationSaved): Promise<KeyConfigurationState> {
    const state = keyState(projectId, o);
    await this.tell(definition, state);
    return state;
  }

  /** The oldest job of a kind that nobody has answered; it stays until it is over. */
  job<Kind extends BackupJob['kind']>(kind: Kind): Extract<BackupJob, { kind: Kind }> {
    const found = this.jobs.find((job) => job.kind === kind);
    if (found === undefined) throw new Error(`no ${kind} was ordered, but ${this.jobs.map((job) => job.kind).join(', ') || 'nothing'}`);
    return found as Extract<BackupJob, { kind: Kind }>;
  }

  /** What the fleet says of a job. */
  async say(job: BackupJob, change: TaskChange): Promise<void> {
    const revision = (this.revisions.get(job.id) ?? 0) + 1;
    this.revisions.set(job.id, revision);
    const status = change.status ?? 'OPEN';
    const over = status === 'DONE' || status === 'FAILED';
    const task: AgentTaskState = {
      id: job.id,
      kind: job.kind,
      projectId: job.projectId,
      clusterId: job.clusterId,
      status,
      hostId: newObjectId(),
      member: job.kind === 'take-snapshot' ? 'db1.example:27017' : null,
      provider: job.provider,
      hostSealingKey: null,
      progress: null,
      result: null,
      failure: null,
      at: this.clock.now().toISOString(),
      revision,
      ...change,
    };
    if (over) this.jobs.splice(this.jobs.indexOf(job), 1);
    await this.tell(over ? agentTaskFinished : change.progress ? agentTaskProgressed : agentTaskAssigned, task);
  }

  /** The oldest open take-snapshot job is done, as an agent does it. */
  async taken(o: Partial<SnapshotTaken> = {}): Promise<string> {
    const job = this.job('take-snapshot');
    await this.say(job, {});
    await this.say(job, { status: 'DONE', result: { taken: takenBy(this.clock.now(), job, o), proof: proofAt(this.clock.now()) } });
    return job.snapshotId;
  }

  /** What fleet says of a job for a sharded cluster, before an agent begins: which parts there are. */
  async divided(replicaSets = ['cfg', 's1', 's2']): Promise<SnapshotPart[]> {
    const job = this.job('take-snapshot');
    const parts = replicaSets.map((replicaSet, index): SnapshotPart => ({
      snapshotId: newObjectId(this.clock.now()),
      replicaSet,
      role: index === 0 ? 'config' : 'shard',
      member: `${replicaSet}.example:27017`,
      taken: null,
    }));
    await this.say(job, { parts });
    return parts;
  }

  /** The parts of the oldest open take-snapshot job are done, cut at one moment. */
  async takenInParts(parts: readonly SnapshotPart[]): Promise<string> {
    const job = this.job('take-snapshot');
    const cut = { seconds: Math.floor(this.clock.now().getTime() / 1_000), increment: 7, term: null };
    const of = (o: Partial<SnapshotTaken>): SnapshotTaken => takenBy(this.clock.now(), job, { cut, optime: cut, ...o });
    const shards = parts.filter(({ role }) => role === 'shard').map(({ replicaSet }) => ({ name: `shard-${replicaSet}`, replicaSet }));
    const done = parts.map((part) => ({
      ...part,
      taken: of({
        member: part.member ?? '',
        topology: { replicaSet: part.replicaSet, members: [] },
        ...(part.role === 'config' && { shards }),
      }),
    }));
    const whole = of({ shards, topology: { replicaSet: null, members: [] }, bytes: 3_000_000, files: 120 });
    await this.say(job, { status: 'DONE', parts: done, result: { taken: whole, proof: proofAt(this.clock.now()) } });
    return job.snapshotId;
  }

  /** The oldest open take-snapshot job failed while the agent worked on it. */
  async failed(code: BackupFailureCode): Promise<string> {
    const job = this.job('take-snapshot');
    await this.say(job, {});
    await this.say(job, { status: 'FAILED', failure: { code, detail: `It failed: ${code}.` } });
    return job.snapshotId;
  }

  /** The oldest open delete-snapshots job is done. */
  async cleared(o: { refused?: string[]; freedBytes?: number | null } = {}): Promise<readonly string[]> {
    const job = this.job('delete-snapshots');
    const refused = (o.refused ?? []).map((snapshotId) => ({ snapshotId, reason: 'Object Lock' }));
    const deleted = job.snapshotIds.filter((id) => !(o.refused ?? []).includes(id));
    await this.say(job, {
      status: 'DONE',
      result: { deletion: { deleted, refused, freedBytes: o.freedBytes === undefined ? 1 : o.freedBytes } },
    });
    return job.snapshotIds;
  }

  /** Events of a cluster's snapshots so far, in their order. */
  async snapshotEvents(clusterId: string): Promise<{ name: string; data: SnapshotState }[]> {
    const found = await this.database.query<{ envelope: EventEnvelope<SnapshotState> }>(
      `SELECT envelope FROM outbox WHERE envelope ->> 'type' LIKE 'io.atrest.snapshot.%' AND envelope -> 'data' ->> 'clusterId' = $1 ORDER BY position`,
      [clusterId],
    );
    return found.map(({ envelope }) => ({ name: envelope.type.split('.').at(-2)!, data: envelope.data }));
  }

  async snapshotEventNames(clusterId: string): Promise<string[]> {
    return (await this.snapshotEvents(clusterId)).map(({ name }) => name);
  }

  async healthEvents(clusterId: string): Promise<{ name: string; data: BackupHealth }[]> {
    const found = await this.database.query<{ envelope: EventEnvelope<BackupHealth> }>(
      `SELECT envelope FROM outbox WHERE envelope ->> 'type' LIKE 'io.atrest.backup-health.%' AND envelope -> 'data' ->> 'id' = $1 ORDER BY position`,
      [clusterId],
    );
    return found.map(({ envelope }) => ({ name: envelope.type.split('.').at(-2)!, data: envelope.data }));
  }

  /** Whether counters say what counting says, for every epoch and cluster. */
  async miscounts(): Promise<unknown[]> {
    return this.database.query(`
      SELECT 'cluster' AS what, b.cluster_id AS id FROM cluster_backup b
      LEFT JOIN (SELECT cluster_id, count(*) AS listed, count(*) FILTER (WHERE status = 'completed') AS completed FROM snapshot
                 WHERE deleted_at IS NULL GROUP BY cluster_id) s USING (cluster_id)
      WHERE b.listed <> COALESCE(s.listed, 0) OR b.completed <> COALESCE(s.completed, 0)
      UNION ALL
      SELECT 'epoch', e.id FROM epoch e
      LEFT JOIN (SELECT epoch_id, count(*) FILTER (WHERE status IN ('queued', 'inProgress')) AS unfinished,
                   count(*) FILTER (WHERE status = 'completed') AS completed, min(created_at) FILTER (WHERE status = 'completed') AS oldest,
                   max(created_at) FILTER (WHERE status = 'completed') AS newest, max(expires_at) FILTER (WHERE status = 'completed') AS last
                 FROM snapshot WHERE deleted_at IS NULL GROUP BY epoch_id) s ON s.epoch_id = e.id
      WHERE e.unfinished <> COALESCE(s.unfinished, 0) OR e.completed <> COALESCE(s.completed, 0) OR e.oldest_created_at IS DISTINCT FROM s.oldest
        OR e.newest_created_at IS DISTINCT FROM s.newest OR e.last_expires_at IS DISTINCT FROM s.last`);
  }

  async close(): Promise<void> {
    await Promise.all(this.services.map((service) => service.stop()));
    await this.database.close();
    await this.transport.close();
    await this.testDatabase.drop();
  }
}

export function clusterState(projectId: string, name: string, o: Partial<ClusterSummary> = {}): ClusterSummary {
  const process = (hostname: string) => ({
    id: newObjectId(),
    hostId: newObjectId(),
    hostname,
    port: 27_017,
    kind: 'mongod' as const,
    replicaSet: 'rs0',
  });
  return {
    id: newObjectId(),
    projectId,
    name,
    clusterType: 'REPLICASET',
    state: 'IDLE',
    disabledReason: null,
    encryptionAtRestProvider: 'NONE',
    backupEnabled: true,
    mongoDBVersion: '8.0.4',
    processes: ['db1.example', 'db2.example', 'db3.example'].map(process),
    createdAt: START.toISOString(),
    deletedAt: null,
    revision: 1,
    ...o,
  };
}

export function keyState(projectId: string, o: Partial<KeyConfigurationState> = {}): KeyConfigurationState {
  return {
    id: newObjectId(),
    projectId,
    provider: 'AWS',
    enabled: true,
    state: 'VALID',
    mode: 'enforce',
    keyId: 'alias/orders',
    resolvedKeyId: KEY_ID,
    region: 'EU_CENTRAL_1',
    epoch: 1,
    evidence: [],
    invalidSince: null,
    unreachableSince: null,
    lastProvenAt: START.toISOString(),
    revision: 1,
    ...o,
  };
}

export function takenBy(now: Date, job: Extract<BackupJob, { kind: 'take-snapshot' }>, o: Partial<SnapshotTaken> = {}): SnapshotTaken {
  const optime = { seconds: Math.floor(now.getTime() / 1_000), increment: 3, term: 1 };
  return {
    completedAt: now.toISOString(),
    durationMs: 2_000,
    method: 'backupCursor',
    member: 'db1.example:27017',
    memberState: 'SECONDARY',
    mongoDBVersion: '8.0.4',
    featureCompatibilityVersion: '8.0',
    defaultRWConcern: {},
    storage: { engine: 'wiredTiger', directoryPerDB: false, directoryForIndexes: false, blockCompressor: 'snappy', cipherMode: null },
    topology: { replicaSet: 'rs0', members: ['db1.example:27017', 'db2.example:27017', 'db3.example:27017'] },
    optime,
    checkpointTimestamp: optime,
    oplogEnd: optime,
    files: 40,
    bytes: 1_000_000,
    storedBytes: 400_000,
    key: job.encryptionKeyId === null ? null : { provider: job.provider, encryptionKeyId: job.encryptionKeyId, keyVersion: '1' },
    ...o,
  };
}

export const proofAt = (now: Date): SnapshotProof => ({
  provenAt: now.toISOString(),
  blocksSampled: 16,
  blocksRead: 16,
  bytesRead: 65_536,
});

export const progressAt = (now: Date, share: number): BackupProgress => ({
  phase: 'copying',
  files: 4,
  filesTotal: 40,
  bytes: share * 1_000_000,
  bytesTotal: 1_000_000,
  storedBytes: 0,
  bytesPerSecond: 100_000,
  secondsLeft: 9,
  at: now.toISOString(),
});
