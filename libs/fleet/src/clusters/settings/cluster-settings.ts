import type { ClusterType, EncryptionAtRestProvider, ResourceTag } from '@atrest/contracts';
import { Refusal } from '../../refusal.js';
import { OPEN_ACCESS, type AccessSettings } from './access-settings.js';

/** Nodes of one kind in one region, as ordered. */
export interface NodeSettings {
  readonly instanceSize: string;
  readonly nodeCount: number;
  readonly diskSizeGB?: number;
  readonly diskIOPS?: number;
  readonly ebsVolumeType?: string;
}

export interface RegionSettings {
  readonly providerName: 'AWS' | 'AZURE' | 'GCP';
  readonly regionName: string;
  /** 7 is preferred; 0 for regions without electable nodes. */
  readonly priority: number;
  readonly electable: NodeSettings;
  readonly readOnly: NodeSettings;
  readonly analytics: NodeSettings;
  /** Stored and given back: self-managed hosts do not scale by themselves. */
  readonly autoScaling?: unknown;
  readonly analyticsAutoScaling?: unknown;
}

/** One shard, or the one replica set of a cluster that is not sharded. */
export interface ShardSettings {
  readonly id: string;
  readonly zoneId: string;
  readonly zoneName: string;
  readonly regions: readonly RegionSettings[];
}

/** A cluster's settings: the one model from which every version of the API is rendered. */
export interface ClusterSettings {
  readonly clusterType: ClusterType;
  readonly shards: readonly ShardSettings[];
  readonly encryptionAtRestProvider: EncryptionAtRestProvider;
  readonly backupEnabled: boolean;
  readonly pitEnabled: boolean;
  readonly retainBackups: boolean;
  readonly mongoDBMajorVersion: string | null;
  /** The version the operator wants; the binaries are the operator's. Answers prefer what the agents report. */
  readonly mongoDBVersion: string | null;
  readonly versionReleaseSystem: 'LTS' | 'CONTINUOUS';
  readonly terminationProtectionEnabled: boolean;
  readonly tags: readonly ResourceTag[];
  readonly labels: readonly ResourceTag[];
  readonly biConnector: { readonly enabled: boolean; readonly readPreference: string };
  readonly advancedConfiguration: Readonly<Record<string, unknown>>;
  readonly configServerManagementMode: 'ATLAS_MANAGED' | 'FIXED_TO_DEDICATED';
  readonly diskWarmingMode: 'FULLY_WARMED' | 'VISIBLE_EARLIER' | 'ENHANCED_FULLY_WARMED';
  readonly replicaSetScalingStrategy: 'SEQUENTIAL' | 'WORKLOAD_TYPE' | 'NODE_TYPE';
  readonly redactClientLogData: boolean;
  readonly globalClusterSelfManagedSharding: boolean;
  readonly adaptiveCapacity: 'ENABLED' | 'DISABLED' | null;
  /** Stopped by its owner's wish, whatever its state. */
  readonly paused: boolean;
  readonly access: AccessSettings;
}

export type ClusterChange = Partial<ClusterSettings>;

/** What a new cluster has when nothing else is asked for (the defaults of the Atlas Admin API). */
export const DEFAULT_SETTINGS: Omit<ClusterSettings, 'clusterType' | 'shards'> = {
  encryptionAtRestProvider: 'NONE',
  backupEnabled: false,
  pitEnabled: false,
  retainBackups: false,
  mongoDBMajorVersion: null,
  mongoDBVersion: null,
  versionReleaseSystem: 'LTS',
  terminationProtectionEnabled: false,
  tags: [],
  labels: [],
  biConnector: { enabled: false, readPreference: 'secondary' },
  advancedConfiguration: {
    minimumEnabledTlsProtocol: 'TLS1_2',
    tlsCipherConfigMode: 'DEFAULT',
    customOpensslCipherConfigTls12: [],
    customOpensslCipherConfigTls13: [],
  },
  configServerManagementMode: 'ATLAS_MANAGED',
  diskWarmingMode: 'FULLY_WARMED',
  replicaSetScalingStrategy: 'WORKLOAD_TYPE',
  redactClientLogData: false,
  globalClusterSelfManagedSharding: false,
  adaptiveCapacity: null,
  paused: false,
  access: OPEN_ACCESS,
};

/** Changes that need no process and no key: they hold at once even while the cluster is disabled. Binaries may be patched then, and neither protection nor who gets in must wait. */
const AT_ONCE = [
  'mongoDBVersion',
  'terminationProtectionEnabled',
  'paused',
  'access',
] as const satisfies readonly (keyof ClusterSettings)[];

