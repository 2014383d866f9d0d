import { z } from 'zod';
import { defineEvent } from '../event.js';
import { ObjectIdSchema, TimestampSchema } from '../ids.js';
import { topics } from '../topics.js';

/** What a message is about. `SHUTDOWNS_HELD` and `NO_OWNER` are for the operators, `KMS_UNREACHABLE` for owners and, without a project, for the operators. */
export const NOTIFICATION_KINDS = [
  'KEY_INVALID',
  'KEY_VALID',
  'ENFORCEMENT_ENDED',
  'KMS_UNREACHABLE',
  'KMS_REACHABLE',
  'KEY_END_APPROACHING',
  'KEY_END_CALLED_OFF',
  'KEY_NEEDS_ROTATION',
  'KEY_ROTATED',
  'SHUTDOWNS_HELD',
  'ATTENTION_NEEDED',
  'CLUSTER_CONCERN',
  'SNAPSHOT_FAILED',
  'SNAPSHOTS_BEHIND',
  'SNAPSHOT_NOT_PROVEN',
  'SNAPSHOT_PROOF_OVERDUE',
  'BACKUPS_IN_ORDER',
  'NO_OWNER',
] as const;

/** A message to people, as other services may remember it. */
export const NotificationStateSchema = z.object({
  id: ObjectIdSchema,
  projectId: ObjectIdSchema.nullable(),
  kind: z.enum(NOTIFICATION_KINDS),
  status: z.enum(['PENDING', 'SENT', 'FAILED']),
  recipients: z.array(z.string()),
  subject: z.string(),
  attempts: z.int().nonnegative(),
  createdAt: TimestampSchema,
  sentAt: TimestampSchema.nullable(),
});
export type NotificationState = z.infer<typeof NotificationStateSchema>;

const event = (name: string, description: string) =>
  defineEvent<NotificationState>({
    type: `io.atrest.notification.${name}.v1`,
    topic: topics.notifications,
    schema: NotificationStateSchema,
    description,
    subjectOf: (notification) => notification.id,
  });

export const notificationSent = event('sent', 'The mail server accepted the message for every recipient that it will ever accept.');
export const notificationFailed = event('failed', 'The message could not be delivered to anybody, for good.');
