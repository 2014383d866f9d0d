import { DEFAULT_TTLV_LIMITS, HEADER_BYTES, paddedLength, TTLV_TYPE_CODES } from './item.js';
import { TtlvError } from './ttlv-error.js';

/** Enough for every answer that a check of a key needs, so that most messages never grow the buffer. */
const INITIAL_BYTES = 4096;

/**
 * Cuts a byte stream into messages. A message is one structure; its length is all the framing there is. What the length claims is
 * compared with the limit as soon as it is known, and memory grows only with bytes that really arrived.
 */
export class MessageFrames {
  private buffer = Buffer.alloc(INITIAL_BYTES);
  private filled = 0;

  constructor(
    /** Tag of the only kind of message that may arrive, e.g. 42007B for responses. */
    private readonly tag: number,
    private readonly maxMessageBytes: number = DEFAULT_TTLV_LIMITS.maxMessageBytes,
  ) {}

  /** Bytes of a message that is not complete yet. */
  get pendingBytes(): number {
    return this.filled;
  }

  /** Takes the next bytes of the stream and gives the messages that are complete now. Throws `TtlvError`; the stream is then lost. */
  push(chunk: Uint8Array): Buffer[] {
    const messages: Buffer[] = [];
    // In pieces, so that a chunk that holds more than one message may is found out before it is kept.
    for (let from = 0; from < chunk.length;) {
      const size = this.messageSize();
      const wanted = (size ?? HEADER_BYTES) - this.filled;
      const piece = chunk.subarray(from, from + wanted);
      this.append(piece);
      from += piece.length;
      if (this.filled === this.messageSize()) messages.push(this.take());
    }
    return messages;
  }

  private append(piece: Uint8Array): void {
    const needed = this.filled + piece.length;
    if (needed > this.buffer.length) {
      const grown = Buffer.alloc(Math.max(needed, Math.min(this.buffer.length * 2, this.maxMessageBytes)));
      this.buffer.copy(grown, 0, 0, this.filled);
      this.buffer.fill(0);
      this.buffer = grown;
    }
    this.buffer.set(piece, this.filled);
    this.filled = needed;
  }

  /** The size of the message that begins in the buffer; null when its header is not complete. */
  private messageSize(): number | null {
    if (this.filled < HEADER_BYTES) return null;
    const header = this.buffer;
    if (header.readUIntBE(0, 3) !== this.tag) throw new TtlvError('TTLV.TAG_INVALID', 'The stream does not continue with a message', 0, '');
    if (header.readUInt8(3) !== TTLV_TYPE_CODES.Structure) throw new TtlvError('TTLV.TYPE_UNKNOWN', 'A message is a structure', 0, '');
    const length = header.readUInt32BE(4);
    // Children are padded, so a structure's own length is always aligned.
    if (length !== paddedLength(length)) throw new TtlvError('TTLV.LENGTH_WRONG', 'The length of a structure is a multiple of 8', 0, '');
    const size = HEADER_BYTES + length;
    if (size > this.maxMessageBytes) {
      throw new TtlvError('TTLV.TOO_LARGE', `The message claims ${size} bytes, more than ${this.maxMessageBytes}`, 0, '');
    }
    return size;
  }

  /** The message as bytes of its own; what is kept here is wiped, because an answer may hold a key. */
  private take(): Buffer {
    const message = Buffer.from(this.buffer.subarray(0, this.filled));
    this.buffer.fill(0, 0, this.filled);
    this.filled = 0;
    return message;
  }
}
