import type { ProcessGoal } from '@atrest/contracts';

/** Part of a process goal that decides its command line. */
export type ArgumentsGoal = Pick<
  ProcessGoal,
  'kind' | 'adopted' | 'bindIp' | 'port' | 'dbPath' | 'extraArguments' | 'replicaSet' | 'router'
>;

/** Thrown when a goal cannot be turned into a command line, because its extra arguments contradict it or a part is missing. */
export class ArgumentsError extends Error {
  readonly code = 'MONGOD.ARGUMENTS';
  /** The option at fault, with its dashes and without its value. */
  readonly option: string;

  constructor(option: string, message: string) {
    super(message);
    this.name = 'ArgumentsError';
    this.option = option;
  }
}

/** One option of a mongod command line. mongod takes `--name value`, `--name=value` and, with one dash, the same. */
export interface CommandLineOption {
  readonly name: string;
  readonly value: string | null;
  /** The arguments it is made of, as given. */
  readonly source: readonly string[];
}

/** One-letter names that mongod knows, written out. */
const SHORT_NAMES: Record<string, string> = { f: 'config', v: 'verbose', h: 'help', p: 'password' };

/** Options that never have a value: what follows them is another argument. */
const FLAGS = new Set([
  'fork',
  'shardsvr',
  'configsvr',
  'logappend',
  'bind_ip_all',
  'quiet',
  'auth',
  'noauth',
  'shutdown',
  'repair',
  'syslog',
  'enableEncryption',
]);

/**
 * Options that the agent cannot live with. A forked server is not its child and ends the parent with 0; the others end the process, change
 * files once, or send the log where readiness and failure cannot be read. `--repair` can destroy what a wrong key only hides.
 */
const REFUSED: Record<string, string> = {
  fork: 'the agent supervises the process itself',
  shutdown: 'it stops a server instead of starting one',
  repair: 'repairing is never done without a person: a wrong key looks like damage',
  help: 'the process would end at once',
  version: 'the process would end at once',
  syslog: 'the agent reads the log file',
  kmipRotateMasterKey: 'the process would end after the rotation',
  vaultRotateMasterKey: 'the process would end after the rotation',
  eseDatabaseKeyRollover: 'the process would end after the rollover',
};

/** With one of these the user has decided about memory. */
const STORAGE_OPTIONS = ['wiredTigerCacheSizeGB', 'inMemorySizeGB', 'storageEngine'];

/** Splits a command line into options. Never throws: what is no option is kept as one without a name. */
export function parseCommandLine(argv: readonly string[]): CommandLineOption[] {
  const options: CommandLineOption[] = [];
  for (let index = 0; index < argv.length; index += 1) {
    const argument = argv[index]!;
    const match = /^--?([A-Za-z_][\w.]*)(?:=([\s\S]*))?$/.exec(argument);
    if (!match) {
      options.push({ name: '', value: argument, source: [argument] });
      continue;
    }
    const name = SHORT_NAMES[match[1]!] ?? match[1]!;
    if (match[2] !== undefined) {
      options.push({ name, value: match[2], source: [argument] });
      continue;
    }
    const next = argv[index + 1];
    if (next !== undefined && !next.startsWith('-') && !FLAGS.has(name)) {
      options.push({ name, value: next, source: [argument, next] });
      index += 1;
    } else {
      options.push({ name, value: null, source: [argument] });
    }
  }
  return options;
}

/** The value of an option on a command line, or undefined when it is not there. */
export function optionValue(argv: readonly string[], name: string): string | undefined {
  return parseCommandLine(argv).findLast((option) => option.name === name)?.value ?? undefined;
}

/** What {@link commandLine} makes of a goal. */
export interface CommandLine {
  /** Arguments without the program. */
  readonly argv: string[];
  /** Where the process writes its structured log; null when a configuration file of an adopted process decides it. */
  readonly logPath: string | null;
}

/**
 * The command line of a process. What Atrest decides (data path, port, replica set, log) comes from the goal; the user's extra arguments
 * follow unchanged. An extra argument that says the same as the goal is dropped, because mongod refuses an option that is given twice.
 * An adopted process keeps its own `--bind_ip`, `--logpath` and `--config`.
 *
 * @param o.cacheSizeGB WiredTiger's cache of a process whose arguments say nothing of storage; absent, it is left to the server, which takes half of the memory
 * @param o.keyFile path of the file that members prove to each other; absent, the process has no access control but what its own arguments say
 * @throws ArgumentsError
 */
