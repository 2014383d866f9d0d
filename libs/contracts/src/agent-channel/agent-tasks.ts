import { z } from 'zod';
import {
  BackupFailureSchema,
  BackupProgressSchema,
  DeletionDoneSchema,
  SnapshotMethodSchema,
  SnapshotProofSchema,
  SnapshotTakenSchema,
} from '../backup-vocabulary.js';
import { ObjectIdSchema } from '../ids.js';

/** An agent's public key (JWK, X25519) that secrets on their way to it are sealed for. The private half never leaves the host. */
export const SealingPublicKeySchema = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('X25519'),
  x: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
});
export type SealingPublicKey = z.infer<typeof SealingPublicKeySchema>;

/**
 * A secret on its way to one agent: a compact JWE (`ECDH-ES`, `A256GCM`) for its public key. Whoever stores or carries it cannot read it.
 */
export const SealedForAgentSchema = z.string().regex(/^[\w-]+\.[\w-]*\.[\w-]+\.[\w-]+\.[\w-]+$/);

/** One customer key and what it takes to use it. */
const KeyAccessWaySchema = z.discriminatedUnion('provider', [
  z.object({
    provider: z.literal('AWS'),
    keyId: z.string(),
    /** As the Atlas API names it, e.g. `EU_CENTRAL_1`. */
    region: z.string(),
    accessKeyId: z.string(),
    secretAccessKey: z.string(),
    sessionToken: z.string().optional(),
  }),
  z.object({
    provider: z.literal('AZURE'),
    environment: z.string(),
    keyIdentifier: z.string(),
    tenantId: z.string(),
    clientId: z.string(),
    /** The application's secret; for a workload identity, the host's own is used. */
    clientSecret: z.string().nullable(),
  }),
  z.object({ provider: z.literal('GCP'), keyVersionResourceID: z.string(), serviceAccountKey: z.string() }),
  z.object({
    provider: z.literal('KMIP'),
    keyId: z.string(),
    hosts: z.array(z.string()),
    port: z.int(),
    caCertificate: z.string(),
    clientCertificate: z.string(),
  }),
]);

/** The content of a sealed key access: never logged, never stored in clear. */
export const KeyAccessSecretSchema = z.object({
  /** The task that it is for; an agent uses it for no other. */
  taskId: ObjectIdSchema,
  projectId: ObjectIdSchema,
  /** The key as snapshots show it. */
  encryptionKeyId: z.string(),
  access: KeyAccessWaySchema,
  /** The second key, where the project names one that may be used: it unwraps while the first cannot be asked, never after a revocation. */
  second: KeyAccessWaySchema.optional(),
});
export type KeyAccessSecret = z.infer<typeof KeyAccessSecretSchema>;

const common = { id: ObjectIdSchema };
const ofEpoch = {
  ...common,
  projectId: ObjectIdSchema,
  clusterId: ObjectIdSchema,
  epochId: ObjectIdSchema,
  /** The customer key of the epoch; null: encryption at rest is not enabled, and the data key lies beside the data. */
  encryptionKeyId: z.string().nullable(),
  /**
   * Present exactly when `encryptionKeyId` is; but null for a `delete-snapshots` whose key is refused: it deletes what it is told to, and collects nothing.
   */
  keyAccess: SealedForAgentSchema.nullable(),
};

