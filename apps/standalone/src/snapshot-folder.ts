import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';

/** Where the agent of this machine keeps snapshots. Only our own folder is made: another one that is missing is a volume that is not mounted. */
export async function snapshotFolder(configured: string | undefined, dataFolder: string): Promise<string> {
  if (configured !== undefined) return resolve(configured);
  const own = join(dataFolder, 'snapshots');
  await mkdir(own, { recursive: true, mode: 0o700 });
  return own;
}
