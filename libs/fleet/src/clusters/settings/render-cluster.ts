import type { ClusterChange, ClusterSettings, NodeSettings, RegionSettings, ShardSettings } from './cluster-settings.js';
import { atlasStateName } from '../cluster-state.js';
import type { Cluster, ClusterProcess, ClusterWithProcesses } from '../cluster-view.js';
import { connectionOf, reachable, setsOf } from '../process-goal.js';
import { renderSelfManaged } from './render-self-managed.js';
import { renderLegacy } from './render-legacy.js';
import { apiTime, diskSizeOf, equalShards } from './render-common.js';
import { defined } from './shard-draft.js';

/** The versions of the API in which a cluster looks different. */
export type ClusterVersion = '2023-01-01' | '2023-02-01' | '2024-08-05';

/** What else an answer depends on. */
export interface RenderOptions {
  readonly now: Date;
  /** The request asked for `effective*Specs` (header `Use-Effective-Instance-Fields`). */
  readonly effectiveFields: boolean;
  /** Absolute address of the cluster in the API, for its `self` link. */
  readonly self: string;
}

/**
 * What the cluster is to be: settings with the pending changes over them. Atlas shows a change as soon as it accepts it, and Terraform compares the answer with
 * what it asked for; which part is still pending is in `selfManaged.pendingChanges`.
 */
export const wantedSettings = (cluster: Cluster): ClusterSettings => ({
  ...cluster.settings,
  ...(cluster.pendingChanges ?? ({} as ClusterChange)),
});

/** The connection string of a cluster that has been up once, else null: Atlas shows none while CREATING. */
export function connectionString(view: ClusterWithProcesses): string | null {
  if (view.cluster.state === 'CREATING') return null;
  const processes = reachable(view.processes);
  const routers = processes.filter((process) => process.kind === 'mongos');
  if (routers.length > 0) return `mongodb://${routers.map((each) => `${each.hostname}:${each.port}`).join(',')}/`;
  const [set] = setsOf(processes, 'mongod');
  if (set === undefined) return null;
  const [name, seeds] = connectionOf(...set).split('/') as [string, string];
  return `mongodb://${seeds}/?replicaSet=${name}`;
}

/** The version the processes report; the wanted one while none does. */
export function versionOf(cluster: Cluster, processes: readonly ClusterProcess[]): string | null {
  const reported = processes
    .flatMap((process) => process.observation?.version ?? [])
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  return reported[0] ?? cluster.settings.mongoDBVersion;
}

/** `8.0` of `8.0.4`. */
export const majorOf = (version: string | null): string | undefined => version?.match(/^\d+\.\d+/)?.[0];

const withNodes = (spec: NodeSettings): NodeSettings | undefined => (spec.nodeCount > 0 ? spec : undefined);

const withoutDisk = (spec: NodeSettings | undefined): NodeSettings | undefined => {
  if (spec === undefined) return undefined;
  const { diskSizeGB: _, ...rest } = spec;
  return rest;
};

function regionConfig(
  region: RegionSettings,
  shape: (spec: NodeSettings | undefined) => NodeSettings | undefined,
  effective: boolean,
): object {
  const specs = {
    electableSpecs: shape(region.electable),
    readOnlySpecs: shape(withNodes(region.readOnly)),
    analyticsSpecs: shape(withNodes(region.analytics)),
  };
  return defined({
    providerName: region.providerName,
    regionName: region.regionName,
    priority: region.priority,
    ...specs,
    autoScaling: region.autoScaling,
    analyticsAutoScaling: region.analyticsAutoScaling,
    ...(effective && {
      effectiveElectableSpecs: specs.electableSpecs,
      effectiveReadOnlySpecs: specs.readOnlySpecs,
      effectiveAnalyticsSpecs: specs.analyticsSpecs,
    }),
  });
}

/** One entry per shard: 2024-08-05 and later. */
function replicationSpecs(shards: readonly ShardSettings[], effective: boolean): object[] {
  return shards.map((shard) => ({
    id: shard.id,
    zoneId: shard.zoneId,
    zoneName: shard.zoneName,
    regionConfigs: shard.regions.map((region) => regionConfig(region, (spec) => spec, effective)),
  }));
}

function oldReplicationSpecs(shards: readonly ShardSettings[]): object[] {
  return equalShards(shards).map(({ first, count }) => ({
    id: first.id,
    zoneId: first.zoneId,
    zoneName: first.zoneName,
    numShards: count,
    regionConfigs: first.regions.map((region) => regionConfig(region, withoutDisk, false)),
  }));
}

/** What all versions share. */
function common(view: ClusterWithProcesses, settings: ClusterSettings, options: RenderOptions): Record<string, unknown> {
  const { cluster, processes } = view;
  const connection = connectionString(view);
  const mongoDBVersion = versionOf(cluster, processes);
  return defined({
    id: cluster.id,
    groupId: cluster.projectId,
    name: cluster.name,
    clusterType: settings.clusterType,
    stateName: atlasStateName(cluster.state),
    createDate: apiTime(cluster.createdAt),
    connectionStrings: connection === null ? {} : { standard: connection },
    encryptionAtRestProvider: settings.encryptionAtRestProvider,
    backupEnabled: settings.backupEnabled,
    pitEnabled: settings.pitEnabled,
    paused: settings.paused,
    mongoDBMajorVersion: settings.mongoDBMajorVersion ?? majorOf(mongoDBVersion),
    mongoDBVersion,
    versionReleaseSystem: settings.versionReleaseSystem,
    terminationProtectionEnabled: settings.terminationProtectionEnabled,
    tags: settings.tags,
    labels: settings.labels,
    biConnector: settings.biConnector,
    advancedConfiguration: settings.advancedConfiguration,
    configServerManagementMode: settings.configServerManagementMode,
    configServerType: settings.clusterType === 'REPLICASET' ? null : 'DEDICATED',
    diskWarmingMode: settings.diskWarmingMode,
    replicaSetScalingStrategy: settings.replicaSetScalingStrategy,
    rootCertType: 'ISRGROOTX1',
    globalClusterSelfManagedSharding: settings.globalClusterSelfManagedSharding,
    links: [{ href: options.self, rel: 'self' }],
    selfManaged: renderSelfManaged(view, options.now),
  });
}

/** A cluster as one version of the API shows it. */
export function renderCluster(view: ClusterWithProcesses, version: ClusterVersion, options: RenderOptions): Record<string, unknown> {
  const settings = wantedSettings(view.cluster);
  const shared = common(view, settings, options);
  if (version === '2023-01-01') {
    return { ...shared, ...renderLegacy(settings, shared['connectionStrings'] as { standard?: string }, view.cluster.createdAt) };
  }
  if (version === '2023-02-01') {
    return { ...shared, ...defined({ diskSizeGB: diskSizeOf(settings) }), replicationSpecs: oldReplicationSpecs(settings.shards) };
  }
  const specs = replicationSpecs(settings.shards, options.effectiveFields);
  return {
    ...shared,
    retainBackups: settings.retainBackups,
    redactClientLogData: settings.redactClientLogData,
    adaptiveCapacity: settings.adaptiveCapacity,
    internalClusterRole: 'NONE',
    replicationSpecs: specs,
    ...(options.effectiveFields && { effectiveReplicationSpecs: specs }),
  };
}
