import { z } from 'zod';

/** Who keeps a customer key. Atlas knows the first three; KMIP is our extension. */
export const KEY_PROVIDERS = ['AWS', 'AZURE', 'GCP', 'KMIP'] as const;
export const KeyProviderNameSchema = z.enum(KEY_PROVIDERS);
export type KeyProviderName = z.infer<typeof KeyProviderNameSchema>;

/** A cluster's choice: one key provider, or none. */
export const EncryptionAtRestProviderSchema = z.enum(['NONE', ...KEY_PROVIDERS]);
export type EncryptionAtRestProvider = z.infer<typeof EncryptionAtRestProviderSchema>;

/** Roles on the wire (Atlas names). ORG_OWNER implies GROUP_OWNER in every project of its organisation. */
export const ROLES = ['ORG_OWNER', 'GROUP_OWNER', 'GROUP_READ_ONLY', 'GROUP_CLUSTER_MANAGER', 'GROUP_BACKUP_MANAGER'] as const;
export const RoleSchema = z.enum(ROLES);
export type Role = z.infer<typeof RoleSchema>;
export const ProjectRoleSchema = RoleSchema.exclude(['ORG_OWNER']);
export type ProjectRole = z.infer<typeof ProjectRoleSchema>;

/** Life of a cluster inside Atrest. `stateName` of the Atlas API is derived from it by `fleet`. */
export const CLUSTER_STATES = ['CREATING', 'IDLE', 'UPDATING', 'DISABLING', 'DISABLED', 'ENABLING', 'RESTORING', 'DELETING'] as const;
export const ClusterStateSchema = z.enum(CLUSTER_STATES);
export type ClusterState = z.infer<typeof ClusterStateSchema>;

export const CLUSTER_TYPES = ['REPLICASET', 'SHARDED', 'GEOSHARDED'] as const;
export const ClusterTypeSchema = z.enum(CLUSTER_TYPES);
export type ClusterType = z.infer<typeof ClusterTypeSchema>;

/** `mongod` carries data (replica set or shard member), `config` is a config server, `mongos` a router. */
export const PROCESS_KINDS = ['mongod', 'config', 'mongos'] as const;
export const ProcessKindSchema = z.enum(PROCESS_KINDS);
export type ProcessKind = z.infer<typeof ProcessKindSchema>;

/**
 * State of a key configuration (DESIGN §5). HELD: proven gone like INVALID, but so many others at the same time that nothing is stopped before a person
 * has looked. Only INVALID stops anything.
 */
export const VALIDITY_STATES = ['VALID', 'SUSPECT', 'HELD', 'INVALID'] as const;
export const ValidityStateSchema = z.enum(VALIDITY_STATES);
export type ValidityState = z.infer<typeof ValidityStateSchema>;

/** `enforce` stops databases when a key is proven gone; `observe` only reports what would have been stopped. */
export const EnforcementModeSchema = z.enum(['enforce', 'observe']);
export type EnforcementMode = z.infer<typeof EnforcementModeSchema>;

/** Who is told, in the order in which it happens, while a KMS cannot be asked: the longer it lasts, the more. */
export const ALERT_LEVELS = ['PROJECT_OWNERS', 'OPERATORS', 'ORGANISATION_OWNERS'] as const;
export const AlertLevelSchema = z.enum(ALERT_LEVELS);
export type AlertLevel = z.infer<typeof AlertLevelSchema>;

/** Why a validity check said that the key is gone. Only these may ever lead to INVALID. */
export const DEFINITIVE_REASONS = [
  'KEY_DISABLED',
  'KEY_PENDING_DELETION',
  'KEY_PENDING_IMPORT',
  'KEY_NOT_FOUND',
  'KEY_USAGE_WRONG',
  'ACCESS_DENIED',
  'CREDENTIALS_INVALID',
  'CREDENTIALS_EXPIRED',
  'CREDENTIALS_MISSING',
  'CONFIGURATION_WRONG',
  'CANARY_NOT_UNWRAPPED',
  'CANARY_DIFFERS',
] as const;
export const DefinitiveReasonSchema = z.enum(DEFINITIVE_REASONS);
export type DefinitiveReason = z.infer<typeof DefinitiveReasonSchema>;

/** Why a validity check could not tell. None of these ever stops a database. */
export const TRANSIENT_REASONS = [
  'THROTTLED',
  'PROVIDER_ERROR',
  'NETWORK',
  'TIMEOUT',
  'CLOCK_SKEW',
  'KEY_UNAVAILABLE',
  'UNCLASSIFIED',
] as const;
export const TransientReasonSchema = z.enum(TRANSIENT_REASONS);
export type TransientReason = z.infer<typeof TransientReasonSchema>;
