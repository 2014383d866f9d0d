import type { BackupScheduleChange, BackupScheduleView } from '@atrest/contracts';
import { atlasTime } from '@atrest/platform-http';
import type { ServiceDatabase, Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import type { KnownCluster } from '../projections/cluster-projection.js';
import { done, refused, type Outcome, type Refused } from '../refusal.js';
import { afterPolicyChange } from '../snapshots/retention-policy.js';
import type { SnapshotChanges } from '../snapshots/snapshot-changes.js';
import type { SnapshotRepository } from '../snapshots/snapshot.repository.js';
import { clusterNotFound, type Snapshots } from '../snapshots/snapshots.js';
import { keepUntil, remove } from '../snapshots/snapshot-state.js';
import type { BackupHealths } from './backup-health.js';
import { changeSchedule } from './schedule-change.js';
import type { Schedule, ScheduleRepository } from './schedule.repository.js';

const BATCH = 200;

export interface SchedulesParts {
  readonly database: ServiceDatabase;
  readonly schedules: ScheduleRepository;
  readonly healths: BackupHealths;
  readonly snapshots: Snapshots;
  readonly repository: SnapshotRepository;
  readonly changes: SnapshotChanges;
  readonly clock: Clock;
}

/** What people and tools do with schedules. */
export class Schedules {
  constructor(private readonly parts: SchedulesParts) {}

  async read(projectId: string, clusterName: string, base: string): Promise<Outcome<BackupScheduleView>> {
    const cluster = await this.parts.snapshots.cluster(projectId, clusterName);
    if (cluster === null) return clusterNotFound(projectId, clusterName);
    const schedule = await this.parts.schedules.find(cluster.id);
    return schedule === null ? noSchedule(clusterName) : done(await this.view(cluster, schedule, base));
  }

  /** Changes the schedule, and what is there already where that is asked for. */
  async change(projectId: string, clusterName: string, body: BackupScheduleChange, base: string): Promise<Outcome<BackupScheduleView>> {
    const asked = { updateSnapshots: body.updateSnapshots ?? false, deleteSnapshots: body.deleteSnapshots ?? false };
    return this.write(projectId, clusterName, base, async (tx, current, now) => {
      const changed = changeSchedule(current, body, now);
      if (changed.kind === 'done' && (asked.updateSnapshots || asked.deleteSnapshots))
        await this.applyToSnapshots(tx, changed.value, asked, now);
      return changed;
    });
  }

  /** Takes every item away: nothing is taken any more, what is there stays until its time is over. */
  async clear(projectId: string, clusterName: string, base: string): Promise<Outcome<BackupScheduleView>> {
    return this.write(projectId, clusterName, base, async (tx, current, now) => {
      await this.parts.healths.caughtUp(tx, current.clusterId);
      return done({ ...current, items: [], nextSnapshotAt: null, decidedAt: now });
    });
  }

  private async write(
    projectId: string,
    clusterName: string,
    base: string,
    decide: (tx: Transaction, current: Schedule, now: Date) => Promise<Outcome<Schedule>>,
  ): Promise<Outcome<BackupScheduleView>> {
    const { database, schedules, snapshots, clock } = this.parts;
    const cluster = await snapshots.cluster(projectId, clusterName);
    if (cluster === null) return clusterNotFound(projectId, clusterName);
    const written = await database.transaction(async (tx): Promise<Outcome<Schedule>> => {
      const current = await schedules.lock(tx, cluster.id);
      if (current === null) return noSchedule(clusterName);
      const next = await decide(tx, current, clock.now());
      if (next.kind === 'done') await schedules.write(tx, next.value);
      return next;
    });
    return written.kind === 'done' ? done(await this.view(cluster, written.value, base)) : written;
  }

  private async applyToSnapshots(
    tx: Transaction,
    schedule: Schedule,
    asked: { readonly updateSnapshots: boolean; readonly deleteSnapshots: boolean },
    now: Date,
  ): Promise<void> {
    const { repository, changes } = this.parts;
    const policy = { items: schedule.items, extra: schedule.extraRetention };
    let after = '';
    for (;;) {
      const batch = await repository.scheduledAfter(tx, schedule.clusterId, after, BATCH);
      for (const snapshot of batch) {
        const completedAt = new Date(snapshot.taken?.completedAt ?? snapshot.requestedAt);
        const decision = afterPolicyChange({ ...snapshot, completedAt }, policy, asked);
        if (decision.kind === 'delete') await changes.apply(tx, snapshot, remove(snapshot, now));
        else if (decision.kind === 'keep-until')
          await changes.apply(tx, snapshot, keepUntil(snapshot, decision.expiresAt, snapshot.retention));
      }
      const last = batch.at(-1);
      if (last === undefined || batch.length < BATCH) return;
      after = last.id;
    }
  }

  private async view({ id, name, projectId }: KnownCluster, schedule: Schedule, base: string): Promise<BackupScheduleView> {
    const health = await this.parts.healths.find(id);
    const { pausedReason: reason = null, pausedSince: since = null, behindSince = null, lastCompletedAt = null } = health ?? {};
    const cluster = `${base}/api/atlas/v2/groups/${projectId}/clusters/${name}`;
    return {
      clusterId: id,
      clusterName: name,
      ...(schedule.nextSnapshotAt !== null && { nextSnapshot: atlasTime(schedule.nextSnapshotAt) }),
      policies: [{ id: schedule.policyId, policyItems: [...schedule.items] }],
      referenceHourOfDay: schedule.referenceHour,
      referenceMinuteOfHour: schedule.referenceMinute,
      restoreWindowDays: schedule.restoreWindowDays,
      extraRetentionSettings: [...schedule.extraRetention],
      autoExportEnabled: false,
      useOrgAndGroupNamesInExportPrefix: false,
      copySettings: [],
      selfManaged: {
        source: schedule.source,
        paused: reason === null || since === null ? null : { reason, since: atlasTime(since) },
        behindSince: behindSince && atlasTime(behindSince),
        lastCompletedAt: lastCompletedAt && atlasTime(lastCompletedAt),
      },
      links: [
        { rel: 'self', href: `${cluster}/backup/schedule` },
        { rel: 'https://cloud.mongodb.com/group', href: `${base}/api/atlas/v2/groups/${projectId}` },
      ],
    };
  }
}

const noSchedule = (clusterName: string): Refused =>
  refused('BACKUP_CONFIG_NOT_FOUND', `Cluster ${clusterName} has no snapshot schedule, because backup is not enabled for it.`, [
    clusterName,
  ]);
