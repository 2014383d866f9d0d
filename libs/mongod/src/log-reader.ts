import { open, stat, type FileHandle } from 'node:fs/promises';
import { redactText } from '@atrest/platform-logging';
import { parseLogLine, type LogRecord } from './log-record.js';

export interface LogReaderOptions {
  /** The log file. It need not exist yet. */
  readonly path: string;
  /** `end`: what is already in the file belongs to an earlier run. `tail`: its last part is read too, for a process that is adopted. */
  readonly from: 'start' | 'end' | 'tail';
  /** Called for each structured record, in order. */
  readonly onRecord?: (record: LogRecord) => void;
  /** Called for each line that is no structured record. */
  readonly onText?: (line: string) => void;
  /** How many last lines are kept for reports. */
  readonly keepLines?: number;
}

/** Bytes of an adopted process's log that are read back: some hundred lines. */
const TAIL_BYTES = 128 * 1024;
/** At most this much is read at a time, so that a log that grew by gigabytes while nobody looked does not fill the memory. */
const READ_BYTES = 1024 * 1024;
/** A longer line is cut; backtraces and slow queries can be long, and nothing of ours reads beyond. */
const MAX_LINE = 64 * 1024;

/**
 * Reads a log file as it grows, with one call of {@link read} per look. Survives rotation (another file under the name: the rest of the old
 * one is read first), truncation (starts again at the beginning), an absent file and bytes that are not JSON.
 */
export class LogReader {
  readonly #options: LogReaderOptions;
  readonly #keep: number;
  readonly #lines: string[] = [];
  #position = 0;
  #inode: bigint | null = null;
  #file: FileHandle | undefined;
  #skipsFirst = false;
  #rest = Buffer.alloc(0);
  #positioned = false;
  #reading: Promise<void> | undefined;
  #sawRecord = false;

  constructor(options: LogReaderOptions) {
    this.#options = options;
    this.#keep = options.keepLines ?? 40;
  }

  /** Whether any structured record was read. */
  get sawRecord(): boolean {
    return this.#sawRecord;
  }

  /** The last lines, oldest first, with secrets replaced by stars. */
  lastLines(count = this.#keep): string[] {
    return this.#lines.slice(-count).map((line) => redactText(line));
  }

  /** Fixes the starting point: call it before the process starts, so that no line of its own is missed. */
  async position(): Promise<void> {
    if (this.#positioned) return;
    this.#positioned = true;
    const found = await this.#stat();
    if (!found) return;
    this.#inode = found.ino;
    if (this.#options.from === 'end') this.#position = Number(found.size);
    if (this.#options.from === 'tail' && Number(found.size) > TAIL_BYTES) {
      this.#position = Number(found.size) - TAIL_BYTES;
      this.#skipsFirst = true; // it begins in the middle of a line
    }
  }

  /** Reads everything that was written since the last call. Calls during a run share it. */
  read(): Promise<void> {
    this.#reading ??= this.#readAll().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  /** Lets go of the file. A later {@link read} goes on where this one ended. */
  async close(): Promise<void> {
    await this.#reading?.catch(() => undefined);
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  async #readAll(): Promise<void> {
    await this.position();
    const named = await this.#stat();
    if (this.#file && named?.ino !== this.#inode) {
      // Rotated: what the server wrote to the old file after our last look is read from the handle that still holds it.
      await this.#drain(this.#file);
      await this.#file.close();
      this.#file = undefined;
    }
    if (!named) return;
    if (this.#inode !== null && named.ino !== this.#inode) this.#beginAnew();
    if (Number(named.size) < this.#position) this.#beginAnew();
    this.#inode = named.ino;
    this.#file ??= await open(this.#options.path, 'r').catch(ignoreMissing);
    if (this.#file) await this.#drain(this.#file);
  }

  #beginAnew(): void {
    this.#position = 0;
    this.#rest = Buffer.alloc(0);
    this.#skipsFirst = false;
  }

  async #drain(file: FileHandle): Promise<void> {
    const { size } = await file.stat();
    if (size <= this.#position) return;
    const buffer = Buffer.alloc(Math.min(READ_BYTES, size - this.#position));
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, this.#position);
      if (bytesRead === 0) return;
      this.#position += bytesRead;
      this.#take(buffer.subarray(0, bytesRead));
    }
  }

  #take(bytes: Buffer): void {
    let data = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes;
    for (let end = data.indexOf(10); end >= 0; end = data.indexOf(10)) {
      this.#line(data.subarray(0, Math.min(end, MAX_LINE)).toString('utf8').trimEnd());
      data = data.subarray(end + 1);
    }
    // Without a line end yet; a line longer than the limit loses its middle, never the memory.
    this.#rest = Buffer.from(data.length > MAX_LINE ? data.subarray(0, MAX_LINE) : data);
  }

  #line(line: string): void {
    if (line === '') return;
    if (this.#skipsFirst) {
      this.#skipsFirst = false;
      return;
    }
    this.#lines.push(line.length > 2_000 ? `${line.slice(0, 2_000)}…` : line);
    if (this.#lines.length > this.#keep) this.#lines.shift();
    const record = parseLogLine(line);
    if (record) {
      this.#sawRecord = true;
      this.#options.onRecord?.(record);
    } else {
      this.#options.onText?.(line);
    }
  }

  async #stat(): Promise<{ size: bigint; ino: bigint } | undefined> {
    return stat(this.#options.path, { bigint: true }).catch(ignoreMissing);
  }
}

/** The last lines of a log file, oldest first, redacted; an absent file has none. */
export async function tailLog(path: string, count: number): Promise<string[]> {
  const reader = new LogReader({ path, from: 'tail', keepLines: count });
  try {
    await reader.read();
    return reader.lastLines(count);
  } finally {
    await reader.close();
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
  throw error;
}
