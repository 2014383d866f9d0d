import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';

/** The secrets of one service, a file each, as Docker and Kubernetes mount them. */
export class SecretFolder {
  private constructor(private readonly path: string) {}

  static async open(folder: string, service: string): Promise<SecretFolder> {
    const path = join(folder, service);
    await mkdir(path, { recursive: true, mode: 0o700 });
    return new SecretFolder(path);
  }

  async read(name: string): Promise<string | undefined> {
    try {
      return (await readFile(join(this.path, name), 'utf8')).trimEnd();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Whole or not at all, and safe on the disk when it resolves. */
  async write(name: string, value: string): Promise<void> {
    const temporary = join(this.path, `.${name}.${randomBytes(6).toString('hex')}`);
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(`${value}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, join(this.path, name));
  }
}
