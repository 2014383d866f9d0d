import type { ObservationReport, ProcessObservation, SealingPublicKey } from '@atrest/contracts';
import { rows, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import type { BackupTasks } from '../backup-tasks/backup-tasks.js';
import type { ClusterLifecycle } from '../clusters/cluster-lifecycle.js';
import type { ConcernKind } from '../clusters/concerns.js';
import { isSilent } from '../hosts/host-liveness.js';

/** What may be said of a process whose cluster waits for nothing. */
const CONCERNS_AT_REST: readonly ConcernKind[] = ['ENDED_FOR_KEY', 'HELD_FOR_BACKUP'];

/**
 * Takes in what agents report. First the report itself is stored, then every cluster of the host that waits for something is looked at, in a
 * transaction each: a transition follows its observation without a polling delay, and a cluster that cannot be written does not lose the report.
 */
export class Observations {
  constructor(
    private readonly parts: {
      readonly database: ServiceDatabase;
      readonly clock: Clock;
      readonly lifecycle: ClusterLifecycle;
      readonly backupTasks: BackupTasks;
    },
  ) {}

  /**
   * `unchanged`: the same as the last report; only the time was noted. `superseded`: a later report was here first, and this one says nothing any more.
   * `unknown-host`: it was taken out meanwhile.
   */
  async record(hostId: string, report: ObservationReport): Promise<'changed' | 'unchanged' | 'superseded' | 'unknown-host'> {
    const { database, lifecycle } = this.parts;
    const news = await database.transaction((tx) => this.store(tx, hostId, report));
    if (news === 'superseded' || news === 'unknown-host') return news;
    await this.parts.backupTasks.reported(hostId, report);
    if (news === 'unchanged') return news;
    const waiting = await database.query<{ id: string }>(
      // A cluster at rest waits for nothing, but for word of its key and of what is left of a backup, and for what it has told a host to be sealed for the
      // host's new key.
      `SELECT DISTINCT cluster.id FROM process JOIN cluster ON cluster.id = process.cluster_id
         LEFT JOIN observation ON observation.process_id = process.id
         LEFT JOIN host_access ON host_access.cluster_id = cluster.id AND host_access.host_id = $1
           AND host_access.sealing_key <> (SELECT sealing_key ->> 'x' FROM host WHERE id = $1)
         LEFT JOIN concern ON concern.process_id = process.id AND concern.kind = ANY($2)
        WHERE process.host_id = $1 AND process.removed_at IS NULL AND cluster.deleted_at IS NULL
          AND (cluster.state <> 'IDLE' OR observation.data ?| ARRAY['endedForKey', 'heldForBackup'] OR concern.kind IS NOT NULL
               OR host_access.host_id IS NOT NULL)
        ORDER BY cluster.id`,
      [hostId, CONCERNS_AT_REST],
    );
    for (const { id } of waiting) await database.transaction((tx) => lifecycle.advance(tx, id));
    return 'changed';
  }

  private async store(
    tx: Transaction,
    hostId: string,
    report: ObservationReport,
  ): Promise<'changed' | 'unchanged' | 'superseded' | 'unknown-host'> {
    const now = this.parts.clock.now();
    const [before] = await rows<{
      reported_version: number | null;
      last_heard_at: Date | null;
      goal_version: number;
      sealing_key: SealingPublicKey | null;
    }>(
      tx,
      'SELECT reported_version, last_heard_at, goal_version, sealing_key FROM host WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE',
      [hostId],
    );
    if (before === undefined) return 'unknown-host';
    // A version that was never given out (this database is older than the agent's memory) answers no goal of ours.
    const reported = report.goalVersion > before.goal_version ? null : report.goalVersion;
    const { run, sequence } = report.number ?? { run: null, sequence: null };
    // Agents of earlier releases do not number their reports: theirs are taken as they come.
    const taken = await rows(
      tx,
      `UPDATE host SET last_heard_at = $2, reported_version = $3, agent_version = $4, report_run = $5, report_sequence = $6,
              sealing_key = coalesce($7, sealing_key)
        WHERE id = $1 AND ($5::bigint IS NULL OR report_run IS NULL OR (report_run, report_sequence) < ($5, $6)) RETURNING id`,
      [
        hostId,
        now,
        reported,
        report.agentVersion,
        run,
        sequence,
        report.sealingKey === undefined ? null : JSON.stringify(report.sealingKey),
      ],
    );
    if (taken.length === 0) return 'superseded';
    const changed = await this.upsert(tx, hostId, report.processes, now);
    const forgotten = await rows(tx, 'DELETE FROM observation WHERE host_id = $1 AND process_id <> ALL($2) RETURNING process_id', [
      hostId,
      report.processes.map((process) => process.id),
    ]);
    const otherKey = report.sealingKey !== undefined && report.sealingKey.x !== before.sealing_key?.x;
    const isNew =
      changed || otherKey || forgotten.length > 0 || before.reported_version !== reported || isSilent(before.last_heard_at, now);
    return isNew ? 'changed' : 'unchanged';
  }

  /** An agent speaks only for the processes of its own host. */
  private async upsert(tx: Transaction, hostId: string, processes: readonly ProcessObservation[], now: Date): Promise<boolean> {
    if (processes.length === 0) return false;
    const changed = await rows(
      tx,
      `INSERT INTO observation AS known (process_id, host_id, data, observed_at)
       SELECT process.id, process.host_id, report.data, $3
         FROM jsonb_array_elements($2::jsonb) AS report (data)
         JOIN process ON process.id = report.data ->> 'id' AND process.host_id = $1 AND process.removed_at IS NULL
       ON CONFLICT (process_id) DO UPDATE SET data = EXCLUDED.data, observed_at = EXCLUDED.observed_at
        WHERE known.data IS DISTINCT FROM EXCLUDED.data
       RETURNING process_id`,
      [hostId, JSON.stringify(processes), now],
    );
    return changed.length > 0;
  }
}
