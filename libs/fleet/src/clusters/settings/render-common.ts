import type { ClusterSettings, ShardSettings } from './cluster-settings.js';
import { canonical } from './read-document.js';

/** A moment as the API writes it: UTC, whole seconds. */
export const apiTime = (date: Date): string => date.toISOString().replace(/\.\d{3}Z$/, 'Z');

/** Neighbouring shards that are equal, as one entry: how versions before 2024-08-05 count shards. */
export function equalShards(shards: readonly ShardSettings[]): { readonly first: ShardSettings; readonly count: number }[] {
  const groups: { first: ShardSettings; count: number }[] = [];
  for (const shard of shards) {
    const last = groups.at(-1);
    if (last !== undefined && last.first.zoneName === shard.zoneName && canonical(last.first.regions) === canonical(shard.regions))
      last.count += 1;
    else groups.push({ first: shard, count: 1 });
  }
  return groups;
}

/** The size of the disk, where a version has one for the whole cluster. */
export const diskSizeOf = (settings: ClusterSettings): number | undefined => settings.shards[0]?.regions[0]?.electable.diskSizeGB;
