import type { ClusterSettings, ShardSettings } from './cluster-settings.js';
import { apiTime, diskSizeOf, equalShards } from './render-common.js';
import { defined } from './shard-draft.js';

const regionsConfig = (shard: ShardSettings): object =>
  Object.fromEntries(
    shard.regions.map((region) => [
      region.regionName,
      {
        electableNodes: region.electable.nodeCount,
        readOnlyNodes: region.readOnly.nodeCount,
        analyticsNodes: region.analytics.nodeCount,
        priority: region.priority,
      },
    ]),
  );

/** What version 2023-01-01 says in its own words. A cluster whose shards differ in size shows the first one's: that version has one for all. */
export function renderLegacy(settings: ClusterSettings, connectionStrings: { readonly standard?: string }, updatedAt: Date): object {
  const groups = equalShards(settings.shards);
  const [first] = settings.shards;
  const region = first?.regions[0];
  const uri = connectionStrings.standard;
  return defined({
    // This field meant a kind of backup that no longer exists; `providerBackupEnabled` is the one of today.
    backupEnabled: false,
    providerBackupEnabled: settings.backupEnabled,
    autoScaling: { compute: { enabled: false, scaleDownEnabled: false }, diskGBEnabled: false },
    diskSizeGB: diskSizeOf(settings),
    providerSettings:
      region &&
      defined({
        providerName: region.providerName,
        instanceSizeName: region.electable.instanceSize,
        // A cluster in several regions has no region of its own in this version.
        regionName: first.regions.length === 1 ? region.regionName : undefined,
        diskIOPS: region.electable.diskIOPS,
        volumeType: region.electable.ebsVolumeType,
      }),
    numShards: settings.shards.length,
    replicationFactor: first?.regions.reduce((sum, each) => sum + each.electable.nodeCount, 0),
    replicationSpec: groups.length === 1 && first !== undefined ? regionsConfig(first) : undefined,
    replicationSpecs: groups.map((group) => ({
      id: group.first.id,
      zoneName: group.first.zoneName,
      numShards: group.count,
      regionsConfig: regionsConfig(group.first),
    })),
    mongoURI: uri?.replace(/\/(\?.*)?$/s, ''),
    mongoURIWithOptions: uri,
    mongoURIUpdated: uri === undefined ? undefined : apiTime(updatedAt),
  });
}
