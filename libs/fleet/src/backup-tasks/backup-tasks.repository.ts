import type { BackupFailure, BackupJob, BackupProgress, OplogTime, SealingPublicKey } from '@atrest/contracts';
import { rows, type Transaction } from '@atrest/platform-persistence';
import type { Query } from '../query.js';
import { GIVE_AGAIN_MS, UNFINISHED, type BackupTask, type BackupTaskResult, type BackupTaskStatus } from './backup-task.js';
import type { BackupHost } from './choose-source.js';

interface TaskRow {
  id: string;
  status: BackupTaskStatus;
  since: Date;
  job: BackupJob;
  part_of: BackupTask['group'];
  cut: OplogTime | null;
  host_id: string | null;
  process_id: string | null;
  member: string | null;
  sealing_key: SealingPublicKey | null;
  key_access: string | null;
  reason: BackupFailure | null;
  progress: BackupProgress | null;
  published_at: Date | null;
  told_at: Date | null;
  named_at: Date | null;
  result: BackupTaskResult | null;
  failure: BackupFailure | null;
  created_at: Date;
  finished_at: Date | null;
  revision: number;
}

const taskOf = (row: TaskRow): BackupTask => ({
  id: row.id,
  status: row.status,
  since: row.since,
  job: row.job,
  group: row.part_of,
  cut: row.cut,
  hostId: row.host_id,
  processId: row.process_id,
  member: row.member,
  sealingKey: row.sealing_key,
  keyAccess: row.key_access,
  reason: row.reason,
  progress: row.progress,
  publishedAt: row.published_at,
  toldAt: row.told_at,
  namedAt: row.named_at,
  result: row.result,
  failure: row.failure,
  createdAt: row.created_at,
  finishedAt: row.finished_at,
  revision: row.revision,
});

const json = (value: unknown): string | null => (value === null ? null : JSON.stringify(value));

/** `already-known`: the job has its task. `another-runs`: a snapshot of the cluster is being taken for another job. */
export type InsertOutcome = 'inserted' | 'already-known' | 'another-runs';

export async function insertTask(tx: Transaction, task: BackupTask): Promise<InsertOutcome> {
  const { job } = task;
  const inserted = await rows(
    tx,
    `INSERT INTO backup_task (id, kind, project_id, cluster_id, status, since, host_id, process_id, member, job, sealing_key, failure, created_at, finished_at,
                              revision, group_id, part_of)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) ON CONFLICT DO NOTHING RETURNING id`,
    [
      task.id,
      job.kind,
      job.projectId,
      job.clusterId,
      task.status,
      task.since,
      task.hostId,
      task.processId,
      task.member,
      json(job),
      json(task.sealingKey),
      json(task.failure),
      task.createdAt,
      task.finishedAt,
      task.revision,
      task.group?.id ?? null,
      json(task.group),
    ],
  );
  if (inserted.length === 1) return 'inserted';
  return (await isKnown(tx, task.id)) ? 'already-known' : 'another-runs';
}

export async function isKnown(tx: Transaction, taskId: string): Promise<boolean> {
  return (await rows(tx, 'SELECT FROM backup_task WHERE id = $1', [taskId])).length > 0;
}

/** The snapshot of a cluster that is being taken. */
export async function runningSnapshot(tx: Transaction, clusterId: string): Promise<string | undefined> {
  const [row] = await rows<{ id: string }>(
    tx,
    `SELECT id FROM backup_task WHERE cluster_id = $1 AND kind = 'take-snapshot' AND status = ANY($2)`,
    [clusterId, UNFINISHED],
  );
  return row?.id;
}

/**
 * Locks a task until the transaction ends; of a part, the task that stands for all parts first, so that parts which end at the same time wait for each other
 * there. Whoever locks the cluster as well does that first.
 */
export async function lockTask(tx: Transaction, taskId: string): Promise<BackupTask | undefined> {
  await rows(tx, 'SELECT FROM backup_task WHERE id = (SELECT group_id FROM backup_task WHERE id = $1) FOR NO KEY UPDATE', [taskId]);
  const [row] = await rows<TaskRow>(tx, 'SELECT * FROM backup_task WHERE id = $1 FOR NO KEY UPDATE', [taskId]);
  return row && taskOf(row);
}

/** The parts that a task stands for, in their order; nobody but who has locked the task itself changes their status. */
export async function partsOf(query: Query, groupId: string): Promise<BackupTask[]> {
  return (await query<TaskRow>('SELECT * FROM backup_task WHERE group_id = $1 ORDER BY id', [groupId])).map(taskOf);
}

