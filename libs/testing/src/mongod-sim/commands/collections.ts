import { Int32, type UUID } from 'bson';
import { type Doc, encodeDocument, isDocument, stringOf, truthy } from '../bson-values.js';
import type { MongodServer } from '../server.js';
import type { Collection } from '../storage/collection.js';
import { OPLOG_NS } from '../storage/engine.js';
import { matches } from '../storage/matcher.js';
import type { WriteOperation } from '../storage/data-writer.js';
import { CommandError } from './command-error.js';
import type { CommandContext, CommandTable } from './command.js';
import { ListSource } from './cursors.js';
import { namespaceOf } from './scan.js';
import { acknowledge } from './write.js';

async function written(server: MongodServer, command: Doc, operations: WriteOperation[], reply: Doc): Promise<Doc> {
  const opTime = server.writer.write(operations);
  return { ...reply, ...(await acknowledge(server, command, opTime)) };
}

function create(server: MongodServer, context: CommandContext): Promise<Doc> {
  const ns = namespaceOf(context);
  if (server.engine.collection(ns) !== undefined) throw new CommandError(48, `a collection '${ns}' already exists`);
  const options = Object.fromEntries(
    Object.entries(context.command).filter(([name]) => ['capped', 'size', 'max', 'validator', 'collation'].includes(name)),
  );
  return written(server, context.command, [{ op: 'create', ns, options }], {});
}

function drop(server: MongodServer, context: CommandContext): Promise<Doc> {
  const ns = namespaceOf(context);
  const collection = server.engine.collection(ns);
  if (collection === undefined) throw new CommandError(26, 'ns not found');
  return written(server, context.command, [{ op: 'drop', ns }], { nIndexesWas: collection.info.indexes.length, ns });
}

function dropDatabase(server: MongodServer, { db, command }: CommandContext): Promise<Doc> {
  const operations = server.engine
    .namespaces()
    .filter((ns) => ns.startsWith(`${db}.`))
    .map((ns): WriteOperation => ({ op: 'drop', ns }));
  return written(server, command, operations, operations.length === 0 ? {} : { dropped: db });
}

function listCollections(server: MongodServer, { db, command }: CommandContext): Promise<Doc> {
  const entries: Doc[] = server.engine
    .namespaces()
    .filter((ns) => ns.startsWith(`${db}.`))
    .map((ns) => entryFor(db, server.engine.collection(ns) as Collection));
  if (db === 'local' && server.engine.oplog.length > 0) {
    entries.push({ name: OPLOG_NS.slice('local.'.length), type: 'collection', options: { capped: true }, info: { readOnly: false } });
  }
  const filter = isDocument(command['filter']) ? command['filter'] : {};
  const nameOnly = truthy(command['nameOnly']);
  const shown = entries
    .filter((entry) => matches(entry, filter))
    .map((entry) => (nameOnly ? { name: entry['name'], type: entry['type'] } : entry));
  return server.cursors.first(`${db}.$cmd.listCollections`, new ListSource(shown));
}

function entryFor(db: string, { info }: Collection): Doc {
  const name = info.ns.slice(db.length + 1);
  return {
    name,
    type: 'collection',
    options: info.options,
    info: { readOnly: false, uuid: info.uuid satisfies UUID },
    idIndex: info.indexes[0],
  };
}

function listDatabases(server: MongodServer, { command }: CommandContext): Doc {
  const filter = isDocument(command['filter']) ? command['filter'] : {};
  const nameOnly = truthy(command['nameOnly']);
  const databases = server.engine.databases().map((name): Doc => {
    if (nameOnly) return { name };
    const sizeOnDisk = server.engine.sizeOf(name);
    return { name, sizeOnDisk, empty: sizeOnDisk === 0 };
  });
  const shown = databases.filter((database) => matches(database, filter));
  return nameOnly
    ? { databases: shown }
    : { databases: shown, totalSize: shown.reduce((sum, database) => sum + (database['sizeOnDisk'] as number), 0) };
}

