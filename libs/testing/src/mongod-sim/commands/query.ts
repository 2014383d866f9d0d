import { Timestamp } from 'bson';
import { type Doc, isDocument, numberOf, stringOf, truthy } from '../bson-values.js';
import type { MongodServer } from '../server.js';
import { OPLOG_NS } from '../storage/engine.js';
import { project, sortDocuments, valuesAt } from '../storage/matcher.js';
import { keyOf } from '../storage/keys.js';
import { aggregate } from './aggregate.js';
import { CommandError } from './command-error.js';
import { maxTimeMs } from './command-options.js';
import type { CommandContext, CommandTable } from './command.js';
import { ListSource } from './cursors.js';
import { OplogSource } from './oplog-source.js';
import { namespaceOf, select } from './scan.js';

const DEFAULT_AWAIT_MS = 1000;

function page(documents: Doc[], command: Doc): Doc[] {
  const skip = numberOf(command['skip']) ?? 0;
  const limit = Math.abs(numberOf(command['limit']) ?? 0);
  return documents.slice(skip, limit === 0 ? undefined : skip + limit);
}

function filterOf(command: Doc, field: string): Doc {
  const filter = command[field];
  return isDocument(filter) ? filter : {};
}

async function find(server: MongodServer, context: CommandContext): Promise<Doc> {
  const { command } = context;
  const ns = namespaceOf(context);
  const filter = filterOf(command, 'filter');
  const batchSize = numberOf(command['batchSize']);
  if (truthy(command['tailable'])) {
    if (ns !== OPLOG_NS) throw new CommandError(2, 'error processing query: tailable cursor requested on non capped collection');
    const ts = filter['ts'];
    const from = isDocument(ts) ? (ts['$gte'] ?? ts['$gt']) : ts;
    const source = new OplogSource(server.engine.oplog, from instanceof Timestamp ? from : new Timestamp({ t: 0, i: 0 }), filter);
    return server.cursors.first(ns, source, { batchSize });
  }
  let documents = select(server, ns, filter);
  if (isDocument(command['sort'])) documents = sortDocuments(documents, command['sort']);
  const projection = isDocument(command['projection']) ? command['projection'] : undefined;
  documents = page(documents, command).map((document) => project(document, projection));
  return server.cursors.first(ns, new ListSource(documents), { batchSize, singleBatch: truthy(command['singleBatch']) });
}

function distinct(server: MongodServer, context: CommandContext): Doc {
  const values = new Map<string, unknown>();
  for (const document of select(server, namespaceOf(context), filterOf(context.command, 'query'))) {
    for (const value of valuesAt(document, stringOf(context.command['key']) ?? '').flat()) values.set(keyOf(value), value);
  }
  return { values: [...values.values()] };
}

/** Commands that read documents. */
export function queryCommands(server: MongodServer): CommandTable {
  return {
    find: { needs: 'read', run: (context) => find(server, context) },
    getMore: {
      run: ({ command, db }) =>
        server.cursors.more(
          command['getMore'],
          `${db}.${stringOf(command['collection']) ?? ''}`,
          numberOf(command['batchSize']),
          maxTimeMs(command) ?? DEFAULT_AWAIT_MS,
        ),
    },
    killCursors: { run: ({ command }) => server.cursors.kill(Array.isArray(command['cursors']) ? (command['cursors'] as unknown[]) : []) },
    count: {
      needs: 'read',
      run: (context) => ({ n: page(select(server, namespaceOf(context), filterOf(context.command, 'query')), context.command).length }),
    },
    distinct: { needs: 'read', run: (context) => distinct(server, context) },
    aggregate: { needs: 'read', run: (context) => aggregate(server, context) },
  };
}
