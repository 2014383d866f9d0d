import { ObjectDamagedError, ObjectMissingError } from '../errors.js';
import { BlockRefusedError, openBlock, type BlockKeys } from '../format/block.js';
import { parseFileList, type FileSegment } from '../format/file-list.js';
import type { EpochKeys } from '../format/keys.js';
import { blockKey, manifestKey } from '../format/layout.js';
import { fileListBlocks, type Manifest } from '../format/manifest.js';
import type { ObjectStore } from '../object-store/object-store.js';

/** The keys as the block functions want them. */
export const blockKeysOf = (keys: EpochKeys): BlockKeys => ({
  epochId: Buffer.from(keys.epochId, 'hex'),
  name: keys.name,
  block: keys.block,
});

/**
 * Fetches a block and opens it.
 *
 * @throws ObjectMissingError, ObjectDamagedError
 */
export async function readBlock(store: ObjectStore, keys: EpochKeys, name: Uint8Array): Promise<Buffer> {
  const key = blockKey(keys.epochId, name);
  const sealed = await store.get(key);
  if (sealed === null) throw new ObjectMissingError(key);
  try {
    return openBlock(blockKeysOf(keys), name, sealed);
  } catch (error) {
    if (error instanceof BlockRefusedError) throw new ObjectDamagedError(key, error.reason);
    throw error;
  }
}

/** The files of a snapshot in the order of their paths, a segment at a time. */
export async function* readFileList(store: ObjectStore, keys: EpochKeys, manifest: Manifest): AsyncGenerator<FileSegment> {
  const contents = async function* (): AsyncGenerator<Buffer> {
    for (const name of fileListBlocks(manifest)) yield await readBlock(store, keys, name);
  };
  yield* parseFileList(manifestKey(keys.epochId, manifest.snapshotId), contents());
}
