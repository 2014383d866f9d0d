import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SealBrokenError, SealingKeys, SealingKeysError, SealingKeyUnknownError } from './sealing-keys.js';

const k1 = SealingKeys.generate('k1');
const k2 = SealingKeys.generate('k2');

describe('SealingKeys', () => {
  it('opens what it sealed, for any content and context', () => {
    const keys = SealingKeys.parse(k1);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.string(), (plain, context) => {
        expect(keys.open(keys.seal(plain, context), context)).toEqual(Buffer.from(plain));
      }),
    );
  });

  it('never seals the same text to the same result', () => {
    const keys = SealingKeys.parse(k1);
    expect(new Set(Array.from({ length: 100 }, () => keys.seal('x', 'c'))).size).toBe(100);
  });

  it('does not open under another context', () => {
    const keys = SealingKeys.parse(k1);
    const sealed = keys.seal('credentials', 'project/a');
    expect(() => keys.open(sealed, 'project/b')).toThrow(SealBrokenError);
  });

  it('does not open when any one bit of nonce, ciphertext or tag differs', () => {
    const keys = SealingKeys.parse(k1);
    const sealed = keys.seal('credentials', 'c');
    const [format, id, nonce, body] = sealed.split('.') as [string, string, string, string];
    const flip = (text: string, bit: number) => {
      const bytes = Buffer.from(text, 'base64url');
      bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      return bytes.toString('base64url');
    };
    for (let bit = 0; bit < 12 * 8; bit += 1) {
      expect(() => keys.open([format, id, flip(nonce, bit), body].join('.'), 'c')).toThrow(SealBrokenError);
    }
    for (let bit = 0; bit < (11 + 16) * 8; bit += 1) {
      expect(() => keys.open([format, id, nonce, flip(body, bit)].join('.'), 'c')).toThrow(SealBrokenError);
    }
  });

  it('refuses arbitrary text with an error of its own and nothing else', () => {
    const keys = SealingKeys.parse(k1);
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(fc.base64String(), { maxLength: 6 }).map((parts) => ['v1', ...parts].join('.')),
        ),
        (text) => {
          expect(() => keys.open(text, 'c')).toThrow(/sealed/);
        },
      ),
    );
  });

  it('seals with the first key and opens with the older ones', () => {
    const old = SealingKeys.parse(k1);
    const sealedBefore = old.seal('secret', 'c');
    const rotated = SealingKeys.parse(`${k2}, ${k1}`);
    expect(rotated.openText(sealedBefore, 'c')).toBe('secret');
    expect(rotated.isCurrent(sealedBefore)).toBe(false);
    const sealedAfter = rotated.seal('secret', 'c');
    expect(sealedAfter.split('.')[1]).toBe('k2');
    expect(rotated.isCurrent(sealedAfter)).toBe(true);
    expect(rotated.currentKeyId).toBe('k2');
    expect(rotated.keyIds).toEqual(['k2', 'k1']);
  });

  it('names the key that is missing', () => {
    const sealed = SealingKeys.parse(k1).seal('secret', 'c');
    expect(() => SealingKeys.parse(k2).open(sealed, 'c')).toThrow(SealingKeyUnknownError);
    expect(() => SealingKeys.parse(k2).open(sealed, 'c')).toThrow(/'k1'/);
  });

  it('does not open with another key of the same name', () => {
    const sealed = SealingKeys.parse(k1).seal('secret', 'c');
    expect(() => SealingKeys.parse(SealingKeys.generate('k1')).open(sealed, 'c')).toThrow(SealBrokenError);
  });

  it.each([
    ['', /must look like/],
    ['nocolon', /must look like/],
    [`:${randomBytes(32).toString('base64')}`, /the id must be/],
    ['k 1:AAAA', /the id must be/],
    ['k1:', /not base64/],
    ['k1:not*base64', /not base64/],
    [`k1:${randomBytes(31).toString('base64')}`, /exactly 32 bytes, this one has 31/],
    [`k1:${randomBytes(33).toString('base64')}`, /exactly 32 bytes, this one has 33/],
    [`${k1},${k1}`, /'k1' is given twice/],
    [`${k1},`, /entry 2 must look like/],
  ])('refuses the configuration %#', (text, rule) => {
    const attempt = () => SealingKeys.parse(text);
    expect(attempt).toThrow(SealingKeysError);
    expect(attempt).toThrow(rule);
  });

  it('accepts base64 and base64url, padded or not', () => {
    const bytes = randomBytes(32);
    for (const encoded of [bytes.toString('base64'), bytes.toString('base64').replace('=', ''), bytes.toString('base64url')]) {
      expect(SealingKeys.parse(`k1:${encoded}`).currentKeyId).toBe('k1');
    }
  });

  it('shows no key material in errors, inspection or JSON', () => {
    const short = randomBytes(20).toString('base64');
    expect(() => SealingKeys.parse(`k1:${short}`)).toThrow(expect.not.objectContaining({ message: expect.stringContaining(short) }));
    const material = k1.slice(3);
    const keys = SealingKeys.parse(k1);
    expect(inspect(keys, { depth: 5, showHidden: true })).not.toContain(material);
    expect(JSON.stringify(keys)).toBe('{}');
  });
});
