import {
  agentTaskAssigned,
  agentTaskFinished,
  agentTaskKeyRequested,
  agentTaskProgressed,
  type AgentTaskState,
  type BackupFailure,
  type DeletionDone,
  type EventDefinition,
} from '@atrest/contracts';
import type { Logger } from '@atrest/platform-logging';
import { defineHandler, type EventHandler } from '@atrest/platform-messaging';
import { rows, type Transaction } from '@atrest/platform-persistence';
import { backoffMs, type Clock } from '@atrest/platform-time';
import { meaningOf, nextProofAt } from '../proof/proof-policy.js';
import type { ClusterProjection } from '../projections/cluster-projection.js';
import type { BackupHealths } from '../schedule/backup-health.js';
import type { ScheduleRepository } from '../schedule/schedule.repository.js';
import type { SnapshotMetrics } from '../snapshot-metrics.js';
import { endOf, extraDays } from '../snapshots/retention-policy.js';
import { afterFailure } from '../snapshots/retry-policy.js';
import type { SnapshotChanges } from '../snapshots/snapshot-changes.js';
import type { SnapshotRepository } from '../snapshots/snapshot.repository.js';
import {
  advance,
  begin,
  complete,
  fail,
  failProof,
  isSharded,
  prove,
  provenAt,
  storedIds,
  type Snapshot,
} from '../snapshots/snapshot-state.js';
import type { BackupJobRepository, StoredJob } from './backup-job.repository.js';
import type { BackupJobs } from './backup-jobs.js';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** How long a failed snapshot is listed: as long as the default schedule keeps most of the others. */
const FAILED_KEPT_MS = 7 * DAY_MS;

const taskEvents = [agentTaskKeyRequested, agentTaskAssigned, agentTaskProgressed, agentTaskFinished];

/** What this service consumes of agents' work. */
export const taskConsumes: EventDefinition[] = [...taskEvents] as EventDefinition[];

export interface TaskFollowerParts {
  readonly jobs: BackupJobRepository;
  readonly orders: BackupJobs;
  readonly snapshots: SnapshotRepository;
  readonly changes: SnapshotChanges;
  readonly schedules: ScheduleRepository;
  readonly healths: BackupHealths;
  readonly clusters: ClusterProjection;
  readonly metrics: SnapshotMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
}

const UNREADABLE: BackupFailure = { code: 'INTERNAL', detail: 'The agent said that it was done, but not what it had done.' };

/** Has snapshots follow what agents say of the jobs that were ordered for them. */
export class TaskFollower {
  constructor(private readonly parts: TaskFollowerParts) {}

  handlers(): EventHandler[] {
    return taskEvents.map((definition) =>
      defineHandler(definition, 'follow-backup-task', async (event, tx) => this.follow(tx, event.data)),
    ) as EventHandler[];
  }

  /** A task that is told of twice, or late, changes nothing. */
  async follow(tx: Transaction, task: AgentTaskState): Promise<void> {
    const { jobs, metrics } = this.parts;
    const job = await jobs.lock(tx, task.id);
    if (job === null || (await jobs.follow(tx, job.id, task)) === 'known-already') return;
    const over = task.status === 'DONE' || task.status === 'FAILED';
    const failure = task.status === 'FAILED' ? (task.failure ?? UNREADABLE) : null;
    if (over) {
      await jobs.finish(tx, job.id, failure === null ? 'DONE' : 'FAILED', failure, this.parts.clock.now());
      metrics.job(job.kind, failure?.code ?? 'DONE');
    }
    switch (job.kind) {
      case 'take-snapshot':
        await this.followTaking(tx, job, task, failure);
        break;
      case 'prove-snapshot':
        if (over) await this.followProof(tx, job, task, failure);
        break;
      case 'delete-snapshots':
        if (over) await this.followDeletion(tx, job, task.result?.deletion ?? null, failure);
        break;
    }
  }

  private async followTaking(tx: Transaction, job: StoredJob, task: AgentTaskState, failure: BackupFailure | null): Promise<void> {
    const { snapshots, changes, orders } = this.parts;
    const found = await snapshots.lock(tx, job.snapshotIds[0] ?? '');
    if (found === null) return;
    // Known before anything is written to the store, so that what failed can be deleted.
    const snapshot = task.parts === undefined ? found : { ...found, parts: task.parts };
    const at = new Date(task.at);
    if (task.status === 'FAILED' && failure !== null) await this.failed(tx, snapshot, failure);
    else if (task.status === 'DONE') await this.taken(tx, snapshot, task);
    else if (task.progress !== null) await changes.apply(tx, snapshot, advance(snapshot, task.progress, at));
    else if (task.status === 'OPEN') await changes.apply(tx, snapshot, begin(snapshot, at));
    if (task.status === 'DONE' || task.status === 'FAILED') await orders.takeNext(tx, job.clusterId);
  }

