import type { BackupTask } from '@atrest/contracts';
import type { Clock } from '@atrest/platform-time';
import {
  beginEpoch,
  eraseEpochKeys,
  isUnsealed,
  NOT_ENABLED,
  ObjectMissingError,
  openEpoch,
  readEpochHeader,
  type EpochHeader,
  type ObjectStore,
  type OpenEpoch,
} from '@atrest/snapshot-store';
import { BackupError } from './backup-error.js';
import type { TaskKey } from './task-key.js';

/**
 * Opens the epoch of a task, and begins it when it is not there. One that is begun is opened again from the store: what was wrapped must also unwrap, and
 * that is known before anything is written under it.
 */
export async function epochForWriting(store: ObjectStore, task: BackupTask, key: TaskKey, clock: Clock): Promise<OpenEpoch> {
  if ((await headerOf(store, task)) === null) {
    const { epochId, projectId, clusterId } = task;
    const owner = { epochId, projectId, clusterId, encryptionKeyId: task.encryptionKeyId ?? NOT_ENABLED };
    const begun = await beginEpoch(store, owner, key, clock.now());
    eraseEpochKeys(begun.keys);
  }
  return openEpochOf(store, task, key);
}

/** @throws BackupError SNAPSHOT_MISSING when there is no such epoch, KEY_CHANGED when it is of another cluster or key */
export async function openEpochOf(store: ObjectStore, task: BackupTask, key: TaskKey): Promise<OpenEpoch> {
  if ((await headerOf(store, task)) === null) throw new BackupError('SNAPSHOT_MISSING', `The store has no epoch ${task.epochId}.`);
  return openEpoch(store, task.epochId, key);
}

async function headerOf(store: ObjectStore, task: BackupTask): Promise<EpochHeader | null> {
  const header = await readEpochHeader(store, task.epochId).catch((error: unknown) => {
    if (error instanceof ObjectMissingError) return null;
    throw error;
  });
  if (header === null) return null;
  const wanted = task.encryptionKeyId ?? NOT_ENABLED;
  const isOurs = header.projectId === task.projectId && header.clusterId === task.clusterId && header.encryptionKeyId === wanted;
  if (!isOurs || isUnsealed(header.wrappedDataKey) !== (task.encryptionKeyId === null)) {
    throw new BackupError(
      'KEY_CHANGED',
      `The epoch ${task.epochId} in the store is of another cluster or another key. Nothing is written to it.`,
    );
  }
  return header;
}
