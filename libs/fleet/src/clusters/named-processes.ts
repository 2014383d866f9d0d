import { posix } from 'node:path';
import { newObjectId, type ClusterType, type SelfManagedProcess } from '@atrest/contracts';
import { Refusal } from '../refusal.js';
import { dbPathOf, type PlacementHost } from './placement.js';
import { isLoopback, type ProcessDefinition } from './process-goal.js';

/** Arguments that Atrest gives itself: a second value would contradict the goal or hide the process from its agent. */
const OWN_ARGUMENTS = [
  'port',
  'dbpath',
  'replSet',
  'configsvr',
  'shardsvr',
  'configdb',
  'bind_ip',
  'bind_ip_all',
  'config',
  'f',
  'fork',
  'logpath',
  'pidfilepath',
  'syslog',
  'shutdown',
  'repair',
];

const invalid = (detail: string, ...parameters: string[]): Refusal => new Refusal('INVALID_CLUSTER_CONFIGURATION', detail, parameters);

function hostOf(process: SelfManagedProcess, hosts: readonly PlacementHost[], field: string): PlacementHost {
  const found = hosts.filter((host) => (process.hostId != null ? host.id === process.hostId : host.hostname === process.hostname));
  const named = process.hostId ?? process.hostname;
  if (named == null) throw new Refusal('MISSING_ATTRIBUTE', `${field} must name its host by hostId or hostname.`, [`${field}.hostId`]);
  const [host] = found;
  if (host === undefined) throw invalid(`${field}: no enrolled host is called ${named}.`, named);
  if (found.length > 1) throw invalid(`${field}: several hosts are called ${named}; name one by hostId.`, named);
  return host;
}

/** @param path of a process that Atrest creates: it may be deleted with its cluster, so it must lie where Atrest alone puts data. */
function checkPath(path: string, host: PlacementHost, adopted: boolean, field: string): string {
  const normal = posix.normalize(path).replace(/(.)\/+$/, '$1');
  if (!posix.isAbsolute(normal)) throw invalid(`${field}.dbPath must be absolute.`);
  if (!adopted && !normal.startsWith(`${posix.normalize(host.dataFolder).replace(/\/+$/, '')}/`)) {
    throw invalid(
      `${field}.dbPath must lie below the host's data folder ${host.dataFolder}; only an adopted process may have its data elsewhere.`,
    );
  }
  return normal;
}

export function checkArguments(args: readonly string[], adopted: boolean, field: string): readonly string[] {
  if (adopted) return args;
  // mongod takes a long name with one dash as well as with two.
  const own = args
    .map((arg) => arg.split('=')[0] as string)
    .find((arg) => arg.startsWith('-') && OWN_ARGUMENTS.includes(arg.replace(/^--?/, '')));
  if (own !== undefined) throw invalid(`${field}.extraArguments must not contain ${own}: Atrest sets it itself.`, own);
  return args;
}

/** The shape of the cluster that the processes make together. */
function checkShape(clusterType: ClusterType, processes: readonly ProcessDefinition[]): void {
  const setsOfKind = (kind: string) => new Set(processes.filter((process) => process.kind === kind).map((process) => process.replicaSet));
  const routers = processes.filter((process) => process.kind === 'mongos').length;
  if (clusterType === 'REPLICASET') {
    if (setsOfKind('mongod').size !== 1 || setsOfKind('config').size > 0 || routers > 0) {
      throw invalid('The processes of a REPLICASET are mongod of one replica set.');
    }
  } else if (setsOfKind('mongod').size === 0 || setsOfKind('config').size !== 1 || routers === 0) {
    throw invalid(
      'The processes of a sharded cluster are at least one mongos, one replica set of config servers and the mongod of its shards.',
    );
  }
  const ofConfig = setsOfKind('config');
  const shared = [...setsOfKind('mongod')].find((set) => ofConfig.has(set));
  if (shared != null) throw invalid(`The replica set ${shared} cannot be both shard and config servers.`, shared);
}

const MAX_VOTERS = 7;

/** What replSetInitiate would refuse again and again, long after the request was accepted. Adopted sets exist, so they fit. */
function checkSets(processes: readonly ProcessDefinition[]): void {
  for (const set of new Set(processes.map((process) => process.replicaSet))) {
    const members = processes.filter((process) => process.replicaSet === set);
    if (set === null || members.some((member) => member.adopted)) continue;
    if (members.some((member) => member.votes === 0 && member.priority > 0)) {
      throw invalid(`A member of the replica set ${set} without a vote must have priority 0.`, set);
    }
    const voters = members.filter((member) => member.votes > 0).length;
    if (voters > MAX_VOTERS) throw invalid(`The replica set ${set} has more than ${MAX_VOTERS} voting members.`, set);
    if (!members.some((member) => member.priority > 0)) throw invalid(`No member of the replica set ${set} could become primary.`, set);
    const onLoopback = members.filter((member) => isLoopback(member.hostname)).length;
    if (onLoopback > 0 && onLoopback < members.length) {
      throw invalid(`The replica set ${set} has members with loopback names and others: they could not reach each other.`, set);
    }
  }
}

