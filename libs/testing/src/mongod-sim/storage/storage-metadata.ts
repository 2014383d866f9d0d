import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Doc, decodeDocument, encodeDocument, isDocument } from '../bson-values.js';

const FILE = 'storage.bson';

/** How the data files are laid out: cannot be changed once they are there. */
export interface StorageLayout {
  directoryPerDB: boolean;
  directoryForIndexes: boolean;
}

/** The files were laid out otherwise. The text is mongod's. */
export class StorageLayoutError extends Error {
  readonly code = 'STORAGE_LAYOUT';
}

/**
 * `storage.bson`, plain even where the data is encrypted, about which it says nothing. A data path without it gets one: a copy of the data files alone does
 * not have it. Throws {@link StorageLayoutError}.
 */
export function keepStorageMetadata(dbPath: string, layout: StorageLayout): void {
  const file = join(dbPath, FILE);
  if (!existsSync(file)) {
    writeFileSync(file, encodeDocument({ storage: { engine: 'wiredTiger', options: { ...layout, groupCollections: false } } }), {
      mode: 0o600,
    });
    return;
  }
  const { storage } = decodeDocument(readFileSync(file));
  const options: Doc = isDocument(storage) && isDocument(storage['options']) ? storage['options'] : {};
  for (const [name, wanted] of Object.entries(layout)) {
    const written = options[name] === true;
    if (written === wanted) continue;
    throw new StorageLayoutError(
      `InvalidOptions: Requested option conflicts with current storage engine option for ${name}; you requested ${wanted} but the current server storage is already set to ${written} and cannot be changed`,
    );
  }
}
