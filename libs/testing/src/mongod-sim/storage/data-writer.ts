import { Long, UUID } from 'bson';
import { type Doc, isDocument, numberOf } from '../bson-values.js';
import { LogicalClock, NO_OP_TIME, type OpTime, opTimeFrom } from '../replication/op-time.js';
import type { StorageChange, StorageEngine } from './engine.js';
import { RetryableWrites, type Statement } from './retryable-writes.js';

/** One change as a command makes it. */
export type WriteOperation =
  | { op: 'create'; ns: string; options?: Doc; uuid?: UUID }
  | { op: 'drop'; ns: string }
  | { op: 'insert'; ns: string; doc: Doc; statement?: Statement }
  | { op: 'replace'; ns: string; doc: Doc; statement?: Statement }
  | { op: 'delete'; ns: string; id: unknown; statement?: Statement }
  | { op: 'indexes'; ns: string; indexes: Doc[] }
  | { op: 'noop'; message: Doc };

/** True for namespaces that belong to one member and are not replicated. */
function isLocal(ns: string): boolean {
  return ns.startsWith('local.');
}

/** Turns changes into stored data and, on a primary, into oplog entries: both in one journal record. */
export class DataWriter {
  readonly clock = new LogicalClock();
  readonly retryable = new RetryableWrites();
  readonly #engine: StorageEngine;
  /** The term to write oplog entries in; undefined while this server writes none (standalone). */
  term: number | undefined;
  #lastApplied: OpTime = NO_OP_TIME;

  constructor(engine: StorageEngine) {
    this.#engine = engine;
    this.#lookAtOplog();
  }

  get lastApplied(): OpTime {
    return this.#lastApplied;
  }

  /** Learns from the oplog as it is now: when it was loaded, and after it was replaced or cut. */
  #lookAtOplog(): void {
    this.retryable.relearn(this.#engine.oplog.entries());
    const last = this.#engine.oplog.last;
    this.#lastApplied = last === undefined ? NO_OP_TIME : opTimeFrom(last);
    this.clock.advance(this.#lastApplied.ts);
  }

  /** Applies the changes as one unit; a collection that is missing is created first. */
  write(operations: WriteOperation[]): OpTime {
    const changes: StorageChange[] = [];
    const created = new Set<string>();
    const uuidOf = new Map<string, UUID>();
    const create = (ns: string, options: Doc, uuid: UUID): void => {
      created.add(ns);
      uuidOf.set(ns, uuid);
      changes.push({ k: 'create', ns, uuid, options });
      this.#log(changes, ns, { op: 'c', ns: `${databaseOf(ns)}.$cmd`, ui: uuid, o: { create: collectionOf(ns), ...options } });
    };
    for (const operation of operations) {
      if (operation.op === 'noop') {
        this.#log(changes, '', { op: 'n', ns: '', o: operation.message });
        continue;
      }
      const { ns } = operation;
      const exists = created.has(ns) || this.#engine.collection(ns) !== undefined;
      if (operation.op === 'create') {
        if (!exists) create(ns, operation.options ?? {}, operation.uuid ?? new UUID());
        continue;
      }
      if (!exists && operation.op !== 'drop' && operation.op !== 'delete') create(ns, {}, new UUID());
      const ui = uuidOf.get(ns) ?? this.#engine.collection(ns)?.info.uuid;
      const base = { ns, ...(ui === undefined ? {} : { ui }) };
      switch (operation.op) {
        case 'drop':
          changes.push({ k: 'drop', ns });
          this.#log(changes, ns, { op: 'c', ...base, ns: `${databaseOf(ns)}.$cmd`, o: { drop: collectionOf(ns) } });
          break;
        case 'insert':
          changes.push({ k: 'put', ns, doc: operation.doc });
          this.#log(changes, ns, { op: 'i', ...base, o: operation.doc, ...statementFields(operation.statement) });
          break;
        case 'replace':
          changes.push({ k: 'put', ns, doc: operation.doc });
          this.#log(changes, ns, {
            op: 'u',
            ...base,
            o: operation.doc,
            o2: { _id: operation.doc['_id'] },
            ...statementFields(operation.statement),
          });
          break;
        case 'delete':
          changes.push({ k: 'remove', ns, id: operation.id });
          this.#log(changes, ns, { op: 'd', ...base, o: { _id: operation.id }, ...statementFields(operation.statement) });
          break;
        case 'indexes':
          changes.push({ k: 'indexes', ns, indexes: operation.indexes });
          this.#log(changes, ns, {
            op: 'c',
            ...base,
            ns: `${databaseOf(ns)}.$cmd`,
            o: { simIndexes: collectionOf(ns), indexes: operation.indexes },
          });
          break;
      }
    }
    this.#commit(changes);
    return this.#lastApplied;
  }

  /** Applies entries of another member's oplog and appends them to ours. Applying one twice changes nothing. */
  applyEntries(entries: Doc[], options: { append: boolean } = { append: true }): void {
    const changes: StorageChange[] = [];
    for (const entry of entries) {
      changes.push(...changesOf(entry));
      if (options.append) changes.push({ k: 'oplog', entry });
    }
    this.#commit(changes);
  }

  /** Changes that are neither logged nor replicated (initial sync, rollback). */
  writeUnlogged(changes: StorageChange[]): void {
    this.#commit(changes);
    if (changes.some(({ k }) => k === 'clearOplog' || k === 'cutOplog')) this.#lookAtOplog();
  }

  #log(changes: StorageChange[], ns: string, fields: Doc): void {
    if (this.term === undefined || isLocal(ns)) return;
    changes.push({
      k: 'oplog',
      entry: { ...fields, ts: this.clock.next(), t: Long.fromNumber(this.term), wall: new Date(), v: Long.fromNumber(2) },
    });
  }

  #commit(changes: StorageChange[]): void {
    this.#engine.commit(changes);
    for (const change of changes) {
      if (change.k !== 'oplog') continue;
      this.#lastApplied = opTimeFrom(change.entry);
      this.clock.advance(this.#lastApplied.ts);
      this.retryable.learn(change.entry);
    }
  }
}

