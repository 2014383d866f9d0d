import { z } from 'zod';
import { SealedForAgentSchema, SealingPublicKeySchema } from '../agent-channel/agent-tasks.js';
import { BackupFailureSchema } from '../backup-vocabulary.js';
import { defineEvent } from '../event.js';
import { ObjectIdSchema, TimestampSchema } from '../ids.js';
import { topics } from '../topics.js';
import { KeyProviderNameSchema } from '../vocabulary.js';

/** The answer of `kms-validation` to a request for access to a customer key. */
export const KeyAccessSchema = z.object({
  taskId: ObjectIdSchema,
  hostId: ObjectIdSchema,
  projectId: ObjectIdSchema,
  provider: KeyProviderNameSchema,
  /**
   * The key as snapshots show it: `resolvedKeyId` of the key configuration, or `keyId` where the provider resolves nothing. An alias may move, what it
   * stood for does not. Null when refused.
   */
  encryptionKeyId: z.string().nullable(),
  /** Only the host it is for can open it; null when refused. */
  sealed: SealedForAgentSchema.nullable(),
  /** The host's public key that the request named: an answer to an earlier request of the task is told from the one to the present. */
  sealedFor: SealingPublicKeySchema.optional(),
  /** Why it was refused. */
  failure: BackupFailureSchema.nullable(),
  at: TimestampSchema,
});
export type KeyAccess = z.infer<typeof KeyAccessSchema>;

const event = (name: string, description: string) =>
  defineEvent<KeyAccess>({
    type: `io.atrest.key-access.${name}.v1`,
    topic: topics.keyAccess,
    schema: KeyAccessSchema,
    description,
    subjectOf: (access) => access.taskId,
  });

export const keyAccessGranted = event('granted', 'Access to a customer key for one task, sealed for the agent that does it.');
export const keyAccessRefused = event('refused', 'Access to a customer key was not given; the failure says why.');
