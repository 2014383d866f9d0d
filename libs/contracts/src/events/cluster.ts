import { z } from 'zod';
import { defineEvent } from '../event.js';
import { ObjectIdSchema, TimestampSchema } from '../ids.js';
import { topics } from '../topics.js';
import {
  ClusterStateSchema as ClusterLifeSchema,
  ClusterTypeSchema,
  EncryptionAtRestProviderSchema,
  KeyProviderNameSchema,
  ProcessKindSchema,
} from '../vocabulary.js';

/** Why a cluster is disabled, in words for people and codes for programs. */
export const DisabledReasonSchema = z.object({
  code: z.literal('KEY_CONFIGURATION_INVALID'),
  keyConfigurationId: ObjectIdSchema,
  provider: KeyProviderNameSchema,
  keyId: z.string(),
  /** What the provider said, e.g. "KEY_DISABLED: arn:… is disabled." */
  detail: z.string(),
  since: TimestampSchema,
});
export type DisabledReason = z.infer<typeof DisabledReasonSchema>;

export const ClusterProcessSchema = z.object({
  id: ObjectIdSchema,
  hostId: ObjectIdSchema,
  hostname: z.string(),
  port: z.int().min(1).max(65535),
  kind: ProcessKindSchema,
  replicaSet: z.string().nullable(),
});

/** A cluster as other services may remember it. */
export const ClusterSummarySchema = z.object({
  id: ObjectIdSchema,
  projectId: ObjectIdSchema,
  name: z.string(),
  clusterType: ClusterTypeSchema,
  state: ClusterLifeSchema,
  disabledReason: DisabledReasonSchema.nullable(),
  encryptionAtRestProvider: EncryptionAtRestProviderSchema,
  backupEnabled: z.boolean(),
  /** Absent: not paused. */
  paused: z.boolean().optional(),
  /** Its snapshots outlive it, and backups that are turned off. Absent: they do not. */
  retainBackups: z.boolean().optional(),
  mongoDBVersion: z.string().nullable(),
  processes: z.array(ClusterProcessSchema),
  createdAt: TimestampSchema,
  deletedAt: TimestampSchema.nullable(),
  revision: z.int().nonnegative(),
});
export type ClusterSummary = z.infer<typeof ClusterSummarySchema>;

const event = (name: string, description: string) =>
  defineEvent<ClusterSummary>({
    type: `io.atrest.cluster.${name}.v1`,
    topic: topics.clusters,
    schema: ClusterSummarySchema,
    description,
    subjectOf: (cluster) => cluster.id,
  });

export const clusterCreated = event('created', 'A cluster was accepted; its processes are being placed and started.');
export const clusterUpdated = event('updated', "A cluster's settings, processes or state changed in a way that has no event of its own.");
export const clusterDisablingStarted = event(
  'disabling-started',
  'The order to stop every mongod and mongos of the cluster was given; the reason is in disabledReason.',
);
export const clusterDisabled = event('disabled', 'Every mongod and mongos of the cluster was observed to be stopped.');
export const clusterEnablingStarted = event('enabling-started', 'The order to start every mongod and mongos of the cluster was given.');
export const clusterEnabled = event('enabled', 'Every mongod and mongos of the cluster runs again and each replica set has a primary.');
export const clusterDeletionStarted = event('deletion-started', 'The cluster was asked to be deleted.');
export const clusterDeleted = event('deleted', 'The cluster is gone.');

/** Facts about one cluster that a person should look at; the state of the cluster itself did not change. */
export const ClusterConcernSchema = z.object({
  cluster: ClusterSummarySchema,
  processId: ObjectIdSchema,
  kind: z.enum(['STOP_OVERDUE', 'STARTED_BY_HAND', 'HOST_UNREACHABLE', 'HOST_GIVEN_UP', 'HELD_FOR_BACKUP']),
  detail: z.string(),
  since: TimestampSchema,
});
export type ClusterConcern = z.infer<typeof ClusterConcernSchema>;

export const clusterConcernRaised = defineEvent<ClusterConcern>({
  type: 'io.atrest.cluster.concern-raised.v1',
  topic: topics.clusters,
  schema: ClusterConcernSchema,
  description:
    'A process of a cluster that is being disabled or is disabled does not stop, was started by hand, or sits on a host that does not answer; or the host of a process was given up for lost; or a process is still locked, or has a backup cursor open, although no snapshot is being taken of it.',
  subjectOf: (concern) => concern.cluster.id,
});

/** A process of a cluster that should run, and ended because its server itself found its master key gone or not active. */
export const ProcessEndedForKeySchema = z.object({
  cluster: ClusterSummarySchema,
  processId: ObjectIdSchema,
  /** What the server said on its end. */
  detail: z.string(),
  /** When its agent saw it end. */
  endedAt: TimestampSchema,
});
export type ProcessEndedForKey = z.infer<typeof ProcessEndedForKeySchema>;

export const clusterProcessEndedForKey = defineEvent<ProcessEndedForKey>({
  type: 'io.atrest.cluster.process-ended-for-key.v1',
  topic: topics.clusters,
  schema: ProcessEndedForKeySchema,
  description:
    "A process of a cluster that should run ended because it could not use its master key: mongod's own poller acted before a check did. A reason to check the key now; it says nothing of the cluster's state.",
  subjectOf: (ended) => ended.cluster.id,
});
