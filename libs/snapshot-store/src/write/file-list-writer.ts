import { BLOCK_BYTES, NAME_BYTES, nameOfBlock, sealBlock } from '../format/block.js';
import { renderSegment, ZERO_NAME, type FileSegment } from '../format/file-list.js';
import type { EpochKeys } from '../format/keys.js';
import { blockKey } from '../format/layout.js';
import type { ObjectStore } from '../object-store/object-store.js';
import { blockKeysOf } from '../read/file-list-reader.js';

/** Writes the list of files into blocks while the snapshot grows; only one block of it is in memory. */
export class FileListWriter {
  readonly #store: ObjectStore;
  readonly #keys: EpochKeys;
  readonly #block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  readonly #names: Buffer[] = [];
  #filled = 0;
  #bytes = 0;
  /** Blocks named by all segments, zeros left out. */
  blocks = 0;
  /** Bytes that the list itself added to the store. */
  storedBytes = 0;

  constructor(store: ObjectStore, keys: EpochKeys) {
    this.#store = store;
    this.#keys = keys;
  }

  async add(segment: FileSegment): Promise<void> {
    for (let at = 0; at < segment.names.length; at += NAME_BYTES) {
      if (!segment.names.subarray(at, at + NAME_BYTES).equals(ZERO_NAME)) this.blocks += 1;
    }
    const line = renderSegment(segment);
    for (let at = 0; at < line.length;) {
      const copied = line.copy(this.#block, this.#filled, at);
      this.#filled += copied;
      at += copied;
      if (this.#filled === BLOCK_BYTES) await this.#writeBlock();
    }
  }

  /** Writes what is left. */
  async finish(): Promise<{ readonly bytes: number; readonly blocks: string }> {
    if (this.#filled > 0) await this.#writeBlock();
    return { bytes: this.#bytes, blocks: Buffer.concat(this.#names).toString('base64') };
  }

  async #writeBlock(): Promise<void> {
    const content = this.#block.subarray(0, this.#filled);
    const keys = blockKeysOf(this.#keys);
    const name = nameOfBlock(keys, content);
    // Names in Base64 shrink to about three quarters: worth it here, where every snapshot writes the whole list.
    const sealed = sealBlock(keys, name, content, { compress: true });
    const put = await this.#store.put(blockKey(this.#keys.epochId, name), sealed, { ifAbsent: true });
    if (put === 'stored') this.storedBytes += sealed.length;
    this.#names.push(name);
    this.#bytes += this.#filled;
    this.#filled = 0;
  }
}
