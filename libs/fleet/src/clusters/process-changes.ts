import { newObjectId, type ClusterDocument, type ClusterType, type SelfManagedProcess } from '@atrest/contracts';
import { isSilent } from '../hosts/host-liveness.js';
import { Refusal } from '../refusal.js';
import type { ClusterProcess } from './cluster-view.js';
import { checkArguments, namedProcesses } from './named-processes.js';
import { NoRoomError, placeMembers, shardName, type MemberRequest, type PlacementHost } from './placement.js';
import { addressOf, setsOf, type ProcessDefinition } from './process-goal.js';
import { checkSealable, placeable } from './sealable-hosts.js';
import { membersOf, type ShardSettings } from './settings/cluster-settings.js';
import { hasOwnArrangement, hasRights, type AccessSettings } from './settings/access-settings.js';
import { byName } from './settings/read-document.js';
import { unmaskArguments } from './settings/render-self-managed.js';

/** What an accepted change does to the processes of a cluster. */
export interface ProcessChanges {
  /** An adopted process is a member already; every other one joins. */
  readonly added: readonly (ProcessDefinition & { readonly joining: boolean })[];
  /** Ids. */
  readonly leaving: readonly string[];
  readonly rearranged: readonly { readonly id: string; readonly extraArguments: readonly string[] }[];
}

export interface ChangedCluster {
  readonly id: string;
  readonly name: string;
  readonly clusterType: ClusterType;
  readonly processes: readonly ClusterProcess[];
  readonly access: AccessSettings;
}

export const NO_CHANGES: ProcessChanges = { added: [], leaving: [], rearranged: [] };

export const changesNothing = (changes: ProcessChanges): boolean =>
  changes.added.length + changes.leaving.length + changes.rearranged.length === 0;

const MAX_VOTERS = 7;

const invalid = (detail: string, ...parameters: string[]): Refusal => new Refusal('INVALID_CLUSTER_CONFIGURATION', detail, parameters);

const SHARD_REMOVAL =
  'A shard cannot be removed: its data would have to be moved to the others first, which only the cluster itself can do and which may take days. ' +
  'Create a cluster with fewer shards and move the data, or keep the shard.';

const isElectable = (member: MemberRequest): boolean => member.priority > 0;

const staying = (processes: readonly ClusterProcess[]): ClusterProcess[] => processes.filter((process) => !process.leaving);

/**
 * A set never has more than seven voting members, not even while some replace others: members join before others leave.
 * @param set every process of the set that is or will be in its configuration
 */
function checkVoters(name: string, set: readonly ProcessDefinition[]): void {
  if (set.reduce((sum, member) => sum + member.votes, 0) <= MAX_VOTERS) return;
  throw invalid(
    `The replica set ${name} would have more than ${MAX_VOTERS} voting members while the change is made. ` +
      'Take members out first, and add others when the cluster is IDLE again.',
    name,
  );
}

function checkShardMayJoin(processes: readonly ClusterProcess[], access: AccessSettings): void {
  // A server takes changes of its cluster only from a user with rights.
  const guarded = hasRights(access) ? undefined : processes.find(hasOwnArrangement);
  if (guarded === undefined) return;
  throw invalid(
    `A shard cannot be added to a cluster with access control (${addressOf(guarded)} is started with it): its agents have no user there. ` +
      'Give them one as selfManaged.agentAccess, or add the shard with sh.addShard() yourself and name its processes in selfManaged.processes with adopted: true.',
    addressOf(guarded),
  );
}

const placing = <T>(place: () => T): T => {
  try {
    return place();
  } catch (error) {
    if (error instanceof NoRoomError) throw invalid(error.message, error.what);
    throw error;
  }
};

const join = (process: ProcessDefinition) => ({ ...process, joining: !process.adopted });

/** Who goes when a set shrinks: what is lost, then what is silent, then the youngest; the primary last, because it has to hand over first. */
function leaversOf(members: readonly ClusterProcess[], count: number, now: Date): ClusterProcess[] {
  const rank = (member: ClusterProcess): number =>
    member.lost ? 0 : isSilent(member.hostHeardAt, now) ? 1 : member.observation?.writable === true ? 3 : 2;
  return [...members].sort((a, b) => rank(a) - rank(b) || b.memberId - a.memberId).slice(0, count);
}

