import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { type Doc, decodeDocument, encodeDocument } from '../bson-values.js';
import type { PageCipher } from './cipher.js';

const PAGE_BYTES = 1 << 20;
const LENGTH_BYTES = 4;

/** A data file does not hold what a data file holds. */
export class DataFileError extends Error {
  readonly code = 'DATA_FILE';
}

/** Writes documents one after the other, on disk when it returns. Encrypted, the file is a row of pages, each [length u32][page]. */
export function writeDocuments(file: string, documents: readonly Doc[], cipher: PageCipher | undefined): void {
  const descriptor = openSync(file, 'w', 0o600);
  try {
    let pending: Uint8Array[] = [];
    let size = 0;
    const flush = (): void => {
      if (size === 0) return;
      const page = Buffer.concat(pending);
      writeFully(descriptor, cipher === undefined ? page : framed(cipher.seal(page)));
      pending = [];
      size = 0;
    };
    for (const document of documents) {
      const bytes = encodeDocument(document);
      pending.push(bytes);
      size += bytes.length;
      if (size > PAGE_BYTES) flush();
    }
    flush();
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Throws {@link DataFileError}, or a CipherError when the key is another one. */
export function readDocuments(file: string, cipher: PageCipher | undefined): Doc[] {
  const bytes = readFileSync(file);
  const plain = cipher === undefined ? bytes : Buffer.concat(pagesOf(file, bytes).map((page) => cipher.open(page)));
  const documents: Doc[] = [];
  let offset = 0;
  while (offset < plain.length) {
    if (offset + 5 > plain.length) throw new DataFileError(`${file} is cut off`);
    const size = plain.readInt32LE(offset);
    if (size < 5 || offset + size > plain.length) throw new DataFileError(`${file} is damaged at ${offset}`);
    documents.push(decodeDocument(plain.subarray(offset, offset + size)));
    offset += size;
  }
  return documents;
}

/** Writes all of it. */
export function writeFully(descriptor: number, bytes: Uint8Array): void {
  let offset = 0;
  while (offset < bytes.length) offset += writeSync(descriptor, bytes, offset);
}

function framed(page: Buffer): Buffer {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(page.length);
  return Buffer.concat([length, page]);
}

function pagesOf(file: string, bytes: Buffer): Buffer[] {
  const pages: Buffer[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const end = offset + LENGTH_BYTES <= bytes.length ? offset + LENGTH_BYTES + bytes.readUInt32LE(offset) : Infinity;
    if (end > bytes.length) throw new DataFileError(`${file} is cut off`);
    pages.push(bytes.subarray(offset + LENGTH_BYTES, end));
    offset = end;
  }
  return pages;
}
