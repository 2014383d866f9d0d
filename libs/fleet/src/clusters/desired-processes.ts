import type { ClusterState, DisabledReason, ProcessKind } from '@atrest/contracts';
import type { ProcessOrder } from './process-goal.js';
import { isRemoved, isRunning, isStopped, type Desired, type ProcessView } from './process-view.js';

/**
 * How long one phase of stopping or starting may keep the next one waiting. Measured stops take 1–4 s and starts 1–5 s; a member elected only
 * moments before needs 11 s to stop. A phase that is not over by then has an unreachable host or a stuck process, and must not hold up the rest.
 */
export const PHASE_LIMIT_MS = 15_000;

/** mongos first, then every shard member at once, then the config servers: a shard stopped after them takes over 20 s. */
const STOP_ORDER: readonly ProcessKind[] = ['mongos', 'mongod', 'config'];
const START_ORDER: readonly ProcessKind[] = ['config', 'mongod', 'mongos'];

/** What a process is to be by the state of its cluster alone. */
export type DesiredProcess = Omit<ProcessOrder, 'yields'>;

/** What a decision about processes needs of their cluster. */
export interface ClusterOrder {
  readonly state: ClusterState;
  readonly disabledReason: DisabledReason | null;
  /** Its owner wants it stopped. A wish beside the state: a paused cluster may be disabled, enabled and deleted like any other. */
  readonly paused: boolean;
}

function reasonFor(order: ClusterOrder): string | null {
  if (order.state === 'DELETING') return 'The cluster is being deleted.';
  const reason = order.disabledReason;
  if (reason === null && order.paused) return 'The cluster is paused.';
  return reason === null ? null : `The ${reason.provider} key configuration is invalid: ${reason.detail}`;
}

/** What every process of the cluster has to be in the end. */
const TARGETS: Readonly<Record<ClusterState, Desired>> = {
  CREATING: 'running',
  IDLE: 'running',
  UPDATING: 'running',
  DISABLING: 'stopped',
  DISABLED: 'stopped',
  ENABLING: 'running',
  RESTORING: 'running',
  DELETING: 'removed',
};

/** A paused cluster is stopped whatever else it would do. */
export const targetOf = (order: Pick<ClusterOrder, 'state' | 'paused'>): Desired =>
  order.paused && TARGETS[order.state] === 'running' ? 'stopped' : TARGETS[order.state];

/**
 * What each process should be now, by process id. Phases are derived, not stored: a phase begins when its processes are ordered and is over when all of
 * them are seen to have obeyed or after {@link PHASE_LIMIT_MS}. An order once given is not taken back while the cluster wants the same, so a process
 * that somebody starts by hand does not send the others back to work.
 */
export function desiredProcesses(order: ClusterOrder, processes: readonly ProcessView[], now: Date): Map<string, DesiredProcess> {
  const target = targetOf(order);
  const reason = target === 'running' ? null : reasonFor(order);
  const result = new Map<string, DesiredProcess>();
  let blocked = false;
  for (const kind of target === 'running' ? START_ORDER : STOP_ORDER) {
    const phase = processes.filter((process) => process.kind === kind);
    for (const process of phase) {
      const ordered = process.desired === target || !blocked;
      // What has left its replica set is not taken back by an order to the cluster.
      const kept = process.leaving && process.desired === 'removed' && target !== 'removed';
      const desired = ordered && !kept ? target : process.desired;
      result.set(process.id, {
        desired,
        reason: desired === 'running' ? null : kept ? LEFT : reason,
        mayStart: desired !== 'running' || target === 'running',
      });
    }
    blocked ||= !phase.every((process) => isPhaseOver(process, target, now));
  }
  return result;
}

/** Why a process is removed from a cluster that goes on. */
export const LEFT = 'The process was taken out of its cluster.';

function isPhaseOver(process: ProcessView, target: Desired, now: Date): boolean {
  if (process.lost || (process.leaving && process.desired === 'removed')) return true;
  if (process.desired !== target) return false;
  // An order from the future was given before the clock was set back. Waiting for its time to come again could keep databases running for days.
  if (Math.abs(now.getTime() - process.desiredSince.getTime()) >= PHASE_LIMIT_MS) return true;
  if (target === 'running') return isRunning(process, now);
  return isStopped(process) || isRemoved(process);
}

/** When a phase that is under way stops blocking the next one; null when none blocks. The moment at which the cluster has to be looked at again. */
export function nextPhaseLimit(order: ClusterOrder, processes: readonly ProcessView[], now: Date): Date | null {
  const target = targetOf(order);
  const limits = processes
    .filter((process) => process.desired === target && !isPhaseOver(process, target, now))
    .map((process) => process.desiredSince.getTime() + PHASE_LIMIT_MS);
  return limits.length === 0 ? null : new Date(Math.min(...limits));
}
