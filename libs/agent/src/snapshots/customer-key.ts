import { KeyAccessSecretSchema, type BackupTask } from '@atrest/contracts';
import type { Logger } from '@atrest/platform-logging';
import { unsealedDataKeys } from '@atrest/snapshot-store';
import { BackupError } from './backup-error.js';
import type { AgentKmsOptions, TaskKey } from './task-key.js';

/** For clusters without encryption at rest. */
export const noCustomerKey: TaskKey = { ...unsealedDataKeys, close: () => undefined };

/** What opening a task's key needs of its host. */
export interface KeyHost {
  /** Opens what is sealed for this host. */
  readonly openSealed: (sealed: string) => Promise<string>;
  readonly kms: AgentKmsOptions;
  readonly logger: Logger;
}

/**
 * Opens the access to the customer key that came with a task, and checks that it is for this task: sealed for this host, it could still be another one's.
 *
 * @throws BackupError KEY_CHANGED, KEY_REFUSED; SealedForOthersError
 */
export async function taskKeyOf(task: BackupTask, { openSealed, kms, logger }: KeyHost): Promise<TaskKey> {
  if (task.encryptionKeyId === null) return noCustomerKey;
  if (task.keyAccess === null) throw new BackupError('KEY_REFUSED', 'The task came without access to its customer key.');
  const secret = KeyAccessSecretSchema.safeParse(jsonOf(await openSealed(task.keyAccess)));
  if (!secret.success)
    throw new BackupError('INTERNAL', 'The access to the customer key is of a kind that this agent does not know. Update the agent.');
  const { taskId, projectId, encryptionKeyId, access, second } = secret.data;
  if (taskId !== task.id || projectId !== task.projectId) {
    throw new BackupError('KEY_CHANGED', 'The access to a customer key that came with the task was made for other work.');
  }
  // Older snapshots are read with the keys they name; only what is written must be under the key that was ordered.
  if (task.kind === 'take-snapshot' && encryptionKeyId !== task.encryptionKeyId) {
    throw new BackupError('KEY_CHANGED', 'The project changed its key after the snapshot was ordered.');
  }
  // Loaded with the first task that has a customer key: the SDKs take a second and 50 MB of every life of an agent.
  const { providedKey } = await import('./provided-key.js');
  return providedKey({ access, second }, kms, logger.child({ taskId }));
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
