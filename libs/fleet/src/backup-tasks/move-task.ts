import {
  agentTaskAssigned,
  agentTaskFinished,
  agentTaskKeyRequested,
  type AgentTaskState,
  type BackupFailure,
  type EventDefinition,
} from '@atrest/contracts';
import type { Logger } from '@atrest/platform-logging';
import type { EventPublisher } from '@atrest/platform-messaging';
import { notify, type Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { HOST_CHANNEL } from '../hosts/hosts.repository.js';
import { inTransaction } from '../query.js';
import { decide, isFinished, stateOf, type BackupTask, type BackupTaskEventName, type BackupTaskFact } from './backup-task.js';
import { lockTask, partsOf, writeTask } from './backup-tasks.repository.js';
import { factOfParts, partStates, standsForParts } from './snapshot-parts.js';

/** What whoever moves a task needs. */
export interface TaskMoverParts {
  readonly publisher: EventPublisher;
  readonly clock: Clock;
  readonly logger: Logger;
}

const EVENTS: Readonly<Record<BackupTaskEventName, EventDefinition<AgentTaskState>>> = {
  'key-requested': agentTaskKeyRequested,
  assigned: agentTaskAssigned,
  finished: agentTaskFinished,
};

/** Thrown when a task changed although its row was locked: a write that bypasses the lock. The transaction must not commit. */
export class BackupTaskChangedError extends Error {
  readonly code = 'FLEET.BACKUP_TASK_CHANGED';

  constructor(readonly taskId: string) {
    super(`Backup task ${taskId} changed while it was locked.`);
    this.name = 'BackupTaskChangedError';
  }
}

/** Applies a fact to a task that is locked, and says what follows. `ignored`: the fact says nothing about a task in its state. */
export async function moveTask(
  parts: TaskMoverParts,
  tx: Transaction,
  task: BackupTask,
  fact: BackupTaskFact,
): Promise<'moved' | 'ignored'> {
  const decision = decide(task, fact, parts.clock.now());
  if (decision.outcome === 'ignored') return 'ignored';
  if ((await writeTask(tx, task, decision.task)) === 'changed-meanwhile') throw new BackupTaskChangedError(task.id);
  await announce(parts, tx, decision.task, decision.event);
  if (decision.task.group !== null && isFinished(decision.task.status)) await followParts(parts, tx, decision.task.group.id);
  return 'moved';
}

/** Has the task that stands for parts follow what became of them. Whoever moves a part has locked it. */
async function followParts(parts: TaskMoverParts, tx: Transaction, groupId: string): Promise<void> {
  const whole = await lockTask(tx, groupId);
  if (whole === undefined || isFinished(whole.status)) return;
  const all = await partsOf(inTransaction(tx), groupId);
  const fact = factOfParts(whole, all);
  if (fact === null) return;
  await moveTask(parts, tx, whole, fact);
  if (fact.kind === 'cancelled')
    await endParts(parts, tx, groupId, {
      code: 'CANCELLED',
      detail: `Another part of the snapshot has failed. ${fact.reason.detail}`.slice(0, 2_000),
    });
}

async function endParts(parts: TaskMoverParts, tx: Transaction, groupId: string, reason: BackupFailure): Promise<void> {
  for (const { id } of await partsOf(inTransaction(tx), groupId)) {
    const part = await lockTask(tx, id);
    if (part !== undefined) await endTask(parts, tx, part, reason);
  }
}

/** Publishes what became of a task, and wakes its agent's poll when there is something in it for the agent. */
export async function announce(parts: TaskMoverParts, tx: Transaction, task: BackupTask, event: BackupTaskEventName | null): Promise<void> {
  const { status, hostId, failure } = task;
  // What becomes of a part, the task that stands for all says; but each needs a key of its own.
  if (event !== null && (task.group === null || event === 'key-requested')) {
    const own = hostId === null ? partStates(await partsOf(inTransaction(tx), task.id)) : [];
    await parts.publisher.publish(tx, EVENTS[event], stateOf(task, parts.clock.now(), own));
  }
  if (hostId !== null && (status === 'OPEN' || status === 'CANCELLING')) await notify(tx, HOST_CHANNEL, hostId);
  const facts = { taskId: task.id, kind: task.job.kind, clusterId: task.job.clusterId, hostId, status };
  if (failure === null) parts.logger.info(facts, 'a backup task changed its state');
  else parts.logger.warn({ ...facts, failure }, 'a backup task failed');
}

/** Ends a task for a reason: at once while no agent has it, and through its agent otherwise; one that stands for parts through them. */
export async function endTask(
  parts: TaskMoverParts,
  tx: Transaction,
  task: BackupTask,
  reason: Extract<BackupTaskFact, { kind: 'cancelled' }>['reason'],
): Promise<'moved' | 'ignored'> {
  if (standsForParts(task)) {
    const moved = await moveTask(parts, tx, task, { kind: 'cancelled', reason });
    if (moved === 'moved') await endParts(parts, tx, task.id, reason);
    return moved;
  }
  const given = task.toldAt !== null || task.namedAt !== null;
  return moveTask(parts, tx, task, { kind: given ? 'cancelled' : 'withdrawn', reason });
}
