import type { DeleteSnapshotsTask, DeletionDone } from '@atrest/contracts';
import { collectEpoch, deleteEpoch, eraseEpochKeys, manifestKey, manifestsPrefix, type ObjectStore } from '@atrest/snapshot-store';
import { SealedForOthersError } from '../sealing-key.js';
import { BackupError } from './backup-error.js';
import { taskKeyOf } from './customer-key.js';
import { KeyUseError } from './task-key.js';
import { openEpochOf } from './epoch.js';
import type { ProgressMeter } from './progress.js';
import type { BackupHost } from './task-context.js';

/**
 * Deletes snapshots, and frees what no other one names. A snapshot is gone with its manifest, for which no key is needed; what is free then is known only
 * to who can read the manifests that are left. Where none is left, the whole epoch goes, with no key either.
 */
export async function deleteSnapshots(
  host: BackupHost,
  task: DeleteSnapshotsTask,
  o: { readonly signal: AbortSignal; readonly meter: ProgressMeter },
): Promise<DeletionDone> {
  const store = await host.store.open();
  try {
    const refused: DeletionDone['refused'] = [];
    for (const snapshotId of task.snapshotIds) {
      o.signal.throwIfAborted();
      const [undeleted] = await store.delete([manifestKey(task.epochId, snapshotId)]);
      if (undeleted !== undefined) refused.push({ snapshotId, reason: undeleted.reason });
    }
    await store.flush();
    o.meter.enter('finishing');
    const deleted = task.snapshotIds.filter((id) => !refused.some(({ snapshotId }) => snapshotId === id));
    return { deleted, refused, freedBytes: await free(host, store, task, o.signal) };
  } finally {
    await store.close();
  }
}

/** Null when nothing could be freed now. */
async function free(host: BackupHost, store: ObjectStore, task: DeleteSnapshotsTask, signal: AbortSignal): Promise<number | null> {
  const { leaseTimes, graceMs } = host;
  const times = { ...(leaseTimes !== undefined && { leaseTimes }), ...(graceMs !== undefined && { graceMs }) };
  if (!(await hasSnapshots(store, task.epochId))) {
    const gone = await deleteEpoch({ store, epochId: task.epochId, signal, ...times });
    if (gone.kind === 'deleted') return gone.deletedBytes;
    if (gone.kind !== 'in-use') return null;
  }
  try {
    const key = await taskKeyOf(task, host);
    try {
      const { keys } = await openEpochOf(store, task, key);
      try {
        const done = await collectEpoch({ store, keys, signal, ...times });
        return done.kind === 'swept' ? done.deletedBytes : null;
      } finally {
        eraseEpochKeys(keys);
      }
    } finally {
      key.close();
    }
  } catch (error) {
    if (!isForWantOfTheKey(error)) throw error;
    host.logger.info(
      { err: error, epochId: task.epochId },
      'the snapshots are deleted; what they alone used is freed when the key can be used again',
    );
    return null;
  }
}

const isForWantOfTheKey = (error: unknown): boolean =>
  error instanceof KeyUseError ||
  error instanceof SealedForOthersError ||
  (error instanceof BackupError && (error.code === 'KEY_REFUSED' || error.code === 'KEY_CHANGED'));

async function hasSnapshots(store: ObjectStore, epochId: string): Promise<boolean> {
  const manifests = store.list(manifestsPrefix(epochId))[Symbol.asyncIterator]();
  try {
    return (await manifests.next()).done !== true;
  } finally {
    await manifests.return?.();
  }
}