function checkUnique(values: readonly (string | null)[], what: string): void {
  const seen = new Set<string>();
  for (const value of values) {
    if (value === null) continue;
    if (seen.has(value)) throw invalid(`${what} ${value} is named twice.`, value);
    seen.add(value);
  }
}

const overlap = (a: string, b: string): boolean => a === b || a.startsWith(`${b}/`) || b.startsWith(`${a}/`);

/**
 * No data path may lie within another one of its host: with the cluster that owns the outer one, the data of the inner one would be deleted. Hosts are
 * shared by projects, so this also keeps one project's processes out of another's data.
 */
function checkPathsApart(processes: readonly ProcessDefinition[], hosts: readonly PlacementHost[]): void {
  const used = new Map(hosts.map((host) => [host.id, [...host.usedPaths]]));
  for (const { dbPath, hostId, hostname } of processes) {
    const others = used.get(hostId);
    if (dbPath === null || others === undefined) continue;
    if (others.some((other) => overlap(dbPath, other))) {
      throw invalid(`The data path ${dbPath} of ${hostname} is used by another process, or lies within a used one, or around one.`, dbPath);
    }
    others.push(dbPath);
  }
}

/**
 * Processes that the user named, checked against the hosts they are to run on and against the processes that stay beside them. Answers the new ones.
 * @param others every other process of the cluster; only the ones in `staying` count for its shape
 * @throws {Refusal}
 */
export function namedProcesses(
  named: readonly SelfManagedProcess[],
  cluster: { readonly id: string; readonly clusterType: ClusterType },
  hosts: readonly PlacementHost[],
  others: readonly ProcessDefinition[] = [],
  staying: readonly ProcessDefinition[] = others,
): readonly ProcessDefinition[] {
  const members = new Map<string, number>();
  for (const { replicaSet, memberId } of others) members.set(replicaSet ?? '', Math.max(members.get(replicaSet ?? '') ?? 0, memberId + 1));
  const processes = named.map((process, index): ProcessDefinition => {
    const field = `selfManaged.processes[${index}]`;
    const host = hostOf(process, hosts, field);
    const adopted = process.adopted ?? false;
    const id = newObjectId();
    if (host.usedPorts.includes(process.port))
      throw invalid(`${field}: port ${process.port} of ${host.hostname} belongs to another process.`);
    if (process.kind !== 'mongos' && process.replicaSet == null) {
      throw new Refusal('MISSING_ATTRIBUTE', `${field}.replicaSet is missing.`, [`${field}.replicaSet`]);
    }
    if (process.kind === 'mongos' && (process.replicaSet != null || process.dbPath != null)) {
      throw invalid(`${field}: a mongos has neither replicaSet nor dbPath.`);
    }
    if (process.kind !== 'mongos' && adopted && process.dbPath == null) throw invalid(`${field}.dbPath is needed for an adopted process.`);
    const replicaSet = process.replicaSet ?? null;
    const memberId = members.get(replicaSet ?? '') ?? 0;
    members.set(replicaSet ?? '', memberId + 1);
    const arbiterOnly = process.arbiterOnly ?? false;
    const dbPath = process.dbPath == null ? dbPathOf(host.dataFolder, cluster.id, id) : checkPath(process.dbPath, host, adopted, field);
    return {
      id,
      hostId: host.id,
      hostname: host.hostname,
      kind: process.kind,
      replicaSet,
      memberId,
      priority: arbiterOnly ? 0 : (process.priority ?? (process.votes === 0 ? 0 : 1)),
      votes: process.votes ?? 1,
      arbiterOnly,
      port: process.port,
      dbPath: process.kind === 'mongos' ? null : dbPath,
      extraArguments: checkArguments(process.extraArguments ?? [], adopted, field),
      adopted,
    };
  });
  const together = [...staying, ...processes];
  checkUnique(
    together.map((process) => `${process.hostname}:${process.port}`),
    'The address',
  );
  checkUnique(
    together.map((process) => process.dbPath && `${process.hostname}:${process.dbPath}`),
    'The data path',
  );
  checkPathsApart(processes, hosts);
  checkShape(cluster.clusterType, together);
  checkSets(together);
  return processes;
}
