import { BSONRegExp, Binary, ObjectId, Timestamp } from 'bson';
import { isDocument, numberOf } from '../bson-values.js';

/** Rank of a value's type in MongoDB's sort order. */
function rank(value: unknown): number {
  if (value === undefined || value === null) return 1;
  if (value instanceof Timestamp) return 9;
  if (numberOf(value) !== undefined) return 2;
  if (typeof value === 'string') return 3;
  if (isDocument(value)) return 4;
  if (Array.isArray(value)) return 5;
  if (value instanceof Binary) return 6;
  if (value instanceof ObjectId) return 7;
  if (typeof value === 'boolean') return 8;
  if (value instanceof Date) return 8.5;
  if (value instanceof BSONRegExp) return 10;
  return 11;
}

/** True when both values are of one type bracket: `$gt` and its like compare only within it. */
export function comparable(a: unknown, b: unknown): boolean {
  return rank(a) === rank(b);
}

/** Orders two BSON values as MongoDB orders them. */
export function compareValues(a: unknown, b: unknown): number {
  const byType = rank(a) - rank(b);
  if (byType !== 0) return byType;
  if (a instanceof Timestamp && b instanceof Timestamp) return a.compare(b);
  const x = numberOf(a);
  if (x !== undefined) return x - (numberOf(b) as number);
  if (typeof a === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b as string));
  if (typeof a === 'boolean') return Number(a) - Number(b);
  if (a instanceof Date) return a.getTime() - (b as Date).getTime();
  if (a instanceof ObjectId) return Buffer.compare(a.id, (b as ObjectId).id);
  if (a instanceof Binary) {
    const other = b as Binary;
    return a.position - other.position || a.sub_type - other.sub_type || Buffer.compare(a.buffer, other.buffer);
  }
  if (Array.isArray(a)) return compareLists(a, b as unknown[]);
  if (isDocument(a)) return compareLists(Object.entries(a).flat(), Object.entries(b as object).flat());
  if (a instanceof BSONRegExp)
    return compareValues(`${a.pattern}/${a.options}`, `${(b as BSONRegExp).pattern}/${(b as BSONRegExp).options}`);
  return 0;
}

function compareLists(a: unknown[], b: unknown[]): number {
  for (let index = 0; index < Math.min(a.length, b.length); index += 1) {
    const order = compareValues(a[index], b[index]);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}
