import type { ProveSnapshotTask, SnapshotProof } from '@atrest/contracts';
import {
  eraseEpochKeys,
  ObjectDamagedError,
  proveEncrypted,
  readManifest,
  verifySnapshot,
  type EpochKeys,
  type Manifest,
  type ObjectStore,
} from '@atrest/snapshot-store';
import { BackupError } from './backup-error.js';
import { taskKeyOf } from './customer-key.js';
import { openEpochOf } from './epoch.js';
import type { ProgressMeter } from './progress.js';
import type { BackupHost } from './task-context.js';

/** Reads a snapshot back from the store with the customer key: readable with it, and not without. */
export async function proveSnapshot(
  host: BackupHost,
  task: ProveSnapshotTask,
  o: { readonly signal: AbortSignal; readonly meter: ProgressMeter },
): Promise<SnapshotProof> {
  const store = await host.store.open();
  try {
    const key = await taskKeyOf(task, host);
    try {
      const { keys } = await openEpochOf(store, task, key);
      try {
        o.meter.enter('proving');
        const proofs: SnapshotProof[] = [];
        for (const snapshotId of task.partIds ?? [task.snapshotId]) {
          const manifest = await readManifest(store, keys, snapshotId);
          proofs.push(await prove(store, keys, manifest, { ...task, signal: o.signal, clock: host.clock }));
        }
        return proofs.reduce((all, one) => ({
          // As old as the oldest.
          provenAt: all.provenAt,
          blocksSampled: all.blocksSampled + one.blocksSampled,
          blocksRead: all.blocksRead + one.blocksRead,
          bytesRead: all.bytesRead + one.bytesRead,
        }));
      } finally {
        eraseEpochKeys(keys);
      }
    } finally {
      key.close();
    }
  } finally {
    await store.close();
  }
}

/**
 * Reads a share of the blocks and authenticates them, and proves on some that they are encrypted.
 *
 * @throws BackupError STORE_DAMAGED when something is missing or damaged, NOT_PROVEN when something can be read without the key
 */
export async function prove(
  store: ObjectStore,
  keys: EpochKeys,
  manifest: Manifest,
  o: { readonly share: number; readonly proofBlocks: number; readonly signal: AbortSignal; readonly clock: BackupHost['clock'] },
): Promise<SnapshotProof> {
  const { snapshotId } = manifest;
  const { blocksSampled } = await proveEncrypted(store, keys, manifest, o.proofBlocks).catch((error: unknown) => {
    if (error instanceof ObjectDamagedError && /without its key|in clear/.test(error.detail)) {
      throw new BackupError('NOT_PROVEN', `The snapshot is not encrypted: ${error.message}`, { cause: error });
    }
    throw error;
  });
  if (o.share <= 0) return { provenAt: o.clock.now().toISOString(), blocksSampled, blocksRead: 0, bytesRead: 0 };
  const { blocksRead, bytesRead, problems } = await verifySnapshot({
    store,
    keys,
    snapshotId,
    share: Math.min(1, o.share),
    signal: o.signal,
  });
  if (problems.length > 0) {
    const [first] = problems;
    throw new BackupError('STORE_DAMAGED', `${problems.length} blocks of the snapshot are missing or damaged. ${first!.message}`);
  }
  return { provenAt: o.clock.now().toISOString(), blocksSampled, blocksRead, bytesRead };
}
