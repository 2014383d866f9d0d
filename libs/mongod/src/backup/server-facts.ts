import type { OplogTime, SnapshotTaken } from '@atrest/contracts';
import { BSON } from 'mongodb';
import type { CommandOutcome } from '../command-outcome.js';
import { timeOfOptime } from './oplog-time.js';
import { mapOutcome, type RunCommand } from './run-command.js';

const ADMIN = 'admin';
const LIMIT_MS = 10_000;

/** What a member says of itself and its set at one moment: from it follows whether a copy that was made meanwhile is of one piece. */
export interface MemberFacts {
  readonly setName: string | null;
  /** PRIMARY, SECONDARY or another; null for a server that is in no set. */
  readonly state: string | null;
  /** The set's term as this member knows it; it grows with each election. */
  readonly term: number | null;
  /** Grows with each rollback; null where the agent may not ask. */
  readonly rollbackId: number | null;
  /** Of all members, as the set's configuration has them; empty where the agent may not ask. */
  readonly members: readonly MemberHealth[];
  /** The last operation that this member has applied. */
  readonly applied: OplogTime | null;
}

export interface MemberHealth {
  readonly host: string;
  readonly state: string;
  readonly healthy: boolean;
  readonly self: boolean;
}

/** Asks a member how it is. What needs rights that the agent lacks is left out. */
export async function readMemberFacts(run: RunCommand): Promise<CommandOutcome<MemberFacts>> {
  const hello = await run(ADMIN, { hello: 1 }, LIMIT_MS);
  if (!hello.ok) return hello;
  const said = hello.value;
  if (typeof said['setName'] !== 'string') {
    const state = said['isreplicaset'] === true ? 'STARTUP' : null;
    return { ok: true, value: { setName: null, state, term: null, rollbackId: null, members: [], applied: null } };
  }
  const [status, rollback] = [await run(ADMIN, { replSetGetStatus: 1 }, LIMIT_MS), await run(ADMIN, { replSetGetRBID: 1 }, LIMIT_MS)];
  const lastWrite = said['lastWrite'] as { opTime?: unknown } | undefined;
  const applied = timeOfOptime(lastWrite?.opTime);
  const members = status.ok ? ((status.value['members'] ?? []) as Record<string, unknown>[]).map(healthOf) : [];
  const own = members.find((member) => member.self)?.state;
  return {
    ok: true,
    value: {
      setName: said['setName'],
      state: own ?? (said['isWritablePrimary'] === true ? 'PRIMARY' : said['secondary'] === true ? 'SECONDARY' : 'OTHER'),
      term: status.ok ? Number(status.value['term']) : (applied?.term ?? null),
      rollbackId: rollback.ok ? Number(rollback.value['rbid']) : null,
      members,
      applied,
    },
  };
}

function healthOf(member: Record<string, unknown>): MemberHealth {
  return {
    host: String(member['name']),
    state: String(member['stateStr']),
    healthy: Number(member['health']) === 1,
    self: member['self'] === true,
  };
}

/** The newest entry of this member's oplog: while nothing is written, the end of what a copy holds. Null in no set. */
export async function lastOplogEntry(run: RunCommand): Promise<CommandOutcome<OplogTime | null>> {
  const find = { find: 'oplog.rs', sort: { $natural: -1 }, limit: 1, projection: { ts: 1, t: 1 }, singleBatch: true };
  return mapOutcome(await run('local', find, LIMIT_MS), (reply) =>
    timeOfOptime((reply['cursor'] as { firstBatch: unknown[] }).firstBatch[0]),
  );
}

/** `SnapshotTaken` without what the copy itself tells. */
export type ServerSettings = Pick<SnapshotTaken, 'mongoDBVersion' | 'featureCompatibilityVersion' | 'defaultRWConcern' | 'storage'>;

/** What a restore has to know of the server. What the agent may not ask, or a shard does not tell (51301), is null. */
export async function readServerSettings(run: RunCommand): Promise<CommandOutcome<ServerSettings>> {
  const build = await run(ADMIN, { buildInfo: 1 }, LIMIT_MS);
  if (!build.ok) return build;
  const fcv = await run(ADMIN, { getParameter: 1, featureCompatibilityVersion: 1 }, LIMIT_MS);
  const defaults = await run(ADMIN, { getDefaultRWConcern: 1 }, LIMIT_MS);
  const options = await run(ADMIN, { getCmdLineOpts: 1 }, LIMIT_MS);
  return {
    ok: true,
    value: {
      mongoDBVersion: String(build.value['version']),
      featureCompatibilityVersion: fcv.ok ? versionOf(fcv.value['featureCompatibilityVersion']) : null,
      defaultRWConcern: defaults.ok ? concernOf(defaults.value) : null,
      storage: storageOf(options.ok ? options.value : {}),
    },
  };
}

function versionOf(value: unknown): string | null {
  return typeof value === 'object' && value !== null && 'version' in value ? String(value.version) : null;
}

/** A field that was never set is absent from the reply, and here. */
function concernOf(reply: Record<string, unknown>): NonNullable<SnapshotTaken['defaultRWConcern']> {
  const wanted = ['defaultReadConcern', 'defaultWriteConcern', 'updateOpTime', 'updateWallClockTime'];
  const present = Object.fromEntries(wanted.filter((name) => name in reply).map((name) => [name, reply[name]]));
  return JSON.parse(BSON.EJSON.stringify(present, { relaxed: true })) as NonNullable<SnapshotTaken['defaultRWConcern']>;
}

/** The options that say how data files are laid out; absent ones are the server's defaults. @param reply of `getCmdLineOpts` */
export function storageOf(reply: Record<string, unknown>): SnapshotTaken['storage'] {
  const at = (path: string): unknown =>
    path.split('.').reduce<unknown>((value, name) => (value as Record<string, unknown> | null | undefined)?.[name], reply['parsed']);
  const text = (path: string): string | null => {
    const value = at(path);
    return typeof value === 'string' ? value : null;
  };
  return {
    engine: text('storage.engine') ?? (reply['parsed'] === undefined ? null : 'wiredTiger'),
    directoryPerDB: at('storage.directoryPerDB') === true,
    directoryForIndexes: at('storage.wiredTiger.engineConfig.directoryForIndexes') === true,
    blockCompressor: text('storage.wiredTiger.collectionConfig.blockCompressor'),
    cipherMode: at('security.enableEncryption') === true ? (text('security.encryptionCipherMode') ?? 'AES256-CBC') : null,
  };
}
