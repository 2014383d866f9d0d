import { rows, type ServiceDatabase, type Statement, type Transaction } from '@atrest/platform-persistence';
import { monthOfId, type SnapshotPartitions } from './partitions.js';
import { keepCounts } from './snapshot-counts.js';
import { lifeOf, snapshotTransitions, type Snapshot, type SnapshotLife } from './snapshot-state.js';

/** How writing a change ended. */
export type WriteOutcome = 'written' | 'changed-meanwhile';

type Row = Omit<Snapshot, 'retention'> & {
  readonly retentionUnit: Snapshot['retention']['unit'];
  readonly retentionValue: number;
};

const COLUMNS = `id, project_id AS "projectId", cluster_id AS "clusterId", cluster_name AS "clusterName", epoch_id AS "epochId", provider,
  encryption_key_id AS "encryptionKeyId", status, snapshot_type AS "snapshotType", frequency_type AS "frequencyType", policy_items AS "policyItems",
  description, replica_set AS "replicaSet", retention_unit AS "retentionUnit", retention_value AS "retentionValue", due_at AS "dueAt",
  requested_at AS "requestedAt", started_at AS "startedAt", created_at AS "createdAt", expires_at AS "expiresAt", deleted_at AS "deletedAt", source,
  methods, avoid_member AS "avoidMember", anew, job_id AS "jobId", taken, progress, failure, attempt, retry_at AS "retryAt", last_proof AS "lastProof", proof_failure AS "proofFailure",
  clear_store AS "clearStore", parts, revision`;

const SELECT = `SELECT ${COLUMNS} FROM snapshot`;

const toSnapshot = ({ retentionUnit, retentionValue, ...row }: Row): Snapshot => ({
  ...row,
  retention: { unit: retentionUnit, value: retentionValue },
});

/** Prepared: planning a statement over many partitions takes longer than carrying it out. */
const LIST: Statement = {
  name: 'snapshot-list',
  // What is skipped is skipped in the index: each snapshot lies on a page of its own, most likely on the disk. `LIMIT 1` keeps the look-ups apart, each in the
  // one partition of its id.
  text: `SELECT found.* FROM (SELECT id FROM snapshot WHERE cluster_id = $1 AND deleted_at IS NULL ORDER BY id DESC LIMIT $2 OFFSET $3) page
    CROSS JOIN LATERAL (${SELECT} WHERE id = page.id LIMIT 1) found ORDER BY found.id DESC`,
};
const GET: Statement = { name: 'snapshot-get', text: `${SELECT} WHERE id = $1` };
const BEFORE_MOMENT: Statement = {
  name: 'snapshot-before-moment',
  text: `${SELECT} WHERE cluster_id = $1 AND status = 'completed' AND deleted_at IS NULL AND created_at <= $2 ORDER BY created_at DESC LIMIT 1`,
};
const BEFORE_OPTIME: Statement = {
  name: 'snapshot-before-optime',
  text: `${SELECT} WHERE cluster_id = $1 AND status = 'completed' AND deleted_at IS NULL AND (optime_seconds, optime_increment) <= ($2, $3)
    ORDER BY optime_seconds DESC, optime_increment DESC LIMIT 1`,
};

/** The lives from which the table of transitions leads to this change. */
function livesBefore(before: Snapshot, after: Snapshot): readonly SnapshotLife[] {
  const life = lifeOf(after);
  return life === lifeOf(before) ? [life] : [...new Set(snapshotTransitions.filter(({ to }) => to === life).map(({ from }) => from))];
}

const json = (value: unknown): string | null => (value === null ? null : JSON.stringify(value));

/** In the order in which `insert` and `write` number them from $4; the last one, the revision, is theirs. */
const changeableValues = (snapshot: Snapshot): unknown[] => [
  snapshot.clusterName,
  snapshot.epochId,
  snapshot.provider,
  snapshot.encryptionKeyId,
  snapshot.status,
  snapshot.snapshotType,
  snapshot.frequencyType,
  snapshot.policyItems,
  snapshot.description,
  snapshot.replicaSet,
  snapshot.retention.unit,
  snapshot.retention.value,
  snapshot.dueAt,
  snapshot.requestedAt,
  snapshot.startedAt,
  snapshot.createdAt,
  snapshot.taken?.optime?.seconds ?? null,
  snapshot.taken?.optime?.increment ?? null,
  snapshot.expiresAt,
  snapshot.deletedAt,
  json(snapshot.source),
  snapshot.methods,
  snapshot.avoidMember,
  snapshot.anew,
  snapshot.jobId,
  json(snapshot.taken),
  json(snapshot.progress),
  json(snapshot.failure),
  snapshot.attempt,
  snapshot.retryAt,
  json(snapshot.lastProof),
  snapshot.lastProof?.provenAt ?? null,
  json(snapshot.proofFailure),
  snapshot.clearStore,
  json(snapshot.parts),
];

