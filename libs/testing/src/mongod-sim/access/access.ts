import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { Binary, UUID } from 'bson';
import { CommandError } from '../commands/command-error.js';
import type { CommandContext, CommandTable } from '../commands/command.js';
import { type Doc, isDocument, stringOf } from '../bson-values.js';
import { internalKey } from '../process/key-file.js';
import type { AccessControl, ServerBase } from '../server.js';
import type { ClientConnection } from '../wire/server.js';
import { actionOf } from './command-actions.js';
import { type Role, localhostMay, mayDo } from './roles.js';
import { MECHANISMS, type Mechanism, ScramConversation, authenticationFailed, credentialsFor, storedCredentials, userOf } from './scram.js';
import { type UserDirectory, rolesOf } from './users.js';

/** Who speaks on a connection: a user, or another member of the set. */
type Principal = { user: string; db: string } | 'member';

interface Login {
  principal?: Principal;
  pending?: { conversation: ScramConversation; user: string; db: string; mechanism: Mechanism; speculative: boolean };
}

/** Logins and rights of one server with a key file: nobody may do anything but log in, except on the localhost while there is no user. */
export class Access implements AccessControl {
  readonly #server: ServerBase;
  readonly #keyFile: string;
  readonly #users: UserDirectory;
  readonly #logins = new WeakMap<ClientConnection, Login>();
  readonly #memberCredentials: Doc = {};

  /** @param keyFile holds what the members of a set prove to each other. */
  constructor(server: ServerBase, keyFile: string, users: UserDirectory) {
    this.#server = server;
    this.#keyFile = keyFile;
    this.#users = users;
  }

  /** Throws Unauthorized (13), with mongod's texts. */
  async admit({ name, db, command, connection }: CommandContext): Promise<void> {
    const action = actionOf(name, command);
    const principal = this.#login(connection).principal;
    if (action === 'none' || principal === 'member') return;
    if (principal === undefined) {
      await this.#users.refresh();
      if (!connection.local || this.#users.any()) throw new CommandError(13, `command ${name} requires authentication`);
      if (localhostMay(action, name, db)) return;
    } else if (mayDo(this.#roles(principal), action, { db }) || asksForItself(principal, name, command)) return;
    throw new CommandError(13, `not authorized on ${db} to execute command ${printed({ ...command, $db: db })}`);
  }

  /** What a login adds to the reply of `hello`. */
  greet({ command, connection }: CommandContext): Doc {
    const reply: Doc = {};
    const asked = stringOf(command['saslSupportedMechs']);
    if (asked !== undefined) {
      const [user, db] = [asked.slice(asked.indexOf('.') + 1), asked.slice(0, asked.indexOf('.'))];
      const known = MECHANISMS.filter((mechanism) => this.#credentials(user, db, mechanism) !== undefined);
      if (known.length > 0) reply['saslSupportedMechs'] = known;
    }
    const early = command['speculativeAuthenticate'];
    if (isDocument(early) && 'saslStart' in early) {
      try {
        reply['speculativeAuthenticate'] = this.#start(early, stringOf(early['db']) ?? 'admin', connection, true);
      } catch (error) {
        if (!(error instanceof CommandError)) throw error; // The client logs in in the ordinary way, and hears of it then.
      }
    }
    return reply;
  }

  commands(): CommandTable {
    return {
      saslStart: {
        run: async ({ command, db, connection }) => {
          await this.#users.refresh();
          return this.#start(command, db, connection, false);
        },
      },
      saslContinue: { run: ({ command, connection }) => this.#continue(command, connection) },
      logout: {
        run: ({ connection }) => {
          this.#logins.delete(connection);
          return {};
        },
      },
      connectionStatus: { run: ({ connection }) => this.#status(connection) },
      _simAuthenticate: { run: ({ command, connection }) => this.#member(command, connection) },
    };
  }

  #login(connection: ClientConnection): Login {
    let login = this.#logins.get(connection);
    if (login === undefined) {
      login = {};
      this.#logins.set(connection, login);
    }
    return login;
  }

  #roles(principal: { user: string; db: string }): Role[] {
    return rolesOf(this.#users.find(principal.user, principal.db));
  }

  /** Members log in as `__system` with their key file's content; who has it is one of them. */
  #credentials(user: string, db: string, mechanism: Mechanism): Doc | undefined {
    if (!isMember(user, db)) return storedCredentials(this.#users.find(user, db), mechanism);
    this.#memberCredentials[mechanism] ??= credentialsFor(mechanism, user, internalKey(this.#keyFile));
    return this.#memberCredentials[mechanism] as Doc;
  }

  #start(command: Doc, db: string, connection: ClientConnection, speculative: boolean): Doc {
    const mechanism = MECHANISMS.find((known) => known === command['mechanism']);
    if (mechanism === undefined)
      throw new CommandError(334, `Received authentication for mechanism ${String(command['mechanism'])} which is not enabled`);
    const first = payloadOf(command);
    const user = userOf(first);
    const credentials = this.#credentials(user, db, mechanism);
    if (credentials === undefined) return this.#failed(connection, { user, db, mechanism, speculative });
    const conversation = new ScramConversation(mechanism, first, credentials);
    this.#login(connection).pending = { conversation, user, db, mechanism, speculative };
    return reply(false, conversation.serverFirst);
  }

  #continue(command: Doc, connection: ClientConnection): Doc {
    const login = this.#login(connection);
    const { pending } = login;
    if (pending === undefined) {
      // A client that does not skip the empty exchange asks once more.
      if (login.principal !== undefined && payloadOf(command) === '') return reply(true, '');
      throw authenticationFailed();
    }
    delete login.pending;
    try {
      const final = pending.conversation.finish(payloadOf(command));
      login.principal = isMember(pending.user, pending.db) ? 'member' : { user: pending.user, db: pending.db };
      this.#log(connection, 20250, 'Authentication succeeded', pending);
      return reply(true, final);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      return this.#failed(connection, pending);
    }
  }

  #failed(connection: ClientConnection, login: { user: string; db: string; mechanism: Mechanism; speculative: boolean }): never {
    this.#log(connection, 20249, 'Authentication failed', login);
    throw authenticationFailed();
  }

  #log(
    connection: ClientConnection,
    id: number,
    message: string,
    login: { user: string; db: string; mechanism: Mechanism; speculative: boolean },
  ): void {
    this.#server.log.info(connection.context, 'ACCESS', id, message, {
      mechanism: login.mechanism,
      speculative: login.speculative,
      principalName: login.user,
      authenticationDatabase: login.db,
      remote: connection.remote,
      extraInfo: {},
    });
  }

