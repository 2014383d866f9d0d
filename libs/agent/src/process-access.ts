import { ProcessAccessSecretSchema, type ProcessAccessSecret, type ProcessGoal } from '@atrest/contracts';
import { localAddress, memberLogin, type Login, type MongodAddress, type MongodConnectionOptions } from '@atrest/mongod';
import { SealedForOthersError } from './sealing-key.js';

/** How to get into one process, opened. `secret` is null where nothing is needed, or where it could not be opened: then `error` says why. */
export interface OpenedAccess {
  /** What it was opened from; null: the goal has none. */
  readonly sealed: string | null;
  readonly secret: ProcessAccessSecret | null;
  readonly error: string | null;
}

export const NO_ACCESS: OpenedAccess = { sealed: null, secret: null, error: null };

/** Opens the access of a goal. Never throws for what it finds in it: a process whose access cannot be opened is kept as it is and says so. */
export async function openAccess(goal: ProcessGoal, open: (sealed: string) => Promise<string>): Promise<OpenedAccess> {
  const sealed = goal.access?.sealed ?? null;
  if (sealed === null) return NO_ACCESS;
  const refused = (error: string): OpenedAccess => ({ sealed, secret: null, error });
  try {
    const secret = readSecret(await open(sealed));
    if (secret === null) return refused('The access to this process was sent in a form that this agent does not understand.');
    return secret.clusterId === goal.clusterId
      ? { sealed, secret, error: null }
      : refused('The access to this process was made for another cluster and is not used.');
  } catch (error) {
    if (error instanceof SealedForOthersError) return refused(error.message);
    throw error;
  }
}

/** Without a word of what is in it. */
function readSecret(text: string): ProcessAccessSecret | null {
  try {
    return ProcessAccessSecretSchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

const LOOPBACK = new Set(['127.0.0.1', 'localhost', '0.0.0.0', '*']);

/** By the loopback, because of the localhost exception; with TLS by the name that its certificate is made for. */
function addressOf(goal: ProcessGoal, secret: ProcessAccessSecret | null): MongodAddress {
  const name = secret?.tls ? goal.bindIp.split(',').find((address) => !LOOPBACK.has(address.trim())) : undefined;
  return name === undefined ? localAddress(goal.bindIp, goal.port) : { host: name.trim(), port: goal.port };
}

/**
 * Who the agent says it is, in the order in which it is tried. Before its user is there, and nowhere else, it is one of the members: it has their key file,
 * and a new set cannot be led to a primary otherwise. A mongos waits for the users of its config servers.
 */
function loginsOf({ kind }: ProcessGoal, { login, keyFile }: ProcessAccessSecret): Login[] {
  return [...(login === null ? [] : [login]), ...(keyFile === null || kind === 'mongos' ? [] : [memberLogin(keyFile)])];
}

/** How to reach the process of a goal, or another one of its cluster at `address`. */
export function connectionOptions(goal: ProcessGoal, secret: ProcessAccessSecret | null, address?: MongodAddress): MongodConnectionOptions {
  const where = address ?? addressOf(goal, secret);
  return secret === null ? where : { ...where, logins: loginsOf(goal, secret), tls: secret.tls };
}

/** The administrator that is made in the set of a process. A shard has none: who comes through mongos is a user of the config servers. */
export function administratorOf(goal: ProcessGoal, secret: ProcessAccessSecret): ProcessAccessSecret['administrator'] {
  return goal.replicaSet?.role === 'shard' ? null : secret.administrator;
}
