import { type Doc, encodeDocument, isDocument, numberOf, truthy } from '../bson-values.js';
import type { OpTime } from '../replication/op-time.js';
import type { MongodServer } from '../server.js';
import { type WriteOperation, statementOf } from '../storage/data-writer.js';
import type { Statement } from '../storage/retryable-writes.js';
import { project, sortDocuments } from '../storage/matcher.js';
import { applyUpdate, upsertDocument, withId } from '../storage/update.js';
import { CommandError } from './command-error.js';
import type { CommandContext, CommandTable } from './command.js';
import { storedDefaults } from './default-concerns.js';
import { writeConcernOf } from './command-options.js';
import { namespaceOf, select } from './scan.js';

const MAX_DOCUMENT_BYTES = 16 * 1024 * 1024;

/** What a statement did. */
interface Outcome {
  n: number;
  modified: number;
  upserted?: unknown;
}

function statementsOf(command: Doc, field: string): Doc[] {
  const list = command[field];
  if (!Array.isArray(list)) throw new CommandError(40414, `BSON field '${field}' is missing but a required field`);
  return list as Doc[];
}

function insertOne(server: MongodServer, ns: string, given: Doc, statement: Statement | undefined): Outcome {
  const doc = withId(given);
  if (encodeDocument(doc).length > MAX_DOCUMENT_BYTES) throw new CommandError(10334, 'object to insert too large');
  if (server.engine.collection(ns)?.get(doc['_id']) !== undefined) {
    throw new CommandError(11000, `E11000 duplicate key error collection: ${ns} index: _id_ dup key: { _id: ${printed(doc['_id'])} }`, {
      keyPattern: { _id: 1 },
      keyValue: { _id: doc['_id'] },
    });
  }
  server.writer.write([{ op: 'insert', ns, doc, ...withStatement(statement) }]);
  return { n: 1, modified: 0 };
}

function withStatement(statement: Statement | undefined): { statement?: Statement } {
  return statement === undefined ? {} : { statement };
}

function printed(id: unknown): string {
  return typeof id === 'string' ? `"${id}"` : String(numberOf(id) ?? id);
}

function updateMany(server: MongodServer, ns: string, entry: Doc, statement: Statement | undefined): Outcome {
  const filter = isDocument(entry['q']) ? entry['q'] : {};
  const update = entry['u'] as Doc;
  const multi = truthy(entry['multi']);
  const found = select(server, ns, filter);
  const chosen = multi ? found : found.slice(0, 1);
  if (chosen.length === 0 && truthy(entry['upsert'])) {
    const doc = upsertDocument(filter, update);
    insertOne(server, ns, doc, statement);
    return { n: 1, modified: 0, upserted: doc['_id'] };
  }
  const operations: WriteOperation[] = [];
  for (const document of chosen) {
    const doc = applyUpdate(document, update);
    if (Buffer.compare(encodeDocument(doc), encodeDocument(document)) !== 0)
      operations.push({ op: 'replace', ns, doc, ...withStatement(statement) });
  }
  if (operations.length > 0) server.writer.write(operations);
  return { n: chosen.length, modified: operations.length };
}

function deleteMany(server: MongodServer, ns: string, entry: Doc, statement: Statement | undefined): Outcome {
  const found = select(server, ns, isDocument(entry['q']) ? entry['q'] : {});
  const chosen = numberOf(entry['limit']) === 1 ? found.slice(0, 1) : found;
  server.writer.write(chosen.map((document) => ({ op: 'delete', ns, id: document['_id'], ...withStatement(statement) })));
  return { n: chosen.length, modified: 0 };
}

/** The outcome of a statement that was carried out before the driver sent it again. */
function repeated(entry: Doc, kind: 'insert' | 'update' | 'delete'): Outcome {
  if (kind === 'update' && entry['op'] === 'i') return { n: 1, modified: 0, upserted: (entry['o'] as Doc)['_id'] };
  return { n: 1, modified: kind === 'update' ? 1 : 0 };
}

type Apply = (server: MongodServer, ns: string, entry: Doc, statement: Statement | undefined) => Outcome;

