/** What a command does, as far as rights are concerned. */
export type Action =
  /** Needs no login. */
  | 'none'
  /** Any user may. */
  | 'login'
  | 'read'
  | 'write'
  | 'structure'
  | 'users'
  | 'backupCursor'
  | 'fsync'
  | 'shutdown'
  | 'parameters'
  | 'hostState'
  | 'clusterState'
  | 'serverStatus'
  | 'featureVersion'
  | 'commandLine'
  | 'readDefaults'
  | 'writeDefaults'
  | 'manageSet'
  | 'manageShards'
  | 'internal';

/** Where a command acts. */
export interface Target {
  db: string;
}

export interface Role {
  role: string;
  db: string;
}

type Right = (action: Action, target: Target, db: string) => boolean;

const among =
  (...actions: Action[]): Right =>
  (action) =>
    actions.includes(action);
const isSystemDb = (db: string): boolean => db === 'local' || db === 'config';
const READ: Action[] = ['read'];
const READ_WRITE: Action[] = ['read', 'write', 'structure'];
const onOwn =
  (actions: Action[]): Right =>
  (action, target, db) =>
    target.db === db && actions.includes(action);
const onAny =
  (actions: Action[]): Right =>
  (action, target) =>
    !isSystemDb(target.db) && actions.includes(action);
const either =
  (...rights: Right[]): Right =>
  (action, target, db) =>
    rights.some((right) => right(action, target, db));

const clusterMonitor = either(
  among('clusterState', 'serverStatus', 'featureVersion', 'commandLine', 'readDefaults', 'hostState'),
  (action, target) => action === 'read' && isSystemDb(target.db),
);
const clusterManager = either(among('clusterState', 'readDefaults', 'writeDefaults', 'manageSet', 'manageShards'), (action, target) => {
  if (target.db === 'config') return action === 'read' || action === 'write';
  return target.db === 'local' && action === 'read';
});
const hostManager = among('fsync', 'shutdown', 'parameters');
const backup = among('backupCursor', 'serverStatus', 'featureVersion', 'read');

/** Built-in roles, command by command as they were recorded; beyond what was recorded, as they are documented. */
const ROLES: Record<string, Right> = {
  read: onOwn(READ),
  readWrite: onOwn(READ_WRITE),
  dbAdmin: onOwn(['structure']),
  userAdmin: onOwn(['users']),
  dbOwner: onOwn([...READ_WRITE, 'users']),
  readAnyDatabase: onAny(READ),
  readWriteAnyDatabase: onAny(READ_WRITE),
  dbAdminAnyDatabase: onAny(['structure']),
  userAdminAnyDatabase: among('users'),
  clusterMonitor,
  clusterManager,
  hostManager,
  clusterAdmin: either(clusterMonitor, clusterManager, hostManager),
  backup,
  restore: onAny(['write', 'structure', 'users']),
  root: (action) => action !== 'internal',
};

export function isKnownRole(name: string): boolean {
  return Object.hasOwn(ROLES, name);
}

/** Whether somebody with these roles may do it. */
export function mayDo(roles: readonly Role[], action: Action, target: Target): boolean {
  if (action === 'none' || action === 'login') return true;
  return roles.some(({ role, db }) => ROLES[role]?.(action, target, db) === true);
}

/** Without a login nothing but these is needed to make a server usable: the localhost exception, while there is no user. */
export function localhostMay(action: Action, command: string, db: string): boolean {
  if (command === 'createUser') return db === 'admin';
  return ['replSetInitiate', 'replSetReconfig', 'replSetGetStatus', 'addShard'].includes(command) || action === 'none';
}
