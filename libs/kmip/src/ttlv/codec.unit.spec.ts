import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { arbitraryItem, damage, fuzzRuns } from './arbitrary-item.contract.js';
import { decodeTtlv } from './decode.js';
import { encodeTtlv } from './encode.js';
import type { TtlvItem, TtlvLimits } from './item.js';
import { TtlvError, type TtlvErrorCode } from './ttlv-error.js';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/[ |]/g, ''), 'hex');

// The examples of the KMIP specification, section 9.1.2.
const EXAMPLES: [string, string, TtlvItem][] = [
  ['an Integer 8', '420020 02 00000004 0000000800000000', { tag: 0x420020, type: 'Integer', value: 8 }],
  ['a Long Integer', '420020 03 00000008 01B69B4BA5749200', { tag: 0x420020, type: 'LongInteger', value: 123456789000000000n }],
  [
    'a Big Integer',
    '420020 04 00000010 0000000003FD35EB6BC2DF4618080000',
    { tag: 0x420020, type: 'BigInteger', value: 1234567890000000000000000000n },
  ],
  ['an Enumeration 255', '420020 05 00000004 000000FF00000000', { tag: 0x420020, type: 'Enumeration', value: 255 }],
  ['a Boolean True', '420020 06 00000008 0000000000000001', { tag: 0x420020, type: 'Boolean', value: true }],
  ['a Text String', '420020 07 0000000B 48656C6C6F20576F726C640000000000', { tag: 0x420020, type: 'TextString', value: 'Hello World' }],
  ['a Byte String', '420020 08 00000003 0102030000000000', { tag: 0x420020, type: 'ByteString', value: Buffer.from([1, 2, 3]) }],
  [
    'a Date-Time',
    '420020 09 00000008 0000000047DA67F8',
    { tag: 0x420020, type: 'DateTime', value: BigInt(Date.UTC(2008, 2, 14, 11, 56, 40) / 1000) },
  ],
  ['an Interval of ten days', '420020 0A 00000004 000D2F0000000000', { tag: 0x420020, type: 'Interval', value: 864_000 }],
  [
    'a Structure',
    '420020 01 00000020 420004 05 00000004 000000FE00000000 420005 02 00000004 000000FF00000000',
    {
      tag: 0x420020,
      type: 'Structure',
      value: [
        { tag: 0x420004, type: 'Enumeration', value: 254 },
        { tag: 0x420005, type: 'Integer', value: 255 },
      ],
    },
  ],
];

const errorOf = (run: () => unknown): TtlvError => {
  try {
    run();
  } catch (error) {
    if (error instanceof TtlvError) return error;
    throw error;
  }
  throw new Error('it was accepted');
};

const nested = (depth: number): TtlvItem => {
  let item: TtlvItem = { tag: 0x420001, type: 'Integer', value: 1 };
  for (let level = 0; level < depth; level += 1) item = { tag: 0x420002, type: 'Structure', value: [item] };
  return item;
};

