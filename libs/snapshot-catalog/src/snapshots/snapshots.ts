import { newObjectId, ObjectIdSchema, type SnapshotRequest, type SnapshotRetentionChange } from '@atrest/contracts';
import { awaitProjection, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import type { BackupJobs } from '../jobs/backup-jobs.js';
import type { ClusterProjection, KnownCluster } from '../projections/cluster-projection.js';
import type { KeyConfigurationProjection, KnownKeyConfiguration } from '../projections/key-configuration-projection.js';
import { done, refused, type Outcome, type Refused } from '../refusal.js';
import { pauseOf } from '../schedule/pause-policy.js';
import type { ScheduleRepository } from '../schedule/schedule.repository.js';
import type { EpochRepository } from './epoch.repository.js';
import { endOf, extraDays, type Retention } from './retention-policy.js';
import { USUAL_METHODS } from './retry-policy.js';
import type { SnapshotChanges } from './snapshot-changes.js';
import type { SnapshotRepository } from './snapshot.repository.js';
import { fail, isSharded, keepUntil, partsAtFirst, remove, request, setOf, type Snapshot } from './snapshot-state.js';

const DAY_MS = 86_400_000;
/** Where a request says nothing: as long as the default schedule keeps its daily ones. */
const DEFAULT_RETENTION_DAYS = 7;
/** A century; calendars end somewhere. */
const MAX_RETENTION_DAYS = 36_500;

export interface SnapshotsParts {
  readonly database: ServiceDatabase;
  readonly repository: SnapshotRepository;
  readonly changes: SnapshotChanges;
  readonly epochs: EpochRepository;
  readonly orders: BackupJobs;
  readonly clusters: ClusterProjection;
  readonly keyConfigurations: KeyConfigurationProjection;
  readonly schedules: ScheduleRepository;
  readonly clock: Clock;
  /** Milliseconds for which a cluster that is not known yet is waited for. */
  readonly projectionWaitMs: number;
}

/** Which part of a list is asked for. */
export interface ListRequest {
  readonly offset: number;
  readonly limit: number;
  /** Only the nearest one before this moment, or optime. */
  readonly before?: Date | { readonly seconds: number; readonly increment: number };
}

/** A snapshot, with what is needed to show it. */
export interface Shown {
  readonly snapshot: Snapshot;
  readonly configurations: readonly KnownKeyConfiguration[];
}

/** What people and tools do with snapshots. */
export class Snapshots {
  constructor(private readonly parts: SnapshotsParts) {}

  async list(
    projectId: string,
    clusterName: string,
    { offset, limit, before }: ListRequest,
  ): Promise<Outcome<{ snapshots: Snapshot[]; total: number; configurations: KnownKeyConfiguration[] }>> {
    const { repository, keyConfigurations } = this.parts;
    const cluster = await this.cluster(projectId, clusterName);
    if (cluster === null) return clusterNotFound(projectId, clusterName);
    const configurations = await keyConfigurations.ofProject(projectId);
    if (before !== undefined) {
      const found =
        before instanceof Date ? await repository.before(cluster.id, before) : await repository.beforeOptime(cluster.id, before);
      const snapshots = found === null ? [] : [found];
      return done({ snapshots, total: snapshots.length, configurations });
    }
    const [snapshots, total] = await Promise.all([repository.list(cluster.id, { offset, limit }), repository.count(cluster.id)]);
    return done({ snapshots, total, configurations });
  }

  async get(projectId: string, clusterName: string, id: string): Promise<Outcome<Shown>> {
    const cluster = await this.cluster(projectId, clusterName);
    if (cluster === null) return clusterNotFound(projectId, clusterName);
    const snapshot = ObjectIdSchema.safeParse(id).success ? await this.parts.repository.find(id) : null;
    if (!isOf(snapshot, cluster)) return snapshotNotFound(id, clusterName);
    return this.shown(snapshot);
  }

  /** Only those of a sharded cluster, as Atlas lists them. */
  async sharded(projectId: string, clusterName: string): Promise<Outcome<'sharded' | 'replica-set'>> {
    const cluster = await this.cluster(projectId, clusterName);
    if (cluster === null) return clusterNotFound(projectId, clusterName);
    return done(isSharded(cluster) ? 'sharded' : 'replica-set');
  }

  /** Queues a snapshot on demand: one at a time, beside whatever the schedule takes. */
  async take(projectId: string, clusterName: string, body: SnapshotRequest): Promise<Outcome<Shown>> {
    const { database, repository, changes, epochs, orders, clusters, schedules, clock } = this.parts;
    const known = await this.cluster(projectId, clusterName);
    if (known === null || known.deletedAt !== null) return clusterNotFound(projectId, clusterName);
    await repository.prepare(clock.now());
    const queued = await database.transaction(async (tx): Promise<Outcome<Snapshot>> => {
      const now = clock.now();
      const cluster = await clusters.hold(tx, known.id);
      if (cluster === null || cluster.deletedAt !== null) return clusterNotFound(projectId, clusterName);
      const schedule = cluster.backupEnabled ? await schedules.lock(tx, cluster.id) : null;
      if (schedule === null) return backupNotEnabled(clusterName);
      const epoch = await epochs.current(tx, cluster, now);
      const pause = pauseOf(cluster, epoch !== null);
      if (pause !== null || epoch === null) {
        return refused('CLUSTER_CANNOT_BE_COPIED', `No snapshot can be taken of cluster ${clusterName}: ${pause?.reason ?? ''}`, [
          clusterName,
        ]);
      }
      if ((await repository.unfinished(tx, cluster.id)).some(({ snapshotType }) => snapshotType === 'onDemand')) {
        return refused(
          'UNFINISHED_ON_DEMAND_SNAPSHOT',
          `Cluster ${clusterName} has an on-demand snapshot that is queued or in progress. Wait for its end, or cancel it.`,
          [clusterName],
        );
      }
      const retention: Retention = { unit: 'days', value: body.retentionInDays ?? DEFAULT_RETENTION_DAYS };
      const extra = extraDays(schedule.extraRetention, 'on_demand') * DAY_MS;
      const requested = request({
        id: newObjectId(now),
        projectId,
        clusterId: cluster.id,
        clusterName,
        epochId: epoch.id,
        provider: epoch.provider,
        encryptionKeyId: epoch.encryptionKeyId,
        snapshotType: 'onDemand',
        frequencyType: null,
        policyItems: [],
        description: body.description ?? null,
        replicaSet: setOf(cluster),
        parts: partsAtFirst(cluster),
        retention,
        dueAt: null,
        requestedAt: now,
        expiresAt: new Date(endOf(retention, now).getTime() + extra),
        source: body.selfManaged?.source ?? schedule.source,
        methods: USUAL_METHODS,
        attempt: 1,
        avoidMember: null,
        anew: false,
      });
      await changes.add(tx, requested);
      await orders.takeNext(tx, cluster.id);
      return done(requested.snapshot);
    });
    return queued.kind === 'done' ? this.shown(queued.value) : queued;
  }

  /** Keeps a snapshot for longer or shorter, counted from its completion. */
  async changeRetention(projectId: string, clusterName: string, id: string, body: SnapshotRetentionChange): Promise<Outcome<Shown>> {
    const retention: Retention = { unit: body.retentionUnit.toLowerCase() as Retention['unit'], value: body.retentionValue };
    if (retention.value < 1 || endOf(retention, new Date(0)).getTime() > MAX_RETENTION_DAYS * DAY_MS) {
      return refused(
        'BACKUP_SNAPSHOT_RETENTION_VALUE_INVALID',
        `A snapshot is kept for at least one day and at most ${MAX_RETENTION_DAYS} days; ${retention.value} ${body.retentionUnit} was given.`,
        [String(retention.value), body.retentionUnit],
      );
    }
    const changed = await this.change(projectId, clusterName, id, async (tx, snapshot) => {
      if (isUnfinished(snapshot)) {
        return refused(
          'CANNOT_MODIFY_IN_PROGRESS_SNAPSHOT_RETENTION',
          `Snapshot ${id} is in progress: its retention cannot be changed yet.`,
          [id],
        );
      }
      if (snapshot.status === 'failed') return refused('CANNOT_MODIFY_SNAPSHOT', `Snapshot ${id} failed: there is nothing to keep.`, [id]);
      const completedAt = new Date(snapshot.taken?.completedAt ?? snapshot.requestedAt);
      return this.applied(tx, snapshot, keepUntil(snapshot, endOf(retention, completedAt), retention));
    });
    return changed.kind === 'done' ? this.shown(changed.value) : changed;
  }

  /** Deletes a snapshot, the last good one as well: that is its owner's decision. */
  async delete(projectId: string, clusterName: string, id: string): Promise<Outcome<Snapshot>> {
    return this.change(projectId, clusterName, id, async (tx, snapshot) => {
      if (isUnfinished(snapshot)) {
        return refused('CANNOT_DELETE_IN_PROGRESS_SNAPSHOT', `Snapshot ${id} is in progress: cancel it first.`, [id]);
      }
      return this.applied(tx, snapshot, remove(snapshot, this.parts.clock.now()));
    });
  }

  /** Ends a snapshot that is queued or in progress. One that an agent works on fails as soon as the agent has cleaned up. */
  async cancel(projectId: string, clusterName: string, id: string): Promise<Outcome<Shown>> {
    const { orders, clock } = this.parts;
    const changed = await this.change(projectId, clusterName, id, async (tx, snapshot) => {
      if (!isUnfinished(snapshot)) {
        return refused('SNAPSHOT_NOT_IN_PROGRESS', `Snapshot ${id} is ${snapshot.status}: there is nothing to cancel.`, [id]);
      }
      if (snapshot.jobId !== null) {
        await orders.cancel(tx, snapshot.jobId);
        return done(snapshot);
      }
      const failure = { code: 'CANCELLED', detail: 'The snapshot was cancelled before it began.' } as const;
      return this.applied(tx, snapshot, fail(snapshot, failure, null, new Date(clock.now().getTime() + DEFAULT_RETENTION_DAYS * DAY_MS)));
    });
    return changed.kind === 'done' ? this.shown(changed.value) : changed;
  }

  /** The cluster of a name; a deleted one while it has snapshots. */
  async cluster(projectId: string, name: string): Promise<KnownCluster | null> {
    const { clusters, repository, projectionWaitMs } = this.parts;
    // What PostgreSQL cannot hold as text names nothing.
    if (name.includes('\0')) return null;
    const cluster = await awaitProjection(() => clusters.named(projectId, name), { timeoutMs: projectionWaitMs });
    if (cluster === undefined) return null;
    return cluster.deletedAt === null || (await repository.count(cluster.id)) > 0 ? cluster : null;
  }

  private async change(
    projectId: string,
    clusterName: string,
    id: string,
    decide: (tx: Transaction, snapshot: Snapshot) => Promise<Outcome<Snapshot>>,
  ): Promise<Outcome<Snapshot>> {
    const cluster = await this.cluster(projectId, clusterName);
    if (cluster === null) return clusterNotFound(projectId, clusterName);
    if (!ObjectIdSchema.safeParse(id).success) return snapshotNotFound(id, clusterName);
    return this.parts.database.transaction(async (tx) => {
      const snapshot = await this.parts.repository.lock(tx, id);
      return isOf(snapshot, cluster) ? decide(tx, snapshot) : snapshotNotFound(id, clusterName);
    });
  }

  private async applied(tx: Transaction, before: Snapshot, changed: ReturnType<typeof remove>): Promise<Outcome<Snapshot>> {
    const outcome = await this.parts.changes.apply(tx, before, changed);
    if (outcome.kind === 'not-possible') throw new Error(`Snapshot ${before.id} is ${before.status}, which no rule allows to change so.`);
    return done(outcome.snapshot);
  }

  private async shown(snapshot: Snapshot): Promise<Outcome<Shown>> {
    return done({ snapshot, configurations: await this.parts.keyConfigurations.ofProject(snapshot.projectId) });
  }
}

const isUnfinished = ({ status }: Snapshot): boolean => status === 'queued' || status === 'inProgress';

const isOf = (snapshot: Snapshot | null, cluster: KnownCluster): snapshot is Snapshot =>
  snapshot !== null && snapshot.clusterId === cluster.id && snapshot.deletedAt === null;

export const clusterNotFound = (projectId: string, name: string): Refused =>
  refused('CLUSTER_NOT_FOUND', `No cluster named ${name} exists in group ${projectId}.`, [name, projectId]);

export const backupNotEnabled = (name: string): Refused =>
  refused('BACKUP_JOB_NOT_FOUND', `Backup is not enabled for cluster ${name}. Set backupEnabled of the cluster first.`, [name]);

export const snapshotNotFound = (id: string, clusterName: string): Refused =>
  ObjectIdSchema.safeParse(id).success
    ? refused('SNAPSHOT_NOT_FOUND', `No snapshot with ID ${id} exists for cluster ${clusterName}.`, [id, clusterName])
    : refused('INVALID_SNAPSHOT_ID', 'An invalid snapshot ID was specified.');
