import type { ClusterState, DisabledReason, ProcessGoal, ProcessKind, ProcessObservation } from '@atrest/contracts';
import { rows, type Transaction } from '@atrest/platform-persistence';
import type { Query } from '../query.js';
import type { ClusterFact } from './cluster-state.js';
import type { Cluster, ClusterProcess, ClusterWithProcesses } from './cluster-view.js';
import type { ConcernChanges, OpenConcern } from './concerns.js';
import type { ProcessDefinition } from './process-goal.js';
import type { Desired } from './process-view.js';
import { OPEN_ACCESS } from './settings/access-settings.js';
import type { ClusterChange, ClusterSettings } from './settings/cluster-settings.js';

interface ClusterRow {
  id: string;
  project_id: string;
  name: string;
  state: ClusterState;
  state_since: Date;
  disabled_reason: DisabledReason | null;
  settings: ClusterSettings;
  pending_changes: ClusterChange | null;
  process_args: Record<string, unknown>;
  created_at: Date;
  deleted_at: Date | null;
  revision: number;
}

interface ProcessRow {
  id: string;
  cluster_id: string;
  host_id: string;
  hostname: string;
  kind: ProcessKind;
  replica_set: string | null;
  member_id: number;
  priority: number;
  votes: number;
  arbiter_only: boolean;
  port: number;
  db_path: string | null;
  extra_arguments: string[];
  adopted: boolean;
  arguments_version: number;
  joining: boolean;
  leaving: boolean;
  yields_since: Date | null;
  desired: Desired;
  desired_since: Date;
  goal: ProcessGoal;
  goal_version: number;
  last_heard_at: Date | null;
  given_up_at: Date | null;
  reported_version: number | null;
  observation: ProcessObservation | null;
}

/** A process with the goal that its agent was last given. */
export type StoredProcess = ClusterProcess & { readonly goal: ProcessGoal };

/** Thrown when a cluster changed although its row was locked: a write that bypasses the lock. The transaction must not commit. */
export class ClusterChangedError extends Error {
  readonly code = 'FLEET.CLUSTER_CHANGED';

  constructor(readonly clusterId: string) {
    super(`Cluster ${clusterId} changed while it was locked.`);
    this.name = 'ClusterChangedError';
  }
}

function clusterOf(row: ClusterRow): Cluster {
  return {
    id: row.id,
    projectId: row.project_id,
    name: row.name,
    state: row.state,
    stateSince: row.state_since,
    disabledReason: row.disabled_reason,
    // What was stored by a release that could not pause, or had no access control, says nothing of it.
    settings: { ...row.settings, paused: row.settings.paused ?? false, access: row.settings.access ?? OPEN_ACCESS },
    pendingChanges: row.pending_changes,
    processArgs: row.process_args,
    createdAt: row.created_at,
    deletedAt: row.deleted_at,
    revision: row.revision,
  };
}

function processOf(row: ProcessRow): StoredProcess {
  return {
    id: row.id,
    hostId: row.host_id,
    hostname: row.hostname,
    port: row.port,
    kind: row.kind,
    replicaSet: row.replica_set,
    memberId: row.member_id,
    priority: row.priority,
    votes: row.votes,
    arbiterOnly: row.arbiter_only,
    dbPath: row.db_path,
    extraArguments: row.extra_arguments,
    adopted: row.adopted,
    desired: row.desired,
    desiredSince: row.desired_since,
    goal: row.goal,
    goalVersion: row.goal_version,
    observation: row.observation,
    reportedGoalVersion: row.reported_version,
    hostHeardAt: row.last_heard_at,
    joining: row.joining,
    leaving: row.leaving,
    lost: row.given_up_at !== null,
    yieldsSince: row.yields_since,
    argumentsVersion: row.arguments_version,
  };
}

/** The processes of clusters, by cluster id; in the order shard members, config servers, routers. */
export async function processesOf(query: Query, clusterIds: readonly string[]): Promise<Map<string, StoredProcess[]>> {
  const found = await query<ProcessRow>(
    `SELECT process.*, host.hostname, host.last_heard_at, host.given_up_at, host.reported_version, observation.data AS observation
       FROM process
       JOIN host ON host.id = process.host_id
       LEFT JOIN observation ON observation.process_id = process.id
      WHERE process.cluster_id = ANY($1) AND process.removed_at IS NULL
      ORDER BY array_position(ARRAY['mongod', 'config', 'mongos'], process.kind), process.replica_set, process.member_id, process.id`,
    [clusterIds],
  );
  const byCluster = new Map<string, StoredProcess[]>(clusterIds.map((id) => [id, []]));
  for (const row of found) byCluster.get(row.cluster_id)?.push(processOf(row));
  return byCluster;
}

