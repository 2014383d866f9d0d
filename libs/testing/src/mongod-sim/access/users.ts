import { UUID } from 'bson';
import { CommandError } from '../commands/command-error.js';
import type { CommandContext, CommandTable } from '../commands/command.js';
import { acknowledge } from '../commands/write.js';
import { type Doc, isDocument, stringOf } from '../bson-values.js';
import { cursorOf } from '../replication/cursor-batch.js';
import type { MongodServer } from '../server.js';
import { type Role, isKnownRole } from './roles.js';
import { MECHANISMS, credentialsFor } from './scram.js';

const USERS_NS = 'admin.system.users';

/** The users of a server or cluster, as who lets clients in needs them. */
export interface UserDirectory {
  /** Reads them anew where they are kept elsewhere. */
  refresh(): Promise<void>;
  any(): boolean;
  find(user: string, db: string): Doc | undefined;
}

/** A user ends the localhost exception. */
export function hasUsers(server: MongodServer): boolean {
  return (server.engine.collection(USERS_NS)?.size ?? 0) > 0;
}

export function findUser(server: MongodServer, user: string, db: string): Doc | undefined {
  return server.engine.collection(USERS_NS)?.get(`${db}.${user}`);
}

/** The users that a mongod has itself. */
export function ownUsers(server: MongodServer): UserDirectory {
  return {
    refresh: () => Promise.resolve(),
    any: () => hasUsers(server),
    find: (user, db) => findUser(server, user, db),
  };
}

/** The users that a mongos finds at its config servers: as they were when it last looked. */
export class ConfigUsers implements UserDirectory {
  readonly #ask: (command: Doc) => Promise<Doc>;
  #users = new Map<string, Doc>();

  /** @param ask runs a command on the database `admin` of the config servers. */
  constructor(ask: (command: Doc) => Promise<Doc>) {
    this.#ask = ask;
  }

  async refresh(): Promise<void> {
    const { batch } = cursorOf(await this.#ask({ find: 'system.users', batchSize: 10_000, singleBatch: true }));
    this.#users = new Map(batch.map((user) => [String(user['_id']), user]));
  }

  any(): boolean {
    return this.#users.size > 0;
  }

  find(user: string, db: string): Doc | undefined {
    return this.#users.get(`${db}.${user}`);
  }
}

export function rolesOf(user: Doc | undefined): Role[] {
  const roles = user?.['roles'];
  return Array.isArray(roles) ? (roles as Role[]) : [];
}

/** Commands that keep users. They are documents like all others, and replicated as these are. */
export function userCommands(server: MongodServer): CommandTable {
  const store = async ({ command }: CommandContext, doc: Doc): Promise<Doc> => {
    const opTime = server.writer.write([{ op: 'replace', ns: USERS_NS, doc }]);
    return acknowledge(server, command, opTime);
  };
  return {
    createUser: {
      needs: 'write',
      run: (context) => {
        const { command, db } = context;
        const user = nameOf(command['createUser']);
        if (findUser(server, user, db) !== undefined) throw new CommandError(51003, `User "${user}@${db}" already exists`);
        const roles = rolesFrom(command['roles'] ?? [], db);
        return store(context, {
          _id: `${db}.${user}`,
          userId: new UUID(),
          user,
          db,
          credentials: credentials(user, command),
          ...customDataOf(command),
          roles,
        });
      },
    },
    updateUser: {
      needs: 'write',
      run: (context) => {
        const { command, db } = context;
        const before = existing(server, nameOf(command['updateUser']), db);
        return store(context, {
          ...before,
          ...(command['pwd'] === undefined ? {} : { credentials: credentials(String(before['user']), command) }),
          ...customDataOf(command),
          ...(command['roles'] === undefined ? {} : { roles: rolesFrom(command['roles'], db) }),
        });
      },
    },
    dropUser: {
      needs: 'write',
      run: ({ command, db }) => {
        const { _id: id } = existing(server, nameOf(command['dropUser']), db);
        return acknowledge(server, command, server.writer.write([{ op: 'delete', ns: USERS_NS, id }]));
      },
    },
    usersInfo: {
      run: ({ command, db }) => {
        const asked = command['usersInfo'];
        const users = (server.engine.collection(USERS_NS)?.documents() ?? []).filter((user) => {
          if (typeof asked === 'string') return user['user'] === asked && user['db'] === db;
          if (isDocument(asked)) return user['user'] === asked['user'] && user['db'] === asked['db'];
          return user['db'] === db;
        });
        return {
          users: users.map(({ _id, userId, user, db: of, roles, credentials: stored, ...rest }) => {
            return { _id, userId, user, db: of, ...customDataOf(rest), roles, mechanisms: Object.keys(isDocument(stored) ? stored : {}) };
          }),
        };
      },
    },
  };
}

const customDataOf = ({ customData }: Doc): Doc => (isDocument(customData) ? { customData } : {});

function existing(server: MongodServer, user: string, db: string): Doc {
  const found = findUser(server, user, db);
  if (found === undefined) throw new CommandError(11, `Could not find user "${user}" for db "${db}"`);
  return found;
}

function nameOf(value: unknown): string {
  if (typeof value !== 'string' || value === '') throw new CommandError(2, 'User names must be texts that are not empty');
  return value;
}

function credentials(user: string, command: Doc): Doc {
  const password = stringOf(command['pwd']);
  if (password === undefined || password === '')
    throw new CommandError(2, "Must provide a 'pwd' field for all user documents, except those with '$external' as the user's source db");
  const asked = command['mechanisms'];
  const mechanisms = MECHANISMS.filter((known) => !Array.isArray(asked) || asked.includes(known));
  return Object.fromEntries(mechanisms.map((mechanism) => [mechanism, credentialsFor(mechanism, user, password)]));
}

function rolesFrom(value: unknown, db: string): Role[] {
  if (!Array.isArray(value)) throw new CommandError(14, '"roles" had the wrong type. Expected array');
  return value.map((entry: unknown) => {
    const role = isDocument(entry) ? { role: String(entry['role']), db: String(entry['db']) } : { role: String(entry), db };
    if (!isKnownRole(role.role)) throw new CommandError(31, `Could not find role: ${role.role}@${role.db}`);
    return role;
  });
}
