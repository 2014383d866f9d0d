import { openEpoch, readManifest, type DataKeyWrapper, type ObjectStore } from '@atrest/snapshot-store';
import { readEpochs, readLabels } from '../epochs.js';
import type { Output } from '../output.js';

/**
 * Writes what a catalogue must know, one JSON object a line, from the store alone. What the customer key opens is authenticated and complete; where it
 * does not open, the line has what the labels say and `"proven": false`, so that no snapshot goes missing for want of a key.
 */
export async function rebuildCatalog(store: ObjectStore, wrapper: DataKeyWrapper, out: Output): Promise<void> {
  for (const epoch of await readEpochs(store, out.problem)) {
    const keys = await openEpoch(store, epoch.epochId, wrapper).then(
      (open) => open.keys,
      (error: unknown) => {
        out.problem(error);
        return null;
      },
    );
    const { epochId, projectId, clusterId, encryptionKeyId } = epoch;
    for (const label of await readLabels(store, epochId, out.problem)) {
      const { snapshotId, completedAt, labels } = label;
      const line = { snapshotId, epochId, projectId, clusterId, encryptionKeyId, completedAt, labels };
      try {
        const manifest = keys === null ? null : await readManifest(store, keys, snapshotId);
        const known =
          manifest === null
            ? {}
            : { files: manifest.files, bytes: manifest.bytes, storedBytes: manifest.storedBytes, source: manifest.source };
        out.line(JSON.stringify({ ...line, proven: manifest !== null, ...known }));
      } catch (error) {
        out.problem(error);
      }
    }
  }
}
