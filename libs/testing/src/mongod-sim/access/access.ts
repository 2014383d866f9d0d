import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { Binary, UUID } from 'bson';
import { CommandError } from '../commands/command-error.js';
import type { CommandContext, CommandTable } from '../commands/command.js';
import { type Doc, isDocument, stringOf } from '../bson-values.js';
import { internalKey } from '../process/key-file.js';
import type { AccessControl, MongodServer } from '../server.js';
import type { ClientConnection } from '../wire/server.js';
import { actionOf } from './command-actions.js';
import { type Role, localhostMay, mayDo } from './roles.js';
import { MECHANISMS, type Mechanism, ScramConversation, authenticationFailed, storedCredentials, userOf } from './scram.js';
import { findUser, hasUsers, rolesOf } from './users.js';

/** Who speaks on a connection: a user, or another member of the set. */
type Principal = { user: string; db: string } | 'member';

interface Login {
  principal?: Principal;
  pending?: { conversation: ScramConversation; user: string; db: string; mechanism: Mechanism; speculative: boolean };
}

/** Logins and rights of one server with a key file: nobody may do anything but log in, except on the localhost while there is no user. */
export class Access implements AccessControl {
  readonly #server: MongodServer;
  readonly #keyFile: string;
  readonly #logins = new WeakMap<ClientConnection, Login>();

  /** @param keyFile holds what the members of a set prove to each other. */
  constructor(server: MongodServer, keyFile: string) {
    this.#server = server;
    this.#keyFile = keyFile;
  }

  /** Throws Unauthorized (13), with mongod's texts. */
  admit({ name, db, command, connection }: CommandContext): void {
    const action = actionOf(name, command);
    const principal = this.#login(connection).principal;
    if (action === 'none' || principal === 'member') return;
    if (principal === undefined) {
      if (!connection.local || hasUsers(this.#server)) throw new CommandError(13, `command ${name} requires authentication`);
      if (localhostMay(action, name, db)) return;
    } else if (mayDo(this.#roles(principal), action, { db })) return;
    throw new CommandError(13, `not authorized on ${db} to execute command ${printed({ ...command, $db: db })}`);
  }

  /** What a login adds to the reply of `hello`. */
  greet({ command, connection }: CommandContext): Doc {
    const reply: Doc = {};
    const asked = stringOf(command['saslSupportedMechs']);
    if (asked !== undefined) {
      const user = findUser(this.#server, asked.slice(asked.indexOf('.') + 1), asked.slice(0, asked.indexOf('.')));
      const known = MECHANISMS.filter((mechanism) => storedCredentials(user, mechanism) !== undefined);
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
      saslStart: { run: ({ command, db, connection }) => this.#start(command, db, connection, false) },
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
    return rolesOf(findUser(this.#server, principal.user, principal.db));
  }

  #start(command: Doc, db: string, connection: ClientConnection, speculative: boolean): Doc {
    const mechanism = MECHANISMS.find((known) => known === command['mechanism']);
    if (mechanism === undefined)
      throw new CommandError(334, `Received authentication for mechanism ${String(command['mechanism'])} which is not enabled`);
    const first = payloadOf(command);
    const user = userOf(first);
    const credentials = storedCredentials(findUser(this.#server, user, db), mechanism);
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
      login.principal = { user: pending.user, db: pending.db };
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
