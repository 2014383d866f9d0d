import { type Doc, decodeDocument, encodeDocument } from '../bson-values.js';
import { crc32c } from './crc32c.js';

/** Largest message mongod accepts, in bytes (`maxMessageSizeBytes` in its hello). */
export const MAX_MESSAGE_BYTES = 48_000_000;
/** Largest document, in bytes (`maxBsonObjectSize`), with the 16 KiB of headroom mongod gives internal fields. */
export const MAX_DOCUMENT_BYTES = 16 * 1024 * 1024 + 16 * 1024;
const HEADER_BYTES = 16;

export const OP_REPLY = 1;
export const OP_QUERY = 2004;
export const OP_MSG = 2013;

const FLAG_CHECKSUM = 1;
const FLAG_MORE_TO_COME = 2;
const FLAG_EXHAUST_ALLOWED = 1 << 16;

/** Bytes that are not a message of the wire protocol. The connection they came on is closed. */
export class WireError extends Error {
  readonly code = 'WIRE_PROTOCOL';
}

/** A command as it arrived, whichever of the two request forms carried it. */
export interface WireRequest {
  requestId: number;
  form: 'msg' | 'query';
  database: string;
  command: Doc;
  /** The sender wants no reply. */
  moreToCome: boolean;
  /** The sender takes several replies to this one request (streaming hello). */
  exhaustAllowed: boolean;
}

/** A reply as a client of the wire protocol sees it. */
export interface WireReply {
  responseTo: number;
  document: Doc;
  moreToCome: boolean;
}

/** Length of the message that starts at the head of `bytes`. Throws {@link WireError} for a length no message can have. */
export function messageLength(bytes: Buffer): number {
  const length = bytes.readInt32LE(0);
  if (length < HEADER_BYTES || length > MAX_MESSAGE_BYTES) throw new WireError(`message length ${length} is invalid`);
  return length;
}

function documentAt(bytes: Buffer, offset: number, end: number): { document: Doc; next: number } {
  if (offset + 5 > end) throw new WireError('a document is cut off');
  const size = bytes.readInt32LE(offset);
  if (size < 5 || size > MAX_DOCUMENT_BYTES || offset + size > end) throw new WireError(`document length ${size} is invalid`);
  try {
    return { document: decodeDocument(bytes.subarray(offset, offset + size)), next: offset + size };
  } catch (error) {
    // The decoder throws various classes (among them RangeError for nesting that exhausts the stack): for the peer they are one thing.
    throw new WireError(`invalid BSON: ${error instanceof Error ? error.message : 'unknown'}`);
  }
}

function cstringAt(bytes: Buffer, offset: number, end: number): { text: string; next: number } {
  const stop = bytes.indexOf(0, offset);
  if (stop < 0 || stop >= end) throw new WireError('a string is not terminated');
  return { text: bytes.toString('utf8', offset, stop), next: stop + 1 };
}

interface MsgBody {
  document: Doc;
  moreToCome: boolean;
  exhaustAllowed: boolean;
}

function decodeMsg(message: Buffer): MsgBody {
  if (message.length < HEADER_BYTES + 4 + 1 + 5) throw new WireError('OP_MSG is too short');
  const flags = message.readUInt32LE(HEADER_BYTES);
  const unknownRequired = flags & 0xffff & ~(FLAG_CHECKSUM | FLAG_MORE_TO_COME);
  if (unknownRequired !== 0) throw new WireError(`OP_MSG has unknown required flags ${unknownRequired}`);
  let end = message.length;
  if (flags & FLAG_CHECKSUM) {
    end -= 4;
    if (message.readUInt32LE(end) !== crc32c(message.subarray(0, end))) throw new WireError('OP_MSG checksum does not match contents');
  }
  let offset = HEADER_BYTES + 4;
  let body: Doc | undefined;
  const sequences = new Map<string, Doc[]>();
  while (offset < end) {
    const kind = message[offset];
    offset += 1;
    if (kind === 0) {
      if (body !== undefined) throw new WireError('OP_MSG has two bodies');
      const part = documentAt(message, offset, end);
      body = part.document;
      offset = part.next;
    } else if (kind === 1) {
      if (offset + 4 > end) throw new WireError('a document sequence is cut off');
      const size = message.readInt32LE(offset);
      const stop = offset + size;
      if (size < 5 || stop > end) throw new WireError(`document sequence length ${size} is invalid`);
      const name = cstringAt(message, offset + 4, stop);
      if (sequences.has(name.text)) throw new WireError(`document sequence '${name.text}' comes twice`);
      const documents: Doc[] = [];
      let at = name.next;
      while (at < stop) {
        const part = documentAt(message, at, stop);
        documents.push(part.document);
        at = part.next;
      }
      sequences.set(name.text, documents);
      offset = stop;
    } else {
      throw new WireError(`OP_MSG section kind ${kind} is unknown`);
    }
  }
  if (body === undefined) throw new WireError('OP_MSG has no body');
  for (const [name, documents] of sequences) {
    if (name in body) throw new WireError(`'${name}' is both in the body and a document sequence`);
    body[name] = documents;
  }
  return { document: body, moreToCome: (flags & FLAG_MORE_TO_COME) !== 0, exhaustAllowed: (flags & FLAG_EXHAUST_ALLOWED) !== 0 };
}

