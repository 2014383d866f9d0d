import { randomBytes } from 'node:crypto';
import { Long } from 'bson';
import { type Doc, encodeDocument, long } from '../bson-values.js';
import { CommandError } from './command-error.js';

const FIRST_BATCH = 101;
/** Most bytes of documents in one batch. */
const MAX_BATCH_BYTES = 16 * 1024 * 1024;

/** Something that hands out documents in batches. */
export interface CursorSource {
  /** Up to `limit` documents; waits up to `awaitMs` for the first one when the source is tailable. */
  take(limit: number, awaitMs: number): Promise<Doc[]> | Doc[];
  /** Nothing more will come. */
  readonly exhausted: boolean;
  /** Waits at its end for more. */
  readonly tailable?: boolean;
  /** Called when the cursor is gone, however that came. */
  close?(): void;
}

/** A source over documents that are already known. */
export class ListSource implements CursorSource {
  #position = 0;
  constructor(readonly documents: Doc[]) {}

  get exhausted(): boolean {
    return this.#position >= this.documents.length;
  }

  take(limit: number): Doc[] {
    const batch: Doc[] = [];
    let bytes = 0;
    while (batch.length < limit && this.#position < this.documents.length) {
      const document = this.documents[this.#position] as Doc;
      bytes += encodeDocument(document).length;
      if (batch.length > 0 && bytes > MAX_BATCH_BYTES) break;
      batch.push(document);
      this.#position += 1;
    }
    return batch;
  }
}

interface OpenCursor {
  id: Long;
  ns: string;
  source: CursorSource;
  originatingCommand: Doc;
  createdDate: Date;
  lastAccessDate: Date;
  nDocsReturned: number;
  nBatchesReturned: number;
}

/** The cursors of one server. */
export class Cursors {
  readonly #open = new Map<string, OpenCursor>();

  /** First reply of a query; the cursor stays open while there is more. */
  async first(
    ns: string,
    source: CursorSource,
    options: { batchSize?: number | undefined; singleBatch?: boolean; originatingCommand?: Doc } = {},
  ): Promise<Doc> {
    const batch = await source.take(options.batchSize ?? FIRST_BATCH, 0);
    let id = Long.ZERO;
    if (!source.exhausted && options.singleBatch !== true) {
      id = newCursorId();
      const now = new Date();
      this.#open.set(id.toString(), {
        id,
        ns,
        source,
        originatingCommand: options.originatingCommand ?? {},
        createdDate: now,
        lastAccessDate: now,
        nDocsReturned: batch.length,
        nBatchesReturned: 1,
      });
    }
    return { cursor: { firstBatch: batch, id, ns } };
  }

  /** Further batch of an open cursor. */
  async more(id: unknown, ns: string, batchSize: number | undefined, awaitMs: number): Promise<Doc> {
    const key = Long.isLong(id) ? id.toString() : String(id);
    const cursor = this.#open.get(key);
    if (cursor === undefined) throw new CommandError(43, `cursor id ${key} not found`);
    if (cursor.ns !== ns)
      throw new CommandError(13, `Requested getMore on namespace '${ns}', but cursor belongs to a different namespace ${cursor.ns}`);
    let batch: Doc[];
    try {
      batch = await cursor.source.take(batchSize === undefined || batchSize === 0 ? Number.MAX_SAFE_INTEGER : batchSize, awaitMs);
    } catch (error) {
      this.#close(key);
      throw error;
    }
    cursor.lastAccessDate = new Date();
    cursor.nDocsReturned += batch.length;
    cursor.nBatchesReturned += 1;
    const exhausted = cursor.source.exhausted;
    if (exhausted) this.#close(key);
    return { cursor: { nextBatch: batch, id: exhausted ? Long.ZERO : cursor.id, ns } };
  }

  kill(ids: unknown[]): Doc {
    const killed: unknown[] = [];
    const missing: unknown[] = [];
    for (const id of ids) (this.#close(Long.isLong(id) ? id.toString() : String(id)) ? killed : missing).push(id);
    return { cursorsKilled: killed, cursorsNotFound: missing, cursorsAlive: [], cursorsUnknown: [] };
  }

  killAll(): void {
    for (const key of this.#open.keys()) this.#close(key);
  }

  /** Open cursors as `$currentOp` lists them with `idleCursors`. */
  idle(host: string): Doc[] {
    return [...this.#open.values()].map((cursor) => ({
      type: 'idleCursor',
      host,
      ns: cursor.ns,
      ...(cursor.originatingCommand['lsid'] === undefined ? {} : { lsid: cursor.originatingCommand['lsid'] }),
      planSummary: '',
      cursor: {
        cursorId: cursor.id,
        createdDate: cursor.createdDate,
        lastAccessDate: cursor.lastAccessDate,
        nDocsReturned: long(cursor.nDocsReturned),
        nBatchesReturned: long(cursor.nBatchesReturned),
        noCursorTimeout: false,
        tailable: cursor.source.tailable === true,
        awaitData: false,
        originatingCommand: cursor.originatingCommand,
      },
    }));
  }

  #close(key: string): boolean {
    this.#open.get(key)?.source.close?.();
    return this.#open.delete(key);
  }
}

function newCursorId(): Long {
  const bytes = randomBytes(8);
  return new Long(bytes.readInt32LE(0), bytes.readInt32LE(4) & 0x7fffffff);
}
