import { chmod, mkdir, open, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ObjectDamagedError, ObjectMissingError, SnapshotCancelledError, StoreFullError, TargetUnwritableError } from '../errors.js';
import { BLOCK_BYTES, NAME_BYTES } from '../format/block.js';
import type { FileEntry, FileSegment } from '../format/file-list.js';
import type { EpochKeys } from '../format/keys.js';
import { blockKey, manifestKey } from '../format/layout.js';
import type { Manifest } from '../format/manifest.js';
import type { ObjectStore } from '../object-store/object-store.js';
import { BlockPool } from '../write/block-pool.js';
import { isZeroName } from '../write/parent-files.js';
import { Slots } from '../write/slots.js';
import { readFileList } from './file-list-reader.js';

export interface RestoreFilesOptions {
  readonly store: ObjectStore;
  readonly keys: EpochKeys;
  readonly manifest: Manifest;
  /** The folder that gets the files; made when it is missing. A file that is there already is never overwritten. */
  readonly target: string;
  /** Which files; default: all. */
  readonly select?: (path: string) => boolean;
  readonly threads?: number;
  /** Blocks that are fetched at the same time. Default 4. */
  readonly downloads?: number;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: { readonly files: number; readonly bytes: number; readonly bytesTotal: number }) => void;
}

/** Files that may wait for their last blocks before the next one is begun. */
const FILES_AHEAD = 64;

/**
 * Writes the files of a snapshot into a folder: every block authenticated before a byte of it is written, zeros left as holes, each
 * file on the disk before this resolves.
 *
 * @throws ObjectMissingError, ObjectDamagedError, TargetUnwritableError, SnapshotCancelledError, and the store's errors. What was written until then
 *   stays: the caller owns the folder.
 */
export async function restoreFiles(o: RestoreFilesOptions): Promise<void> {
  const threads = o.threads ?? 2;
  const restorer = new Restorer(o, new BlockPool(o.keys, threads), new Slots(2 * threads + (o.downloads ?? 4)));
  try {
    await restorer.run();
  } catch (error) {
    throw o.signal.aborted ? new SnapshotCancelledError() : error;
  } finally {
    await restorer.close();
  }
}

interface OpenFile {
  readonly entry: FileEntry;
  readonly path: string;
  readonly blocks: Promise<void>[];
  /** Blocks seen in the list so far; a list with a gap would leave a hole that looks like data. */
  listed: number;
}

class Restorer {
  readonly #o: RestoreFilesOptions;
  readonly #pool: BlockPool;
  readonly #slots: Slots;
  readonly #open: OpenFile[] = [];
  readonly #folders = new Set<string>();
  #failure: { readonly error: unknown } | undefined;
  #files = 0;
  #bytes = 0;

  constructor(o: RestoreFilesOptions, pool: BlockPool, slots: Slots) {
    this.#o = o;
    this.#pool = pool;
    this.#slots = slots;
  }

