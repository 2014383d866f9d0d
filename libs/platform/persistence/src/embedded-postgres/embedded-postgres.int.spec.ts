import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@atrest/platform-logging';
import { processEnd, sourceProcess, waitFor } from '@atrest/testing';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { EmbeddedPostgres, EmbeddedPostgresError, type EmbeddedPostgresOptions } from '../index.js';
import { disownPidFile, isAlive, parsePidFile } from './pid-file.js';

const lines: string[] = [];
const logger = createLogger({ service: 'test', level: 'info', destination: { write: (line: string) => lines.push(line) } });

let base: string;
let servers: EmbeddedPostgres[];

beforeEach(async () => {
  servers = [];
  lines.length = 0;
  base = await mkdtemp(join(tmpdir(), 'atrest-embedded-'));
  await chmod(base, 0o755);
});

afterEach(async () => {
  for (const server of servers) await server.stop();
  await rm(base, { recursive: true, force: true });
});

async function start(o: Partial<EmbeddedPostgresOptions> = {}): Promise<EmbeddedPostgres> {
  const server = await EmbeddedPostgres.start({ dataFolder: join(base, 'dätä 数据'), logger, durable: false, ...o });
  servers.push(server);
  return server;
}

async function query(server: EmbeddedPostgres, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    return (await client.query(sql)).rows as Record<string, unknown>[];
  } finally {
    await client.end();
  }
}

describe('the embedded PostgreSQL', () => {
  test('keeps its data over a stop, in a folder with any name, behind a password of its own', async () => {
    const first = await start({ durable: true });
    await query(first, 'CREATE TABLE kept (word text)');
    await query(first, `INSERT INTO kept VALUES ('Ünïcode')`);
    expect(await query(first, 'SHOW fsync')).toEqual([{ fsync: 'on' }]);
    expect(await query(first, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }]);
    const { pid } = first;
    await first.stop();
    expect(await isAlive(pid)).toBe(false);

    const second = await start();
    expect(await query(second, 'SELECT word FROM kept')).toEqual([{ word: 'Ünïcode' }]);
    const password = new URL(second.url).password;
    const passwordFile = join(second.data, '..', 'password');
    expect((await readFile(passwordFile, 'utf8')).trim()).toBe(password);
    expect((await stat(passwordFile)).mode & 0o777).toBe(0o600);
    expect((await stat(second.data)).mode & 0o777).toBe(0o700);
    expect(lines.join('')).not.toContain(password);
    const stranger = new URL(second.url);
    stranger.password = 'guess';
    await expect(new pg.Client({ connectionString: stranger.href }).connect()).rejects.toMatchObject({ code: '28P01' });
  });

  test('a server that outlived its killed parent is taken over, on its port', async () => {
    const child = sourceProcess({
      module: new URL('./killed-parent.contract.ts', import.meta.url),
      run: 'startAndDie',
      parameters: [join(base, 'dätä 数据')],
    });
    expect(await processEnd(child)).toBe('SIGKILL');
    const port = Number(await readFile(join(base, 'dätä 数据', 'port'), 'utf8'));
    const server = await start();
    expect(server.port).toBe(port);
    expect(await query(server, 'SELECT word FROM kept')).toEqual([{ word: 'written by the parent' }]);
  });

  test('two who start at once end up with one server', async () => {
    const [one, two] = await Promise.all([start(), start()]);
    expect(two.pid).toBe(one.pid);
    expect(two.url).toBe(one.url);
  });

  test('a server that is killed is started again on its port, with what was committed', async () => {
    const server = await start({ durable: true });
    const { pid, port } = server;
    await query(server, 'CREATE TABLE kept AS SELECT 1 AS one');
    process.kill(pid, 'SIGKILL');
    await waitFor(async () => server.pid !== pid && (await query(server, 'SELECT one FROM kept')), { describe: 'the restarted server' });
    expect(server.port).toBe(port);
  });

  test('a leftover postmaster.pid does not keep it from starting, whoever has that process id now', async () => {
    const first = await start();
    const { data } = first;
    await first.stop();
    for (const pid of [process.pid, 2_000_000_000]) {
      // The lines that count: process id, data folder, start time, port.
      await writeFile(join(data, 'postmaster.pid'), `${pid}\n${data}\n1700000000\n5432\n\n127.0.0.1\n`);
      const next = await start();
      expect(await query(next, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
      await next.stop();
    }
  });

  test('a port in use is reported by number, and data of another release by both numbers', async () => {
    const first = await start();
    const taken = start({ dataFolder: join(base, 'second'), port: first.port });
    await expect(taken).rejects.toMatchObject({
      code: 'EMBEDDED_POSTGRES.PORT_TAKEN',
      message: expect.stringContaining(String(first.port)),
    });
    await first.stop();
    await writeFile(join(first.data, 'PG_VERSION'), '12\n');
    const old = await start().catch((error: unknown) => error);
    expect(old).toBeInstanceOf(EmbeddedPostgresError);
    expect(old).toMatchObject({ code: 'EMBEDDED_POSTGRES.VERSION', message: expect.stringMatching(/12.*18/) });
  });

  test.runIf(process.getuid?.() === 0)(
    'root: a folder that `nobody` cannot enter is replaced by one that it can, now and next time',
    async () => {
      const locked = join(base, 'locked');
      await mkdir(locked, { mode: 0o700 });
      const dataFolder = join(locked, 'data');
      const first = await start({ dataFolder });
      expect(first.data.startsWith(locked)).toBe(false);
      expect(lines.join('')).toContain(first.data.slice(0, first.data.indexOf('/cluster')));
      await query(first, 'CREATE TABLE kept AS SELECT 1 AS one');
      await first.stop();
      const second = await start({ dataFolder });
      expect(second.data).toBe(first.data);
      expect(await query(second, 'SELECT one FROM kept')).toEqual([{ one: 1 }]);
      await second.stop();
      await rm(join(first.data, '..', '..'), { recursive: true });
    },
  );
});

describe('postmaster.pid', () => {
  test.each([
    ['4711\n/data\n1700000000\n5433\n/tmp\n127.0.0.1\n 123 456\nready   \n', { pid: 4711, port: 5433 }],
    ['4711\n/data\n1700000000\n', { pid: 4711, port: undefined }],
    ['', undefined],
    ['garbage\n', undefined],
    ['-5\n', undefined],
  ])('%j', (text, expected) => {
    expect(parsePidFile(text)).toEqual(expected);
  });

  test('a disowned one keeps the key of the shared memory', async () => {
    await writeFile(join(base, 'postmaster.pid'), '4711\n/data\n1700000000\n5433\n/tmp\n127.0.0.1\n  5432001    131072\nready\n');
    await disownPidFile(base);
    expect(await readFile(join(base, 'postmaster.pid'), 'utf8')).toBe(
      '2000000000\n/data\n1700000000\n5433\n/tmp\n127.0.0.1\n  5432001    131072\nready\n',
    );
  });
});
