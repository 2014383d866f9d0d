import { blocksPrefix, epochHeaderKey, manifestsPrefix } from '../format/layout.js';
import type { ObjectStore, Undeleted } from '../object-store/object-store.js';
import { acquireCollectorLease, DEFAULT_LEASE_TIMES, type LeaseTimes } from './leases.js';

export interface DeleteEpochOptions {
  readonly store: ObjectStore;
  readonly epochId: string;
  /** Nothing is deleted while a block is younger than this, in milliseconds: a store that lists late may hide what names it. Default an hour. */
  readonly graceMs?: number;
  readonly leaseTimes?: LeaseTimes;
  readonly signal: AbortSignal;
}

/** What became of an epoch that should go. */
export type EpochDeletion =
  /** A snapshot is being written, or another collector is at work. */
  | { readonly kind: 'busy' }
  /** A snapshot is left in it: nothing was deleted. */
  | { readonly kind: 'in-use' }
  /** Something was stored so recently that a snapshot may be there which is not listed yet: nothing was deleted. */
  | { readonly kind: 'too-young' }
  | {
      readonly kind: 'deleted';
      readonly deletedBytes: number;
      /** What the store would not delete yet; the header stays with it, and the next deletion goes on. */
      readonly undeleted: readonly Undeleted[];
      /** False when a writer came in between and the deletion gave way. */
      readonly finished: boolean;
    };

const BATCH = 1_000;
const DEFAULT_GRACE_MS = 60 * 60_000;

/**
 * Deletes an epoch in which no snapshot is left, header last. Needs no key, because nothing is left to be read: the only way to free the blocks of a key
 * that is gone. A writer that comes in between is given way to; one that had opened the epoch before finds its header gone, and gives up.
 *
 * @throws the store's errors
 */
export async function deleteEpoch(o: DeleteEpochOptions): Promise<EpochDeletion> {
  const { store, epochId } = o;
  if (await hasSnapshots(store, epochId)) return { kind: 'in-use' };
  const lease = await acquireCollectorLease(store, epochId, o.leaseTimes ?? DEFAULT_LEASE_TIMES, o.signal);
  if (lease === null) return { kind: 'busy' };
  try {
    // Again: one may have been finished while the lease settled. From here on a new one waits for us.
    if (await hasSnapshots(store, epochId)) return { kind: 'in-use' };
    if (await hasYoungBlocks(o, await lease.storeTime())) return { kind: 'too-young' };
    const undeleted: Undeleted[] = [];
    let deletedBytes = 0;
    let batch: { readonly key: string; readonly size: number }[] = [];
    const deleteBatch = async (): Promise<boolean> => {
      o.signal.throwIfAborted();
      if (!(await lease.isUndisturbed())) return false;
      const refused = await store.delete(batch.map(({ key }) => key));
      undeleted.push(...refused);
      const kept = new Set(refused.map(({ key }) => key));
      for (const { key, size } of batch) if (!kept.has(key)) deletedBytes += size;
      batch = [];
      return true;
    };
    for await (const { key, size } of store.list(blocksPrefix(epochId))) {
      batch.push({ key, size });
      if (batch.length === BATCH && !(await deleteBatch())) return { kind: 'deleted', deletedBytes, undeleted, finished: false };
    }
    let finished = batch.length === 0 || (await deleteBatch());
    if (finished && undeleted.length === 0 && (await lease.isUndisturbed()))
      undeleted.push(...(await store.delete([epochHeaderKey(epochId)])));
    else finished = false;
    await store.flush();
    return { kind: 'deleted', deletedBytes, undeleted, finished: finished && undeleted.length === 0 };
  } finally {
    await lease.release();
  }
}

async function hasSnapshots(store: ObjectStore, epochId: string): Promise<boolean> {
  const manifests = store.list(manifestsPrefix(epochId))[Symbol.asyncIterator]();
  try {
    return (await manifests.next()).done !== true;
  } finally {
    await manifests.return?.();
  }
}

async function hasYoungBlocks({ store, epochId, graceMs }: DeleteEpochOptions, storeNow: Date): Promise<boolean> {
  for await (const { modifiedAt } of store.list(blocksPrefix(epochId))) {
    if (storeNow.getTime() - modifiedAt.getTime() < (graceMs ?? DEFAULT_GRACE_MS)) return true;
  }
  return false;
}
