import type { ProcessKind, ProcessObservation } from '@atrest/contracts';
import type { ClusterProcess } from '../clusters/cluster-view.js';

export const START = new Date('2026-11-23T10:00:00.000Z');
export const after = (ms: number): Date => new Date(START.getTime() + ms);

export function observation(id: string, change: Partial<ProcessObservation> = {}): ProcessObservation {
  const status = change.status ?? 'running';
  return {
    id,
    status,
    pid: status === 'stopped' || status === 'failed' ? null : 4711,
    since: START.toISOString(),
    version: '8.0.4',
    memberState: null,
    writable: false,
    exitCode: null,
    exitSignal: null,
    error: null,
    lastLogLines: [],
    stopOverdueSince: null,
    startedByHandAt: null,
    ...change,
  };
}

let counter = 0;
export const id = (): string => (counter += 1).toString(16).padStart(24, '0');

/** A process that runs and was heard of at {@link START}. */
export function processView(kind: ProcessKind, change: Partial<ClusterProcess> = {}): ClusterProcess {
  const own = change.id ?? id();
  return {
    id: own,
    hostId: id(),
    hostname: `${kind}.example`,
    port: 27017,
    kind,
    replicaSet: kind === 'mongos' ? null : kind === 'config' ? 'configs' : 'data',
    desired: 'running',
    desiredSince: START,
    goalVersion: 1,
    observation: observation(own, { writable: kind === 'mongos' }),
    reportedGoalVersion: 1,
    hostHeardAt: START,
    memberId: 0,
    priority: 1,
    votes: 1,
    arbiterOnly: false,
    dbPath: kind === 'mongos' ? null : `/data/${own}`,
    extraArguments: [],
    adopted: false,
    joining: false,
    leaving: false,
    lost: false,
    yieldsSince: null,
    argumentsVersion: 0,
    ...change,
  };
}
