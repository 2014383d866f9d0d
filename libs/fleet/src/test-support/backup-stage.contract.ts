import {
  agentTaskKeyRequested,
  backupJobCancelled,
  backupJobOrdered,
  keyAccessGranted,
  keyAccessRefused,
  newObjectId,
  type AgentTaskResult,
  type AgentTaskState,
  type BackupFailure,
  type BackupJob,
  type EventDefinition,
  type KeyAccess,
} from '@atrest/contracts';
import { createLogger } from '@atrest/platform-logging';
import { EventPublisher } from '@atrest/platform-messaging';
import { backupTaskHandlers } from '../backup-tasks/backup-task-handlers.js';
import { BackupTaskWatchdog } from '../backup-tasks/backup-task-watchdog.js';
import { BackupTasks } from '../backup-tasks/backup-tasks.js';
import type { FakeAgent } from './fake-agent.contract.js';
import { FakeKey, replicaSet, type FleetInstallation } from './fleet-installation.contract.js';

const logger = createLogger({ service: 'test', level: 'silent' });

export type TakeSnapshot = Extract<BackupJob, { kind: 'take-snapshot' }>;

/** Something that looks like what `kms-validation` seals; who seals and opens it is not fleet's concern. */
export const SEALED = 'eyJhbGciOiJFQ0RILUVTIn0..aXY.Y2lwaGVydGV4dA.dGFn';
export const KEY_ID = 'arn:aws:kms:eu-central-1:111122223333:key/1';

/** A project with a running cluster of three members, each on a host of its own. */
export interface Stage {
  readonly projectId: string;
  readonly clusterId: string;
  readonly name: string;
  readonly key: FakeKey | null;
}

/** Backup jobs and what becomes of them, as the other services would see it. Every event is handled twice. */
export class BackupStage {
  constructor(
    readonly fleet: FleetInstallation,
    readonly agents: readonly FakeAgent[],
  ) {}

  private tasks(): BackupTasks {
    const { database, clock } = this.fleet;
    return new BackupTasks({ database, publisher: new EventPublisher('fleet', clock), clock, logger });
  }

  /** What a replica that has listened since then gives up and forgets. */
  async lookAfter(listeningSince: Date): Promise<void> {
    await this.tasks().giveUpUnheardOf(listeningSince);
    await new BackupTaskWatchdog({ tasks: this.tasks(), clock: this.fleet.clock, logger }).run();
    await this.fleet.fleet.messaging.whenCaughtUp();
  }

  async running(name: string, provider: 'AWS' | 'NONE' = 'NONE', change: object = {}): Promise<Stage> {
    const { fleet } = this;
    await fleet.logIn();
    for (const agent of this.agents) await agent.sync();
    const projectId = await fleet.project();
    const key = provider === 'NONE' ? null : new FakeKey(fleet, projectId);
    await key?.saved();
    const body = replicaSet(name, { encryptionAtRestProvider: provider, backupEnabled: true, ...change });
    const created = await fleet.call('POST', `/groups/${projectId}/clusters`, { body });
    if (created.status !== 201) throw new Error(JSON.stringify(created.body));
    await fleet.settle(projectId, name, 'IDLE', this.agents);
    return { projectId, clusterId: created.body.id as string, name, key };
  }

  job(stage: Pick<Stage, 'projectId' | 'clusterId' | 'key'>, change: Partial<TakeSnapshot> = {}): TakeSnapshot {
    return {
      id: newObjectId(),
      projectId: stage.projectId,
      clusterId: stage.clusterId,
      epochId: newObjectId(),
      provider: stage.key === null ? 'NONE' : 'AWS',
      encryptionKeyId: stage.key === null ? null : KEY_ID,
      orderedAt: this.fleet.clock.now().toISOString(),
      kind: 'take-snapshot',
      snapshotId: newObjectId(),
      source: { kind: 'secondary' },
      preferredMember: null,
      parentSnapshotId: null,
      methods: ['backupCursor', 'fsyncLock'],
      maxFiles: 100_000,
      proofBlocks: 8,
      labels: {},
      ...change,
    };
  }

  /** A job for snapshots that exist. */
  workOn(stage: Pick<Stage, 'projectId' | 'clusterId' | 'key'>, kind: 'delete-snapshots' | 'prove-snapshot'): BackupJob {
    const { id, projectId, clusterId, epochId, provider, encryptionKeyId, orderedAt } = this.job(stage);
    const common = { id, projectId, clusterId, epochId, provider, encryptionKeyId, orderedAt };
    return kind === 'delete-snapshots'
      ? { ...common, kind, snapshotIds: [newObjectId()] }
      : { ...common, kind, snapshotId: newObjectId(), share: 0.1, proofBlocks: 8 };
  }

