import {
  manifestsPrefix,
  openEpoch,
  readEpochHeader,
  readManifestLabel,
  type DataKeyWrapper,
  type EpochHeader,
  type ManifestLabel,
  type ObjectStore,
  type OpenEpoch,
} from '@atrest/snapshot-store';
import { UsageError } from './configuration.js';

/** Headers of all epochs in the store. A damaged one is reported and the others go on. */
export async function readEpochs(store: ObjectStore, onProblem: (error: unknown) => void): Promise<EpochHeader[]> {
  const headers: EpochHeader[] = [];
  for await (const { key } of store.list('epochs/')) {
    const [, epochId] = /^epochs\/([0-9a-f]{24})\/epoch\.json$/.exec(key) ?? [];
    if (epochId === undefined) continue;
    try {
      headers.push(await readEpochHeader(store, epochId));
    } catch (error) {
      onProblem(error);
    }
  }
  return headers.sort((a, b) => a.createdAt.localeCompare(b.createdAt));
}

/** What the store says of an epoch's snapshots without any key, oldest first. */
export async function readLabels(store: ObjectStore, epochId: string, onProblem: (error: unknown) => void): Promise<ManifestLabel[]> {
  const labels: ManifestLabel[] = [];
  for await (const { key } of store.list(manifestsPrefix(epochId))) {
    try {
      const sealed = await store.get(key);
      if (sealed !== null) labels.push(readManifestLabel(key, sealed));
    } catch (error) {
      onProblem(error);
    }
  }
  return labels.sort((a, b) => a.completedAt.localeCompare(b.completedAt));
}

/** The epoch that holds a snapshot, opened. @throws UsageError when none does. */
export async function openEpochOf(store: ObjectStore, snapshotId: string, wrapper: DataKeyWrapper): Promise<OpenEpoch> {
  for (const { epochId } of await readEpochs(store, () => undefined)) {
    if ((await store.head(`${manifestsPrefix(epochId)}${snapshotId}`)) !== null) return openEpoch(store, epochId, wrapper);
  }
  throw new UsageError(`The ${store.description} holds no snapshot ${snapshotId}. 'atrest-store list' shows those it holds.`);
}