/** What a set needs to have the members that its shard is to have. */
function resized(
  cluster: ChangedCluster,
  set: { readonly name: string; readonly members: readonly ClusterProcess[] },
  shard: ShardSettings,
  hosts: readonly PlacementHost[],
  now: Date,
): ProcessChanges {
  const current = staying(set.members);
  const wanted = membersOf(shard);
  const leaving: ClusterProcess[] = [];
  const missing: MemberRequest[] = [];
  for (const electable of [true, false]) {
    const have = current.filter((member) => isElectable(member) === electable && !member.arbiterOnly);
    const want = wanted.filter((member) => isElectable(member) === electable);
    leaving.push(...leaversOf(have, Math.max(0, have.length - want.length), now));
    missing.push(...want.slice(have.length));
  }
  if (leaving.length === 0 && missing.length === 0) return NO_CHANGES;
  const adopted = set.members.find((member) => member.adopted);
  if (adopted !== undefined) {
    throw invalid(
      `The replica set ${set.name} existed before Atrest, so its members are not chosen here: name all processes of the cluster in selfManaged.processes.`,
      set.name,
    );
  }
  let voters = set.members.reduce((sum, member) => sum + member.votes, 0);
  const members = missing.map((member) => {
    // A member without a chance to become primary does without a vote where all are taken.
    const votes = isElectable(member) || voters < MAX_VOTERS ? member.votes : 0;
    voters += votes;
    return { ...member, votes };
  });
  const firstMemberId = Math.max(-1, ...set.members.map((member) => member.memberId)) + 1;
  const near = set.members[0] as ClusterProcess;
  const request = { clusterId: cluster.id, replicaSet: set.name, kind: 'mongod' as const, members, firstMemberId, existing: current, near };
  const added = placing(() => placeMembers(request, hosts)).map(join);
  if (added.length > 0) checkVoters(set.name, [...set.members, ...added]);
  return { added, leaving: leaving.map((member) => member.id), rearranged: [] };
}

/** Hosts with what was just placed on them. */
const occupied = (hosts: readonly PlacementHost[], placed: readonly ProcessDefinition[]): PlacementHost[] =>
  hosts.map((host) => {
    const here = placed.filter((process) => process.hostId === host.id);
    return { ...host, processes: host.processes + here.length, usedPorts: [...host.usedPorts, ...here.map((process) => process.port)] };
  });

/** What a new number of shards or nodes asks for. @throws {Refusal} */
export function changesByTopology(
  cluster: ChangedCluster,
  shards: readonly ShardSettings[],
  all: readonly PlacementHost[],
  now: Date,
): ProcessChanges {
  const hosts = placeable(cluster.access, all);
  const sets = [...setsOf(cluster.processes, 'mongod')].sort(byName);
  if (shards.length < sets.length) throw invalid(SHARD_REMOVAL);
  const added: (ProcessDefinition & { joining: boolean })[] = [];
  const leaving: string[] = [];
  shards.forEach((shard, index) => {
    const [name, members] = sets[index] ?? [shardName(cluster.name, index), []];
    if (members.length === 0) checkShardMayJoin(cluster.processes, cluster.access);
    const free = occupied(hosts, added);
    const changes =
      members.length > 0
        ? resized(cluster, { name, members }, shard, free, now)
        : { ...NO_CHANGES, added: placing(() => newShard(cluster, name, shard, free)).map(join) };
    added.push(...changes.added);
    leaving.push(...changes.leaving);
  });
  return { added, leaving, rearranged: [] };
}

function newShard(
  cluster: ChangedCluster,
  name: string,
  shard: ShardSettings,
  hosts: readonly PlacementHost[],
): readonly ProcessDefinition[] {
  const near = cluster.processes[0] as ClusterProcess;
  const request = { clusterId: cluster.id, replicaSet: name, kind: 'mongod' as const, firstMemberId: 0, existing: [], near };
  return placeMembers({ ...request, members: membersOf(shard) }, hosts);
}

const FIXED = ['kind', 'replicaSet', 'port', 'dbPath', 'adopted', 'priority', 'votes', 'arbiterOnly'] as const;

/** What is asked of a process that exists: other arguments, or nothing. @throws {Refusal} when it is asked to be another process */
function rearrangementOf(process: ClusterProcess, asked: SelfManagedProcess, field: string): readonly string[] | null {
  const other = FIXED.find((name) => asked[name] != null && asked[name] !== process[name]);
  const moved =
    (asked.hostId != null && asked.hostId !== process.hostId) || (asked.hostname != null && asked.hostname !== process.hostname);
  if (moved || other !== undefined) {
    throw invalid(
      `${field}: ${moved ? 'the host' : other} of ${addressOf(process)} cannot be changed. Leave the process out and name a new one without its id instead.`,
      addressOf(process),
    );
  }
  if (asked.extraArguments == null) return null;
  const args = unmaskArguments(asked.extraArguments, process.extraArguments);
  if (args === null) throw invalid(`${field}.extraArguments has a starred value that is not one of the process: send the value itself.`);
  if (JSON.stringify(args) === JSON.stringify(process.extraArguments)) return null;
  return checkArguments(args, process.adopted, field);
}

