import type { ClusterType, EncryptionAtRestProvider, ProcessGoal, ProcessKind } from '@atrest/contracts';
import type { Desired } from './process-view.js';

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

/** The cluster as far as its processes are started by it. */
export interface ClusterDefinition {
  readonly id: string;
  readonly name: string;
  readonly clusterType: ClusterType;
  readonly encryptionAtRestProvider: EncryptionAtRestProvider;
}

const byMember = (a: ProcessDefinition, b: ProcessDefinition): number => a.memberId - b.memberId || (a.id < b.id ? -1 : 1);

const address = (process: ProcessDefinition): string => `${process.hostname}:${process.port}`;

/** Seed list of a set: `<set>/<host:port>,…` */
export function connectionOf(set: string, members: readonly ProcessDefinition[]): string {
  return `${set}/${members.map(address).join(',')}`;
}

/** The replica sets of one kind, by name, members in the order of their ids. */
export function setsOf(processes: readonly ProcessDefinition[], kind: ProcessKind): Map<string, ProcessDefinition[]> {
  const sets = new Map<string, ProcessDefinition[]>();
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

function replicaSetOf(
  cluster: ClusterDefinition,
  processes: readonly ProcessDefinition[],
  process: ProcessDefinition,
): ProcessGoal['replicaSet'] {
  if (process.replicaSet === null) return null;
  const members = setsOf(processes, process.kind).get(process.replicaSet) ?? [];
  // The first member that can become primary: an arbiter or a member without priority could not be stepped up.
  const leader = members.find((member) => member.priority > 0 && !member.arbiterOnly);
  return {
    name: process.replicaSet,
    role: process.kind === 'config' ? 'config' : cluster.clusterType === 'REPLICASET' ? 'plain' : 'shard',
    members: members.map((member) => ({
      id: member.memberId,
      host: address(member),
      priority: member.priority,
      votes: member.votes,
      arbiterOnly: member.arbiterOnly,
    })),
    leads: leader?.id === process.id,
  };
}

function routerOf(processes: readonly ProcessDefinition[], process: ProcessDefinition): ProcessGoal['router'] {
  if (process.kind !== 'mongos') return null;
  const [config] = setsOf(processes, 'config');
  const leader = processes.filter((each) => each.kind === 'mongos').sort(byMember)[0];
  return {
    configDB: config === undefined ? '' : connectionOf(...config),
    shards: [...setsOf(processes, 'mongod')].map(([name, members]) => ({ name, connection: connectionOf(name, members) })),
    leads: leader?.id === process.id,
  };
}

/**
 * The goal of one process, as its agent reads it. Depends only on what was defined and ordered, never on what was observed, so that a goal changes (and
 * with it the host's goal version) only when somebody wants something else.
 */
export function processGoal(
  cluster: ClusterDefinition,
  processes: readonly ProcessDefinition[],
  process: ProcessDefinition,
  order: { readonly desired: Desired; readonly reason: string | null },
): ProcessGoal {
  return {
    id: process.id,
    clusterId: cluster.id,
    clusterName: cluster.name,
    kind: process.kind,
    desired: order.desired,
    reason: order.reason,
    requiresKey: cluster.encryptionAtRestProvider !== 'NONE',
    // An adopted process keeps its data whatever happens to its cluster here: Atrest did not make it.
    deleteData: order.desired === 'removed' && !process.adopted,
    adopted: process.adopted,
    bindIp: bindIpOf(process.hostname),
    port: process.port,
    dbPath: process.dbPath,
    extraArguments: [...process.extraArguments],
    replicaSet: replicaSetOf(cluster, processes, process),
    router: routerOf(processes, process),
  };
}
