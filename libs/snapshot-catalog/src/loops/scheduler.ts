import { newObjectId } from '@atrest/contracts';
import type { ServiceDatabase, Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import type { BackupJobRepository } from '../jobs/backup-job.repository.js';
import type { BackupJobs } from '../jobs/backup-jobs.js';
import type { ClusterProjection, KnownCluster } from '../projections/cluster-projection.js';
import type { BackupHealths } from '../schedule/backup-health.js';
import type { ClusterFollower } from '../schedule/cluster-follower.js';
import { decideRun } from '../schedule/schedule-policy.js';
import type { Schedule, ScheduleRepository } from '../schedule/schedule.repository.js';
import type { SnapshotMetrics } from '../snapshot-metrics.js';
import type { EpochRepository } from '../snapshots/epoch.repository.js';
import { endOf, expiryOf, longestItem } from '../snapshots/retention-policy.js';
import { afterFailure, USUAL_METHODS } from '../snapshots/retry-policy.js';
import type { SnapshotChanges } from '../snapshots/snapshot-changes.js';
import type { SnapshotRepository } from '../snapshots/snapshot.repository.js';
import { isSharded, join, partsAtFirst, request, setOf, tryAgain, type Snapshot } from '../snapshots/snapshot-state.js';

export interface SchedulerParts {
  readonly database: ServiceDatabase;
  readonly schedules: ScheduleRepository;
  readonly snapshots: SnapshotRepository;
  readonly changes: SnapshotChanges;
  readonly epochs: EpochRepository;
  readonly jobs: BackupJobRepository;
  readonly orders: BackupJobs;
  readonly clusters: ClusterProjection;
  readonly healths: BackupHealths;
  readonly follower: ClusterFollower;
  readonly metrics: SnapshotMetrics;
  readonly clock: Clock;
}

/** Queues what schedules ask for and what is to be tried again. Any number of replicas share the work: what one claims, the others pass by. */
export class Scheduler {
  constructor(private readonly parts: SchedulerParts) {}

  /** Queues everything that is due by now; answers how many schedules were looked at and attempts queued. */
  async runDue(): Promise<number> {
    await this.parts.snapshots.prepare(this.parts.clock.now());
    let done = 0;
    while (await this.runOne()) done += 1;
    while (await this.retryOne()) done += 1;
    return done;
  }

  private runOne(): Promise<boolean> {
    const { database, schedules, clock, metrics } = this.parts;
    return database.transaction(async (tx) => {
      const now = clock.now();
      const schedule = await schedules.claimDue(tx, now);
      if (schedule === null) return false;
      const decision = decideRun(schedule, { next: schedule.nextSnapshotAt, decidedAt: schedule.decidedAt }, now);
      await schedules.write(tx, { ...schedule, nextSnapshotAt: decision.next, decidedAt: now });
      if (decision.kind === 'wait') return true;
      metrics.queued(decision.dueAt, now);
      await this.queue(tx, schedule, decision, now);
      return true;
    });
  }

  private async queue(
    tx: Transaction,
    schedule: Schedule,
    { items, dueAt }: { readonly items: Schedule['items']; readonly dueAt: Date },
    now: Date,
  ): Promise<void> {
    const { snapshots, changes, epochs, orders, clusters, schedules, healths, follower } = this.parts;
    const { clusterId } = schedule;
    const cluster = await clusters.get(tx, clusterId);
    const longest = longestItem(items, now);
    if (cluster === null || longest === null) return;
    const epoch = await epochs.current(tx, cluster, now);
    if (epoch === null) {
      // The key configuration was removed while the cluster uses it: the schedule pauses, and the run waits for another one.
      await follower.follow(tx, clusterId);
      await schedules.makeDue(tx, clusterId, dueAt);
      return;
    }
    const run = {
      policyItems: items.map(({ id }) => id),
      frequencyType: longest.frequencyType,
      retention: { unit: longest.retentionUnit, value: longest.retentionValue },
      expiresAt: expiryOf(items, schedule.extraRetention, now),
    };
    const waiting = (await snapshots.unfinished(tx, clusterId)).find((one) => one.jobId === null && one.snapshotType !== 'onDemand');
    if (waiting !== undefined) {
      const both = schedule.items.filter(({ id }) => run.policyItems.includes(id) || waiting.policyItems.includes(id));
      const longer = longestItem(both, now) ?? longest;
      const joined = {
        ...run,
        frequencyType: longer.frequencyType,
        retention: { unit: longer.retentionUnit, value: longer.retentionValue },
        expiresAt: expiryOf(both, schedule.extraRetention, now),
      };
      await changes.apply(tx, waiting, join(waiting, joined));
    } else {
      await changes.add(
        tx,
        request({ ...identityOf(cluster, schedule, now), ...epochOf(epoch), ...run, snapshotType: 'scheduled', dueAt }),
      );
    }
    // After the snapshots, as everybody locks them before their cluster.
    await healths.due(tx, clusterId, dueAt);
    await orders.takeNext(tx, clusterId);
  }

  private retryOne(): Promise<boolean> {
    const { database, snapshots, changes, clusters, epochs, jobs, orders, clock } = this.parts;
    return database.transaction(async (tx) => {
      const now = clock.now();
      const failed = await snapshots.claimRetry(tx, now);
      if (failed === null) return false;
      await changes.quietly(tx, failed, { retryAt: null });
      const cluster = await clusters.get(tx, failed.clusterId);
      if (cluster === null || cluster.deletedAt !== null || !cluster.backupEnabled || failed.failure === null) return true;
      const decision = afterFailure({ ...failed, code: failed.failure.code, dataMembers: isSharded(cluster) ? 0 : cluster.dataMembers });
      const epoch = await epochs.current(tx, cluster, now);
      if (decision.kind !== 'retry' || epoch === null) return true;
      const next = {
        id: newObjectId(now),
        requestedAt: now,
        expiresAt: endOf(failed.retention, now),
        methods: decision.methods,
        snapshotType: decision.snapshotType,
        avoidMember: decision.avoidMember && failed.jobId !== null ? await jobs.memberOf(tx, failed.jobId) : null,
        anew: decision.anew,
      };
      const again = tryAgain({ ...failed, ...epochOf(epoch) }, next);
      await changes.add(tx, again);
      await orders.takeNext(tx, failed.clusterId);
      return true;
    });
  }
}

const epochOf = ({ id, provider, encryptionKeyId }: { id: string; provider: Snapshot['provider']; encryptionKeyId: string | null }) => ({
  epochId: id,
  provider,
  encryptionKeyId,
});

const identityOf = (cluster: KnownCluster, { source }: Schedule, now: Date) => ({
  id: newObjectId(now),
  projectId: cluster.projectId,
  clusterId: cluster.id,
  clusterName: cluster.name,
  replicaSet: setOf(cluster),
  parts: partsAtFirst(cluster),
  description: null,
  requestedAt: now,
  source,
  methods: USUAL_METHODS,
  attempt: 1,
  avoidMember: null,
  anew: false,
});
