import { execFile } from 'node:child_process';
import { readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { basename, resolve, sep } from 'node:path';
import { promisify } from 'node:util';
import { parseCommandLine } from './arguments.js';

/** A process, named so that a later process with the same pid is not mistaken for it. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque: boot and start time as the kernel counts them. Equal only for the same process. */
  readonly startTime: string;
}

/** One live process of this machine that may be a mongod or mongos. */
export interface TableEntry extends ProcessIdentity {
  readonly argv: readonly string[];
  /** Folder that relative paths of its command line start from; null when it cannot be read. */
  readonly cwd: string | null;
}

/** What the operating system says of the processes of this machine. Linux reads /proc; elsewhere `ps` answers, without working folders. */
export interface ProcessTable {
  /** Start time of a live process, or null when there is none (a zombie has ended). */
  startTimeOf(pid: number): Promise<string | null>;
  /** Live processes whose command line could be a mongod's or mongos's. */
  candidates(): Promise<TableEntry[]>;
  entry(pid: number): Promise<TableEntry | null>;
  /** Whether the process has a file below the folder open; null when that cannot be seen (another user's process, no /proc). */
  hasOpenFileBelow(pid: number, folder: string): Promise<boolean | null>;
}

export function processTable(platform: NodeJS.Platform = process.platform): ProcessTable {
  return platform === 'linux' ? new ProcProcessTable() : new PsProcessTable();
}

/** A launcher (`bash -c`, `sudo`, `strace`) carries the server's arguments in its own; only what runs the server itself counts. */
function mayBeServer(argv: readonly string[]): boolean {
  const program = basename(argv[0] ?? '');
  if (/^(ba|da|z|k|c|a)?sh$|^(sudo|su|env|nohup|setsid|strace|gdb|timeout|grep|vi|vim|less|tail|cat)$/.test(program)) {
    // A script without exec stays a shell; then argv[1] is the script itself, never `-c`.
    return /mongo[ds]/.test(basename(argv[1] ?? '')) && program.endsWith('sh');
  }
  return /mongo[ds]/.test(program) || argv.some((argument) => /^--?(dbpath|configdb)(=|$)/.test(argument));
}

/** The data path on a command line, made absolute. */
export function dbPathOf(entry: TableEntry): string | null {
  const value = parseCommandLine(entry.argv.slice(1)).find((option) => option.name === 'dbpath')?.value;
  if (value === undefined || value === null) return null;
  return resolve(entry.cwd ?? '/', value);
}

/** A path with symbolic links resolved, or the path itself while it does not exist. */
export async function canonicalPath(path: string): Promise<string> {
  return realpath(path).catch(() => resolve(path));
}

class ProcProcessTable implements ProcessTable {
  #boot: Promise<string> | undefined;

  async startTimeOf(pid: number): Promise<string | null> {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(gone);
    if (text === undefined) return null;
    // The second field is the program's name in parentheses and may contain anything; fields are counted behind its last parenthesis.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const state = fields[0];
    if (state === 'Z' || state === 'X') return null;
    this.#boot ??= readFile('/proc/sys/kernel/random/boot_id', 'utf8').then(
      (id) => id.trim(),
      () => '-',
    );
    return `${await this.#boot}:${fields[19]}`;
  }

  async candidates(): Promise<TableEntry[]> {
    const names = await readdir('/proc');
    const entries = await Promise.all(names.filter((name) => /^\d+$/.test(name)).map((name) => this.#candidate(Number(name))));
    return entries.filter((entry) => entry !== null);
  }

  async entry(pid: number): Promise<TableEntry | null> {
    const argv = await this.#argv(pid);
    if (!argv) return null;
    return this.#complete(pid, argv);
  }

  async hasOpenFileBelow(pid: number, folder: string): Promise<boolean | null> {
    const names = await readdir(`/proc/${pid}/fd`).catch(() => null);
    if (names === null) return null;
    const prefix = `${folder}${sep}`;
    for (const name of names) {
      const target = await readlink(`/proc/${pid}/fd/${name}`).catch(gone);
      if (target?.startsWith(prefix)) return true;
    }
    return false;
  }

  async #candidate(pid: number): Promise<TableEntry | null> {
    const argv = await this.#argv(pid);
    return argv && mayBeServer(argv) ? this.#complete(pid, argv) : null;
  }

  async #complete(pid: number, argv: string[]): Promise<TableEntry | null> {
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => null);
    const startTime = await this.startTimeOf(pid);
    return startTime === null ? null : { pid, startTime, argv, cwd };
  }

  async #argv(pid: number): Promise<string[] | null> {
    const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(gone);
    if (text === undefined || text === '') return null;
    return text.replace(/\0$/, '').split('\0');
  }
}

/**
 * Without /proc. `ps` joins the arguments with blanks, so data paths with blanks are not recognised by their command line (the lock file
 * still names their process), and open files cannot be seen.
 */
class PsProcessTable implements ProcessTable {
  async startTimeOf(pid: number): Promise<string | null> {
    return (await this.entry(pid))?.startTime ?? null;
  }

  async candidates(): Promise<TableEntry[]> {
    return (await this.#list(['-axo', 'pid=,stat=,lstart=,command='])).filter((entry) => mayBeServer(entry.argv));
  }

  async entry(pid: number): Promise<TableEntry | null> {
    return (await this.#list(['-p', String(pid), '-o', 'pid=,stat=,lstart=,command=']))[0] ?? null;
  }

  async hasOpenFileBelow(): Promise<boolean | null> {
    return null;
  }

  async #list(options: string[]): Promise<TableEntry[]> {
    // ps ends with 1 when the named process does not exist.
    const { stdout } = await promisify(execFile)('ps', options, {
      env: { ...process.env, LC_ALL: 'C' },
      maxBuffer: 16 * 1024 * 1024,
    }).catch((error: { stdout?: string; code?: unknown }) => {
      if (error.code === 1) return { stdout: error.stdout ?? '' };
      throw error;
    });
    return stdout.split('\n').flatMap((line) => {
      const match = /^\s*(\d+)\s+(\S+)\s+(\w{3}\s+\w{3}\s+\d+\s+[\d:]+\s+\d{4})\s+(.*)$/.exec(line);
      if (!match || match[2]!.startsWith('Z')) return [];
      return [{ pid: Number(match[1]), startTime: match[3]!.replace(/\s+/g, ' '), argv: match[4]!.split(/\s+/), cwd: null }];
    });
  }
}

/** A process may end between two looks, and another user's cannot be read: both mean "not seen". */
function gone(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'ESRCH' || error.code === 'EACCES' || error.code === 'EPERM' || error.code === 'EINVAL')
    return undefined;
  throw error;
}