/** Snapshots in the database. Every write keeps the counters of epoch and cluster, so that nobody has to count. */
export class SnapshotRepository {
  constructor(
    private readonly database: ServiceDatabase,
    private readonly partitions: SnapshotPartitions,
  ) {}

  /** Before a transaction that may insert: it would need a second connection for the partition, which many at a time would wait for in vain. */
  prepare(now: Date): Promise<void> {
    return this.partitions.prepare(now);
  }

  async find(id: string): Promise<Snapshot | null> {
    const [found] = await this.database.query<Row>(GET, [id]);
    return found ? toSnapshot(found) : null;
  }

  /** Nobody changes it before the transaction ends. */
  async lock(tx: Transaction, id: string): Promise<Snapshot | null> {
    const [found] = await rows<Row>(tx, `${SELECT} WHERE id = $1 FOR UPDATE`, [id]);
    return found ? toSnapshot(found) : null;
  }

  /** A page of a cluster's snapshots, the newest first. */
  async list(clusterId: string, page: { readonly limit: number; readonly offset: number }): Promise<Snapshot[]> {
    return (await this.database.query<Row>(LIST, [clusterId, page.limit, page.offset])).map(toSnapshot);
  }

  /** How many a cluster has. */
  async count(clusterId: string): Promise<number> {
    const [found] = await this.database.query<{ listed: number }>('SELECT listed FROM cluster_backup WHERE cluster_id = $1', [clusterId]);
    return found?.listed ?? 0;
  }

  /** The completed one whose data is the last before a moment. */
  async before(clusterId: string, moment: Date): Promise<Snapshot | null> {
    const [found] = await this.database.query<Row>(BEFORE_MOMENT, [clusterId, moment]);
    return found ? toSnapshot(found) : null;
  }

  /** The completed one that holds the most writes up to an optime. */
  async beforeOptime(clusterId: string, optime: { readonly seconds: number; readonly increment: number }): Promise<Snapshot | null> {
    const [found] = await this.database.query<Row>(BEFORE_OPTIME, [clusterId, optime.seconds, optime.increment]);
    return found ? toSnapshot(found) : null;
  }

  /** Those of a cluster that are queued or being taken, in the order in which they were asked for. */
  async unfinished(tx: Transaction, clusterId: string): Promise<Snapshot[]> {
    const found = await rows<Row>(
      tx,
      `${SELECT} WHERE cluster_id = $1 AND status IN ('queued', 'inProgress') AND deleted_at IS NULL ORDER BY id FOR UPDATE`,
      [clusterId],
    );
    return found.map(toSnapshot);
  }

  /** The newest one of an epoch whose blocks can be built on. */
  async newestOfEpoch(tx: Transaction, epochId: string): Promise<Snapshot | null> {
    const [found] = await rows<Row>(
      tx,
      `${SELECT} WHERE epoch_id = $1 AND status = 'completed' AND deleted_at IS NULL AND proof_failure IS NULL ORDER BY created_at DESC LIMIT 1`,
      [epochId],
    );
    return found ? toSnapshot(found) : null;
  }

  /** The one of a cluster that was proven longest ago. */
  async oldestProof(tx: Transaction, clusterId: string): Promise<Snapshot | null> {
    const [found] = await rows<Row>(
      tx,
      `${SELECT} WHERE cluster_id = $1 AND status = 'completed' AND deleted_at IS NULL ORDER BY last_proven_at NULLS FIRST LIMIT 1`,
      [clusterId],
    );
    return found ? toSnapshot(found) : null;
  }

  /** Completed ones of a cluster that a schedule took: a batch after the id. */
  async scheduledAfter(tx: Transaction, clusterId: string, afterId: string, limit: number): Promise<Snapshot[]> {
    const found = await rows<Row>(
      tx,
      `${SELECT} WHERE cluster_id = $1 AND deleted_at IS NULL AND status = 'completed' AND policy_items <> '{}' AND id > $2 ORDER BY id LIMIT $3 FOR UPDATE`,
      [clusterId, afterId, limit],
    );
    return found.map(toSnapshot);
  }

