import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomInt } from 'node:crypto';
import type { Timestamp, UUID } from 'bson';
import { type Doc, encodeDocument, numberOf } from '../bson-values.js';
import { type CipherMode, type PageCipher } from './cipher.js';
import { Collection, type CollectionInfo, ID_INDEX } from './collection.js';
import { readDocuments, writeDocuments } from './data-files.js';
import { Journal } from './journal.js';
import type { KeyDatabase } from './key-database.js';
import { Oplog } from './oplog.js';

/** The namespace of the oplog. */
export const OPLOG_NS = 'local.oplog.rs';
const CATALOG_FILE = '_mdb_catalog.wt';
/** There while a backup cursor is open. */
const BACKUP_FILE = 'WiredTiger.backup';
const CHECKPOINT_AFTER_BYTES = 64 * 1024 * 1024;
const MARK = 'mongod-sim: a stand-in of mongod for tests wrote this folder; a real mongod cannot read it\n';

/** One change of the stored data. A list of them is one atomic unit. */
export type StorageChange =
  | { k: 'create'; ns: string; uuid: UUID; options: Doc }
  | { k: 'drop'; ns: string }
  | { k: 'put'; ns: string; doc: Doc }
  | { k: 'remove'; ns: string; id: unknown }
  | { k: 'indexes'; ns: string; indexes: Doc[] }
  | { k: 'oplog'; entry: Doc }
  | { k: 'clearOplog' }
  | { k: 'cutOplog'; after: Timestamp };

/** Line of the file `WiredTiger` that tells how the files are encrypted; none where they are not. */
const ENCRYPTION_LINE = /^encryption=(.+)$/m;

