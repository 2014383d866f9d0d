import { lstat, mkdir, mkdtemp, readdir, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { dataExists, DataPathError, keepApart, prepareDataPath, removeDataPath } from './data-path.js';

let root: string;
let data: string;
beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'atrest-data-')));
  data = join(root, 'data');
  await mkdir(data);
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe('data path', () => {
  it('is created below the data folder for its owner only, and again without harm', async () => {
    const path = join(data, 'shop', 'rs0-0');
    await prepareDataPath(data, path, false);
    await prepareDataPath(data, path, false);
    expect((await lstat(path)).mode & 0o777).toBe(0o700);
  });

  it('is created for all processes of a cluster that start at the same time', async () => {
    const paths = Array.from({ length: 20 }, (_, index) => join(data, 'shop', 'shard', `rs0-${index}`));
    await Promise.all(paths.map((path) => prepareDataPath(data, path, false)));
    for (const path of paths) expect(await dataExists(path)).toBe(true);
  });

  it.each([
    ['elsewhere', () => join(root, 'other')],
    ['with dots', () => `${data}/../other`],
    ['relative', () => 'other'],
    ['the data folder’s sibling by prefix', () => `${data}-2/x`],
  ])('is not created %s', async (_, path) => {
    await expect(prepareDataPath(data, path(), false)).rejects.toBeInstanceOf(DataPathError);
    expect(await readdir(root)).toEqual(['data']);
  });

  it('that was used before is not created again: more likely its volume is not mounted', async () => {
    const path = join(data, 'shop', 'rs0-0');
    await expect(prepareDataPath(data, path, false, true)).rejects.toThrow(/shop is gone.*mounted/);
    expect(await readdir(data)).toEqual([]);
    await mkdir(path, { recursive: true });
    await prepareDataPath(data, path, false, true);
  });

  it('is never in, around or at the state folder of the agent, not even through a link', async () => {
    const state = join(data, 'state');
    await mkdir(state);
    await symlink(state, join(root, 'link'));
    for (const path of [state, data, join(state, 'processes'), join(root, 'link')]) {
      await expect(keepApart(path, state)).rejects.toBeInstanceOf(DataPathError);
    }
    await keepApart(join(data, 'state-2'), state);
  });

  it('is used elsewhere when it exists, and of an adopted process never created', async () => {
    await mkdir(join(root, 'volume'));
    await prepareDataPath(data, join(root, 'volume'), false);
    await expect(prepareDataPath(data, join(data, 'adopted'), true)).rejects.toBeInstanceOf(DataPathError);
  });

  it('leads through no symbolic link, neither to create nor to remove', async () => {
    const outside = join(root, 'precious');
    await mkdir(outside);
    await writeFile(join(outside, 'file'), 'x');
    await symlink(outside, join(data, 'link'));
    await expect(prepareDataPath(data, join(data, 'link', 'db'), false)).rejects.toThrow(/symbolic link/);
    await expect(removeDataPath(data, join(data, 'link'))).rejects.toThrow(/symbolic link/);
    await expect(removeDataPath(data, join(data, 'link', 'db'))).rejects.toThrow(/symbolic link/);
    expect(await readdir(outside)).toEqual(['file']);
  });

  it.each([
    ['the data folder itself', () => data],
    ['its parent', () => root],
    ['a path elsewhere', () => join(root, 'other')],
  ])('is never removed when it is %s', async (_, path) => {
    await mkdir(join(root, 'other'));
    await expect(removeDataPath(data, path())).rejects.toBeInstanceOf(DataPathError);
    expect((await readdir(root)).sort()).toEqual(['data', 'other']);
  });

  it('is removed with everything in it, also when an earlier removal was cut short', async () => {
    const path = join(data, 'db');
    await mkdir(join(path, 'journal'), { recursive: true });
    await mkdir(join(data, 'db.atrest-removing'));
    await removeDataPath(data, path);
    expect(await dataExists(path)).toBe(false);
    await mkdir(join(data, 'db.atrest-removing'));
    expect(await dataExists(path)).toBe(true);
    await removeDataPath(data, path);
    expect(await readdir(data)).toEqual([]);
  });
});