  async run(): Promise<void> {
    const { store, keys, manifest, signal } = this.#o;
    let file: OpenFile | undefined;
    for await (const segment of readFileList(store, keys, manifest)) {
      signal.throwIfAborted();
      if (this.#o.select?.(segment.file.path) === false) continue;
      if (file?.entry.path !== segment.file.path) {
        if (file !== undefined) this.#assertWhole(file);
        file = await this.#create(segment.file);
        this.#open.push(file);
        while (this.#open.length > FILES_AHEAD) await this.#finishFirst();
      }
      await this.#addSegment(file, segment);
    }
    if (file !== undefined) this.#assertWhole(file);
    while (this.#open.length > 0) await this.#finishFirst();
  }

  #damaged(detail: string): ObjectDamagedError {
    return new ObjectDamagedError(manifestKey(this.#o.keys.epochId, this.#o.manifest.snapshotId), detail);
  }

  #assertWhole(file: OpenFile): void {
    if (file.listed !== Math.ceil(file.entry.size / BLOCK_BYTES)) throw this.#damaged(`it does not list all blocks of ${file.entry.path}`);
  }

  async #create(entry: FileEntry): Promise<OpenFile> {
    const path = join(this.#o.target, ...entry.path.split('/'));
    await this.#writing(entry.path, async () => {
      const folder = dirname(path);
      if (!this.#folders.has(folder)) await mkdir(folder, { recursive: true, mode: 0o700 });
      this.#folders.add(folder);
      // Its full size at once: what is not written stays a hole, which reads as zeros.
      await withFile(path, 'wx', (file) => file.truncate(entry.size));
    });
    return { entry, path, blocks: [], listed: 0 };
  }

  async #addSegment(file: OpenFile, segment: FileSegment): Promise<void> {
    if (segment.at !== file.listed) throw this.#damaged(`it does not list all blocks of ${file.entry.path}`);
    const count = segment.names.length / NAME_BYTES;
    for (let index = 0; index < count; index += 1) {
      this.#o.signal.throwIfAborted();
      const name = segment.names.subarray(index * NAME_BYTES, (index + 1) * NAME_BYTES);
      const position = (segment.at + index) * BLOCK_BYTES;
      const length = Math.min(BLOCK_BYTES, file.entry.size - position);
      if (length <= 0) throw this.#damaged(`it lists more blocks than ${file.entry.path} has`);
      if (isZeroName(name)) this.#count(length);
      else await this.#begin(file, name, position, length);
    }
    file.listed += count;
  }

  async #begin(file: OpenFile, name: Buffer, position: number, length: number): Promise<void> {
    await this.#slots.take();
    if (this.#failure !== undefined) throw this.#failure.error;
    const done = this.#fetch(file, name, position, length).finally(() => this.#slots.give());
    done.catch((error: unknown) => (this.#failure ??= { error }));
    file.blocks.push(done);
  }

  async #fetch(file: OpenFile, name: Buffer, position: number, length: number): Promise<void> {
    const key = blockKey(this.#o.keys.epochId, name);
    const sealed = await this.#o.store.get(key);
    if (sealed === null) throw new ObjectMissingError(key);
    const owned = ownMemory(sealed);
    const target = { path: file.path, position };
    const result = await this.#pool.run({
      kind: 'open',
      name: Buffer.from(name),
      sealed: owned,
      sealedLength: sealed.length,
      length,
      target,
    });
    if (result.kind === 'refused') throw new ObjectDamagedError(key, result.reason);
    if (result.kind === 'failed') throw writeError(file.entry.path, result.code);
    this.#count(length);
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    this.#o.onProgress?.({ files: this.#files, bytes: this.#bytes, bytesTotal: this.#o.manifest.bytes });
  }

  async #finishFirst(): Promise<void> {
    const { entry, path, blocks } = this.#open.shift()!;
    await Promise.all(blocks);
    await this.#writing(entry.path, async () => {
      await withFile(path, 'r+', (file) => file.datasync());
      await chmod(path, entry.mode);
    });
    this.#files += 1;
    this.#count(0);
  }

  async #writing(path: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      throw writeError(path, (error as NodeJS.ErrnoException).code ?? 'unknown error', error);
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#open.flatMap((file) => file.blocks));
    await this.#pool.close();
  }
}

async function withFile(path: string, flags: 'wx' | 'r+', work: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await open(path, flags, 0o600);
  try {
    await work(file);
  } finally {
    await file.close();
  }
}

/** A buffer that shares no memory, so that it can be handed to a thread. */
function ownMemory(bytes: Buffer): ArrayBuffer {
  const isAlone = bytes.byteOffset === 0 && bytes.buffer.byteLength === bytes.length && bytes.buffer instanceof ArrayBuffer;
  return isAlone ? (bytes.buffer as ArrayBuffer) : new Uint8Array(bytes).buffer;
}

function writeError(path: string, code: string, cause?: unknown): Error {
  const options = cause === undefined ? {} : { cause };
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new StoreFullError(`The target has no space left for ${path}. Free some and restore again.`, options);
  if (code === 'EEXIST') return new TargetUnwritableError(`The target has a file ${path} already; restore into an empty folder.`, options);
  return new TargetUnwritableError(`The file ${path} cannot be written in the target (${code}).`, options);
}
