import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { optionValue } from './arguments.js';
import { canonicalPath, dbPathOf, type ProcessTable, type TableEntry } from './process-table.js';

/** What `mongod.lock` says: a running server holds its pid in it, a clean stop empties it, a killed server leaves its pid behind. */
export type LockFile = { readonly state: 'absent' | 'empty' } | { readonly state: 'pid'; readonly pid: number };

export async function readLockFile(dbPath: string): Promise<LockFile> {
  const text = await readFile(join(dbPath, 'mongod.lock'), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  if (text === undefined) return { state: 'absent' };
  const pid = Number(text.trim());
  return text.trim() !== '' && Number.isSafeInteger(pid) && pid > 0 ? { state: 'pid', pid } : { state: 'empty' };
}

/**
 * The live process that uses a data path, whoever started it. The lock file names it once it is running; while it starts, or when its
 * command line is all there is, its `--dbpath` does. A pid in the lock file counts only with evidence (its command line or an open file),
 * because after a crash another program may have it. A server of another user whose files cannot be seen counts: starting a second
 * server there is worse than waiting.
 */
export async function findProcessOnDbPath(
  table: ProcessTable,
  dbPath: string,
  candidates?: readonly TableEntry[],
): Promise<TableEntry | null> {
  const wanted = await canonicalPath(dbPath);
  const lock = await readLockFile(dbPath);
  if (lock.state === 'pid') {
    const entry = await table.entry(lock.pid);
    if (entry && (await holds(table, entry, wanted))) return entry;
  }
  for (const entry of candidates ?? (await table.candidates())) {
    const path = dbPathOf(entry);
    if (path !== null && (await canonicalPath(path)) === wanted) return entry;
  }
  return null;
}

async function holds(table: ProcessTable, entry: TableEntry, wanted: string): Promise<boolean> {
  const path = dbPathOf(entry);
  if (path !== null && (await canonicalPath(path)) === wanted) return true;
  const open = await table.hasOpenFileBelow(entry.pid, wanted);
  if (open !== null) return open;
  return path === null && /mongod/.test(basename(entry.argv[0] ?? ''));
}

/** The live mongos with this port. A mongos has no data path; its port is what two cannot share. */
export async function findMongosOnPort(table: ProcessTable, port: number, candidates?: readonly TableEntry[]): Promise<TableEntry | null> {
  for (const entry of candidates ?? (await table.candidates())) {
    const argv = entry.argv.slice(1);
    if (optionValue(argv, 'configdb') !== undefined && optionValue(argv, 'port') === String(port)) return entry;
  }
  return null;
}
