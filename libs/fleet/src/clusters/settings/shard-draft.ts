import type { ClusterDocument } from '@atrest/contracts';
import { Refusal } from '../../refusal.js';
import type { NodeSettings, RegionSettings } from './cluster-settings.js';

/** A shard before it has its ids. */
export interface ShardDraft {
  readonly zoneName: string;
  readonly regions: readonly RegionSettings[];
}

/** The smallest size that Atlas lets use a customer key; sizes mean nothing to self-managed hosts. */
export const DEFAULT_INSTANCE_SIZE = 'M10';

/** No nodes of a kind: whatever size a client names for them is not kept, because no answer could carry it. */
export const NO_NODES: NodeSettings = { instanceSize: DEFAULT_INSTANCE_SIZE, nodeCount: 0 };

/** Members without a value are left out, so that answers never carry an empty field. */
export function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], null | undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== null && field !== undefined)) as {
    [K in keyof T]: Exclude<T[K], null | undefined>;
  };
}

/** A shared tier has no processes of its own. @throws {Refusal} */
export function checkProvider(providerName: string, document: ClusterDocument): RegionSettings['providerName'] {
  if (providerName === 'AWS' || providerName === 'AZURE' || providerName === 'GCP') return providerName;
  if ((document.encryptionAtRestProvider ?? 'NONE') !== 'NONE') {
    throw new Refusal('CANNOT_USE_ENCRYPTION_AT_REST_TENANT', 'Encryption at rest with a customer key is not possible on shared tiers.');
  }
  throw new Refusal(
    'INVALID_CLUSTER_CONFIGURATION',
    'Shared tiers (providerName TENANT) are not offered: a cluster has processes of its own.',
  );
}
