import type { Doc } from '../bson-values.js';

/** The server this stand-in imitates: the one whose behaviour was recorded. */
export const VERSION = '4.4.6-8';
export const VERSION_ARRAY = [4, 4, 7, -100];
export const FEATURE_COMPATIBILITY_VERSION = '4.4';
/** Highest wire version of that server. */
export const MAX_WIRE_VERSION = 9;

/** `buildInfo`, as recorded, with one field more that tells the stand-in from the real server. */
export function buildInfo(): Doc {
  return {
    version: VERSION,
    psmdbVersion: VERSION,
    modules: [],
    allocator: 'tcmalloc',
    versionArray: VERSION_ARRAY,
    openssl: { running: 'none', compiled: 'none' },
    debug: false,
    maxBsonObjectSize: 16777216,
    mongodSim: true,
  };
}
