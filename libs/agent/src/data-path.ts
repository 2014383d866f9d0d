import { lstat, mkdir, realpath, rename, rm } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';

/** Thrown when a data path may not be created or removed. The message names the path and the rule. */
export class DataPathError extends Error {
  readonly code = 'AGENT.DATA_PATH';

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DataPathError';
  }
}

/** Name of a data path while it is being removed: a removal that was cut short never looks like data again. */
const trashOf = (dbPath: string) => `${dbPath}.atrest-removing`;

/**
 * Makes a data path ready for use. Below the data folder it is created (mode 0700, no symbolic links on the way); anywhere else it must
 * exist, because a missing one there is more likely a volume that is not mounted than a folder that somebody forgot. The same holds for one
 * that was used before.
 *
 * @throws DataPathError
 */
export async function prepareDataPath(dataFolder: string, dbPath: string, adopted: boolean, usedBefore = false): Promise<void> {
  if (!isAbsolute(dbPath)) throw new DataPathError(`The data path ${dbPath} is not absolute.`);
  const below = await partsBelow(dataFolder, dbPath);
  if (adopted || below === null) {
    const found = await statOf(dbPath);
    if (!found) throw new DataPathError(`The data path ${dbPath} does not exist and is not below the data folder. Is its volume mounted?`);
    return;
  }
  let path = await realpath(dataFolder);
  for (const part of below) {
    path = join(path, part);
    if (await isFolder(path)) continue;
    if (usedBefore) {
      throw new DataPathError(
        `${path} is gone although the process used it before. Is its volume mounted? To have the process begin without data, create ${dbPath} by hand.`,
      );
    }
    await mkdir(path, { mode: 0o700 }).catch(async (error: NodeJS.ErrnoException) => {
      // Processes of one cluster start together and share the folders above their own.
      if (error.code !== 'EEXIST' || !(await isFolder(path))) throw error;
    });
  }
}

/** False when there is nothing yet; anything but a folder is refused. */
async function isFolder(path: string): Promise<boolean> {
  const found = await statOf(path);
  if (found === undefined) return false;
  if (found.isSymbolicLink())
    throw new DataPathError(`${path} is a symbolic link; a data path below the data folder may not lead out of it.`);
  if (!found.isDirectory()) throw new DataPathError(`${path} is not a folder.`);
  return true;
}

/**
 * No database in, around or at the agent's own state: it would mix with the credential of this host, and be removed together with it.
 *
 * @throws DataPathError
 */
export async function keepApart(dbPath: string, stateFolder: string): Promise<void> {
  const real = async (path: string) => realpath(path).catch(() => resolve(path));
  const [data, state] = [await real(dbPath), await real(stateFolder)];
  if (overlap(data, state)) throw new DataPathError(`The data path ${dbPath} and the agent's state folder lie within each other.`);
}

/** Whether two absolute paths are the same or one lies within the other. */
export function overlap(a: string, b: string): boolean {
  return a === b || a.startsWith(`${b}${sep}`) || b.startsWith(`${a}${sep}`);
}

/** Whether there is anything to remove. */
export async function dataExists(dbPath: string): Promise<boolean> {
  return (await statOf(dbPath)) !== undefined || (await statOf(trashOf(dbPath))) !== undefined;
}

/**
 * Removes a data path for good. Only below the data folder, never the data folder itself, never through a symbolic link. The caller has
 * made sure that no process uses it. A removal that was cut short is finished by the next call.
 *
 * @throws DataPathError
 */
export async function removeDataPath(dataFolder: string, dbPath: string): Promise<void> {
  const below = await partsBelow(dataFolder, dbPath);
  if (below === null || below.length === 0) {
    throw new DataPathError(`The data path ${dbPath} is not below the data folder and is never removed. Remove it by hand.`);
  }
  let path = await realpath(dataFolder);
  for (const part of below) {
    path = join(path, part);
    const found = await statOf(path);
    if (found?.isSymbolicLink()) throw new DataPathError(`${path} is a symbolic link; its target is never removed. Remove it by hand.`);
  }
  await rm(trashOf(dbPath), { recursive: true, force: true });
  const renamed = await rename(dbPath, trashOf(dbPath)).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return true;
      if (error.code === 'EBUSY' || error.code === 'EXDEV') return false; // the data path is a mount point
      throw error;
    },
  );
  await rm(renamed ? trashOf(dbPath) : dbPath, { recursive: true, force: true });
}

/** The names between the data folder and a path below it; null when the path is elsewhere. */
async function partsBelow(dataFolder: string, dbPath: string): Promise<string[] | null> {
  const folders = [resolve(dataFolder), await realpath(dataFolder)];
  for (const folder of folders) {
    const rest = relative(folder, resolve(dbPath));
    if (rest !== '' && rest !== '..' && !rest.startsWith(`..${sep}`) && !isAbsolute(rest)) return rest.split(sep);
  }
  return null;
}

async function statOf(path: string) {
  return lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
}
