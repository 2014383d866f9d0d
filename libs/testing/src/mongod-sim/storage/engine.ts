import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { randomInt } from 'node:crypto';
import type { Timestamp, UUID } from 'bson';
import { type Doc, decodeDocument, encodeDocument, numberOf } from '../bson-values.js';
import { Collection, type CollectionInfo, ID_INDEX } from './collection.js';
import { Journal } from './journal.js';
import { Oplog } from './oplog.js';

/** The namespace of the oplog. */
export const OPLOG_NS = 'local.oplog.rs';
const CATALOG_FILE = '_mdb_catalog.wt';
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

/** The files of the dbPath cannot be used: mongod ends with exit code 14 or SIGABRT. */
export class StorageError extends Error {
  readonly code = 'STORAGE';
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
  readonly #dbPath: string;
  readonly #collections = new Map<string, Collection>();
  #journal!: Journal;
  #generation = 0;
  #nextIdent = 0;
  readonly #suffix = `-${randomInt(2 ** 47)}`;

  private constructor(dbPath: string, oplogBytes: number) {
    this.#dbPath = dbPath;
    this.oplog = new Oplog(oplogBytes);
  }

  /** Loads the last checkpoint and replays the journal. Throws {@link StorageError}. */
  static open(dbPath: string, options: { oplogBytes: number }): StorageEngine {
    if (existsSync(join(dbPath, 'WiredTiger.wt'))) {
      throw new StorageError('the folder holds data of a real mongod, which this stand-in does not read');
    }
    const engine = new StorageEngine(dbPath, options.oplogBytes);
    try {
      engine.#load();
    } catch (error) {
      throw new StorageError(error instanceof Error ? error.message : 'unreadable data files');
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
    if (this.#journal.bytes > CHECKPOINT_AFTER_BYTES) this.checkpoint();
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
        this.#writeFile(collection.file, collection.documents());
        collection.dirty = false;
      }
      const { ns, uuid, options, indexes, ident } = collection.info;
      entries.push({ ns, uuid, options, indexes, ident, file: collection.file });
    }
    const oplogFile = `collection-oplog.${generation}.wt`;
    this.#writeFile(oplogFile, this.oplog.entries());
    this.#writeFile(`${CATALOG_FILE}.new`, [{ generation, nextIdent: this.#nextIdent, oplogFile, collections: entries }]);
    renameSync(join(this.#dbPath, `${CATALOG_FILE}.new`), join(this.#dbPath, CATALOG_FILE));
    this.#journal.close();
    this.#generation = generation;
    this.#journal = Journal.open(this.#journalFile()).journal;
    this.#removeUnused();
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
      const [catalog] = readDocuments(catalogPath);
      if (catalog === undefined) throw new StorageError('the catalog is empty');
      this.#generation = numberOf(catalog['generation']) as number;
      this.#nextIdent = numberOf(catalog['nextIdent']) as number;
      for (const entry of catalog['collections'] as Doc[]) this.#loadCollection(entry);
      for (const entry of readDocuments(join(this.#dbPath, catalog['oplogFile'] as string))) this.oplog.append(entry);
    } else {
      this.fresh = !existsSync(this.#journalFile());
      writeFileSync(join(this.#dbPath, 'WiredTiger'), MARK);
      writeFileSync(join(this.#dbPath, 'WiredTiger.lock'), MARK);
      writeFileSync(
        join(this.#dbPath, 'storage.bson'),
        encodeDocument({
          storage: { engine: 'wiredTiger', options: { directoryPerDB: false, directoryForIndexes: false, groupCollections: false } },
        }),
      );
    }
    const { journal, records } = Journal.open(this.#journalFile());
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
    for (const document of readDocuments(join(this.#dbPath, file))) collection.put(document);
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

  #writeFile(name: string, documents: Doc[]): void {
    const descriptor = openSync(join(this.#dbPath, name), 'w', 0o600);
    try {
      let pending: Uint8Array[] = [];
      let size = 0;
      const flush = (): void => {
        const bytes = Buffer.concat(pending);
        let offset = 0;
        while (offset < bytes.length) offset += writeSync(descriptor, bytes, offset);
        pending = [];
        size = 0;
      };
      for (const document of documents) {
        const bytes = encodeDocument(document);
        pending.push(bytes);
        size += bytes.length;
        if (size > 1 << 20) flush();
      }
      flush();
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  }

  /** Removes files that no checkpoint names: left by the last one, or by one that a crash cut short. */
  #removeUnused(): void {
    const used = new Set([...this.#collections.values()].map((collection) => collection.file));
    used.add(`collection-oplog.${this.#generation}.wt`);
    for (const name of readdirSync(this.#dbPath)) {
      if (/^collection-.*\.wt$/.test(name) && !used.has(name)) rmSync(join(this.#dbPath, name), { force: true });
    }
    const journal = this.#journalFile();
    for (const name of readdirSync(join(this.#dbPath, 'journal'))) {
      const file = join(this.#dbPath, 'journal', name);
      if (file !== journal) rmSync(file, { force: true });
    }
  }
}

function readDocuments(file: string): Doc[] {
  const bytes = readFileSync(file);
  const documents: Doc[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    if (offset + 5 > bytes.length) throw new StorageError(`${file} is cut off`);
    const size = bytes.readInt32LE(offset);
    if (size < 5 || offset + size > bytes.length) throw new StorageError(`${file} is damaged at ${offset}`);
    documents.push(decodeDocument(bytes.subarray(offset, offset + size)));
    offset += size;
  }
  return documents;
}
