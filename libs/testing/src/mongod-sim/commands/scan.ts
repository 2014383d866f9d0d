import { type Doc, isDocument } from '../bson-values.js';
import type { MongodServer } from '../server.js';
import { OPLOG_NS } from '../storage/engine.js';
import { matches } from '../storage/matcher.js';
import { CommandError } from './command-error.js';
import type { CommandContext } from './command.js';

/** Namespace of a command whose first field names the collection. Throws InvalidNamespace (73). */
export function namespaceOf({ db, command, name }: CommandContext): string {
  const collection = command[name];
  if (typeof collection !== 'string' || collection === '' || collection.includes('\0')) {
    throw new CommandError(73, `Invalid namespace specified '${db}.${typeof collection === 'string' ? collection : ''}'`);
  }
  return `${db}.${collection}`;
}

/** All documents of a namespace; an absent collection is empty. */
export function documentsOf(server: MongodServer, ns: string): Doc[] {
  if (ns === OPLOG_NS) return server.engine.oplog.entries();
  return server.engine.collection(ns)?.documents() ?? [];
}

/** Documents that satisfy a filter. An `_id` given as a plain value is looked up directly. */
export function select(server: MongodServer, ns: string, filter: Doc): Doc[] {
  const id = filter['_id'];
  const collection = server.engine.collection(ns);
  const isValue = id !== undefined && id !== null && (typeof id !== 'object' || '_bsontype' in id) && !isDocument(id);
  if (collection !== undefined && isValue) {
    const found = collection.get(id);
    // A pattern is no value of its own: it is looked for in every document.
    if (found !== undefined && matches(found, filter)) return [found];
    if (!(typeof id === 'object' && (id as { _bsontype?: string })._bsontype === 'BSONRegExp')) return [];
  }
  return documentsOf(server, ns).filter((document) => matches(document, filter));
}
