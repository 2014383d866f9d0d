import { z } from 'zod';
import { SnapshotMethodSchema, SyncSourceSchema } from '../backup-vocabulary.js';
import { defineEvent } from '../event.js';
import { ObjectIdSchema, TimestampSchema } from '../ids.js';
import { topics } from '../topics.js';
import { EncryptionAtRestProviderSchema } from '../vocabulary.js';

const common = {
  id: ObjectIdSchema,
  projectId: ObjectIdSchema,
  clusterId: ObjectIdSchema,
  epochId: ObjectIdSchema,
  /** Whose key the epoch's data key is wrapped with. */
  provider: EncryptionAtRestProviderSchema,
  /** The customer key of the epoch; null exactly when `provider` is NONE. */
  encryptionKeyId: z.string().nullable(),
  orderedAt: TimestampSchema,
};

/** Work on snapshots that the agents of a cluster should do. `fleet` chooses the host and says what became of it in `atrest.agent-tasks`. */
export const BackupJobSchema = z.discriminatedUnion('kind', [
  z.object({
    ...common,
    kind: z.literal('take-snapshot'),
    snapshotId: ObjectIdSchema,
    source: SyncSourceSchema,
    /** The member that was copied last: unchanged files need not be read again there. `hostname:port` */
    preferredMember: z.string().nullable(),
    /** The member of which the last attempt failed: another one is copied where there is one. `hostname:port` */
    avoidMember: z.string().nullable().optional(),
    parentSnapshotId: ObjectIdSchema.nullable(),
    /** The parts of the parent, of a sharded cluster: the same members are copied again where they can be, each on top of its own part. */
    parentParts: z.array(z.object({ replicaSet: z.string(), snapshotId: ObjectIdSchema, member: z.string().nullable() })).optional(),
    methods: z.array(SnapshotMethodSchema).min(1),
    maxFiles: z.int().positive(),
    proofBlocks: z.int().positive(),
    labels: z.record(z.string(), z.json()),
  }),
  z.object({
    ...common,
    kind: z.literal('prove-snapshot'),
    snapshotId: ObjectIdSchema,
    /** Of a sharded cluster: what is proven in place of `snapshotId`. */
    partIds: z.array(ObjectIdSchema).min(1).optional(),
    share: z.number().min(0).max(1),
    proofBlocks: z.int().positive(),
  }),
  /** The cluster may be gone: any host of the organisation that has the snapshot store does it. */
  z.object({ ...common, kind: z.literal('delete-snapshots'), snapshotIds: z.array(ObjectIdSchema) }),
]);
export type BackupJob = z.infer<typeof BackupJobSchema>;

const event = (name: string, description: string) =>
  defineEvent<BackupJob>({
    type: `io.atrest.backup-job.${name}.v1`,
    topic: topics.backupJobs,
    schema: BackupJobSchema,
    description,
    subjectOf: (job) => job.id,
  });

export const backupJobOrdered = event('ordered', 'Agents should take, prove or delete snapshots.');
export const backupJobCancelled = event('cancelled', 'A backup job should end as soon as it can and leave nothing behind.');
