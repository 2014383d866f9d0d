import { rows, type Transaction } from '@atrest/platform-persistence';
import type { Snapshot } from './snapshot-state.js';

const isListed = (snapshot: Snapshot | null): boolean => snapshot !== null && snapshot.deletedAt === null;
const isUnfinished = (snapshot: Snapshot | null): boolean =>
  isListed(snapshot) && (snapshot?.status === 'queued' || snapshot?.status === 'inProgress');
const isCompleted = (snapshot: Snapshot | null): boolean => isListed(snapshot) && snapshot?.status === 'completed';
const isGood = (snapshot: Snapshot | null): boolean => isCompleted(snapshot) && snapshot?.proofFailure === null;
const step = (before: boolean, after: boolean): number => Number(after) - Number(before);

/**
 * Keeps what lists and key usage would otherwise have to count, in the transaction of the change: of the epoch first, then of the cluster, always in this
 * order, so that no two changes wait for each other.
 */
export async function keepCounts(tx: Transaction, before: Snapshot | null, after: Snapshot): Promise<void> {
  if (before !== null && before.epochId !== after.epochId) {
    // Only a queued one changes its epoch.
    const moved = [before.epochId, after.epochId].toSorted();
    for (const id of moved) await addToEpoch(tx, id, id === after.epochId ? 1 : -1, 0);
  } else {
    const unfinished = step(isUnfinished(before), isUnfinished(after));
    const completed = step(isCompleted(before), isCompleted(after));
    if (unfinished !== 0 || completed !== 0) await addToEpoch(tx, after.epochId, unfinished, completed);
    if (isCompleted(before) !== isCompleted(after) || (isCompleted(after) && before?.expiresAt?.getTime() !== after.expiresAt?.getTime())) {
      await boundEpoch(tx, after.epochId);
    }
  }
  await countOfCluster(tx, before, after);
}

async function addToEpoch(tx: Transaction, epochId: string, unfinished: number, completed: number): Promise<void> {
  await rows(tx, 'UPDATE epoch SET unfinished = unfinished + $2, completed = completed + $3 WHERE id = $1', [
    epochId,
    unfinished,
    completed,
  ]);
}

/** Both ends by an index each. */
async function boundEpoch(tx: Transaction, epochId: string): Promise<void> {
  const of = (what: string): string => `(SELECT ${what} FROM snapshot WHERE epoch_id = $1 AND status = 'completed' AND deleted_at IS NULL)`;
  await rows(
    tx,
    `UPDATE epoch SET oldest_created_at = ${of('min(created_at)')}, newest_created_at = ${of('max(created_at)')},
       last_expires_at = ${of('max(expires_at)')} WHERE id = $1`,
    [epochId],
  );
}

async function countOfCluster(tx: Transaction, before: Snapshot | null, after: Snapshot): Promise<void> {
  const { clusterId, projectId, clusterName, lastProof } = after;
  const listed = step(isListed(before), isListed(after));
  const completed = step(isCompleted(before), isCompleted(after));
  const provenNow = lastProof !== null && lastProof.provenAt !== before?.lastProof?.provenAt;
  if (before === null) {
    await rows(
      tx,
      'INSERT INTO cluster_backup (cluster_id, project_id, cluster_name) VALUES ($1, $2, $3) ON CONFLICT (cluster_id) DO NOTHING',
      [clusterId, projectId, clusterName],
    );
  }
  if (listed !== 0 || completed !== 0 || provenNow) {
    await rows(
      tx,
      `UPDATE cluster_backup SET listed = listed + $2, completed = completed + $3, last_proven_at = GREATEST(last_proven_at, $4),
         last_completed_at = GREATEST(last_completed_at, $5) WHERE cluster_id = $1`,
      [clusterId, listed, completed, provenNow ? lastProof.provenAt : null, completed === 1 ? (after.taken?.completedAt ?? null) : null],
    );
  }
  if (isGood(before) !== isGood(after) || completed !== 0) await rememberLastGood(tx, clusterId);
}

/** The newest completed one that is not known to be broken; where all are, the newest. */
async function rememberLastGood(tx: Transaction, clusterId: string): Promise<void> {
  const newest = (more: string): string =>
    `(SELECT id FROM snapshot WHERE cluster_id = $1 AND status = 'completed' AND deleted_at IS NULL ${more} ORDER BY created_at DESC LIMIT 1)`;
  await rows(
    tx,
    `UPDATE cluster_backup SET last_snapshot_id = last.id, last_member = COALESCE(last.member, last_member)
     FROM (SELECT good.id, (SELECT taken ->> 'member' FROM snapshot WHERE id = good.id) AS member
           FROM (SELECT COALESCE(${newest('AND proof_failure IS NULL')}, ${newest('')}) AS id) good) last
     WHERE cluster_id = $1`,
    [clusterId],
  );
}
