import type { ClusterState } from '@atrest/contracts';
import type { ClusterFact } from './cluster-state.js';
import { isRemoved, isRunning, isStopped, type ProcessView } from './process-view.js';

/** Every process runs, each replica set has a primary, each mongos answers. */
export function isReady(processes: readonly ProcessView[], now: Date): boolean {
  if (!processes.every((process) => isRunning(process, now))) return false;
  if (processes.some((process) => process.kind === 'mongos' && process.observation?.writable !== true)) return false;
  const sets = new Set(processes.flatMap((process) => process.replicaSet ?? []));
  const withPrimary = new Set(
    processes.filter((process) => process.observation?.writable === true).flatMap((process) => process.replicaSet ?? []),
  );
  return processes.length > 0 && [...sets].every((set) => withPrimary.has(set));
}

/**
 * What the observations say about the cluster as a whole, as a fact for {@link decide}; null while they say nothing.
 * Which fact to look for follows from the state, because 'all stopped' means nothing for a cluster that was not ordered to stop.
 */
export function observedFact(state: ClusterState, processes: readonly ProcessView[], now: Date): ClusterFact | null {
  if (state === 'CREATING' || state === 'UPDATING' || state === 'ENABLING') return isReady(processes, now) ? { kind: 'all-ready' } : null;
  if (state === 'DISABLING') return processes.every(isStopped) ? { kind: 'all-stopped' } : null;
  if (state === 'DELETING') return processes.every(isRemoved) ? { kind: 'all-removed' } : null;
  return null;
}