/** Has the agent copy a member's data files into its snapshot store. */
export const TakeSnapshotTaskSchema = z.object({
  ...ofEpoch,
  kind: z.literal('take-snapshot'),
  processId: ObjectIdSchema,
  clusterName: z.string(),
  snapshotId: ObjectIdSchema,
  /** An earlier snapshot of the epoch whose blocks need not be stored again. */
  parentSnapshotId: ObjectIdSchema.nullable(),
  methods: z.array(SnapshotMethodSchema).min(1),
  /** Bytes per second; null: no limit but the agent's own. */
  readLimit: z.int().positive().nullable(),
  uploadLimit: z.int().positive().nullable(),
  maxFiles: z.int().positive(),
  /** Blocks that are sampled for the proof afterwards. */
  proofBlocks: z.int().positive(),
  /** Readable in the store without the key, for a catalogue that is rebuilt: names and times, never content. */
  labels: z.record(z.string(), z.json()),
  /** Of one replica set of a sharded cluster: it is held until the control plane says at which moment all parts are cut. */
  part: z
    .object({
      /** The same for all parts of one snapshot. */
      groupId: ObjectIdSchema,
      /** Only for the config servers: `hostname:port` of the mongos through which the balancer is stopped. */
      routers: z.array(z.string()).optional(),
    })
    .optional(),
});
export type TakeSnapshotTask = z.infer<typeof TakeSnapshotTaskSchema>;

/** Has the agent read a snapshot back and prove it. */
export const ProveSnapshotTaskSchema = z.object({
  ...ofEpoch,
  kind: z.literal('prove-snapshot'),
  snapshotId: ObjectIdSchema,
  /** Of a sharded cluster: the snapshots of its parts, which are proven in place of `snapshotId`. */
  partIds: z.array(ObjectIdSchema).min(1).optional(),
  /** Which part of the blocks is read and authenticated, 0 to 1. */
  share: z.number().min(0).max(1),
  proofBlocks: z.int().positive(),
});
export type ProveSnapshotTask = z.infer<typeof ProveSnapshotTaskSchema>;

/** Has the agent delete snapshots and free what no other snapshot of the epoch names. */
export const DeleteSnapshotsTaskSchema = z.object({
  ...ofEpoch,
  kind: z.literal('delete-snapshots'),
  /** May be empty: then it only collects. */
  snapshotIds: z.array(ObjectIdSchema),
});
export type DeleteSnapshotsTask = z.infer<typeof DeleteSnapshotsTaskSchema>;

export const BackupTaskSchema = z.discriminatedUnion('kind', [TakeSnapshotTaskSchema, ProveSnapshotTaskSchema, DeleteSnapshotsTaskSchema]);
/** Work on snapshots: takes minutes or hours, is reported on while it runs, can be cancelled and begins anew when the agent restarts. */
export type BackupTask = z.infer<typeof BackupTaskSchema>;

/** One piece of work with a result. */
export const AgentTaskSchema = z.discriminatedUnion('kind', [
  z.object({
    ...common,
    kind: z.literal('tail-log'),
    processId: ObjectIdSchema,
    lines: z.int().min(1).max(1000),
  }),
  TakeSnapshotTaskSchema,
  ProveSnapshotTaskSchema,
  DeleteSnapshotsTaskSchema,
]);
export type AgentTask = z.infer<typeof AgentTaskSchema>;

/** Body of `POST /agent/v1/task-results`. */
export const AgentTaskResultSchema = z.object({
  taskId: ObjectIdSchema,
  outcome: z.enum(['done', 'failed']),
  /** Why it failed. */
  error: z.string().nullable(),
  lines: z.array(z.string()).nullable(),
  /** Of work on snapshots that failed. */
  failure: BackupFailureSchema.optional(),
  /** Of a `take-snapshot` that is done, with `proof`. */
  taken: SnapshotTakenSchema.optional(),
  /** Of a `take-snapshot` or `prove-snapshot` that is done. */
  proof: SnapshotProofSchema.optional(),
  /** Of a `delete-snapshots` that is done. */
  deletion: DeletionDoneSchema.optional(),
});
export type AgentTaskResult = z.infer<typeof AgentTaskResultSchema>;

/** What an agent says of work that is under way. What is not named here is given out again. */
export const TaskProgressSchema = z.object({ taskId: ObjectIdSchema, progress: BackupProgressSchema });
export type TaskProgress = z.infer<typeof TaskProgressSchema>;
