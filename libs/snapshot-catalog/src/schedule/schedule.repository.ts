import type { ExtraRetention, PolicyItem, SyncSource } from '@atrest/contracts';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import { CLOCK_TOLERANCE_MS, type SchedulePlan } from './schedule-policy.js';

/** The schedule of a cluster. */
export interface Schedule extends SchedulePlan {
  readonly clusterId: string;
  readonly projectId: string;
  readonly policyId: string;
  readonly restoreWindowDays: number;
  readonly extraRetention: readonly ExtraRetention[];
  readonly source: SyncSource;
  /** Null when there is no item. */
  readonly nextSnapshotAt: Date | null;
  /** What the clock said when that was decided. */
  readonly decidedAt: Date;
  readonly paused: boolean;
  readonly revision: number;
}

interface Row extends Omit<Schedule, 'items' | 'extraRetention'> {
  readonly items: PolicyItem[];
  readonly extraRetention: ExtraRetention[];
}

const SELECT = `SELECT cluster_id AS "clusterId", project_id AS "projectId", policy_id AS "policyId", items, reference_hour AS "referenceHour",
    reference_minute AS "referenceMinute", restore_window_days AS "restoreWindowDays", extra_retention AS "extraRetention", source,
    next_snapshot_at AS "nextSnapshotAt", decided_at AS "decidedAt", paused, revision
  FROM backup_schedule`;

/** Schedules in the database. */
export class ScheduleRepository {
  constructor(private readonly database: ServiceDatabase) {}

  async find(clusterId: string): Promise<Schedule | null> {
    return (await this.database.query<Row>(`${SELECT} WHERE cluster_id = $1`, [clusterId]))[0] ?? null;
  }

  async get(tx: Transaction, clusterId: string): Promise<Schedule | null> {
    return (await rows<Row>(tx, `${SELECT} WHERE cluster_id = $1`, [clusterId]))[0] ?? null;
  }

  /** Nobody changes it before the transaction ends. */
  async lock(tx: Transaction, clusterId: string): Promise<Schedule | null> {
    return (await rows<Row>(tx, `${SELECT} WHERE cluster_id = $1 FOR UPDATE`, [clusterId]))[0] ?? null;
  }

  /** One that is due, for this transaction alone; also one that was decided in what is the future now, because the clock was set back. */
  async claimDue(tx: Transaction, now: Date): Promise<Schedule | null> {
    const claim = (condition: string, value: Date) => rows<Row>(tx, `${SELECT} WHERE ${condition} LIMIT 1 FOR UPDATE SKIP LOCKED`, [value]);
    const [due] = await claim('NOT paused AND next_snapshot_at <= $1 ORDER BY next_snapshot_at', now);
    if (due !== undefined) return due;
    const [ahead] = await claim('decided_at > $1', new Date(now.getTime() + CLOCK_TOLERANCE_MS));
    return ahead ?? null;
  }

  async insert(tx: Transaction, schedule: Schedule): Promise<'written' | 'known-already'> {
    const inserted = await rows(
      tx,
      `INSERT INTO backup_schedule (cluster_id, project_id, policy_id, items, reference_hour, reference_minute, restore_window_days, extra_retention,
         source, next_snapshot_at, decided_at, paused, revision)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (cluster_id) DO NOTHING RETURNING cluster_id`,
      [schedule.clusterId, schedule.projectId, ...values(schedule), schedule.revision],
    );
    return inserted.length === 1 ? 'written' : 'known-already';
  }

  /** @param schedule locked by the caller */
  async write(tx: Transaction, schedule: Schedule): Promise<void> {
    await rows(
      tx,
      `UPDATE backup_schedule SET (policy_id, items, reference_hour, reference_minute, restore_window_days, extra_retention, source, next_snapshot_at,
         decided_at, paused) = ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11), revision = revision + 1
       WHERE cluster_id = $1`,
      [schedule.clusterId, ...values(schedule)],
    );
  }

  /** A run is due again. */
  async makeDue(tx: Transaction, clusterId: string, dueAt: Date): Promise<void> {
    await rows(tx, 'UPDATE backup_schedule SET next_snapshot_at = LEAST(next_snapshot_at, $2) WHERE cluster_id = $1', [clusterId, dueAt]);
  }

  async remove(tx: Transaction, clusterId: string): Promise<void> {
    await rows(tx, 'DELETE FROM backup_schedule WHERE cluster_id = $1', [clusterId]);
  }
}

/** In the order of the statements. */
const values = (schedule: Schedule): unknown[] => [
  schedule.policyId,
  JSON.stringify(schedule.items),
  schedule.referenceHour,
  schedule.referenceMinute,
  schedule.restoreWindowDays,
  JSON.stringify(schedule.extraRetention),
  JSON.stringify(schedule.source),
  schedule.nextSnapshotAt,
  schedule.decidedAt,
  schedule.paused,
];
