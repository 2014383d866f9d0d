import fc from 'fast-check';
import type { TtlvItem } from './item.js';

const tag = fc.oneof(fc.integer({ min: 0x420000, max: 0x42ffff }), fc.integer({ min: 0x540000, max: 0x54ffff }));
const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });

const scalar: fc.Arbitrary<TtlvItem> = fc.oneof(
  fc.record({ tag, type: fc.constant('Integer' as const), value: fc.integer() }),
  fc.record({ tag, type: fc.constant('LongInteger' as const), value: int64 }),
  fc.record({ tag, type: fc.constant('BigInteger' as const), value: fc.bigInt({ min: -(2n ** 200n), max: 2n ** 200n }) }),
  fc.record({ tag, type: fc.constant('Enumeration' as const), value: uint32 }),
  fc.record({ tag, type: fc.constant('Boolean' as const), value: fc.boolean() }),
  fc.record({
    tag,
    type: fc.constant('TextString' as const),
    value: fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0')),
  }),
  fc.record({ tag, type: fc.constant('ByteString' as const), value: fc.uint8Array({ maxLength: 40 }) }),
  fc.record({ tag, type: fc.constant('DateTime' as const), value: int64 }),
  fc.record({ tag, type: fc.constant('Interval' as const), value: uint32 }),
);

/** Any item that TTLV can hold, structures inside each other included. */
export const arbitraryItem: fc.Arbitrary<TtlvItem> = fc.letrec<{ item: TtlvItem; structure: TtlvItem }>((tie) => ({
  item: fc.oneof({ maxDepth: 5 }, scalar, tie('structure')),
  structure: fc.record({ tag, type: fc.constant('Structure' as const), value: fc.array(tie('item'), { maxLength: 4 }) }),
})).structure;

/** Ways in which bytes get damaged under way, or by somebody who tries. */
export const damage: fc.Arbitrary<(bytes: Buffer) => Buffer> = fc
  .record({
    at: fc.nat(),
    byte: fc.integer({ min: 0, max: 255 }),
    kind: fc.constantFrom('replace', 'truncate', 'insert', 'delete', 'length', 'duplicate'),
  })
  .map(({ at, byte, kind }) => (bytes: Buffer): Buffer => {
    const where = bytes.length === 0 ? 0 : at % bytes.length;
    const copy = Buffer.from(bytes);
    switch (kind) {
      case 'truncate':
        return copy.subarray(0, where);
      case 'insert':
        return Buffer.concat([copy.subarray(0, where), Buffer.from([byte]), copy.subarray(where)]);
      case 'delete':
        return Buffer.concat([copy.subarray(0, where), copy.subarray(where + 1)]);
      case 'duplicate':
        return Buffer.concat([copy.subarray(0, where), copy]);
      case 'length':
        // The four bytes of some length, or of whatever stands there.
        if (where + 4 <= copy.length) copy.writeUInt32BE((0xffff_ffff >>> (byte % 32)) >>> 0, where);
        return copy;
      case 'replace':
        copy[where] = byte;
        return copy;
    }
  });

/** Runs of a property over damaged bytes: some in every test run, as many as one likes with `KMIP_FUZZ_RUNS=1000000`. */
export const fuzzRuns = (usual: number): { readonly numRuns: number } => ({ numRuns: Number(process.env['KMIP_FUZZ_RUNS'] ?? usual) });
