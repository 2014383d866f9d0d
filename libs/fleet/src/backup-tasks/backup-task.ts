import type {
  AgentTaskResult,
  AgentTaskState,
  BackupFailure,
  BackupJob,
  BackupProgress,
  BackupTask as AgentBackupTask,
  OplogTime,
  SealingPublicKey,
  SnapshotPart,
} from '@atrest/contracts';

export type BackupTaskStatus = AgentTaskState['status'];
export type BackupTaskResult = NonNullable<AgentTaskState['result']>;

/** Where a task is done. */
export interface ChosenHost {
  readonly hostId: string;
  readonly hostname: string;
  /** Null when the task needs no key. */
  readonly sealingKey: SealingPublicKey | null;
  /** What is copied; null for work that copies nothing. */
  readonly source: { readonly processId: string; readonly member: string; readonly clusterName: string } | null;
}

/** Work of an agent for one backup job, as it is stored. */
export interface BackupTask {
  readonly id: string;
  readonly status: BackupTaskStatus;
  /** When the status was entered. */
  readonly since: Date;
  readonly job: BackupJob;
  /** Of one replica set of a sharded cluster: the task of its job, which stands for all of them. */
  readonly group: { readonly id: string; readonly replicaSet: string; readonly role: SnapshotPart['role'] } | null;
  /** Of a task that stands for parts: the moment that all of them are cut at, once it is known. */
  readonly cut: OplogTime | null;
  readonly hostId: string | null;
  readonly processId: string | null;
  readonly member: string | null;
  readonly sealingKey: SealingPublicKey | null;
  readonly keyAccess: string | null;
  /** Why it should end; null while it should not. */
  readonly reason: BackupFailure | null;
  readonly progress: BackupProgress | null;
  readonly publishedAt: Date | null;
  readonly toldAt: Date | null;
  /** When the agent last said that it works on it; of a task that ended: since it did. */
  readonly namedAt: Date | null;
  readonly result: BackupTaskResult | null;
  readonly failure: BackupFailure | null;
  readonly createdAt: Date;
  readonly finishedAt: Date | null;
  readonly revision: number;
}

/** What can happen to a task that is under way. */
export type BackupTaskFact =
  | { readonly kind: 'key-granted'; readonly keyAccess: string }
  /** Access to the key was refused, and the work can be done without it. */
  | { readonly kind: 'key-waived' }
  /** Access to the key was refused, or is to another key than the snapshot's. */
  | { readonly kind: 'key-refused'; readonly failure: BackupFailure }
  /** What the access is sealed for is no longer the host's key, or the access is too old for an agent that has to begin anew. */
  | { readonly kind: 'key-lost'; readonly sealingKey: SealingPublicKey }
  /** It should end, and no agent was given it. */
  | { readonly kind: 'withdrawn'; readonly reason: BackupFailure }
  /** It should end, and an agent may be at work. */
  | { readonly kind: 'cancelled'; readonly reason: BackupFailure }
  | { readonly kind: 'done'; readonly result: BackupTaskResult }
  | { readonly kind: 'failed'; readonly failure: BackupFailure }
  /** What it waits for, an answer or its agent, was not heard of for too long. */
  | { readonly kind: 'overdue'; readonly failure: BackupFailure };

type FactKind = BackupTaskFact['kind'];

/** The events of a task, by the past-tense part of their type. */
export type BackupTaskEventName = 'key-requested' | 'assigned' | 'finished';

interface Cell {
  readonly to: BackupTaskStatus;
  readonly event: BackupTaskEventName | null;
}
const go = (to: BackupTaskStatus, event: BackupTaskEventName | null): Cell => ({ to, event });
const ask = go('WAITING_FOR_KEY', 'key-requested');
const done = go('DONE', 'finished');
const fail = go('FAILED', 'finished');

type Unfinished = Exclude<BackupTaskStatus, 'DONE' | 'FAILED'>;

/**
 * Every state of a task that is under way against every fact; the type refuses a missing cell. What is DONE or FAILED stays so, whatever is said of it.
 * - WAITING_FOR_KEY × done, failed: an agent whose key was replaced after it had begun says how it ended.
 * - CANCELLING × done: the agent was faster. What it did is done, and is said to be.
 * - CANCELLING × key-lost: it needs no key to end.
 */
