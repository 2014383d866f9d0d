import type { ClusterType, EncryptionAtRestProvider, ProcessGoal, ProcessKind, ReplicaSetChanges } from '@atrest/contracts';
import type { Desired } from './process-view.js';

/** What a process is ordered to be. */
export interface ProcessOrder {
  readonly desired: Desired;
  /** For the agent's log; null for a running process. */
  readonly reason: string | null;
  /** False while it still runs only because its turn to stop has not come: found stopped, it stays so. */
  readonly mayStart: boolean;
  /** It has to let another member be primary. */
  readonly yields: boolean;
}

/** What a process is started with: the part that does not change with the state of its cluster. */
export interface ProcessDefinition {
  readonly id: string;
  readonly hostId: string;
  readonly hostname: string;
  readonly kind: ProcessKind;
  /** Null for mongos. */
  readonly replicaSet: string | null;
  /** `_id` of the member in its replica set; 0 for mongos. */
  readonly memberId: number;
  readonly priority: number;
  readonly votes: number;
  readonly arbiterOnly: boolean;
  readonly port: number;
  /** Null for mongos. */
  readonly dbPath: string | null;
  readonly extraArguments: readonly string[];
  /** The process existed before Atrest. */
  readonly adopted: boolean;
}

/** A process of a cluster, with how it stands to the others at present. */
export interface OrderedProcess extends ProcessDefinition {
  readonly desired: Desired;
  readonly joining: boolean;
  readonly leaving: boolean;
  readonly lost: boolean;
  readonly argumentsVersion: number;
}

/** The cluster as far as its processes are started by it. */
export interface ClusterDefinition {
  readonly id: string;
  readonly name: string;
  readonly clusterType: ClusterType;
  readonly encryptionAtRestProvider: EncryptionAtRestProvider;
  /** How agents get in, sealed for each host; absent where nobody asks. */
  readonly access?: ReadonlyMap<string, string>;
}

const byMember = (a: ProcessDefinition, b: ProcessDefinition): number => a.memberId - b.memberId || (a.id < b.id ? -1 : 1);

/** How its replica set and its clients name a process. */
export const addressOf = (process: Pick<ProcessDefinition, 'hostname' | 'port'>): string => `${process.hostname}:${process.port}`;

/** Seed list of a set: `<set>/<host:port>,…` */
export function connectionOf(set: string, members: readonly ProcessDefinition[]): string {
  return `${set}/${members.map(addressOf).join(',')}`;
}

/** The replica sets of one kind, by name, members in the order of their ids. */
export function setsOf<P extends ProcessDefinition>(processes: readonly P[], kind: ProcessKind): Map<string, P[]> {
  const sets = new Map<string, P[]>();
  for (const process of [...processes].sort(byMember)) {
    if (process.kind !== kind || process.replicaSet === null) continue;
    sets.set(process.replicaSet, [...(sets.get(process.replicaSet) ?? []), process]);
  }
  return new Map([...sets].sort(([a], [b]) => (a < b ? -1 : 1)));
}

const LOOPBACK = new Set(['localhost', '127.0.0.1', '::1']);

/** A name under which only the machine itself reaches the process: mongod refuses a set that has such names and others. */
export const isLoopback = (hostname: string): boolean => LOOPBACK.has(hostname);

/** Loopback always, so that the agent reaches its processes; the host's own name where others must reach them. */
const bindIpOf = (hostname: string): string => (isLoopback(hostname) ? '127.0.0.1' : `127.0.0.1,${hostname}`);

/** What has left its set is no part of it. */
const isOut = (process: OrderedProcess): boolean => process.leaving && process.desired === 'removed';

/** The processes that others reach their set or cluster by: not the ones on their way in or out, unless all of the set are new. */
export function reachable<P extends OrderedProcess>(processes: readonly P[]): P[] {
  return processes.filter((process) => {
    if (process.leaving || process.lost) return false;
    return (
      !process.joining || processes.every((each) => each.replicaSet !== process.replicaSet || each.kind !== process.kind || each.joining)
    );
  });
}

const memberOf = (process: ProcessDefinition): ReplicaSetChanges['joining'][number] => ({
  id: process.memberId,
  host: addressOf(process),
  priority: process.priority,
  votes: process.votes,
  arbiterOnly: process.arbiterOnly,
});

function replicaSetOf(
  cluster: ClusterDefinition,
  processes: readonly OrderedProcess[],
  process: OrderedProcess,
  yields: boolean,
): ProcessGoal['replicaSet'] {
  if (process.replicaSet === null) return null;
  const all = (setsOf(processes, process.kind).get(process.replicaSet) ?? []).filter((each) => !isOut(each));
  // All members of a set that does not exist yet make it together.
  const isNew = all.every((member) => member.joining);
  const members = isNew ? all : all.filter((member) => !member.joining);
  // The first member that can become primary: an arbiter or a member without priority could not be stepped up.
  const leader = members.find((member) => member.priority > 0 && !member.arbiterOnly && !member.leaving && !member.lost);
  const changes: ReplicaSetChanges = {
    joining: isNew ? [] : all.filter((member) => member.joining && !member.leaving).map(memberOf),
    leaving: all.filter((member) => member.leaving).map(addressOf),
    yields,
  };
  const changed = changes.joining.length > 0 || changes.leaving.length > 0 || yields;
  return {
    name: process.replicaSet,
    role: process.kind === 'config' ? 'config' : cluster.clusterType === 'REPLICASET' ? 'plain' : 'shard',
    members: members.map(memberOf),
    leads: leader?.id === process.id,
    ...(changed && { changes }),
  };
}

function routerOf(processes: readonly OrderedProcess[], process: OrderedProcess): ProcessGoal['router'] {
  if (process.kind !== 'mongos') return null;
  const others = reachable(processes);
  const [config] = setsOf(others, 'config');
  const leader = others.filter((each) => each.kind === 'mongos').sort(byMember)[0];
  return {
    configDB: config === undefined ? '' : connectionOf(...config),
    shards: [...setsOf(others, 'mongod')].map(([name, members]) => ({ name, connection: connectionOf(name, members) })),
    leads: leader?.id === process.id,
  };
}

/**
 * The goal of one process, as its agent reads it. Depends only on what was defined and ordered, never on what was observed, so that a goal changes (and
 * with it the host's goal version) only when somebody wants something else.
 */
export function processGoal(
  cluster: ClusterDefinition,
  processes: readonly OrderedProcess[],
  process: OrderedProcess,
  order: ProcessOrder,
): ProcessGoal {
  const sealed = cluster.access?.get(process.hostId);
  return {
    id: process.id,
    clusterId: cluster.id,
    clusterName: cluster.name,
    kind: process.kind,
    desired: order.desired,
    reason: order.reason,
    ...(!order.mayStart && { mayStart: false }),
    requiresKey: cluster.encryptionAtRestProvider !== 'NONE',
    // An adopted process keeps its data whatever happens to its cluster here: Atrest did not make it. So does one that only leaves its cluster.
    deleteData: order.desired === 'removed' && !process.adopted && !process.leaving,
    adopted: process.adopted,
    bindIp: bindIpOf(process.hostname),
    port: process.port,
    dbPath: process.dbPath,
    extraArguments: [...process.extraArguments],
    ...(process.argumentsVersion > 0 && { argumentsVersion: process.argumentsVersion }),
    replicaSet: replicaSetOf(cluster, processes, process, order.yields),
    router: routerOf(processes, process),
    ...(sealed !== undefined && { access: { sealed } }),
  };
}
