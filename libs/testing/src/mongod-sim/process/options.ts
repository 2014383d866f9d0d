import { type Doc } from '../bson-values.js';
import { CIPHER_MODES, type CipherMode } from '../storage/cipher.js';
import type { StorageLayout } from '../storage/storage-metadata.js';

/** Which of the two programs is run. */
export type Program = 'mongod' | 'mongos';

interface OptionRule {
  /** Where the value appears in `getCmdLineOpts` and in a configuration file. */
  path: string;
  kind: 'text' | 'integer' | 'number' | 'flag' | 'off-flag' | 'parameter';
  programs?: Program;
  /** A fixed value instead of the given one (`--shardsvr` means clusterRole `shardsvr`). */
  value?: string;
}

/** The options this stand-in takes; every other one is refused with exit code 2, as mongod refuses unknown options. */
const OPTIONS: Record<string, OptionRule> = {
  dbpath: { path: 'storage.dbPath', kind: 'text', programs: 'mongod' },
  port: { path: 'net.port', kind: 'integer' },
  bind_ip: { path: 'net.bindIp', kind: 'text' },
  bind_ip_all: { path: 'net.bindIpAll', kind: 'flag' },
  ipv6: { path: 'net.ipv6', kind: 'flag' },
  maxConns: { path: 'net.maxIncomingConnections', kind: 'integer' },
  nounixsocket: { path: 'net.unixDomainSocket.enabled', kind: 'off-flag' },
  replSet: { path: 'replication.replSet', kind: 'text', programs: 'mongod' },
  oplogSize: { path: 'replication.oplogSizeMB', kind: 'integer', programs: 'mongod' },
  shardsvr: { path: 'sharding.clusterRole', kind: 'flag', value: 'shardsvr', programs: 'mongod' },
  configsvr: { path: 'sharding.clusterRole', kind: 'flag', value: 'configsvr', programs: 'mongod' },
  configdb: { path: 'sharding.configDB', kind: 'text', programs: 'mongos' },
  logpath: { path: 'systemLog.path', kind: 'text' },
  logappend: { path: 'systemLog.logAppend', kind: 'flag' },
  quiet: { path: 'systemLog.quiet', kind: 'flag' },
  pidfilepath: { path: 'processManagement.pidFilePath', kind: 'text' },
  keyFile: { path: 'security.keyFile', kind: 'text' },
  enableEncryption: { path: 'security.enableEncryption', kind: 'flag', programs: 'mongod' },
  encryptionKeyFile: { path: 'security.encryptionKeyFile', kind: 'text', programs: 'mongod' },
  encryptionCipherMode: { path: 'security.encryptionCipherMode', kind: 'text', programs: 'mongod' },
  setParameter: { path: 'setParameter', kind: 'parameter' },
  storageEngine: { path: 'storage.engine', kind: 'text', programs: 'mongod' },
  wiredTigerCacheSizeGB: { path: 'storage.wiredTiger.engineConfig.cacheSizeGB', kind: 'number', programs: 'mongod' },
  directoryperdb: { path: 'storage.directoryPerDB', kind: 'flag', programs: 'mongod' },
  wiredTigerDirectoryForIndexes: { path: 'storage.wiredTiger.engineConfig.directoryForIndexes', kind: 'flag', programs: 'mongod' },
  syncdelay: { path: 'storage.syncPeriodSecs', kind: 'number', programs: 'mongod' },
  slowms: { path: 'operationProfiling.slowOpThresholdMs', kind: 'integer', programs: 'mongod' },
  profile: { path: 'operationProfiling.mode', kind: 'integer', programs: 'mongod' },
  journal: { path: 'storage.journal.enabled', kind: 'flag', programs: 'mongod' },
  nojournal: { path: 'storage.journal.enabled', kind: 'off-flag', programs: 'mongod' },
  journalCommitInterval: { path: 'storage.journal.commitIntervalMs', kind: 'integer', programs: 'mongod' },
};

const FILE_ONLY = new Set(['systemLog.destination', 'systemLog.logRotate', 'systemLog.verbosity', 'processManagement.timeZoneInfo']);

/** The command line or configuration file is wrong: exit code 2 and the text on standard error. */
export class OptionError extends Error {
  readonly code = 'OPTIONS';
  constructor(
    message: string,
    readonly source: 'command line' | 'INI config file' = 'command line',
  ) {
    super(message);
  }
}

function setPath(target: Doc, path: string, value: unknown): void {
  const names = path.split('.');
  const last = names.pop() as string;
  let at = target;
  for (const name of names) at = (at[name] ??= {}) as Doc;
  at[last] = value;
}

/** Reads the value at a dotted path of the parsed options. */
export function optionAt(parsed: Doc, path: string): unknown {
  let at: unknown = parsed;
  for (const name of path.split('.')) at = typeof at === 'object' && at !== null ? (at as Doc)[name] : undefined;
  return at;
}

