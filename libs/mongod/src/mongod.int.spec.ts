import { simExecutables } from '@atrest/testing';
import { describe, expect, it } from 'vitest';
import { findMongod } from './locate.js';
import { mongodContract } from './mongod.contract.js';

const sim = simExecutables();
// Elections and heartbeats of the stand-in take a tenth of the recorded times: this suite is about what happens, not when.
mongodContract('mongod-sim', { ...sim, extraArguments: ['--setParameter', 'simFast=true'], env: {} });

const { MONGOD_BIN } = process.env;
if (MONGOD_BIN) {
  const found = await findMongod({ env: process.env });
  if (!found.found) throw new Error(found.message);
  mongodContract(`the real server (${found.version})`, {
    mongod: found.mongod,
    mongos: found.mongos,
    extraArguments: ['--wiredTigerCacheSizeGB', '0.25', '--oplogSize', '64'],
    env: {},
  });
} else {
  describe('mongod contract: the real server', () => {
    const required = (process.env['ATREST_REQUIRE'] ?? '').split(',').includes('mongod');
    it.skipIf(!required)('set MONGOD_BIN (and MONGOS_BIN) to run this suite against a real server', () => {
      expect(MONGOD_BIN, 'ATREST_REQUIRE names mongod, but MONGOD_BIN is not set').toBeDefined();
    });
  });
}
