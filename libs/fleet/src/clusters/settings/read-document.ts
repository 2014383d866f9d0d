import { newObjectId, type ClusterDocument, type HardwareSpec, type RegionConfig, type ReplicationSpecInput } from '@atrest/contracts';
import { Refusal } from '../../refusal.js';
import {
  checkSettings,
  DEFAULT_SETTINGS,
  type ClusterChange,
  type ClusterSettings,
  type NodeSettings,
  type RegionSettings,
  type ShardSettings,
} from './cluster-settings.js';
import { checkProvider, DEFAULT_INSTANCE_SIZE, defined, NO_NODES, type ShardDraft } from './shard-draft.js';
import { isLegacyTopology, legacyShards } from './read-legacy.js';

// Clients leave zero out, so a missing count is zero.
function nodes(spec: HardwareSpec | null | undefined, diskSizeGB: number | undefined): NodeSettings {
  if ((spec?.nodeCount ?? 0) === 0) return NO_NODES;
  return defined({
    instanceSize: spec?.instanceSize ?? DEFAULT_INSTANCE_SIZE,
    nodeCount: spec?.nodeCount ?? 0,
    diskSizeGB: spec?.diskSizeGB ?? diskSizeGB,
    diskIOPS: spec?.diskIOPS,
    ebsVolumeType: spec?.ebsVolumeType,
  }) as NodeSettings;
}

function region(config: RegionConfig, document: ClusterDocument): RegionSettings {
  const diskSizeGB = document.diskSizeGB ?? undefined;
  return defined({
    providerName: checkProvider(config.providerName, document),
    regionName: config.regionName,
    priority: config.priority ?? 7,
    electable: nodes(config.electableSpecs, diskSizeGB),
    readOnly: nodes(config.readOnlySpecs, diskSizeGB),
    analytics: nodes(config.analyticsSpecs, diskSizeGB),
    autoScaling: config.autoScaling,
    analyticsAutoScaling: config.analyticsAutoScaling,
  }) as RegionSettings;
}

function drafts(specs: readonly ReplicationSpecInput[], document: ClusterDocument): ShardDraft[] {
  return specs.flatMap((spec) => {
    const draft: ShardDraft = {
      zoneName: spec.zoneName ?? 'Zone 1',
      regions: (spec.regionConfigs ?? []).map((config) => region(config, document)),
    };
    // Before 2024-08-05 one entry stands for several equal shards.
    return Array.from({ length: spec.numShards ?? 1 }, () => draft);
  });
}

/** Shards keep the ids they have, by position; shards of one zone share the zone's id. */
function identify(drafted: readonly ShardDraft[], current: readonly ShardSettings[]): ShardSettings[] {
  const zones = new Map(current.map((shard) => [shard.zoneName, shard.zoneId]));
  return drafted.map((draft, index) => {
    const zoneId = zones.get(draft.zoneName) ?? newObjectId();
    zones.set(draft.zoneName, zoneId);
    return { ...draft, id: current[index]?.id ?? newObjectId(), zoneId };
  });
}

function shardsOf(document: ClusterDocument, current: readonly ShardSettings[]): ShardSettings[] | null {
  if (isLegacyTopology(document)) return identify(legacyShards(document, current), current);
  if (document.replicationSpecs != null) return identify(drafts(document.replicationSpecs, document), current);
  if (document.diskSizeGB != null && current.length > 0) return withDiskSize(current, document.diskSizeGB);
  return null;
}

function withDiskSize(shards: readonly ShardSettings[], diskSizeGB: number): ShardSettings[] {
  const resize = (spec: NodeSettings): NodeSettings => (spec.nodeCount === 0 ? NO_NODES : { ...spec, diskSizeGB });
  return shards.map((shard) => ({
    ...shard,
    regions: shard.regions.map((each) => ({
      ...each,
      electable: resize(each.electable),
      readOnly: resize(each.readOnly),
      analytics: resize(each.analytics),
    })),
  }));
}

