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
}

/** The agent has answered the present goal: what it reported before says nothing about whether the goal is reached. */
const answersGoal = (process: ProcessView): boolean =>
  process.reportedGoalVersion !== null && process.reportedGoalVersion >= process.goalVersion;

/**
 * Observed to be stopped since the present goal was given. A silent host counts with its last word: a process that was stopped then is not
 * started by its agent without the control plane, and nothing better can be known.
 */
export function isStopped(process: ProcessView): boolean {
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
  return process.desired === 'removed' && answersGoal(process) && process.observation === null;
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
