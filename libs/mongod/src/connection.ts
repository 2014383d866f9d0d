import { Long, MongoClient, MongoRuntimeError, Timestamp, type ClientSession, type Document } from 'mongodb';
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

/** Direct connection to one mongod or mongos. Every command answers with a named outcome; nothing waits longer than the limit. */
export class MongodConnection {
  readonly #client: MongoClient;
  readonly #timeoutMs: number;
  #session: ClientSession | undefined;

  constructor(options: MongodConnectionOptions) {
    const timeout = options.timeoutMs ?? 1_000;
    const host = options.host.includes(':') && !options.host.startsWith('[') ? `[${options.host}]` : options.host;
    this.#client = new MongoClient(`mongodb://${host}:${options.port}`, {
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
    });
    this.#timeoutMs = timeout;
  }

  async hello(): Promise<CommandOutcome<Hello>> {
    const outcome = await this.#admin({ hello: 1 });
    return outcome.ok ? { ok: true, value: readHello(outcome.value) } : outcome;
  }

  async version(): Promise<CommandOutcome<string>> {
    const outcome = await this.#admin({ buildInfo: 1 });
    return outcome.ok ? { ok: true, value: String(outcome.value['version']) } : outcome;
  }

  async replicaSetStatus(): Promise<CommandOutcome<ReplicaSetStatus>> {
    const outcome = await this.#admin({ replSetGetStatus: 1 });
    return outcome.ok ? { ok: true, value: readStatus(outcome.value) } : outcome;
  }

  /** Initiates a set. Works without login on the loopback of a server that has no user yet. The server contacts all members first. */
  async initiate(configuration: Record<string, unknown>): Promise<CommandOutcome<void>> {
    return nothing(await this.#admin({ replSetInitiate: configuration }, 30_000));
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
    const outcome = await this.#admin({ hello: 1 });
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
    const session = (this.#session ??= this.#client.startSession());
    const late = AbortSignal.timeout(limitMs + this.#timeoutMs);
    return outcomeOf(
      this.#client
        .db(db)
        .command({ ...command }, { session, signal: late, promoteLongs: false })
        .catch(asTimeout),
    );
  }

  async close(): Promise<void> {
    await this.#client.close(true);
  }

  async #admin(command: Document, limitMs = this.#timeoutMs): Promise<CommandOutcome<Document>> {
    const late = AbortSignal.timeout(limitMs + this.#timeoutMs);
    return outcomeOf(this.#client.db('admin').command(command, { signal: late }).catch(asTimeout));
  }
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