  #status(connection: ClientConnection): Doc {
    const principal = this.#login(connection).principal;
    const user = principal === undefined || principal === 'member' ? undefined : principal;
    return {
      authInfo: {
        authenticatedUsers: user === undefined ? [] : [user],
        authenticatedUserRoles: user === undefined ? [] : this.#roles(user),
      },
    };
  }

  #member(command: Doc, connection: ClientConnection): Doc {
    const proof = Buffer.from(stringOf(command['proof']) ?? '', 'hex');
    const wanted = memberProof(internalKey(this.#keyFile), stringOf(command['nonce']) ?? '');
    if (proof.length !== wanted.length || !timingSafeEqual(proof, wanted)) throw authenticationFailed();
    this.#login(connection).principal = 'member';
    this.#log(connection, 20250, 'Authentication succeeded', {
      user: '__system',
      db: 'local',
      mechanism: 'SCRAM-SHA-256',
      speculative: false,
    });
    return {};
  }
}

const isMember = (user: string, db: string): boolean => user === '__system' && db === 'local';

/** Whom a user may always ask about: himself. */
function asksForItself(principal: Principal, name: string, command: Doc): boolean {
  const asked = command['usersInfo'];
  return (
    name === 'usersInfo' && principal !== 'member' && isDocument(asked) && asked['user'] === principal.user && asked['db'] === principal.db
  );
}

function memberProof(key: string, nonce: string): Buffer {
  return createHmac('sha256', key).update(nonce).digest();
}

/** The command with which a member proves that it has the same key file. mongod logs in as `__system` with SCRAM instead. */
export function memberLogin(keyFile: string): Doc {
  const nonce = randomBytes(16).toString('hex');
  return { _simAuthenticate: 1, nonce, proof: memberProof(internalKey(keyFile), nonce).toString('hex') };
}

function reply(done: boolean, payload: string): Doc {
  return { conversationId: 1, done, payload: new Binary(Buffer.from(payload)) };
}

function payloadOf(command: Doc): string {
  const payload = command['payload'];
  return payload instanceof Binary ? Buffer.from(payload.buffer).toString('utf8') : (stringOf(payload) ?? '');
}

/** A document as mongod writes it into messages. */
function printed(value: unknown): string {
  if (typeof value === 'string') return `"${value}"`;
  if (value instanceof UUID) return `UUID("${value.toString()}")`;
  if (Array.isArray(value)) return value.length === 0 ? '[]' : `[ ${value.map(printed).join(', ')} ]`;
  if (isDocument(value)) {
    const fields = Object.entries(value).map(([name, inner]) => `${name}: ${printed(inner)}`);
    return fields.length === 0 ? '{}' : `{ ${fields.join(', ')} }`;
  }
  return String(value);
}
