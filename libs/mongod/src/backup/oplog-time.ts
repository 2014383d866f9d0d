import type { OplogTime } from '@atrest/contracts';
import { Long, Timestamp } from 'mongodb';

/** A BSON timestamp; null when it is none. */
export function timeOfTimestamp(value: unknown, term: number | null = null): OplogTime | null {
  if (!(value instanceof Timestamp)) return null;
  return { seconds: value.getHighBitsUnsigned(), increment: value.getLowBitsUnsigned(), term };
}

/** An optime as servers show it: `{ts, t}`. Null when it is none, or before everything (a member without data). */
export function timeOfOptime(value: unknown): OplogTime | null {
  if (typeof value !== 'object' || value === null || !('ts' in value)) return null;
  const t = 't' in value ? value.t : null;
  const term = Long.isLong(t) ? t.toNumber() : typeof t === 'number' ? t : null;
  return timeOfTimestamp(value.ts, term === null || term < 0 ? null : term);
}
