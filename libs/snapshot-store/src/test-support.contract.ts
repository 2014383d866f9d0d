import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { systemClock } from '@atrest/platform-time';
import type { DataKeyContext, DataKeyWrapper } from './format/epoch.js';
import type { LeaseTimes } from './collect/leases.js';
import { StoreUnavailableError } from './errors.js';
import type { ObjectStore } from './object-store/object-store.js';
import type { SourceFile } from './write/source-file.js';
import type { WriteSnapshotOptions } from './write/write-snapshot.js';

/** Leases that a test does not wait for. */
export const QUICK_LEASES: LeaseTimes = { renewMs: 20, expiryMs: 60_000, settleMs: 1 };

export const owner = {
  epochId: '65f0c0ffee65f0c0ffee0001',
  projectId: '65f0c0ffee65f0c0ffee0002',
  clusterId: '65f0c0ffee65f0c0ffee0003',
  encryptionKeyId: 'arn:aws:kms:eu-central-1:111122223333:key/aaaa',
};

interface Wrapped {
  readonly nonce: string;
  readonly body: string;
  readonly tag: string;
}

/** A customer key in memory that authenticates its context, as a KMS does. */
export class LocalWrapper implements DataKeyWrapper<Wrapped> {
  readonly #key = randomBytes(32);
  unwraps = 0;

  async wrap(dataKey: Uint8Array, context: DataKeyContext): Promise<Wrapped> {
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce).setAAD(Buffer.from(JSON.stringify(context)));
    const body = Buffer.concat([cipher.update(dataKey), cipher.final()]);
    return { nonce: nonce.toString('base64'), body: body.toString('base64'), tag: cipher.getAuthTag().toString('base64') };
  }

  async unwrap(wrapped: Wrapped, context: DataKeyContext): Promise<Uint8Array> {
    this.unwraps += 1;
    const decipher = createDecipheriv('aes-256-gcm', this.#key, Buffer.from(wrapped.nonce, 'base64'), { authTagLength: 16 });
    decipher.setAAD(Buffer.from(JSON.stringify(context))).setAuthTag(Buffer.from(wrapped.tag, 'base64'));
    return Buffer.concat([decipher.update(Buffer.from(wrapped.body, 'base64')), decipher.final()]);
  }
}

/** A folder like a data path, and what it takes to compare it with a restored one. */
export class SourceFolder {
  private constructor(readonly path: string) {}

  static async create(): Promise<SourceFolder> {
    return new SourceFolder(await mkdtemp(join(tmpdir(), 'atrest-source-')));
  }

  /** Writes a file that looks settled: changed an hour ago. */
  async write(path: string, content: Uint8Array | string, mode = 0o600): Promise<void> {
    const file = join(this.path, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content, { mode });
    const then = new Date(Date.now() - 60 * 60_000);
    await utimes(file, then, then);
  }

  async files(): Promise<SourceFile[]> {
    return (await filesBelow(this.path)).map((path) => ({ path, absolutePath: join(this.path, path), size: null }));
  }

  remove(): Promise<void> {
    return rm(this.path, { recursive: true });
  }
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

/** Paths, digests of contents, and modes: equal for two folders with the same files. */
export async function contentsOf(folder: string): Promise<Record<string, { sha256: string; mode: number }>> {
  const contents: Record<string, { sha256: string; mode: number }> = {};
  for (const path of await filesBelow(folder)) {
    const sha256 = createHash('sha256')
      .update(await readFile(join(folder, path)))
      .digest('hex');
    contents[path] = { sha256, mode: (await stat(join(folder, path))).mode & 0o7777 };
  }
  return contents;
}

/** A store whose puts of blocks fail once, at the given one. */
export function failingAt(store: ObjectStore, failing: number): ObjectStore {
  let puts = 0;
  return {
    description: 'failing',
    put: async (key, body, options) => {
      if (key.includes('/blocks/') && ++puts === failing) throw new StoreUnavailableError('connection reset');
      return store.put(key, body, options);
    },
    get: (key) => store.get(key),
    head: (key) => store.head(key),
    list: (prefix) => store.list(prefix),
    delete: (keys) => store.delete(keys),
    flush: () => store.flush(),
    close: () => store.close(),
  };
}

/** What most snapshots of a test have in common. */
export const usual: Pick<WriteSnapshotOptions, 'labels' | 'source' | 'clock' | 'leaseTimes' | 'member'> = {
  labels: { clusterName: 'orders' },
  source: async () => ({ mongodVersion: '4.4.6' }),
  clock: systemClock,
  leaseTimes: QUICK_LEASES,
  member: 'db1:27017',
};
