import { Long, MongoClient, MongoRuntimeError, Timestamp, type ClientSession, type Document, type MongoClientOptions } from 'mongodb';
import { outcomeOf, type CommandOutcome } from './command-outcome.js';
import type { MemberStatus, OpTime, ReplicaSetStatus } from './replica-set.js';

export interface MongodAddress {
  readonly host: string;
  readonly port: number;
}

export interface MongodConnectionOptions extends MongodAddress {
  /** Limit for reaching the server and for each short command. One second is ample on a live host and keeps a hung one from being waited for. */
  readonly timeoutMs?: number;
  /** The longest that any command may go without an answer; the longest of ordinary ones by default. */
  readonly longestAnswerMs?: number;
  /** Tried in this order until one is taken; without any, every command goes without a login. */
  readonly logins?: readonly Login[];
  /** Absent or null: without TLS. */
  readonly tls?: ConnectionTls | null;
}

/** How to log in at a server. */
export type Login =
  | { readonly kind: 'password'; readonly username: string; readonly password: string; readonly authSource: string }
  /** As the holder of the certificate in the connection's TLS settings. */
  | { readonly kind: 'x509' };

/** The server's certificate has to be signed by the authority and made for the name that it is reached by; nothing less is accepted. */
export interface ConnectionTls {
  /** PEM text of certificate authorities. */
  readonly ca: string;
  /** PEM text of a certificate with its private key, shown to the server. */
  readonly certificate: string | null;
}

/** A user as a server keeps it. Custom data is ours to choose, and travels with the user. */
export interface UserAccount {
  readonly username: string;
  readonly customData: Readonly<Record<string, unknown>>;
}

export interface NewUser extends UserAccount {
  readonly password: string;
  readonly roles: readonly string[];
}

/** A server's own account of what it is; `hello` needs no rights. */
export interface Hello {
  readonly kind: 'mongos' | 'standalone' | 'member' | 'uninitialized';
  /** PRIMARY, SECONDARY or ARBITER, as far as `hello` tells; null otherwise. */
  readonly memberState: 'PRIMARY' | 'SECONDARY' | 'ARBITER' | null;
  readonly writable: boolean;
  readonly setName: string | null;
  /** `host:port` of the primary it knows. */
  readonly primary: string | null;
}

export interface ShardEntry {
  readonly name: string;
  readonly host: string;
}

/** addShard waits for the shard's primary; the server itself gives up after 20 s. */
const ADD_SHARD_LIMIT_MS = 30_000;
/** Time for a command that the set has to agree on; a reconfiguration waits for a majority. */
const SET_LIMIT_MS = 20_000;
/** How long a primary that steps down waits for another member to catch up, and how long it is no candidate afterwards; the server's own defaults. */
const CATCH_UP_SECONDS = 10;
const NO_CANDIDATE_SECONDS = 60;

/** Where to reach a local process: by the loopback when it listens there, because of the localhost exception and because names may not resolve. */
export function localAddress(bindIp: string, port: number): MongodAddress {
  const addresses = bindIp.split(',').map((address) => address.trim());
  const loopback = addresses.some((address) => ['127.0.0.1', 'localhost', '0.0.0.0', '*'].includes(address));
  return { host: loopback ? '127.0.0.1' : (addresses.find((address) => address !== '' && !address.startsWith('/')) ?? '127.0.0.1'), port };
}

/** Splits `host:port`; an IPv6 address is in brackets. */
export function parseAddress(text: string): MongodAddress {
  const match = /^(\[[^\]]+\]|[^:]+):(\d+)$/.exec(text);
  if (!match) throw new RangeError('An address must be host:port.');
  return { host: match[1]!, port: Number(match[2]) };
}

/**
 * The login of the members themselves, for who has their key file: `__system`, whose password is the file's content without white space. It may do everything,
 * also where there is no user yet.
 */
export const memberLogin = (keyFile: string): Login => ({
  kind: 'password',
  username: '__system',
  password: keyFile.replaceAll(/\s/g, ''),
  authSource: 'local',
});

/**
 * Direct connection to one mongod or mongos. Every command answers with a named outcome; nothing waits longer than the limit. What needs no rights is asked
 * without a login, so that a server whose users are not known (yet) is still seen to live.
 */
