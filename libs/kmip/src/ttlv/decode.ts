import {
  DEFAULT_TTLV_LIMITS,
  HEADER_BYTES,
  isTag,
  paddedLength,
  tagText,
  TTLV_TYPE_CODES,
  type TtlvItem,
  type TtlvLimits,
  type TtlvType,
} from './item.js';
import { TtlvError, type TtlvErrorCode } from './ttlv-error.js';

const TYPES = new Map<number, TtlvType>(Object.entries(TTLV_TYPE_CODES).map(([name, code]) => [code, name as TtlvType]));

/** Lengths of the types that have only one. */
const FIXED_LENGTHS: Partial<Record<TtlvType, number>> = {
  Integer: 4,
  LongInteger: 8,
  Enumeration: 4,
  Boolean: 8,
  DateTime: 8,
  Interval: 4,
};

/**
 * Reads exactly one item from bytes that a hostile peer may have chosen. Tag, type, exact length, room in the structure around it,
 * padding, depth and number of items are checked before a value is read. Throws `TtlvError`, and nothing else.
 */
export function decodeTtlv(bytes: Uint8Array, limits: Partial<TtlvLimits> = {}): TtlvItem {
  const { maxMessageBytes } = { ...DEFAULT_TTLV_LIMITS, ...limits };
  if (bytes.length > maxMessageBytes) {
    throw new TtlvError('TTLV.TOO_LARGE', `The message has ${bytes.length} bytes, more than ${maxMessageBytes}`, 0, '');
  }
  const decoder = new Decoder(bytes, { ...DEFAULT_TTLV_LIMITS, ...limits });
  const { item, end } = decoder.read(0, bytes.length, 1, null);
  if (end !== bytes.length) throw new TtlvError('TTLV.TRAILING_BYTES', `${bytes.length - end} bytes follow the message`, end, '');
  return item;
}

/** Where an item stands; turned into text only when something is wrong. */
interface Place {
  readonly tag: number;
  readonly index: number | null;
  readonly parent: Place | null;
}

const pathOf = (place: Place | null): string => {
  const parts: string[] = [];
  for (let at = place; at !== null; at = at.parent) parts.unshift(`${tagText(at.tag)}${at.index === null ? '' : `[${at.index}]`}`);
  return parts.join('/');
};

class Decoder {
  private readonly buffer: Buffer;
  private items = 0;
  private readonly text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

  constructor(
    bytes: Uint8Array,
    private readonly limits: TtlvLimits,
  ) {
    this.buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The item that starts at `offset` and must end by `limit`. */
  read(offset: number, limit: number, depth: number, parent: Place | null, index: number | null = null): { item: TtlvItem; end: number } {
    const fail = (code: TtlvErrorCode, what: string, at: Place | null = parent): never => {
      throw new TtlvError(code, what, offset, pathOf(at));
    };
    this.items += 1;
    if (this.items > this.limits.maxItems) fail('TTLV.TOO_MANY_ITEMS', `The message has more than ${this.limits.maxItems} items`);
    if (limit - offset < HEADER_BYTES) {
      fail(
        parent === null ? 'TTLV.TRUNCATED' : 'TTLV.OVERRUN',
        `${limit - offset} bytes are left for the ${HEADER_BYTES} of tag, type and length`,
      );
    }
    const tag = this.buffer.readUIntBE(offset, 3);
    const place: Place = { tag, index, parent };
    if (!isTag(tag)) fail('TTLV.TAG_INVALID', 'A tag is 42xxxx or 54xxxx', place);
    const code = this.buffer.readUInt8(offset + 3);
    const type = TYPES.get(code) ?? fail('TTLV.TYPE_UNKNOWN', `No item has the type ${code}`, place);
    const length = this.buffer.readUInt32BE(offset + 4);
    const at = offset + HEADER_BYTES;
    const expected = FIXED_LENGTHS[type];
    if (expected !== undefined && length !== expected) fail('TTLV.LENGTH_WRONG', `A ${type} has ${expected} bytes, not ${length}`, place);
    // Children are padded, so a structure's own length is always aligned.
    if ((type === 'Structure' || type === 'BigInteger') && (length % 8 !== 0 || (length === 0 && type === 'BigInteger'))) {
      fail('TTLV.LENGTH_WRONG', `A ${type} has a multiple of 8 bytes, not ${length}`, place);
    }
    const end = at + paddedLength(length);
    if (end > limit) {
      fail(parent === null ? 'TTLV.TRUNCATED' : 'TTLV.OVERRUN', `The item needs ${end - at} bytes, ${limit - at} are left`, place);
    }
    for (let padding = at + length; padding < end; padding += 1) {
      if (this.buffer[padding] !== 0) fail('TTLV.PADDING_WRONG', 'The padding is not zero', place);
    }
    if (type === 'Structure') {
      if (depth > this.limits.maxDepth) fail('TTLV.TOO_DEEP', `More than ${this.limits.maxDepth} structures are inside each other`, place);
      return { item: { tag, type, value: this.children(at, end, depth, place) }, end };
    }
    return { item: this.scalar(tag, type, at, length, (what) => fail('TTLV.VALUE_WRONG', what, place)), end };
  }

  private children(start: number, end: number, depth: number, place: Place): TtlvItem[] {
    const items: TtlvItem[] = [];
    for (let offset = start; offset < end;) {
      const child = this.read(offset, end, depth + 1, place, items.length);
      items.push(child.item);
      offset = child.end;
    }
    return items;
  }

  private scalar(tag: number, type: Exclude<TtlvType, 'Structure'>, at: number, length: number, fail: (what: string) => never): TtlvItem {
    const { buffer } = this;
    switch (type) {
      case 'Integer':
        return { tag, type, value: buffer.readInt32BE(at) };
      case 'Enumeration':
      case 'Interval':
        return { tag, type, value: buffer.readUInt32BE(at) };
      case 'LongInteger':
      case 'DateTime':
        return { tag, type, value: buffer.readBigInt64BE(at) };
      case 'BigInteger':
        return { tag, type, value: BigInt.asIntN(length * 8, BigInt(`0x${buffer.toString('hex', at, at + length)}`)) };
      case 'Boolean': {
        const value = buffer.readBigUInt64BE(at);
        return value > 1n ? fail('A Boolean is 0 or 1') : { tag, type, value: value === 1n };
      }
      case 'TextString': {
        const value = this.textOf(buffer.subarray(at, at + length)) ?? fail('A Text String is UTF-8 without NUL');
        return { tag, type, value };
      }
      case 'ByteString':
        return { tag, type, value: buffer.subarray(at, at + length) };
    }
  }

  private textOf(bytes: Uint8Array): string | null {
    if (bytes.includes(0)) return null;
    try {
      return this.text.decode(bytes);
    } catch {
      return null;
    }
  }
}
