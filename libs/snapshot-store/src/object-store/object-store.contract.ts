import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ObjectStore } from './object-store.js';

/** A store to test, empty, and what to do with it afterwards. */
export interface ObjectStoreHarness {
  readonly store: ObjectStore;
  /** The same objects through a new store object, as another process would see them. */
  reopen(): Promise<ObjectStore>;
  close(): Promise<void>;
}

/** What every store promises. */
export function objectStoreContract(name: string, open: () => Promise<ObjectStoreHarness>): void {
  describe(`object store: ${name}`, () => {
    let harness: ObjectStoreHarness;
    let store: ObjectStore;

    beforeEach(async () => {
      harness = await open();
      store = harness.store;
    });
    afterEach(() => harness.close());

    const keysBelow = async (prefix: string): Promise<string[]> => {
      const keys: string[] = [];
      for await (const { key } of store.list(prefix)) keys.push(key);
      return keys.sort();
    };

    it.each([0, 1, 4_194_348, 6_000_001])('gives back exactly the %i bytes that were put', async (length) => {
      const body = randomBytes(length);
      await expect(store.put('a/b', body)).resolves.toBe('stored');
      await store.flush();
      const other = await harness.reopen();
      expect((await other.get('a/b'))?.equals(body)).toBe(true);
      await expect(other.head('a/b')).resolves.toMatchObject({ key: 'a/b', size: length });
    });

    it('answers null for what is not there', async () => {
      await expect(store.get('a/nothing')).resolves.toBeNull();
      await expect(store.head('a/nothing')).resolves.toBeNull();
      await expect(keysBelow('a/')).resolves.toEqual([]);
    });

    it('puts over what is there, unless it was told not to', async () => {
      await store.put('a', Buffer.from('one'));
      await expect(store.put('a', Buffer.from('two'), { ifAbsent: true })).resolves.toBe('exists');
      expect((await store.get('a'))?.toString()).toBe('one');
      await expect(store.put('a', Buffer.from('three'))).resolves.toBe('stored');
      expect((await store.get('a'))?.toString()).toBe('three');
    });

    it('of many who put the same absent object at once one is told that it stored it, and a reader never sees a part', async () => {
      const bodies = Array.from({ length: 8 }, (_, index) => Buffer.alloc(1_000_000, index + 1));
      const answers = await Promise.all(bodies.map((body) => store.put('a/raced', body, { ifAbsent: true })));
      expect(answers.filter((answer) => answer === 'stored')).toHaveLength(1);
      const found = await store.get('a/raced');
      expect(bodies.some((body) => found!.equals(body))).toBe(true);
    });

    it('lists by prefix, which may end in the middle of a name', async () => {
      for (const key of ['x/aa/1', 'x/aa/2', 'x/ab/1', 'x/b', 'y/1']) await store.put(key, Buffer.from(key));
      await expect(keysBelow('x/')).resolves.toEqual(['x/aa/1', 'x/aa/2', 'x/ab/1', 'x/b']);
      await expect(keysBelow('x/aa/')).resolves.toEqual(['x/aa/1', 'x/aa/2']);
      await expect(keysBelow('x/a')).resolves.toEqual(['x/aa/1', 'x/aa/2', 'x/ab/1']);
      await expect(keysBelow('')).resolves.toHaveLength(5);
    });

    it('lists more than a page', async () => {
      const keys = Array.from({ length: 1_203 }, (_, index) => `many/${String(index).padStart(5, '0')}`);
      for (let at = 0; at < keys.length; at += 50)
        await Promise.all(keys.slice(at, at + 50).map((key) => store.put(key, Buffer.from(key))));
      await expect(keysBelow('many/')).resolves.toEqual(keys);
      await expect(store.delete(keys)).resolves.toEqual([]);
      await expect(keysBelow('many/')).resolves.toEqual([]);
    });

    it('deletes what is there and does not mind what is not', async () => {
      await store.put('a/1', Buffer.from('1'));
      await expect(store.delete(['a/1', 'a/2'])).resolves.toEqual([]);
      await expect(store.get('a/1')).resolves.toBeNull();
      await expect(store.delete([])).resolves.toEqual([]);
    });

    it('shows when an object was stored, later for one stored again', async () => {
      await store.put('a', Buffer.from('1'));
      const first = (await store.head('a'))!.modifiedAt;
      await store.put('a', Buffer.from('2'));
      const second = (await store.head('a'))!.modifiedAt;
      expect(second.getTime()).toBeGreaterThanOrEqual(first.getTime());
    });

    it.each(['../a', 'a/../b', '/a', 'a//b', 'a/', '', 'a b', 'a\0b', 'ä', `a/${'x'.repeat(600)}`])('refuses the key %j', async (key) => {
      await expect(store.put(key, Buffer.from('x'))).rejects.toThrow(TypeError);
      await expect(store.get(key)).rejects.toThrow(TypeError);
      await expect(store.head(key)).rejects.toThrow(TypeError);
      await expect(store.delete([key])).rejects.toThrow(TypeError);
    });
  });
}
