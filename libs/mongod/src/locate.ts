import { execFile } from 'node:child_process';
import { access, constants, readdir } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';

export interface FindMongodOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A folder with mongod (and mongos) in it, from configuration. */
  readonly configuredFolder?: string | undefined;
  /** Fetch a server from mongodb.org through mongodb-memory-server-core when none is installed. Needs the network; never done unasked. */
  readonly download?: boolean;
  /** Where a downloaded server is kept. */
  readonly downloadFolder?: string;
  /** Asked before the download begins, and how long an answer is waited for; the download's own place and five seconds. */
  readonly downloadUrl?: string;
  readonly reachableLimitMs?: number;
}

/** Where the programs come from. */
export type MongodSource = 'MONGOD_BIN' | 'configured folder' | 'PATH' | 'download';

export interface MongodFound {
  readonly found: true;
  readonly mongod: string;
  /** Null where only mongod is installed: sharded clusters need it. */
  readonly mongos: string | null;
  readonly source: MongodSource;
  /** As the program says, e.g. `4.4.6-8`. */
  readonly version: string;
}

export interface MongodNotFound {
  readonly found: false;
  /** Every place that was tried, with the reason why it did not serve, in order. */
  readonly tried: readonly { place: string; reason: string }[];
  /** The same as one sentence. */
  readonly message: string;
}

/** Where mongodb-memory-server-core downloads from, unless its own variables name a mirror. */
const DOWNLOAD_URL = 'https://fastdl.mongodb.org/';
/** A network that swallows packets answers nothing at all: whoever waits for a demo must not wait for the limit of the download first. */
const REACHABLE_LIMIT_MS = 5_000;
/** A proxy or a mirror is used by the download and not by our own question. */
const REDIRECTING = /^(https?_proxy|all_proxy|npm_config_(https_|http_)?proxy|MONGOMS_DOWNLOAD_(MIRROR|URL|USE_HTTP)|MONGOMS_USE_HTTP)$/i;

/** A download that has not come within this time will not come: a server is below 100 MB. */
const DOWNLOAD_LIMIT_MS = 5 * 60_000;

/**
 * Finds mongod and mongos: `MONGOD_BIN`/`MONGOS_BIN`, the configured folder, `PATH`, and the download when it is asked for. A place that was
 * named by somebody and does not serve ends the search, because running another server than the named one would be a surprise.
 */
export async function findMongod(options: FindMongodOptions): Promise<MongodFound | MongodNotFound> {
  const tried: { place: string; reason: string }[] = [];
  const { env } = options;

  const named = env['MONGOD_BIN'];
  if (named) {
    const check = await versionOf(named);
    if ('version' in check) return { found: true, mongod: named, mongos: await findMongos(options, named), source: 'MONGOD_BIN', ...check };
    return notFound([{ place: `MONGOD_BIN (${named})`, reason: check.reason }]);
  }
  tried.push({ place: 'MONGOD_BIN', reason: 'not set' });

  if (options.configuredFolder) {
    const program = join(options.configuredFolder, 'mongod');
    const check = await versionOf(program);
    if ('version' in check) {
      return { found: true, mongod: program, mongos: await findMongos(options, program), source: 'configured folder', ...check };
    }
    return notFound([...tried, { place: `configured folder (${program})`, reason: check.reason }]);
  }
  tried.push({ place: 'configured folder', reason: 'not set' });

  const onPath = await firstExecutable(pathFolders(env), 'mongod');
  if (onPath) {
    const check = await versionOf(onPath);
    if ('version' in check) return { found: true, mongod: onPath, mongos: await findMongos(options, onPath), source: 'PATH', ...check };
    tried.push({ place: `PATH (${onPath})`, reason: check.reason });
  } else {
    tried.push({ place: 'PATH', reason: 'no mongod in it' });
  }

  if (!options.download) return notFound([...tried, { place: 'download', reason: 'not asked for' }]);
  const unreachable = await whyUnreachable(options);
  if (unreachable !== null) return notFound([...tried, { place: 'download', reason: unreachable }]);
  const downloaded = await download(options.downloadFolder);
  if ('reason' in downloaded) return notFound([...tried, { place: 'download', reason: downloaded.reason }]);
  const check = await versionOf(downloaded.mongod);
  if ('reason' in check) return notFound([...tried, { place: `download (${downloaded.mongod})`, reason: check.reason }]);
  return { found: true, mongod: downloaded.mongod, mongos: await findMongos(options, downloaded.mongod), source: 'download', ...check };
}

