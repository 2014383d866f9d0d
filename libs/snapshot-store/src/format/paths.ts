import { PathRefusedError } from '../errors.js';

/** Longest relative path, in bytes: Linux' PATH_MAX less room for the folder it is restored into. */
const MAX_PATH_BYTES = 3_072;

/**
 * Checks a path as manifests carry it: relative, with `/`, without `.` or `..` or empty parts, and the same after a trip through UTF-8.
 * Checked when written and again when read: a manifest must not be able to name a file outside the folder it is restored into.
 *
 * @throws PathRefusedError
 */
export function assertSnapshotPath(path: string): void {
  const parts = path.split('/');
  const odd = parts.some((part) => part === '' || part === '.' || part === '..') || path.includes('\0') || path.includes('\\');
  if (odd || Buffer.byteLength(path) > MAX_PATH_BYTES || Buffer.from(path).toString() !== path) throw new PathRefusedError(path);
}

/** Order of files in a snapshot: by the bytes of their paths, the same on every machine. */
export function comparePaths(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