function createIndexes(server: MongodServer, context: CommandContext): Promise<Doc> {
  const ns = namespaceOf(context);
  const before = server.engine.collection(ns);
  const existing = before?.info.indexes ?? [{ v: 2, key: { _id: 1 }, name: '_id_' }];
  const wanted = Array.isArray(context.command['indexes']) ? (context.command['indexes'] as Doc[]) : [];
  const added = wanted.filter((index) => !existing.some((other) => other['name'] === index['name'])).map((index) => ({ v: 2, ...index }));
  const reply: Doc = {
    createdCollectionAutomatically: before === undefined,
    numIndexesBefore: existing.length,
    numIndexesAfter: existing.length + added.length,
  };
  if (added.length === 0 && before !== undefined)
    return written(server, context.command, [], { ...reply, note: 'all indexes already exist' });
  return written(server, context.command, [{ op: 'indexes', ns, indexes: [...existing, ...added] }], reply);
}

function dropIndexes(server: MongodServer, context: CommandContext): Promise<Doc> {
  const ns = namespaceOf(context);
  const collection = server.engine.collection(ns);
  if (collection === undefined) throw new CommandError(26, `ns not found ${ns}`);
  const before = collection.info.indexes;
  const which = stringOf(context.command['index']);
  const indexes = before.filter((index) => index['name'] === '_id_' || (which !== '*' && index['name'] !== which));
  if (indexes.length === before.length && which !== '*') throw new CommandError(27, `index not found with name [${which ?? ''}]`);
  return written(server, context.command, [{ op: 'indexes', ns, indexes }], { nIndexesWas: before.length });
}

function listIndexes(server: MongodServer, context: CommandContext): Promise<Doc> {
  const ns = namespaceOf(context);
  const collection = server.engine.collection(ns);
  if (collection === undefined) throw new CommandError(26, `ns does not exist: ${ns}`);
  return server.cursors.first(ns, new ListSource(collection.info.indexes));
}

function collStats(server: MongodServer, context: CommandContext): Doc {
  const ns = namespaceOf(context);
  const documents = server.engine.collection(ns)?.documents() ?? [];
  const size = documents.reduce((sum, document) => sum + encodeDocument(document).length, 0);
  return {
    ns,
    size,
    count: documents.length,
    storageSize: size,
    nindexes: server.engine.collection(ns)?.info.indexes.length ?? 0,
    capped: false,
  };
}

function dbStats(server: MongodServer, { db }: CommandContext): Doc {
  const collections = server.engine.namespaces().filter((ns) => ns.startsWith(`${db}.`));
  const size = server.engine.sizeOf(db);
  const objects = collections.reduce((sum, ns) => sum + (server.engine.collection(ns)?.size ?? 0), 0);
  return { db, collections: new Int32(collections.length), views: 0, objects, dataSize: size, storageSize: size };
}

/** Commands about databases, collections and indexes. */
export function collectionCommands(server: MongodServer): CommandTable {
  return {
    create: { needs: 'write', run: (context) => create(server, context) },
    drop: { needs: 'write', run: (context) => drop(server, context) },
    dropDatabase: { needs: 'write', run: (context) => dropDatabase(server, context) },
    createIndexes: { needs: 'write', run: (context) => createIndexes(server, context) },
    dropIndexes: { needs: 'write', run: (context) => dropIndexes(server, context) },
    listIndexes: { needs: 'read', run: (context) => listIndexes(server, context) },
    listCollections: { needs: 'read', run: (context) => listCollections(server, context) },
    listDatabases: { adminOnly: true, needs: 'read', run: (context) => listDatabases(server, context) },
    collStats: { needs: 'read', run: (context) => collStats(server, context) },
    dbStats: { needs: 'read', run: (context) => dbStats(server, context) },
  };
}
