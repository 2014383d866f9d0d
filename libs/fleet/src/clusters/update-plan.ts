import { isSilent } from '../hosts/host-liveness.js';
import type { ClusterProcess } from './cluster-view.js';
import { desiredProcesses, LEFT, targetOf, type ClusterOrder, type DesiredProcess } from './desired-processes.js';
import { addressOf, type ProcessOrder } from './process-goal.js';
import { answersGoal, isOutdated, isRunning, isStopped } from './process-view.js';

/**
 * A primary that was ordered to step down and has not is stopped all the same after this: a server hands its role over by itself when it is stopped, only
 * more slowly (measured: a second). Longer than the ten seconds a step-down may take.
 */
export const YIELD_LIMIT_MS = 30_000;

const MEMBER_STATES = new Set(['PRIMARY', 'SECONDARY', 'ARBITER']);

const isMember = (process: ClusterProcess): boolean => MEMBER_STATES.has(process.observation?.memberState ?? '');
const isPrimary = (process: ClusterProcess, now: Date): boolean => isRunning(process, now) && process.observation?.writable === true;

/** Replica sets by name, and the routers together: what changes step by step, each for itself. */
function groupsOf(processes: readonly ClusterProcess[]): ClusterProcess[][] {
  const groups = new Map<string, ClusterProcess[]>();
  for (const process of processes) {
    const key = process.replicaSet ?? '';
    groups.set(key, [...(groups.get(key) ?? []), process]);
  }
  return [...groups.values()];
}

/** The set's configuration as its primary reports it; null while no primary answered the present goal. */
function configurationOf(group: readonly ClusterProcess[], now: Date) {
  const primary = group.find((process) => isPrimary(process, now) && answersGoal(process) && process.observation?.setMembers !== undefined);
  const members = primary?.observation?.setMembers;
  // A set whose members have other names than here cannot be compared: nothing follows from a name that is missing.
  return primary !== undefined && members?.some((member) => member.host === addressOf(primary)) ? members : null;
}

/** Whether a process that joins has arrived: as a member with the votes and the priority it is to have, as a router, or as a part of a new shard. */
export function hasJoined(process: ClusterProcess, processes: readonly ClusterProcess[], now: Date): boolean {
  if (!isRunning(process, now)) return false;
  if (process.kind === 'mongos') return process.observation?.writable === true;
  const group = processes.filter((each) => each.replicaSet === process.replicaSet);
  if (group.every((each) => each.joining)) {
    const known = processes.some((each) => each.kind === 'mongos' && each.observation?.shards?.includes(process.replicaSet ?? '') === true);
    return known && isMember(process);
  }
  const configured = configurationOf(group, now)?.find((member) => member.host === addressOf(process));
  return (
    isMember(process) &&
    configured !== undefined &&
    (configured.votes ?? process.votes) === process.votes &&
    (configured.priority ?? process.priority) === process.priority
  );
}

/** Whether nobody counts on a process any more, so that it may be stopped for good. */
function hasLeft(process: ClusterProcess, group: readonly ClusterProcess[], now: Date): boolean {
  if (process.desired === 'removed') return true;
  if (process.kind === 'mongos') return group.some((each) => !each.leaving && isPrimary(each, now));
  const configuration = configurationOf(group, now);
  if (configuration === null || configuration.some((member) => member.host === addressOf(process))) return false;
  return isSilent(process.hostHeardAt, now) || process.lost || !isMember(process);
}

/** The member or router that is stopped next so that it starts with its new arguments; its `yields` half comes first where it is the primary. */
function nextRestart(
  group: readonly ClusterProcess[],
  now: Date,
): { readonly process: ClusterProcess; readonly order: 'stop' | 'yield' } | null {
  const present = group.filter((process) => !process.lost);
  const outdated = present.filter(isOutdated).sort((a, b) => b.memberId - a.memberId);
  const isSet = group[0]?.kind !== 'mongos';
  const isWhole =
    present.every((process) => isRunning(process, now) && (!isSet || isMember(process) || process.observation?.writable === true)) &&
    present.some((process) => isPrimary(process, now));
  if (outdated.length === 0 || !isWhole) return null;
  const [next] = isSet ? [...outdated.filter((process) => !isPrimary(process, now)), ...outdated] : outdated;
  if (next === undefined) return null;
  if (!isSet || !isPrimary(next, now)) return { process: next, order: 'stop' };
  const canTakeOver = present.some(
    (process) => process !== next && process.observation?.memberState === 'SECONDARY' && process.priority > 0 && process.votes > 0,
  );
  const waited = next.yieldsSince !== null && Math.abs(now.getTime() - next.yieldsSince.getTime()) >= YIELD_LIMIT_MS;
  return { process: next, order: canTakeOver && !waited ? 'yield' : 'stop' };
}

function planGroup(group: readonly ClusterProcess[], base: ReadonlyMap<string, DesiredProcess>, now: Date): Map<string, ProcessOrder> {
  const orders = new Map<string, ProcessOrder>();
  const give = (process: ClusterProcess, change: Partial<ProcessOrder> = {}): void => {
    const desired = base.get(process.id) ?? { desired: process.desired, reason: null, mayStart: true };
    orders.set(process.id, { ...desired, yields: false, ...change });
  };
  const stopped = { desired: 'stopped', reason: 'It is restarted with changed arguments.' } as const;
  const joining = group.some((process) => process.joining && !process.leaving);
  const leaving = group.filter((process) => process.leaving);
  const restarting = group.filter((process) => process.desired === 'stopped' && !process.lost);
  for (const process of group) give(process);
  for (const process of leaving) {
    if (!joining && hasLeft(process, group, now)) give(process, { desired: 'removed', reason: LEFT });
    else give(process, { yields: !joining && process.kind !== 'mongos' });
  }
  for (const process of restarting) if (!process.leaving && !isStopped(process)) give(process, stopped);
  if (joining || leaving.length > 0 || restarting.length > 0) return orders;
  const next = nextRestart(group, now);
  if (next !== null) give(next.process, next.order === 'stop' ? stopped : { yields: true });
  return orders;
}

/**
 * The next step of every process towards what its cluster is to be. Members join before others leave, and nothing is restarted meanwhile; of a replica set one
 * member at a time is restarted, its primary last; a step is taken only when the one before is seen to be over. Decided from what is ordered, wanted and
 * observed, again at every look, so that nothing depends on an answer that was lost.
 */
export function planProcesses(order: ClusterOrder, processes: readonly ClusterProcess[], now: Date): Map<string, ProcessOrder> {
  const base = desiredProcesses(order, processes, now);
  const orders = new Map<string, ProcessOrder>([...base].map(([id, desired]) => [id, { ...desired, yields: false }]));
  // While a cluster starts, nothing that runs is touched: first it serves, then it changes.
  if (order.state !== 'UPDATING' || targetOf(order) !== 'running') return orders;
  for (const group of groupsOf(processes)) for (const [id, each] of planGroup(group, base, now)) orders.set(id, each);
  return orders;
}
