import { EJSON, Timestamp } from 'bson';
import { numberOf } from '../bson-values.js';

/** A text that is equal for two BSON values exactly when MongoDB holds them equal: the key of a document by its `_id`. */
export function keyOf(value: unknown): string {
  const number = value instanceof Timestamp ? undefined : numberOf(value);
  if (number !== undefined) return `n:${number}`;
  if (typeof value === 'string') return `s:${value}`;
  return EJSON.stringify({ v: value ?? null }, { relaxed: false });
}
