import type { BackupFailure, BackupJob, SealingPublicKey, SnapshotPart, SyncSource } from '@atrest/contracts';
import { isSilent } from '../hosts/host-liveness.js';
import type { ClusterProcess } from '../clusters/cluster-view.js';
import { addressOf, setsOf } from '../clusters/process-goal.js';
import type { ChosenHost } from './backup-task.js';

/** What a host has for work on snapshots. */
export interface BackupHost {
  readonly id: string;
  readonly hostname: string;
  readonly lastHeardAt: Date | null;
  readonly snapshotStore: string | null;
  readonly sealingKey: SealingPublicKey | null;
  /** Unfinished tasks that it has. */
  readonly busy: number;
}

export type Choice = { readonly kind: 'chosen'; readonly host: ChosenHost } | { readonly kind: 'none'; readonly failure: BackupFailure };

const none = (code: BackupFailure['code'], detail: string): Extract<Choice, { readonly kind: 'none' }> => ({
  kind: 'none',
  failure: { code, detail: detail.slice(0, 2_000) },
});

/** An agent without a sealing key can be given no key; agents that keep snapshots have one. */
const canWork = (host: BackupHost, job: BackupJob): boolean =>
  host.snapshotStore !== null && (job.provider === 'NONE' || host.sealingKey !== null);

const isHeld = (process: ClusterProcess): boolean => process.observation?.heldForBackup !== undefined;

type TakeSnapshot = Extract<BackupJob, { kind: 'take-snapshot' }>;

/**
 * The member that is copied, in the order of Atlas: one whose copy can be incremental first (the one copied last), then the lowest priority, then the name.
 * Never an arbiter, and never one that its agent does not report as running just now.
 */
export function chooseSource(
  job: TakeSnapshot,
  cluster: { readonly name: string; readonly processes: readonly ClusterProcess[] },
  hosts: ReadonlyMap<string, BackupHost>,
  now: Date,
): Choice {
  const members = cluster.processes.filter((process) => process.kind !== 'mongos' && !process.arbiterOnly);
  // A set of one member has no secondary to wait for.
  const source: SyncSource = job.source.kind === 'secondary' && members.length === 1 ? { kind: 'primary' } : job.source;
  const unfit = new Map(members.map((process) => [process, whyUnfit(process, source, now)]));
  const fit = members.filter((process) => unfit.get(process) === null);
  if (fit.length === 0) {
    const reasons = members.map((process) => `${addressOf(process)} ${unfit.get(process)}`).join(', ');
    return none('NO_SOURCE', `${wanted(source, cluster.name)} can be copied now: ${reasons || 'it has no members'}.`);
  }
  const equipped = fit.filter((process) => {
    const host = hosts.get(process.hostId);
    return host !== undefined && canWork(host, job);
  });
  const [first] = equipped.toSorted(
    (a, b) =>
      // What another backup still holds may be let go of in time; a member that nobody holds need not.
      Number(isHeld(a)) - Number(isHeld(b)) ||
      Number(addressOf(a) === job.avoidMember) - Number(addressOf(b) === job.avoidMember) ||
      Number(addressOf(b) === job.preferredMember) - Number(addressOf(a) === job.preferredMember) ||
      a.priority - b.priority ||
      addressOf(a).localeCompare(addressOf(b), 'en') ||
      a.id.localeCompare(b.id, 'en'),
  );
  if (first === undefined) {
    const names = [...new Set(fit.map((process) => process.hostname))].sort().join(', ');
    return none(
      'NO_SNAPSHOT_STORE',
      `No agent that runs a member which can be copied has a snapshot store. Set snapshotStore in the configuration of the agent on ${names} and restart it.`,
    );
  }
  return {
    kind: 'chosen',
    host: {
      hostId: first.hostId,
      hostname: first.hostname,
      sealingKey: hosts.get(first.hostId)?.sealingKey ?? null,
      source: { processId: first.id, member: addressOf(first), clusterName: cluster.name },
    },
  };
}

/** One replica set of a sharded cluster, and where it is copied. */
export interface ChosenPart {
  readonly replicaSet: string;
  readonly role: SnapshotPart['role'];
  readonly host: ChosenHost;
}

export type PartsChoice = { readonly kind: 'chosen'; readonly parts: readonly ChosenPart[] } | Extract<Choice, { readonly kind: 'none' }>;

/** Whether a cluster has more than one replica set that is copied. */
export const isSharded = (processes: readonly ClusterProcess[]): boolean => processes.some(({ kind }) => kind === 'config');

/**
 * The members of a sharded cluster that are copied, one of each replica set by {@link chooseSource}. Only an open backup cursor can be extended to one moment of
 * all, and only through a mongos is the balancer stopped.
 */
