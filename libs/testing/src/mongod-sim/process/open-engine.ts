import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CipherError } from '../storage/cipher.js';
import { StorageEngine, StorageError } from '../storage/engine.js';
import { KeyDatabase, KeyDatabaseError } from '../storage/key-database.js';
import { StorageLayoutError, keepStorageMetadata } from '../storage/storage-metadata.js';
import { abort, fassert } from './ending.js';
import type { ServerLog } from './log.js';
import { MasterKeyError, keyFromFile } from './master-key.js';
import type { EncryptionOptions, ServerOptions } from './options.js';

const INIT = 'initandlisten';
const TRY_SALVAGE = '-31809: WT_TRY_SALVAGE: database corruption detected';
const REPAIR = 'Please read the documentation for starting MongoDB with --repair here: http://dochub.mongodb.org/core/repair';

/** The start ends in order with exit code 100; why is in the log. */
export class StartRefused extends Error {
  readonly code = 'START_REFUSED';
}

/**
 * Opens the data files with what it takes to read them. Throws {@link StartRefused} when the master key cannot be had; files that cannot be read
 * end the process, as they end mongod.
 */
export function openEngine(options: ServerOptions, log: ServerLog): StorageEngine {
  const { dbPath, encryption, layout } = options;
  try {
    keepStorageMetadata(dbPath, layout);
  } catch (error) {
    if (!(error instanceof StorageLayoutError)) throw error;
    log.error(INIT, 'STORAGE', 20557, 'DBException in initAndListen, terminating', { error: error.message });
    throw new StartRefused(error.message);
  }
  const keys = encryption === undefined ? undefined : openKeys(dbPath, encryption, log);
  const cipher = encryption === undefined ? '' : `, encryption=(name=percona,keyid="/default"), cipher=${encryption.mode}`;
  log.info(INIT, 'STORAGE', 22315, 'Opening WiredTiger', {
    config: `create (mongod-sim: documents in memory, a journal and checkpoints)${cipher}`,
  });
  try {
    return StorageEngine.open(dbPath, {
      oplogBytes: options.oplogSizeMb * 2 ** 20,
      ...(keys === undefined || encryption === undefined ? {} : { encryption: { keys, mode: encryption.mode } }),
    });
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    return endUnreadable(log, error);
  }
}

/** Whether a server was started on this dbPath before. */
export function hasDataFiles(dbPath: string): boolean {
  return existsSync(join(dbPath, 'WiredTiger'));
}

function openKeys(dbPath: string, encryption: EncryptionOptions, log: ServerLog): KeyDatabase {
  let masterKey: Buffer;
  try {
    masterKey = keyFromFile(encryption.keyFile);
  } catch (error) {
    if (!(error instanceof MasterKeyError)) throw error;
    log.error(INIT, 'STORAGE', 29038, 'Exception in EncryptionKeyDB::init: {e}', { e: error.message });
    log.error(INIT, 'STORAGE', 20558, 'std::exception in initAndListen, terminating', { error: error.message });
    throw new StartRefused(error.message);
  }
  log.info(INIT, 'STORAGE', 29037, 'Initializing KeyDB with wiredtiger_open config: {cfg}', {
    cfg: 'create (mongod-sim), cipher=AES256-CBC,rotation=false, encryption=(name=percona,keyid="")',
  });
  try {
    const keys = KeyDatabase.open(dbPath, masterKey);
    log.info(INIT, 'STORAGE', 29039, 'Encryption keys DB is initialized successfully');
    return keys;
  } catch (error) {
    if (!(error instanceof KeyDatabaseError)) throw error;
    log.warn(
      INIT,
      'STORAGE',
      29054,
      'EncryptionKeyDB: Failed to start up WiredTiger under any compatibility version. This may be due to an unsupported upgrade or downgrade.',
    );
    log.warn(INIT, 'STORAGE', 29055, 'EncryptionKeyDB: WiredTiger metadata corruption detected');
    log.fatal(INIT, 'STORAGE', 29056, 'Terminating.', { Reason: TRY_SALVAGE });
    return fassert(log, INIT, 29056);
  }
}

function endUnreadable(log: ServerLog, error: StorageError): never {
  const wiredTiger = (code: number, message: string): void =>
    log.error(INIT, 'STORAGE', 22435, 'WiredTiger error', { error: code, message });
  const versionWarning = (): void =>
    log.warn(
      INIT,
      'STORAGE',
      22347,
      'Failed to start up WiredTiger under any compatibility version. This may be due to an unsupported upgrade or downgrade.',
    );
  if (error.reason === 'cipher-mode') {
    wiredTiger(
      22,
      `${error.message}: You should confirm that you have opened the database with the correct options including all encryption and compression options: Invalid argument`,
    );
    versionWarning();
    return fassert(log, INIT, 28561);
  }
  if (error.reason === 'encryption' || error.cause instanceof CipherError) {
    wiredTiger(-31802, error.message);
    versionWarning();
    log.warn(INIT, 'STORAGE', 22348, 'WiredTiger metadata corruption detected');
    log.fatal(INIT, 'STORAGE', 50944, REPAIR);
    return fassert(log, INIT, 50944);
  }
  wiredTiger(-31802, error.message);
  abort(log, INIT);
  throw error;
}