  /** Has an event handled by fleet, and then once more, as a redelivery. */
  private async tell<D>(definition: EventDefinition<D>, data: D): Promise<void> {
    const event = await this.fleet.say(definition, data);
    const handler = backupTaskHandlers(this.tasks()).find((each) => each.definition.type === definition.type);
    if (handler === undefined) throw new Error(`${definition.type} has no handler`);
    await this.fleet.database.transaction((tx) => handler.handle(event, tx));
    await this.fleet.fleet.messaging.whenCaughtUp();
  }

  async order(job: BackupJob): Promise<AgentTaskState> {
    await this.tell(backupJobOrdered, job);
    return this.last(job);
  }

  async cancel(job: BackupJob): Promise<AgentTaskState> {
    await this.tell(backupJobCancelled, job);
    return this.last(job);
  }

  async grant(task: AgentTaskState, change: Partial<KeyAccess> = {}): Promise<AgentTaskState> {
    await this.tell(keyAccessGranted, {
      ...this.answer(task),
      encryptionKeyId: KEY_ID,
      sealed: SEALED,
      ...(task.hostSealingKey && { sealedFor: task.hostSealingKey }),
      ...change,
    });
    return this.last(task);
  }

  async refuse(task: AgentTaskState, failure: BackupFailure): Promise<AgentTaskState> {
    await this.tell(keyAccessRefused, { ...this.answer(task), failure });
    return this.last(task);
  }

  private answer(task: AgentTaskState): KeyAccess {
    const { id: taskId, hostId, projectId } = task;
    const at = this.fleet.clock.now().toISOString();
    return { taskId, hostId: hostId ?? '', projectId, provider: 'AWS', encryptionKeyId: null, sealed: null, failure: null, at };
  }

  /** What fleet has said of a task so far, in order. */
  async said(task: { readonly id: string }): Promise<{ readonly event: string; readonly state: AgentTaskState }[]> {
    await this.fleet.fleet.messaging.whenCaughtUp();
    return this.fleet.events
      .filter((event) => event.type.startsWith('io.atrest.agent-task.') && event.subject === task.id)
      .map((event) => ({ event: event.type.split('.').at(-2) ?? '', state: event.data as AgentTaskState }));
  }

  async names(task: { readonly id: string }): Promise<string[]> {
    return (await this.said(task)).map(({ event }) => event);
  }

  async last(task: { readonly id: string }): Promise<AgentTaskState> {
    const said = (await this.said(task)).at(-1);
    if (said === undefined) throw new Error(`nothing was said of ${task.id}`);
    return said.state;
  }

  /** The requests for keys of the parts of a job, as `kms-validation` gets them. */
  async partsWaiting(stage: Stage): Promise<AgentTaskState[]> {
    await this.fleet.fleet.messaging.whenCaughtUp();
    return this.fleet.events
      .filter((event) => event.type === agentTaskKeyRequested.type)
      .map((event) => event.data as AgentTaskState)
      .filter(({ clusterId }) => clusterId === stage.clusterId);
  }

  /** How the task is stored, which may have moved on without an event. */
  async status(task: { readonly id: string }): Promise<string | undefined> {
    const [row] = await this.fleet.database.query<{ status: string }>('SELECT status FROM backup_task WHERE id = $1', [task.id]);
    return row?.status;
  }

  agentOf(task: AgentTaskState): FakeAgent {
    const agent = this.agents.find((each) => each.hostId === task.hostId);
    if (agent === undefined) throw new Error(`no agent has ${task.id}`);
    return agent;
  }

  /** Everything that the database holds of tasks, as text: to look for what must not be there. */
  async stored(): Promise<string> {
    return JSON.stringify(await this.fleet.database.query('SELECT * FROM backup_task'));
  }
}

export const proof = { provenAt: '2026-11-23T10:00:00.000Z', blocksSampled: 8, blocksRead: 8, bytesRead: 4096 };

/** What an agent sends when it is done. */
export const done = (taskId: string): AgentTaskResult => ({
  taskId,
  outcome: 'done',
  error: null,
  lines: null,
  taken: {
    completedAt: '2026-11-23T10:00:00.000Z',
    durationMs: 1_000,
    method: 'backupCursor',
    member: 'b.example:27017',
    memberState: 'SECONDARY',
    mongoDBVersion: '8.0.4',
    featureCompatibilityVersion: '8.0',
    defaultRWConcern: null,
    storage: { engine: 'wiredTiger', directoryPerDB: false, directoryForIndexes: false, blockCompressor: 'snappy', cipherMode: null },
    topology: { replicaSet: 'orders', members: [] },
    optime: null,
    checkpointTimestamp: null,
    oplogEnd: null,
    files: 10,
    bytes: 1_000,
    storedBytes: 900,
    key: null,
  },
  proof,
  deletion: { deleted: [], refused: [], freedBytes: 0 },
});

export const failed = (taskId: string, failure: BackupFailure): AgentTaskResult => ({
  taskId,
  outcome: 'failed',
  error: failure.detail,
  lines: null,
  failure,
});
