import { z } from 'zod';
import {
  BackupFailureSchema,
  BackupProgressSchema,
  OplogTimeSchema,
  SNAPSHOT_FREQUENCIES,
  SnapshotMethodSchema,
  SnapshotPartSchema,
  SnapshotProofSchema,
  SnapshotStatusSchema,
  SnapshotTakenSchema,
  SnapshotTypeSchema,
  SyncSourceSchema,
} from '../backup-vocabulary.js';
import { ObjectIdSchema } from '../ids.js';

const AtlasTimeSchema = z.iso.datetime({ offset: false });
const readOnly = z.unknown().optional();
const LinksSchema = z.array(z.object({ rel: z.string(), href: z.string() }));

/** For how long a snapshot is kept, counted from its completion. */
export const RETENTION_UNITS = ['days', 'weeks', 'months', 'years'] as const;
export const RetentionUnitSchema = z.enum(RETENTION_UNITS);
export type RetentionUnit = z.infer<typeof RetentionUnitSchema>;

/** Body of `POST …/backup/snapshots`. */
export const SnapshotRequestSchema = z.strictObject({
  description: z
    .string()
    .max(500)
    .refine((text) => !text.includes('\0'), 'must not contain U+0000')
    .nullish(),
  retentionInDays: z.int().min(1).max(36_500).nullish(),
  /** Which member is copied, in place of what the schedule says. Ours. */
  selfManaged: z.strictObject({ source: SyncSourceSchema }).nullish(),
  links: readOnly,
});
export type SnapshotRequest = z.infer<typeof SnapshotRequestSchema>;

/** Body of `PATCH …/backup/snapshots/{id}`. */
export const SnapshotRetentionChangeSchema = z.strictObject({
  retentionUnit: z.enum(['DAYS', 'WEEKS', 'MONTHS', 'YEARS']),
  retentionValue: z.int(),
  links: readOnly,
});
export type SnapshotRetentionChange = z.infer<typeof SnapshotRetentionChangeSchema>;

/** Whether a snapshot could be restored, by what is known now. */
export const RestorabilitySchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('YES') }),
  /** Something that can be repaired is in the way, for instance a key that is disabled. */
  z.object({ kind: z.literal('NOT_NOW'), reason: z.string() }),
  z.object({ kind: z.literal('NEVER'), reason: z.string() }),
]);
export type Restorability = z.infer<typeof RestorabilitySchema>;

/** What Atrest knows of a snapshot beyond the Atlas API. */
export const SnapshotSelfManagedSchema = z.object({
  /** `Not enabled` when no customer key protects it. */
  encryptionKeyId: z.string(),
  encryptionKeyVersion: z.string().nullable(),
  provider: z.string(),
  epochId: ObjectIdSchema,
  requestedAt: AtlasTimeSchema,
  startedAt: AtlasTimeSchema.nullable(),
  completedAt: AtlasTimeSchema.nullable(),
  attempt: z.int().positive(),
  willRetry: z.boolean(),
  failure: BackupFailureSchema.nullable(),
  /** Of one that is being taken. */
  progress: BackupProgressSchema.extend({ percent: z.number().min(0).max(100) }).nullable(),
  method: SnapshotMethodSchema.nullable(),
  /** `hostname:port` */
  member: z.string().nullable(),
  memberState: z.string().nullable(),
  /** Every write up to here is in it. */
  optime: OplogTimeSchema.nullable(),
  /** Of a sharded cluster: the one moment that every part is restored to. */
  cut: OplogTimeSchema.optional(),
  /** Of a sharded cluster, what a restore needs to know of its parts. */
  parts: z
    .array(
      SnapshotPartSchema.pick({ snapshotId: true, replicaSet: true, role: true, member: true }).extend({
        /** Of a shard, as the config servers name it. */
        shardName: z.string().optional(),
        mongodVersion: z.string().optional(),
        files: z.int().optional(),
        bytes: z.int().optional(),
      }),
    )
    .optional(),
  featureCompatibilityVersion: z.string().nullable(),
  defaultRWConcern: SnapshotTakenSchema.shape.defaultRWConcern,
  storage: SnapshotTakenSchema.shape.storage.nullable(),
  files: z.int().nullable(),
  bytes: z.int().nullable(),
  storedBytes: z.int().nullable(),
  durationMs: z.int().nullable(),
  /** When it was last read back from the store and found readable with its key, and not without. */
  lastProvenAt: AtlasTimeSchema.nullable(),
  /** What that was based on. */
  proof: SnapshotProofSchema.omit({ provenAt: true }).nullable(),
  proofFailure: BackupFailureSchema.nullable(),
  restorable: RestorabilitySchema,
});
export type SnapshotSelfManaged = z.infer<typeof SnapshotSelfManagedSchema>;

/** A snapshot of a replica set or of a sharded cluster. A field without a value is left out. */
export const SnapshotViewSchema = z.strictObject({
  id: ObjectIdSchema,
  status: SnapshotStatusSchema,
  snapshotType: SnapshotTypeSchema,
  frequencyType: z.enum([...SNAPSHOT_FREQUENCIES, 'ondemand']),
  type: z.enum(['replicaSet', 'shardedCluster']),
  replicaSetName: z.string().optional(),
  /** Of a sharded cluster: its config servers are processes of their own. */
  configServerType: z.literal('DEDICATED').optional(),
  /** Of a sharded cluster, one for each replica set. */
  members: z.array(z.object({ id: ObjectIdSchema, replicaSetName: z.string() })).optional(),
  snapshotIds: z.array(ObjectIdSchema).optional(),
  mongodVersion: z.string().optional(),
  createdAt: AtlasTimeSchema.optional(),
  expiresAt: AtlasTimeSchema.optional(),
  description: z.string().optional(),
  storageSizeBytes: z.int().nonnegative(),
  copyRegions: z.array(z.string()),
  policyItems: z.array(ObjectIdSchema),
  /** Stands for the customer key; absent when none protects the snapshot. */
  masterKeyUUID: z.uuid().optional(),
  selfManaged: SnapshotSelfManagedSchema,
  links: LinksSchema,
});
export type SnapshotView = z.infer<typeof SnapshotViewSchema>;

