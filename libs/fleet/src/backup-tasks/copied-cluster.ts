import type { BackupFailure } from '@atrest/contracts';
import type { Transaction } from '@atrest/platform-persistence';
import type { Cluster } from '../clusters/cluster-view.js';
import { lockCopiesOf } from './backup-tasks.repository.js';
import { endTask, type TaskMoverParts } from './move-task.js';

/** Why no snapshot is taken of a cluster as it is; null when one may be. */
export function whyNotCopied(cluster: Cluster): BackupFailure | null {
  const { name, state, disabledReason } = cluster;
  if (cluster.deletedAt !== null || state === 'DELETING') return { code: 'CLUSTER_GONE', detail: `The cluster ${name} is deleted.` };
  if (state === 'DISABLING' || state === 'DISABLED') {
    const why = disabledReason === null ? '' : ` ${disabledReason.detail}`;
    return { code: 'CLUSTER_DISABLED', detail: `The cluster ${name} is disabled.${why}`.slice(0, 2_000) };
  }
  if (cluster.settings.paused) return { code: 'CLUSTER_DISABLED', detail: `The cluster ${name} is paused.` };
  if (state === 'RESTORING') return { code: 'ALREADY_RUNNING', detail: `The cluster ${name} is being restored.` };
  return null;
}

/**
 * Ends the snapshot that is being taken of a cluster that is not to be copied any more. Nobody waits for it: the orders to stop are given in the same
 * transaction, and the agent ends the copy beside them.
 */
export async function endCopies(parts: TaskMoverParts, tx: Transaction, cluster: Cluster): Promise<void> {
  const reason = whyNotCopied(cluster);
  if (reason === null) return;
  for (const task of await lockCopiesOf(tx, cluster.id)) await endTask(parts, tx, task, reason);
}
