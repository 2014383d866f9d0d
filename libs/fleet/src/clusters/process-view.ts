import type { ProcessKind, ProcessObservation } from '@atrest/contracts';
import { isSilent } from '../hosts/host-liveness.js';

/** What a process should be. */
export type Desired = 'running' | 'stopped' | 'removed';

/** What decisions need to know of one process: what was ordered and what was last seen. */
export interface ProcessView {
  readonly id: string;
  readonly hostId: string;
  readonly hostname: string;
  readonly port: number;
  readonly kind: ProcessKind;
  /** Null for mongos. */
  readonly replicaSet: string | null;
  readonly desired: Desired;
  /** When `desired` last changed. */
  readonly desiredSince: Date;
  /** The host's goal version that carried this process's present goal for the first time. */
  readonly goalVersion: number;
  readonly observation: ProcessObservation | null;
  /** The goal version the agent converged to when it last reported; null when it never did. */
  readonly reportedGoalVersion: number | null;
  /** When the host's agent was last heard of. */
  readonly hostHeardAt: Date | null;
  /** Added to a cluster that exists: not a member of its replica set, or its set no shard of the cluster, yet. */
  readonly joining: boolean;
  /** To be taken out of its cluster. */
  readonly leaving: boolean;
  /** Its host was given up: nobody waits for it any more. */
  readonly lost: boolean;
  /** Since when it has been ordered to step down; null when it may be primary. */
  readonly yieldsSince: Date | null;
  /** Grows with each change of its arguments. */
  readonly argumentsVersion: number;
}

/** Carries the cluster: neither on its way in nor on its way out, and not lost. */
export const isServing = (process: ProcessView): boolean => !process.joining && !process.leaving && !process.lost;

/** The agent has answered the present goal: what it reported before says nothing about whether the goal is reached. */
export const answersGoal = (process: ProcessView): boolean =>
  process.reportedGoalVersion !== null && process.reportedGoalVersion >= process.goalVersion;

/**
 * Observed to be stopped since the present goal was given. A silent host counts with its last word: a process that was stopped then is not
 * started by its agent without the control plane, and nothing better can be known.
 */
export function isStopped(process: ProcessView): boolean {
  if (process.lost) return process.desired !== 'running';
  const seen = process.observation;
  return (
    process.desired !== 'running' &&
    answersGoal(process) &&
    seen !== null &&
    seen.pid === null &&
    (seen.status === 'stopped' || seen.status === 'failed')
  );
}

/** The agent knows that the process is to be removed and no longer names it. */
export function isRemoved(process: ProcessView): boolean {
  return process.desired === 'removed' && (process.lost || (answersGoal(process) && process.observation === null));
}

/** Runs by arguments that were changed since: it has to be restarted. */
export function isOutdated(process: ProcessView): boolean {
  const { observation } = process;
  return observation !== null && observation.pid !== null && (observation.argumentsVersion ?? 0) < process.argumentsVersion;
}

/** Observed to run and listen since the present goal was given, by an agent that was heard of recently. */
export function isRunning(process: ProcessView, now: Date): boolean {
  return (
    process.desired === 'running' &&
    answersGoal(process) &&
    process.observation?.status === 'running' &&
    !isSilent(process.hostHeardAt, now)
  );
}