const HOURS = [1, 2, 4, 6, 8, 12];

/** A schedule item as it is stored and shown. */
export const PolicyItemSchema = z.object({
  id: ObjectIdSchema,
  frequencyType: z.enum(SNAPSHOT_FREQUENCIES),
  frequencyInterval: z.int(),
  retentionUnit: RetentionUnitSchema,
  retentionValue: z.int().positive(),
});
export type PolicyItem = z.infer<typeof PolicyItemSchema>;

/** Whether an interval means something for a kind of item: every n hours; each day; Monday (1) to Sunday (7); a day to the 28th, or 40, the last; a month. */
export function isFrequencyInterval(frequencyType: PolicyItem['frequencyType'], interval: number): boolean {
  switch (frequencyType) {
    case 'hourly':
      return HOURS.includes(interval);
    case 'daily':
      return interval === 1;
    case 'weekly':
      return interval >= 1 && interval <= 7;
    case 'monthly':
      return (interval >= 1 && interval <= 28) || interval === 40;
    case 'yearly':
      return interval >= 1 && interval <= 12;
  }
}

/** More days for the snapshots of a kind. */
export const ExtraRetentionSchema = z.strictObject({
  frequencyType: z.enum(['HOURLY', 'DAILY', 'WEEKLY', 'MONTHLY', 'YEARLY', 'ON_DEMAND']),
  retentionDays: z.int().min(0).max(36_500),
});
export type ExtraRetention = z.infer<typeof ExtraRetentionSchema>;

/** Body of `PATCH …/backup/schedule`: what is absent stays. Clients send back what they read, so read-only fields come in. */
export const BackupScheduleChangeSchema = z.strictObject({
  policies: z
    .array(
      z.strictObject({
        id: z.string().nullish(),
        policyItems: z.array(
          z.strictObject({
            id: z.string().nullish(),
            frequencyType: z.string().nullish(),
            frequencyInterval: z.number().nullish(),
            retentionUnit: z.string().nullish(),
            retentionValue: z.number().nullish(),
          }),
        ),
      }),
    )
    .nullish(),
  referenceHourOfDay: z.number().nullish(),
  referenceMinuteOfHour: z.number().nullish(),
  restoreWindowDays: z.number().nullish(),
  extraRetentionSettings: z.array(ExtraRetentionSchema).nullish(),
  updateSnapshots: z.boolean().nullish(),
  deleteSnapshots: z.boolean().nullish(),
  /** Ours: which member is copied. */
  selfManaged: z
    .strictObject({ source: SyncSourceSchema.nullish(), paused: readOnly, behindSince: readOnly, lastCompletedAt: readOnly })
    .nullish(),
  // Exports and copies do not exist here: their switches may be sent as long as they are off.
  autoExportEnabled: z.literal(false).nullish(),
  useOrgAndGroupNamesInExportPrefix: z.boolean().nullish(),
  export: z.null().optional(),
  copySettings: z.array(z.unknown()).max(0, 'must be empty: copies to other regions do not exist here').nullish(),
  autoCopySettingsEnabled: z.literal(false).nullish(),
  copyPolicyItemsEnabled: z.boolean().nullish(),
  updateCopySnapshots: z.boolean().nullish(),
  deleteCopySnapshots: z.boolean().nullish(),
  deleteCopiedBackups: z.array(z.unknown()).max(0, 'must be empty: copies to other regions do not exist here').nullish(),
  clusterId: readOnly,
  clusterName: readOnly,
  nextSnapshot: readOnly,
  links: readOnly,
});
export type BackupScheduleChange = z.infer<typeof BackupScheduleChangeSchema>;

/** The snapshot schedule of a cluster. */
export const BackupScheduleViewSchema = z.strictObject({
  clusterId: ObjectIdSchema,
  clusterName: z.string(),
  nextSnapshot: AtlasTimeSchema.optional(),
  policies: z.array(z.strictObject({ id: ObjectIdSchema, policyItems: z.array(PolicyItemSchema) })).length(1),
  referenceHourOfDay: z.int().min(0).max(23),
  referenceMinuteOfHour: z.int().min(0).max(59),
  restoreWindowDays: z.int().positive(),
  extraRetentionSettings: z.array(ExtraRetentionSchema),
  autoExportEnabled: z.literal(false),
  useOrgAndGroupNamesInExportPrefix: z.literal(false),
  copySettings: z.array(z.never()),
  selfManaged: z.object({
    source: SyncSourceSchema,
    /** Why nothing is taken; null: the schedule runs. */
    paused: z.object({ reason: z.string(), since: AtlasTimeSchema }).nullable(),
    /** The oldest run that is overdue. */
    behindSince: AtlasTimeSchema.nullable(),
    lastCompletedAt: AtlasTimeSchema.nullable(),
  }),
  links: LinksSchema,
});
export type BackupScheduleView = z.infer<typeof BackupScheduleViewSchema>;
