import { NAME_BYTES } from '../format/block.js';
import type { EpochKeys } from '../format/keys.js';
import { blockNameOf, blocksPrefix, manifestsPrefix } from '../format/layout.js';
import { fileListBlocks, openManifest } from '../format/manifest.js';
import type { ObjectStore, Undeleted } from '../object-store/object-store.js';
import { readFileList } from '../read/file-list-reader.js';
import { isZeroName } from '../write/parent-files.js';
import { acquireCollectorLease, DEFAULT_LEASE_TIMES, type CollectorLease, type LeaseTimes } from './leases.js';
import { NameSet } from './name-set.js';

export interface CollectOptions {
  readonly store: ObjectStore;
  readonly keys: EpochKeys;
  /** Blocks younger than this are kept even when nothing names them, in milliseconds. Default an hour. */
  readonly graceMs?: number;
  readonly leaseTimes?: LeaseTimes;
  readonly signal: AbortSignal;
}

/** What a collection did. */
export type Collection =
  | { readonly kind: 'busy' }
  | {
      readonly kind: 'swept';
      /** Manifests that were marked. */
      readonly snapshots: number;
      /** Blocks that something names. */
      readonly live: number;
      readonly deleted: number;
      readonly deletedBytes: number;
      /** Blocks the store would not delete, e.g. under Object Lock; the next collection tries again. */
      readonly undeleted: readonly Undeleted[];
      /** False when a writer came in between and the sweep gave way. */
      readonly finished: boolean;
    };

const DEFAULT_GRACE_MS = 60 * 60_000;
const BATCH = 500;

/**
 * Frees what no snapshot of the epoch names: marks every block of every manifest, then deletes the others. Safe beside writers and
 * other collectors ({@link LeaseTimes}); when any manifest cannot be read nothing is deleted, because nobody knows what it names.
 *
 * @throws ObjectDamagedError, ObjectMissingError for a manifest or its list of files; the store's errors.
 */
export async function collectEpoch(o: CollectOptions): Promise<Collection> {
  const times = o.leaseTimes ?? DEFAULT_LEASE_TIMES;
  const lease = await acquireCollectorLease(o.store, o.keys.epochId, times, o.signal);
  if (lease === null) return { kind: 'busy' };
  try {
    const { live, snapshots } = await mark(o);
    const swept = await sweep(o, lease, live);
    return { kind: 'swept', snapshots, live: live.size, ...swept };
  } finally {
    await lease.release();
  }
}

async function mark({ store, keys, signal }: CollectOptions): Promise<{ live: NameSet; snapshots: number }> {
  const live = new NameSet();
  let snapshots = 0;
  const prefix = manifestsPrefix(keys.epochId);
  for await (const { key } of store.list(prefix)) {
    signal.throwIfAborted();
    const sealed = await store.get(key);
    // Deleted between the listing and now: it names nothing any more.
    if (sealed === null) continue;
    const manifest = openManifest(keys, key.slice(prefix.length), sealed);
    snapshots += 1;
    for (const name of fileListBlocks(manifest)) live.add(name);
    for await (const { names } of readFileList(store, keys, manifest)) {
      for (let at = 0; at < names.length; at += NAME_BYTES) {
        const name = names.subarray(at, at + NAME_BYTES);
        if (!isZeroName(name)) live.add(name);
      }
    }
  }
  return { live, snapshots };
}

async function sweep(
  o: CollectOptions,
  lease: CollectorLease,
  live: NameSet,
): Promise<Omit<Extract<Collection, { kind: 'swept' }>, 'kind' | 'snapshots' | 'live'>> {
  const { store, keys, signal } = o;
  const epochId = keys.epochId;
  const undeleted: Undeleted[] = [];
  let [deleted, deletedBytes] = [0, 0];
  let batch: { readonly key: string; readonly size: number }[] = [];
  const storeNow = await lease.storeTime();

  const deleteBatch = async (): Promise<boolean> => {
    signal.throwIfAborted();
    if (!(await lease.isUndisturbed())) return false;
    const refused = await store.delete(batch.map(({ key }) => key));
    undeleted.push(...refused);
    const kept = new Set(refused.map(({ key }) => key));
    for (const { key, size } of batch) {
      if (kept.has(key)) continue;
      deleted += 1;
      deletedBytes += size;
    }
    batch = [];
    return true;
  };

  for await (const { key, size, modifiedAt } of store.list(blocksPrefix(epochId))) {
    const name = blockNameOf(epochId, key);
    // Not ours, or too young to judge.
    if (name === null || storeNow.getTime() - modifiedAt.getTime() < (o.graceMs ?? DEFAULT_GRACE_MS)) continue;
    if (live.has(name)) continue;
    batch.push({ key, size });
    if (batch.length === BATCH && !(await deleteBatch())) return { deleted, deletedBytes, undeleted, finished: false };
  }
  const finished = batch.length === 0 || (await deleteBatch());
  await store.flush();
  return { deleted, deletedBytes, undeleted, finished };
}
