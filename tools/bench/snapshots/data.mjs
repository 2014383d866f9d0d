import { randomBytes, randomInt } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';

const MIB = 1024 * 1024;
const PAGE = 32 * 1024;

/**
 * Pages as WiredTiger writes them with its default compressor: most of a page is as good as random, a header and some slack are not. Restic
 * compresses them by about a tenth.
 */
function fillPages(buffer) {
  randomBytes(buffer.length).copy(buffer);
  for (let at = 0; at < buffer.length; at += PAGE) {
    buffer.fill(0, at, at + 64);
    buffer.write('page header', at);
    buffer.fill(0, at + PAGE - 4_096, at + PAGE);
  }
}

/** Writes files like those of a data path: a few large collections, many small ones, a journal that is mostly zeros. Answers their bytes. */
export async function makeData(folder, mebibytes) {
  mkdirSync(join(folder, 'journal'), { recursive: true });
  const write = async (name, bytes, filled = bytes) => {
    const file = await open(join(folder, name), 'w');
    const buffer = Buffer.allocUnsafe(4 * MIB);
    for (let at = 0; at < filled; at += buffer.length) {
      fillPages(buffer);
      await file.write(buffer, 0, Math.min(buffer.length, filled - at));
    }
    // Preallocated: blocks of zeros, as a journal has them, not a hole.
    buffer.fill(0);
    for (let at = filled; at < bytes; at += buffer.length) await file.write(buffer, 0, Math.min(buffer.length, bytes - at));
    await file.sync();
    await file.close();
    return bytes;
  };
  let total = await write('journal/WiredTigerLog.0000000001', 100 * MIB, 20 * MIB);
  for (let index = 0; index < 1_000; index += 1) total += await write(`index-${index}.wt`, 36 * 1024);
  const large = Math.floor((mebibytes * MIB - total) / 8 / PAGE) * PAGE;
  for (let index = 0; index < 8; index += 1) total += await write(`collection-${index}.wt`, large);
  return total;
}

/** Rewrites this share of the collections' bytes in place, in runs of 256 KiB as a checkpoint leaves them. */
export async function changeData(folder, share) {
  const buffer = Buffer.allocUnsafe(256 * 1024);
  for (let index = 0; index < 8; index += 1) {
    const file = await open(join(folder, `collection-${index}.wt`), 'r+');
    const { size } = await file.stat();
    for (let changed = 0; changed < size * share; changed += buffer.length) {
      fillPages(buffer);
      await file.write(buffer, 0, buffer.length, randomInt(Math.floor((size - buffer.length) / PAGE)) * PAGE);
    }
    await file.sync();
    await file.close();
  }
}
