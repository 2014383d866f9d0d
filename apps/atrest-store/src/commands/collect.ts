import { collectEpoch, openEpoch, type DataKeyWrapper, type ObjectStore } from '@atrest/snapshot-store';
import { readEpochs } from '../epochs.js';
import type { Output } from '../output.js';

/** Frees the blocks that no snapshot names, epoch by epoch. */
export async function collect(store: ObjectStore, wrapper: DataKeyWrapper, signal: AbortSignal, out: Output): Promise<void> {
  for (const { epochId } of await readEpochs(store, out.problem)) {
    try {
      const { keys } = await openEpoch(store, epochId, wrapper);
      const done = await collectEpoch({ store, keys, signal });
      if (done.kind === 'busy') {
        out.line(`${epochId}  a snapshot or another collection is under way; nothing was deleted`);
        continue;
      }
      const { snapshots, live, deleted, deletedBytes, undeleted, finished } = done;
      out.line(`${epochId}  ${snapshots} snapshots name ${live} blocks; ${deleted} others deleted, ${deletedBytes} bytes free`);
      if (undeleted.length > 0)
        out.line(`${epochId}  the store keeps ${undeleted.length} (${undeleted[0]!.reason}); try again when it lets go`);
      if (!finished) out.line(`${epochId}  a snapshot began meanwhile: the rest is left for the next time`);
    } catch (error) {
      if (signal.aborted) throw error;
      out.problem(error);
    }
  }
}
