import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Mails as `.eml` files, named by the time of their arrival. */
export class MailFolder {
  private constructor(private readonly path: string) {}

  static async open(path: string): Promise<MailFolder> {
    await mkdir(path, { recursive: true, mode: 0o700 });
    return new MailFolder(path);
  }

  async write(raw: Buffer, receivedAt: Date): Promise<void> {
    const name = `${String(receivedAt.getTime()).padStart(15, '0')}-${randomBytes(4).toString('hex')}.eml`;
    // Whole or not at all: a mail is readable by any mail program while we write the next.
    await writeFile(join(this.path, `.${name}`), raw, { mode: 0o600 });
    await rename(join(this.path, `.${name}`), join(this.path, name));
  }

  /** The newest `limit` mails, oldest first. */
  async read(limit: number): Promise<{ raw: Buffer; receivedAt: Date }[]> {
    const names = (await readdir(this.path)).filter((name) => /^\d{15}-[0-9a-f]{8}\.eml$/.test(name)).sort();
    return Promise.all(
      names.slice(-limit).map(async (name) => ({
        raw: await readFile(join(this.path, name)),
        receivedAt: new Date(Number(name.slice(0, 15))),
      })),
    );
  }
}
