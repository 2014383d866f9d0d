import { newObjectId, type AgentTask, type AgentTaskResult } from '@atrest/contracts';
import { notify, rows, type ServiceDatabase } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { HOST_CHANNEL } from '../hosts/hosts.repository.js';
import type { WakeUp } from './wake-up.js';

/** Carries the id of a task whose result has come. */
export const TASK_CHANNEL = 'task';

/** A task whose result has not come is given out again after this: the answer with it was lost, or the agent restarted. Tasks are short. */
const GIVE_AGAIN_MS = 5_000;
/** How long a person waits for an agent's answer. */
const RESULT_TIMEOUT_MS = 10_000;

/** A task before it has an id. */
export type TaskOrder = AgentTask extends infer Task ? (Task extends unknown ? Omit<Task, 'id'> : never) : never;

/** Work for agents. Given out at least once; the first result counts. */
export class AgentTasks {
  constructor(private readonly parts: { readonly database: ServiceDatabase; readonly clock: Clock; readonly results: WakeUp }) {}

  /** Has the agent of a host do something and waits for the result; `undefined` when none comes in time. */
  async perform(hostId: string, order: TaskOrder, signal: AbortSignal): Promise<AgentTaskResult | undefined> {
    const { database, clock, results } = this.parts;
    const now = clock.now();
    const task = { ...order, id: newObjectId(now) } as AgentTask;
    await database.transaction(async (tx) => {
      await rows(tx, `INSERT INTO agent_task (id, host_id, task, status, created_at, expires_at) VALUES ($1, $2, $3, 'OPEN', $4, $5)`, [
        task.id,
        hostId,
        JSON.stringify(task),
        now,
        new Date(now.getTime() + RESULT_TIMEOUT_MS),
      ]);
      await notify(tx, HOST_CHANNEL, hostId);
    });
    return results.until(task.id, () => this.resultOf(task.id), { timeoutMs: RESULT_TIMEOUT_MS, signal });
  }

  /** The tasks that the agent of a host is to be given now; marks them as given. */
  async take(hostId: string): Promise<AgentTask[]> {
    const now = this.parts.clock.now();
    const taken = await this.parts.database.query<{ task: AgentTask }>(
      `UPDATE agent_task SET delivered_at = $2
        WHERE host_id = $1 AND status = 'OPEN' AND expires_at > $2 AND (delivered_at IS NULL OR delivered_at <= $3) RETURNING task`,
      [hostId, now, new Date(now.getTime() - GIVE_AGAIN_MS)],
    );
    return taken.map((row) => row.task);
  }

  /** `ignored`: not a task of this host, or its result is known already. */
  finish(hostId: string, result: AgentTaskResult): Promise<'finished' | 'ignored'> {
    const now = this.parts.clock.now();
    return this.parts.database.transaction(async (tx) => {
      const finished = await rows(
        tx,
        `UPDATE agent_task SET status = 'FINISHED', finished_at = $3, result = $4 WHERE id = $1 AND host_id = $2 AND status = 'OPEN' RETURNING id`,
        [result.taskId, hostId, now, JSON.stringify(result)],
      );
      // Results hold log lines: they are kept no longer than somebody may still be reading them.
      await rows(tx, 'DELETE FROM agent_task WHERE host_id = $1 AND expires_at < $2', [
        hostId,
        new Date(now.getTime() - RESULT_TIMEOUT_MS),
      ]);
      if (finished.length === 0) return 'ignored';
      await notify(tx, TASK_CHANNEL, result.taskId);
      return 'finished';
    });
  }

  private async resultOf(taskId: string): Promise<AgentTaskResult | undefined> {
    const [row] = await this.parts.database.query<{ result: AgentTaskResult | null }>('SELECT result FROM agent_task WHERE id = $1', [
      taskId,
    ]);
    return row?.result ?? undefined;
  }
}
