import { randomUUID } from 'node:crypto';

/** A UUID version 7: 48 bits of milliseconds, then randomness. The time part keeps neighbours in time neighbours in the inbox's index. */
export function newEventId(now: Date): string {
  const time = now.getTime().toString(16).padStart(12, '0');
  // Of a version 4 everything after the version digit is random or says 'UUID'.
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}