export class MongodConnection {
  readonly #url: string;
  readonly #options: MongoClientOptions;
  readonly #logins: readonly Login[];
  /** Without a login. */
  readonly #nobody: MongoClient;
  readonly #clients = new Map<Login, MongoClient>();
  readonly #timeoutMs: number;
  readonly #sessions = new WeakMap<MongoClient, ClientSession>();
  #current = 0;
  #closed = false;

  constructor(options: MongodConnectionOptions) {
    const timeout = options.timeoutMs ?? 1_000;
    const host = options.host.includes(':') && !options.host.startsWith('[') ? `[${options.host}]` : options.host;
    this.#url = `mongodb://${host}:${options.port}`;
    this.#logins = options.logins ?? [];
    this.#options = {
      directConnection: true,
      serverSelectionTimeoutMS: timeout,
      connectTimeoutMS: timeout,
      socketTimeoutMS: options.longestAnswerMs ?? ADD_SHARD_LIMIT_MS,
      // A server that just began to listen is seen at once; half a second (the driver's value) would be lost at each start.
      minHeartbeatFrequencyMS: 50,
      serverMonitoringMode: 'poll',
      maxPoolSize: 2,
      retryReads: false,
      retryWrites: false,
      appName: 'atrest-agent',
      ...(options.tls && tlsOptions(options.tls)),
    };
    this.#nobody = new MongoClient(this.#url, this.#options);
    this.#timeoutMs = timeout;
  }

  /** The login that was taken last, or that is tried next; null when there is none. */
  get login(): Login | null {
    return this.#logins[this.#current] ?? null;
  }

  /** Begins with the first login again: it is expected to work now. */
  loginAgain(): void {
    this.#current = 0;
  }

  async hello(): Promise<CommandOutcome<Hello>> {
    const outcome = await this.#withoutLogin({ hello: 1 });
    return outcome.ok ? { ok: true, value: readHello(outcome.value) } : outcome;
  }

  async version(): Promise<CommandOutcome<string>> {
    const outcome = await this.#withoutLogin({ buildInfo: 1 });
    return outcome.ok ? { ok: true, value: String(outcome.value['version']) } : outcome;
  }

  /** Whether the server takes the login. */
  async ping(): Promise<CommandOutcome<void>> {
    return nothing(await this.#admin({ ping: 1 }));
  }

  async replicaSetStatus(): Promise<CommandOutcome<ReplicaSetStatus>> {
    const outcome = await this.#admin({ replSetGetStatus: 1 });
    return outcome.ok ? { ok: true, value: readStatus(outcome.value) } : outcome;
  }

  /**
   * Initiates a set. Works without login on the loopback of a server that has no user yet; reached in another way, the server wants to know who asks. It
   * contacts all members first.
   */
  async initiate(configuration: Record<string, unknown>): Promise<CommandOutcome<void>> {
    const command = { replSetInitiate: configuration };
    const outcome = await this.#withoutLogin(command, 30_000);
    const isRefused = !outcome.ok && outcome.failure.kind === 'unauthorized' && this.#logins.length > 0;
    return nothing(isRefused ? await this.#admin(command, 30_000) : outcome);
  }

  /** Has this member call an election. `election-failed` is an ordinary answer. */
  async stepUp(): Promise<CommandOutcome<void>> {
    return nothing(await this.#admin({ replSetStepUp: 1 }, 15_000));
  }

  /** The configuration of the set as this member has it. Needs a right where there is access control. */
  async setConfiguration(): Promise<CommandOutcome<Record<string, unknown>>> {
    const outcome = await this.#admin({ replSetGetConfig: 1 });
    return outcome.ok ? { ok: true, value: outcome.value['config'] as Record<string, unknown> } : outcome;
  }

  /**
   * Gives the set another configuration; only its primary does. Refused unless its version is the next one, so that an order that comes
   * twice does no harm.
   */
  async reconfigure(configuration: Record<string, unknown>): Promise<CommandOutcome<void>> {
    return nothing(await this.#admin({ replSetReconfig: configuration, maxTimeMS: SET_LIMIT_MS }, SET_LIMIT_MS));
  }

  /** Has a primary hand over to another member. Refused when none catches up in time: the primary stays. */
  async stepDown(): Promise<CommandOutcome<void>> {
    return nothing(
      await this.#admin({ replSetStepDown: NO_CANDIDATE_SECONDS, secondaryCatchUpPeriodSecs: CATCH_UP_SECONDS }, SET_LIMIT_MS),
    );
  }

  /** `host:port` of every member that is not hidden, as any member tells everybody. */
  async setHosts(): Promise<CommandOutcome<string[]>> {
    const outcome = await this.#withoutLogin({ hello: 1 });
    if (!outcome.ok) return outcome;
    return { ok: true, value: ['hosts', 'passives', 'arbiters'].flatMap((kind) => (outcome.value[kind] as string[] | undefined) ?? []) };
  }

  /** Only on mongos. */
  async listShards(): Promise<CommandOutcome<ShardEntry[]>> {
    const outcome = await this.#admin({ listShards: 1 }, 10_000);
    if (!outcome.ok) return outcome;
    const shards = (outcome.value['shards'] ?? []) as { _id: unknown; host: unknown }[];
    return { ok: true, value: shards.map((shard) => ({ name: String(shard._id), host: String(shard.host) })) };
  }

  /** Only on mongos; the shard's set must have a primary. */
  async addShard(shard: { name: string; connection: string }): Promise<CommandOutcome<void>> {
    return nothing(await this.#admin({ addShard: shard.connection, name: shard.name }, ADD_SHARD_LIMIT_MS));
  }

  /** Orders a stop. A lost connection is the usual answer and counts as success; the exit of the process is the proof. */
  async shutdown(options: { force?: boolean; timeoutSecs?: number } = {}): Promise<CommandOutcome<void>> {
    const outcome = await this.#admin({ shutdown: 1, ...options }, 30_000);
    return !outcome.ok && outcome.failure.kind === 'unreachable' ? { ok: true, value: undefined } : nothing(outcome);
  }

  /**
   * Any command, with 64-bit integers as they came. All of one connection are in one session: a server lets a cursor be read on only in the session that
   * opened it.
   */
  async run(db: string, command: Readonly<Record<string, unknown>>, limitMs = this.#timeoutMs): Promise<CommandOutcome<Document>> {
    return this.#withLogin((client) => {
      const session = this.#sessions.get(client) ?? client.startSession();
      this.#sessions.set(client, session);
      return this.#send(client, db, { ...command }, limitMs, { session, promoteLongs: false });
    });
  }

  /** A user of the database `admin`; null when there is none of this name. Everybody may ask for himself. */
  async user(username: string): Promise<CommandOutcome<UserAccount | null>> {
    const outcome = await this.#admin({ usersInfo: { user: username, db: 'admin' } });
    if (!outcome.ok) return outcome;
    const [found] = (outcome.value['users'] ?? []) as Document[];
    return { ok: true, value: found === undefined ? null : { username, customData: { ...(found['customData'] as object | undefined) } } };
  }

  /** Makes the first user, without a login: the localhost exception allows it on the loopback of a server that has no user yet. */
  async createFirstUser(user: NewUser): Promise<CommandOutcome<void>> {
    return nothing(await this.#withoutLogin(creation(user), SET_LIMIT_MS));
  }

  async createUser(user: NewUser): Promise<CommandOutcome<void>> {
    return nothing(await this.#admin(creation(user), SET_LIMIT_MS));
  }

  /** Changes what is given; the rest stays as it is. */
  async changeUser(username: string, change: Partial<Omit<NewUser, 'username'>>): Promise<CommandOutcome<void>> {
    const { password, roles, customData } = change;
    return nothing(
      await this.#admin(
        {
          updateUser: username,
          ...(password !== undefined && { pwd: password }),
          ...(roles !== undefined && { roles }),
          ...(customData !== undefined && { customData }),
          writeConcern: MAJORITY,
        },
        SET_LIMIT_MS,
      ),
    );
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([this.#nobody, ...this.#clients.values()].map((client) => client.close(true)));
  }

  #withoutLogin(command: Document, limitMs = this.#timeoutMs): Promise<CommandOutcome<Document>> {
    return this.#send(this.#nobody, 'admin', command, limitMs);
  }

  #admin(command: Document, limitMs = this.#timeoutMs): Promise<CommandOutcome<Document>> {
    return this.#withLogin((client) => this.#send(client, 'admin', command, limitMs));
  }

  /** A login that was taken stays; one that is refused gives way to the next. */
  async #withLogin<T>(command: (client: MongoClient) => Promise<CommandOutcome<T>>): Promise<CommandOutcome<T>> {
    let outcome: CommandOutcome<T> | null = null;
    const first = this.#current;
    for (let tried = 0; tried < this.#logins.length; tried += 1) {
      const index = (first + tried) % this.#logins.length;
      outcome = await command(this.#clientOf(this.#logins[index]!));
      if (!outcome.ok && outcome.failure.kind === 'authentication-failed') continue;
      this.#current = index;
      return outcome;
    }
    return outcome ?? command(this.#nobody);
  }

  #clientOf(login: Login): MongoClient {
    const known = this.#clients.get(login);
    if (known !== undefined) return known;
    // Nobody would close it: a client that is closed already answers that it is.
    if (this.#closed) return this.#nobody;
    const client = new MongoClient(this.#url, { ...this.#options, ...loginOptions(login) });
    this.#clients.set(login, client);
    return client;
  }

  #send(
    client: MongoClient,
    db: string,
    command: Document,
    limitMs: number,
    options: { readonly session?: ClientSession; readonly promoteLongs?: boolean } = {},
  ): Promise<CommandOutcome<Document>> {
    const late = AbortSignal.timeout(limitMs + this.#timeoutMs);
    return outcomeOf(
      client
        .db(db)
        .command(command, { ...options, signal: late })
        .catch(asTimeout),
    );
  }
}

const MAJORITY = { w: 'majority', wtimeout: 15_000 };

const creation = ({ username, password, roles, customData }: NewUser): Document => ({
  createUser: username,
  pwd: password,
  roles,
  customData,
  writeConcern: MAJORITY,
});

function loginOptions(login: Login): MongoClientOptions {
  if (login.kind === 'x509') return { authMechanism: 'MONGODB-X509', authSource: '$external' };
  return { auth: { username: login.username, password: login.password }, authSource: login.authSource };
}

function tlsOptions({ ca, certificate }: ConnectionTls): MongoClientOptions {
  return {
    tls: true,
    ca,
    ...(certificate !== null && { cert: certificate, key: certificate }),
  };
}

/** An aborted command throws the signal's reason, which is no error of the driver. */
function asTimeout(error: unknown): never {
  if (error instanceof DOMException && error.name === 'TimeoutError') throw new MongoRuntimeError('the server did not answer in time');
  throw error;
}

function nothing(outcome: CommandOutcome<unknown>): CommandOutcome<void> {
  return outcome.ok ? { ok: true, value: undefined } : outcome;
}

function readHello(reply: Document): Hello {
  const memberState = reply['isWritablePrimary'] ? 'PRIMARY' : reply['secondary'] ? 'SECONDARY' : reply['arbiterOnly'] ? 'ARBITER' : null;
  const setName = typeof reply['setName'] === 'string' ? reply['setName'] : null;
  const kind =
    reply['msg'] === 'isdbgrid' ? 'mongos' : setName !== null ? 'member' : reply['isreplicaset'] === true ? 'uninitialized' : 'standalone';
  return {
    kind,
    memberState: kind === 'member' ? memberState : null,
    writable: reply['isWritablePrimary'] === true,
    setName,
    primary: typeof reply['primary'] === 'string' ? reply['primary'] : null,
  };
}

function readStatus(reply: Document): ReplicaSetStatus {
  const members = (reply['members'] ?? []) as Document[];
  return {
    set: String(reply['set']),
    members: members.map((member): MemberStatus => ({
      id: Number(member['_id']),
      name: String(member['name']),
      healthy: Number(member['health']) === 1,
      state: String(member['stateStr']),
      self: member['self'] === true,
      opTime: readOpTime(member['optime']),
    })),
  };
}

function readOpTime(value: unknown): OpTime | null {
  if (value === null || typeof value !== 'object' || !('ts' in value) || !(value.ts instanceof Timestamp)) return null;
  const term = 't' in value ? value.t : -1;
  return {
    term: Long.isLong(term) ? term.toNumber() : Number(term),
    timestamp: BigInt.asUintN(64, value.ts.toBigInt()),
  };
}
