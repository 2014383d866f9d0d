import { z } from 'zod';
import { ObjectIdSchema } from '../ids.js';
import { ClusterTypeSchema, EncryptionAtRestProviderSchema, ProcessKindSchema } from '../vocabulary.js';
import { ResourceTagSchema } from './groups.js';

// One schema reads the bodies of all versions of the API: their fields have different names or places, never different meanings under one name.
// Clients send back whole documents that they read, so read-only fields come in and null means 'not given'.
const given = <Schema extends z.ZodType>(schema: Schema) => schema.nullish();
const readOnly = given(z.unknown());
const count = z.int().min(0).max(50);

/** Size and number of the nodes of one kind in one region. Atrest stores sizes; the hosts have what they have. */
export const HardwareSpecSchema = z.strictObject({
  instanceSize: given(z.string().max(40)),
  nodeCount: given(count),
  diskSizeGB: given(z.number().positive()),
  diskIOPS: given(z.int().nonnegative()),
  ebsVolumeType: given(z.enum(['STANDARD', 'PROVISIONED', 'HIGH_PERFORMANCE'])),
  diskThroughput: readOnly,
});
export type HardwareSpec = z.infer<typeof HardwareSpecSchema>;

const AutoScalingSchema = z.strictObject({
  compute: given(
    z.strictObject({
      enabled: given(z.boolean()),
      scaleDownEnabled: given(z.boolean()),
      minInstanceSize: given(z.string()),
      maxInstanceSize: given(z.string()),
      predictiveEnabled: given(z.boolean()),
    }),
  ),
  diskGB: given(z.strictObject({ enabled: given(z.boolean()) })),
});

const CloudProviderSchema = z.enum(['AWS', 'AZURE', 'GCP', 'TENANT']);

/** A region of a shard, versions 2023-02-01 and later. */
export const RegionConfigSchema = z.strictObject({
  providerName: CloudProviderSchema,
  regionName: z.string().min(1).max(64),
  priority: given(z.int().min(0).max(7)),
  electableSpecs: given(HardwareSpecSchema),
  readOnlySpecs: given(HardwareSpecSchema),
  analyticsSpecs: given(HardwareSpecSchema),
  autoScaling: given(AutoScalingSchema),
  analyticsAutoScaling: given(AutoScalingSchema),
  backingProviderName: given(z.string()),
  effectiveElectableSpecs: readOnly,
  effectiveReadOnlySpecs: readOnly,
  effectiveAnalyticsSpecs: readOnly,
});
export type RegionConfig = z.infer<typeof RegionConfigSchema>;

/** A region by name, version 2023-01-01. */
export const LegacyRegionSchema = z.strictObject({
  electableNodes: given(count),
  readOnlyNodes: given(count),
  analyticsNodes: given(count),
  priority: given(z.int().min(0).max(7)),
});

export const ReplicationSpecSchema = z.strictObject({
  id: given(z.string()),
  zoneId: given(z.string()),
  zoneName: given(z.string().max(128)),
  /** Versions before 2024-08-05; later ones have an entry per shard. */
  numShards: given(z.int().min(1).max(50)),
  regionConfigs: given(z.array(RegionConfigSchema).max(40)),
  /** Version 2023-01-01. */
  regionsConfig: given(z.record(z.string(), LegacyRegionSchema)),
});
export type ReplicationSpecInput = z.infer<typeof ReplicationSpecSchema>;

