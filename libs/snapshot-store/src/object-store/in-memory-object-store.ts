import type { Clock } from '@atrest/platform-time';
import { assertObjectKey, type ObjectStore, type StoredObject, type Undeleted } from './object-store.js';

/** Keeps objects in memory: the reference that the other stores are compared with, and the store of unit tests. */
export class InMemoryObjectStore implements ObjectStore {
  readonly description = 'memory';
  readonly #objects = new Map<string, { body: Buffer; modifiedAt: Date }>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async put(key: string, body: Uint8Array, options: { readonly ifAbsent?: boolean } = {}): Promise<'stored' | 'exists'> {
    assertObjectKey(key);
    if (options.ifAbsent === true && this.#objects.has(key)) return 'exists';
    this.#objects.set(key, { body: Buffer.from(body), modifiedAt: this.#clock.now() });
    return 'stored';
  }

  async get(key: string): Promise<Buffer | null> {
    assertObjectKey(key);
    const object = this.#objects.get(key);
    return object === undefined ? null : Buffer.from(object.body);
  }

  async head(key: string): Promise<StoredObject | null> {
    assertObjectKey(key);
    const object = this.#objects.get(key);
    return object === undefined ? null : { key, size: object.body.length, modifiedAt: object.modifiedAt };
  }

  async *list(prefix: string): AsyncIterable<StoredObject> {
    const found = [...this.#objects].filter(([key]) => key.startsWith(prefix));
    for (const [key, { body, modifiedAt }] of found) yield { key, size: body.length, modifiedAt };
  }

  async delete(keys: readonly string[]): Promise<readonly Undeleted[]> {
    for (const key of keys) {
      assertObjectKey(key);
      this.#objects.delete(key);
    }
    return [];
  }

  async flush(): Promise<void> {
    // Nothing here outlives the process.
  }

  async close(): Promise<void> {
    this.#objects.clear();
  }
}
