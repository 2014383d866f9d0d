import { z } from 'zod';
import { ObjectDamagedError } from '../errors.js';
import { NAME_BYTES } from './block.js';
import { assertSnapshotPath } from './paths.js';

/** Names in one line of the list: 8,192 blocks are 32 GiB of a file, a line of 350 KiB. A larger file has several lines. */
export const NAMES_PER_LINE = 8_192;

/** Instead of a name: a block of zeros, which is not stored. */
export const ZERO_NAME = Buffer.alloc(NAME_BYTES);

/**
 * What a file looked like when it was read. A later snapshot of the same member may take over its blocks unread when nothing of this
 * changed; times and sizes alone, from another machine or file system, prove nothing.
 */
export interface FileIdentity {
  /** Of the member's data path, chosen by the taker. */
  readonly member: string;
  readonly device: string;
  readonly inode: string;
  /** Nanoseconds since 1970. */
  readonly mtimeNs: string;
  readonly ctimeNs: string;
}

/** A file of a snapshot. */
export interface FileEntry {
  readonly path: string;
  readonly size: number;
  /** Permission bits. */
  readonly mode: number;
  /** Null when nothing may be taken over from it. */
  readonly identity: FileIdentity | null;
}

/** Consecutive blocks of a file. */
export interface FileSegment {
  readonly file: FileEntry;
  /** Index of its first block within the file. */
  readonly at: number;
  /** Names, one after the other, {@link NAME_BYTES} each; {@link ZERO_NAME} for zeros. */
  readonly names: Buffer;
}

const LineSchema = z.strictObject({
  path: z.string(),
  size: z.int().nonnegative(),
  mode: z.int().min(0).max(0o7777),
  identity: z
    .strictObject({ member: z.string(), device: z.string(), inode: z.string(), mtimeNs: z.string(), ctimeNs: z.string() })
    .nullable(),
  at: z.int().nonnegative(),
  blocks: z.base64(),
});

/** One line of the list. */
export function renderSegment(segment: FileSegment): Buffer {
  const { path, size, mode, identity } = segment.file;
  return Buffer.from(`${JSON.stringify({ path, size, mode, identity, at: segment.at, blocks: segment.names.toString('base64') })}\n`);
}

/**
 * Reads the list back from the contents of its blocks, a line at a time: the memory it takes does not grow with the list.
 *
 * @param key the manifest's, for errors.
 * @throws ObjectDamagedError when it is not a list; PathRefusedError when it names a file outside the snapshot.
 */
export async function* parseFileList(key: string, contents: AsyncIterable<Buffer>): AsyncGenerator<FileSegment> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const content of contents) {
    rest = rest.length === 0 ? content : Buffer.concat([rest, content]);
    let start = 0;
    for (let end = rest.indexOf(0x0a, start); end !== -1; end = rest.indexOf(0x0a, start)) {
      yield parseLine(key, rest.subarray(start, end));
      start = end + 1;
    }
    rest = rest.subarray(start);
  }
  if (rest.length > 0) throw new ObjectDamagedError(key, 'its list of files ends in the middle of a line');
}

function parseLine(key: string, line: Buffer): FileSegment {
  let json: unknown;
  try {
    json = JSON.parse(line.toString());
  } catch {
    throw new ObjectDamagedError(key, 'its list of files has a line that is no JSON');
  }
  const parsed = LineSchema.safeParse(json);
  if (!parsed.success) throw new ObjectDamagedError(key, 'its list of files has a line that cannot be read');
  const { at, blocks, ...file } = parsed.data;
  assertSnapshotPath(file.path);
  const names = Buffer.from(blocks, 'base64');
  if (names.length % NAME_BYTES !== 0) throw new ObjectDamagedError(key, 'its list of files has half a block name');
  return { file, at, names };
}
