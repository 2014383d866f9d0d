import type { AgentTaskResult, BackupTask, OplogTime, TaskProgress } from '@atrest/contracts';
import type { Clock } from '@atrest/platform-time';
import { failure } from './backup-error.js';
import { deleteSnapshots } from './delete-snapshots.js';
import { failureOf } from './failure-of.js';
import { ProgressMeter } from './progress.js';
import { proveSnapshot } from './prove-snapshot.js';
import { Cut } from './snapshot-part.js';
import { takeSnapshot } from './take-snapshot.js';
import type { BackupHost } from './task-context.js';

export interface BackupTasksOptions {
  /** Null: this host has no snapshot store. */
  readonly host: BackupHost | null;
  readonly clock: Clock;
  /** There is news of what is under way; not more often than progress is worth a report. */
  readonly onProgress: () => void;
  /** Called once for each task that has ended, unless the agent itself ends. */
  readonly onResult: (result: AgentTaskResult) => void;
  /** The work under way that holds members has changed. */
  readonly onHold: () => void;
}

/** Progress is worth a report this often. */
const PROGRESS_MS = 2_000;

interface Running {
  readonly task: BackupTask;
  readonly meter: ProgressMeter;
  readonly abort: AbortController;
  readonly cut: Cut;
  readonly done: Promise<void>;
}

const CANCELLED = failure('CANCELLED', 'It was cancelled; nothing is left of it.');

/** Work on snapshots that is under way on this host. Each task runs once at a time, whatever the control plane repeats. */
export class BackupTasks {
  readonly #options: BackupTasksOptions;
  readonly #running = new Map<string, Running>();
  #stopping = false;
  #reportedAt = -Infinity;

  constructor(options: BackupTasksOptions) {
    this.#options = options;
  }

  /** How far the tasks are that run now. */
  get progress(): TaskProgress[] {
    return [...this.#running.values()].map(({ task, meter }) => ({ taskId: task.id, progress: meter.progress }));
  }

  isRunning(taskId: string): boolean {
    return this.#running.has(taskId);
  }

  /** The snapshot that is being taken from a process. */
  takingFrom(processId: string): string | null {
    for (const { task } of this.#running.values()) if (task.kind === 'take-snapshot' && task.processId === processId) return task.id;
    return null;
  }

  /** Begins a task, unless it runs already. Its result follows by `onResult`. */
  begin(task: BackupTask): void {
    if (this.#running.has(task.id) || this.#stopping) return;
    const refusal = this.#whyNot(task);
    if (refusal !== null) {
      this.#options.onResult(failed(task, refusal));
      return;
    }
    const meter = new ProgressMeter(this.#options.clock);
    const abort = new AbortController();
    const cut = new Cut();
    const running = { task, meter, abort, cut, done: this.#carryOut(task, meter, cut, abort.signal) };
    this.#running.set(task.id, running);
    this.#options.onHold();
    this.#news(true);
  }

  /** Ends a task: its result follows when everything is given back. One that this life of the agent does not know has nothing left. */
  cancel(taskId: string): 'begun' | 'under-way' | 'unknown' {
    const running = this.#running.get(taskId);
    if (running === undefined) return 'unknown';
    if (running.abort.signal.aborted) return 'under-way';
    running.abort.abort();
    return 'begun';
  }

  /** Says where all parts of a snapshot of a sharded cluster are cut. One that is not held any more knows it already. */
  cut(taskId: string, at: OplogTime): void {
    this.#running.get(taskId)?.cut.tell(at);
  }

  /** Ends everything and gives everything back, without results: the next life of the agent begins anew. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const { abort } of this.#running.values()) abort.abort();
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  #whyNot(task: BackupTask): AgentTaskResult['failure'] | null {
    if (this.#options.host === null) {
      return failure('NO_SNAPSHOT_STORE', 'This host has no snapshot store. Give its agent one (snapshotStore in agent.yaml).');
    }
    if (task.kind !== 'take-snapshot') return null;
    for (const { task: other } of this.#running.values()) {
      const isSibling = other.kind === 'take-snapshot' && task.part !== undefined && other.part?.groupId === task.part.groupId;
      if (other.kind === 'take-snapshot' && other.clusterId === task.clusterId && !isSibling) {
        return failure('ALREADY_RUNNING', `A snapshot of the cluster is under way on this host (${other.snapshotId}).`);
      }
    }
    return null;
  }

  async #carryOut(task: BackupTask, meter: ProgressMeter, cut: Cut, signal: AbortSignal): Promise<void> {
    // Not before it is noted as running.
    await Promise.resolve();
    const result = await this.#resultOf(task, meter, cut, signal);
    this.#running.delete(task.id);
    this.#options.onHold();
    if (!this.#stopping) this.#options.onResult(result);
  }

  async #resultOf(task: BackupTask, meter: ProgressMeter, cut: Cut, signal: AbortSignal): Promise<AgentTaskResult> {
    const { host: common } = this.#options;
    const logger = common!.logger.child({ taskId: task.id, kind: task.kind, clusterId: task.clusterId });
    const host: BackupHost = { ...common!, logger };
    const o = { signal, meter, onProgress: () => this.#news(false) };
    try {
      const done = { taskId: task.id, outcome: 'done', error: null, lines: null } as const;
      switch (task.kind) {
        case 'take-snapshot': {
          const { taken, proof } = await takeSnapshot(host, task, { ...o, cut, onHold: () => this.#news(true) });
          logger.info({ snapshotId: task.snapshotId, method: taken.method, bytes: taken.bytes }, 'snapshot taken and proven');
          return { ...done, taken, proof };
        }
        case 'prove-snapshot':
          return { ...done, proof: await proveSnapshot(host, task, o) };
        case 'delete-snapshots':
          return { ...done, deletion: await deleteSnapshots(host, task, o) };
      }
    } catch (error) {
      if (signal.aborted) return failed(task, CANCELLED);
      const why = failureOf(error);
      logger[why.code === 'INTERNAL' ? 'error' : 'warn']({ err: error, code: why.code }, 'a task for backups failed');
      return failed(task, why);
    }
  }

  #news(always: boolean): void {
    const now = performance.now();
    if (!always && now - this.#reportedAt < PROGRESS_MS) return;
    this.#reportedAt = now;
    this.#options.onProgress();
  }
}

/** The result of a task that failed. */
export function failed(task: { readonly id: string }, why: AgentTaskResult['failure']): AgentTaskResult {
  return { taskId: task.id, outcome: 'failed', error: why?.detail ?? null, lines: null, ...(why && { failure: why }) };
}

/** The result of a task that was cancelled before this life of the agent, or before it came here. */
export const cancelledUnknown = (taskId: string): AgentTaskResult => failed({ id: taskId }, CANCELLED);
