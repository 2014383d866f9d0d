import type { ClusterFact } from './cluster-state.js';
import type { ClusterOrder } from './desired-processes.js';
import { isOutdated, isRemoved, isRunning, isServing, isStopped, type ProcessView } from './process-view.js';

/** Every process that carries the cluster runs, each replica set has a primary, each mongos answers. */
export function isReady(processes: readonly ProcessView[], now: Date): boolean {
  const serving = processes.filter(isServing);
  if (!serving.every((process) => isRunning(process, now))) return false;
  if (serving.some((process) => process.kind === 'mongos' && process.observation?.writable !== true)) return false;
  const sets = new Set(serving.flatMap((process) => process.replicaSet ?? []));
  const withPrimary = new Set(
    processes.filter((process) => process.observation?.writable === true).flatMap((process) => process.replicaSet ?? []),
  );
  return serving.length > 0 && [...sets].every((set) => withPrimary.has(set));
}

/** Every accepted change of the processes is carried out. */
export const isSettled = (processes: readonly ProcessView[]): boolean =>
  processes.every((process) => !process.joining && !process.leaving && (process.lost || !isOutdated(process)));

const isDown = (process: ProcessView): boolean => isStopped(process) || isRemoved(process);

/**
 * What the observations say about the cluster as a whole, as a fact for {@link decide}; null while they say nothing.
 * Which fact to look for follows from the order, because 'all stopped' means nothing for a cluster that was not ordered to stop.
 */
export function observedFact(
  order: Pick<ClusterOrder, 'state' | 'paused'>,
  processes: readonly ProcessView[],
  now: Date,
): ClusterFact | null {
  switch (order.state) {
    case 'CREATING':
    case 'UPDATING':
    case 'ENABLING':
      if (order.paused) return processes.every(isDown) ? { kind: 'all-stopped' } : null;
      if (!isReady(processes, now)) return null;
      return { kind: isSettled(processes) ? 'all-ready' : 'all-serving' };
    case 'DISABLING':
      return processes.every(isDown) ? { kind: 'all-stopped' } : null;
    case 'DELETING':
      return processes.every(isRemoved) ? { kind: 'all-removed' } : null;
    case 'IDLE':
    case 'DISABLED':
    case 'RESTORING':
      return null;
  }
}
