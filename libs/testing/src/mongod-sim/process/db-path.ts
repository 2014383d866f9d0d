import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The dbPath cannot be used. The text is mongod's. */
export class DbPathError extends Error {
  readonly code = 'DB_PATH';
}

/**
 * Exclusive use of one dbPath, kept by the operating system and therefore gone with the process, even after SIGKILL: a listening
 * abstract unix socket named after the folder's device and inode. (mongod uses flock, which Node.js does not offer; an exclusive
 * bind is as atomic.) `mongod.lock` is written as mongod writes it: the pid while running, empty after a clean stop.
 */
export class DbPathLock {
  readonly #guard: Server;
  readonly #descriptor: number;
  /** The last process on this dbPath did not stop cleanly. */
  readonly wasUnclean: boolean;

  private constructor(guard: Server, descriptor: number, wasUnclean: boolean) {
    this.#guard = guard;
    this.#descriptor = descriptor;
    this.wasUnclean = wasUnclean;
  }

  /** Takes the dbPath. Throws {@link DbPathError} when it is missing, not a folder, not writable or in use. */
  static async acquire(dbPath: string): Promise<DbPathLock> {
    const folder = statSync(dbPath, { throwIfNoEntry: false });
    if (folder === undefined) {
      throw new DbPathError(
        `NonExistentPath: Data directory ${dbPath} not found. Create the missing directory or specify another path using (1) the --dbpath command line option, or (2) by adding the 'storage.dbPath' option in the configuration file.`,
      );
    }
    if (!folder.isDirectory()) throw new DbPathError(`NotADirectory: Data directory ${dbPath} is not a directory`);
    const file = join(dbPath, 'mongod.lock');
    const guard = await listenGuard(folder.dev, folder.ino);
    if (guard === undefined) {
      throw new DbPathError(
        `DBPathInUse: Unable to lock the lock file: ${file} (Resource temporarily unavailable). Another mongod instance is already running on the ${dbPath} directory`,
      );
    }
    let descriptor: number;
    let before: string;
    try {
      descriptor = openSync(file, 'a+', 0o600);
      before = readFileSync(file, 'utf8');
    } catch (error) {
      guard.close();
      const reason = error instanceof Error ? error.message : 'unknown';
      throw new DbPathError(`IllegalOperation: Attempted to create a lock file on a read-only directory: ${dbPath} (${reason})`);
    }
    return new DbPathLock(guard, descriptor, before.trim() !== '');
  }

  /** Writes our pid, as soon as the old content was looked at. */
  markRunning(): void {
    ftruncateSync(this.#descriptor, 0);
    writeSync(this.#descriptor, `${process.pid}\n`);
    fsyncSync(this.#descriptor);
  }

  /** Leaves an empty lock file behind: the sign of a clean stop. */
  release(): void {
    ftruncateSync(this.#descriptor, 0);
    fsyncSync(this.#descriptor);
    closeSync(this.#descriptor);
    this.#guard.close();
  }
}

function listenGuard(device: number, inode: number): Promise<Server | undefined> {
  const name = `atrest-mongod-sim-${device}-${inode}`;
  const path = process.platform === 'linux' ? `\0${name}` : join(tmpdir(), `${name}.sock`);
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.unref();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(path, () => resolve(server));
  });
}