/** A process named by the user instead of being placed: on a new data path, or one that exists already (`adopted`). */
export const SelfManagedProcessSchema = z.strictObject({
  id: given(ObjectIdSchema),
  hostId: given(ObjectIdSchema),
  hostname: given(z.string().min(1).max(253)),
  kind: ProcessKindSchema,
  /** Null for mongos. */
  replicaSet: given(
    z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,126}$/, 'must be letters, digits, - _ . and begin with a letter or digit'),
  ),
  port: z.int().min(1).max(65535),
  dbPath: given(z.string().min(1).max(1024)),
  extraArguments: given(z.array(z.string().max(1024)).max(100)),
  adopted: given(z.boolean()),
  priority: given(z.number().min(0).max(1000)),
  votes: given(z.int().min(0).max(1)),
  arbiterOnly: given(z.boolean()),
  status: readOnly,
  pid: readOnly,
  memberState: readOnly,
  writable: readOnly,
  version: readOnly,
  error: readOnly,
  stale: readOnly,
  lastHeardAt: readOnly,
  stopOverdueSince: readOnly,
  startedByHandAt: readOnly,
  change: readOnly,
  lost: readOnly,
});
export type SelfManagedProcess = z.infer<typeof SelfManagedProcessSchema>;

const username = z.string().min(1).max(128);
const password = z.string().min(8, 'must have at least 8 characters').max(256);
const pem = z
  .string()
  .max(100_000)
  .regex(/-----BEGIN CERTIFICATE-----/, 'must be a certificate in PEM');

/** A user with the role `root` that Atrest makes, or gives another password. Write-only but for the name. */
const AdministratorSchema = z.strictObject({ username: given(username), password: given(password), state: readOnly, hint: readOnly });

/** How agents log in at processes whose access control is not Atrest's. Write-only but for the name. */
const AgentAccessSchema = z.strictObject({
  username: given(username),
  password: given(z.string().min(1).max(1024)),
  authSource: given(z.string().min(1).max(128)),
  x509: given(
    z.strictObject({
      /** A certificate with its private key. */
      certificate: given(pem.regex(/-----BEGIN [A-Z ]*PRIVATE KEY-----/, 'must have its private key with it')),
      ca: given(pem),
    }),
  ),
});

/** The extension object of a cluster. */
export const SelfManagedSchema = z.strictObject({
  processes: given(z.array(SelfManagedProcessSchema).min(1).max(500)),
  /** Decided at creation. True unless processes have an arrangement of their own; false is for trying only. */
  accessControl: given(z.boolean()),
  administrator: given(AdministratorSchema),
  agentAccess: given(AgentAccessSchema),
  tls: given(z.strictObject({ ca: given(pem) })),
  state: readOnly,
  disabledReason: readOnly,
  pendingChanges: readOnly,
  stale: readOnly,
});

const ProviderSettingsSchema = z.looseObject({
  providerName: z.string(),
  instanceSizeName: given(z.string().max(40)),
  regionName: given(z.string().max(64)),
  diskIOPS: given(z.int().nonnegative()),
  volumeType: given(z.string()),
});