/** Decodes one complete message into a command. Throws {@link WireError} for anything that is not one. */
export function decodeRequest(message: Buffer): WireRequest {
  if (message.length < HEADER_BYTES || messageLength(message) !== message.length)
    throw new WireError('message length does not match its bytes');
  const requestId = message.readInt32LE(4);
  const opCode = message.readInt32LE(12);
  if (opCode === OP_MSG) {
    const { document, moreToCome, exhaustAllowed } = decodeMsg(message);
    const database = document['$db'];
    if (typeof database !== 'string' || database === '') throw new WireError('OP_MSG requests require a $db argument');
    return { requestId, form: 'msg', database, command: document, moreToCome, exhaustAllowed };
  }
  if (opCode === OP_QUERY) {
    const name = cstringAt(message, HEADER_BYTES + 4, message.length);
    const dot = name.text.indexOf('.');
    if (dot <= 0 || name.text.slice(dot) !== '.$cmd') throw new WireError('OP_QUERY is answered for commands only');
    const { document } = documentAt(message, name.next + 8, message.length);
    const wrapped = document['$query'];
    const command = typeof wrapped === 'object' && wrapped !== null ? (wrapped as Doc) : document;
    return { requestId, form: 'query', database: name.text.slice(0, dot), command, moreToCome: false, exhaustAllowed: false };
  }
  throw new WireError(`opcode ${opCode} is not supported`);
}

/** Decodes one complete OP_MSG reply. Throws {@link WireError}. */
export function decodeReply(message: Buffer): WireReply {
  if (message.length < HEADER_BYTES || messageLength(message) !== message.length)
    throw new WireError('message length does not match its bytes');
  if (message.readInt32LE(12) !== OP_MSG) throw new WireError('a reply must be OP_MSG');
  const { document, moreToCome } = decodeMsg(message);
  return { responseTo: message.readInt32LE(8), document, moreToCome };
}

function header(length: number, requestId: number, responseTo: number, opCode: number): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES);
  bytes.writeInt32LE(length, 0);
  bytes.writeInt32LE(requestId, 4);
  bytes.writeInt32LE(responseTo, 8);
  bytes.writeInt32LE(opCode, 12);
  return bytes;
}

/** Encodes an OP_MSG with one body section. */
export function encodeMsg(
  document: Doc,
  ids: { requestId: number; responseTo: number },
  flags: { moreToCome?: boolean; exhaustAllowed?: boolean; checksum?: boolean } = {},
): Buffer {
  const body = encodeDocument(document);
  const checksum = flags.checksum === true;
  const length = HEADER_BYTES + 4 + 1 + body.length + (checksum ? 4 : 0);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32LE(
    ((flags.moreToCome ? FLAG_MORE_TO_COME : 0) | (flags.exhaustAllowed ? FLAG_EXHAUST_ALLOWED : 0) | (checksum ? FLAG_CHECKSUM : 0)) >>> 0,
  );
  const parts = [header(length, ids.requestId, ids.responseTo, OP_MSG), prefix, body];
  if (checksum) {
    const sum = Buffer.alloc(4);
    sum.writeUInt32LE(crc32c(Buffer.concat(parts)));
    parts.push(sum);
  }
  return Buffer.concat(parts, length);
}

/** Encodes an OP_REPLY with one document: the answer to an OP_QUERY. */
export function encodeReply(document: Doc, ids: { requestId: number; responseTo: number }): Buffer {
  const body = encodeDocument(document);
  const prefix = Buffer.alloc(20);
  prefix.writeInt32LE(8, 0); // responseFlags: AwaitCapable, which mongod always sets
  prefix.writeInt32LE(1, 16); // numberReturned
  const length = HEADER_BYTES + prefix.length + body.length;
  return Buffer.concat([header(length, ids.requestId, ids.responseTo, OP_REPLY), prefix, body], length);
}

/** Cuts a byte stream into messages. Holds at most one incomplete message. */
export class MessageSplitter {
  #chunks: Buffer[] = [];
  #held = 0;

  /** Adds bytes and returns the messages that are now complete. Throws {@link WireError} for an impossible length. */
  push(chunk: Buffer): Buffer[] {
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    const messages: Buffer[] = [];
    for (;;) {
      if (this.#held < 4) return messages;
      if ((this.#chunks[0] as Buffer).length < 4) this.#join();
      const length = messageLength(this.#chunks[0] as Buffer);
      if (this.#held < length) return messages;
      this.#join();
      const bytes = this.#chunks[0] as Buffer;
      messages.push(bytes.subarray(0, length));
      this.#chunks = length === bytes.length ? [] : [bytes.subarray(length)];
      this.#held = bytes.length - length;
    }
  }

  #join(): void {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks, this.#held)];
  }
}