  /** Some whose time is over, each for this transaction alone. */
  async claimExpired(tx: Transaction, now: Date, limit: number): Promise<Snapshot[]> {
    const found = await rows<Row>(
      tx,
      `${SELECT} WHERE status IN ('completed', 'failed') AND deleted_at IS NULL AND expires_at <= $1
         AND id NOT IN (SELECT last_snapshot_id FROM cluster_backup b WHERE b.cluster_id = snapshot.cluster_id AND last_snapshot_id IS NOT NULL)
       ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED`,
      [now, limit],
    );
    return found.map(toSnapshot);
  }

  /** A failed one whose other attempt is due, for this transaction alone. */
  async claimRetry(tx: Transaction, now: Date): Promise<Snapshot | null> {
    const [found] = await rows<Row>(tx, `${SELECT} WHERE retry_at <= $1 ORDER BY retry_at LIMIT 1 FOR UPDATE SKIP LOCKED`, [now]);
    return found ? toSnapshot(found) : null;
  }

  /** Some of a cluster that were asked for before an id was made, whatever their state. */
  async ofClusterBefore(tx: Transaction, clusterId: string, beforeId: string, limit: number): Promise<Snapshot[]> {
    const found = await rows<Row>(
      tx,
      `${SELECT} WHERE cluster_id = $1 AND deleted_at IS NULL AND id < $2 ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED`,
      [clusterId, beforeId, limit],
    );
    return found.map(toSnapshot);
  }

  /** Whether a cluster has any that was asked for before an id was made. */
  async isAnyBefore(tx: Transaction, clusterId: string, beforeId: string): Promise<boolean> {
    const sql = 'SELECT FROM snapshot WHERE cluster_id = $1 AND deleted_at IS NULL AND id < $2 LIMIT 1';
    return (await rows(tx, sql, [clusterId, beforeId])).length > 0;
  }

  /** Stores a new one. `known-already`: there is one of this id. */
  async insert(tx: Transaction, snapshot: Snapshot): Promise<'written' | 'known-already'> {
    await this.partitions.ensure(monthOfId(snapshot.id));
    const inserted = await rows(
      tx,
      `INSERT INTO snapshot (id, project_id, cluster_id, cluster_name, epoch_id, provider, encryption_key_id, status, snapshot_type, frequency_type,
         policy_items, description, replica_set, retention_unit, retention_value, due_at, requested_at, started_at, created_at, optime_seconds,
         optime_increment, expires_at, deleted_at, source, methods, avoid_member, anew, job_id, taken, progress, failure, attempt, retry_at, last_proof, last_proven_at,
         proof_failure, clear_store, parts, revision)
       VALUES (${Array.from({ length: 39 }, (_, index) => `$${index + 1}`).join(', ')}) ON CONFLICT (id) DO NOTHING RETURNING id`,
      [snapshot.id, snapshot.projectId, snapshot.clusterId, ...changeableValues(snapshot), snapshot.revision],
    );
    if (inserted.length === 0) return 'known-already';
    await keepCounts(tx, null, snapshot);
    return 'written';
  }

  /** Writes a change over exactly the revision it was made for, and from a life that may lead to the new one. */
  async write(tx: Transaction, before: Snapshot, after: Snapshot): Promise<WriteOutcome> {
    const updated = await rows(
      tx,
      `UPDATE snapshot SET (cluster_name, epoch_id, provider, encryption_key_id, status, snapshot_type, frequency_type, policy_items, description,
         replica_set, retention_unit, retention_value, due_at, requested_at, started_at, created_at, optime_seconds, optime_increment, expires_at,
         deleted_at, source, methods, avoid_member, anew, job_id, taken, progress, failure, attempt, retry_at, last_proof, last_proven_at, proof_failure, clear_store,
         parts, revision) = (${Array.from({ length: 36 }, (_, index) => `$${index + 4}`).join(', ')})
       WHERE id = $1 AND revision = $2 AND (CASE WHEN deleted_at IS NULL THEN status ELSE 'deleted' END) = ANY ($3) RETURNING id`,
      [before.id, before.revision, livesBefore(before, after), ...changeableValues(after), after.revision],
    );
    if (updated.length === 0) return 'changed-meanwhile';
    await keepCounts(tx, before, after);
    return 'written';
  }
}
