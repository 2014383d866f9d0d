import { newObjectId } from '@atrest/contracts';
import { rows, type Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import type { ClusterProjection, KnownCluster } from '../projections/cluster-projection.js';
import type { KeyConfigurationProjection } from '../projections/key-configuration-projection.js';
import { nextProofAt } from '../proof/proof-policy.js';
import type { BackupHealths } from './backup-health.js';
import { DEFAULT_RESTORE_WINDOW_DAYS, defaultPlan } from './default-schedule.js';
import { pauseOf, type PauseCode } from './pause-policy.js';
import { nextRun } from './schedule-policy.js';
import type { ScheduleRepository } from './schedule.repository.js';

export interface ClusterFollowerParts {
  readonly schedules: ScheduleRepository;
  readonly healths: BackupHealths;
  readonly clusters: ClusterProjection;
  readonly keyConfigurations: KeyConfigurationProjection;
  readonly clock: Clock;
  readonly random: () => number;
}

/** Has schedules follow what happens to clusters: they come with backup being enabled, pause with a reason, go on by themselves, and go. */
export class ClusterFollower {
  constructor(private readonly parts: ClusterFollowerParts) {}

  /** After the state of a cluster was remembered. */
  async follow(tx: Transaction, clusterId: string): Promise<void> {
    const cluster = await this.parts.clusters.get(tx, clusterId);
    if (cluster === null) return;
    if (cluster.deletedAt === null && cluster.backupEnabled) await this.keepSchedule(tx, cluster);
    else await this.endSchedule(tx, cluster);
  }

  /** A project has a key configuration that it had not: clusters that waited for it go on. */
  async keyConfigurationSaved(tx: Transaction, projectId: string): Promise<void> {
    const missing: PauseCode = 'KEY_CONFIGURATION_MISSING';
    const waiting = await rows<{ clusterId: string }>(
      tx,
      'SELECT cluster_id AS "clusterId" FROM cluster_backup WHERE project_id = $1 AND paused_code = $2 ORDER BY cluster_id',
      [projectId, missing],
    );
    for (const { clusterId } of waiting) await this.follow(tx, clusterId);
  }

  private async keepSchedule(tx: Transaction, cluster: KnownCluster): Promise<void> {
    const { schedules, healths, keyConfigurations, clock, random } = this.parts;
    const now = clock.now();
    await healths.ensure(tx, cluster, nextProofAt('proven', now));
    const hasKey = cluster.provider === 'NONE' || (await keyConfigurations.enabled(tx, cluster.projectId, cluster.provider)) !== null;
    const pause = pauseOf(cluster, hasKey);
    const plan = defaultPlan(now, random);
    await schedules.insert(tx, {
      ...plan,
      clusterId: cluster.id,
      projectId: cluster.projectId,
      policyId: newObjectId(now),
      restoreWindowDays: DEFAULT_RESTORE_WINDOW_DAYS,
      extraRetention: [],
      source: { kind: 'secondary' },
      nextSnapshotAt: nextRun(plan, now),
      decidedAt: now,
      paused: pause !== null,
      revision: 1,
    });
    if ((await healths.pause(tx, cluster.id, pause, now)) === 'unchanged') return;
    await rows(tx, 'UPDATE backup_schedule SET paused = $2 WHERE cluster_id = $1', [cluster.id, pause !== null]);
  }

  private async endSchedule(tx: Transaction, cluster: KnownCluster): Promise<void> {
    const { schedules, healths, clock } = this.parts;
    await schedules.remove(tx, cluster.id);
    if ((await healths.lock(tx, cluster.id)) === null) return;
    await healths.caughtUp(tx, cluster.id);
    await healths.pause(tx, cluster.id, null, clock.now());
    if (cluster.retainBackups) return;
    // The first word counts: what is asked for after backup is enabled again stays.
    await rows(tx, 'UPDATE cluster_backup SET discard_until = COALESCE(discard_until, $2) WHERE cluster_id = $1 AND listed > 0', [
      cluster.id,
      clock.now(),
    ]);
  }
}
