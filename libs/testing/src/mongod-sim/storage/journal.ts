import { closeSync, fdatasync, ftruncateSync, openSync, readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { type Doc, decodeDocument, encodeDocument } from '../bson-values.js';
import type { PageCipher } from './cipher.js';
import { writeFully } from './data-files.js';

const HEADER_BYTES = 8;

/** The journal holds something that a torn write cannot explain. */
export class JournalError extends Error {
  readonly code = 'JOURNAL';
}

/**
 * An append-only file of records, each [length u32][crc32 u32][BSON, encrypted where there is a key]. One record holds everything that belongs together (the
 * documents and their oplog entries), so a crash leaves all of it or nothing. A torn last record is dropped when the file is read.
 */
export class Journal {
  readonly #descriptor: number;
  readonly #cipher: PageCipher | undefined;
  #bytes: number;
  #written = 0;
  #synced = 0;
  #syncing = false;
  #waiting: { upTo: number; resolve: () => void; reject: (error: Error) => void }[] = [];

  private constructor(descriptor: number, bytes: number, cipher: PageCipher | undefined) {
    this.#descriptor = descriptor;
    this.#cipher = cipher;
    this.#bytes = bytes;
  }

  /** Opens or creates the file and returns its whole records. Throws {@link JournalError}, or a CipherError when the key is another one. */
  static open(file: string, cipher: PageCipher | undefined): { journal: Journal; records: Doc[] } {
    const descriptor = openSync(file, 'a+', 0o600);
    const bytes = readFileSync(file);
    const records: Doc[] = [];
    let offset = 0;
    while (offset + HEADER_BYTES <= bytes.length) {
      const length = bytes.readUInt32LE(offset);
      const end = offset + HEADER_BYTES + length;
      if (end > bytes.length) break;
      const body = bytes.subarray(offset + HEADER_BYTES, end);
      if (crc32(body) !== bytes.readUInt32LE(offset + 4)) {
        if (end < bytes.length) throw new JournalError(`journal record at ${offset} of ${file} is damaged and is not the last one`);
        break;
      }
      records.push(decodeDocument(cipher?.open(body) ?? body));
      offset = end;
    }
    if (offset < bytes.length) ftruncateSync(descriptor, offset);
    return { journal: new Journal(descriptor, offset, cipher), records };
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Hands a record to the operating system: it survives the end of this process, not yet a power failure. */
  append(record: Doc): void {
    const plain = encodeDocument(record);
    const body = this.#cipher?.seal(plain) ?? plain;
    const bytes = Buffer.allocUnsafe(HEADER_BYTES + body.length);
    bytes.writeUInt32LE(body.length, 0);
    bytes.writeUInt32LE(crc32(body), 4);
    bytes.set(body, HEADER_BYTES);
    writeFully(this.#descriptor, bytes);
    this.#bytes += bytes.length;
    this.#written += 1;
  }

  /** Resolves when everything appended so far is on disk. Calls made meanwhile share one fdatasync. */
  sync(): Promise<void> {
    if (this.#synced === this.#written) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ upTo: this.#written, resolve, reject });
      this.#syncNext();
    });
  }

  /** Ends the use of the file. Whoever waits for it to be on disk is told so: a journal is closed after a checkpoint, which holds it all. */
  close(): void {
    closeSync(this.#descriptor);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const entry of waiting) entry.resolve();
  }

  #syncNext(): void {
    if (this.#syncing || this.#waiting.length === 0) return;
    this.#syncing = true;
    const upTo = this.#written;
    fdatasync(this.#descriptor, (error) => {
      this.#syncing = false;
      const done = this.#waiting.filter((entry) => entry.upTo <= upTo);
      this.#waiting = this.#waiting.filter((entry) => entry.upTo > upTo);
      if (error === null) this.#synced = Math.max(this.#synced, upTo);
      for (const entry of done) {
        if (error === null) entry.resolve();
        else entry.reject(error);
      }
      this.#syncNext();
    });
  }
}
