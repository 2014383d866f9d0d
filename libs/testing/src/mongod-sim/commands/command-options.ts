import { type Doc, isDocument, numberOf, truthy } from '../bson-values.js';
import type { WriteConcern } from '../replication/replication.js';

/** Waits as a command asked by `maxTimeMS`, at most; undefined means as long as it takes. */
export function maxTimeMs(command: Doc): number | undefined {
  const value = numberOf(command['maxTimeMS']);
  return value === undefined || value === 0 ? undefined : value;
}

/** The write concern of a command; without one, the default that was set for the deployment, else w: 1. */
export function writeConcernOf(command: Doc, fallback: unknown): WriteConcern {
  const asked = isDocument(command['writeConcern']) ? command['writeConcern'] : {};
  const given = asked['w'] === undefined && asked['j'] === undefined && isDocument(fallback) ? fallback : asked;
  const w = given['w'];
  return {
    w: typeof w === 'string' ? w : (numberOf(w) ?? 1),
    j: truthy(given['j']),
    wtimeoutMs: numberOf(given['wtimeout']) ?? 0,
  };
}