  private async taken(tx: Transaction, snapshot: Snapshot, { result }: AgentTaskState): Promise<void> {
    const { changes, schedules, healths } = this.parts;
    if (result?.taken === undefined || result.proof === undefined) return this.failed(tx, snapshot, UNREADABLE);
    const completedAt = new Date(result.taken.completedAt);
    const extra = (await schedules.get(tx, snapshot.clusterId))?.extraRetention ?? [];
    const days = extraDays(extra, snapshot.frequencyType ?? 'on_demand');
    const expiresAt = new Date(endOf(snapshot.retention, completedAt).getTime() + days * DAY_MS);
    const outcome = await changes.apply(tx, snapshot, complete(snapshot, result.taken, result.proof, expiresAt));
    if (outcome.kind === 'not-possible') {
      // It was given up meanwhile, and was taken all the same: what was made is of no use.
      await changes.quietly(tx, snapshot, { clearStore: true });
      return;
    }
    await this.judgeProofs(tx, snapshot.clusterId, this.parts.clock.now());
    if (snapshot.snapshotType !== 'onDemand') await healths.caughtUp(tx, snapshot.clusterId);
  }

  private async judgeProofs(tx: Transaction, clusterId: string, now: Date): Promise<void> {
    const oldest = await this.parts.snapshots.oldestProof(tx, clusterId);
    await this.parts.healths.judgeProofs(tx, clusterId, provenAt(oldest), now);
  }

  private async failed(tx: Transaction, snapshot: Snapshot, failure: BackupFailure): Promise<void> {
    const { changes, clusters, schedules, clock, logger } = this.parts;
    const now = clock.now();
    const { clusterId, attempt, snapshotType, methods } = snapshot;
    const cluster = await clusters.get(tx, clusterId);
    const wanted = cluster !== null && cluster.deletedAt === null && cluster.backupEnabled;
    const decision = wanted
      ? afterFailure({
          code: failure.code,
          attempt,
          snapshotType,
          methods,
          dataMembers: isSharded(cluster) ? 0 : cluster.dataMembers,
        })
      : ({ kind: 'give-up' } as const);
    const retryAt = decision.kind === 'retry' ? new Date(now.getTime() + decision.afterMs) : null;
    const outcome = await changes.apply(tx, snapshot, fail(snapshot, failure, retryAt, new Date(now.getTime() + FAILED_KEPT_MS)));
    if (outcome.kind === 'not-possible') return;
    if (decision.kind === 'make-due') {
      await schedules.makeDue(tx, clusterId, snapshot.dueAt ?? now);
    }
    logger.warn({ snapshotId: snapshot.id, clusterId, failure, attempt, decision: decision.kind, retryAt }, 'a snapshot failed');
  }

  private async followProof(tx: Transaction, job: StoredJob, task: AgentTaskState, failure: BackupFailure | null): Promise<void> {
    const { snapshots, changes, metrics, clock, logger } = this.parts;
    const now = clock.now();
    const unproven = failure ?? (task.result?.proof === undefined ? UNREADABLE : null);
    const outcome = unproven === null ? 'proven' : meaningOf(unproven.code);
    metrics.proof(outcome);
    await rows(tx, 'UPDATE cluster_backup SET next_proof_at = $2 WHERE cluster_id = $1', [job.clusterId, nextProofAt(outcome, now)]);
    const snapshot = await snapshots.lock(tx, job.snapshotIds[0] ?? '');
    if (snapshot === null) return;
    if (unproven === null && task.result?.proof !== undefined) {
      await changes.apply(tx, snapshot, prove(snapshot, task.result.proof));
      await this.judgeProofs(tx, job.clusterId, now);
    } else if (unproven !== null && outcome !== 'not-looked-at') {
      await changes.apply(tx, snapshot, failProof(snapshot, unproven));
    }
    if (unproven !== null)
      logger.warn({ snapshotId: snapshot.id, clusterId: job.clusterId, failure: unproven, outcome }, 'a snapshot was not proven');
  }

  private async followDeletion(
    tx: Transaction,
    job: StoredJob,
    deletion: DeletionDone | null,
    failure: BackupFailure | null,
  ): Promise<void> {
    const { snapshots, changes, clock, logger } = this.parts;
    const now = clock.now();
    if (failure !== null || deletion === null) {
      const [epoch] = await rows<{ failures: number }>(
        tx,
        'UPDATE epoch SET clearing_failures = clearing_failures + 1 WHERE id = $1 RETURNING clearing_failures AS failures',
        [job.epochId],
      );
      const wait = backoffMs(epoch?.failures ?? 1, { baseMs: 5 * MINUTE_MS, maxMs: DAY_MS });
      await rows(tx, 'UPDATE epoch SET clearing_after = $2 WHERE id = $1', [job.epochId, new Date(now.getTime() + wait)]);
      logger.warn({ jobId: job.id, epochId: job.epochId, failure }, 'snapshots could not be deleted from the store; tried again later');
      return;
    }
    for (const id of deletion.deleted) {
      const snapshot = await snapshots.lock(tx, id);
      // Of a sharded cluster: when all of its parts are.
      const all = snapshot !== null && storedIds(snapshot).every((stored) => deletion.deleted.includes(stored));
      if (snapshot !== null && all && snapshot.epochId === job.epochId && snapshot.clearStore)
        await changes.quietly(tx, snapshot, { clearStore: false });
    }
    // What is locked in the store stays so for days.
    const later = deletion.refused.length > 0 ? DAY_MS : deletion.freedBytes === null ? 10 * MINUTE_MS : 0;
    await rows(tx, 'UPDATE epoch SET clearing_failures = 0, clearing_after = $2, collection_due = $3 WHERE id = $1', [
      job.epochId,
      new Date(now.getTime() + later),
      deletion.freedBytes === null,
    ]);
  }
}
