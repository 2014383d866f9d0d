import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, mkdtemp, open, readdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { Logger } from '@atrest/platform-logging';
import type { Binaries } from './binaries.js';
import { EmbeddedPostgresError } from './errors.js';
import { canEnter, spawnOptions, type ServerUser } from './server-user.js';

const run = promisify(execFile);

/** The superuser of the cluster. */
export const SUPERUSER = 'atrest';

/** What lies in the cluster's folder. It comes into being as a whole, by one rename, so data and password always belong together. */
export interface Cluster {
  readonly folder: string;
  /** PGDATA. */
  readonly data: string;
  readonly password: string;
}

/** Written into the wished folder when the data had to go elsewhere. */
const POINTER = 'data-location';

/** Where an earlier start put the data of this folder, or the folder itself. */
export async function earlierLocation(dataFolder: string): Promise<string> {
  const pointer = await readFile(join(dataFolder, POINTER), 'utf8').catch(() => '');
  return pointer.trim() === '' ? resolve(dataFolder) : pointer.trim();
}

export const clusterFolder = (location: string): string => join(location, 'cluster');
export const dataOf = (location: string): string => join(clusterFolder(location), 'data');

/**
 * The folder for cluster, logs and copies: the wished one, or, when the server user cannot enter it (root's server runs as `nobody`, who
 * may not go below /root), one in a place that everybody may pass through. Later starts find it by a note in the wished folder.
 */
export async function findLocation(o: { dataFolder: string; user: ServerUser; durable: boolean; logger: Logger }): Promise<string> {
  const wished = resolve(o.dataFolder);
  if ((await mkdir(wished, { recursive: true })) !== undefined && o.user !== undefined) await chmod(wished, 0o711);
  const location = await earlierLocation(wished);
  await mkdir(location, { recursive: true });
  if (await canEnter(location, o.user)) return location;
  const name = `${basename(wished)}-${createHash('sha256').update(wished).digest('hex').slice(0, 8)}`;
  // What lies among temporary files is meant to be as temporary elsewhere.
  const temporary = !o.durable || wished.startsWith(join(await realpath(tmpdir()), '/')) || wished.startsWith(join(tmpdir(), '/'));
  const permanent = process.platform === 'darwin' ? '/usr/local/var/atrest' : '/var/lib/atrest';
  const other = join(temporary ? tmpdir() : permanent, name);
  await mkdir(other, { recursive: true });
  await chmod(other, 0o711);
  const owner = await stat(other);
  if (owner.uid !== process.getuid?.() || !(await canEnter(other, o.user))) {
    throw new EmbeddedPostgresError(
      'EMBEDDED_POSTGRES.DATA_FOLDER',
      `PostgreSQL runs as an unprivileged user and can use neither ${wished} nor ${other}. Choose a data folder that everybody may enter, or start as an ordinary user.`,
    );
  }
  await writeFile(join(wished, POINTER), `${other}\n`);
  o.logger.info(
    { wished, location: other },
    'PostgreSQL runs as an unprivileged user who cannot enter the data folder; its data lies elsewhere',
  );
  return other;
}

/** The cluster in this location, made by initdb when there is none. Two processes may do so at once: one of them wins. */
export async function findOrCreateCluster(o: {
  location: string;
  binaries: Binaries;
  user: ServerUser;
  durable: boolean;
  logger: Logger;
}): Promise<Cluster> {
  const existing = await readCluster(o.location, o.binaries.major);
  if (existing !== undefined) return existing;
  await removeLeftovers(o.location);
  const staging = await mkdtemp(join(o.location, 'initializing-'));
  try {
    await chmod(staging, 0o711);
    await initialise(staging, o);
    try {
      await rename(staging, clusterFolder(o.location));
      await syncFolder(o.location);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
      o.logger.info('another process initialised the database first');
    }
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
  const created = await readCluster(o.location, o.binaries.major);
  if (created === undefined) throw new EmbeddedPostgresError('EMBEDDED_POSTGRES.START_FAILED', `initdb left no data in ${o.location}`);
  return created;
}

async function readCluster(location: string, major: number): Promise<Cluster | undefined> {
  const folder = clusterFolder(location);
  const data = dataOf(location);
  let version: string;
  let password: string;
  try {
    version = (await readFile(join(data, 'PG_VERSION'), 'utf8')).trim();
    password = (await readFile(join(folder, 'password'), 'utf8')).trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && (await stat(folder).catch(() => undefined)) === undefined) return undefined;
    throw new EmbeddedPostgresError(
      'EMBEDDED_POSTGRES.DATA_FOLDER',
      code === 'EACCES'
        ? `The database in ${folder} belongs to another user. Start as that user (or as root).`
        : `The database in ${folder} is not complete (${code ?? 'unreadable'}). Restore the folder or move it away.`,
      { cause: error },
    );
  }
  if (Number(version) !== major) {
    throw new EmbeddedPostgresError(
      'EMBEDDED_POSTGRES.VERSION',
      `The database in ${data} was written by PostgreSQL ${version}, and this is PostgreSQL ${major}. Dump it with the release of Atrest that wrote it, move the folder away, start again and load the dump.`,
    );
  }
  return { folder, data, password };
}

async function initialise(staging: string, o: { binaries: Binaries; user: ServerUser; durable: boolean; logger: Logger }): Promise<void> {
  const data = join(staging, 'data');
  const password = randomBytes(24).toString('base64url');
  await writeFile(join(staging, 'password'), `${password}\n`, { mode: 0o600 });
  // initdb reads it as the server user, who must not read ours later on.
  const passwordForInitdb = join(staging, 'password-for-initdb');
  await writeFile(passwordForInitdb, `${password}\n`, { mode: 0o600 });
  await mkdir(data, { mode: 0o700 });
  if (o.user !== undefined) {
    await chown(data, o.user.uid, o.user.gid);
    await chown(passwordForInitdb, o.user.uid, o.user.gid);
  }
  try {
    await run(
      o.binaries.initdb,
      [
        `--pgdata=${data}`,
        `--username=${SUPERUSER}`,
        '--auth=scram-sha-256',
        `--pwfile=${passwordForInitdb}`,
        // PostgreSQL's own Unicode rules: the same order on every system, whatever locales it has.
        '--encoding=UTF8',
        '--locale=C',
        '--locale-provider=builtin',
        '--builtin-locale=C.UTF-8',
        ...(o.durable ? [] : ['--no-sync']),
      ],
      spawnOptions(o.user),
    );
  } catch (error) {
    const output = (error as { stderr?: string }).stderr?.trim().slice(-2_000) ?? '';
    throw new EmbeddedPostgresError('EMBEDDED_POSTGRES.START_FAILED', `initdb failed: ${output}`, { cause: error });
  } finally {
    await rm(passwordForInitdb, { force: true });
  }
}

/** Folders of an initdb that was killed. One that is younger than ten minutes may belong to a process that still works on it. */
async function removeLeftovers(location: string): Promise<void> {
  for (const name of await readdir(location)) {
    if (!name.startsWith('initializing-')) continue;
    const path = join(location, name);
    const state = await stat(path).catch(() => undefined);
    if (state !== undefined && Date.now() - state.mtimeMs > 600_000) await rm(path, { recursive: true, force: true });
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