/** What a cluster's document may carry, in any version of the API. Which of it is required follows from what is done with it. */
export const ClusterDocumentSchema = z.strictObject({
  name: given(z.string()),
  clusterType: given(ClusterTypeSchema),
  replicationSpecs: given(z.array(ReplicationSpecSchema).max(70)),
  encryptionAtRestProvider: given(EncryptionAtRestProviderSchema),
  backupEnabled: given(z.boolean()),
  pitEnabled: given(z.boolean()),
  retainBackups: given(z.boolean()),
  mongoDBMajorVersion: given(z.string().regex(/^\d+\.\d+$/, 'must look like 8.0')),
  mongoDBVersion: given(z.string().regex(/^\d+\.\d+\.\d+/, 'must look like 8.0.4')),
  versionReleaseSystem: given(z.enum(['LTS', 'CONTINUOUS'])),
  paused: given(z.boolean()),
  terminationProtectionEnabled: given(z.boolean()),
  tags: given(z.array(ResourceTagSchema).max(50)),
  labels: given(z.array(ResourceTagSchema).max(50)),
  biConnector: given(z.looseObject({ enabled: given(z.boolean()), readPreference: given(z.string()) })),
  advancedConfiguration: given(z.record(z.string(), z.unknown())),
  configServerManagementMode: given(z.enum(['ATLAS_MANAGED', 'FIXED_TO_DEDICATED'])),
  diskWarmingMode: given(z.enum(['FULLY_WARMED', 'VISIBLE_EARLIER', 'ENHANCED_FULLY_WARMED'])),
  replicaSetScalingStrategy: given(z.enum(['SEQUENTIAL', 'WORKLOAD_TYPE', 'NODE_TYPE'])),
  rootCertType: given(z.enum(['ISRGROOTX1'])),
  redactClientLogData: given(z.boolean()),
  globalClusterSelfManagedSharding: given(z.boolean()),
  adaptiveCapacity: given(z.enum(['ENABLED', 'DISABLED'])),
  useAwsTimeBasedSnapshotCopyForFastInitialSync: given(z.boolean()),
  acceptDataRisksAndForceReplicaSetReconfig: given(z.string()),
  selfManaged: given(SelfManagedSchema),
  // 2023-02-01 and before
  diskSizeGB: given(z.number().positive()),
  // 2023-01-01
  providerSettings: given(ProviderSettingsSchema),
  replicationSpec: given(z.record(z.string(), LegacyRegionSchema)),
  replicationFactor: given(z.int().min(1).max(50)),
  numShards: given(z.int().min(1).max(50)),
  providerBackupEnabled: given(z.boolean()),
  autoScaling: given(z.looseObject({})),
  deleteAfterCreationHours: readOnly,
  // read-only
  id: readOnly,
  groupId: readOnly,
  createDate: readOnly,
  connectionStrings: readOnly,
  stateName: readOnly,
  links: readOnly,
  configServerType: readOnly,
  internalClusterRole: readOnly,
  effectiveReplicationSpecs: readOnly,
  effectiveDatabaseEdition: readOnly,
  featureCompatibilityVersion: readOnly,
  featureCompatibilityVersionExpirationDate: readOnly,
  mongoDBEmployeeAccessGrant: readOnly,
  mongoURI: readOnly,
  mongoURIUpdated: readOnly,
  mongoURIWithOptions: readOnly,
  srvAddress: readOnly,
  deleteAfterDate: readOnly,
});
export type ClusterDocument = z.infer<typeof ClusterDocumentSchema>;

/** `processArgs` of a cluster, both versions. */
export const ProcessArgsSchema = z.strictObject({
  changeStreamOptionsPreAndPostImagesExpireAfterSeconds: given(z.int()),
  chunkMigrationConcurrency: given(z.int()),
  customOpensslCipherConfigTls12: given(z.array(z.string())),
  customOpensslCipherConfigTls13: given(z.array(z.string())),
  defaultMaxTimeMS: given(z.int()),
  defaultReadConcern: given(z.enum(['local', 'available'])),
  defaultWriteConcern: given(z.string()),
  failIndexKeyTooLong: given(z.boolean()),
  javascriptEnabled: given(z.boolean()),
  minimumEnabledTlsProtocol: given(z.enum(['TLS1_0', 'TLS1_1', 'TLS1_2', 'TLS1_3'])),
  noTableScan: given(z.boolean()),
  oplogMinRetentionHours: given(z.number()),
  oplogSizeMB: given(z.int()),
  queryStatsLogVerbosity: given(z.int()),
  sampleRefreshIntervalBIConnector: given(z.int().min(0)),
  sampleSizeBIConnector: given(z.int().min(0)),
  tlsCipherConfigMode: given(z.enum(['CUSTOM', 'DEFAULT'])),
  transactionLifetimeLimitSeconds: given(z.int().min(1)),
});
export type ProcessArgs = z.infer<typeof ProcessArgsSchema>;

/** Body of `POST …/processes/{processId}:tailLog` (extension). */
export const TailLogRequestSchema = z.strictObject({ lines: z.int().min(1).max(1000).default(100) });
export type TailLogRequest = z.infer<typeof TailLogRequestSchema>;
