import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findMongod } from './locate.js';

let folder: string;
const program = async (name: string, text: string) => {
  await writeFile(join(folder, name), `#!/bin/sh\n${text}\n`);
  await chmod(join(folder, name), 0o755);
  return join(folder, name);
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atrest-locate-'));
  await program('mongod', 'echo "db version v4.4.6-8"');
  await program('mongos', 'echo "mongos version v4.4.6-8"');
  await program('broken', 'exit 3');
});
afterAll(() => rm(folder, { recursive: true }));

describe('finding mongod', () => {
  it('takes MONGOD_BIN, with the mongos beside it', async () => {
    const found = await findMongod({ env: { MONGOD_BIN: join(folder, 'mongod') } });
    expect(found).toEqual({
      found: true,
      mongod: join(folder, 'mongod'),
      mongos: join(folder, 'mongos'),
      source: 'MONGOD_BIN',
      version: '4.4.6-8',
    });
  });

  it('takes the configured folder before the PATH', async () => {
    expect(await findMongod({ env: { PATH: folder }, configuredFolder: folder })).toMatchObject({ source: 'configured folder' });
    expect(await findMongod({ env: { PATH: folder } })).toMatchObject({ source: 'PATH' });
  });

  it.each([
    ['broken', /--version failed/],
    ['absent', /does not exist/],
  ])('does not fall back when the named program is %s', async (name, reason) => {
    const found = await findMongod({ env: { MONGOD_BIN: join(folder, name), PATH: folder } });
    expect(found).toMatchObject({ found: false, tried: [{ reason: expect.stringMatching(reason) }] });
  });

  it('gives a download up soon where the network swallows everything', async () => {
    const silent = createServer(() => undefined);
    await once(silent.listen(0, '127.0.0.1'), 'listening');
    const downloadUrl = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/`;
    const found = await findMongod({
      env: { PATH: '/nowhere' },
      download: true,
      downloadFolder: join(folder, 'none'),
      downloadUrl,
      reachableLimitMs: 50,
    });
    expect(found).toMatchObject({ found: false, message: expect.stringMatching(/download: 127\.0\.0\.1:\d+ cannot be reached/) });
    silent.closeAllConnections();
    silent.close();
  });

  it('names every place that was tried', async () => {
    const found = await findMongod({ env: { PATH: '/nowhere' } });
    expect(found).toMatchObject({
      found: false,
      message: 'No mongod was found: MONGOD_BIN: not set; configured folder: not set; PATH: no mongod in it; download: not asked for.',
    });
  });
});
