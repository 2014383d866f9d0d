import { stat } from 'node:fs/promises';
import { SourceChangedError, SourceUnreadableError } from '../errors.js';
import type { FileEntry, FileIdentity } from '../format/file-list.js';
import { assertSnapshotPath } from '../format/paths.js';

/** A file to be copied. */
export interface SourceFile {
  /** As it will be named in the snapshot: relative to the data path. */
  readonly path: string;
  readonly absolutePath: string;
  /** Bytes to copy from its beginning; a backup cursor names fewer than the file may have by then. Null: all it has. */
  readonly size: number | null;
}

/**
 * A file whose last change is this recent could change again within the same tick of the file system's clock, unseen. Kernels tick at
 * 1 to 10 ms; network file systems and other machines' clocks are coarser.
 */
const TOO_RECENT_MS = 2_000;

/**
 * Looks at a source file before it is read.
 *
 * @param member whose data path it is, where its blocks may be taken over unread by a later snapshot; null: never.
 * @throws SourceChangedError, SourceUnreadableError, PathRefusedError
 */
export async function describeSource(file: SourceFile, member: string | null, now: Date): Promise<FileEntry> {
  assertSnapshotPath(file.path);
  let found;
  try {
    found = await stat(file.absolutePath, { bigint: true });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') throw new SourceChangedError(file.path, 'disappeared');
    throw new SourceUnreadableError(`The file ${file.path} cannot be read (${code}).`, { cause: error });
  }
  if (!found.isFile()) throw new SourceUnreadableError(`${file.path} is no regular file.`);
  const size = file.size ?? Number(found.size);
  if (found.size < BigInt(size)) throw new SourceChangedError(file.path, 'became shorter');
  const settled = now.getTime() - Number(found.ctimeNs / 1_000_000n) > TOO_RECENT_MS;
  const identity: FileIdentity | null =
    member === null || !settled
      ? null
      : {
          member,
          device: found.dev.toString(),
          inode: found.ino.toString(),
          mtimeNs: found.mtimeNs.toString(),
          ctimeNs: found.ctimeNs.toString(),
        };
  return { path: file.path, size, mode: Number(found.mode & 0o7777n), identity };
}

/** Whether a file is the very one that an earlier snapshot copied, untouched since. */
export function isUntouched(now: FileEntry, before: FileEntry): boolean {
  const [a, b] = [now.identity, before.identity];
  if (a === null || b === null || now.size !== before.size) return false;
  return a.member === b.member && a.device === b.device && a.inode === b.inode && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs;
}
