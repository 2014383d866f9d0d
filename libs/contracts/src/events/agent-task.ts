import { z } from 'zod';
import { AgentTaskResultSchema, SealingPublicKeySchema } from '../agent-channel/agent-tasks.js';
import { BackupFailureSchema, BackupProgressSchema, SnapshotPartSchema } from '../backup-vocabulary.js';
import { defineEvent } from '../event.js';
import { ObjectIdSchema, TimestampSchema } from '../ids.js';
import { topics } from '../topics.js';
import { EncryptionAtRestProviderSchema } from '../vocabulary.js';

/** Work of an agent for a backup job. */
export const AgentTaskStateSchema = z.object({
  /** Also the id of the backup job: each has one task. Of a part of a sharded cluster, of which only the request for its key is told: its own. */
  id: ObjectIdSchema,
  kind: z.enum(['take-snapshot', 'prove-snapshot', 'delete-snapshots']),
  projectId: ObjectIdSchema,
  clusterId: ObjectIdSchema,
  /** `WAITING_FOR_KEY`: until `kms-validation` has sealed access to the customer key for the host. */
  status: z.enum(['WAITING_FOR_KEY', 'OPEN', 'CANCELLING', 'DONE', 'FAILED']),
  /** Null when no host could be chosen. */
  hostId: ObjectIdSchema.nullable(),
  /** `hostname:port` of the member that is copied; null for other work. */
  member: z.string().nullable(),
  provider: EncryptionAtRestProviderSchema,
  /** What access to the key is to be sealed for. Present while `WAITING_FOR_KEY`. */
  hostSealingKey: SealingPublicKeySchema.nullable(),
  progress: BackupProgressSchema.nullable(),
  /** Of a `take-snapshot` of a sharded cluster: its parts, whose ids are known before an agent begins. The task stands for all of them. */
  parts: z.array(SnapshotPartSchema).optional(),
  /** Present when DONE. */
  result: AgentTaskResultSchema.pick({ taken: true, proof: true, deletion: true }).nullable(),
  /** Present when FAILED. */
  failure: BackupFailureSchema.nullable(),
  at: TimestampSchema,
  revision: z.int().positive(),
});
export type AgentTaskState = z.infer<typeof AgentTaskStateSchema>;

const event = (name: string, description: string) =>
  defineEvent<AgentTaskState>({
    type: `io.atrest.agent-task.${name}.v1`,
    topic: topics.agentTasks,
    schema: AgentTaskStateSchema,
    description,
    subjectOf: (task) => task.id,
  });

export const agentTaskKeyRequested = event(
  'key-requested',
  'The agent of a host needs access to a customer key for a task; it should be sealed for that host.',
);
export const agentTaskAssigned = event('assigned', 'A task is ready for the agent of a host.');
export const agentTaskProgressed = event('progressed', 'The agent said how far a task is; at most every few seconds.');
export const agentTaskFinished = event('finished', 'A task is done or failed.');
