import { CommandError } from '../commands/command-error.js';
import { type Doc, isDocument } from '../bson-values.js';

/** What a cursor reply holds. */
export interface Batch {
  id: unknown;
  batch: Doc[];
}

/** The batch of a cursor reply. Throws when it is none. */
export function cursorOf(reply: Doc): Batch {
  const cursor = reply['cursor'];
  if (!isDocument(cursor)) throw new CommandError(8, 'the reply has no cursor');
  const batch = cursor['firstBatch'] ?? cursor['nextBatch'];
  return { id: cursor['id'], batch: Array.isArray(batch) ? (batch as Doc[]) : [] };
}
