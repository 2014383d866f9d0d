import { HEADER_BYTES, isTag, paddedLength, tagText, TTLV_TYPE_CODES, type TtlvItem } from './item.js';
import { TtlvError } from './ttlv-error.js';

/** The bytes of an item. Throws `TtlvError` VALUE_WRONG or TAG_INVALID for what TTLV cannot hold, rather than writing something else. */
export function encodeTtlv(item: TtlvItem): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + paddedLength(valueLength(item, '')));
  write(item, bytes, 0);
  return bytes;
}

const step = (path: string, item: TtlvItem, index?: number): string =>
  `${path}${path === '' ? '' : '/'}${tagText(item.tag)}${index === undefined ? '' : `[${index}]`}`;

const wrong = (what: string, path: string): TtlvError => new TtlvError('TTLV.VALUE_WRONG', what, 0, path);

/** The length of the value without padding; what cannot be written is refused here, before anything is allocated. */
function valueLength(item: TtlvItem, parent: string, index?: number): number {
  const path = step(parent, item, index);
  if (!isTag(item.tag)) throw new TtlvError('TTLV.TAG_INVALID', 'A tag is 42xxxx or 54xxxx', 0, path);
  switch (item.type) {
    case 'Structure': {
      let sum = 0;
      for (const [at, child] of item.value.entries()) sum += HEADER_BYTES + paddedLength(valueLength(child, path, at));
      return sum;
    }
    case 'Integer':
      if ((item.value | 0) !== item.value) throw wrong('An Integer has 32 bits with a sign', path);
      return 4;
    case 'Enumeration':
    case 'Interval':
      if (item.value >>> 0 !== item.value) throw wrong(`An ${item.type} has 32 bits without a sign`, path);
      return 4;
    case 'LongInteger':
    case 'DateTime':
      if (BigInt.asIntN(64, item.value) !== item.value) throw wrong(`A ${item.type} has 64 bits with a sign`, path);
      return 8;
    case 'Boolean':
      return 8;
    case 'BigInteger':
      return bigIntegerBytes(item.value);
    case 'TextString':
      if (!item.value.isWellFormed() || item.value.includes('\0')) throw wrong('A Text String is well-formed Unicode without NUL', path);
      return Buffer.byteLength(item.value, 'utf8');
    case 'ByteString':
      return item.value.length;
  }
}

function write(item: TtlvItem, bytes: Buffer, offset: number): number {
  const length = valueLength(item, '');
  bytes.writeUIntBE(item.tag, offset, 3);
  bytes.writeUInt8(TTLV_TYPE_CODES[item.type], offset + 3);
  bytes.writeUInt32BE(length, offset + 4);
  const at = offset + HEADER_BYTES;
  switch (item.type) {
    case 'Structure': {
      let next = at;
      for (const child of item.value) next = write(child, bytes, next);
      break;
    }
    case 'Integer':
      bytes.writeInt32BE(item.value, at);
      break;
    case 'Enumeration':
    case 'Interval':
      bytes.writeUInt32BE(item.value, at);
      break;
    case 'LongInteger':
    case 'DateTime':
      bytes.writeBigInt64BE(item.value, at);
      break;
    case 'Boolean':
      bytes.writeUInt8(item.value ? 1 : 0, at + 7);
      break;
    case 'BigInteger': {
      const unsigned = BigInt.asUintN(length * 8, item.value);
      bytes.write(unsigned.toString(16).padStart(length * 2, '0'), at, 'hex');
      break;
    }
    case 'TextString':
      bytes.write(item.value, at, 'utf8');
      break;
    case 'ByteString':
      bytes.set(item.value, at);
      break;
  }
  return at + paddedLength(length);
}

/** Two's complement with its sign bit, rounded up to the multiple of 8 bytes that KMIP asks for. */
function bigIntegerBytes(value: bigint): number {
  const magnitude = value < 0n ? -value - 1n : value;
  const bits = magnitude === 0n ? 1 : magnitude.toString(2).length + 1;
  return paddedLength(Math.ceil(bits / 8));
}
