import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { EmbeddedPostgresError } from './errors.js';

const run = promisify(execFile);

/** Whom the server runs as. `undefined`: as ourselves. */
export type ServerUser = { readonly uid: number; readonly gid: number } | undefined;

/**
 * PostgreSQL refuses to run as root, so root uses the owner of existing data, or `nobody`: every system has it, in the user database too
 * (initdb looks itself up there), and no account has to be made.
 */
export async function serverUser(existingData: string): Promise<ServerUser> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = await stat(existingData).catch(() => undefined);
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', 'nobody']), run('id', ['-g', 'nobody'])]);
    // macOS prints -2 or 4294967294 for the same user; spawn wants a 32-bit integer.
    return { uid: Number(uid.stdout) | 0, gid: Number(gid.stdout) | 0 };
  } catch (error) {
    throw new EmbeddedPostgresError(
      'EMBEDDED_POSTGRES.START_FAILED',
      'PostgreSQL refuses to run as root, and there is no user `nobody` to run it as. Start as an ordinary user.',
      { cause: error },
    );
  }
}

/** What the server and initdb get to see of our environment: nothing that changes their behaviour (PGDATA, PGOPTIONS, LD_PRELOAD, locale). */
export const SERVER_ENVIRONMENT: NodeJS.ProcessEnv = {
  PATH: process.env['PATH'] ?? '/usr/bin:/bin',
  LC_ALL: 'C',
  TZ: 'UTC',
};

/** Options to run a program as the server user. The working folder is one that everybody may enter: ours may be below /root. */
export function spawnOptions(user: ServerUser): { cwd: string; env: NodeJS.ProcessEnv; uid?: number; gid?: number } {
  return { cwd: '/', env: SERVER_ENVIRONMENT, ...user };
}

/** Whether the server user can enter the folder, found by trying: modes alone do not tell (access lists, mount options). */
export async function canEnter(folder: string, user: ServerUser): Promise<boolean> {
  if (user === undefined) return true;
  try {
    await run('/bin/sh', ['-c', 'cd -- "$1"', 'sh', folder], spawnOptions(user));
    return true;
  } catch {
    return false;
  }
}
