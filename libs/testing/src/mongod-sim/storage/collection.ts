import type { UUID } from 'bson';
import type { Doc } from '../bson-values.js';
import { keyOf } from './keys.js';

/** What is known of a collection beside its documents. */
export interface CollectionInfo {
  ns: string;
  uuid: UUID;
  options: Doc;
  indexes: Doc[];
  /** Name of its file in the dbPath, without suffix. */
  ident: string;
}

/** The documents of one collection, in memory, in the order in which they were first written. */
export class Collection {
  readonly info: CollectionInfo;
  /** Changed since the last checkpoint. */
  dirty = true;
  /** The file that the last checkpoint wrote. */
  file: string | undefined;
  readonly #documents = new Map<string, Doc>();

  constructor(info: CollectionInfo) {
    this.info = info;
  }

  get size(): number {
    return this.#documents.size;
  }

  get(id: unknown): Doc | undefined {
    return this.#documents.get(keyOf(id));
  }

  put(document: Doc): void {
    this.#documents.set(keyOf(document['_id']), document);
    this.dirty = true;
  }

  remove(id: unknown): boolean {
    this.dirty = true;
    return this.#documents.delete(keyOf(id));
  }

  /** A stable list: writes during a scan do not disturb it. */
  documents(): Doc[] {
    return [...this.#documents.values()];
  }
}

/** The default index every collection but the oplog has. */
export const ID_INDEX: Doc = { v: 2, key: { _id: 1 }, name: '_id_' };
