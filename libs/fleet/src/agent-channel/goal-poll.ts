import type { PollResponse } from '@atrest/contracts';
import type { ServiceDatabase } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { goalOf } from '../hosts/hosts.repository.js';
import { onDatabase } from '../query.js';
import type { BackupTasks } from '../backup-tasks/backup-tasks.js';
import type { AgentTasks } from './agent-tasks.js';
import type { WakeUp } from './wake-up.js';

/** A poll never waits longer: the agent must be heard of again before it counts as silent (30 s). */
export const LONGEST_WAIT_MS = 25_000;

/**
 * The long poll of agents. Level-triggered: an agent says which goal it has, and gets the present one whenever it is another. An answer that is lost is
 * asked for again by the next poll.
 */
export class GoalPoll {
  constructor(
    private readonly parts: {
      readonly database: ServiceDatabase;
      readonly clock: Clock;
      readonly tasks: AgentTasks;
      readonly backupTasks: BackupTasks;
      readonly hosts: WakeUp;
    },
  ) {}

  /** `undefined`: nothing is new. */
  async poll(
    hostId: string,
    o: { readonly goalVersion: number; readonly waitMs: number; readonly signal: AbortSignal },
  ): Promise<PollResponse | undefined> {
    await this.heard(hostId, o.goalVersion);
    return this.parts.hosts.until(hostId, () => this.look(hostId, o.goalVersion), {
      timeoutMs: Math.min(o.waitMs, LONGEST_WAIT_MS),
      signal: o.signal,
    });
  }

  /**
   * Notes that the agent lives. An agent that knows a later goal than we do has outlived a database that was restored from a backup: our versions jump over
   * its own, or it would never take a goal from us again.
   */
  private async heard(hostId: string, goalVersion: number): Promise<void> {
    const now = this.parts.clock.now();
    await this.parts.database.query(
      `UPDATE host SET last_heard_at = $2,
              goal_version = CASE WHEN goal_version < $3 THEN $3 + 1 ELSE goal_version END,
              goal_issued_at = CASE WHEN goal_version < $3 THEN $2 ELSE goal_issued_at END
        WHERE id = $1 AND deleted_at IS NULL`,
      [hostId, now, goalVersion],
    );
  }

  private async look(hostId: string, known: number): Promise<PollResponse | undefined> {
    const stored = await goalOf(onDatabase(this.parts.database), hostId);
    if (stored === undefined) return undefined;
    const short = await this.parts.tasks.take(hostId);
    const { tasks: long, cancelled, cuts } = await this.parts.backupTasks.take(hostId);
    const tasks = [...short, ...long];
    const isNew = stored.version !== known;
    if (!isNew && tasks.length === 0 && cancelled.length === 0 && cuts.length === 0) return undefined;
    const { version, issuedAt, processes } = stored;
    const goal = isNew ? { hostId, version, issuedAt: issuedAt.toISOString(), processes: [...processes] } : null;
    return { goal, tasks, ...(cancelled.length > 0 && { cancelled: [...cancelled] }), ...(cuts.length > 0 && { cuts: [...cuts] }) };
  }
}