/** Notes how far a task is that stands for parts, which no agent says of it. */
export async function writeProgress(tx: Transaction, task: BackupTask): Promise<void> {
  await rows(tx, 'UPDATE backup_task SET progress = $2 WHERE id = $1', [task.id, json(task.progress)]);
}

/** Notes where all parts are cut, and has each be told at once. Answers their hosts. */
export async function writeCut(tx: Transaction, groupId: string, cut: OplogTime): Promise<string[]> {
  await rows(tx, 'UPDATE backup_task SET cut = $2 WHERE id = $1', [groupId, json(cut)]);
  const parts = await rows<{ host_id: string }>(tx, 'UPDATE backup_task SET told_at = NULL WHERE group_id = $1 RETURNING host_id', [
    groupId,
  ]);
  return [...new Set(parts.map((row) => row.host_id))];
}

/** The unfinished tasks of one cluster that copy it, but for those that are a part of another, locked. */
export async function lockCopiesOf(tx: Transaction, clusterId: string): Promise<BackupTask[]> {
  const found = await rows<TaskRow>(
    tx,
    `SELECT * FROM backup_task WHERE cluster_id = $1 AND kind = 'take-snapshot' AND group_id IS NULL AND status = ANY($2) ORDER BY id FOR NO KEY UPDATE`,
    [clusterId, UNFINISHED],
  );
  return found.map(taskOf);
}

/** The unfinished tasks of a host that need a key and were sealed for another than its present one, locked. */
export async function lockSealedForOthers(tx: Transaction, hostId: string, present: SealingPublicKey): Promise<BackupTask[]> {
  const found = await rows<TaskRow>(
    tx,
    `SELECT * FROM backup_task WHERE host_id = $1 AND status IN ('WAITING_FOR_KEY', 'OPEN') AND sealing_key <> $2::jsonb ORDER BY id FOR NO KEY UPDATE`,
    [hostId, json(present)],
  );
  return found.map(taskOf);
}

/** Writes a task over exactly the state that was decided on. `changed-meanwhile`: it is another by now, and nothing was written. */
export async function writeTask(tx: Transaction, before: BackupTask, after: BackupTask): Promise<'written' | 'changed-meanwhile'> {
  const written = await rows(
    tx,
    `UPDATE backup_task
        SET status = $4, since = $5, sealing_key = $6, key_access = $7, reason = $8, progress = $9, told_at = $10, named_at = $11, result = $12, failure = $13,
            finished_at = $14, revision = $15
      WHERE id = $1 AND status = $2 AND revision = $3 RETURNING id`,
    [
      before.id,
      before.status,
      before.revision,
      after.status,
      after.since,
      json(after.sealingKey),
      after.keyAccess,
      json(after.reason),
      json(after.progress),
      after.toldAt,
      after.namedAt,
      json(after.result),
      json(after.failure),
      after.finishedAt,
      after.revision,
    ],
  );
  return written.length === 1 ? 'written' : 'changed-meanwhile';
}

const againAt = (now: Date): Date => new Date(now.getTime() - GIVE_AGAIN_MS);

/**
 * The open tasks of a host that its agent does not work on, as far as it said, and was not just given; marked as given and locked. A host that was given up
 * gets none, nor one whose key is another by now: it could not open them, and its next report has them sealed anew.
 */
