import { Double, Int32, Long, Timestamp, deserialize, serialize } from 'bson';

/** A decoded BSON document. Numbers keep their BSON type (Int32, Double, Long), so that what is stored is what was sent. */
export type Doc = Record<string, unknown>;

/** Decodes one BSON document without converting numbers to JavaScript numbers. */
export function decodeDocument(bytes: Uint8Array): Doc {
  return deserialize(bytes, { promoteValues: false, promoteLongs: false, promoteBuffers: false, bsonRegExp: true });
}

/** Encodes one BSON document; JavaScript integers become int32 (or double beyond it), as the driver does. */
export function encodeDocument(document: Doc): Uint8Array {
  return serialize(document, { ignoreUndefined: true });
}

/** The numeric value of any BSON number, or undefined for everything else. */
export function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Int32 || value instanceof Double) return value.value;
  if (Long.isLong(value) && !(value instanceof Timestamp)) return value.toNumber();
  return undefined;
}

/** MongoDB's notion of a true flag: `true`, or a number other than 0. */
export function truthy(value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  const number = numberOf(value);
  return number !== undefined && number !== 0;
}

export function stringOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** True for a plain sub-document (not an array, not a BSON value class, not a date). */
export function isDocument(value: unknown): value is Doc {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Date) return false;
  return !('_bsontype' in value);
}

/** A 64-bit integer as mongod sends counters. */
export function long(value: number): Long {
  return Long.fromNumber(value);
}
