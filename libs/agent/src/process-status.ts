import { resolve } from 'node:path';
import type { ProcessGoal, ProcessObservation } from '@atrest/contracts';
import { overlap } from './data-path.js';

export type ProcessStatus = ProcessObservation['status'];

/** The facts that the reported status follows from. */
export interface StatusFacts {
  readonly desired: ProcessGoal['desired'];
  /** False until the first look: what is there is not known, and is not reported as stopped. */
  readonly looked: boolean;
  readonly present: boolean;
  /** A start is being carried out at this moment: reporting `stopped` now would be a promise that the next millisecond breaks. */
  readonly beginning: boolean;
  readonly ready: boolean;
  readonly stopping: boolean;
  /** The last run or start ended without an order to do so. */
  readonly failed: boolean;
}

/** The one word for what a process does. */
export function statusOf(facts: StatusFacts): ProcessStatus {
  if (facts.present) {
    if (facts.stopping) return 'stopping';
    return facts.ready ? 'running' : 'starting';
  }
  if (!facts.looked) return facts.desired === 'running' ? 'starting' : 'stopping';
  if (facts.beginning) return 'starting';
  return facts.failed && facts.desired === 'running' ? 'failed' : 'stopped';
}

function holdsDataOf(goal: ProcessGoal, other: ProcessGoal): boolean {
  return other.id !== goal.id && goal.dbPath !== null && other.dbPath !== null && overlap(resolve(goal.dbPath), resolve(other.dbPath));
}

/**
 * Processes of one goal that would use the same data path or port, by id: the later ones are not touched, since whatever was done to one would be done to
 * the other. Nor is one whose data is to be removed where another one's data lies.
 */
export function conflictingProcesses(processes: readonly ProcessGoal[]): Map<string, string> {
  const owners = new Map<string, string>();
  const conflicts = new Map<string, string>();
  for (const goal of processes) {
    for (const resource of [...(goal.dbPath === null ? [] : [`data path ${goal.dbPath}`]), `port ${goal.port}`]) {
      const owner = owners.get(resource);
      if (owner === undefined) owners.set(resource, goal.id);
      else if (!conflicts.has(goal.id)) conflicts.set(goal.id, `The goal gives ${resource} to process ${owner} too.`);
    }
    const other = goal.desired === 'removed' && goal.deleteData ? processes.find((each) => holdsDataOf(goal, each)) : undefined;
    if (other && !conflicts.has(goal.id))
      conflicts.set(goal.id, `With its data path ${goal.dbPath} the data of process ${other.id} would be removed.`);
  }
  return conflicts;
}
