import {
  snapshotCompleted,
  snapshotDeleted,
  snapshotFailed,
  snapshotProgressed,
  snapshotProofFailed,
  snapshotProven,
  snapshotRequested,
  snapshotRetentionChanged,
  snapshotStarted,
  type BackupFailure,
  type BackupProgress,
  type ClusterType,
  type EncryptionAtRestProvider,
  type EventDefinition,
  type SnapshotFrequency,
  type SnapshotMethod,
  type SnapshotPart,
  type SnapshotProof,
  type SnapshotState,
  type SnapshotStatus,
  type SnapshotTaken,
  type SnapshotType,
  type SyncSource,
} from '@atrest/contracts';
import type { Retention } from './retention-policy.js';

/** A snapshot of the catalogue. */
export interface Snapshot {
  readonly id: string;
  readonly projectId: string;
  readonly clusterId: string;
  readonly clusterName: string;
  readonly epochId: string;
  readonly provider: EncryptionAtRestProvider;
  /** Null: encryption at rest is not enabled. */
  readonly encryptionKeyId: string | null;
  readonly status: SnapshotStatus;
  readonly snapshotType: SnapshotType;
  /** Null for one on demand. */
  readonly frequencyType: SnapshotFrequency | null;
  readonly policyItems: readonly string[];
  readonly description: string | null;
  /** Null for one of a sharded cluster. */
  readonly replicaSet: string | null;
  /** Of a sharded cluster: its replica sets, as soon as an agent is to copy them. Null: it is no sharded one. */
  readonly parts: readonly SnapshotPart[] | null;
  readonly retention: Retention;
  /** The run that it serves; null for one on demand. */
  readonly dueAt: Date | null;
  readonly requestedAt: Date;
  readonly startedAt: Date | null;
  /** The moment of the data. */
  readonly createdAt: Date | null;
  readonly expiresAt: Date | null;
  readonly deletedAt: Date | null;
  readonly source: SyncSource;
  readonly methods: readonly SnapshotMethod[];
  /** Another attempt copies another member than this one, where there is one. */
  readonly avoidMember: string | null;
  /** Another attempt does not rely on what is stored already. */
  readonly anew: boolean;
  /** The job that takes it, once one was ordered. */
  readonly jobId: string | null;
  readonly taken: SnapshotTaken | null;
  readonly progress: BackupProgress | null;
  readonly failure: BackupFailure | null;
  readonly attempt: number;
  /** When the attempt that follows this failed one is due. */
  readonly retryAt: Date | null;
  readonly lastProof: SnapshotProof | null;
  readonly proofFailure: BackupFailure | null;
  /** Something may lie in the store that should not. */
  readonly clearStore: boolean;
  readonly revision: number;
}

/** Where in its life a snapshot is: the status of the Atlas API, which knows no deleted ones. */
export type SnapshotLife = SnapshotStatus | 'deleted';

/** When a snapshot was proven last. */
export const provenAt = (snapshot: Snapshot | null): Date | null =>
  snapshot?.lastProof == null ? null : new Date(snapshot.lastProof.provenAt);

/** What may happen to a snapshot. */
export type SnapshotFact =
  'requested' | 'began' | 'progressed' | 'taken' | 'failed' | 'retention-changed' | 'proven' | 'not-proven' | 'deleted';

type SnapshotEvent =
  'requested' | 'started' | 'progressed' | 'completed' | 'failed' | 'retention-changed' | 'proven' | 'proof-failed' | 'deleted';

