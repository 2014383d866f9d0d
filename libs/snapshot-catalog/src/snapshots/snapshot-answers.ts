import type { SnapshotPart, SnapshotSelfManaged, SnapshotView } from '@atrest/contracts';
import { atlasTime } from '@atrest/platform-http';
import { masterKeyUUID } from '../key-usage/master-key-uuid.js';
import type { KnownKeyConfiguration } from '../projections/key-configuration-projection.js';
import { restorability } from './restorability.js';
import { provenAt, type Snapshot } from './snapshot-state.js';

/** What a snapshot says where no customer key protects it. */
export const NOT_ENABLED = 'Not enabled';

export interface ViewContext {
  /** Scheme and authority, for links. */
  readonly base: string;
  /** Of the snapshot's project. */
  readonly configurations: readonly KnownKeyConfiguration[];
}

/** A snapshot as the Atlas Admin API shows it; a field without a value is left out. */
export function toView(snapshot: Snapshot, context: ViewContext): SnapshotView {
  const { taken, createdAt, expiresAt, description, replicaSet, parts, encryptionKeyId, projectId, clusterName } = snapshot;
  const cluster = `${context.base}/api/atlas/v2/groups/${projectId}/clusters/${clusterName}`;
  return {
    id: snapshot.id,
    status: snapshot.status,
    snapshotType: snapshot.snapshotType,
    frequencyType: snapshot.frequencyType ?? 'ondemand',
    ...(parts === null ? { type: 'replicaSet' as const } : shardedView(parts)),
    ...((taken?.topology.replicaSet ?? replicaSet) !== null && { replicaSetName: taken?.topology.replicaSet ?? replicaSet ?? '' }),
    ...(taken !== null && { mongodVersion: taken.mongoDBVersion }),
    ...(createdAt !== null && { createdAt: atlasTime(createdAt) }),
    ...(expiresAt !== null && { expiresAt: atlasTime(expiresAt) }),
    ...(description !== null && { description }),
    storageSizeBytes: taken?.bytes ?? 0,
    copyRegions: [],
    policyItems: [...snapshot.policyItems],
    ...(encryptionKeyId !== null && { masterKeyUUID: masterKeyUUID(snapshot.provider, encryptionKeyId) }),
    selfManaged: selfManaged(snapshot, context),
    links: [
      { rel: 'self', href: `${cluster}/backup/snapshots/${parts === null ? '' : 'shardedCluster/'}${snapshot.id}` },
      { rel: 'https://cloud.mongodb.com/cluster', href: cluster },
    ],
  };
}

function shardedView(parts: readonly SnapshotPart[]): Pick<SnapshotView, 'type' | 'configServerType' | 'members' | 'snapshotIds'> {
  return {
    type: 'shardedCluster',
    configServerType: 'DEDICATED',
    members: parts.map(({ snapshotId, replicaSet }) => ({ id: snapshotId, replicaSetName: replicaSet })),
    snapshotIds: parts.map(({ snapshotId }) => snapshotId),
  };
}

function selfManaged(snapshot: Snapshot, { configurations }: ViewContext): SnapshotSelfManaged {
  const { taken, progress, startedAt } = snapshot;
  const proven = provenAt(snapshot);
  return {
    encryptionKeyId: snapshot.encryptionKeyId ?? NOT_ENABLED,
    encryptionKeyVersion: taken?.key?.keyVersion ?? null,
    provider: snapshot.provider,
    epochId: snapshot.epochId,
    requestedAt: atlasTime(snapshot.requestedAt),
    startedAt: startedAt && atlasTime(startedAt),
    completedAt: taken && atlasTime(new Date(taken.completedAt)),
    attempt: snapshot.attempt,
    willRetry: snapshot.retryAt !== null,
    failure: snapshot.failure,
    progress: progress && { ...progress, percent: percentOf(progress) },
    method: taken?.method ?? null,
    member: taken?.member ?? null,
    memberState: taken?.memberState ?? null,
    optime: taken?.optime ?? null,
    ...(taken?.cut && { cut: taken.cut }),
    ...(snapshot.parts !== null && { parts: partViews(snapshot.parts) }),
    featureCompatibilityVersion: taken?.featureCompatibilityVersion ?? null,
    defaultRWConcern: taken?.defaultRWConcern ?? null,
    storage: taken?.storage ?? null,
    files: taken?.files ?? null,
    bytes: taken?.bytes ?? null,
    storedBytes: taken?.storedBytes ?? null,
    durationMs: taken?.durationMs ?? null,
    lastProvenAt: proven && atlasTime(proven),
    proof: proofOf(snapshot),
    proofFailure: snapshot.proofFailure,
    restorable: restorability(snapshot, configurations),
  };
}

/** With the names of shards, which the config servers have. */
function partViews(parts: readonly SnapshotPart[]): NonNullable<SnapshotSelfManaged['parts']> {
  const shards = parts.flatMap(({ taken }) => taken?.shards ?? []);
  return parts.map(({ snapshotId, replicaSet, role, member, taken }) => {
    const shard = shards.find((known) => known.replicaSet === replicaSet);
    return {
      snapshotId,
      replicaSet,
      role,
      member,
      ...(shard && { shardName: shard.name }),
      ...(taken && { mongodVersion: taken.mongoDBVersion, files: taken.files, bytes: taken.bytes }),
    };
  });
}

function proofOf({ lastProof }: Snapshot): SnapshotSelfManaged['proof'] {
  if (lastProof === null) return null;
  const { blocksSampled, blocksRead, bytesRead } = lastProof;
  return { blocksSampled, blocksRead, bytesRead };
}

/** Of the source's bytes, with one decimal. Sources grow while they are copied. */
const percentOf = ({ bytes, bytesTotal }: { readonly bytes: number; readonly bytesTotal: number }): number =>
  bytesTotal === 0 ? 0 : Math.min(100, Math.round((bytes / bytesTotal) * 1_000) / 10);
