import { explainExit, type ExitExplanation, type ExitStatus } from './explain-exit.js';
import { FAILURE_IDS, LOG_IDS } from './log-ids.js';
import { LogReader } from './log-reader.js';
import type { LogRecord } from './log-record.js';

export interface RunLogOptions {
  /** The structured log; null when nobody knows where it goes (an adopted process with a configuration file). */
  readonly logPath: string | null;
  /** What the process writes to standard output and error; null for a process that we did not start. */
  readonly consolePath: string | null;
}

/** Records kept for an explanation: warnings and worse, with the end of the log. A failing start writes below fifty lines in all. */
const KEPT_RECORDS = 200;

/** What the log of one run of a process tells: readiness, member state, orderly end, and the reason of a failure. */
export class RunLog {
  readonly #readers: LogReader[];
  readonly #records: LogRecord[] = [];
  readonly #text: string[] = [];
  #ready = false;
  #memberState: string | null = null;
  #exitCode: number | null = null;
  #sawRecord = false;
  #news = 0;

  constructor(options: RunLogOptions) {
    const watch = (path: string, from: 'start' | 'end' | 'tail') =>
      new LogReader({ path, from, onRecord: (record) => this.#take(record), onText: (line) => this.#takeText(line) });
    this.#readers = [
      ...(options.consolePath === null ? [] : [watch(options.consolePath, 'start')]),
      ...(options.logPath === null ? [] : [watch(options.logPath, 'end')]),
    ];
  }

  /** 23016 was logged: the server takes connections. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Whether this run has logged anything structured, so that its readiness will be told by its log. */
  get sawRecord(): boolean {
    return this.#sawRecord;
  }

  /** State of the replica-set member by its own account; needs no rights, unlike `replSetGetStatus`. */
  get memberState(): string | null {
    return this.#memberState;
  }

  /** The exit code in the last line of an orderly end. The only source for a process that is not our child. */
  get exitCode(): number | null {
    return this.#exitCode;
  }

  /** Grows with every record that may change a decision. */
  get news(): number {
    return this.#news;
  }

  /** Marks where this run begins in the log: call it before the process starts. */
  async position(): Promise<void> {
    await Promise.all(this.#readers.map((reader) => reader.position()));
  }

  async read(): Promise<void> {
    await Promise.all(this.#readers.map((reader) => reader.read()));
  }

  /** The last lines of this run, redacted; text on standard error comes first. */
  lastLines(count: number): string[] {
    return this.#readers.flatMap((reader) => reader.lastLines(count)).slice(-count);
  }

  explain(exit: ExitStatus): ExitExplanation {
    return explainExit(exit, this.#records, this.#text);
  }

  async close(): Promise<void> {
    await Promise.all(this.#readers.map((reader) => reader.close()));
  }

  #take(record: LogRecord): void {
    this.#sawRecord = true;
    if (/^[FEW]/.test(record.severity) || FAILURE_IDS.has(record.id)) {
      this.#records.push(record);
      if (this.#records.length > KEPT_RECORDS) this.#records.shift();
    }
    switch (record.id) {
      case LOG_IDS.ready:
        this.#ready = true;
        break;
      case LOG_IDS.memberState:
        this.#memberState = typeof record.attributes['newState'] === 'string' ? record.attributes['newState'] : null;
        break;
      case LOG_IDS.shutDown:
        this.#exitCode = typeof record.attributes['exitCode'] === 'number' ? record.attributes['exitCode'] : null;
        break;
      case LOG_IDS.writable:
        break;
      default:
        return;
    }
    this.#news += 1;
  }

  #takeText(line: string): void {
    this.#text.push(line);
    if (this.#text.length > KEPT_RECORDS) this.#text.shift();
  }
}
