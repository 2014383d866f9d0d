import type { Severity } from './log.js';

/** A line without attributes: severity, component, id, message. */
export type PlainLine = readonly [Severity, string, number, string];

/** Before anything is known of the dbPath. */
export const MAIN_LINES: readonly PlainLine[] = [
  ['I', 'CONTROL', 23285, "Automatically disabling TLS 1.0, to force-enable TLS 1.0 specify --sslDisabledProtocols 'none'"],
  ['W', 'ASIO', 22601, 'No TransportLayer configured during NetworkInterface startup'],
  [
    'I',
    'NETWORK',
    4648601,
    'Implicit TCP FastOpen unavailable. If TCP FastOpen is required, set tcpFastOpenServer, tcpFastOpenClient, and tcpFastOpenQueueSize.',
  ],
];

/** Warnings about the machine and the settings. */
export const ACCESS_CONTROL_WARNING: PlainLine = [
  'W',
  'CONTROL',
  22120,
  'Access control is not enabled for the database. Read and write access to data and configuration is unrestricted. You can use percona-server-mongodb-enable-auth.sh to fix it',
];
export const ROOT_WARNING: PlainLine = ['W', 'CONTROL', 22138, 'You are running this process as the root user, which is not recommended'];

/** Between the stop of replication and the end of the storage engine. */
export const STOP_OPERATIONS: readonly PlainLine[] = [
  ['I', 'SHARDING', 4784910, 'Shutting down the ShardingInitializationMongoD'],
  ['I', 'REPL', 4784911, 'Enqueuing the ReplicationStateTransitionLock for shutdown'],
  ['I', '-', 4784912, 'Killing all operations for shutdown'],
];
export const STOP_TRANSACTIONS: readonly PlainLine[] = [
  ['I', 'COMMAND', 4784913, 'Shutting down all open transactions'],
  ['I', 'REPL', 4784914, 'Acquiring the ReplicationStateTransitionLock for shutdown'],
  ['I', 'INDEX', 4784915, 'Shutting down the IndexBuildsCoordinator'],
  ['I', 'REPL', 4784916, 'Reacquiring the ReplicationStateTransitionLock for shutdown'],
  ['I', 'REPL', 4784917, 'Attempting to mark clean shutdown'],
];
export const STOP_MONITORS: readonly PlainLine[] = [
  ['I', 'SHARDING', 4784921, 'Shutting down the MigrationUtilExecutor'],
  ['I', 'CONTROL', 4784925, 'Shutting down free monitoring'],
  ['I', 'STORAGE', 4784927, 'Shutting down the HealthLog'],
  ['I', 'STORAGE', 4784929, 'Acquiring the global lock for shutdown'],
];
export const STOP_STORAGE: readonly PlainLine[] = [
  ['I', 'STORAGE', 4784930, 'Shutting down the storage engine'],
  ['I', 'STORAGE', 22320, 'Shutting down journal flusher thread'],
  ['I', 'STORAGE', 22321, 'Finished shutting down journal flusher thread'],
  ['I', 'STORAGE', 20282, 'Deregistering all the collections'],
];
export const STOP_WIREDTIGER: readonly PlainLine[] = [
  ['I', 'STORAGE', 22261, 'Timestamp monitor shutting down'],
  ['I', 'STORAGE', 22317, 'WiredTigerKVEngine shutting down'],
  ['I', 'STORAGE', 22318, 'Shutting down session sweeper thread'],
  ['I', 'STORAGE', 22319, 'Finished shutting down session sweeper thread'],
  ['I', 'STORAGE', 22322, 'Shutting down checkpoint thread'],
  ['I', 'STORAGE', 22323, 'Finished shutting down checkpoint thread'],
];
