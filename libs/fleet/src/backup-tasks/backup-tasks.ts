import {
  agentTaskProgressed,
  type AgentTaskResult,
  type BackupFailure,
  type BackupJob,
  type BackupTask as AgentBackupTask,
  type KeyAccess,
  type ObservationReport,
  type PollResponse,
  type SnapshotPart,
} from '@atrest/contracts';
import { notify, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import { lockCluster, processesOf } from '../clusters/clusters.repository.js';
import { HOST_CHANNEL } from '../hosts/hosts.repository.js';
import { inTransaction, onDatabase } from '../query.js';
import {
  factOf,
  failedTaskFor,
  forAgent,
  KEY_ACCESS_FRESH_MS,
  overdue,
  SILENT_AFTER_MS,
  stateOf,
  taskFor,
  type BackupTask,
  type BackupTaskFact,
} from './backup-task.js';
import {
  backupHosts,
  hasDue,
  hostnameOf,
  hostsOfCluster,
  insertTask,
  isKnown,
  isNews,
  lastSnapshotOf,
  lockSealedForOthers,
  lockTask,
  lockUnheardOf,
  markPublished,
  namesOfClusters,
  organisationOf,
  pruneTasks,
  rememberProgress,
  rememberStore,
  runningSnapshot,
  partsOf,
  takeCancelled,
  takeCuts,
  takeOpen,
  writeCut,
  writeProgress,
} from './backup-tasks.repository.js';
import {
  chooseParts,
  chooseSource,
  chooseWorker,
  isSharded,
  routersOf,
  type Choice,
  type ChosenPart,
  type PartsChoice,
} from './choose-source.js';
import { whyNotCopied } from './copied-cluster.js';
import { announce, endTask, moveTask, type TaskMoverParts } from './move-task.js';
import { cutOf, partStates, progressOfParts, tasksOfParts } from './snapshot-parts.js';

/** Progress of one task is published at most so often. It is for people to look at; a topic of 10,000 copies must not drown in it. */
const PUBLISH_AGAIN_MS = 2_000;

/** Tasks that ended are remembered for a week: what an agent still says of one is told from what nobody knows. */
const KEEP_FINISHED_MS = 7 * 86_400_000;
const PRUNE_BATCH = 1_000;

/** What an agent is given of its work on snapshots. */
export interface TakenTasks {
  readonly tasks: readonly AgentBackupTask[];
  readonly cancelled: readonly string[];
  /** Where parts of sharded clusters are cut. */
  readonly cuts: NonNullable<PollResponse['cuts']>;
}

const NOTHING: TakenTasks = { tasks: [], cancelled: [], cuts: [] };

const failure = (code: BackupFailure['code'], detail: string): Choice => ({ kind: 'none', failure: { code, detail } });

/**
 * Long-running work of agents on snapshots. Level-triggered like goals: a task is given until its agent says that it works on it, a cancelled one is named
 * until its result is known. Every change of a task goes through `moveTask`, whoever the cause is.
 */
export class BackupTasks {
  constructor(private readonly parts: TaskMoverParts & { readonly database: ServiceDatabase }) {}

  /** Makes the task of a job, if only to say why it cannot be done. `already-known`: the job has its task, nothing happens. */
  async order(tx: Transaction, job: BackupJob): Promise<'ordered' | 'failed' | 'already-known'> {
    if (await isKnown(tx, job.id)) return 'already-known';
    const choice = await this.choose(tx, job);
    const now = this.parts.clock.now();
    if (choice.kind === 'chosen' && 'parts' in choice && job.kind === 'take-snapshot') return this.orderParts(tx, job, choice.parts, now);
    if (choice.kind === 'chosen' && 'host' in choice) {
      const { task, event } = taskFor(job, choice.host, now);
      const inserted = await insertTask(tx, task);
      if (inserted === 'already-known') return inserted;
      if (inserted === 'inserted') {
        await announce(this.parts, tx, task, event);
        return 'ordered';
      }
    }
    return this.orderFailed(tx, job, choice.kind === 'none' ? choice.failure : alreadyRunning(job), now);
  }

  private async orderParts(
    tx: Transaction,
    job: Extract<BackupJob, { kind: 'take-snapshot' }>,
    chosen: readonly ChosenPart[],
    now: Date,
  ): Promise<'ordered' | 'failed' | 'already-known'> {
    const { whole, parts } = tasksOfParts(job, chosen, now);
    const inserted = await insertTask(tx, whole);
    if (inserted !== 'inserted') return inserted === 'already-known' ? inserted : this.orderFailed(tx, job, alreadyRunning(job), now);
    for (const { task } of parts) await insertTask(tx, task);
    await announce(this.parts, tx, whole, 'assigned');
    for (const { task, event } of parts) await announce(this.parts, tx, task, event);
    return 'ordered';
  }

  private async orderFailed(tx: Transaction, job: BackupJob, why: BackupFailure, now: Date): Promise<'failed' | 'already-known'> {
    const { task, event } = failedTaskFor(job, why, now);
    if ((await insertTask(tx, task)) !== 'inserted') return 'already-known';
    await announce(this.parts, tx, task, event);
    return 'failed';
  }

  /** Has the task of a job end. `unknown`: it has none, or had one long ago. */
  async cancel(tx: Transaction, jobId: string): Promise<'moved' | 'ignored' | 'unknown'> {
    const task = await lockTask(tx, jobId);
    if (task === undefined) return 'unknown';
    return endTask(this.parts, tx, task, { code: 'CANCELLED', detail: 'It was cancelled.' });
  }

  /** Takes in what became of a request for access to a key. An answer to an earlier request of the task is ignored: it is sealed for another key. */
  async keyAnswered(tx: Transaction, access: KeyAccess): Promise<'moved' | 'ignored' | 'unknown'> {
    const task = await lockTask(tx, access.taskId);
    if (task === undefined) return 'unknown';
    if (access.hostId !== task.hostId) return 'ignored';
    if (access.sealedFor !== undefined && access.sealedFor.x !== task.sealingKey?.x) return 'ignored';
    return moveTask(this.parts, tx, task, answerOf(task, access));
  }

  /** What the agent of a host is to be given now; marks it as given. */
  async take(hostId: string): Promise<TakenTasks> {
    const { database, clock } = this.parts;
    if (!(await hasDue(onDatabase(database), hostId, clock.now()))) return NOTHING;
    return database.transaction(async (tx) => {
      const now = clock.now();
      const open: BackupTask[] = [];
      for (const task of await takeOpen(tx, hostId, now)) {
        const { sealingKey } = task;
        if (sealingKey === null || now.getTime() - task.since.getTime() < KEY_ACCESS_FRESH_MS) open.push(task);
        else await moveTask(this.parts, tx, task, { kind: 'key-lost', sealingKey });
      }
      const names = await namesOfClusters(
        tx,
        open.map((task) => task.job.clusterId),
      );
      const sharded = open.filter(({ group }) => group?.role === 'config').map((task) => task.job.clusterId);
      const processes = sharded.length === 0 ? null : await processesOf(inTransaction(tx), sharded);
      const tasks = open.map((task) =>
        forAgent(task, names.get(task.job.clusterId) ?? '', routersOf(processes?.get(task.job.clusterId) ?? [])),
      );
      return { tasks, cancelled: await takeCancelled(tx, hostId, now), cuts: await takeCuts(tx, hostId, now) };
    });
  }

  /** Takes in what an agent reports beside its processes: what it has for this work, and how far it is. */
  async reported(hostId: string, report: ObservationReport): Promise<void> {
    const { database, clock } = this.parts;
    // An agent of an earlier release, or one that was set back to it, has none of these.
    const { sealingKey = null, snapshotStore = null, tasks: reported = [] } = report;
    const now = clock.now();
    if (reported.length === 0 && !(await isNews(onDatabase(database), hostId, { snapshotStore, sealingKey }, now))) return;
    const groups = new Set<string>();
    await database.transaction(async (tx) => {
      await rememberStore(tx, hostId, snapshotStore);
      if (sealingKey !== null) {
        for (const task of await lockSealedForOthers(tx, hostId, sealingKey)) {
          await moveTask(this.parts, tx, task, { kind: 'key-lost', sealingKey });
        }
      }
      if (reported.length > 0) {
        for (const task of await rememberProgress(tx, hostId, reported, now)) {
          if (task.group === null) await this.publishProgress(tx, task, now);
          else groups.add(task.group.id);
        }
      }
      // It does not work on what it should, or still works on what has ended: the poll that waits is to tell it so.
      if (await hasDue(inTransaction(tx), hostId, now)) await notify(tx, HOST_CHANNEL, hostId);
    });
    // Not while parts are locked: what stands for them is locked first.
    for (const groupId of [...groups].sort()) await database.transaction((tx) => this.followProgress(tx, groupId, now));
  }

  /** Has the task that stands for parts follow how far they are, and says where they are cut as soon as all of them hold. */
  private async followProgress(tx: Transaction, groupId: string, now: Date): Promise<void> {
    const whole = await lockTask(tx, groupId);
    if (whole?.status !== 'OPEN') return;
    const parts = await partsOf(inTransaction(tx), groupId);
    const cut = cutOf(whole, parts);
    if (cut !== null) {
      this.parts.logger.info(
        { taskId: groupId, clusterId: whole.job.clusterId, cut },
        'all parts of a sharded cluster hold: they are cut at one moment',
      );
      for (const hostId of await writeCut(tx, groupId, cut)) await notify(tx, HOST_CHANNEL, hostId);
    }
    const seen = { ...whole, progress: progressOfParts(parts, now) };
    await writeProgress(tx, seen);
    await this.publishProgress(tx, seen, now, partStates(parts));
  }

  /** `ignored`: not a task of this host, or its result is known already. `unknown`: no work on snapshots. */
  finish(hostId: string, result: AgentTaskResult): Promise<'moved' | 'ignored' | 'unknown'> {
    return this.parts.database.transaction(async (tx) => {
      const task = await lockTask(tx, result.taskId);
      if (task === undefined) return 'unknown';
      if (task.hostId !== hostId) return 'ignored';
      return moveTask(this.parts, tx, task, factOf(task, result));
    });
  }

  /** Gives up tasks of which nothing was heard for too long. @param listeningSince when this replica began to listen */
  async giveUpUnheardOf(listeningSince: Date): Promise<number> {
    const { database, clock } = this.parts;
    const seen: string[] = [];
    let given = 0;
    for (;;) {
      const looked = await database.transaction(async (tx) => {
        const now = clock.now();
        const task = await lockUnheardOf(tx, new Date(now.getTime() - SILENT_AFTER_MS), seen);
        if (task === undefined) return false;
        seen.push(task.id);
        const why = overdue(task, await hostnameOf(tx, task.hostId), listeningSince, now);
        if (why !== null && (await moveTask(this.parts, tx, task, { kind: 'overdue', failure: why })) === 'moved') given += 1;
        return true;
      });
      if (!looked) return given;
    }
  }

  /** Forgets what ended long ago. `again`: more is left. */
  async prune(): Promise<'again' | 'done'> {
    const { database, clock } = this.parts;
    const pruned = await pruneTasks(onDatabase(database), new Date(clock.now().getTime() - KEEP_FINISHED_MS), PRUNE_BATCH);
    return pruned === PRUNE_BATCH ? 'again' : 'done';
  }

  private async choose(tx: Transaction, job: BackupJob): Promise<Choice | PartsChoice> {
    const orgId = await organisationOf(tx, job.projectId);
    if (orgId === undefined) return failure('CLUSTER_GONE', `There is no project ${job.projectId}.`);
    return job.kind === 'take-snapshot' ? this.chooseForCopy(tx, job, orgId) : this.chooseForStore(tx, job, orgId);
  }

  private async chooseForCopy(
    tx: Transaction,
    job: Extract<BackupJob, { kind: 'take-snapshot' }>,
    orgId: string,
  ): Promise<Choice | PartsChoice> {
    // Locked before anything is looked at: whoever disables the cluster either finds the task, or is found here.
    const cluster = await lockCluster(tx, job.clusterId);
    if (cluster === undefined || cluster.projectId !== job.projectId) {
      return failure('CLUSTER_GONE', `There is no cluster ${job.clusterId} in the project.`);
    }
    const refused = whyNotCopied(cluster);
    if (refused !== null) return { kind: 'none', failure: refused };
    const { encryptionAtRestProvider } = cluster.settings;
    if (encryptionAtRestProvider !== job.provider) {
      return failure(
        'KEY_CHANGED',
        `The cluster's encryption at rest is ${encryptionAtRestProvider} by now, and was ${job.provider} when the snapshot was ordered.`,
      );
    }
    if ((await runningSnapshot(tx, cluster.id)) !== undefined) return { kind: 'none', failure: alreadyRunning(job) };
    const processes = (await processesOf(inTransaction(tx), [cluster.id])).get(cluster.id) ?? [];
    const hosts = new Map((await backupHosts(tx, orgId)).map((host) => [host.id, host]));
    const choose = isSharded(processes) ? chooseParts : chooseSource;
    return choose(job, { name: cluster.name, processes }, hosts, this.parts.clock.now());
  }

  private async chooseForStore(tx: Transaction, job: BackupJob, orgId: string): Promise<Choice> {
    const known = { last: await lastSnapshotOf(tx, job.clusterId), ofCluster: await hostsOfCluster(tx, job.clusterId) };
    return chooseWorker(job, await backupHosts(tx, orgId), known, this.parts.clock.now());
  }

  private async publishProgress(tx: Transaction, task: BackupTask, now: Date, parts: readonly SnapshotPart[] = []): Promise<void> {
    if (task.status !== 'OPEN') return;
    if (task.publishedAt !== null && now.getTime() - task.publishedAt.getTime() < PUBLISH_AGAIN_MS) return;
    const published = { ...task, revision: task.revision + 1 };
    await markPublished(tx, published, now);
    await this.parts.publisher.publish(tx, agentTaskProgressed, stateOf(published, now, parts));
  }
}

const alreadyRunning = (job: BackupJob): BackupFailure => ({
  code: 'ALREADY_RUNNING',
  detail: `A snapshot of the cluster ${job.clusterId} is being taken already: there is never more than one at a time.`,
});

/** Snapshots that exist were made with earlier keys of the configuration: only a new one has to be made with the key that it says. */
function answerOf({ job }: BackupTask, { encryptionKeyId, sealed, failure: refused }: KeyAccess): BackupTaskFact {
  if (sealed === null) {
    // Snapshots whose key is gone for good are deleted in their time all the same; what only the key could tell to be free is collected when it is back.
    if (job.kind === 'delete-snapshots') return { kind: 'key-waived' };
    return { kind: 'key-refused', failure: refused ?? { code: 'KEY_REFUSED', detail: 'Access to the customer key was refused.' } };
  }
  if (job.kind === 'take-snapshot' && encryptionKeyId !== job.encryptionKeyId) {
    return {
      kind: 'key-refused',
      failure: {
        code: 'KEY_CHANGED',
        detail: `The project's key is ${encryptionKeyId} by now, and was ${job.encryptionKeyId} when the snapshot was ordered.`,
      },
    };
  }
  return { kind: 'key-granted', keyAccess: sealed };
}