/** The files of the dbPath cannot be used: mongod ends with exit code 14 or SIGABRT. */
export class StorageError extends Error {
  readonly code = 'STORAGE';
  constructor(
    message: string,
    /** Encrypted files without options for it, or the other way round; files of another cipher mode; or files that are no good. */
    readonly reason: 'encryption' | 'cipher-mode' | 'unreadable' = 'unreadable',
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A file of a backup: its absolute path, and how many of its bytes to copy. */
export interface BackupFile {
  filename: string;
  fileSize: number;
}

export interface StorageOptions {
  /** Entries of the oplog beyond this size are dropped. */
  oplogBytes: number;
  /** Keys and cipher mode of the files; absent when they are plain. */
  encryption?: { keys: KeyDatabase; mode: CipherMode };
}

/** A write did not reach the disk. Nothing can be acknowledged any more: the process must end. */
export class DiskError extends Error {
  readonly code = 'DISK';
}

/** Documents of all collections in memory, made durable by a journal and by checkpoints. */
export class StorageEngine {
  readonly oplog: Oplog;
  /** Set by the fault 'lose disk': every write fails. */
  diskLost = false;
  /** The folder held no data when it was opened. */
  fresh = false;
  /** Of the newest oplog entry that the last checkpoint holds. */
  checkpointTimestamp: Timestamp | undefined;
  readonly #dbPath: string;
  readonly #collections = new Map<string, Collection>();
  #journal!: Journal;
  #generation = 0;
  #holds = 0;
  #nextIdent = 0;
  readonly #suffix = `-${randomInt(2 ** 47)}`;
  readonly #encryption: StorageOptions['encryption'];

  private constructor(dbPath: string, { oplogBytes, encryption }: StorageOptions) {
    this.#dbPath = dbPath;
    this.#encryption = encryption;
    this.oplog = new Oplog(oplogBytes);
  }

  /** Loads the last checkpoint and replays the journal. Throws {@link StorageError}. */
  static open(dbPath: string, options: StorageOptions): StorageEngine {
    if (existsSync(join(dbPath, 'WiredTiger.wt'))) {
      throw new StorageError('the folder holds data of a real mongod, which this stand-in does not read');
    }
    checkEncryption(dbPath, options.encryption?.mode);
    const engine = new StorageEngine(dbPath, options);
    try {
      engine.#load();
    } catch (error) {
      throw new StorageError(error instanceof Error ? error.message : 'unreadable data files', 'unreadable', { cause: error });
    }
    return engine;
  }

  collection(ns: string): Collection | undefined {
    return this.#collections.get(ns);
  }

  namespaces(): string[] {
    return [...this.#collections.keys()];
  }

  databases(): string[] {
    const names = new Set(this.namespaces().map((ns) => ns.slice(0, ns.indexOf('.'))));
    if (this.oplog.length > 0) names.add('local');
    return [...names].sort();
  }

  /** Writes the changes to the journal, then to memory. Throws {@link DiskError}. */
  commit(changes: StorageChange[]): void {
    if (changes.length === 0) return;
    if (this.diskLost) throw new DiskError('Input/output error');
    try {
      this.#journal.append({ c: changes });
    } catch (error) {
      throw new DiskError(error instanceof Error ? error.message : 'write failed');
    }
    for (const change of changes) this.#apply(change);
    if (this.#journal.bytes > CHECKPOINT_AFTER_BYTES && this.#holds === 0) this.checkpoint();
  }

  /** Resolves when everything committed so far is on disk. Rejects with {@link DiskError}. */
  async sync(): Promise<void> {
    if (this.diskLost) throw new DiskError('Input/output error');
    try {
      await this.#journal.sync();
    } catch (error) {
      throw new DiskError(error instanceof Error ? error.message : 'sync failed');
    }
  }

  /** Writes changed collections to new files, switches to them by one rename, and begins a new journal. */
  checkpoint(): void {
    const generation = this.#generation + 1;
    const old = new Set<string>();
    const entries: Doc[] = [];
    for (const collection of this.#collections.values()) {
      if (collection.dirty || collection.file === undefined) {
        if (collection.file !== undefined) old.add(collection.file);
        collection.file = `${collection.info.ident}.${generation}.wt`;
        writeDocuments(join(this.#dbPath, collection.file), collection.documents(), this.#cipher(collection.info.ns));
        collection.dirty = false;
      }
      const { ns, uuid, options, indexes, ident } = collection.info;
      entries.push({ ns, uuid, options, indexes, ident, file: collection.file });
    }
    const oplogFile = `collection-oplog.${generation}.wt`;
    writeDocuments(join(this.#dbPath, oplogFile), this.oplog.entries(), this.#cipher());
    const catalog = { generation, nextIdent: this.#nextIdent, oplogFile, collections: entries };
    writeDocuments(join(this.#dbPath, `${CATALOG_FILE}.new`), [catalog], this.#cipher());
    renameSync(join(this.#dbPath, `${CATALOG_FILE}.new`), join(this.#dbPath, CATALOG_FILE));
    this.checkpointTimestamp = this.#newestTimestamp();
    this.#journal.close();
    this.#generation = generation;
    this.#journal = Journal.open(this.#journalFile(), this.#cipher()).journal;
    this.#removeUnused();
  }

  /** From now on nothing but the journal changes on disk, until {@link release} was called as often. */
  hold(): void {
    this.#holds += 1;
  }

  release(): void {
    this.#holds -= 1;
  }

  /**
   * The files of the last checkpoint and the journal, with what of each belongs to a backup; they stay until {@link endBackup}. What a server makes anew
   * (`WiredTiger.lock`, `mongod.lock`) is not among them, nor is `storage.bson`.
   */
  beginBackup(): BackupFile[] {
    if (!existsSync(join(this.#dbPath, CATALOG_FILE))) this.checkpoint();
    this.hold();
    writeFileSync(join(this.#dbPath, BACKUP_FILE), `mongod-sim: generation ${this.#generation}\n`, { mode: 0o600 });
    const data = readdirSync(this.#dbPath).filter((name) => name.endsWith('.wt') || name === 'WiredTiger' || name === BACKUP_FILE);
    return [...data.map((name) => join(this.#dbPath, name)), ...this.journalFiles()].map((filename) => {
      const { size } = statSync(filename);
      return { filename, fileSize: size };
    });
  }

  endBackup(): void {
    rmSync(join(this.#dbPath, BACKUP_FILE), { force: true });
    this.release();
  }

  journalFiles(): string[] {
    return [this.#journalFile()];
  }

  /** Total size of a database's documents, in bytes. */
  sizeOf(database: string): number {
    let bytes = 0;
    for (const [ns, collection] of this.#collections) {
      if (ns.startsWith(`${database}.`)) for (const document of collection.documents()) bytes += encodeDocument(document).length;
    }
    return bytes;
  }

  close(): void {
    this.checkpoint();
    this.#journal.close();
  }

  #journalFile(): string {
    return join(this.#dbPath, 'journal', `WiredTigerLog.${String(this.#generation + 1).padStart(10, '0')}`);
  }

  #load(): void {
    mkdirSync(join(this.#dbPath, 'journal'), { recursive: true });
    mkdirSync(join(this.#dbPath, 'diagnostic.data'), { recursive: true });
    const catalogPath = join(this.#dbPath, CATALOG_FILE);
    if (existsSync(catalogPath)) {
      const [catalog] = readDocuments(catalogPath, this.#cipher());
      if (catalog === undefined) throw new StorageError('the catalog is empty');
      this.#generation = numberOf(catalog['generation']) as number;
      this.#nextIdent = numberOf(catalog['nextIdent']) as number;
      for (const entry of catalog['collections'] as Doc[]) this.#loadCollection(entry);
      for (const entry of readDocuments(join(this.#dbPath, catalog['oplogFile'] as string), this.#cipher())) this.oplog.append(entry);
      this.checkpointTimestamp = this.#newestTimestamp();
    } else {
      this.fresh = !existsSync(this.#journalFile());
      const mode = this.#encryption?.mode;
      writeFileSync(join(this.#dbPath, 'WiredTiger'), mode === undefined ? MARK : `${MARK}encryption=${mode}\n`);
      for (const name of ['WiredTiger.lock', 'WiredTigerHS.wt', 'sizeStorer.wt']) writeFileSync(join(this.#dbPath, name), MARK);
    }
    const { journal, records } = Journal.open(this.#journalFile(), this.#cipher());
    this.#journal = journal;
    for (const record of records) for (const change of record['c'] as StorageChange[]) this.#apply(change);
    this.#removeUnused();
  }

  #loadCollection(entry: Doc): void {
    const info: CollectionInfo = {
      ns: entry['ns'] as string,
      uuid: entry['uuid'] as UUID,
      options: entry['options'] as Doc,
      indexes: entry['indexes'] as Doc[],
      ident: entry['ident'] as string,
    };
    const collection = new Collection(info);
    const file = entry['file'] as string;
    for (const document of readDocuments(join(this.#dbPath, file), this.#cipher(info.ns))) collection.put(document);
    collection.file = file;
    collection.dirty = false;
    this.#collections.set(info.ns, collection);
  }

  #apply(change: StorageChange): void {
    switch (change.k) {
      case 'create': {
        if (this.#collections.has(change.ns)) return;
        const ident = `collection-${this.#nextIdent}${this.#suffix}`;
        this.#nextIdent += 1;
        this.#collections.set(
          change.ns,
          new Collection({ ns: change.ns, uuid: change.uuid, options: change.options, indexes: [ID_INDEX], ident }),
        );
        return;
      }
      case 'drop':
        this.#collections.delete(change.ns);
        return;
      case 'put':
        this.#collections.get(change.ns)?.put(change.doc);
        return;
      case 'remove':
        this.#collections.get(change.ns)?.remove(change.id);
        return;
      case 'indexes': {
        const collection = this.#collections.get(change.ns);
        if (collection === undefined) return;
        collection.info.indexes = change.indexes;
        collection.dirty = true;
        return;
      }
      case 'oplog':
        this.oplog.append(change.entry);
        return;
      case 'clearOplog':
        this.oplog.clear();
        return;
      case 'cutOplog':
        this.oplog.cutAfter(change.after);
        return;
    }
  }

  #newestTimestamp(): Timestamp | undefined {
    return this.oplog.last?.['ts'] as Timestamp | undefined;
  }

  /** The cipher of the files of a namespace's database, or of those that belong to all. */
  #cipher(ns?: string): PageCipher | undefined {
    return this.#encryption?.keys.cipher(this.#encryption.mode, ns?.slice(0, ns.indexOf('.')));
  }

  /** Removes files that no checkpoint names: left by the last one, or by one that a crash cut short. */
  #removeUnused(): void {
    const used = new Set([...this.#collections.values()].map((collection) => collection.file));
    used.add(`collection-oplog.${this.#generation}.wt`);
    for (const name of readdirSync(this.#dbPath)) {
      if (/^collection-.*\.wt$/.test(name) && !used.has(name)) rmSync(join(this.#dbPath, name), { force: true });
    }
    rmSync(join(this.#dbPath, BACKUP_FILE), { force: true });
    const journal = this.#journalFile();
    for (const name of readdirSync(join(this.#dbPath, 'journal'))) {
      const file = join(this.#dbPath, 'journal', name);
      if (file !== journal) rmSync(file, { force: true });
    }
  }
}

/** Files are read as they were written, or not at all. */
function checkEncryption(dbPath: string, mode: CipherMode | undefined): void {
  const file = join(dbPath, 'WiredTiger');
  if (!existsSync(file)) return;
  const written = ENCRYPTION_LINE.exec(readFileSync(file, 'utf8'))?.[1];
  if (written === mode) return;
  if (written === undefined) throw new StorageError('encryption is configured, and the files are not encrypted', 'encryption');
  if (mode === undefined) throw new StorageError('the files are encrypted, and no encryption is configured', 'encryption');
  throw new StorageError(`the files were written with ${written}, not with ${mode}`, 'cipher-mode');
}
