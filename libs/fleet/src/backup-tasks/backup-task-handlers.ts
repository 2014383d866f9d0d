import { backupJobCancelled, backupJobOrdered, keyAccessGranted, keyAccessRefused, type EventDefinition } from '@atrest/contracts';
import { defineHandler, type EventHandler } from '@atrest/platform-messaging';
import type { BackupTasks } from './backup-tasks.js';

/** What work on snapshots follows from. */
export const backupTaskConsumes = [backupJobOrdered, backupJobCancelled, keyAccessGranted, keyAccessRefused] as readonly EventDefinition[];

/** The handlers of {@link backupTaskConsumes}. An event that comes twice changes nothing the second time. */
export function backupTaskHandlers(tasks: BackupTasks): EventHandler[] {
  return [
    defineHandler(backupJobOrdered, 'make-the-task-of-a-backup-job', async (event, tx) => {
      await tasks.order(tx, event.data);
    }),
    defineHandler(backupJobCancelled, 'end-the-task-of-a-backup-job', async (event, tx) => {
      await tasks.cancel(tx, event.data.id);
    }),
    ...[keyAccessGranted, keyAccessRefused].map((definition) =>
      defineHandler(definition, 'take-in-access-to-a-key', async (event, tx) => {
        await tasks.keyAnswered(tx, event.data);
      }),
    ),
  ];
}