const TABLE: Readonly<Record<Unfinished, Readonly<Record<FactKind, Cell | 'ignored'>>>> = {
  WAITING_FOR_KEY: {
    'key-granted': go('OPEN', 'assigned'),
    'key-waived': go('OPEN', 'assigned'),
    'key-refused': fail,
    'key-lost': ask,
    withdrawn: fail,
    cancelled: fail,
    done,
    failed: fail,
    overdue: fail,
  },
  OPEN: {
    'key-granted': 'ignored',
    'key-waived': 'ignored',
    'key-refused': 'ignored',
    'key-lost': ask,
    withdrawn: fail,
    cancelled: go('CANCELLING', null),
    done,
    failed: fail,
    overdue: fail,
  },
  CANCELLING: {
    'key-granted': 'ignored',
    'key-waived': 'ignored',
    'key-refused': 'ignored',
    'key-lost': 'ignored',
    withdrawn: 'ignored',
    cancelled: 'ignored',
    done,
    failed: fail,
    overdue: fail,
  },
};

/** The states of tasks that are under way. */
export const UNFINISHED = Object.keys(TABLE) as readonly Unfinished[];

export const isFinished = (status: BackupTaskStatus): status is 'DONE' | 'FAILED' => status === 'DONE' || status === 'FAILED';

/** The table, for the documentation. */
export const backupTaskTransitions = UNFINISHED.flatMap((from) =>
  Object.entries(TABLE[from]).flatMap(([on, cell]) => (cell === 'ignored' ? [] : [{ from, on, to: cell.to, event: cell.event }])),
);

/** What a fact made of a task. `ignored`: it says nothing about a task in this state. */
export type BackupTaskDecision =
  { readonly outcome: 'moved'; readonly task: BackupTask; readonly event: BackupTaskEventName | null } | { readonly outcome: 'ignored' };

/** The next state of a task. Pure: whoever calls it writes the result guarded by the state it was asked about. */
export function decide(task: BackupTask, fact: BackupTaskFact, now: Date): BackupTaskDecision {
  if (isFinished(task.status)) return { outcome: 'ignored' };
  const cell = TABLE[task.status][fact.kind];
  if (cell === 'ignored') return { outcome: 'ignored' };
  const moved: BackupTask = { ...task, status: cell.to, since: now, toldAt: null, revision: task.revision + 1, ...changeBy(task, fact) };
  // Access to a key serves the task that it was given for, and nobody afterwards. Who names it from now on does not know yet that it ended.
  const ended = isFinished(cell.to) ? { keyAccess: null, namedAt: null, finishedAt: now } : {};
  return { outcome: 'moved', task: { ...moved, ...ended }, event: cell.event };
}

function changeBy(task: BackupTask, fact: BackupTaskFact): Partial<BackupTask> {
  switch (fact.kind) {
    case 'key-granted':
      return { keyAccess: fact.keyAccess };
    case 'key-waived':
      return {};
    case 'key-lost':
      // Whatever an agent did so far is to be done again.
      return { sealingKey: fact.sealingKey, keyAccess: null, namedAt: null, progress: null };
    case 'cancelled':
      return task.status === 'OPEN' ? { reason: fact.reason } : { failure: fact.reason };
    case 'withdrawn':
      return { failure: fact.reason };
    case 'done':
      return { result: fact.result };
    case 'key-refused':
    case 'failed':
    case 'overdue':
      return { failure: endedBy(task, fact.failure) };
  }
}

/** The first cause counts: a copy that was cancelled, or broke because its cluster was stopped, ended for that. What else went wrong is added. */
function endedBy({ reason }: BackupTask, failure: BackupFailure): BackupFailure {
  if (reason === null) return failure;
  return failure.code === 'CANCELLED' ? reason : { code: reason.code, detail: `${reason.detail} ${failure.detail}`.slice(0, 2_000) };
}

/** A task for a job, where it was decided that and where it is done. */
export function taskFor(job: BackupJob, chosen: ChosenHost, now: Date): { readonly task: BackupTask; readonly event: BackupTaskEventName } {
  const needsKey = job.provider !== 'NONE';
  const task: BackupTask = {
    ...newTask(job, now),
    status: needsKey ? 'WAITING_FOR_KEY' : 'OPEN',
    hostId: chosen.hostId,
    processId: chosen.source?.processId ?? null,
    member: chosen.source?.member ?? null,
    sealingKey: needsKey ? chosen.sealingKey : null,
  };
  return { task, event: needsKey ? 'key-requested' : 'assigned' };
}

/** A task for a job that nobody can do. */
export function failedTaskFor(
  job: BackupJob,
  failure: BackupFailure,
  now: Date,
): { readonly task: BackupTask; readonly event: 'finished' } {
  return { task: { ...newTask(job, now), failure, finishedAt: now }, event: 'finished' };
}

const newTask = (job: BackupJob, now: Date): BackupTask => ({
  id: job.id,
  status: 'FAILED',
  since: now,
  job,
  group: null,
  cut: null,
  hostId: null,
  processId: null,
  member: null,
  sealingKey: null,
  keyAccess: null,
  reason: null,
  progress: null,
  publishedAt: null,
  toldAt: null,
  namedAt: null,
  result: null,
  failure: null,
  createdAt: now,
  finishedAt: null,
  revision: 1,
});