/** What a list of processes asks for. A process that is on its way out may be named or not. @throws {Refusal} */
export function changesByName(
  cluster: ChangedCluster,
  asked: NonNullable<NonNullable<ClusterDocument['selfManaged']>['processes']>,
  hosts: readonly PlacementHost[],
): ProcessChanges {
  const named = new Set<string>();
  const rearranged: ProcessChanges['rearranged'][number][] = [];
  const fresh: SelfManagedProcess[] = [];
  asked.forEach((process, index) => {
    const field = `selfManaged.processes[${index}]`;
    const known = cluster.processes.find((each) =>
      process.id != null
        ? each.id === process.id
        : (each.hostId === process.hostId || each.hostname === process.hostname) && each.port === process.port,
    );
    if (known === undefined) {
      if (process.id != null)
        throw invalid(`${field}: the cluster has no process with the id ${process.id}; a new one is named without.`, process.id);
      fresh.push(process);
      return;
    }
    if (named.has(known.id)) throw invalid(`${field}: the process ${addressOf(known)} is named twice.`, addressOf(known));
    named.add(known.id);
    if (known.leaving) return;
    const extraArguments = rearrangementOf(known, process, field);
    if (extraArguments !== null) rearranged.push({ id: known.id, extraArguments });
  });
  const stay = staying(cluster.processes).filter((process) => named.has(process.id));
  const leaving = staying(cluster.processes).filter((process) => !named.has(process.id));
  const added = fresh.length > 0 || leaving.length > 0 ? namedProcesses(fresh, cluster, hosts, cluster.processes, stay).map(join) : [];
  checkSetsGoOn(cluster, stay, added);
  checkArrangement(cluster, added, rearranged);
  checkSealable(cluster.access, added, hosts);
  return { added, leaving: leaving.map((process) => process.id), rearranged };
}

/** A process with another key file, or without one, could not speak with the others. */
function checkArrangement(cluster: ChangedCluster, added: readonly ProcessDefinition[], rearranged: ProcessChanges['rearranged']): void {
  if (
    !cluster.access.control ||
    ![...added, ...rearranged].some((process) => hasOwnArrangement(process) || ('adopted' in process && process.adopted))
  )
    return;
  throw invalid(
    'Atrest controls the access to this cluster: its processes cannot be started with --auth, --keyFile, --clusterAuthMode or --transitionToAuth of their own, ' +
      'and none that existed before Atrest can join them.',
  );
}

/** Sets are neither removed nor exchanged as a whole: somebody has to stay who has the data. */
function checkSetsGoOn(cluster: ChangedCluster, stay: readonly ClusterProcess[], added: readonly ProcessDefinition[]): void {
  for (const kind of ['mongod', 'config'] as const) {
    for (const [name, members] of setsOf(cluster.processes, kind)) {
      const kept = stay.filter((process) => process.replicaSet === name);
      const electable = kept.filter((process) => process.priority > 0 && process.votes > 0 && !process.arbiterOnly && !process.lost);
      if (kept.length === 0 && kind === 'mongod' && cluster.clusterType !== 'REPLICASET') throw invalid(SHARD_REMOVAL, name);
      if (electable.length === 0) {
        throw invalid(
          `At least one member of the replica set ${name} that can become primary must stay: the others get the data from it.`,
          name,
        );
      }
      const joining = added.filter((process) => process.replicaSet === name);
      if (joining.length > 0) checkVoters(name, [...members, ...joining]);
    }
  }
  const sets = new Set(cluster.processes.map((process) => process.replicaSet));
  if (added.some((process) => !process.adopted && process.kind === 'mongod' && !sets.has(process.replicaSet)))
    checkShardMayJoin(stay, cluster.access);
}

/**
 * The shards of a cluster whose processes were named anew: each has as many nodes as its set has members, taken from or given to the electable ones of its
 * first region.
 */
export function shardsOfProcesses(shards: readonly ShardSettings[], processes: readonly ProcessDefinition[]): ShardSettings[] {
  return [...setsOf(processes, 'mongod')].sort(byName).map(([, members], index) => {
    const known = shards[index];
    const shard = known ?? { ...(shards[0] as ShardSettings), id: newObjectId() };
    let surplus =
      members.length -
      shard.regions.reduce((sum, each) => sum + each.electable.nodeCount + each.readOnly.nodeCount + each.analytics.nodeCount, 0);
    const regions = shard.regions.map((region, position) => {
      const electable = Math.max(position === 0 ? 1 : 0, region.electable.nodeCount + surplus);
      surplus -= electable - region.electable.nodeCount;
      return electable === region.electable.nodeCount ? region : { ...region, electable: { ...region.electable, nodeCount: electable } };
    });
    return { ...shard, regions };
  });
}