function toNumber(name: string, text: string, integer: boolean): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || (integer && !Number.isInteger(value))) {
    throw new OptionError(`the argument ('${text}') for option '--${name}' is invalid`);
  }
  return value;
}

function byPath(path: string, program: Program): [string, OptionRule] | undefined {
  return Object.entries(OPTIONS).find(([, rule]) => rule.path === path && (rule.programs ?? program) === program);
}

function fileValue(program: Program, path: string, value: unknown): unknown {
  if (path === 'sharding.clusterRole') {
    if (program === 'mongos' || (value !== 'shardsvr' && value !== 'configsvr')) throw new OptionError(`Bad value for ${path}`);
    return value;
  }
  if (path === 'replication.replSetName') return value;
  if (FILE_ONLY.has(path)) return value;
  const found = byPath(path, program);
  if (found === undefined) throw new OptionError(`Unrecognized option: ${path}`);
  const [name, rule] = found;
  if (rule.kind === 'integer' || rule.kind === 'number') return toNumber(name, String(value), rule.kind === 'integer');
  if (rule.kind === 'flag' || rule.kind === 'off-flag') {
    if (typeof value !== 'boolean') throw new OptionError(`${path} must be true or false`);
    return value;
  }
  return String(value);
}

/** Takes a parsed YAML configuration file over, refusing keys that this stand-in does not know. */
export function optionsFromFile(program: Program, content: unknown): Doc {
  const parsed: Doc = {};
  const walk = (value: unknown, prefix: string): void => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      setPath(parsed, prefix === 'replication.replSetName' ? 'replication.replSet' : prefix, fileValue(program, prefix, value));
      return;
    }
    for (const [name, inner] of Object.entries(value)) {
      const path = prefix === '' ? name : `${prefix}.${name}`;
      if (prefix === 'setParameter') setPath(parsed, path, String(inner));
      else walk(inner, path);
    }
  };
  if (content !== null && content !== undefined) {
    if (typeof content !== 'object' || Array.isArray(content)) throw new OptionError('Error parsing YAML config: not a mapping');
    walk(content, '');
  }
  return parsed;
}

/** What the command line says, before a configuration file is read. */
export interface CommandLine {
  parsed: Doc;
  configFile?: string;
  help: boolean;
  version: boolean;
}

/** Reads the command line. Throws {@link OptionError}. */
export function parseCommandLine(program: Program, args: readonly string[]): CommandLine {
  const line: CommandLine = { parsed: {}, help: false, version: false };
  const seen = new Set<string>();
  for (let index = 0; index < args.length; index += 1) {
    const word = args[index] as string;
    const match = /^--?([A-Za-z][\w-]*)(?:=([\s\S]*))?$/.exec(word);
    if (match === null) throw new OptionError(`too many positional options have been specified on the command line`);
    const name = match[1] as string;
    const rule = Object.hasOwn(OPTIONS, name) ? OPTIONS[name] : undefined;
    const takeValue = (): string => {
      const value = match[2] ?? args[(index += 1)];
      if (value === undefined) throw new OptionError(`the required argument for option '--${name}' is missing`);
      return value;
    };
    if (name === 'help' || word === '-h') line.help = true;
    else if (name === 'version') line.version = true;
    else if (name === 'config' || word === '-f') line.configFile = takeValue();
    else if (rule === undefined || (rule.programs ?? program) !== program)
      throw new OptionError(`unrecognised option '${word.split('=')[0]}'`);
    else if (rule.kind === 'parameter') {
      const text = takeValue();
      const at = text.indexOf('=');
      if (at <= 0) throw new OptionError(`Illegal option assignment: "${text}"`);
      setPath(line.parsed, `setParameter.${text.slice(0, at)}`, text.slice(at + 1));
    } else {
      if (seen.has(rule.path)) throw new OptionError(`option '--${name}' cannot be specified more than once`);
      seen.add(rule.path);
      setPath(line.parsed, rule.path, commandLineValue(name, rule, takeValue));
    }
  }
  return line;
}

function commandLineValue(name: string, rule: OptionRule, takeValue: () => string): unknown {
  if (rule.value !== undefined) return rule.value;
  if (rule.kind === 'flag') return true;
  if (rule.kind === 'off-flag') return false;
  if (rule.kind === 'text') return takeValue();
  return toNumber(name, takeValue(), rule.kind === 'integer');
}

/** Lays `over` on `under`: the command line wins over the configuration file. */
export function mergeOptions(under: Doc, over: Doc): Doc {
  const merged: Doc = { ...under };
  for (const [name, value] of Object.entries(over)) {
    const below = merged[name];
    const both = typeof below === 'object' && below !== null && typeof value === 'object' && value !== null;
    merged[name] = both ? mergeOptions(below as Doc, value as Doc) : value;
  }
  return merged;
}

function sorted(value: Doc): Doc {
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, inner]) => [name, typeof inner === 'object' && inner !== null ? sorted(inner as Doc) : inner]),
  );
}

