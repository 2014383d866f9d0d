import { posix } from 'node:path';
import { newObjectId, type ClusterType } from '@atrest/contracts';
import { isLoopback, type ProcessDefinition } from './process-goal.js';

/** A host as placement sees it. */
export interface PlacementHost {
  readonly id: string;
  readonly hostname: string;
  readonly dataFolder: string;
  readonly portFirst: number;
  readonly portLast: number;
  readonly capacity: number;
  readonly allowsColocation: boolean;
  /** Ports taken by processes that are already placed here. */
  readonly usedPorts: readonly number[];
  /** Data paths of processes that are already placed here. */
  readonly usedPaths: readonly string[];
  /** How many processes are already placed here. */
  readonly processes: number;
  /** Members of a cluster are placed only where an agent answers. */
  readonly silent: boolean;
  /** Secrets can be sealed for it. */
  readonly sealable: boolean;
}

/** One member of a replica set that has to be placed. */
export interface MemberRequest {
  readonly priority: number;
  readonly votes: number;
}

/** What a cluster needs: the members of each shard (one entry for a plain replica set). */
export interface PlacementRequest {
  readonly clusterId: string;
  readonly clusterName: string;
  readonly clusterType: ClusterType;
  readonly shards: readonly (readonly MemberRequest[])[];
}

/** Thrown when the hosts have no room for the cluster. */
export class NoRoomError extends Error {
  readonly code = 'FLEET.NO_ROOM';

  constructor(
    /** Which process found no place, e.g. `member 2 of replica set orders`. */
    readonly what: string,
    readonly hosts: number,
  ) {
    super(
      `No enrolled host has room for ${what}. ${hosts} host(s) are enrolled and heard of; a host takes one member of a replica set unless it allows colocation.`,
    );
    this.name = 'NoRoomError';
  }
}

/** Config servers: three, as every production set; one would make the whole cluster hang on one process. */
const CONFIG_SERVERS = 3;
const ROUTERS = 2;

/** Mutable view of a host while one cluster is placed. */
interface Slot {
  readonly host: PlacementHost;
  readonly usedPorts: Set<number>;
  free: number;
  ofCluster: number;
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function freePort(slot: Slot): number | null {
  for (let port = slot.host.portFirst; port <= slot.host.portLast; port += 1) {
    if (!slot.usedPorts.has(port)) return port;
  }
  return null;
}

class Placement {
  private readonly slots: Slot[];
  private readonly placed: ProcessDefinition[] = [];

  constructor(
    private readonly clusterId: string,
    hosts: readonly PlacementHost[],
  ) {
    this.slots = hosts
      .filter((host) => !host.silent)
      .map((host) => ({ host, usedPorts: new Set(host.usedPorts), free: host.capacity - host.processes, ofCluster: 0 }));
  }

  /** Members of one set: as few as possible on one host, then the host with fewest processes of this cluster, then the emptiest. */
  private best(together: ReadonlyMap<string, number>): Slot | undefined {
    return this.slots
      .filter((slot) => slot.free > 0 && freePort(slot) !== null)
      .filter((slot) => slot.host.allowsColocation || !together.has(slot.host.id))
      .sort(
        (a, b) =>
          (together.get(a.host.id) ?? 0) - (together.get(b.host.id) ?? 0) ||
          a.ofCluster - b.ofCluster ||
          b.free - a.free ||
          compareText(a.host.hostname, b.host.hostname) ||
          compareText(a.host.id, b.host.id),
      )[0];
  }

  private put(
    slot: Slot,
    process: Omit<ProcessDefinition, 'id' | 'hostId' | 'hostname' | 'port' | 'dbPath' | 'extraArguments' | 'adopted'>,
  ): void {
    const port = freePort(slot) as number;
    const id = newObjectId();
    slot.usedPorts.add(port);
    slot.free -= 1;
    slot.ofCluster += 1;
    this.placed.push({
      ...process,
      id,
      hostId: slot.host.id,
      hostname: slot.host.hostname,
      port,
      dbPath: process.kind === 'mongos' ? null : dbPathOf(slot.host.dataFolder, this.clusterId, id),
      extraArguments: [],
      adopted: false,
    });
  }

