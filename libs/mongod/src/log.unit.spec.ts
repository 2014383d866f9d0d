import { appendFile, mkdtemp, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LogReader, tailLog } from './log-reader.js';
import { LOG_IDS } from './log-ids.js';
import { RunLog } from './run-log.js';

const recording = (name: string) => readFile(new URL(`../recordings/${name}.log`, import.meta.url), 'utf8');
const line = (id: number, attr: object = {}) =>
  `${JSON.stringify({ t: { $date: '2026-11-22T09:00:00.000+00:00' }, s: 'I', c: 'X', id, ctx: 'main', msg: `m${id}`, attr })}\n`;
const failed = (id: number) => line(id).replace('"s":"I"', '"s":"E"');

let folder: string;
let path: string;
let ids: number[];
let reader: LogReader;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atrest-log-'));
  path = join(folder, 'mongod.log');
  ids = [];
  reader = new LogReader({ path, from: 'end', onRecord: (record) => ids.push(record.id) });
});

afterEach(async () => {
  await reader.close();
  await rm(folder, { recursive: true });
});

describe('log reader', () => {
  it('reads what is written after it was positioned, line by line, whatever the pieces', async () => {
    await writeFile(path, line(1));
    await reader.position();
    const text = line(2) + line(3);
    await appendFile(path, text.slice(0, 30));
    await reader.read();
    expect(ids).toEqual([]);
    await appendFile(path, text.slice(30));
    await reader.read();
    expect(ids).toEqual([2, 3]);
  });

  it('waits for a file that does not exist yet and passes by what is not JSON', async () => {
    await reader.read();
    await writeFile(path, `Error parsing command line: unrecognised option '--x'\n{"half": \n${line(4)}\n\u0000\n`);
    await reader.read();
    expect(ids).toEqual([4]);
  });

  it('follows a rotated log, losing nothing of the old one', async () => {
    await writeFile(path, line(1));
    await reader.read();
    await appendFile(path, line(2));
    await reader.read();
    await appendFile(path, line(3));
    await rename(path, `${path}.old`);
    await writeFile(path, line(4));
    await reader.read();
    expect(ids).toEqual([2, 3, 4]);
  });

  it('starts again at the beginning of a truncated log', async () => {
    await writeFile(path, line(1));
    await reader.position();
    await appendFile(path, line(2));
    await reader.read();
    await truncate(path);
    await writeFile(path, line(3));
    await reader.read();
    expect(ids).toEqual([2, 3]);
  });

  it('keeps only the last lines, with secrets redacted', async () => {
    await writeFile(path, `${line(1)}${line(2)}authorization: Bearer abcdefghijklmnopqrstuvwxyz0123456789\n`);
    const lines = await tailLog(path, 2);
    expect(lines).toHaveLength(2);
    expect(lines[0]).toContain('m2');
    expect(lines[1]).not.toContain('abcdefghijklmnopqrstuvwxyz0123456789');
    expect(await tailLog(join(folder, 'absent.log'), 5)).toEqual([]);
  });
});

describe('log of a run', () => {
  async function runOf(name: string): Promise<RunLog> {
    await writeFile(path, line(LOG_IDS.ready)); // an earlier run in the same file proves nothing for this one
    const run = new RunLog({ logPath: path, consolePath: null });
    await run.position();
    await appendFile(path, await recording(name));
    await run.read();
    await run.close();
    return run;
  }

  it.each(['standalone-fresh-start-and-sigterm', 'start-after-sigkill-and-sigterm', 'mongos-start-and-sigterm'])(
    '%s: ready, then an orderly end',
    async (name) => {
      const run = await runOf(name);
      expect(run).toMatchObject({ ready: true, exitCode: 0 });
      expect(run.explain({ code: 0, signal: null }).cause).toBe('clean');
    },
  );

  it.each([
    ['port-in-use-exit-48', { code: 48, signal: null }, 'port-in-use', /Address already in use/],
    ['second-start-same-dbpath-exit-100', { code: 100, signal: null }, 'dbpath-in-use', /DBPathInUse/],
    ['encrypted-31-byte-key-exit-100', { code: 100, signal: null }, 'key-unusable', /encryption key length should be 32 bytes/],
    ['encrypted-wrong-key-exit-14', { code: 14, signal: null }, 'wrong-key', /WT_TRY_SALVAGE/],
  ] as const)('%s is explained', async (name, exit, cause, error) => {
    const run = await runOf(name);
    expect(run.ready).toBe(false);
    const explanation = run.explain(exit);
    expect(explanation).toMatchObject({ cause, error: expect.stringMatching(error) });
  });

  it('warns against --repair where a wrong key looks like damage', async () => {
    const run = await runOf('encrypted-wrong-key-exit-14');
    expect(run.explain({ code: 14, signal: null }).hint).toMatch(/never run --repair/);
    const bare = new RunLog({ logPath: null, consolePath: null });
    for (const code of [14, 100, 233]) expect(bare.explain({ code, signal: null }).hint).toMatch(/key/);
  });

  it.each([
    ['found no key', [failed(29121)], { code: 233, signal: null }, /is gone from the key management server \(exit code 233\)/],
    ['found it not active', [failed(29122)], { code: 233, signal: null }, /is not active any more \(exit code 233\)/],
    ['ended unseen by its parent', [], { code: 1001, signal: null }, /cannot use its master key any more \(exit code 1001\)/],
    ['was killed on its way out', [failed(29121)], { code: null, signal: 'SIGKILL' }, /is gone from the key management server \(SIGKILL\)/],
  ])('F37 a server whose poller %s ended for its key, whatever else its log says', async (_what, said, exit, error) => {
    const run = new RunLog({ logPath: path, consolePath: null });
    await writeFile(path, line(LOG_IDS.ready));
    await run.read();
    await appendFile(path, [...said, line(LOG_IDS.shutDown, { exitCode: 1001 })].join(''));
    await run.read();
    await run.close();
    expect(run.explain(exit)).toMatchObject({
      cause: 'key-poller',
      error: expect.stringMatching(error),
      hint: expect.stringMatching(/unharmed/),
    });
  });

  it('quotes standard error for a refused command line', async () => {
    const consolePath = join(folder, 'console');
    await writeFile(consolePath, "Error parsing command line: unrecognised option '--nosuch'\ntry 'mongod --help' for more information\n");
    const run = new RunLog({ logPath: path, consolePath });
    await run.read();
    expect(run.explain({ code: 2, signal: null }).error).toMatch(/--nosuch/);
    expect(run.lastLines(5)).toHaveLength(2);
  });
});
