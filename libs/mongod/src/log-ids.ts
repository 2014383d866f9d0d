/**
 * Ids of mongod's structured log that decisions rest on. Each was seen in a recording of a running server; text of messages changes between
 * releases, ids do not.
 */
export const LOG_IDS = {
  /** "MongoDB starting" with pid, port and dbPath. Not logged by mongos. */
  starting: 4615611,
  /** "Listening on": a socket is open; nothing is promised yet. */
  listening: 23015,
  /** "Waiting for connections": ready. */
  ready: 23016,
  /** "Replica set state transition" with oldState and newState. */
  memberState: 21358,
  /** "Transition to primary complete; database writes are now permitted". */
  writable: 21331,
  /** "Received signal". */
  signal: 23377,
  /** "Shutting down" with exitCode: always the last line of an orderly end. */
  shutDown: 23138,
  /** "Detected unclean shutdown - Lock file is not empty". */
  uncleanShutdown: 22271,
  /** "DBException in initAndListen, terminating": a dbPath in use or missing. */
  startException: 20557,
  /** "std::exception in initAndListen, terminating": an encryption key that cannot be used. */
  startStdException: 20558,
  /** "Error setting up listener": the port is taken (4.4). */
  listenerSetup: 20568,
  /** Listener failed (newer servers). */
  listenerFailed: 22856,
  /** "Read security file failed". */
  securityFile: 20254,
  /** "Exception in EncryptionKeyDB::init". */
  keyDatabase: 29038,
  /** "EncryptionKeyDB: WiredTiger metadata corruption detected": seen with a wrong key. */
  keyDatabaseCorrupt: 29055,
  /** "Terminating.": key database cannot be opened. */
  keyDatabaseFatal: 29056,
  /** The poller of the master key found it gone from the key management server, or not active; an orderly end with exit code 1001 follows. */
  masterKeyAbsent: 29121,
  masterKeyInactive: 29122,
  /** WiredTiger cannot read its metadata: seen with missing or wrong encryption options. */
  wiredTigerError: 22435,
  wiredTigerVersion: 22347,
  wiredTigerCorrupt: 22348,
  metadataCorrupt: 50944,
  /** Seen only as `msgid` of {@link fatalAssertion}: with another cipher mode than that of the files. */
  wiredTigerOpenFailed: 28561,
  /** "Fatal assertion". */
  fatalAssertion: 23091,
} as const;

/** Any of these before readiness means that this start fails. */
export const FAILURE_IDS: ReadonlySet<number> = new Set([
  LOG_IDS.startException,
  LOG_IDS.startStdException,
  LOG_IDS.listenerSetup,
  LOG_IDS.listenerFailed,
  LOG_IDS.securityFile,
  LOG_IDS.keyDatabase,
  LOG_IDS.keyDatabaseCorrupt,
  LOG_IDS.keyDatabaseFatal,
  LOG_IDS.metadataCorrupt,
  LOG_IDS.wiredTigerOpenFailed,
  LOG_IDS.fatalAssertion,
]);

/** With exit code 14 these mean a wrong key or wrong encryption options far more often than damage. */
export const WRONG_KEY_IDS: ReadonlySet<number> = new Set([
  LOG_IDS.keyDatabaseCorrupt,
  LOG_IDS.keyDatabaseFatal,
  LOG_IDS.wiredTigerCorrupt,
  LOG_IDS.metadataCorrupt,
  LOG_IDS.wiredTigerOpenFailed,
]);