/** The task as other services may remember it. */
export function stateOf(task: BackupTask, now: Date, parts: readonly SnapshotPart[] = []): AgentTaskState {
  const { kind, projectId, clusterId, provider } = task.job;
  return {
    id: task.id,
    kind,
    projectId,
    clusterId,
    status: task.status,
    hostId: task.hostId,
    member: task.member,
    provider,
    hostSealingKey: task.status === 'WAITING_FOR_KEY' ? task.sealingKey : null,
    progress: task.progress,
    ...(parts.length > 0 && { parts: [...parts] }),
    result: task.result,
    failure: task.failure,
    at: now.toISOString(),
    revision: task.revision,
  };
}

/** The task as its agent is given it. */
/** @param routers the mongos of its cluster, for the config servers of a sharded one */
export function forAgent(task: BackupTask, clusterName: string, routers: readonly string[] = []): AgentBackupTask {
  const { job, keyAccess } = task;
  const { id, projectId, clusterId, epochId, encryptionKeyId } = job;
  const common = { id, projectId, clusterId, epochId, encryptionKeyId, keyAccess };
  switch (job.kind) {
    case 'take-snapshot': {
      const { kind, snapshotId, parentSnapshotId, methods, maxFiles, proofBlocks, labels } = job;
      // The agent's own limits hold: nobody orders others.
      const limits = { readLimit: null, uploadLimit: null };
      const copied = { processId: task.processId ?? '', clusterName };
      const { group } = task;
      const part = group && { part: { groupId: group.id, ...(group.role === 'config' && { routers: [...routers] }) } };
      return { ...common, ...copied, ...limits, kind, snapshotId, parentSnapshotId, methods, maxFiles, proofBlocks, labels, ...part };
    }
    case 'prove-snapshot': {
      const { kind, snapshotId, partIds, share, proofBlocks } = job;
      return { ...common, kind, snapshotId, ...(partIds && { partIds }), share, proofBlocks };
    }
    case 'delete-snapshots':
      return { ...common, kind: job.kind, snapshotIds: job.snapshotIds };
  }
}

/** What an agent's result means for its task. One that does not say what it should is a fault of the agent. */
export function factOf({ job }: BackupTask, result: AgentTaskResult): BackupTaskFact {
  if (result.outcome === 'failed') {
    return {
      kind: 'failed',
      failure: result.failure ?? { code: 'INTERNAL', detail: (result.error ?? 'The agent did not say why.').slice(0, 2_000) },
    };
  }
  const { taken, proof, deletion } = result;
  switch (job.kind) {
    case 'take-snapshot':
      return taken && proof ? { kind: 'done', result: { taken, proof } } : incomplete('what it copied, with its proof');
    case 'prove-snapshot':
      return proof ? { kind: 'done', result: { proof } } : incomplete('the proof');
    case 'delete-snapshots':
      return deletion ? { kind: 'done', result: { deletion } } : incomplete('what it deleted');
  }
}

const incomplete = (what: string): BackupTaskFact => ({
  kind: 'failed',
  failure: { code: 'INTERNAL', detail: `The agent said that it is done, but not ${what}.` },
});

/**
 * Without word of it for so long, a task is given up. Half of it would end copies of hours for the restart of a switch; double, and a schedule of every hour
 * would miss two runs before anybody heard of it.
 */
export const SILENT_AFTER_MS = 30 * 60_000;

/**
 * Why a task is given up now; null: it is not. @param listeningSince when this replica began to listen: after an outage of ours, all agents seem to be silent
 */
export function overdue(task: BackupTask, hostname: string, listeningSince: Date, now: Date): BackupFailure | null {
  const heardAt = Math.max(task.since.getTime(), task.namedAt?.getTime() ?? 0);
  if (now.getTime() - Math.max(heardAt, listeningSince.getTime()) < SILENT_AFTER_MS) return null;
  const since = new Date(heardAt).toISOString();
  if (task.status === 'WAITING_FOR_KEY') {
    return { code: 'KEY_UNREACHABLE', detail: `Access to the customer key was asked for at ${since}, and no answer came.` };
  }
  return {
    code: 'HOST_SILENT',
    detail: `The agent of ${hostname} has said nothing of the work since ${since}. Look whether it runs and reaches the control plane.`,
  };
}

/** What the agent says that it does not work on is given to it again after this: three of its reports, and as many polls cut short. */
export const GIVE_AGAIN_MS = 15_000;

/**
 * Access to a key that was sealed longer ago is asked for anew before it is given again: temporary credentials last an hour, and the agent that begins anew
 * must still get to use them.
 */
export const KEY_ACCESS_FRESH_MS = 45 * 60_000;
