import { closeSync, existsSync, openSync, renameSync, writeSync } from 'node:fs';
import { EJSON } from 'bson';
import type { Doc } from '../bson-values.js';

/** Severities of mongod's structured log. */
export type Severity = 'F' | 'E' | 'W' | 'I' | 'D1';

/** One line of the log, before its time is added. */
export interface LogLine {
  s: Severity;
  c: string;
  id: number;
  msg: string;
  attr?: Doc;
  startupWarning?: boolean;
}

const KEPT_LINES = 1024;

function writeFully(descriptor: number, text: string): void {
  let bytes = Buffer.from(text);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(descriptor, bytes));
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EAGAIN') continue;
      // The reader of our output may be gone (a supervisor that was restarted): a database must not die of that.
      if (code === 'EPIPE' || code === 'EIO' || code === 'ENOSPC') return;
      throw error;
    }
  }
}

/** mongod's structured log: the same fields, padding and order, written synchronously so that the last line is never lost. */
export class ServerLog {
  readonly #descriptor: number;
  readonly #kept = new Map<string, string[]>([
    ['global', []],
    ['startupWarnings', []],
    ['rs', []],
  ]);

  private constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** Logs to standard output, or to `file`; an existing file is moved aside unless `append` is set, as mongod does. */
  static open(file?: string, append = false): ServerLog {
    if (file === undefined) return new ServerLog(1);
    if (!append && existsSync(file)) renameSync(file, `${file}.${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}`);
    return new ServerLog(openSync(file, 'a', 0o600));
  }

  write(context: string, line: LogLine): void {
    const time = `${new Date().toISOString().slice(0, -1)}+00:00`;
    const severity = `"s":"${line.s}",`.padEnd(10);
    const component = `"c":"${line.c}",`.padEnd(16);
    const id = `"id":${line.id},`.padEnd(14);
    const attr = line.attr === undefined ? '' : `,"attr":${EJSON.stringify(line.attr, { relaxed: true })}`;
    const tags = line.startupWarning ? ',"tags":["startupWarnings"]' : '';
    const text = `{"t":{"$date":"${time}"},${severity}${component}${id}"ctx":${JSON.stringify(context)},"msg":${JSON.stringify(line.msg)}${attr}${tags}}`;
    this.#keep('global', text);
    if (line.startupWarning) this.#keep('startupWarnings', text);
    if (line.c === 'REPL' || line.c === 'ELECTION') this.#keep('rs', text);
    writeFully(this.#descriptor, `${text}\n`);
  }

  info(context: string, c: string, id: number, msg: string, attr?: Doc): void {
    this.write(context, { s: 'I', c, id, msg, ...(attr === undefined ? {} : { attr }) });
  }

  warn(context: string, c: string, id: number, msg: string, attr?: Doc): void {
    this.write(context, { s: 'W', c, id, msg, ...(attr === undefined ? {} : { attr }) });
  }

  error(context: string, c: string, id: number, msg: string, attr?: Doc): void {
    this.write(context, { s: 'E', c, id, msg, ...(attr === undefined ? {} : { attr }) });
  }

  fatal(context: string, c: string, id: number, msg: string, attr?: Doc): void {
    this.write(context, { s: 'F', c, id, msg, ...(attr === undefined ? {} : { attr }) });
  }

  /** The lines `getLog` answers with, or undefined for a log that does not exist. */
  recent(name: string): string[] | undefined {
    return this.#kept.get(name);
  }

  names(): string[] {
    return [...this.#kept.keys()];
  }

  close(): void {
    if (this.#descriptor > 2) closeSync(this.#descriptor);
  }

  #keep(name: string, text: string): void {
    const lines = this.#kept.get(name) as string[];
    lines.push(text);
    if (lines.length > KEPT_LINES) lines.shift();
  }
}
