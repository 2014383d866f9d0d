// Loaded by worker threads straight from the source in tests: erasable TypeScript only, and no import that needs a build.
import { createCipheriv, createDecipheriv, createHmac, randomFillSync } from 'node:crypto';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

/** A file is cut in blocks of this size: WiredTiger rewrites files in place, so fixed borders find what stayed. */
export const BLOCK_BYTES = 4 * 1024 * 1024;
/** Bytes of a block's name (HMAC-SHA-256). */
export const NAME_BYTES = 32;

const MAGIC = Buffer.from('ATRB');
const VERSION = 1;
const CODEC_NONE = 0;
const CODEC_ZSTD = 1;
const HEADER_BYTES = 12;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** A sealed block is longer than its content by this much. */
export const BLOCK_OVERHEAD_BYTES = HEADER_BYTES + NONCE_BYTES + TAG_BYTES;
/** OpenSSL through Node is about twice as fast in pieces of this size as in one call over 4 MiB (tools/bench/snapshots.mjs). */
const PIECE_BYTES = 256 * 1024;
/** Compression is kept only where it saves at least this part: below, reading back costs more than the space is worth. */
const WORTH_KEEPING = 0.9;

/** What is needed to name, seal and open the blocks of one epoch. Plain bytes, so that it can be handed to a thread. */
export interface BlockKeys {
  readonly epochId: Uint8Array;
  readonly name: Uint8Array;
  readonly block: Uint8Array;
}

/** Thrown when a sealed block cannot be opened. `reason` fits behind 'The object … is not what was stored there: '. */
export class BlockRefusedError extends Error {
  readonly reason: string;

  constructor(reason: string) {
    super(`The block cannot be opened: ${reason}.`);
    this.name = 'BlockRefusedError';
    this.reason = reason;
  }
}

function* piecesOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, Math.min(at + PIECE_BYTES, bytes.length));
}

/**
 * Gives memory back at once. The collector of garbage sees only the small objects in front of such memory and would let hundreds of MiB of it
 * pile up before it thinks of running.
 */
export function release(bytes: Buffer): void {
  if (bytes.buffer instanceof ArrayBuffer && bytes.buffer.byteLength === bytes.length) bytes.buffer.transfer(0);
}

/** Copies what a cipher gave out to its place. Answers how many bytes that were. */
function place(output: Buffer, target: Buffer, at: number): number {
  const copied = output.copy(target, at);
  release(output);
  return copied;
}

/** The block's name: equal content has equal names within an epoch, and nobody without its key can tell what a name stands for. */
export function nameOfBlock(keys: BlockKeys, content: Uint8Array): Buffer {
  const hmac = createHmac('sha256', keys.name);
  for (const piece of piecesOf(content)) hmac.update(piece);
  return hmac.digest();
}

/** What the tag authenticates beside the content: a block cannot stand in for another, nor for one of another epoch. */
function authenticated(keys: BlockKeys, header: Uint8Array, name: Uint8Array): Buffer {
  return Buffer.concat([header, keys.epochId, name]);
}

/**
 * Seals a block's content. The nonce is random: an epoch may hold 2^32 blocks (16 EiB) before NIST SP 800-38D asks for a new key.
 *
 * @param scratch where to put the result when it is large enough; otherwise memory is allocated.
 */
export function sealBlock(keys: BlockKeys, name: Uint8Array, content: Uint8Array, o: { compress: boolean; scratch?: ArrayBuffer }): Buffer {
  if (content.length === 0 || content.length > BLOCK_BYTES) throw new RangeError(`a block has 1 to ${BLOCK_BYTES} bytes`);
  const packed = o.compress ? compressed(content) : undefined;
  const body = packed ?? content;
  const length = body.length + BLOCK_OVERHEAD_BYTES;
  const sealed =
    o.scratch !== undefined && o.scratch.byteLength >= length ? Buffer.from(o.scratch, 0, length) : Buffer.allocUnsafeSlow(length);
  MAGIC.copy(sealed, 0);
  sealed[4] = VERSION;
  sealed[5] = packed === undefined ? CODEC_NONE : CODEC_ZSTD;
  sealed.writeUInt16BE(0, 6);
  sealed.writeUInt32BE(content.length, 8);
  const nonce = sealed.subarray(HEADER_BYTES, HEADER_BYTES + NONCE_BYTES);
  randomFillSync(nonce);
  const cipher = createCipheriv('aes-256-gcm', keys.block, nonce);
  cipher.setAAD(authenticated(keys, sealed.subarray(0, HEADER_BYTES), name));
  let at = HEADER_BYTES + NONCE_BYTES;
  for (const piece of piecesOf(body)) at += place(cipher.update(piece), sealed, at);
  cipher.final();
  cipher.getAuthTag().copy(sealed, at);
  return sealed;
}

function compressed(content: Uint8Array): Buffer | undefined {
  const packed = zstdCompressSync(content, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
  return packed.length < content.length * WORTH_KEEPING ? packed : undefined;
}

/**
 * Opens a sealed block that was stored under this name. Every length is checked before it is used.
 *
 * @throws BlockRefusedError
 */
export function openBlock(keys: BlockKeys, name: Uint8Array, sealed: Uint8Array): Buffer {
  const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.length);
  if (bytes.length === 0) throw new BlockRefusedError('it is empty');
  if (bytes.length <= BLOCK_OVERHEAD_BYTES) throw new BlockRefusedError(`it has only ${bytes.length} bytes`);
  if (!bytes.subarray(0, 4).equals(MAGIC)) throw new BlockRefusedError('it is no block');
  if (bytes[4] !== VERSION) throw new BlockRefusedError(`its format version is ${bytes[4]}`);
  const codec = bytes[5]!;
  if (codec !== CODEC_NONE && codec !== CODEC_ZSTD) throw new BlockRefusedError(`its codec ${codec} is unknown`);
  const contentLength = bytes.readUInt32BE(8);
  if (contentLength === 0 || contentLength > BLOCK_BYTES) throw new BlockRefusedError(`its content would have ${contentLength} bytes`);
  const start = HEADER_BYTES + NONCE_BYTES;
  const end = bytes.length - TAG_BYTES;
  if (codec === CODEC_NONE && end - start !== contentLength) throw new BlockRefusedError('its length does not fit its content');
  const decipher = createDecipheriv('aes-256-gcm', keys.block, bytes.subarray(HEADER_BYTES, start), { authTagLength: TAG_BYTES });
  decipher.setAAD(authenticated(keys, bytes.subarray(0, HEADER_BYTES), name));
  decipher.setAuthTag(bytes.subarray(end));
  const body = Buffer.allocUnsafeSlow(end - start);
  let at = 0;
  for (const piece of piecesOf(bytes.subarray(start, end))) at += place(decipher.update(piece), body, at);
  try {
    decipher.final();
  } catch {
    throw new BlockRefusedError('it was changed, belongs elsewhere, or is sealed under another key');
  }
  if (codec === CODEC_NONE) return body;
  // Authenticated by now, so only a fault of ours could make it larger; the limit keeps that from taking all memory.
  const content = zstdDecompressSync(body, { maxOutputLength: BLOCK_BYTES });
  if (content.length !== contentLength) throw new BlockRefusedError('its length does not fit its content');
  return content;
}
