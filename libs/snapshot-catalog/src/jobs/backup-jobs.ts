import { backupJobCancelled, backupJobOrdered, newObjectId, type BackupJob } from '@atrest/contracts';
import type { EventPublisher } from '@atrest/platform-messaging';
import { rows, type Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import type { ClusterProjection } from '../projections/cluster-projection.js';
import { PROOF_BLOCKS, PROOF_SHARE } from '../proof/proof-policy.js';
import type { Epoch, EpochRepository } from '../snapshots/epoch.repository.js';
import type { SnapshotChanges } from '../snapshots/snapshot-changes.js';
import type { SnapshotRepository } from '../snapshots/snapshot.repository.js';
import type { Snapshot } from '../snapshots/snapshot-state.js';
import { labelsOf } from '../import/labels.js';
import type { BackupJobRepository } from './backup-job.repository.js';

/** Of a member: Cloud Manager's limit, above which a copy takes longer to list than to make. */
const MAX_FILES = 100_000;

export interface BackupJobsParts {
  readonly jobs: BackupJobRepository;
  readonly snapshots: SnapshotRepository;
  readonly changes: SnapshotChanges;
  readonly epochs: EpochRepository;
  readonly clusters: ClusterProjection;
  readonly publisher: EventPublisher;
  readonly clock: Clock;
}

/** Orders work of agents: each job is stored and published in one transaction. */
export class BackupJobs {
  constructor(private readonly parts: BackupJobsParts) {}

  /** Has the next queued snapshot of a cluster taken, unless one is being taken: never two at once. */
  async takeNext(tx: Transaction, clusterId: string): Promise<'ordered' | 'nothing-to-do'> {
    const { jobs, snapshots, changes, epochs, clusters, clock } = this.parts;
    // Whoever queues and whoever finishes wait for each other here, so that one of them sees the other's.
    const [backup] = await rows<{ last_member: string | null }>(
      tx,
      'SELECT last_member FROM cluster_backup WHERE cluster_id = $1 FOR UPDATE',
      [clusterId],
    );
    if (backup === undefined || (await jobs.isUnderWay(tx, clusterId, 'take-snapshot'))) return 'nothing-to-do';
    const next = (await snapshots.unfinished(tx, clusterId)).find(({ jobId }) => jobId === null);
    const cluster = await clusters.get(tx, clusterId);
    if (next === undefined || cluster === null) return 'nothing-to-do';
    const now = clock.now();
    const epoch = await epochs.current(tx, cluster, now);
    // Its key configuration was removed meanwhile: it waits for another one, or for being cancelled.
    if (epoch === null) return 'nothing-to-do';
    const jobId = newObjectId(now);
    const parent = next.anew ? null : await snapshots.newestOfEpoch(tx, epoch.id);
    const { provider, encryptionKeyId } = epoch;
    const snapshot = await changes.quietly(tx, next, { jobId, epochId: epoch.id, provider, encryptionKeyId });
    return this.order(tx, {
      ...this.common(epoch, jobId, now),
      kind: 'take-snapshot',
      snapshotId: snapshot.id,
      source: snapshot.source,
      preferredMember: parent === null || backup.last_member === snapshot.avoidMember ? null : backup.last_member,
      avoidMember: snapshot.avoidMember,
      parentSnapshotId: parent?.id ?? null,
      ...(parent?.parts && { parentParts: parent.parts.map(({ replicaSet, snapshotId, member }) => ({ replicaSet, snapshotId, member })) }),
      methods: [...snapshot.methods],
      maxFiles: MAX_FILES,
      proofBlocks: PROOF_BLOCKS,
      labels: labelsOf(snapshot),
    });
  }

  /** Has a snapshot read back and proven. */
  async prove(tx: Transaction, snapshot: Snapshot): Promise<'ordered' | 'nothing-to-do'> {
    // Looked at before the unique index would: whoever waits there holds the cluster, which the end of the other job needs.
    if (await this.parts.jobs.isUnderWay(tx, snapshot.clusterId, 'prove-snapshot')) return 'nothing-to-do';
    const epoch = await this.parts.epochs.get(tx, snapshot.epochId);
    if (epoch === null) return 'nothing-to-do';
    const now = this.parts.clock.now();
    return this.order(tx, {
      ...this.common(epoch, newObjectId(now), now),
      kind: 'prove-snapshot',
      snapshotId: snapshot.id,
      ...(snapshot.parts !== null && { partIds: snapshot.parts.map((part) => part.snapshotId) }),
      share: PROOF_SHARE,
      proofBlocks: PROOF_BLOCKS,
    });
  }

  /** Has snapshots deleted from the store; none: only what no snapshot names. */
  async clear(tx: Transaction, epoch: Epoch, snapshotIds: readonly string[]): Promise<'ordered' | 'nothing-to-do'> {
    const now = this.parts.clock.now();
    return this.order(tx, { ...this.common(epoch, newObjectId(now), now), kind: 'delete-snapshots', snapshotIds: [...snapshotIds] });
  }

  /** Has a job end and leave nothing behind; what became of it is told by its task. */
  async cancel(tx: Transaction, jobId: string): Promise<'cancelling' | 'over-already'> {
    const { jobs, publisher } = this.parts;
    const stored = await jobs.lock(tx, jobId);
    if (stored === null || (await jobs.markCancelling(tx, jobId)) !== 'marked') return 'over-already';
    await publisher.publish(tx, backupJobCancelled, stored.job);
    return 'cancelling';
  }

  private async order(tx: Transaction, job: BackupJob): Promise<'ordered' | 'nothing-to-do'> {
    if ((await this.parts.jobs.insert(tx, job)) === 'busy') return 'nothing-to-do';
    await this.parts.publisher.publish(tx, backupJobOrdered, job);
    return 'ordered';
  }

  private common({ id: epochId, projectId, clusterId, provider, encryptionKeyId }: Epoch, id: string, now: Date) {
    return { id, projectId, clusterId, epochId, provider, encryptionKeyId, orderedAt: now.toISOString() };
  }
}
