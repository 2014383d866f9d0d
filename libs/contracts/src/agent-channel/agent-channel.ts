import { z } from 'zod';
import { OplogTimeSchema } from '../backup-vocabulary.js';
import { ObjectIdSchema, TimestampSchema } from '../ids.js';
import { ProcessKindSchema } from '../vocabulary.js';
import { AgentTaskSchema, SealingPublicKeySchema, TaskProgressSchema } from './agent-tasks.js';
import { ProcessAccessSchema } from './process-access.js';

/** What a host offers when it enrols. */
export const EnrolmentRequestSchema = z.object({
  /** One-time token, made by a Project Owner or at the first start of the standalone app. */
  token: z.string().min(16),
  /** The name or address under which other hosts and clients reach this one. */
  hostname: z.string().min(1).max(253),
  /** Folder below which Atrest may create data paths. */
  dataFolder: z.string().min(1),
  portRange: z
    .object({ first: z.int().min(1024).max(65535), last: z.int().min(1024).max(65535) })
    .refine((range) => range.first <= range.last, 'first must not be above last'),
  /** How many processes may be placed here. */
  capacity: z.int().min(0).max(1000),
  /** Several members of one replica set may share this host: for trying Atrest on one machine only. */
  allowsColocation: z.boolean(),
  agentVersion: z.string(),
  /**
   * A secret that the agent made and stored before its first try. Whoever sends the same token and the same secret again, while the token lives, gets the
   * same credential again: the answer to the first try was lost.
   */
  retrySecret: z
    .string()
    .regex(/^[A-Za-z0-9_-]{43,128}$/)
    .optional(),
  /** What secrets for this host are sealed for, so that a new host can be placed on at once. */
  sealingKey: SealingPublicKeySchema.optional(),
});
export type EnrolmentRequest = z.infer<typeof EnrolmentRequestSchema>;

export const EnrolmentResponseSchema = z.object({
  hostId: ObjectIdSchema,
  /** The agent's own bearer credential; shown once. */
  credential: z.string().min(32),
});
export type EnrolmentResponse = z.infer<typeof EnrolmentResponseSchema>;

export const ReplicaSetMemberSchema = z.object({
  id: z.int().nonnegative(),
  /** `hostname:port` */
  host: z.string(),
  priority: z.number().nonnegative(),
  votes: z.int().min(0).max(1),
  arbiterOnly: z.boolean(),
});

/** Changes of a replica set that exists. The agent of the primary makes them, one voting member at a time; absent when there are none. */
export const ReplicaSetChangesSchema = z.object({
  /** Members to be added to the set's configuration; they are not in `members` yet. */
  joining: z.array(ReplicaSetMemberSchema),
  /** `hostname:port` of members to be taken out of the set's configuration. A member is never taken out because it is not named. */
  leaving: z.array(z.string()),
  /** This process should not be primary: it steps down as soon as another member can take over. */
  yields: z.boolean(),
});
export type ReplicaSetChanges = z.infer<typeof ReplicaSetChangesSchema>;

/** What one process should look like. The agent converges to it. */
export const ProcessGoalSchema = z.object({
  id: ObjectIdSchema,
  clusterId: ObjectIdSchema,
  clusterName: z.string(),
  kind: ProcessKindSchema,
  /** `removed`: stopped, and its data path deleted when `deleteData` says so. */
  desired: z.enum(['running', 'stopped', 'removed']),
  /** Why it should be stopped, for the agent's log. */
  reason: z.string().nullable(),
  /** False: a process that is wanted running and is found stopped stays stopped, because its cluster is being stopped and its turn comes later. */
  mayStart: z.boolean().optional(),
  /** Uses a customer key: never started from a remembered goal, only from one that the control plane confirmed in this agent's lifetime. */
  requiresKey: z.boolean(),
  /** True only on the deletion of the cluster. */
  deleteData: z.boolean(),
  /** The process existed before Atrest; its arguments are used as they are and its data path is never deleted. */
  adopted: z.boolean(),
  bindIp: z.string(),
  port: z.int().min(1).max(65535),
  /** Null for mongos. */
  dbPath: z.string().nullable(),
  /** Further command-line arguments, as given by the user. */
  extraArguments: z.array(z.string()),
  /** Grows when the arguments are changed; absent: 0. A running process keeps its arguments until it is ordered to stop and to run again. */
  argumentsVersion: z.int().nonnegative().optional(),
  replicaSet: z
    .object({
      name: z.string(),
      /** `shard` and `config` members are started with --shardsvr and --configsvr. */
      role: z.enum(['plain', 'shard', 'config']),
      members: z.array(ReplicaSetMemberSchema),
      /** This process's agent initiates the set and, after a start of all members together, has one of them stepped up. */
      leads: z.boolean(),
      changes: ReplicaSetChangesSchema.optional(),
    })
    .nullable(),
  /** Only for mongos. */
  router: z
    .object({
      /** `<set>/<host:port>,…` */
      configDB: z.string(),
      shards: z.array(z.object({ name: z.string(), connection: z.string() })),
      /** This process's agent adds missing shards. */
      leads: z.boolean(),
    })
    .nullable(),
  access: ProcessAccessSchema.optional(),
});
export type ProcessGoal = z.infer<typeof ProcessGoalSchema>;

