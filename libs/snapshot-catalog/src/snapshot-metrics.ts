import type { Metrics } from '@atrest/platform-metrics';
import type { Snapshot } from './snapshots/snapshot-state.js';

/** What the catalogue tells about itself. */
export class SnapshotMetrics {
  private readonly outcomes;
  private readonly duration;
  private readonly lateness;
  private readonly jobs;
  private readonly proofs;
  private readonly oldestDue;

  constructor(metrics: Metrics) {
    this.outcomes = metrics.counter('atrest_snapshots_total', 'Snapshots by what became of them', ['status', 'type', 'reason']);
    this.duration = metrics.histogram(
      'atrest_snapshot_seconds',
      'Duration of completed snapshots, as the agents measured it',
      ['method'],
      [1, 5, 15, 60, 300, 900, 3_600, 4 * 3_600, 12 * 3_600],
    );
    this.lateness = metrics.histogram(
      'atrest_snapshot_schedule_lateness_seconds',
      'How long after its due time a scheduled snapshot was queued',
      [],
      [1, 5, 15, 60, 300, 900, 3_600, 24 * 3_600],
    );
    this.jobs = metrics.counter('atrest_backup_jobs_total', 'Backup jobs by kind and what became of them', ['kind', 'outcome']);
    this.proofs = metrics.counter('atrest_snapshot_proofs_total', 'Snapshots read back again, by outcome', ['outcome']);
    this.oldestDue = metrics.gauge(
      'atrest_snapshot_oldest_due_age_seconds',
      'Age of the oldest scheduled run of any cluster that is not completed: grows while snapshots fail',
    );
  }

  /** A snapshot changed its status. */
  became({ status, snapshotType, failure, taken }: Snapshot): void {
    this.outcomes.inc({ status, type: snapshotType, reason: status === 'failed' ? (failure?.code ?? '') : '' });
    if (status === 'completed' && taken !== null) this.duration.observe({ method: taken.method }, taken.durationMs / 1_000);
  }

  queued(dueAt: Date, now: Date): void {
    this.lateness.observe(Math.max(0, (now.getTime() - dueAt.getTime()) / 1_000));
  }

  job(kind: string, outcome: string): void {
    this.jobs.inc({ kind, outcome });
  }

  proof(outcome: string): void {
    this.proofs.inc({ outcome });
  }

  due(since: Date | null, now: Date): void {
    this.oldestDue.set(since === null ? 0 : Math.max(0, (now.getTime() - since.getTime()) / 1_000));
  }
}
