import { NAME_BYTES } from '../format/block.js';
import { ZERO_NAME, type FileEntry, type FileSegment } from '../format/file-list.js';
import { comparePaths } from '../format/paths.js';

/** Reads the file list of an earlier snapshot alongside a new one, both in the order of paths: one segment of it is in memory at a time. */
export class ParentFiles {
  readonly #segments: AsyncIterator<FileSegment>;
  #current: FileSegment | null = null;
  #begun = false;

  constructor(segments: AsyncIterable<FileSegment>) {
    this.#segments = segments[Symbol.asyncIterator]();
  }

  async #advance(): Promise<void> {
    const next = await this.#segments.next();
    this.#current = next.done === true ? null : next.value;
  }

  /** Moves on to a path; null when the earlier snapshot has no such file. Paths must be asked for in their order. */
  async find(path: string): Promise<FileEntry | null> {
    if (!this.#begun) await this.#advance();
    this.#begun = true;
    while (this.#current !== null && comparePaths(this.#current.file.path, path) < 0) await this.#advance();
    return this.#current?.file.path === path ? this.#current.file : null;
  }

  /** The name that a block of the file found last had; null when it had none. Indexes must be asked for in their order. */
  async nameAt(path: string, index: number): Promise<Buffer | null> {
    while (this.#current?.file.path === path && index >= this.#current.at + this.#current.names.length / NAME_BYTES) await this.#advance();
    if (this.#current?.file.path !== path || index < this.#current.at) return null;
    const at = (index - this.#current.at) * NAME_BYTES;
    return this.#current.names.subarray(at, at + NAME_BYTES);
  }

  async close(): Promise<void> {
    await this.#segments.return?.();
  }
}

/** Whether two blocks may be known by name: zeros are not stored, so they are never 'known'. */
export const isZeroName = (name: Uint8Array): boolean => ZERO_NAME.equals(name);
