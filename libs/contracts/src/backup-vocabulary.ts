import { z } from 'zod';
import { ObjectIdSchema, TimestampSchema } from './ids.js';

/** Life of a snapshot, in the words of the Atlas API. `failed` is final for the snapshot; another one is tried by policy. */
export const SNAPSHOT_STATUSES = ['queued', 'inProgress', 'completed', 'failed'] as const;
export const SnapshotStatusSchema = z.enum(SNAPSHOT_STATUSES);
export type SnapshotStatus = z.infer<typeof SnapshotStatusSchema>;

/** `fallback`: the scheduled run failed with the usual method and another one was used. */
export const SNAPSHOT_TYPES = ['onDemand', 'scheduled', 'fallback'] as const;
export const SnapshotTypeSchema = z.enum(SNAPSHOT_TYPES);
export type SnapshotType = z.infer<typeof SnapshotTypeSchema>;

/** Kinds of schedule items; Atlas's wire adds `ondemand`, which no description names. */
export const SNAPSHOT_FREQUENCIES = ['hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;
export const SnapshotFrequencySchema = z.enum(SNAPSHOT_FREQUENCIES);
export type SnapshotFrequency = z.infer<typeof SnapshotFrequencySchema>;

/** How a consistent copy is had from a server: tried in this order unless ordered otherwise, never inferred from its version. */
export const SNAPSHOT_METHODS = ['backupCursor', 'fsyncLock', 'stoppedMember'] as const;
export const SnapshotMethodSchema = z.enum(SNAPSHOT_METHODS);
export type SnapshotMethod = z.infer<typeof SnapshotMethodSchema>;

/** Which member is copied. Any secondary is the default, as Atlas orders them. */
export const SyncSourceSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('secondary') }),
  z.object({ kind: z.literal('primary') }),
  /** `hostname:port` */
  z.object({ kind: z.literal('member'), member: z.string().min(3).max(300) }),
]);
export type SyncSource = z.infer<typeof SyncSourceSchema>;

/** Why a snapshot, or other work for backups, failed. */
export const BACKUP_FAILURES = [
  /** No agent with a snapshot store runs a member that can be copied. */
  'NO_SOURCE',
  'NO_SNAPSHOT_STORE',
  /** The agent was not heard of for too long. */
  'HOST_SILENT',
  'TOO_MANY_FILES',
  'SOURCE_DISK_FULL',
  'STORE_FULL',
  'STORE_UNAVAILABLE',
  'STORE_REFUSED',
  /** The member stepped down, was stopped, rolled back or changed under the copy. */
  'SOURCE_CHANGED',
  /** No method gave a consistent copy on this server. */
  'NO_METHOD',
  /** The agent has no login, or not the rights. */
  'SOURCE_ACCESS_DENIED',
  /** The customer key did not wrap or unwrap: it is disabled, deleted, or access to it was taken. */
  'KEY_REFUSED',
  /** The KMS could not be asked. */
  'KEY_UNREACHABLE',
  /** The project changed its key after the work was ordered. */
  'KEY_CHANGED',
  /** What lies in the store could be read without the key, or not with it. */
  'NOT_PROVEN',
  /** Objects are missing from the store, or damaged. */
  'STORE_DAMAGED',
  /** There is no such snapshot in the store. */
  'SNAPSHOT_MISSING',
  'ALREADY_RUNNING',
  /** The parts of a sharded cluster could not be cut at one moment: another part did not come to it, or this one was past it. */
  'NOT_CUT',
  /** The balancer of a sharded cluster could not be stopped: chunks would move while it is copied. */
  'BALANCER_NOT_STOPPED',
  'CANCELLED',
  'CLUSTER_DISABLED',
  'CLUSTER_GONE',
  'INTERNAL',
] as const;
export const BackupFailureCodeSchema = z.enum(BACKUP_FAILURES);
export type BackupFailureCode = z.infer<typeof BackupFailureCodeSchema>;

export const BackupFailureSchema = z.object({
  code: BackupFailureCodeSchema,
  /** What happened and what to do, for people. Never holds a secret. */
  detail: z.string().max(2_000),
});
export type BackupFailure = z.infer<typeof BackupFailureSchema>;

/** A moment in an oplog: seconds and the number within the second, with the term where it is known. */
export const OplogTimeSchema = z.object({
  seconds: z.int().nonnegative(),
  increment: z.int().nonnegative(),
  term: z.int().nullable(),
});
export type OplogTime = z.infer<typeof OplogTimeSchema>;

