import { Long, type UUID } from 'bson';
import { CommandError } from '../commands/command-error.js';
import { type Doc, isDocument } from '../bson-values.js';
import type { StorageChange } from '../storage/engine.js';
import type { WireClient } from '../wire/client.js';
import { type OpTime, compareOpTimes, opTimeDocument, opTimeFrom } from './op-time.js';
import { cursorOf } from './cursor-batch.js';
import type { SetState } from './set-state.js';

const CONTEXT = 'ReplCoordExtern-0';
const TIMEOUT_MS = 30_000;
const MINVALID_NS = 'local.replset.minvalid';
const SECONDARY_OK = { $readPreference: { mode: 'secondaryPreferred' } };

/** Reads a whole cursor, batch by batch. */
export async function eachBatch(
  client: WireClient,
  database: string,
  collection: string,
  command: Doc,
  use: (batch: Doc[]) => void,
): Promise<void> {
  let { id, batch } = cursorOf(await client.command(database, { ...command, ...SECONDARY_OK }, TIMEOUT_MS));
  for (;;) {
    if (batch.length > 0) use(batch);
    if (!Long.isLong(id) || id.isZero()) return;
    ({ id, batch } = cursorOf(await client.command(database, { getMore: id, collection, ...SECONDARY_OK }, TIMEOUT_MS)));
  }
}

/** The last entry of the source's oplog. */
export async function newestEntry(client: WireClient): Promise<Doc> {
  const reply = await client.command(
    'local',
    { find: 'oplog.rs', sort: { $natural: -1 }, limit: 1, singleBatch: true, ...SECONDARY_OK },
    TIMEOUT_MS,
  );
  const [entry] = cursorOf(reply).batch;
  if (entry === undefined) throw new CommandError(8, 'the sync source has an empty oplog');
  return entry;
}

/**
 * Initial sync: copies every collection of the sync source while writes go on there. What was written meanwhile is in its oplog from
 * the entry on that our own oplog begins with, and applying an entry twice changes nothing.
 */
export async function copyEverything(set: SetState, client: WireClient): Promise<void> {
  const { log, writer, engine } = set.server;
  set.setState('STARTUP2', CONTEXT);
  log.info(CONTEXT, 'INITSYNC', 21164, 'Starting initial sync attempt', {
    initialSyncAttempt: 1,
    initialSyncMaxAttempts: 10,
    syncSource: client.hostAndPort,
  });
  const begin = await newestEntry(client);
  const own = engine.namespaces().filter((ns) => !ns.startsWith('local.'));
  writer.writeUnlogged([{ k: 'clearOplog' }, ...own.map((ns): StorageChange => ({ k: 'drop', ns }))]);
  const databases = await client.command('admin', { listDatabases: 1, nameOnly: true, ...SECONDARY_OK }, TIMEOUT_MS);
  for (const { name } of databases['databases'] as { name: string }[]) {
    if (name !== 'local') await copyDatabase(set, client, name);
  }
  const end = opTimeFrom(await newestEntry(client));
  noteConsistency(set, compareOpTimes(end, opTimeFrom(begin)) > 0 ? end : opTimeFrom(begin));
  writer.applyEntries([{ ...begin }]);
  await engine.sync();
  set.durable = set.lastApplied;
  log.info(CONTEXT, 'INITSYNC', 21192, 'Initial sync status: done, applying the oplog from its beginning', {
    begin: begin['ts'],
    end: opTimeDocument(end),
  });
}

async function copyDatabase(set: SetState, client: WireClient, database: string): Promise<void> {
  const { writer } = set.server;
  for (const entry of await listCollections(client, database)) {
    await copyCollection(client, database, entry, (changes) => writer.writeUnlogged(changes));
  }
}

/** The collections of the source's database, as `listCollections` shows them. */
export async function listCollections(client: WireClient, database: string): Promise<Doc[]> {
  const collections: Doc[] = [];
  await eachBatch(client, database, '$cmd.listCollections', { listCollections: 1 }, (batch) => collections.push(...batch));
  return collections;
}

/** Copies one collection, as `listCollections` shows it, with its documents and indexes; `use` gets it in parts. */
export async function copyCollection(
  client: WireClient,
  database: string,
  entry: Doc,
  use: (changes: StorageChange[]) => void,
): Promise<void> {
  const name = String(entry['name']);
  const ns = `${database}.${name}`;
  const info = isDocument(entry['info']) ? entry['info'] : {};
  use([{ k: 'create', ns, uuid: info['uuid'] as UUID, options: isDocument(entry['options']) ? entry['options'] : {} }]);
  await eachBatch(client, database, name, { find: name, batchSize: 1000 }, (batch) =>
    use(batch.map((doc): StorageChange => ({ k: 'put', ns, doc }))),
  );
  const indexes: Doc[] = [];
  await eachBatch(client, database, name, { listIndexes: name }, (batch) => indexes.push(...batch));
  use([{ k: 'indexes', ns, indexes }]);
}

/** Notes from where on the data is consistent, also for a restart before that was reached. */
export function noteConsistency(set: SetState, from: OpTime): void {
  set.consistentFrom = from;
  set.server.writer.write([{ op: 'replace', ns: MINVALID_NS, doc: { _id: 'minvalid', ...opTimeDocument(from) } }]);
}

/** Reads what an earlier run noted. */
export function recoverConsistency(set: SetState): void {
  const doc = set.server.engine.collection(MINVALID_NS)?.get('minvalid');
  if (doc !== undefined) set.consistentFrom = opTimeFrom(doc);
}
