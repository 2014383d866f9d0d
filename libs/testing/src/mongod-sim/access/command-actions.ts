import { type Doc, isDocument } from '../bson-values.js';
import type { Action } from './roles.js';

const COMMANDS: Record<Exclude<Action, 'internal'>, readonly string[]> = {
  none: [
    'hello',
    'isMaster',
    'ismaster',
    'ping',
    'buildInfo',
    'buildinfo',
    'saslStart',
    'saslContinue',
    'logout',
    'connectionStatus',
    'whatsmyuri',
    'listCommands',
    'endSessions',
    '_isSelf',
    '_simAuthenticate',
  ],
  login: ['getMore', 'killCursors', 'listDatabases', 'startSession', 'refreshSessions', 'killSessions', 'killAllSessions'],
  read: ['find', 'count', 'distinct', 'aggregate', 'listCollections', 'listIndexes', 'dbStats', 'dbstats', 'collStats', 'collstats'],
  write: ['insert', 'update', 'delete', 'findAndModify', 'findandmodify'],
  structure: ['create', 'drop', 'dropDatabase', 'createIndexes', 'dropIndexes', 'collMod', 'renameCollection'],
  users: ['createUser', 'updateUser', 'dropUser', 'usersInfo'],
  backupCursor: [],
  fsync: ['fsync', 'fsyncUnlock'],
  shutdown: ['shutdown'],
  parameters: ['setParameter', 'logRotate'],
  hostState: ['currentOp', 'getLog', 'hostInfo'],
  clusterState: ['replSetGetStatus', 'replSetGetConfig', 'listShards', 'balancerStatus'],
  serverStatus: ['serverStatus'],
  featureVersion: ['getParameter'],
  commandLine: ['getCmdLineOpts'],
  readDefaults: ['getDefaultRWConcern'],
  writeDefaults: ['setDefaultRWConcern'],
  manageSet: ['replSetInitiate', 'replSetReconfig', 'replSetStepDown', 'replSetStepUp', 'replSetFreeze', 'appendOplogNote'],
  manageShards: [
    'addShard',
    'addshard',
    'removeShard',
    'enableSharding',
    'shardCollection',
    'balancerStart',
    'balancerStop',
    'flushRouterConfig',
  ],
};

const ACTIONS = new Map(Object.entries(COMMANDS).flatMap(([action, names]) => names.map((name) => [name, action as Action])));

/** What a command does. What is not listed is for the members of a set alone. */
export function actionOf(name: string, command: Doc): Action {
  if (name === 'aggregate' && Array.isArray(command['pipeline'])) {
    const first: unknown = command['pipeline'][0];
    if (isDocument(first) && ('$backupCursor' in first || '$backupCursorExtend' in first)) return 'backupCursor';
    if (isDocument(first) && '$currentOp' in first) return 'hostState';
  }
  return ACTIONS.get(name) ?? 'internal';
}
