import { randomBytes } from 'node:crypto';
import { z } from 'zod';

/** Ids are 24 lower-case hexadecimal characters, as the Atlas Admin API has them. */
export const ObjectIdSchema = z.string().regex(/^[a-f0-9]{24}$/, 'must be 24 lower-case hexadecimal characters');
export type ObjectId = z.infer<typeof ObjectIdSchema>;

/**
 * A new id: four bytes of time (seconds), eight of randomness. The time part keeps index pages warm;
 * the randomness keeps ids from being guessed.
 */
export function newObjectId(now: Date = new Date()): ObjectId {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32BE(Math.floor(now.getTime() / 1000) >>> 0, 0);
  randomBytes(8).copy(bytes, 4);
  return bytes.toString('hex');
}

/** A service account's client id, the shape the Atlas clients check. */
export const ClientIdSchema = z.string().regex(/^mdb_sa_id_[a-fA-F\d]{24}$/, 'must look like mdb_sa_id_<24 hexadecimal characters>');

/** A moment in events: ISO-8601 UTC with milliseconds. The HTTP API renders whole seconds (Atlas). */
export const TimestampSchema = z.iso.datetime({ offset: false });
