import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { link, mkdir, open, opendir, readFile, rename, rm, stat, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { StoreFullError, StoreRefusedError, StoreUnavailableError } from '../errors.js';
import { assertObjectKey, type ObjectStore, type StoredObject, type Undeleted } from './object-store.js';

/** Files that are being written; never listed, swept on open when they are a day old: whoever wrote them is gone. */
const TEMPORARY_FOLDER = '.writing';
const TEMPORARY_KEPT_MS = 24 * 60 * 60 * 1_000;

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? '';

/** What a failed file operation means for the caller. */
function storeError(action: string, root: string, error: unknown): Error {
  const code = codeOf(error);
  const text = `${action} in the folder ${root} failed (${code || 'unknown error'})`;
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new StoreFullError(`${text}: no space is left. Free some or move the store.`, { cause: error });
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new StoreRefusedError(`${text}: this process may not write or read there.`, { cause: error });
  }
  return new StoreUnavailableError(`${text}.`, { cause: error });
}

/**
 * Objects as files of a folder. A file gets its final name only when all its bytes are on the disk; folders are flushed by {@link flush}, so
 * that a snapshot costs a handful of folder flushes and not one per block.
 */
export class FolderObjectStore implements ObjectStore {
  readonly description: string;
  readonly #root: string;
  readonly #madeFolders = new Set<string>();
  readonly #unflushedFolders = new Set<string>();

  private constructor(root: string) {
    this.#root = root;
    this.description = `folder ${root}`;
  }

  /**
   * Opens the store, making the folder where it is missing.
   *
   * @throws StoreRefusedError, StoreUnavailableError, StoreFullError
   */
  static async open(root: string, now: Date): Promise<FolderObjectStore> {
    const store = new FolderObjectStore(root);
    try {
      await mkdir(join(root, TEMPORARY_FOLDER), { recursive: true, mode: 0o700 });
      await store.#sweepTemporary(now);
    } catch (error) {
      throw storeError('Opening the store', root, error);
    }
    return store;
  }

  async #sweepTemporary(now: Date): Promise<void> {
    const folder = join(this.#root, TEMPORARY_FOLDER);
    for await (const entry of await opendir(folder)) {
      const path = join(folder, entry.name);
      const found = await stat(path).catch(() => undefined);
      if (found !== undefined && now.getTime() - found.mtimeMs > TEMPORARY_KEPT_MS) await rm(path, { force: true });
    }
  }

  async put(key: string, body: Uint8Array, options: { readonly ifAbsent?: boolean } = {}): Promise<'stored' | 'exists'> {
    assertObjectKey(key);
    const path = this.#pathOf(key);
    const temporary = join(this.#root, TEMPORARY_FOLDER, randomBytes(12).toString('hex'));
    try {
      if (options.ifAbsent === true && (await this.head(key)) !== null) return 'exists';
      await this.#write(temporary, body);
      await this.#makeFolder(dirname(path));
      if (options.ifAbsent === true) {
        // A link fails where a rename would replace: of two writers one is told.
        await link(temporary, path);
        await unlink(temporary);
      } else {
        await rename(temporary, path);
      }
      this.#unflushedFolders.add(dirname(path));
      return 'stored';
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      if (codeOf(error) === 'EEXIST' && options.ifAbsent === true) return 'exists';
      throw storeError(`Writing ${key}`, this.#root, error);
    }
  }

  async #write(path: string, body: Uint8Array): Promise<void> {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(body);
      await file.datasync();
    } finally {
      await file.close();
    }
  }

  async #makeFolder(folder: string): Promise<void> {
    if (this.#madeFolders.has(folder)) return;
    const first = await mkdir(folder, { recursive: true, mode: 0o700 });
    this.#madeFolders.add(folder);
    if (first === undefined) return;
    // Each new folder is an entry of the one above it.
    for (let made = folder; made.length >= first.length; made = dirname(made)) this.#unflushedFolders.add(dirname(made));
  }

  async get(key: string): Promise<Buffer | null> {
    assertObjectKey(key);
    try {
      return await readFile(this.#pathOf(key));
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null;
      throw storeError(`Reading ${key}`, this.#root, error);
    }
  }

  async head(key: string): Promise<StoredObject | null> {
    assertObjectKey(key);
    try {
      const found = await stat(this.#pathOf(key));
      return { key, size: found.size, modifiedAt: found.mtime };
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null;
      throw storeError(`Looking for ${key}`, this.#root, error);
    }
  }

  async *list(prefix: string): AsyncIterable<StoredObject> {
    // The folder that the prefix names for certain; what follows its last slash is the beginning of a name.
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    for await (const key of this.#walk(folder)) {
      if (!key.startsWith(prefix)) continue;
      const found = await this.head(key);
      if (found !== null) yield found;
    }
  }

  async *#walk(folder: string): AsyncGenerator<string> {
    let entries;
    try {
      entries = await opendir(join(this.#root, ...folder.split('/')));
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return;
      throw storeError(`Listing ${folder}`, this.#root, error);
    }
    for await (const entry of entries) {
      if (folder === '' && entry.name === TEMPORARY_FOLDER) continue;
      if (entry.isDirectory()) yield* this.#walk(`${folder}${entry.name}/`);
      else if (entry.isFile()) yield `${folder}${entry.name}`;
    }
  }

  async delete(keys: readonly string[]): Promise<readonly Undeleted[]> {
    const refused: Undeleted[] = [];
    for (const key of keys) {
      assertObjectKey(key);
      try {
        await rm(this.#pathOf(key), { force: true });
        this.#unflushedFolders.add(dirname(this.#pathOf(key)));
      } catch (error) {
        if (codeOf(error) !== 'EACCES' && codeOf(error) !== 'EPERM') throw storeError(`Deleting ${key}`, this.#root, error);
        refused.push({ key, reason: codeOf(error) });
      }
    }
    return refused;
  }

  async flush(): Promise<void> {
    const folders = [...this.#unflushedFolders];
    this.#unflushedFolders.clear();
    for (const folder of folders) {
      let handle: FileHandle;
      try {
        handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
      } catch (error) {
        if (codeOf(error) === 'ENOENT') continue;
        throw storeError('Flushing', this.#root, error);
      }
      try {
        await handle.sync();
      } catch (error) {
        this.#unflushedFolders.add(folder);
        throw storeError('Flushing', this.#root, error);
      } finally {
        await handle.close();
      }
    }
  }

  async close(): Promise<void> {
    await this.flush();
  }

  #pathOf(key: string): string {
    return join(this.#root, key.split('/').join(sep));
  }
}
