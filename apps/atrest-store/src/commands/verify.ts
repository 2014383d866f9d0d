import { openEpoch, verifySnapshot, type DataKeyWrapper, type ObjectStore } from '@atrest/snapshot-store';
import { openEpochOf, readEpochs, readLabels } from '../epochs.js';
import type { Output } from '../output.js';

/**
 * Reads snapshots back and authenticates every block, or a share of them.
 *
 * @param snapshotId one snapshot; null: all.
 */
export async function verify(
  store: ObjectStore,
  wrapper: DataKeyWrapper,
  o: { readonly snapshotId: string | null; readonly share: number; readonly signal: AbortSignal },
  out: Output,
): Promise<void> {
  const one = async (keys: Parameters<typeof verifySnapshot>[0]['keys'], snapshotId: string): Promise<void> => {
    try {
      const { blocksRead, bytesRead, problems } = await verifySnapshot({ store, keys, snapshotId, share: o.share, signal: o.signal });
      for (const problem of problems) out.problem(problem);
      out.line(`${snapshotId}  ${problems.length === 0 ? 'ok' : 'DAMAGED'}  ${blocksRead} blocks, ${bytesRead} bytes read`);
    } catch (error) {
      if (o.signal.aborted) throw error;
      out.problem(error);
      out.line(`${snapshotId}  DAMAGED  its manifest or its list of files cannot be read`);
    }
  };
  if (o.snapshotId !== null) {
    const epoch = await openEpochOf(store, o.snapshotId, wrapper);
    return one(epoch.keys, o.snapshotId);
  }
  for (const { epochId } of await readEpochs(store, out.problem)) {
    const labels = await readLabels(store, epochId, out.problem);
    if (labels.length === 0) continue;
    try {
      const { keys } = await openEpoch(store, epochId, wrapper);
      for (const { snapshotId } of labels) await one(keys, snapshotId);
    } catch (error) {
      if (o.signal.aborted) throw error;
      out.problem(error);
    }
  }
}
