import { readdir, realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, relative, sep } from 'node:path';
import type { BackupCursor, BackupFile } from '@atrest/mongod';
import type { SourceFile } from '@atrest/snapshot-store';
import { BackupError } from './backup-error.js';

/** What a server makes anew, or what belongs to the process and not to the data. */
const NOT_DATA = new Set(['mongod.lock', 'WiredTiger.lock', 'diagnostic.data', '_tmp']);
/** Where an encrypted storage engine keeps the keys of the databases (Percona, Enterprise); they travel with the files they encrypt. */
const KEYSTORES = ['key.db', 'key.store'];
/** How the files are laid out; no backup cursor lists it. Written once, when the data path is new. */
const STORAGE_METADATA = 'storage.bson';

/** Every data file below a data path, for a copy under which nothing is written. Folders that are links (a volume for the journal) are followed. */
export async function filesOfDataPath(dbPath: string): Promise<SourceFile[]> {
  return filesBelow(dbPath, '', new Set());
}

async function filesBelow(dbPath: string, folder: string, seen: Set<string>): Promise<SourceFile[]> {
  const path = join(dbPath, folder);
  const real = await realpath(path);
  // A link that leads back up would go on for ever.
  if (seen.has(real)) return [];
  seen.add(real);
  const files: SourceFile[] = [];
  for (const { name } of await readdir(path, { withFileTypes: true })) {
    if (NOT_DATA.has(name)) continue;
    const relativePath = folder === '' ? name : `${folder}/${name}`;
    const absolutePath = join(path, name);
    // Gone since it was listed: not a data file, or the copy would not be of one piece and is found out later.
    const found = await stat(absolutePath).catch(() => null);
    if (found?.isDirectory()) files.push(...(await filesBelow(dbPath, relativePath, seen)));
    else if (found?.isFile()) files.push({ path: relativePath, absolutePath, size: null });
  }
  return files;
}

/**
 * Exactly what a backup cursor lists, as long as it was then, with what it leaves out: `storage.bson`, and the files of a keystore of which it lists nothing.
 *
 * @throws BackupError when the cursor names files that are not below the data path.
 */
export async function filesOfCursor(cursor: Pick<BackupCursor, 'dbPath' | 'files'>, dbPath: string): Promise<SourceFile[]> {
  const listed = new Map<string, SourceFile>();
  for (const { path, size } of cursor.files) {
    const name = nameBelow(cursor.dbPath, path) ?? nameBelow(dbPath, path);
    if (name === null) throw new BackupError('NO_METHOD', `The backup cursor lists ${path}, which is not below the data path.`);
    listed.set(name, { path: name, absolutePath: path, size });
  }
  const add = async (name: string): Promise<void> => {
    const absolutePath = join(dbPath, name);
    const found = await stat(absolutePath).catch(() => null);
    if (found?.isFile() && !listed.has(name)) listed.set(name, { path: name, absolutePath, size: null });
  };
  await add(STORAGE_METADATA);
  for (const folder of KEYSTORES) {
    if ([...listed.keys()].some((name) => name.startsWith(`${folder}/`))) continue;
    const found = await stat(join(dbPath, folder)).catch(() => null);
    if (!found?.isDirectory()) continue;
    for (const file of await filesBelow(dbPath, folder, new Set())) await add(file.path);
  }
  return [...listed.values()];
}

/** Files with their present sizes: what is written after this is not copied. @throws when one is not there */
export async function sizesOf(paths: readonly string[]): Promise<BackupFile[]> {
  return Promise.all(paths.map(async (path) => ({ path, size: (await stat(path)).size })));
}

/** The files of a cursor that was extended: what it names again is longer by now, and what it names anew belongs to the copy. */
export function filesExtended(
  files: readonly SourceFile[],
  extended: readonly BackupFile[],
  serverPath: string,
  dbPath: string,
): SourceFile[] {
  const all = new Map(files.map((file) => [file.path, file]));
  for (const { path, size } of extended) {
    const name = nameBelow(serverPath, path) ?? nameBelow(dbPath, path);
    if (name === null) throw new BackupError('NO_METHOD', `The extended backup cursor lists ${path}, which is not below the data path.`);
    all.set(name, { path: name, absolutePath: path, size });
  }
  return [...all.values()];
}

function nameBelow(folder: string, path: string): string | null {
  const name = relative(folder, path);
  const isOutside = name === '' || name === '..' || name.startsWith(`..${sep}`) || isAbsolute(name);
  return isOutside ? null : name.split(sep).join('/');
}
