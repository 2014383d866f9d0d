import { type Doc, numberOf } from '../bson-values.js';
import { keyOf } from '../storage/keys.js';
import type { StorageChange, StorageEngine } from '../storage/engine.js';
import type { WireClient } from '../wire/client.js';
import { cursorOf } from './cursor-batch.js';
import { copyCollection, eachBatch, listCollections, newestEntry, noteConsistency } from './initial-sync.js';
import { type OpTime, compareOpTimes, opTimeFrom } from './op-time.js';
import type { SetState } from './set-state.js';

const CONTEXT = 'BackgroundSync';
const TIMEOUT_MS = 30_000;
const SECONDARY_OK = { $readPreference: { mode: 'secondaryPreferred' } };
const ROLLBACK_ID_NS = 'local.system.rollback.id';

/** What the entries that are taken back have changed. */
interface Affected {
  documents: Map<string, { ns: string; id: unknown }>;
  /** Created, dropped or given other indexes: these are copied as a whole. */
  collections: Set<string>;
}

/**
 * Takes back what only this member has written, and nothing before it: the oplog is cut after the last entry that the sync source has too, and
 * every document that a later entry changed becomes what it is there. Answers false, having changed nothing, when the two have no entry in common.
 */
export async function rollBack(set: SetState, client: WireClient): Promise<boolean> {
  const { engine, writer, log } = set.server;
  const common = await commonPoint(engine.oplog.entries(), client);
  if (common === undefined) return false;
  const mine = engine.oplog.entries().filter((entry) => compareOpTimes(opTimeFrom(entry), common) > 0);
  const { documents, collections } = affectedBy(mine);
  const changes: StorageChange[] = [];
  for (const { ns, id } of documents.values()) {
    if (!collections.has(ns)) changes.push(await documentAt(client, ns, id));
  }
  for (const ns of collections) changes.push(...(await collectionAt(client, ns)));
  // What was fetched is as new as the source is by now: only from there on does all of it belong together.
  noteConsistency(set, opTimeFrom(await newestEntry(client)));
  writer.writeUnlogged([...changes, { k: 'cutOplog', after: common.ts }]);
  const rollbackId = rollbackIdOf(engine) + 1;
  writer.write([{ op: 'replace', ns: ROLLBACK_ID_NS, doc: { _id: 'rollbackId', rollbackId } }]);
  log.info(CONTEXT, 'REPL', 21532, 'Incremented the rollback ID', { rbid: rollbackId });
  await engine.sync();
  set.durable = set.lastApplied;
  set.setState('RECOVERING', CONTEXT);
  return true;
}

/** How often the member has rolled back, from 1. */
export function rollbackIdOf(engine: StorageEngine): number {
  return numberOf(engine.collection(ROLLBACK_ID_NS)?.get('rollbackId')?.['rollbackId']) ?? 1;
}

/** The newest entry of ours that the source has as well. */
async function commonPoint(entries: readonly Doc[], client: WireClient): Promise<OpTime | undefined> {
  const [oldest] = entries;
  if (oldest === undefined) return undefined;
  const key = (entry: Doc): string => keyOf([entry['ts'], entry['t']]);
  const ours = new Set(entries.map(key));
  let common: OpTime | undefined;
  const command = { find: 'oplog.rs', filter: { ts: { $gte: oldest['ts'] } }, projection: { ts: 1, t: 1 } };
  await eachBatch(client, 'local', 'oplog.rs', command, (batch) => {
    for (const entry of batch) if (ours.has(key(entry))) common = opTimeFrom(entry);
  });
  return common;
}

function affectedBy(entries: readonly Doc[]): Affected {
  const affected: Affected = { documents: new Map(), collections: new Set() };
  for (const entry of entries) {
    const ns = entry['ns'] as string;
    const o = entry['o'] as Doc;
    if (entry['op'] === 'c') {
      const database = ns.slice(0, ns.indexOf('.'));
      affected.collections.add(`${database}.${String(o['create'] ?? o['drop'] ?? o['simIndexes'])}`);
    } else if (entry['op'] !== 'n') affected.documents.set(`${ns} ${keyOf(o['_id'])}`, { ns, id: o['_id'] });
  }
  return affected;
}

async function documentAt(client: WireClient, ns: string, id: unknown): Promise<StorageChange> {
  const at = ns.indexOf('.');
  const find = { find: ns.slice(at + 1), filter: { _id: { $eq: id } }, limit: 1, singleBatch: true, ...SECONDARY_OK };
  const [doc] = cursorOf(await client.command(ns.slice(0, at), find, TIMEOUT_MS)).batch;
  return doc === undefined ? { k: 'remove', ns, id } : { k: 'put', ns, doc };
}

async function collectionAt(client: WireClient, ns: string): Promise<StorageChange[]> {
  const at = ns.indexOf('.');
  const entry = (await listCollections(client, ns.slice(0, at))).find(({ name }) => name === ns.slice(at + 1));
  const changes: StorageChange[] = [{ k: 'drop', ns }];
  if (entry !== undefined) await copyCollection(client, ns.slice(0, at), entry, (part) => changes.push(...part));
  return changes;
}