/** What a host should look like. A higher version replaces a lower one as a whole. */
export const HostGoalSchema = z.object({
  hostId: ObjectIdSchema,
  version: z.int().nonnegative(),
  issuedAt: TimestampSchema,
  processes: z.array(ProcessGoalSchema),
});
export type HostGoal = z.infer<typeof HostGoalSchema>;

/** Answer to `GET /agent/v1/poll?goalVersion=<n>&waitSeconds=<s>`; 204 when nothing is new. */
export const PollResponseSchema = z.object({
  goal: HostGoalSchema.nullable(),
  tasks: z.array(AgentTaskSchema),
  /** Tasks that should end: the agent ends them, cleans up and reports them as failed with `CANCELLED`. Named until their result is known. */
  cancelled: z.array(ObjectIdSchema).optional(),
  /** Where snapshots of sharded clusters are cut. Named until the agent says that the task is not holding any more. */
  cuts: z.array(z.object({ taskId: ObjectIdSchema, at: OplogTimeSchema })).optional(),
});
export type PollResponse = z.infer<typeof PollResponseSchema>;

/** What an agent sees of one process. */
export const ProcessObservationSchema = z.object({
  id: ObjectIdSchema,
  status: z.enum(['starting', 'running', 'stopping', 'stopped', 'failed']),
  pid: z.int().positive().nullable(),
  /** Since when it has this status. */
  since: TimestampSchema,
  version: z.string().nullable(),
  /** `PRIMARY`, `SECONDARY`, `STARTUP2`, …; null for mongos and while unknown. */
  memberState: z.string().nullable(),
  /** True for a primary and for a mongos that answers. */
  writable: z.boolean(),
  exitCode: z.int().nullable(),
  exitSignal: z.string().nullable(),
  /** Why it failed or does not become ready. */
  error: z.string().nullable(),
  /** The last lines of its log after a failure, redacted. */
  lastLogLines: z.array(z.string()),
  /** Its last run ended because the server could not use its master key: when, and what it said. Absent as soon as it runs again. */
  endedForKey: z.object({ at: TimestampSchema, detail: z.string() }).optional(),
  /** The stop signal was sent then, and the process has not exited although patience is over. */
  stopOverdueSince: TimestampSchema.nullable(),
  /** Somebody other than this agent started it while it should be stopped; when that was last seen. */
  startedByHandAt: TimestampSchema.nullable(),
  /** The `argumentsVersion` of the goal that the running process was started by; absent when this agent did not start it. */
  argumentsVersion: z.int().nonnegative().optional(),
  /**
   * The members of its replica set by its configuration; only from a primary, and only while changes of the set are ordered. Without votes and priority
   * where the agent has no right to read the configuration.
   */
  setMembers: z.array(z.object({ host: z.string(), votes: z.int().optional(), priority: z.number().optional() })).optional(),
  /** Id of the administrator's setting that was carried out last in its set; only from a primary that was started with access control. */
  administrator: ObjectIdSchema.optional(),
  /** The shards of the cluster; only from the mongos that leads, and only when it may list them. */
  shards: z.array(z.string()).optional(),
  /**
   * Writes are locked (`fsyncLock`) or a backup cursor is open on it: since when, as far as the agent saw it. Absent when neither is, or when the agent
   * may not ask. Both outlive whoever took them.
   */
  heldForBackup: z
    .object({ kind: z.enum(['fsyncLock', 'backupCursor']), since: TimestampSchema, taskId: ObjectIdSchema.nullable() })
    .optional(),
});
export type ProcessObservation = z.infer<typeof ProcessObservationSchema>;

/** Body of `POST /agent/v1/observations`. */
export const ObservationReportSchema = z.object({
  /** The version the agent converges to. */
  goalVersion: z.int().nonnegative(),
  observedAt: TimestampSchema,
  agentVersion: z.string(),
  /**
   * Tells a later report from an earlier one, whatever the network does to their order: the agent's runs are counted in its state folder, the reports of a
   * run from 1.
   */
  number: z.object({ run: z.int().positive(), sequence: z.int().positive() }).optional(),
  processes: z.array(ProcessObservationSchema),
  /** What secrets for this host are sealed for. */
  sealingKey: SealingPublicKeySchema.optional(),
  /** The snapshot store of this host, for people (a folder, or bucket and prefix); null when it has none. */
  snapshotStore: z.string().max(1_000).nullable().optional(),
  /** Work under way. */
  tasks: z.array(TaskProgressSchema).optional(),
});
export type ObservationReport = z.infer<typeof ObservationReportSchema>;