export function chooseParts(
  job: TakeSnapshot,
  cluster: { readonly name: string; readonly processes: readonly ClusterProcess[] },
  hosts: ReadonlyMap<string, BackupHost>,
  now: Date,
): PartsChoice {
  if (!job.methods.includes('backupCursor')) {
    return none(
      'NO_METHOD',
      `The cluster ${cluster.name} is sharded: only a backup cursor ($backupCursor, MongoDB Enterprise or Percona Server for MongoDB) can be extended to one moment of all its shards.`,
    );
  }
  if (routersOf(cluster.processes).length === 0) {
    return none('NO_SOURCE', `No mongos of the cluster ${cluster.name} runs, through which its balancer could be stopped.`);
  }
  const parts: ChosenPart[] = [];
  for (const kind of ['config', 'mongod'] as const) {
    for (const [replicaSet, processes] of setsOf(cluster.processes, kind)) {
      const before = job.parentParts?.find((part) => part.replicaSet === replicaSet);
      const { source } = job;
      // A member that is named is of one of the sets.
      const isHere = source.kind !== 'member' || processes.some((process) => addressOf(process) === source.member);
      const choice = chooseSource(
        { ...job, source: isHere ? source : { kind: 'secondary' }, preferredMember: before?.member ?? null },
        { name: `${cluster.name}, replica set ${replicaSet},`, processes },
        hosts,
        now,
      );
      if (choice.kind === 'none') return choice;
      parts.push({ replicaSet, role: kind === 'config' ? 'config' : 'shard', host: withName(choice.host, cluster.name) });
    }
  }
  return { kind: 'chosen', parts };
}

const withName = (host: ChosenHost, clusterName: string): ChosenHost =>
  host.source === null ? host : { ...host, source: { ...host.source, clusterName } };

/** `hostname:port` of the mongos that run, as far as it is known. */
export const routersOf = (processes: readonly ClusterProcess[]): string[] =>
  processes
    .filter(
      ({ kind, desired, lost, observation }) => kind === 'mongos' && desired === 'running' && !lost && observation?.status === 'running',
    )
    .map(addressOf);

function wanted(source: SyncSource, clusterName: string): string {
  switch (source.kind) {
    case 'secondary':
      return `No secondary of the cluster ${clusterName}`;
    case 'primary':
      return `No primary of the cluster ${clusterName}`;
    case 'member':
      return `No member ${source.member} of the cluster ${clusterName}`;
  }
}

/** Why a member cannot be copied, in words that follow its name; null when it can. */
function whyUnfit(process: ClusterProcess, source: SyncSource, now: Date): string | null {
  if (source.kind === 'member' && addressOf(process) !== source.member) return 'is another member';
  if (process.lost) return 'is on a host that was given up';
  if (process.joining || process.leaving) return process.joining ? 'is still joining' : 'is leaving';
  if (process.desired !== 'running') return 'is ordered to be stopped';
  if (isSilent(process.hostHeardAt, now)) return 'is on a host whose agent is not heard of';
  const seen = process.observation;
  if (seen?.status !== 'running') return `is reported as ${seen?.status ?? 'nothing yet'}`;
  const state = seen.memberState ?? 'without a state';
  const states = source.kind === 'member' ? ['SECONDARY', 'PRIMARY'] : [source.kind === 'primary' ? 'PRIMARY' : 'SECONDARY'];
  return states.includes(state) ? null : `is ${state}`;
}

/**
 * The host that works on snapshots that exist; their cluster may be gone. They lie in a store that the organisation's hosts share, so any that has it will do:
 * first the one that took the last snapshot, then those with the same store, then the cluster's own, and of these the least busy.
 */
export function chooseWorker(
  job: BackupJob,
  hosts: readonly BackupHost[],
  known: { readonly last: { readonly hostId: string } | null; readonly ofCluster: ReadonlySet<string> },
  now: Date,
): Choice {
  const equipped = hosts.filter((host) => canWork(host, job));
  if (equipped.length === 0) {
    return none(
      'NO_SNAPSHOT_STORE',
      'No host of the organisation has a snapshot store. Set snapshotStore in the configuration of an agent, to the store that the snapshots lie in, and restart it.',
    );
  }
  const awake = equipped.filter((host) => !isSilent(host.lastHeardAt, now));
  if (awake.length === 0) {
    const names = equipped.map((host) => host.hostname).sort();
    return none('NO_SOURCE', `No agent with the snapshot store is heard of: ${names.join(', ')}. Look whether they run.`);
  }
  const lastStore = hosts.find((host) => host.id === known.last?.hostId)?.snapshotStore ?? null;
  const rank = (host: BackupHost): number => {
    if (host.id === known.last?.hostId) return 0;
    if (lastStore !== null && host.snapshotStore === lastStore) return 1;
    return known.ofCluster.has(host.id) ? 2 : 3;
  };
  const [first] = awake.toSorted(
    (a, b) => rank(a) - rank(b) || a.busy - b.busy || a.hostname.localeCompare(b.hostname, 'en') || a.id.localeCompare(b.id, 'en'),
  );
  if (first === undefined) throw new TypeError('of hosts that are heard of, one is the first');
  return { kind: 'chosen', host: { hostId: first.id, hostname: first.hostname, sealingKey: first.sealingKey, source: null } };
}
