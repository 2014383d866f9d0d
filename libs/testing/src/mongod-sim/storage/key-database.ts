import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Binary } from 'bson';
import type { Doc } from '../bson-values.js';
import { type CipherMode, KEY_BYTES, type PageCipher, pageCipher } from './cipher.js';
import { readDocuments, writeDocuments } from './data-files.js';

/** The folder below the dbPath that holds the database keys. */
export const KEY_DATABASE = 'key.db';
/** The key of journal, catalog and oplog. */
const DEFAULT_KEY = '/default';
const KEYS_FILE = 'key.wt';

/** The database keys cannot be read: the master key is another one, or the files are damaged. */
export class KeyDatabaseError extends Error {
  readonly code = 'KEY_DATABASE';
}

/** The keys of the databases, one each, encrypted under the master key: always with AES256-CBC, whatever the mode of the data files. */
export class KeyDatabase {
  readonly #folder: string;
  readonly #master: PageCipher;
  readonly #keys = new Map<string, Buffer>();

  private constructor(folder: string, masterKey: Uint8Array) {
    this.#folder = folder;
    this.#master = pageCipher('AES256-CBC', masterKey);
  }

  /** Opens the keys of a dbPath; one that has none gets new ones. Throws {@link KeyDatabaseError}. */
  static open(dbPath: string, masterKey: Uint8Array): KeyDatabase {
    const keys = new KeyDatabase(join(dbPath, KEY_DATABASE), masterKey);
    if (existsSync(join(keys.#folder, KEYS_FILE))) keys.#load();
    else keys.#create();
    return keys;
  }

  /** The cipher of a database's files; without a name, of what belongs to all. A database that is new gets its key now. */
  cipher(mode: CipherMode, database = DEFAULT_KEY): PageCipher {
    let key = this.#keys.get(database);
    if (key === undefined) {
      key = randomBytes(KEY_BYTES);
      this.#keys.set(database, key);
      this.#store();
    }
    return pageCipher(mode, key);
  }

  #load(): void {
    try {
      for (const { _id: name, key } of readDocuments(join(this.#folder, KEYS_FILE), this.#master)) {
        this.#keys.set(String(name), Buffer.from((key as Binary).buffer));
      }
    } catch (error) {
      throw new KeyDatabaseError(error instanceof Error ? error.message : 'unreadable');
    }
  }

  #create(): void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    for (const name of ['WiredTiger', 'WiredTiger.lock']) writeFileSync(join(this.#folder, name), 'mongod-sim\n', { mode: 0o600 });
    // Where the real server keeps its log: directly in the folder, and a backup cursor that looks elsewhere fails.
    writeDocuments(join(this.#folder, 'WiredTigerLog.0000000001'), [{}], this.#master);
    writeDocuments(join(this.#folder, 'parameters.wt'), [{}], this.#master);
    this.cipher('AES256-CBC');
  }

  #store(): void {
    const documents = [...this.#keys].map(([name, key]): Doc => ({ _id: name, key: new Binary(key) }));
    writeDocuments(join(this.#folder, `${KEYS_FILE}.new`), documents, this.#master);
    renameSync(join(this.#folder, `${KEYS_FILE}.new`), join(this.#folder, KEYS_FILE));
  }
}
