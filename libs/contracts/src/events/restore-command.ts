import { z } from 'zod';
import { ClusterReferenceSchema } from '../commands/restore-command.js';
import { defineEvent } from '../event.js';
import { ClientIdSchema, TimestampSchema } from '../ids.js';
import { topics } from '../topics.js';

/** Why a restore command was rejected. */
export const RESTORE_COMMAND_REJECTIONS = [
  /** The message is no restore command: not JSON, another type, a signed payload that does not fit the schema. */
  'INVALID_MESSAGE',
  /** The signature does not hold, or the key is not one of the account's. */
  'INVALID_SIGNATURE',
  /** The service account does not exist (any more). */
  'UNKNOWN_ACCOUNT',
  /** The account may not restore in one of the two projects. */
  'NOT_AUTHORISED',
  /** Issued more than 15 minutes ago, or more than 2 minutes ahead. */
  'EXPIRED',
  /** The account sent another command under this idempotency key before. */
  'IDEMPOTENCY_KEY_REUSED',
  /** There is no such project for this account. */
  'UNKNOWN_PROJECT',
  /** There is no such cluster in the project. */
  'UNKNOWN_CLUSTER',
  /** This release takes no restores yet. */
  'RESTORES_NOT_SERVED',
] as const;
export const RestoreCommandRejectionSchema = z.enum(RESTORE_COMMAND_REJECTIONS);
export type RestoreCommandRejection = z.infer<typeof RestoreCommandRejectionSchema>;

const answered = {
  /** The CloudEvents id of the message that is answered. */
  messageId: z.uuid(),
  decidedAt: TimestampSchema,
};

/** What became of a command that is taken. */
export const RestoreCommandAcceptedSchema = z.object({
  ...answered,
  signedBy: ClientIdSchema,
  commandId: z.uuid(),
  idempotencyKey: z.string(),
  source: ClusterReferenceSchema,
  target: ClusterReferenceSchema,
});
export type RestoreCommandAccepted = z.infer<typeof RestoreCommandAcceptedSchema>;

/**
 * What became of a command that is not taken. What the message says of itself is repeated only when a signature vouches for it: otherwise
 * anybody could have a command of somebody else's rejected in public.
 */
export const RestoreCommandRejectedSchema = z.object({
  ...answered,
  /** The account whose key signed the command; null when no signature was verified, and then nothing is known of the command but `messageId`. */
  signedBy: ClientIdSchema.nullable(),
  commandId: z.uuid().nullable(),
  idempotencyKey: z.string().nullable(),
  source: ClusterReferenceSchema.nullable(),
  target: ClusterReferenceSchema.nullable(),
  reason: RestoreCommandRejectionSchema,
  /** For people. */
  detail: z.string(),
});
export type RestoreCommandRejected = z.infer<typeof RestoreCommandRejectedSchema>;

/** The account is part of the subject, so that nobody can overwrite the answer to somebody else's command in the compacted topic. */
const subjectOf = (answer: RestoreCommandRejected | RestoreCommandAccepted): string =>
  answer.signedBy !== null && answer.commandId !== null ? `${answer.signedBy}/${answer.commandId}` : `message/${answer.messageId}`;

export const restoreCommandAccepted = defineEvent<RestoreCommandAccepted>({
  type: 'io.atrest.restore-command.accepted.v1',
  topic: topics.restoreJobs,
  schema: RestoreCommandAcceptedSchema,
  description: 'A restore command was accepted and will be carried out.',
  subjectOf,
});

export const restoreCommandRejected = defineEvent<RestoreCommandRejected>({
  type: 'io.atrest.restore-command.rejected.v1',
  topic: topics.restoreJobs,
  schema: RestoreCommandRejectedSchema,
  description: 'A restore command was rejected and has no effect; the reason says why.',
  subjectOf,
});
