/** An object that is in the store. */
export interface StoredObject {
  readonly key: string;
  readonly size: number;
  /** By the store's clock. */
  readonly modifiedAt: Date;
}

/** An object that a store would not delete, e.g. under Object Lock. */
export interface Undeleted {
  readonly key: string;
  /** The store's words. */
  readonly reason: string;
}

/**
 * Where sealed bytes are kept: keys and whole objects of a few MiB, nothing else. What is in them is no concern of a store, nor
 * which of them are needed.
 *
 * Keys are `/`-separated words of letters, digits, `.`, `_` and `-`. An object is there whole or not at all, under its final name, whenever it
 * was asked for. Methods reject with {@link StoreUnavailableError} (later may work), {@link StoreRefusedError} (a person must act) or
 * {@link StoreFullError}.
 */
export interface ObjectStore {
  /** For people: `folder /backups`, `s3 bucket/prefix`. */
  readonly description: string;
  /**
   * Stores an object under the key, over what is there. With `ifAbsent` an object that is there stays and `exists` is the answer; of
   * two at the same moment one gets `stored`.
   */
  put(key: string, body: Uint8Array, options?: { readonly ifAbsent?: boolean }): Promise<'stored' | 'exists'>;
  /** The whole object; null when there is none. */
  get(key: string): Promise<Buffer | null>;
  head(key: string): Promise<StoredObject | null>;
  /** All objects whose keys begin so, in any order. May lag behind `put` and `delete` where the store does (F58). */
  list(prefix: string): AsyncIterable<StoredObject>;
  /** Deletes what is there; what is not there counts as deleted. Answers what the store refused to delete. */
  delete(keys: readonly string[]): Promise<readonly Undeleted[]>;
  /** Resolves when everything that was put before survives a loss of power. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

const KEY = /^[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+)*$/;

/** Adapters call it first: a key that leaves its folder is a fault of ours, never to be tried. */
export function assertObjectKey(key: string): void {
  const odd = key.length > 512 || key.split('/').some((part) => part === '.' || part === '..');
  if (odd || !KEY.test(key)) throw new TypeError(`not a key of an object: ${JSON.stringify(key.slice(0, 100))}`);
}