function databaseOf(ns: string): string {
  return ns.slice(0, ns.indexOf('.'));
}

function collectionOf(ns: string): string {
  return ns.slice(ns.indexOf('.') + 1);
}

function statementFields(statement: Statement | undefined): Doc {
  return statement === undefined ? {} : { lsid: statement.lsid, txnNumber: Long.fromNumber(statement.txnNumber), stmtId: statement.stmtId };
}

function changesOf(entry: Doc): StorageChange[] {
  const ns = entry['ns'] as string;
  const o = entry['o'] as Doc;
  switch (entry['op']) {
    case 'i':
    case 'u':
      return [{ k: 'put', ns, doc: o }];
    case 'd':
      return [{ k: 'remove', ns, id: o['_id'] }];
    case 'c': {
      const database = databaseOf(ns);
      if (typeof o['create'] === 'string') {
        const { create: name, ...options } = o;
        return [{ k: 'create', ns: `${database}.${name}`, uuid: entry['ui'] as UUID, options }];
      }
      if (typeof o['drop'] === 'string') return [{ k: 'drop', ns: `${database}.${o['drop']}` }];
      if (typeof o['simIndexes'] === 'string')
        return [{ k: 'indexes', ns: `${database}.${o['simIndexes']}`, indexes: o['indexes'] as Doc[] }];
      return [];
    }
    default:
      return [];
  }
}

/** Reads the retryable-write fields of a command. */
export function statementOf(command: Doc, stmtId: number): Statement | undefined {
  const lsid = command['lsid'];
  const txnNumber = numberOf(command['txnNumber']);
  return isDocument(lsid) && txnNumber !== undefined ? { lsid, txnNumber, stmtId } : undefined;
}
