import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { filesOfCursor, filesOfDataPath } from './source-files.js';

describe('the files of a copy', () => {
  let dbPath: string;
  beforeAll(async () => {
    dbPath = await mkdtemp(join(tmpdir(), 'atrest-files-'));
    const elsewhere = join(dbPath, 'diagnostic.data', 'volume');
    await mkdir(elsewhere, { recursive: true });
    for (const folder of ['key.db', 'shop', '_tmp']) await mkdir(join(dbPath, folder));
    await symlink(elsewhere, join(dbPath, 'journal'));
    await symlink(dbPath, join(dbPath, 'shop', 'back'));
    for (const name of [
      'WiredTiger',
      'WiredTiger.lock',
      'mongod.lock',
      'storage.bson',
      'shop/collection-1.wt',
      'key.db/key.wt',
      'key.db/WiredTiger.lock',
      'diagnostic.data/metrics',
      'diagnostic.data/volume/WiredTigerLog.0000000001',
      '_tmp/x',
    ])
      await writeFile(join(dbPath, name), name);
  });
  afterAll(() => rm(dbPath, { recursive: true }));
  const names = (files: readonly { path: string }[]): string[] => files.map(({ path }) => path).sort();

  it('are all of a data path but what belongs to the process, also behind links, each once', async () => {
    expect(names(await filesOfDataPath(dbPath))).toEqual([
      'WiredTiger',
      'journal/WiredTigerLog.0000000001',
      'key.db/key.wt',
      'shop/collection-1.wt',
      'storage.bson',
    ]);
  });

  it('of a cursor are what it lists, as long as it was, with storage.bson and a keystore that it leaves out', async () => {
    const listed = [{ path: join(dbPath, 'WiredTiger'), size: 3 }];
    const files = await filesOfCursor({ dbPath, files: listed }, dbPath);
    expect(names(files)).toEqual(['WiredTiger', 'key.db/key.wt', 'storage.bson']);
    expect(files.find(({ path }) => path === 'WiredTiger')).toMatchObject({ size: 3 });
    // A keystore that it lists is listed whole: its other files change.
    const withKeys = [...listed, { path: join(dbPath, 'key.db/WiredTiger.backup'), size: 1 }];
    expect(names(await filesOfCursor({ dbPath, files: withKeys }, dbPath))).toEqual([
      'WiredTiger',
      'key.db/WiredTiger.backup',
      'storage.bson',
    ]);
    const outside = [{ path: '/etc/passwd', size: 1 }];
    await expect(filesOfCursor({ dbPath, files: outside }, dbPath)).rejects.toMatchObject({ code: 'NO_METHOD' });
  });
});