/** How the data files are encrypted. */
export interface EncryptionOptions {
  mode: CipherMode;
  keyFile: string;
}

/** The settings a server is started with. */
export interface ServerOptions {
  program: Program;
  /** As `getCmdLineOpts` shows them. */
  argv: string[];
  parsed: Doc;
  dbPath: string;
  port: number;
  addresses: string[];
  replSet?: string;
  clusterRole?: 'shardsvr' | 'configsvr';
  configDb?: string;
  keyFile?: string;
  layout: StorageLayout;
  /** Absent when the files are plain. */
  encryption?: EncryptionOptions;
  oplogSizeMb: number;
  logPath?: string;
  logAppend: boolean;
  pidFile?: string;
  parameters: Record<string, string>;
}

function addressesOf(parsed: Doc): string[] {
  if (optionAt(parsed, 'net.bindIpAll') === true) return ['0.0.0.0'];
  const text = (optionAt(parsed, 'net.bindIp') as string | undefined) ?? 'localhost';
  const names = text.split(',').map((name) => name.trim());
  return [
    ...new Set(names.filter((name) => name !== '').map((name) => (name === 'localhost' ? '127.0.0.1' : name === '*' ? '0.0.0.0' : name))),
  ];
}

function encryptionOf(parsed: Doc): EncryptionOptions | undefined {
  if (optionAt(parsed, 'security.enableEncryption') !== true) return undefined;
  const keyFile = optionAt(parsed, 'security.encryptionKeyFile');
  if (typeof keyFile !== 'string') throw new OptionError('encryption is enabled and no encryption key file is specified');
  const text = (optionAt(parsed, 'security.encryptionCipherMode') as string | undefined) ?? 'AES256-CBC';
  const mode = CIPHER_MODES.find((known) => known === text);
  if (mode === undefined) throw new OptionError(`unknown cipher mode for encryption: ${text}`);
  return { mode, keyFile };
}

/** Turns merged options into the settings of a server. Throws {@link OptionError} for combinations mongod refuses. */
export function serverOptions(program: Program, args: readonly string[], merged: Doc): ServerOptions {
  const parsed = sorted(merged);
  const text = (path: string): string | undefined => optionAt(parsed, path) as string | undefined;
  const role = text('sharding.clusterRole') as 'shardsvr' | 'configsvr' | undefined;
  const port = (optionAt(parsed, 'net.port') as number | undefined) ?? (role === 'configsvr' ? 27019 : role === 'shardsvr' ? 27018 : 27017);
  if (port < 0 || port > 65535) throw new OptionError('error: port number must be between 0 and 65535');
  const configDb = text('sharding.configDB');
  if (program === 'mongos') {
    if (configDb === undefined) throw new OptionError('error: no args for --configdb');
    if (!/^[^/,]+\/[^/]+$/.test(configDb)) {
      throw new OptionError('configdb supports only replica set connection string');
    }
  }
  const replSet = text('replication.replSet');
  if (role === 'configsvr' && replSet === undefined)
    throw new OptionError(
      'Cannot start a configsvr as a standalone server. Please use the option --replSet to start the node as a replica set.',
    );
  if (role === 'shardsvr' && replSet === undefined)
    throw new OptionError(
      'Cannot start a shardsvr as a standalone server. Please use the option --replSet to start the node as a replica set.',
    );
  const engine = text('storage.engine');
  if (engine !== undefined && engine !== 'wiredTiger')
    throw new OptionError(`Cannot start server with an unknown storage engine: ${engine}`);
  const logPath = text('systemLog.path');
  if (logPath !== undefined) setPath(parsed, 'systemLog.destination', 'file');
  const pidFile = text('processManagement.pidFilePath');
  const keyFile = text('security.keyFile');
  const encryption = encryptionOf(parsed);
  return {
    program,
    argv: [program, ...args],
    parsed,
    dbPath: text('storage.dbPath') ?? '/data/db',
    port,
    addresses: addressesOf(parsed),
    ...(replSet === undefined ? {} : { replSet: replSet.split('/')[0] as string }),
    ...(role === undefined ? {} : { clusterRole: role }),
    ...(configDb === undefined ? {} : { configDb }),
    ...(keyFile === undefined ? {} : { keyFile }),
    ...(encryption === undefined ? {} : { encryption }),
    layout: {
      directoryPerDB: optionAt(parsed, 'storage.directoryPerDB') === true,
      directoryForIndexes: optionAt(parsed, 'storage.wiredTiger.engineConfig.directoryForIndexes') === true,
    },
    oplogSizeMb: (optionAt(parsed, 'replication.oplogSizeMB') as number | undefined) ?? 990,
    ...(logPath === undefined ? {} : { logPath }),
    logAppend: optionAt(parsed, 'systemLog.logAppend') === true,
    ...(pidFile === undefined ? {} : { pidFile }),
    parameters: (parsed['setParameter'] as Record<string, string> | undefined) ?? {},
  };
}