  /** @param existing hosts of the members that the set has already, one entry per member */
  set(name: string, kind: 'mongod' | 'config', members: readonly MemberRequest[], existing: readonly string[] = [], firstId = 0): void {
    const together = new Map<string, number>();
    for (const hostId of existing) together.set(hostId, (together.get(hostId) ?? 0) + 1);
    members.forEach((member, index) => {
      const memberId = firstId + index;
      const slot = this.best(together);
      if (slot === undefined) throw new NoRoomError(`member ${memberId} of replica set ${name}`, this.slots.length);
      together.set(slot.host.id, (together.get(slot.host.id) ?? 0) + 1);
      this.put(slot, { kind, replicaSet: name, memberId, priority: member.priority, votes: member.votes, arbiterOnly: false });
    });
  }

  /** A second router on the same host would serve nobody, so it is left out rather than colocated. */
  routers(count: number): void {
    const together = new Map<string, number>();
    for (let index = 0; index < count; index += 1) {
      const slot = this.best(together);
      if (slot === undefined || together.has(slot.host.id)) {
        if (index === 0) throw new NoRoomError('a mongos', this.slots.length);
        return;
      }
      together.set(slot.host.id, 1);
      this.put(slot, { kind: 'mongos', replicaSet: null, memberId: index, priority: 0, votes: 0, arbiterOnly: false });
    }
  }

  get result(): readonly ProcessDefinition[] {
    return this.placed;
  }
}

/** The replica set of a shard that Atrest places. */
export const shardName = (clusterName: string, index: number): string => `${clusterName}-shard-${index}`;

/** Where the data of a process that Atrest creates lies. */
export function dbPathOf(dataFolder: string, clusterId: string, processId: string): string {
  return posix.join(dataFolder, clusterId, processId);
}

/**
 * Places a cluster's processes on hosts with room. Replica set members are spread; several share a host only where the host allows it.
 * Pure but for the new ids.
 * @throws {NoRoomError} when a process finds no place; nothing is placed then.
 */
export function place(request: PlacementRequest, hosts: readonly PlacementHost[]): readonly ProcessDefinition[] {
  // The processes of one cluster all reach each other, or none of them leaves the machine.
  const local = hosts.filter((host) => isLoopback(host.hostname));
  if (local.length === 0 || local.length === hosts.length) return placeOn(request, hosts);
  const others = hosts.filter((host) => !isLoopback(host.hostname));
  try {
    return placeOn(request, others);
  } catch (error) {
    if (!(error instanceof NoRoomError)) throw error;
    return placeOn(request, local);
  }
}

/**
 * Places further members of a replica set, or a further set, of a cluster that exists: on the loopback where `near` is, else never there.
 * @throws {NoRoomError} when one finds no place; none is placed then.
 */
export function placeMembers(
  request: {
    readonly clusterId: string;
    readonly replicaSet: string;
    readonly kind: 'mongod' | 'config';
    readonly members: readonly MemberRequest[];
    readonly firstMemberId: number;
    readonly existing: readonly Pick<ProcessDefinition, 'hostId'>[];
    readonly near: Pick<ProcessDefinition, 'hostname'>;
  },
  hosts: readonly PlacementHost[],
): readonly ProcessDefinition[] {
  const placement = new Placement(
    request.clusterId,
    hosts.filter((host) => isLoopback(host.hostname) === isLoopback(request.near.hostname)),
  );
  const hostIds = request.existing.map((process) => process.hostId);
  placement.set(request.replicaSet, request.kind, request.members, hostIds, request.firstMemberId);
  return placement.result;
}

function placeOn(request: PlacementRequest, hosts: readonly PlacementHost[]): readonly ProcessDefinition[] {
  const placement = new Placement(request.clusterId, hosts);
  if (request.clusterType === 'REPLICASET') {
    placement.set(request.clusterName, 'mongod', request.shards[0] ?? []);
    return placement.result;
  }
  placement.set(
    `${request.clusterName}-config`,
    'config',
    Array.from({ length: CONFIG_SERVERS }, () => ({ priority: 1, votes: 1 })),
  );
  request.shards.forEach((members, index) => placement.set(shardName(request.clusterName, index), 'mongod', members));
  placement.routers(ROUTERS);
  return placement.result;
}
