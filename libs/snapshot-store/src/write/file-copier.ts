import type { Clock } from '@atrest/platform-time';
import { SourceChangedError, SourceUnreadableError } from '../errors.js';
import { BLOCK_BYTES, NAME_BYTES } from '../format/block.js';
import { NAMES_PER_LINE, type FileEntry } from '../format/file-list.js';
import type { EpochKeys } from '../format/keys.js';
import { blockKey } from '../format/layout.js';
import type { ObjectStore } from '../object-store/object-store.js';
import type { BlockPool } from './block-pool.js';
import type { ByteRate } from './byte-rate.js';
import type { FileListWriter } from './file-list-writer.js';
import { isZeroName, type ParentFiles } from './parent-files.js';
import type { Slots } from './slots.js';
import { describeSource, isUntouched, type SourceFile } from './source-file.js';

/** Segments that may wait for their blocks before the next file is begun. Small files are one segment each. */
const SEGMENTS_AHEAD = 512;

export interface FileCopierOptions {
  readonly store: ObjectStore;
  readonly keys: EpochKeys;
  readonly pool: BlockPool;
  readonly list: FileListWriter;
  readonly parentFiles: ParentFiles | null;
  readonly member: string | null;
  readonly compress: boolean;
  readonly slots: Slots;
  readonly readRate: ByteRate | null;
  readonly uploadRate: ByteRate | null;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** A segment whose blocks are under way. */
interface OpenSegment {
  readonly file: FileEntry;
  readonly at: number;
  readonly names: Buffer;
  readonly blocks: Promise<void>[];
}

/** Copies one file after the other: blocks overlap, also across files, and the list of files keeps their order. */
export class FileCopier {
  readonly #o: FileCopierOptions;
  readonly #segments: OpenSegment[] = [];
  #files = 0;
  #bytes = 0;
  #storedBytes = 0;
  /** The first block that failed: nothing more is begun after it. */
  #failure: { readonly error: unknown } | undefined;
  /** Called when progress was made. */
  onChange: () => void = () => undefined;

  constructor(options: FileCopierOptions) {
    this.#o = options;
  }

  get progress(): { readonly files: number; readonly bytes: number; readonly storedBytes: number } {
    return { files: this.#files, bytes: this.#bytes, storedBytes: this.#storedBytes };
  }

  async copy(source: SourceFile): Promise<void> {
    const { parentFiles, signal } = this.#o;
    const file = await describeSource(source, this.#o.member, this.#o.clock.now());
    const before = (await parentFiles?.find(file.path)) ?? null;
    const untouched = before !== null && isUntouched(file, before);
    const count = Math.ceil(file.size / BLOCK_BYTES);
    for (let at = 0; at === 0 || at < count; at += NAMES_PER_LINE) {
      const names = Buffer.alloc(Math.min(NAMES_PER_LINE, count - at) * NAME_BYTES);
      const segment: OpenSegment = { file, at, names, blocks: [] };
      for (let index = at; index < at + names.length / NAME_BYTES; index += 1) {
        signal.throwIfAborted();
        const knownName = before === null ? null : await parentFiles!.nameAt(file.path, index);
        const length = Math.min(BLOCK_BYTES, file.size - index * BLOCK_BYTES);
        const target = names.subarray((index - at) * NAME_BYTES, (index - at + 1) * NAME_BYTES);
        if (untouched && knownName !== null) {
          knownName.copy(target);
          this.#bytes += length;
        } else {
          const known = knownName === null || isZeroName(knownName) ? null : Buffer.from(knownName);
          await this.#begin(segment, { source, position: index * BLOCK_BYTES, length, known, target });
        }
      }
      this.#segments.push(segment);
      while (this.#segments.length > SEGMENTS_AHEAD) await this.#writeFirst();
    }
    this.#files += 1;
    this.onChange();
  }

  /** Waits for a place, so that no more is in memory than was agreed, and then lets the block go its way. */
  async #begin(segment: OpenSegment, block: Block): Promise<void> {
    await this.#o.slots.take();
    if (this.#failure !== undefined) throw this.#failure.error;
    const done = this.#copyBlock(block).finally(() => this.#o.slots.give());
    done.catch((error: unknown) => (this.#failure ??= { error }));
    segment.blocks.push(done);
  }

  async #copyBlock({ source, position, length, known, target }: Block): Promise<void> {
    const { store, keys, pool, signal } = this.#o;
    await this.#o.readRate?.pass(length, signal);
    signal.throwIfAborted();
    const result = await pool.run({
      kind: 'seal',
      path: source.absolutePath,
      position,
      length,
      knownName: known,
      compress: this.#o.compress,
      scratch: null,
    });
    switch (result.kind) {
      case 'zeros':
        break;
      case 'known':
        known!.copy(target);
        break;
      case 'sealed': {
        signal.throwIfAborted();
        const sealed = Buffer.from(result.sealed, 0, result.sealedLength);
        await this.#o.uploadRate?.pass(sealed.length, signal);
        if ((await store.put(blockKey(keys.epochId, result.name), sealed, { ifAbsent: true })) === 'stored')
          this.#storedBytes += sealed.length;
        target.set(result.name);
        pool.recycle(result.sealed);
        break;
      }
      case 'short':
        throw new SourceChangedError(source.path, 'became shorter');
      case 'failed':
        if (result.code === 'ENOENT') throw new SourceChangedError(source.path, 'disappeared');
        throw new SourceUnreadableError(`The file ${source.path} cannot be read (${result.code}).`);
      case 'opened':
      case 'refused':
        throw new TypeError(`a block to be sealed cannot be ${result.kind}`);
      default:
        result satisfies never;
    }
    this.#bytes += length;
    this.onChange();
  }

  async #writeFirst(): Promise<void> {
    const segment = this.#segments.shift()!;
    await Promise.all(segment.blocks);
    await this.#o.list.add({ file: segment.file, at: segment.at, names: segment.names });
  }

  /** Waits for all blocks and writes the rest of the list. */
  async finish(): Promise<void> {
    while (this.#segments.length > 0) await this.#writeFirst();
  }

  /** Waits until nothing of it is under way any more, whatever came of it. */
  async abandon(): Promise<void> {
    await Promise.allSettled(this.#segments.splice(0).flatMap((segment) => segment.blocks));
  }
}

interface Block {
  readonly source: SourceFile;
  readonly position: number;
  readonly length: number;
  readonly known: Buffer | null;
  readonly target: Buffer;
}