describe('TTLV', () => {
  it.each(EXAMPLES)('reads and writes %s as the specification does', (_, text, item) => {
    expect(encodeTtlv(item).toString('hex')).toBe(hex(text).toString('hex'));
    expect(decodeTtlv(hex(text))).toEqual(item);
  });

  it('gives back any item that was written', () => {
    fc.assert(
      fc.property(arbitraryItem, (item) => {
        const bytes = encodeTtlv(item);
        expect(bytes.length % 8).toBe(0);
        expect(encodeTtlv(decodeTtlv(bytes))).toEqual(bytes);
        // Byte strings come back as buffers: the same bytes in another class.
        expect(JSON.stringify(decodeTtlv(bytes), plain)).toBe(JSON.stringify(item, plain));
      }),
    );
  });

  it('answers damaged bytes with a value or an error that says where, never with anything else', () => {
    fc.assert(
      fc.property(arbitraryItem, fc.array(damage, { minLength: 1, maxLength: 4 }), (item, damages) => {
        const bytes = damages.reduce((before, apply) => apply(before), encodeTtlv(item));
        try {
          // What was accepted is canonical but for the width of big integers: it can be written, and is then read as the same.
          const again = decodeTtlv(bytes);
          expect(JSON.stringify(decodeTtlv(encodeTtlv(again)), plain)).toBe(JSON.stringify(again, plain));
        } catch (error) {
          expect(error).toBeInstanceOf(TtlvError);
          const { code, offset } = error as TtlvError;
          expect(code).toMatch(/^TTLV\.[A-Z_]+$/);
          expect(offset).toBeGreaterThanOrEqual(0);
          expect(offset).toBeLessThanOrEqual(bytes.length);
        }
      }),
      fuzzRuns(500),
    );
  });

  it('answers random bytes the same way', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(() => decodeTtlv(Buffer.concat([hex('420078 01'), bytes]))).toThrow(TtlvError);
      }),
    );
  });

  const refused: [string, string, TtlvErrorCode, Partial<TtlvLimits>?][] = [
    ['F24 an empty message', '', 'TTLV.TRUNCATED'],
    ['F24 a truncated header', '42007801000000', 'TTLV.TRUNCATED'],
    ['F24 a truncated value', '420020 08 00000009 0102030405060708', 'TTLV.TRUNCATED'],
    ['F24 a length of 4 GiB', '420020 08 FFFFFFFF 0102030405060708', 'TTLV.TRUNCATED'],
    ['F24 a structure of 4 GiB', '420078 01 FFFFFFF8 0102030405060708', 'TTLV.TRUNCATED'],
    ['an item that is longer than the structure around it', '420078 01 00000010 420020 08 00000010 0102030405060708', 'TTLV.OVERRUN'],
    [
      'an item that overruns its structure into the next',
      '420078 01 00000028 420079 01 00000008 420020 08 00000008 0102030405060708 420020 06 00000008 0000000000000001',
      'TTLV.OVERRUN',
    ],
    ['a structure of 4 bytes', '420078 01 00000004 42002008 00000000', 'TTLV.LENGTH_WRONG'],
    ['bytes after the message', '420020 06 00000008 0000000000000001 00', 'TTLV.TRAILING_BYTES'],
    ['F24 a wrong tag', '000020 06 00000008 0000000000000001', 'TTLV.TAG_INVALID'],
    ['type 0', '420020 00 00000008 0000000000000001', 'TTLV.TYPE_UNKNOWN'],
    ['a type of KMIP 2.0', '420020 0B 00000008 0000000000000001', 'TTLV.TYPE_UNKNOWN'],
    ['an Integer of 8 bytes', '420020 02 00000008 0000000000000001', 'TTLV.LENGTH_WRONG'],
    ['a Boolean of 4 bytes', '420020 06 00000004 0000000100000000', 'TTLV.LENGTH_WRONG'],
    ['a Big Integer of 4 bytes', '420020 04 00000004 0000000100000000', 'TTLV.LENGTH_WRONG'],
    ['a Big Integer of nothing', '420020 04 00000000', 'TTLV.LENGTH_WRONG'],
    ['a Boolean 2', '420020 06 00000008 0000000000000002', 'TTLV.VALUE_WRONG'],
    ['padding that is not zero', '420020 02 00000004 0000000800000001', 'TTLV.PADDING_WRONG'],
    ['text that is not UTF-8', '420020 07 00000002 C328000000000000', 'TTLV.VALUE_WRONG'],
    ['text with NUL', '420020 07 00000002 4100000000000000', 'TTLV.VALUE_WRONG'],
    ['more bytes than a message may have', '420020 08 00000008 0102030405060708', 'TTLV.TOO_LARGE', { maxMessageBytes: 15 }],
  ];
  it.each(refused)('refuses %s', (_, text, code, limits) => {
    expect(errorOf(() => decodeTtlv(hex(text), limits)).code).toBe(code);
  });

  it('F24 refuses structures that are nested too deep, and reads those that are not', () => {
    expect(decodeTtlv(encodeTtlv(nested(24)))).toEqual(nested(24));
    expect(errorOf(() => decodeTtlv(encodeTtlv(nested(25)))).code).toBe('TTLV.TOO_DEEP');
    // Far beyond any call stack: each level costs 8 bytes.
    const levels = 100_000;
    const deep = Buffer.alloc(levels * 8);
    for (let level = 0; level < levels; level += 1) {
      deep.writeUInt32BE(0x42000201, level * 8);
      deep.writeUInt32BE((levels - level - 1) * 8, level * 8 + 4);
    }
    expect(errorOf(() => decodeTtlv(deep)).code).toBe('TTLV.TOO_DEEP');
  });

  it('refuses more items than a message may have', () => {
    const many: TtlvItem = { tag: 0x420078, type: 'Structure', value: Array.from({ length: 20_000 }, () => nested(1)) };
    expect(errorOf(() => decodeTtlv(encodeTtlv(many))).code).toBe('TTLV.TOO_MANY_ITEMS');
  });

  it('says where: byte and path', () => {
    const bytes = hex('420078 01 00000020 420077 01 00000018 42000D 02 00000004 0000000100000000 420092 06 00000000');
    const error = errorOf(() => decodeTtlv(bytes));
    expect(error).toMatchObject({ code: 'TTLV.LENGTH_WRONG', offset: 32, path: '420078/420077[0]/420092[1]' });
    expect(error.message).toBe('A Boolean has 8 bytes, not 0 (byte 32, 420078/420077[0]/420092[1])');
  });

  it.each<[string, TtlvItem, TtlvErrorCode]>([
    ['an Integer of 33 bits', { tag: 0x420020, type: 'Integer', value: 2 ** 32 }, 'TTLV.VALUE_WRONG'],
    ['a fraction', { tag: 0x420020, type: 'Integer', value: 0.5 }, 'TTLV.VALUE_WRONG'],
    ['a negative Interval', { tag: 0x420020, type: 'Interval', value: -1 }, 'TTLV.VALUE_WRONG'],
    ['a Long Integer of 65 bits', { tag: 0x420020, type: 'LongInteger', value: 2n ** 63n }, 'TTLV.VALUE_WRONG'],
    ['half a character', { tag: 0x420020, type: 'TextString', value: '\ud800' }, 'TTLV.VALUE_WRONG'],
    ['text with NUL', { tag: 0x420020, type: 'TextString', value: 'a\0b' }, 'TTLV.VALUE_WRONG'],
    ['a tag of nobody', { tag: 0x430000, type: 'Integer', value: 1 }, 'TTLV.TAG_INVALID'],
  ])('does not write %s', (_, item, code) => {
    expect(errorOf(() => encodeTtlv({ tag: 0x420078, type: 'Structure', value: [item] }))).toMatchObject({
      code,
      path: expect.stringContaining('420078/'),
    });
  });
});

/** For comparing items as text: BigInt and bytes have no JSON of their own. */
function plain(_: string, value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}n`;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (typeof value === 'object' && value !== null && (value as { type?: unknown }).type === 'Buffer') {
    return Buffer.from((value as unknown as { data: number[] }).data).toString('hex');
  }
  return value;
}