/** Splits a change to a disabled cluster into what holds at once and what waits until the cluster is enabled. */
export function splitChange(change: ClusterChange): { readonly now: ClusterChange; readonly later: ClusterChange } {
  const now = Object.fromEntries(Object.entries(change).filter(([key]) => (AT_ONCE as readonly string[]).includes(key)));
  const later = Object.fromEntries(Object.entries(change).filter(([key]) => !(AT_ONCE as readonly string[]).includes(key)));
  return { now, later };
}

/** Whether a change alters what processes are started with. */
export const movesProcesses = (change: ClusterChange): boolean =>
  change.encryptionAtRestProvider !== undefined || change.paused !== undefined;

const nodesOf = (shard: ShardSettings): number[] =>
  ['electable', 'readOnly', 'analytics'].map((kind) =>
    shard.regions.reduce((sum, region) => sum + region[kind as 'electable' | 'readOnly' | 'analytics'].nodeCount, 0),
  );

/** Whether two settings ask for the same processes. */
export function sameTopology(a: readonly ShardSettings[], b: readonly ShardSettings[]): boolean {
  return a.length === b.length && a.every((shard, index) => String(nodesOf(shard)) === String(nodesOf(b[index] as ShardSettings)));
}

/** The members each shard needs, for placement: electable ones by the region's priority, the others without a chance to become primary. At most seven vote. */
export function membersOf(shard: ShardSettings): { readonly priority: number; readonly votes: number }[] {
  const members: { priority: number; votes: number }[] = [];
  const add = (count: number, priority: number) => {
    for (let index = 0; index < count; index += 1) members.push({ priority, votes: 0 });
  };
  const byPriority = [...shard.regions].sort((a, b) => b.priority - a.priority);
  for (const region of byPriority) add(region.electable.nodeCount, Math.max(1, region.priority));
  for (const region of byPriority) add(region.readOnly.nodeCount + region.analytics.nodeCount, 0);
  return members.map((member, index) => ({
    ...member,
    votes: index < MAX_VOTERS ? 1 : 0,
    priority: index < MAX_VOTERS ? member.priority : 0,
  }));
}

const MAX_VOTERS = 7;
const MAX_MEMBERS = 50;
const NAME_PATTERN = /^[a-zA-Z0-9][a-zA-Z0-9-]*$/;
/** Replica set names and host names are made from it; 64 is also the longest name Atlas takes. */
const MAX_NAME_LENGTH = 64;

/** @throws {Refusal} CLUSTER_NAME_INVALID or CLUSTER_NAME_TOO_LONG; the detail never repeats a name that is too long. */
export function checkClusterName(name: string): void {
  if (name.length > MAX_NAME_LENGTH) {
    throw new Refusal('CLUSTER_NAME_TOO_LONG', `A cluster's name has at most ${MAX_NAME_LENGTH} characters.`, [String(MAX_NAME_LENGTH)]);
  }
  if (!NAME_PATTERN.test(name)) {
    throw new Refusal('CLUSTER_NAME_INVALID', "A cluster's name has letters, digits and hyphens, and begins with a letter or digit.", [
      name,
    ]);
  }
}

const invalid = (detail: string): Refusal => new Refusal('INVALID_CLUSTER_CONFIGURATION', detail);

/** The rules that hold between settings, whatever version of the API brought them. @throws {Refusal} */
export function checkSettings(settings: ClusterSettings): void {
  if (settings.shards.length === 0) throw invalid('replicationSpecs must have at least one entry.');
  if (settings.clusterType === 'REPLICASET' && settings.shards.length > 1) {
    throw invalid('A cluster of type REPLICASET has exactly one entry in replicationSpecs and one shard.');
  }
  for (const shard of settings.shards) {
    const [electable = 0, readOnly = 0, analytics = 0] = nodesOf(shard);
    if (shard.regions.length === 0 || electable < 1) throw invalid('Each entry of replicationSpecs needs at least one electable node.');
    if (electable > MAX_VOTERS) throw invalid(`A replica set has at most ${MAX_VOTERS} electable nodes.`);
    if (electable + readOnly + analytics > MAX_MEMBERS) throw invalid(`A replica set has at most ${MAX_MEMBERS} nodes.`);
  }
  if (settings.pitEnabled && !settings.backupEnabled) throw invalid('pitEnabled needs backupEnabled.');
  const clouds = new Set(settings.shards.flatMap((shard) => shard.regions.map((region) => region.providerName)));
  if (settings.encryptionAtRestProvider !== 'NONE' && clouds.size > 1) {
    throw new Refusal(
      'ENCRYPTION_AT_REST_PROVIDER_NOT_SUPPORTED',
      'A cluster that spans several cloud providers cannot use encryption at rest with a customer key.',
      [settings.encryptionAtRestProvider],
    );
  }
}