async function withProcesses(query: Query, found: readonly ClusterRow[]): Promise<ClusterWithProcesses[]> {
  const processes = await processesOf(
    query,
    found.map((row) => row.id),
  );
  return found.map((row) => ({ cluster: clusterOf(row), processes: processes.get(row.id) ?? [] }));
}

export async function findCluster(query: Query, projectId: string, name: string): Promise<ClusterWithProcesses | undefined> {
  const found = await query<ClusterRow>('SELECT * FROM cluster WHERE project_id = $1 AND name = $2 AND deleted_at IS NULL', [
    projectId,
    name,
  ]);
  return (await withProcesses(query, found))[0];
}

/** One page of a project's clusters in the order of their names, and how many there are. */
export async function listClusters(
  query: Query,
  projectId: string,
  slice: { readonly offset: number; readonly limit: number },
): Promise<{ clusters: ClusterWithProcesses[]; total: number }> {
  const found = await query<ClusterRow>(
    'SELECT * FROM cluster WHERE project_id = $1 AND deleted_at IS NULL ORDER BY name OFFSET $2 LIMIT $3',
    [projectId, slice.offset, slice.limit],
  );
  const [counted] = await query<{ total: number }>('SELECT count(*) AS total FROM cluster WHERE project_id = $1 AND deleted_at IS NULL', [
    projectId,
  ]);
  return { clusters: await withProcesses(query, found), total: counted?.total ?? 0 };
}

/** Locks a cluster until the transaction ends; `undefined` when it is gone. Whoever locks several does it in the order of their ids. */
export async function lockCluster(tx: Transaction, id: string): Promise<Cluster | undefined> {
  const [row] = await rows<ClusterRow>(tx, 'SELECT * FROM cluster WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE', [id]);
  return row && clusterOf(row);
}

/** Nothing is due later than this: what seems to be was written before the clock was set back, and is due. Ten times the longest wait (30 s). */
const LATEST_DUE_MS = 300_000;

/** The next cluster that is due, locked; one that another replica works on is passed over. */
export async function lockDueCluster(tx: Transaction, now: Date): Promise<string | undefined> {
  const [row] = await rows<{ id: string }>(
    tx,
    `SELECT id FROM cluster WHERE (reconcile_at <= $1 OR reconcile_at > $2) AND deleted_at IS NULL
      ORDER BY reconcile_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED`,
    [now, new Date(now.getTime() + LATEST_DUE_MS)],
  );
  return row?.id;
}

export async function insertCluster(tx: Transaction, cluster: Cluster, reconcileAt: Date): Promise<'inserted' | 'name-taken'> {
  const inserted = await rows(
    tx,
    `INSERT INTO cluster (id, project_id, name, state, state_since, settings, process_args, reconcile_at, created_at, revision)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
     ON CONFLICT (project_id, name) WHERE deleted_at IS NULL DO NOTHING RETURNING id`,
    [
      cluster.id,
      cluster.projectId,
      cluster.name,
      cluster.state,
      cluster.stateSince,
      JSON.stringify(cluster.settings),
      JSON.stringify(cluster.processArgs),
      reconcileAt,
      cluster.createdAt,
      cluster.revision,
    ],
  );
  return inserted.length === 1 ? 'inserted' : 'name-taken';
}

/** @throws {ClusterChangedError} when the row is not as it was read */
export async function writeCluster(tx: Transaction, before: Cluster, after: Cluster, reconcileAt: Date | null): Promise<void> {
  const json = (value: unknown) => (value === null ? null : JSON.stringify(value));
  const written = await rows(
    tx,
    `UPDATE cluster
        SET state = $4, state_since = $5, disabled_reason = $6, settings = $7, pending_changes = $8, process_args = $9,
            deleted_at = $10, revision = $11, reconcile_at = $12
      WHERE id = $1 AND state = $2 AND revision = $3 RETURNING id`,
    [
      before.id,
      before.state,
      before.revision,
      after.state,
      after.stateSince,
      json(after.disabledReason),
      json(after.settings),
      json(after.pendingChanges),
      json(after.processArgs),
      after.deletedAt,
      after.revision,
      reconcileAt,
    ],
  );
  if (written.length === 0) throw new ClusterChangedError(before.id);
}

export async function insertProcess(
  tx: Transaction,
  clusterId: string,
  process: ProcessDefinition & { readonly joining: boolean },
  stored: { readonly goal: ProcessGoal; readonly goalVersion: number; readonly now: Date },
): Promise<void> {
  await rows(
    tx,
    `INSERT INTO process (id, cluster_id, host_id, kind, replica_set, member_id, priority, votes, arbiter_only, port, db_path, extra_arguments,
                          adopted, desired, desired_since, goal, goal_version, joining, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $15)`,
    [
      process.id,
      clusterId,
      process.hostId,
      process.kind,
      process.replicaSet,
      process.memberId,
      process.priority,
      process.votes,
      process.arbiterOnly,
      process.port,
      process.dbPath,
      JSON.stringify(process.extraArguments),
      process.adopted,
      stored.goal.desired,
      stored.now,
      JSON.stringify(stored.goal),
      stored.goalVersion,
      process.joining,
    ],
  );
  await rows(tx, 'INSERT INTO usage_period (process_id, cluster_id, started_at) VALUES ($1, $2, $3)', [process.id, clusterId, stored.now]);
}

