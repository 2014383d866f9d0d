import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The standalone app's own secret, made on first start: 256 random bits in a file that only its owner can read.
 * Losing the file means losing the credentials it seals, so it is written and synced before anything is sealed with it.
 *
 * @returns the file's text
 */
export async function localSecret(folder: string, name: string, make: () => string): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, name);
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(make());
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return (await readFile(path, 'utf8')).trim();
}

/** A first sealing key in the form `SealingKeys.parse` reads. */
export const newSealingKey = (): string => `k1:${randomBytes(32).toString('base64')}\n`;
