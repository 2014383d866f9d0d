import { AGENT_USERNAME, type ProcessAccessSecret, type ProcessGoal } from '@atrest/contracts';
import { memberLogin, MongodConnection, type CommandOutcome, type UserAccount } from '@atrest/mongod';
import type { AdministrationOutcome } from './administration-outcome.js';
import { administratorOf, connectionOptions } from './process-access.js';

/** What an agent does with a server, and nothing else: copy it, watch it, lock and stop it, change its set. */
const AGENT_ROLES = ['backup', 'clusterMonitor', 'hostManager', 'clusterManager'] as const;

/**
 * The users that a set should have, as its primary's agent sees them. What was done is noted in the agent's own user, so that it is known wherever the set's
 * data goes and whichever member is primary.
 */
export type UsersView =
  | { readonly kind: 'in-place'; readonly administrator: string | null }
  /** `agent`: its user is there. `ready`: the users were complete once. `administrator`: id of the setting that was carried out last. */
  | { readonly kind: 'missing'; readonly agent: boolean; readonly ready: boolean; readonly administrator: string | null }
  /** Nothing will happen by itself. */
  | { readonly kind: 'foreign'; readonly because: string };

const FOREIGN =
  `The user ${AGENT_USERNAME} exists with another password than this cluster's agents have. ` +
  `Drop it (db.getSiblingDB("admin").dropUser("${AGENT_USERNAME}")), and it is made anew.`;

/** What a look at the users needs of a connection. */
type Asked = Pick<MongodConnection, 'user' | 'login' | 'loginAgain'>;

const isAgent = ({ login }: Asked): boolean => login?.kind === 'password' && login.username === AGENT_USERNAME;

/** Looks at the users of a primary; null while it does not say. */
export async function lookAtUsers(connection: Asked, goal: ProcessGoal, secret: ProcessAccessSecret): Promise<UsersView | null> {
  let found = await connection.user(AGENT_USERNAME);
  // The login of the agent was refused when it was tried last: its user may be there by now.
  if (found.ok && found.value !== null && !isAgent(connection)) {
    connection.loginAgain();
    found = await connection.user(AGENT_USERNAME);
  }
  return usersView(found, isAgent(connection), administratorOf(goal, secret)?.id ?? null);
}

/** @param wanted id of the administrator's setting that should be carried out */
export function usersView(found: CommandOutcome<UserAccount | null>, asAgent: boolean, wanted: string | null): UsersView | null {
  if (!found.ok) {
    if (found.failure.kind !== 'authentication-failed') return null;
    return { kind: 'foreign', because: `The server takes neither the agent's login nor its key file: ${found.failure.message}` };
  }
  if (found.value === null) return { kind: 'missing', agent: false, ready: false, administrator: null };
  if (!asAgent) return { kind: 'foreign', because: FOREIGN };
  const { ready, administrator } = found.value.customData;
  const carriedOut = typeof administrator === 'string' ? administrator : null;
  if (ready === true && carriedOut === wanted) return { kind: 'in-place', administrator: carriedOut };
  return { kind: 'missing', agent: true, ready: ready === true, administrator: carriedOut };
}

/** A primary that nobody can log in at yet is not said to take writes. */
export const hasUsers = (view: UsersView | null): boolean => view !== null && (view.kind !== 'missing' || view.ready);

/**
 * Makes the users that are missing: the agent's own through the localhost exception, the administrator as one of the members, who alone may. Each step may have
 * been done before.
 */
export async function makeUsers(
  goal: ProcessGoal,
  secret: ProcessAccessSecret,
  view: Extract<UsersView, { kind: 'missing' }>,
): Promise<AdministrationOutcome> {
  const { login, keyFile } = secret;
  if (login?.kind !== 'password' || keyFile === null) return { ok: true };
  const connection = new MongodConnection({ ...connectionOptions(goal, secret), logins: [memberLogin(keyFile)] });
  try {
    const agent = await (view.agent ? done : makeAgent(connection, login));
    if (!agent.ok) return failed('The user of the agent could not be made', agent);
    const administrator = administratorOf(goal, secret);
    const made = await (administrator === null ? done : makeAdministrator(connection, administrator));
    if (!made.ok) return failed('The administrator could not be made', made);
    const noted = await connection.changeUser(login.username, {
      roles: AGENT_ROLES,
      customData: { ready: true, administrator: administrator?.id ?? null },
    });
    return noted.ok ? noted : failed('The user of the agent could not be changed', noted);
  } finally {
    await connection.close();
  }
}

type Done = CommandOutcome<void>;
const done: Promise<Done> = Promise.resolve({ ok: true, value: undefined });

async function makeAgent(connection: MongodConnection, { username, password }: { username: string; password: string }): Promise<Done> {
  const user = { username, password, roles: AGENT_ROLES, customData: { ready: false, administrator: null } };
  const first = await connection.createFirstUser(user);
  // Somebody else made the first user, or the server does not listen on the loopback: then nothing goes without a login.
  return !first.ok && first.failure.kind === 'unauthorized' ? connection.createUser(user) : first;
}

async function makeAdministrator(
  connection: MongodConnection,
  { username, password }: { username: string; password: string },
): Promise<Done> {
  const roles = ['root'];
  const made = await connection.createUser({ username, password, roles, customData: {} });
  return !made.ok && made.failure.kind === 'user-exists' ? connection.changeUser(username, { password, roles }) : made;
}

const failed = (what: string, { failure }: Extract<Done, { ok: false }>): AdministrationOutcome => ({
  ok: false,
  error: failure.kind === 'user-exists' ? FOREIGN : `${what}: ${failure.message}`,
});
