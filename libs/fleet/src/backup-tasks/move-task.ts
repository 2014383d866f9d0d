import { agentTaskAssigned, agentTaskFinished, agentTaskKeyRequested, type AgentTaskState, type EventDefinition } from '@atrest/contracts';
import type { Logger } from '@atrest/platform-logging';
import type { EventPublisher } from '@atrest/platform-messaging';
import { notify, type Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { HOST_CHANNEL } from '../hosts/hosts.repository.js';
import { decide, stateOf, type BackupTask, type BackupTaskEventName, type BackupTaskFact } from './backup-task.js';
import { writeTask } from './backup-tasks.repository.js';

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
  return 'moved';
}

/** Publishes what became of a task, and wakes its agent's poll when there is something in it for the agent. */
export async function announce(parts: TaskMoverParts, tx: Transaction, task: BackupTask, event: BackupTaskEventName | null): Promise<void> {
  const { status, hostId, failure } = task;
  if (event !== null) await parts.publisher.publish(tx, EVENTS[event], stateOf(task, parts.clock.now()));
  if (hostId !== null && (status === 'OPEN' || status === 'CANCELLING')) await notify(tx, HOST_CHANNEL, hostId);
  const facts = { taskId: task.id, kind: task.job.kind, clusterId: task.job.clusterId, hostId, status };
  if (failure === null) parts.logger.info(facts, 'a backup task changed its state');
  else parts.logger.warn({ ...facts, failure }, 'a backup task failed');
}

/** Ends a task for a reason: at once while no agent has it, and through its agent otherwise. */
export function endTask(
  parts: TaskMoverParts,
  tx: Transaction,
  task: BackupTask,
  reason: Extract<BackupTaskFact, { kind: 'cancelled' }>['reason'],
): Promise<'moved' | 'ignored'> {
  const given = task.toldAt !== null || task.namedAt !== null;
  return moveTask(parts, tx, task, { kind: given ? 'cancelled' : 'withdrawn', reason });
}
