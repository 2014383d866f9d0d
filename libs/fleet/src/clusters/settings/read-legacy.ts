import type { ClusterDocument } from '@atrest/contracts';
import { Refusal } from '../../refusal.js';
import type { NodeSettings, RegionSettings, ShardSettings } from './cluster-settings.js';
import { checkProvider, DEFAULT_INSTANCE_SIZE, defined, NO_NODES, type ShardDraft } from './shard-draft.js';

/** Whether a document describes its nodes in the words of version 2023-01-01. */
export function isLegacyTopology(document: ClusterDocument): boolean {
  return (
    document.providerSettings != null ||
    document.replicationSpec != null ||
    document.replicationFactor != null ||
    document.numShards != null ||
    (document.replicationSpecs ?? []).some((spec) => spec.regionsConfig != null)
  );
}

interface LegacySpec {
  readonly numShards: number;
  readonly zoneName: string;
  readonly regions: Readonly<Record<string, { electable: number; readOnly: number; analytics: number; priority: number }>>;
}

type LegacyRegions = NonNullable<ClusterDocument['replicationSpec']>;

function regionsOf(regions: LegacyRegions): LegacySpec['regions'] {
  return Object.fromEntries(
    Object.entries(regions).map(([name, each]) => [
      name,
      {
        electable: each.electableNodes ?? 0,
        readOnly: each.readOnlyNodes ?? 0,
        analytics: each.analyticsNodes ?? 0,
        priority: each.priority ?? 7,
      },
    ]),
  );
}

/** The entries a document gives, or what the cluster has where it gives none. */
function specsOf(document: ClusterDocument, current: readonly ShardSettings[]): LegacySpec[] {
  const numShards = document.numShards ?? 1;
  if (document.replicationSpecs?.some((spec) => spec.regionsConfig != null)) {
    return document.replicationSpecs.map((spec) => ({
      numShards: spec.numShards ?? numShards,
      zoneName: spec.zoneName ?? 'Zone 1',
      regions: regionsOf(spec.regionsConfig ?? {}),
    }));
  }
  if (document.replicationSpec != null) return [{ numShards, zoneName: 'Zone 1', regions: regionsOf(document.replicationSpec) }];
  const [first] = current;
  if (first !== undefined && document.replicationFactor == null && document.providerSettings?.regionName == null) {
    return current.map((shard) => ({
      numShards: 1,
      zoneName: shard.zoneName,
      regions: Object.fromEntries(
        shard.regions.map((each) => [
          each.regionName,
          {
            electable: each.electable.nodeCount,
            readOnly: each.readOnly.nodeCount,
            analytics: each.analytics.nodeCount,
            priority: each.priority,
          },
        ]),
      ),
    }));
  }
  const regionName = document.providerSettings?.regionName ?? first?.regions[0]?.regionName;
  if (regionName == null)
    throw new Refusal('MISSING_ATTRIBUTE', 'The attribute providerSettings.regionName is missing.', ['providerSettings.regionName']);
  const electable = document.replicationFactor ?? first?.regions[0]?.electable.nodeCount ?? 3;
  return [
    {
      numShards: document.numShards ?? Math.max(1, current.length),
      zoneName: first?.zoneName ?? 'Zone 1',
      regions: { [regionName]: { electable, readOnly: 0, analytics: 0, priority: 7 } },
    },
  ];
}

/** The shards that a document of version 2023-01-01 describes. In that version one size and one provider hold for the whole cluster. @throws {Refusal} */
export function legacyShards(document: ClusterDocument, current: readonly ShardSettings[]): ShardDraft[] {
  const before = current[0]?.regions[0];
  const settings = document.providerSettings;
  const providerName = settings?.providerName ?? before?.providerName;
  if (providerName === undefined) {
    throw new Refusal('MISSING_ATTRIBUTE', 'The attribute providerSettings.providerName is missing.', ['providerSettings.providerName']);
  }
  const provider = checkProvider(providerName, document);
  const node = (nodeCount: number): NodeSettings => {
    if (nodeCount === 0) return NO_NODES;
    return defined({
      instanceSize: settings?.instanceSizeName ?? before?.electable.instanceSize ?? DEFAULT_INSTANCE_SIZE,
      nodeCount,
      diskSizeGB: document.diskSizeGB ?? before?.electable.diskSizeGB,
      diskIOPS: settings?.diskIOPS ?? before?.electable.diskIOPS,
      ebsVolumeType: settings?.volumeType ?? before?.electable.ebsVolumeType,
    }) as NodeSettings;
  };
  return specsOf(document, current).flatMap((spec) => {
    const regions = Object.entries(spec.regions).map(([regionName, each]) => {
      // This version cannot say how a region scales, so what it has stays.
      const same = current.flatMap((shard) => shard.regions).find((known) => known.regionName === regionName);
      return defined({
        providerName: provider,
        regionName,
        priority: each.priority,
        electable: node(each.electable),
        readOnly: node(each.readOnly),
        analytics: node(each.analytics),
        autoScaling: same?.autoScaling,
        analyticsAutoScaling: same?.analyticsAutoScaling,
      }) as RegionSettings;
    });
    return Array.from({ length: spec.numShards }, () => ({ zoneName: spec.zoneName, regions }));
  });
}