export async function writeProcessGoal(
  tx: Transaction,
  process: {
    readonly id: string;
    readonly desired: Desired;
    readonly desiredSince: Date;
    readonly goal: ProcessGoal;
    readonly goalVersion: number;
    readonly yieldsSince: Date | null;
  },
): Promise<void> {
  await rows(tx, 'UPDATE process SET desired = $2, desired_since = $3, goal = $4, goal_version = $5, yields_since = $6 WHERE id = $1', [
    process.id,
    process.desired,
    process.desiredSince,
    JSON.stringify(process.goal),
    process.goalVersion,
    process.yieldsSince,
  ]);
}

/** Processes have arrived in their cluster. */
export async function markJoined(tx: Transaction, processIds: readonly string[]): Promise<void> {
  await rows(tx, 'UPDATE process SET joining = false WHERE id = ANY($1) AND joining', [processIds]);
}

/** Processes are to be taken out of their cluster. */
export async function markLeaving(tx: Transaction, processIds: readonly string[]): Promise<void> {
  await rows(tx, 'UPDATE process SET leaving = true WHERE id = ANY($1) AND NOT leaving', [processIds]);
}

/** Gives a process other arguments; it runs by them once it has been restarted. */
export async function changeArguments(tx: Transaction, processId: string, extraArguments: readonly string[]): Promise<void> {
  await rows(tx, 'UPDATE process SET extra_arguments = $2, arguments_version = arguments_version + 1 WHERE id = $1', [
    processId,
    JSON.stringify(extraArguments),
  ]);
}

/** Processes that are gone are nobody's goal any more and are no longer metered. */
export async function retireProcesses(tx: Transaction, processIds: readonly string[], now: Date): Promise<void> {
  await rows(tx, 'DELETE FROM concern WHERE process_id = ANY($1)', [processIds]);
  await rows(tx, 'DELETE FROM observation WHERE process_id = ANY($1)', [processIds]);
  await rows(tx, 'UPDATE process SET removed_at = $2 WHERE id = ANY($1) AND removed_at IS NULL', [processIds, now]);
  await rows(tx, 'UPDATE usage_period SET ended_at = $2 WHERE process_id = ANY($1) AND ended_at IS NULL', [processIds, now]);
}

export async function addHistory(
  tx: Transaction,
  entry: {
    readonly clusterId: string;
    readonly at: Date;
    readonly from: ClusterState | null;
    readonly to: ClusterState;
    readonly fact: ClusterFact | { kind: 'created' };
  },
): Promise<void> {
  await rows(tx, 'INSERT INTO cluster_history (cluster_id, at, from_state, to_state, fact) VALUES ($1, $2, $3, $4, $5)', [
    entry.clusterId,
    entry.at,
    entry.from,
    entry.to,
    JSON.stringify(entry.fact),
  ]);
}

export async function openConcerns(query: Query, processIds: readonly string[]): Promise<OpenConcern[]> {
  const found = await query<{ process_id: string; kind: OpenConcern['kind']; since: Date; last_seen: Date }>(
    'SELECT * FROM concern WHERE process_id = ANY($1)',
    [processIds],
  );
  return found.map((row) => ({ processId: row.process_id, kind: row.kind, since: row.since, lastSeen: row.last_seen }));
}

export async function writeConcerns(tx: Transaction, changes: ConcernChanges): Promise<void> {
  for (const concern of [...changes.raised, ...changes.seenAgain]) {
    await rows(
      tx,
      `INSERT INTO concern (process_id, kind, since, last_seen) VALUES ($1, $2, $3, $4)
       ON CONFLICT (process_id, kind) DO UPDATE SET since = EXCLUDED.since, last_seen = EXCLUDED.last_seen`,
      [concern.processId, concern.kind, concern.since, concern.lastSeen],
    );
  }
  for (const concern of changes.ended)
    await rows(tx, 'DELETE FROM concern WHERE process_id = $1 AND kind = $2', [concern.processId, concern.kind]);
}

/** Has the reconciler look at clusters now. */
export async function makeDue(tx: Transaction, clusterIds: readonly string[], now: Date): Promise<void> {
  await rows(tx, 'UPDATE cluster SET reconcile_at = $2 WHERE id = ANY($1) AND deleted_at IS NULL', [clusterIds, now]);
}