/** The table that every change follows; what is not in it does not happen. Diagrams are generated from it. */
export const snapshotTransitions: readonly {
  readonly from: SnapshotLife;
  readonly on: SnapshotFact;
  readonly to: SnapshotLife;
  readonly event: SnapshotEvent;
}[] = [
  // Another run joins one that has not begun.
  { from: 'queued', on: 'requested', to: 'queued', event: 'requested' },
  { from: 'queued', on: 'began', to: 'inProgress', event: 'started' },
  // An event may overtake another one, or stand for it.
  { from: 'queued', on: 'progressed', to: 'inProgress', event: 'started' },
  { from: 'queued', on: 'taken', to: 'completed', event: 'completed' },
  { from: 'queued', on: 'failed', to: 'failed', event: 'failed' },
  { from: 'inProgress', on: 'progressed', to: 'inProgress', event: 'progressed' },
  { from: 'inProgress', on: 'taken', to: 'completed', event: 'completed' },
  { from: 'inProgress', on: 'failed', to: 'failed', event: 'failed' },
  { from: 'completed', on: 'retention-changed', to: 'completed', event: 'retention-changed' },
  { from: 'completed', on: 'proven', to: 'completed', event: 'proven' },
  { from: 'completed', on: 'not-proven', to: 'completed', event: 'proof-failed' },
  { from: 'completed', on: 'deleted', to: 'deleted', event: 'deleted' },
  { from: 'failed', on: 'deleted', to: 'deleted', event: 'deleted' },
];

const DEFINITIONS: Readonly<Record<SnapshotEvent, EventDefinition<SnapshotState>>> = {
  requested: snapshotRequested,
  started: snapshotStarted,
  progressed: snapshotProgressed,
  completed: snapshotCompleted,
  failed: snapshotFailed,
  'retention-changed': snapshotRetentionChanged,
  proven: snapshotProven,
  'proof-failed': snapshotProofFailed,
  deleted: snapshotDeleted,
};

export const lifeOf = ({ status, deletedAt }: Pick<Snapshot, 'status' | 'deletedAt'>): SnapshotLife =>
  deletedAt === null ? status : 'deleted';

/** A snapshot after a change, and the event that tells of it. */
export interface Changed {
  readonly snapshot: Snapshot;
  readonly event: EventDefinition<SnapshotState>;
}

/** A new snapshot. */
export function request(snapshot: Omit<Snapshot, keyof typeof UNTOUCHED | 'revision'>): Changed {
  return { snapshot: { ...snapshot, ...UNTOUCHED, revision: 1 }, event: snapshotRequested };
}

const UNTOUCHED = {
  status: 'queued',
  startedAt: null,
  createdAt: null,
  deletedAt: null,
  jobId: null,
  taken: null,
  progress: null,
  failure: null,
  retryAt: null,
  lastProof: null,
  proofFailure: null,
  clearStore: false,
} as const;

/** Applies a fact; null where the table has no row for it, because something else happened before. */
function apply(snapshot: Snapshot, fact: SnapshotFact, change: Partial<Snapshot>): Changed | null {
  const row = snapshotTransitions.find(({ from, on }) => from === lifeOf(snapshot) && on === fact);
  if (row === undefined) return null;
  const status = row.to === 'deleted' ? snapshot.status : row.to;
  return { snapshot: { ...snapshot, ...change, status, revision: snapshot.revision + 1 }, event: DEFINITIONS[row.event] };
}

/** Whether a snapshot of a cluster has parts. */
export const isSharded = ({ clusterType }: { readonly clusterType: ClusterType }): boolean => clusterType !== 'REPLICASET';

/** The set that a snapshot is of; one of a sharded cluster is of several. */
export const setOf = (cluster: { readonly clusterType: ClusterType; readonly replicaSets: readonly string[] }): string | null =>
  isSharded(cluster) ? null : (cluster.replicaSets[0] ?? null);

/** Which parts it has is known when hosts are chosen for them. */
export const partsAtFirst = (cluster: { readonly clusterType: ClusterType }): readonly SnapshotPart[] | null =>
  isSharded(cluster) ? [] : null;

/** What lies in the store of a snapshot, by name. */
export const storedIds = ({ id, parts }: Pick<Snapshot, 'id' | 'parts'>): string[] => [
  id,
  ...(parts ?? []).map(({ snapshotId }) => snapshotId),
];