/** The plain fields of a document, without the ones that were not given. */
function plainFields(document: ClusterDocument): ClusterChange {
  const biConnector = document.biConnector;
  return defined({
    encryptionAtRestProvider: document.encryptionAtRestProvider,
    // Before 2023-02-01 `backupEnabled` meant a kind of backup that no longer exists.
    backupEnabled: document.providerBackupEnabled ?? document.backupEnabled,
    pitEnabled: document.pitEnabled,
    retainBackups: document.retainBackups,
    mongoDBMajorVersion: document.mongoDBMajorVersion,
    mongoDBVersion: document.mongoDBVersion,
    versionReleaseSystem: document.versionReleaseSystem,
    terminationProtectionEnabled: document.terminationProtectionEnabled,
    tags: document.tags,
    labels: document.labels,
    biConnector:
      biConnector == null ? null : { enabled: biConnector.enabled ?? false, readPreference: biConnector.readPreference ?? 'secondary' },
    advancedConfiguration: document.advancedConfiguration,
    configServerManagementMode: document.configServerManagementMode,
    diskWarmingMode: document.diskWarmingMode,
    replicaSetScalingStrategy: document.replicaSetScalingStrategy,
    redactClientLogData: document.redactClientLogData,
    globalClusterSelfManagedSharding: document.globalClusterSelfManagedSharding,
    adaptiveCapacity: document.adaptiveCapacity,
    paused: document.paused,
  }) as ClusterChange;
}

/** Shards in the order of their sets' names: `x-shard-2` before `x-shard-10`. */
export const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number =>
  a.localeCompare(b, 'en', { numeric: true });

/** What stands for the topology of a cluster whose processes are all named by the user and that says nothing about regions. */
function topologyOfNamedProcesses(document: ClusterDocument): ShardDraft[] | null {
  const processes = document.selfManaged?.processes;
  if (processes == null) return null;
  const sets = new Map<string, number>();
  for (const process of processes) {
    if (process.kind === 'mongod') sets.set(process.replicaSet ?? '', (sets.get(process.replicaSet ?? '') ?? 0) + 1);
  }
  const none = NO_NODES;
  return [...sets].sort(byName).map(([, nodeCount]) => ({
    zoneName: 'Zone 1',
    // No cloud is involved, but the API has no value for that; GLOBAL at least names no place.
    regions: [
      {
        providerName: 'AWS',
        regionName: 'GLOBAL',
        priority: 7,
        electable: { instanceSize: DEFAULT_INSTANCE_SIZE, nodeCount },
        readOnly: none,
        analytics: none,
      },
    ],
  }));
}

/** The settings of a new cluster. @throws {Refusal} */
export function settingsOfNew(document: ClusterDocument): ClusterSettings {
  const named = document.replicationSpecs == null && !isLegacyTopology(document) ? topologyOfNamedProcesses(document) : null;
  const shards = named === null ? (shardsOf(document, []) ?? []) : identify(named, []);
  const settings: ClusterSettings = {
    ...DEFAULT_SETTINGS,
    ...plainFields(document),
    clusterType: document.clusterType ?? (shards.length > 1 ? 'SHARDED' : 'REPLICASET'),
    shards,
  };
  checkSettings(settings);
  return settings;
}

/**
 * What a document changes; fields that say what is so already are left out, so that a client that sends back what it read changes nothing.
 * @throws {Refusal}
 */
export function changeOf(document: ClusterDocument, current: ClusterSettings): ClusterChange {
  if (document.clusterType != null && document.clusterType !== current.clusterType) {
    throw new Refusal('INVALID_CLUSTER_CONFIGURATION', 'The type of a cluster cannot be changed.');
  }
  const given: ClusterChange = { ...plainFields(document), ...defined({ shards: shardsOf(document, current.shards) }) };
  const change = Object.fromEntries(
    Object.entries(given).filter(([key, value]) => canonical(value) !== canonical(current[key as keyof ClusterSettings])),
  ) as ClusterChange;
  checkSettings({ ...current, ...change });
  return change;
}

/** JSON with sorted members: what comes back from the database has another order than what was sent. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    member !== null && typeof member === 'object' && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}
