import { z } from 'zod';
import {
  BackupFailureSchema,
  BackupProgressSchema,
  SnapshotFrequencySchema,
  SnapshotPartSchema,
  SnapshotProofSchema,
  SnapshotStatusSchema,
  SnapshotTakenSchema,
  SnapshotTypeSchema,
} from '../backup-vocabulary.js';
import { defineEvent } from '../event.js';
import { ObjectIdSchema, TimestampSchema } from '../ids.js';
import { topics } from '../topics.js';
import { EncryptionAtRestProviderSchema } from '../vocabulary.js';

/** A snapshot as other services may remember it. */
export const SnapshotStateSchema = z.object({
  id: ObjectIdSchema,
  projectId: ObjectIdSchema,
  clusterId: ObjectIdSchema,
  clusterName: z.string(),
  status: SnapshotStatusSchema,
  snapshotType: SnapshotTypeSchema,
  /** Null for one on demand. */
  frequencyType: SnapshotFrequencySchema.nullable(),
  /** The schedule items that it serves. */
  policyItems: z.array(ObjectIdSchema),
  description: z.string().nullable(),
  provider: EncryptionAtRestProviderSchema,
  /** The customer key, as it is shown; null: not enabled. */
  encryptionKeyId: z.string().nullable(),
  epochId: ObjectIdSchema,
  requestedAt: TimestampSchema,
  startedAt: TimestampSchema.nullable(),
  /** The moment of the data. */
  createdAt: TimestampSchema.nullable(),
  expiresAt: TimestampSchema.nullable(),
  deletedAt: TimestampSchema.nullable(),
  /** Of a sharded cluster: one for each replica set, each a snapshot of its own in the store. `taken` is then of all together. */
  parts: z.array(SnapshotPartSchema).optional(),
  /** Present when completed. */
  taken: SnapshotTakenSchema.nullable(),
  progress: BackupProgressSchema.nullable(),
  failure: BackupFailureSchema.nullable(),
  /** How often it was tried, this one included. */
  attempt: z.int().positive(),
  /** Whether another try follows by itself. */
  willRetry: z.boolean(),
  lastProof: SnapshotProofSchema.nullable(),
  /** Why the last attempt to prove it failed; null when it did not. */
  proofFailure: BackupFailureSchema.nullable(),
  revision: z.int().positive(),
});
export type SnapshotState = z.infer<typeof SnapshotStateSchema>;

const event = (name: string, description: string) =>
  defineEvent<SnapshotState>({
    type: `io.atrest.snapshot.${name}.v1`,
    topic: topics.snapshots,
    schema: SnapshotStateSchema,
    description,
    subjectOf: (snapshot) => snapshot.id,
  });

export const snapshotRequested = event('requested', 'A snapshot was asked for, by the schedule or by somebody.');
export const snapshotStarted = event('started', 'An agent copies the files.');
export const snapshotProgressed = event('progressed', 'How far a snapshot is; at most every few seconds.');
export const snapshotCompleted = event('completed', 'A snapshot was taken, read back from the store and proven encrypted.');
export const snapshotFailed = event('failed', 'A snapshot was not taken; the failure says why. Nothing is left of it.');
export const snapshotRetentionChanged = event('retention-changed', 'A snapshot is kept for longer or shorter.');
export const snapshotProven = event('proven', 'A snapshot was read back again and found readable with its key.');
export const snapshotProofFailed = event('proof-failed', 'A snapshot could not be proven: it, or its key, needs a person to look at it.');
export const snapshotDeleted = event('deleted', 'A snapshot is gone.');

/** Every event with the state of one snapshot. */
export const snapshotEvents = [
  snapshotRequested,
  snapshotStarted,
  snapshotProgressed,
  snapshotCompleted,
  snapshotFailed,
  snapshotRetentionChanged,
  snapshotProven,
  snapshotProofFailed,
  snapshotDeleted,
] as const;

/** The backups of a cluster as they stand, where somebody should hear of it. */
export const BackupHealthSchema = z.object({
  /** The cluster's id. */
  id: ObjectIdSchema,
  projectId: ObjectIdSchema,
  clusterName: z.string(),
  /** The schedule pauses, and why; null: it does not. */
  paused: z.object({ reason: z.string(), since: TimestampSchema }).nullable(),
  /** The last run that is overdue; null: none is. */
  behindSince: TimestampSchema.nullable(),
  lastCompletedAt: TimestampSchema.nullable(),
  /** The snapshot whose proof is the oldest, and when that was; null when there is none. */
  oldestProof: z.object({ snapshotId: ObjectIdSchema, provenAt: TimestampSchema }).nullable(),
  revision: z.int().positive(),
});
export type BackupHealth = z.infer<typeof BackupHealthSchema>;

const healthEvent = (name: string, description: string) =>
  defineEvent<BackupHealth>({
    type: `io.atrest.backup-health.${name}.v1`,
    topic: topics.snapshots,
    schema: BackupHealthSchema,
    description,
    subjectOf: (health) => `health/${health.id}`,
  });

export const backupFellBehind = healthEvent('fell-behind', 'Scheduled snapshots of a cluster are overdue.');
export const backupCaughtUp = healthEvent('caught-up', 'Scheduled snapshots of a cluster are in time again.');
export const backupPaused = healthEvent('paused', 'The snapshot schedule of a cluster pauses, because the cluster is disabled or paused.');
export const backupResumed = healthEvent('resumed', 'The snapshot schedule of a cluster goes on.');
export const backupProofOverdue = healthEvent('proof-overdue', 'No snapshot of a cluster was proven for too long.');
/** The events of {@link BackupHealth}. */
export const backupHealthEvents = [backupFellBehind, backupCaughtUp, backupPaused, backupResumed, backupProofOverdue] as const;