export async function takeOpen(tx: Transaction, hostId: string, now: Date): Promise<BackupTask[]> {
  const taken = await rows<TaskRow>(
    tx,
    `UPDATE backup_task SET told_at = $2
      WHERE host_id = $1 AND status = 'OPEN' AND (told_at IS NULL OR told_at <= $3) AND (named_at IS NULL OR named_at <= $3)
        AND EXISTS (SELECT FROM host WHERE host.id = $1 AND host.given_up_at IS NULL
                       AND (backup_task.sealing_key IS NULL OR backup_task.sealing_key = host.sealing_key))
     RETURNING *`,
    [hostId, now, againAt(now)],
  );
  return taken.map(taskOf).sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** The tasks that the agent of a host should end: cancelled ones, and ones that were given up while it works on; marked as told. */
export async function takeCancelled(tx: Transaction, hostId: string, now: Date): Promise<string[]> {
  const taken = await rows<{ id: string }>(
    tx,
    `UPDATE backup_task SET told_at = $2
      WHERE host_id = $1 AND (told_at IS NULL OR told_at <= $3)
        AND (status = 'CANCELLING' OR (status = 'FAILED' AND named_at > $3))
     RETURNING id`,
    [hostId, now, againAt(now)],
  );
  return taken.map((row) => row.id).sort();
}

/** What a part that holds waits for, and whether it is known. */
const IS_CUT = `EXISTS (SELECT FROM backup_task AS whole WHERE whole.id = backup_task.group_id AND whole.cut IS NOT NULL)`;

/** Where the parts that a host holds are cut, as far as that is known; marked as told. */
export async function takeCuts(tx: Transaction, hostId: string, now: Date): Promise<{ taskId: string; at: OplogTime }[]> {
  const taken = await rows<{ id: string; cut: OplogTime }>(
    tx,
    `UPDATE backup_task SET told_at = $2 FROM backup_task AS whole
      WHERE whole.id = backup_task.group_id AND whole.cut IS NOT NULL AND backup_task.host_id = $1 AND backup_task.status = 'OPEN'
        AND backup_task.progress ->> 'phase' = 'holding' AND (backup_task.told_at IS NULL OR backup_task.told_at <= $3)
     RETURNING backup_task.id, whole.cut`,
    [hostId, now, againAt(now)],
  );
  return taken.map(({ id, cut }) => ({ taskId: id, at: cut })).sort((a, b) => (a.taskId < b.taskId ? -1 : 1));
}

/** What {@link takeOpen}, {@link takeCancelled} and {@link takeCuts} would take, for the host $1 and what was told before $2. */
const DUE = `EXISTS (
  SELECT FROM backup_task WHERE host_id = $1 AND (told_at IS NULL OR told_at <= $2)
     AND ((status = 'OPEN' AND (named_at IS NULL OR named_at <= $2)) OR status = 'CANCELLING' OR (status = 'FAILED' AND named_at > $2)
          OR (status = 'OPEN' AND progress ->> 'phase' = 'holding' AND ${IS_CUT})))`;

/** Whether there is anything for the agent of a host, without marking it: most polls find nothing. */
export async function hasDue(query: Query, hostId: string, now: Date): Promise<boolean> {
  const [row] = await query<{ due: boolean }>(`SELECT ${DUE} AS due`, [hostId, againAt(now)]);
  return row?.due ?? false;
}

/** What an agent says of its tasks. Answers those that are under way. */
export async function rememberProgress(
  tx: Transaction,
  hostId: string,
  reported: readonly { readonly taskId: string; readonly progress: BackupProgress }[],
  now: Date,
): Promise<BackupTask[]> {
  const named = await rows<TaskRow>(
    tx,
    `UPDATE backup_task
        SET named_at = $3, progress = CASE WHEN finished_at IS NULL THEN report.data -> 'progress' ELSE backup_task.progress END
       FROM jsonb_array_elements($2::jsonb) AS report (data)
      WHERE backup_task.id = report.data ->> 'taskId' AND host_id = $1 AND status IN ('OPEN', 'CANCELLING', 'FAILED')
     RETURNING backup_task.*`,
    [hostId, JSON.stringify(reported), now],
  );
  return named.filter((row) => row.finished_at === null).map(taskOf);
}

/** Notes that progress was published. */
export async function markPublished(tx: Transaction, task: BackupTask, now: Date): Promise<void> {
  await rows(tx, 'UPDATE backup_task SET published_at = $2, revision = $3 WHERE id = $1', [task.id, now, task.revision]);
}

/** The next task of which nothing was heard since then, locked. Of one that stands for parts nobody is heard: they are. */
export async function lockUnheardOf(tx: Transaction, heardBefore: Date, except: readonly string[]): Promise<BackupTask | undefined> {
  const [row] = await rows<{ id: string }>(
    tx,
    `SELECT id FROM backup_task
      WHERE finished_at IS NULL AND host_id IS NOT NULL AND since <= $1 AND (named_at IS NULL OR named_at <= $1) AND id <> ALL($2)
      ORDER BY since LIMIT 1`,
    [heardBefore, except],
  );
  return row && lockTask(tx, row.id);
}

/** Forgets tasks that ended long ago, but for the last snapshot of each cluster: it says where the cluster's snapshots lie. */
export async function pruneTasks(query: Query, finishedBefore: Date, limit: number): Promise<number> {
  const pruned = await query(
    `DELETE FROM backup_task WHERE id IN (
       SELECT id FROM backup_task AS old
        WHERE finished_at < $1
          AND (kind <> 'take-snapshot' OR status <> 'DONE' OR EXISTS (
            SELECT FROM backup_task AS later
             WHERE later.cluster_id = old.cluster_id AND later.kind = 'take-snapshot' AND later.status = 'DONE' AND later.created_at > old.created_at))
        ORDER BY finished_at LIMIT $2)
     RETURNING id`,
    [finishedBefore, limit],
  );
  return pruned.length;
}

/** Who took the last snapshot of a cluster. */
export async function lastSnapshotOf(tx: Transaction, clusterId: string): Promise<{ readonly hostId: string } | null> {
  const [row] = await rows<{ host_id: string }>(
    tx,
    `SELECT host_id FROM backup_task WHERE cluster_id = $1 AND kind = 'take-snapshot' AND status = 'DONE' AND host_id IS NOT NULL ORDER BY created_at DESC LIMIT 1`,
    [clusterId],
  );
  return row ? { hostId: row.host_id } : null;
}

/** Since when each of these processes is not being copied any more: `copying` while it is; absent when it never was, as far as is remembered. */
export async function copiesOf(query: Query, processIds: readonly string[]): Promise<Map<string, Date | 'copying'>> {
  const found = await query<{ process_id: string; ended_at: Date | null }>(
    `SELECT DISTINCT ON (process_id) process_id, finished_at AS ended_at FROM backup_task
      WHERE process_id = ANY($1) ORDER BY process_id, finished_at DESC NULLS FIRST`,
    [processIds],
  );
  return new Map(found.map((row) => [row.process_id, row.ended_at ?? 'copying']));
}

/** The hosts of an organisation, as far as work on snapshots is concerned; without those that were given up. */
export async function backupHosts(tx: Transaction, orgId: string): Promise<BackupHost[]> {
  const found = await rows<{
    id: string;
    hostname: string;
    last_heard_at: Date | null;
    snapshot_store: string | null;
    sealing_key: SealingPublicKey | null;
    busy: number;
  }>(
    tx,
    `SELECT id, hostname, last_heard_at, snapshot_store, sealing_key,
            (SELECT count(*) FROM backup_task WHERE backup_task.host_id = host.id AND backup_task.status = ANY($2)) AS busy
       FROM host WHERE org_id = $1 AND deleted_at IS NULL AND given_up_at IS NULL ORDER BY id`,
    [orgId, UNFINISHED],
  );
  return found.map((row) => ({
    id: row.id,
    hostname: row.hostname,
    lastHeardAt: row.last_heard_at,
    snapshotStore: row.snapshot_store,
    sealingKey: row.sealing_key,
    busy: row.busy,
  }));
}

/** Whether a report that names no work says anything that is not known, or is that of an agent that should work: most are neither. */
export async function isNews(
  query: Query,
  hostId: string,
  equipment: { readonly snapshotStore: string | null; readonly sealingKey: SealingPublicKey | null },
  now: Date,
): Promise<boolean> {
  const [row] = await query<{ news: boolean }>(
    `SELECT snapshot_store IS DISTINCT FROM $3 OR ${DUE}
            OR EXISTS (SELECT FROM backup_task WHERE host_id = $1 AND status IN ('WAITING_FOR_KEY', 'OPEN') AND sealing_key <> $4::jsonb) AS news
       FROM host WHERE id = $1`,
    [hostId, againAt(now), equipment.snapshotStore, json(equipment.sealingKey)],
  );
  return row?.news ?? false;
}

/** Notes where an agent keeps snapshots. */
export async function rememberStore(tx: Transaction, hostId: string, snapshotStore: string | null): Promise<void> {
  await rows(tx, 'UPDATE host SET snapshot_store = $2 WHERE id = $1 AND snapshot_store IS DISTINCT FROM $2', [hostId, snapshotStore]);
}

/** The organisation whose hosts work for a project, also for one that is deleted. */
export async function organisationOf(tx: Transaction, projectId: string): Promise<string | undefined> {
  return (await rows<{ org_id: string }>(tx, 'SELECT org_id FROM project WHERE id = $1', [projectId]))[0]?.org_id;
}

/** Names of clusters by their ids, also of deleted ones. */
export async function namesOfClusters(tx: Transaction, clusterIds: readonly string[]): Promise<Map<string, string>> {
  if (clusterIds.length === 0) return new Map();
  const found = await rows<{ id: string; name: string }>(tx, 'SELECT id, name FROM cluster WHERE id = ANY($1)', [clusterIds]);
  return new Map(found.map((row) => [row.id, row.name]));
}

/** The hosts that a cluster has, or had. */
export async function hostsOfCluster(tx: Transaction, clusterId: string): Promise<Set<string>> {
  const found = await rows<{ host_id: string }>(tx, 'SELECT DISTINCT host_id FROM process WHERE cluster_id = $1', [clusterId]);
  return new Set(found.map((row) => row.host_id));
}

export async function hostnameOf(tx: Transaction, hostId: string | null): Promise<string> {
  if (hostId === null) return 'no host';
  return (await rows<{ hostname: string }>(tx, 'SELECT hostname FROM host WHERE id = $1', [hostId]))[0]?.hostname ?? hostId;
}
