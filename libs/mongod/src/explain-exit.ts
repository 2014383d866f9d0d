import type { LogRecord } from './log-record.js';
import { FAILURE_IDS, LOG_IDS, WRONG_KEY_IDS } from './log-ids.js';

/** How a process ended. Both are null when it was not our child and its log does not say. */
export interface ExitStatus {
  readonly code: number | null;
  readonly signal: string | null;
}

/** An exit in words, for the person who has to act. */
export interface ExitExplanation {
  /** A word to search for and to count. */
  readonly cause:
    | 'clean'
    | 'options'
    | 'dbpath-in-use'
    | 'dbpath-missing'
    | 'port-in-use'
    | 'wrong-key'
    | 'key-unusable'
    | 'key-poller'
    | 'security-file'
    | 'killed'
    | 'crashed'
    | 'unknown';
  readonly error: string;
  /** What to do, or what not to do; null when there is nothing to add. */
  readonly hint: string | null;
}

/**
 * Explains an exit from its code and the log of that run. The log decides, because the same code has many causes: 100 is a dbPath in use, a
 * missing dbPath and an unusable key alike.
 *
 * @param records records of this run, oldest first
 * @param text lines outside the structured log (standard error)
 */
export function explainExit(exit: ExitStatus, records: readonly LogRecord[], text: readonly string[]): ExitExplanation {
  const ids = new Set(records.flatMap((record) => [record.id, ...fatalId(record)]));
  const detail = failureDetail(records);
  const said = detail === null ? '' : `: ${detail}`;

  if (exit.code === 0) return { cause: 'clean', error: 'The process ended with exit code 0.', hint: null };
  const polled = pollerEnd(exit, ids);
  if (polled !== null) {
    return { cause: 'key-poller', error: `${polled} (${ended(exit)})${said}`, hint: 'Check the customer key. The data is unharmed.' };
  }
  if (exit.code === 2) {
    const line = text.find((entry) => /error parsing|unrecognised|unrecognized/i.test(entry)) ?? text.at(-1);
    return {
      cause: 'options',
      error: `The process refused its command line (exit code 2)${line === undefined ? '' : `: ${line}`}`,
      hint: 'Correct the extra arguments of this process.',
    };
  }
  if (exit.code === 48 || ids.has(LOG_IDS.listenerSetup) || ids.has(LOG_IDS.listenerFailed)) {
    return {
      cause: 'port-in-use',
      error: `The process cannot listen (${ended(exit)})${said}`,
      hint: 'Free the port or give the process another one.',
    };
  }
  if ([...WRONG_KEY_IDS].some((id) => ids.has(id))) {
    return {
      cause: 'wrong-key',
      error: `The server cannot read its files (${ended(exit)})${said}`,
      hint: 'This is what a wrong key or wrong encryption options look like. Check the key first; never run --repair on this data path.',
    };
  }
  if (ids.has(LOG_IDS.keyDatabase)) {
    return {
      cause: 'key-unusable',
      error: `The server cannot use its master key (${ended(exit)})${said}`,
      hint: 'Check that the key can be read and is 32 bytes long. The data is unharmed; do not run --repair.',
    };
  }
  if (ids.has(LOG_IDS.securityFile)) {
    return {
      cause: 'security-file',
      error: `The key file was refused (${ended(exit)})${said}`,
      hint: 'The key file must be readable by its owner only.',
    };
  }
  if (detail !== null && /DBPathInUse/.test(detail)) {
    return {
      cause: 'dbpath-in-use',
      error: `Another process uses the data path (${ended(exit)})${said}`,
      hint: 'Find the other process; the agent does not start a second one.',
    };
  }
  if (detail !== null && /NonExistentPath|not found|No such file/i.test(detail)) {
    return {
      cause: 'dbpath-missing',
      error: `The data path cannot be used (${ended(exit)})${said}`,
      hint: 'Check that the volume is mounted.',
    };
  }
  if (exit.code === 100) {
    return {
      cause: 'unknown',
      error: `The server could not start (exit code 100)${said}`,
      hint: 'Exit code 100 is a data path in use or missing, or a key that cannot be used. The data is unharmed; do not run --repair.',
    };
  }
  if (exit.code === 14) {
    return {
      cause: 'crashed',
      error: `The server ended abruptly (exit code 14)${said}`,
      hint: 'Where encryption is used, a wrong key looks like this. Check it before anything else; never run --repair unasked.',
    };
  }
  if (exit.signal === 'SIGKILL') {
    return {
      cause: 'killed',
      error: 'The process was killed by SIGKILL.',
      hint: 'The kernel (out of memory) or a person killed it; it recovers from its journal.',
    };
  }
  if (exit.signal !== null) return { cause: 'crashed', error: `The process ended by ${exit.signal}${said}`, hint: null };
  return { cause: 'unknown', error: `The process ended (${ended(exit)})${said}`, hint: null };
}

/** What a parent sees of exit code 1001 is its lowest byte; the log tells the whole of it. */
const KEY_POLLER_EXIT_CODES: readonly (number | null)[] = [233, 1001];

/** What the server's own poller of the master key found, when the exit is its doing. */
function pollerEnd(exit: ExitStatus, ids: ReadonlySet<number>): string | null {
  if (ids.has(LOG_IDS.masterKeyAbsent)) return 'The server stopped by itself: its master key is gone from the key management server';
  if (ids.has(LOG_IDS.masterKeyInactive)) return 'The server stopped by itself: its master key is not active any more';
  return KEY_POLLER_EXIT_CODES.includes(exit.code) ? 'The server stopped by itself: it cannot use its master key any more' : null;
}

/** A fatal assertion names what it asserts; some of them log nothing else. */
function fatalId(record: LogRecord): number[] {
  const id = record.id === LOG_IDS.fatalAssertion ? record.attributes['msgid'] : undefined;
  return typeof id === 'number' ? [id] : [];
}

function ended(exit: ExitStatus): string {
  if (exit.code !== null) return `exit code ${exit.code}`;
  if (exit.signal !== null) return exit.signal;
  return 'exit code unknown';
}

/** The reason in the first failing record: servers put it in `error`, `e` or `Reason`. */
function failureDetail(records: readonly LogRecord[]): string | null {
  const failed =
    records.find((record) => FAILURE_IDS.has(record.id) && reasonOf(record) !== null) ??
    records.find((record) => (record.severity === 'F' || record.severity === 'E') && reasonOf(record) !== null);
  return failed ? reasonOf(failed) : null;
}

function reasonOf(record: LogRecord): string | null {
  for (const name of ['error', 'e', 'Reason', 'reason', 'message']) {
    const value = record.attributes[name];
    if (typeof value === 'string') return value;
    if (value !== null && typeof value === 'object' && 'errmsg' in value && typeof value.errmsg === 'string') return value.errmsg;
  }
  return null;
}