/** How far work for a backup is. Bytes of the source, but for `storedBytes`. */
export const BackupProgressSchema = z.object({
  /** `holding`: a part of a sharded cluster stays as it is and waits to be told where all parts are cut. */
  phase: z.enum(['preparing', 'holding', 'copying', 'proving', 'finishing']),
  /** While it is holding: how far its oplog reaches without being extended. */
  oplogEnd: OplogTimeSchema.optional(),
  files: z.int().nonnegative(),
  filesTotal: z.int().nonnegative(),
  bytes: z.int().nonnegative(),
  bytesTotal: z.int().nonnegative(),
  /** Added to the store so far. */
  storedBytes: z.int().nonnegative(),
  /** Over the last seconds; null before it can be told. */
  bytesPerSecond: z.int().nonnegative().nullable(),
  secondsLeft: z.int().nonnegative().nullable(),
  at: TimestampSchema,
});
export type BackupProgress = z.infer<typeof BackupProgressSchema>;

/** What was recorded with a snapshot: enough to know later where it may be restored to. */
export const SnapshotTakenSchema = z.object({
  /** When the manifest was written. */
  completedAt: TimestampSchema,
  durationMs: z.int().nonnegative(),
  method: SnapshotMethodSchema,
  /** `hostname:port` of the member that was copied. */
  member: z.string(),
  memberState: z.string().nullable(),
  mongoDBVersion: z.string(),
  /** Null when the agent may not read it. */
  featureCompatibilityVersion: z.string().nullable(),
  /** As `getDefaultRWConcern` has it; a part that was never set is absent. Null when it could not be asked. */
  defaultRWConcern: z.record(z.string(), z.json()).nullable(),
  storage: z.object({
    engine: z.string().nullable(),
    directoryPerDB: z.boolean(),
    directoryForIndexes: z.boolean(),
    blockCompressor: z.string().nullable(),
    /** Of an encrypted storage engine; null when the files are not encrypted by the server. */
    cipherMode: z.string().nullable(),
  }),
  topology: z.object({ replicaSet: z.string().nullable(), members: z.array(z.string()) }),
  /** The copy holds every write up to here. */
  optime: OplogTimeSchema.nullable(),
  checkpointTimestamp: OplogTimeSchema.nullable(),
  oplogEnd: OplogTimeSchema.nullable(),
  /** Of a sharded cluster: the one moment that all parts are restored to. What a part holds beyond it is cut off then. */
  cut: OplogTimeSchema.optional(),
  /** Of the config servers of a sharded cluster: its shards by their names, with the replica sets that they are. */
  shards: z.array(z.object({ name: z.string(), replicaSet: z.string() })).optional(),
  files: z.int().nonnegative(),
  bytes: z.int().nonnegative(),
  storedBytes: z.int().nonnegative(),
  /** The customer key that protects it; null when encryption at rest is not enabled. */
  key: z.object({ provider: z.string(), encryptionKeyId: z.string(), keyVersion: z.string().nullable() }).nullable(),
});
export type SnapshotTaken = z.infer<typeof SnapshotTakenSchema>;

/** That a snapshot was read back from the store and found readable with its key, and not without. */
export const SnapshotProofSchema = z.object({
  provenAt: TimestampSchema,
  /** Blocks that did not open under another key, did under the right one and held none of their content in clear. */
  blocksSampled: z.int().nonnegative(),
  /** Blocks that were read and authenticated. */
  blocksRead: z.int().nonnegative(),
  bytesRead: z.int().nonnegative(),
});
export type SnapshotProof = z.infer<typeof SnapshotProofSchema>;

/** One replica set of a sharded cluster, as a part of one snapshot. */
export const SnapshotPartSchema = z.object({
  /** Of this part in the store. */
  snapshotId: ObjectIdSchema,
  replicaSet: z.string(),
  role: z.enum(['shard', 'config']),
  /** `hostname:port` of the member that is copied. */
  member: z.string().nullable(),
  /** Present when it is done. */
  taken: SnapshotTakenSchema.nullable(),
});
export type SnapshotPart = z.infer<typeof SnapshotPartSchema>;

/** What a deletion and the collection after it did. */
export const DeletionDoneSchema = z.object({
  /** Snapshots whose manifests are gone from the store, also those that were gone before. */
  deleted: z.array(z.string()),
  /** What the store would not delete yet, e.g. under Object Lock; tried again later. */
  refused: z.array(z.object({ snapshotId: z.string(), reason: z.string() })),
  /** Null when nothing was collected because another collector or a writer was at work, or for want of the key: the next collection frees it. */
  freedBytes: z.int().nonnegative().nullable(),
});
export type DeletionDone = z.infer<typeof DeletionDoneSchema>;