function notFound(tried: { place: string; reason: string }[]): MongodNotFound {
  return {
    found: false,
    tried,
    message: `No mongod was found: ${tried.map(({ place, reason }) => `${place}: ${reason}`).join('; ')}.`,
  };
}

/** MONGOS_BIN, else beside mongod, else on the PATH. */
async function findMongos(options: FindMongodOptions, mongod: string): Promise<string | null> {
  const named = options.env['MONGOS_BIN'];
  if (named) return (await isExecutable(named)) ? named : null;
  return (await firstExecutable([dirname(mongod), ...pathFolders(options.env)], 'mongos')) ?? null;
}

function pathFolders(env: FindMongodOptions['env']): string[] {
  return (env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
}

async function firstExecutable(folders: readonly string[], name: string): Promise<string | undefined> {
  for (const folder of folders) {
    const program = join(folder, name);
    if (await isExecutable(program)) return program;
  }
  return undefined;
}

async function isExecutable(program: string): Promise<boolean> {
  return access(program, constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function versionOf(program: string): Promise<{ version: string } | { reason: string }> {
  try {
    const { stdout } = await promisify(execFile)(program, ['--version'], { timeout: 20_000 });
    const match = /version v?(\d+\.\d+\.\d+[\w.-]*)/i.exec(stdout);
    return match ? { version: match[1]! } : { reason: '--version did not tell a version' };
  } catch (error) {
    const { code, message } = error as { code?: unknown; message: string };
    if (code === 'ENOENT') return { reason: 'does not exist' };
    if (code === 'EACCES') return { reason: 'may not be executed' };
    return { reason: `--version failed: ${message.split('\n')[0]}` };
  }
}

async function whyUnreachable({
  env,
  downloadFolder,
  downloadUrl = DOWNLOAD_URL,
  reachableLimitMs = REACHABLE_LIMIT_MS,
}: FindMongodOptions): Promise<string | null> {
  if (Object.entries(env).some(([name, value]) => value && REDIRECTING.test(name))) return null;
  // What was downloaded before needs no network.
  if (downloadFolder === undefined || (await readdir(downloadFolder).catch(() => [])).length > 0) return null;
  try {
    // Any answer will do.
    await fetch(downloadUrl, { method: 'HEAD', signal: AbortSignal.timeout(reachableLimitMs) });
    return null;
  } catch (error) {
    const { message, cause } = error as Error;
    return `${new URL(downloadUrl).host} cannot be reached: ${cause instanceof Error ? cause.message : message}`;
  }
}

async function download(folder: string | undefined): Promise<{ mongod: string } | { reason: string }> {
  let limit: NodeJS.Timeout | undefined;
  try {
    const { MongoBinary } = await import('mongodb-memory-server-core');
    const late = new Promise<never>((_, reject) => {
      limit = setTimeout(() => reject(new Error(`no answer within ${DOWNLOAD_LIMIT_MS / 60_000} minutes`)), DOWNLOAD_LIMIT_MS);
    });
    const mongod = await Promise.race([MongoBinary.getPath(folder === undefined ? {} : { downloadDir: folder }), late]);
    return { mongod };
  } catch (error) {
    return { reason: `failed (is there a way to the Internet?): ${(error as Error).message.split('\n')[0]}` };
  } finally {
    clearTimeout(limit);
  }
}
