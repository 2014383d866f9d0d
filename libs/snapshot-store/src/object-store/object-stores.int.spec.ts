import { chmod, mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@atrest/platform-time';
import { describe, expect, it } from 'vitest';
import { StoreRefusedError, StoreUnavailableError } from '../errors.js';
import { FolderObjectStore } from './folder-object-store.js';
import { InMemoryObjectStore } from './in-memory-object-store.js';
import { objectStoreContract } from './object-store.contract.js';

const scratch = (): Promise<string> => mkdtemp(join(tmpdir(), 'atrest-store-'));

objectStoreContract('memory', async () => {
  const store = new InMemoryObjectStore(systemClock);
  return { store, reopen: async () => store, close: () => store.close() };
});

objectStoreContract('folder', async () => {
  const folder = await scratch();
  const store = await FolderObjectStore.open(folder, new Date());
  return {
    store,
    reopen: () => FolderObjectStore.open(folder, new Date()),
    close: async () => {
      await store.close();
      await rm(folder, { recursive: true });
    },
  };
});

describe('object store: folder, its own', () => {
  it('leaves no half-written file under a final name, and sweeps what a dead process was writing a day later', async () => {
    const folder = await scratch();
    const writing = join(folder, '.writing');
    await mkdir(writing);
    for (const [name, age] of [
      ['old', 25],
      ['young', 1],
    ] as const) {
      await writeFile(join(writing, name), 'half');
      const then = new Date(Date.now() - age * 60 * 60_000);
      await utimes(join(writing, name), then, then);
    }
    const store = await FolderObjectStore.open(folder, new Date());
    await expect(readdir(writing)).resolves.toEqual(['young']);
    const listed: string[] = [];
    for await (const { key } of store.list('')) listed.push(key);
    expect(listed).toEqual([]);
    await store.put('a/b', Buffer.from('x'));
    await expect(readdir(writing)).resolves.toEqual(['young']);
    await rm(folder, { recursive: true });
  });

  it('says that a file stands where a folder must be', async () => {
    const folder = await scratch();
    const store = await FolderObjectStore.open(folder, new Date());
    await store.put('a', Buffer.from('x'));
    await expect(store.put('a/b', Buffer.from('x'))).rejects.toThrow(StoreUnavailableError);
    await rm(folder, { recursive: true });
  });

  // The superuser may write everywhere.
  it.skipIf(process.getuid?.() === 0)('says that it may not write', async () => {
    const folder = await scratch();
    const store = await FolderObjectStore.open(folder, new Date());
    await chmod(folder, 0o500);
    await expect(store.put('a/b', Buffer.from('x'))).rejects.toThrow(StoreRefusedError);
    await chmod(folder, 0o700);
    await rm(folder, { recursive: true });
  });
});