export function commandLine(
  goal: ArgumentsGoal,
  logPath: string,
  { cacheSizeGB = null, keyFile = null }: { readonly cacheSizeGB?: number | null; readonly keyFile?: string | null } = {},
): CommandLine {
  const extra = parseCommandLine(goal.extraArguments);
  for (const option of extra) {
    const why = REFUSED[option.name];
    if (why !== undefined) throw new ArgumentsError(`--${option.name}`, `--${option.name} is not allowed: ${why}.`);
  }
  const theirs = new Set(extra.map((option) => option.name));
  const hasConfig = theirs.has('config');
  const own: [name: string, value: string | null][] = [];

  if (goal.kind === 'mongos') {
    if (!goal.router) throw new ArgumentsError('--configdb', 'A mongos needs the address of its config servers.');
    own.push(['configdb', goal.router.configDB]);
  } else {
    if (goal.dbPath === null) throw new ArgumentsError('--dbpath', 'A mongod needs a data path.');
    own.push(['dbpath', goal.dbPath]);
    if (goal.replicaSet) {
      own.push(['replSet', goal.replicaSet.name]);
      if (goal.replicaSet.role === 'shard') own.push(['shardsvr', null]);
      if (goal.replicaSet.role === 'config') own.push(['configsvr', null]);
    }
  }
  own.push(['port', String(goal.port)]);
  const keepsBindIp = goal.adopted && (hasConfig || theirs.has('bind_ip') || theirs.has('bind_ip_all'));
  if (!keepsBindIp) own.push(['bind_ip', goal.bindIp]);
  const keepsLog = goal.adopted && (hasConfig || theirs.has('logpath'));
  if (!keepsLog) own.push(['logpath', logPath], ['logappend', null]);
  if (keyFile !== null) own.push(['keyFile', keyFile]);
  const decidesStorage = goal.adopted || hasConfig || STORAGE_OPTIONS.some((name) => theirs.has(name));
  if (cacheSizeGB !== null && goal.kind !== 'mongos' && !decidesStorage) own.push(['wiredTigerCacheSizeGB', String(cacheSizeGB)]);

  const rest: string[] = [];
  const decided = new Map(own);
  for (const option of extra) {
    if (option.name === 'bind_ip_all' && decided.has('bind_ip')) {
      throw new ArgumentsError('--bind_ip_all', '--bind_ip_all contradicts the bind address of the process.');
    }
    if ((option.name === 'shardsvr' || option.name === 'configsvr') && !decided.has(option.name)) {
      throw new ArgumentsError(`--${option.name}`, `--${option.name} contradicts the role of the process.`);
    }
    if (!decided.has(option.name)) {
      rest.push(...option.source);
    } else if (decided.get(option.name) !== option.value) {
      throw new ArgumentsError(`--${option.name}`, `--${option.name} contradicts what the goal says of this process.`);
    }
  }
  const argv = own.flatMap(([name, value]) => (value === null ? [`--${name}`] : [`--${name}`, value]));
  return { argv: [...argv, ...rest], logPath: keepsLog ? (optionValue(goal.extraArguments, 'logpath') ?? null) : logPath };
}

/** Names of options whose value is a secret. Paths to files with secrets are none. */
const SECRET_OPTION = /(password|passphrase|secretkey|token)$/i;

/** A command line that may be shown: values of secret options and credentials in URLs are replaced by stars. */
export function redactArguments(argv: readonly string[]): string[] {
  return parseCommandLine(argv).flatMap((option) => {
    const parameter = option.name === 'setParameter' ? (/^([^=]*)=/.exec(option.value ?? '')?.[1] ?? '') : null;
    if (option.value !== null && SECRET_OPTION.test(parameter ?? option.name)) {
      const shown = parameter === null ? '***' : `${parameter}=***`;
      return option.source.length === 2 ? [option.source[0]!, shown] : [`--${option.name}=${shown}`];
    }
    return option.source.map((argument) => argument.replace(/(\/\/[^/@:\s]*:)[^@/\s]*@/g, '$1***@'));
  });
}
