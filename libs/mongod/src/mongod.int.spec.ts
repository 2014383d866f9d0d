import { simExecutables } from '@atrest/testing';
import { accessContract } from './access.contract.js';
import { backupContract } from './backup/backup.contract.js';
import { encryptedStorageContract } from './encrypted-storage.contract.js';
import { fileBackupContract } from './file-backup.contract.js';
import { findMongod } from './locate.js';
import { mongodContract } from './mongod.contract.js';
import type { ServerUnderTest } from './mongod-harness.contract.js';

const ABSENT: ServerUnderTest = { mongod: '', mongos: null, extraArguments: [], env: {} };

// Elections and heartbeats of the stand-in take a tenth of the recorded times: this suite is about what happens, not when.
const standIn: ServerUnderTest = { ...simExecutables(), extraArguments: ['--setParameter', 'simFast=true'], env: {} };
const real = await realServer();
const realName = real ? 'the real server' : 'the real server (set MONGOD_BIN and MONGOS_BIN)';

for (const contract of [mongodContract, encryptedStorageContract, fileBackupContract, backupContract, accessContract]) {
  contract('mongod-sim', standIn);
  contract(realName, real ?? ABSENT, { skipped: real === null });
}

/** The server that MONGOD_BIN names, or null. ATREST_REQUIRE=mongod turns its absence into a failure. */
async function realServer(): Promise<ServerUnderTest | null> {
  if (!process.env['MONGOD_BIN']) {
    if ((process.env['ATREST_REQUIRE'] ?? '').split(',').includes('mongod'))
      throw new Error('ATREST_REQUIRE names mongod, but MONGOD_BIN is not set.');
    return null;
  }
  const found = await findMongod({ env: process.env });
  if (!found.found) throw new Error(found.message);
  return { mongod: found.mongod, mongos: found.mongos, extraArguments: ['--wiredTigerCacheSizeGB', '0.25', '--oplogSize', '64'], env: {} };
}
