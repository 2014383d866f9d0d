import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockStateFolder, StateFolderInUseError } from './state-lock.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atrest-lock-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('the state folder', () => {
  it('has one agent at a time', async () => {
    const release = await lockStateFolder(folder);
    await expect(lockStateFolder(folder)).rejects.toBeInstanceOf(StateFolderInUseError);
    await expect(lockStateFolder(folder)).rejects.toThrow(String(process.pid));
    await release();
    expect(await readdir(folder)).toEqual([]);
    await (
      await lockStateFolder(folder)
    )();
  });

  it.each([
    ['a process that is gone', '{"pid": 4194305, "startTime": "boot:1"}'],
    ['another process that has its pid by now', JSON.stringify({ pid: process.pid, startTime: 'an earlier boot:1' })],
    ['nobody, because the disk was full', ''],
  ])('is taken over from %s', async (_, left) => {
    await writeFile(join(folder, 'agent.lock'), left);
    await lockStateFolder(folder);
    expect(JSON.parse(await readFile(join(folder, 'agent.lock'), 'utf8'))).toMatchObject({ pid: process.pid });
    expect(await readdir(folder)).toEqual(['agent.lock']);
  });

  it('is taken over by one of many that try at the same moment', async () => {
    for (let round = 0; round < 10; round += 1) {
      await writeFile(join(folder, 'agent.lock'), '{"pid": 4194305, "startTime": "boot:1"}');
      const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => lockStateFolder(folder)));
      const taken = outcomes.filter((outcome) => outcome.status === 'fulfilled');
      expect(taken).toHaveLength(1);
      await taken[0]!.value();
    }
  });
});