/** The same run once more, after an attempt that failed. */
export function tryAgain(
  failed: Snapshot,
  next: Pick<Snapshot, 'id' | 'requestedAt' | 'expiresAt' | 'methods' | 'snapshotType' | 'avoidMember' | 'anew'>,
): Changed {
  // What lay in the store of the failed one is deleted under its own ids.
  return request({ ...failed, ...next, parts: failed.parts === null ? null : [], attempt: failed.attempt + 1 });
}

/** Another run joins: one snapshot serves both. */
export function join(snapshot: Snapshot, run: Pick<Snapshot, 'policyItems' | 'frequencyType' | 'retention' | 'expiresAt'>): Changed | null {
  return apply(snapshot, 'requested', { ...run, policyItems: [...new Set([...snapshot.policyItems, ...run.policyItems])] });
}

export const begin = (snapshot: Snapshot, at: Date): Changed | null => apply(snapshot, 'began', { startedAt: at });

export const advance = (snapshot: Snapshot, progress: BackupProgress, at: Date): Changed | null =>
  apply(snapshot, 'progressed', { progress, startedAt: snapshot.startedAt ?? at });

/** The moment of the data: that of the last write in it, where the server said so. */
export const momentOf = ({ optime, completedAt, durationMs }: SnapshotTaken): Date =>
  optime === null ? new Date(Date.parse(completedAt) - durationMs) : new Date(optime.seconds * 1_000);

export function complete(snapshot: Snapshot, taken: SnapshotTaken, proof: SnapshotProof, expiresAt: Date): Changed | null {
  return apply(snapshot, 'taken', {
    taken,
    lastProof: proof,
    createdAt: momentOf(taken),
    startedAt: snapshot.startedAt ?? new Date(Date.parse(taken.completedAt) - taken.durationMs),
    expiresAt,
    progress: null,
    failure: null,
  });
}

/** @param retryAt null: no other attempt follows */
export function fail(snapshot: Snapshot, failure: BackupFailure, retryAt: Date | null, expiresAt: Date): Changed | null {
  // Where no agent had begun, nothing can lie in the store.
  return apply(snapshot, 'failed', { failure, retryAt, expiresAt, progress: null, clearStore: snapshot.startedAt !== null });
}

export const keepUntil = (snapshot: Snapshot, expiresAt: Date, retention: Retention): Changed | null =>
  apply(snapshot, 'retention-changed', { expiresAt, retention });

export const prove = (snapshot: Snapshot, proof: SnapshotProof): Changed | null =>
  apply(snapshot, 'proven', { lastProof: proof, proofFailure: null });

export const failProof = (snapshot: Snapshot, failure: BackupFailure): Changed | null =>
  apply(snapshot, 'not-proven', { proofFailure: failure });

export const remove = (snapshot: Snapshot, at: Date): Changed | null =>
  apply(snapshot, 'deleted', { deletedAt: at, retryAt: null, clearStore: snapshot.status === 'completed' || snapshot.clearStore });

/** A snapshot as other services may remember it. */
export function toState(snapshot: Snapshot): SnapshotState {
  const time = (moment: Date | null): string | null => moment?.toISOString() ?? null;
  const { id, projectId, clusterId, clusterName, status, snapshotType, frequencyType, description, provider, encryptionKeyId, epochId } =
    snapshot;
  return {
    id,
    projectId,
    clusterId,
    clusterName,
    status,
    snapshotType,
    frequencyType,
    policyItems: [...snapshot.policyItems],
    description,
    provider,
    encryptionKeyId,
    epochId,
    requestedAt: snapshot.requestedAt.toISOString(),
    startedAt: time(snapshot.startedAt),
    createdAt: time(snapshot.createdAt),
    expiresAt: time(snapshot.expiresAt),
    deletedAt: time(snapshot.deletedAt),
    ...(snapshot.parts !== null && { parts: [...snapshot.parts] }),
    taken: snapshot.taken,
    progress: snapshot.progress,
    failure: snapshot.failure,
    attempt: snapshot.attempt,
    willRetry: snapshot.retryAt !== null,
    lastProof: snapshot.lastProof,
    proofFailure: snapshot.proofFailure,
    revision: snapshot.revision,
  };
}
