import { readManifest, restoreFiles, type DataKeyWrapper, type ObjectStore } from '@atrest/snapshot-store';
import { openEpochOf } from '../epochs.js';
import type { Output } from '../output.js';

/** Writes the files of a snapshot into a folder: with the store and the key's credentials, and no service running. */
export async function extract(
  store: ObjectStore,
  wrapper: DataKeyWrapper,
  o: { readonly snapshotId: string; readonly target: string; readonly signal: AbortSignal },
  out: Output,
): Promise<void> {
  const { keys } = await openEpochOf(store, o.snapshotId, wrapper);
  const manifest = await readManifest(store, keys, o.snapshotId);
  await restoreFiles({ store, keys, manifest, target: o.target, signal: o.signal });
  out.line(`${manifest.files} files, ${manifest.bytes} bytes are in ${o.target}.`);
  out.line(JSON.stringify(manifest.source));
}