async function runStatements(
  server: MongodServer,
  context: CommandContext,
  kind: 'insert' | 'update' | 'delete',
  apply: Apply,
): Promise<Doc> {
  const { command } = context;
  const ns = namespaceOf(context);
  const entries = statementsOf(command, kind === 'insert' ? 'documents' : `${kind}s`);
  const ordered = command['ordered'] !== false;
  let n = 0;
  let modified = 0;
  const upserted: Doc[] = [];
  const writeErrors: Doc[] = [];
  for (const [index, entry] of entries.entries()) {
    const statement = statementOf(command, index);
    const before = server.writer.retryable.find(statement);
    try {
      const outcome = before === undefined ? apply(server, ns, entry, statement) : repeated(before, kind);
      n += outcome.n;
      modified += outcome.modified;
      if (outcome.upserted !== undefined) upserted.push({ index, _id: outcome.upserted });
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      writeErrors.push({ index, code: error.code, errmsg: error.message, ...error.extra });
      if (ordered) break;
    }
  }
  return {
    n,
    ...(kind === 'update' ? { nModified: modified } : {}),
    ...(upserted.length > 0 ? { upserted } : {}),
    ...(writeErrors.length > 0 ? { writeErrors } : {}),
    ...(await acknowledge(server, command, server.writer.lastApplied)),
  };
}

/** Waits as the command's write concern asks; returns what belongs into the reply. */
export async function acknowledge(server: MongodServer, command: Doc, opTime: OpTime): Promise<Doc> {
  const concern = writeConcernOf(command, storedDefaults(server)?.['defaultWriteConcern']);
  if (server.replication !== undefined) return server.replication.awaitWriteConcern(opTime, concern);
  if (typeof concern.w === 'number' && concern.w > 1) {
    throw new CommandError(2, "cannot use 'w' > 1 when a host is not replicated");
  }
  if (concern.j || concern.w === 'majority') await server.engine.sync();
  return {};
}

async function findAndModify(server: MongodServer, context: CommandContext): Promise<Doc> {
  const { command } = context;
  const ns = namespaceOf(context);
  const statement = statementOf(command, 0);
  const fields = isDocument(command['fields']) ? command['fields'] : undefined;
  const reply = (value: Doc | undefined, last: Doc): Doc => ({
    lastErrorObject: last,
    value: value === undefined ? null : project(value, fields),
  });
  const before = server.writer.retryable.find(statement);
  let result: Doc;
  if (before !== undefined) {
    result = reply(before['op'] === 'd' ? undefined : (before['o'] as Doc), { n: 1, updatedExisting: before['op'] === 'u' });
  } else {
    const filter = isDocument(command['query']) ? command['query'] : {};
    const sort = isDocument(command['sort']) ? command['sort'] : {};
    const [found] = sortDocuments(select(server, ns, filter), sort);
    if (truthy(command['remove'])) {
      if (found !== undefined) server.writer.write([{ op: 'delete', ns, id: found['_id'], ...withStatement(statement) }]);
      result = reply(found, { n: found === undefined ? 0 : 1 });
    } else if (found !== undefined) {
      const doc = applyUpdate(found, command['update'] as Doc);
      server.writer.write([{ op: 'replace', ns, doc, ...withStatement(statement) }]);
      result = reply(truthy(command['new']) ? doc : found, { n: 1, updatedExisting: true });
    } else if (truthy(command['upsert'])) {
      const doc = upsertDocument(filter, command['update'] as Doc);
      insertOne(server, ns, doc, statement);
      result = reply(truthy(command['new']) ? doc : undefined, { n: 1, updatedExisting: false, upserted: doc['_id'] });
    } else {
      result = reply(undefined, { n: 0, updatedExisting: false });
    }
  }
  return { ...result, ...(await acknowledge(server, command, server.writer.lastApplied)) };
}

/** Commands that change documents. */
export function writeCommands(server: MongodServer): CommandTable {
  const modify = { needs: 'write' as const, run: (context: CommandContext) => findAndModify(server, context) };
  return {
    insert: { needs: 'write', run: (context) => runStatements(server, context, 'insert', insertOne) },
    update: { needs: 'write', run: (context) => runStatements(server, context, 'update', updateMany) },
    delete: { needs: 'write', run: (context) => runStatements(server, context, 'delete', deleteMany) },
    findAndModify: modify,
    findandmodify: modify,
  };
}
