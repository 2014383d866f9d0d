import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { arbitraryItem } from './arbitrary-item.contract.js';
import { encodeTtlv } from './encode.js';
import { MessageFrames } from './message-frames.js';

const TAG = 0x42007b;
const header = (length: number, tag = TAG, type = 1): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeUIntBE(tag, 0, 3);
  bytes.writeUInt8(type, 3);
  bytes.writeUInt32BE(length, 4);
  return bytes;
};

describe('message frames', () => {
  it('gives the same messages however the stream is cut', () => {
    const messages = fc.array(
      arbitraryItem.map((item) => encodeTtlv({ ...item, tag: TAG })),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(
      fc.property(messages, fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1 }), (expected, sizes) => {
        const stream = Buffer.concat(expected);
        const frames = new MessageFrames(TAG);
        const received: Buffer[] = [];
        for (let at = 0, turn = 0; at < stream.length; turn += 1) {
          const size = sizes[turn % sizes.length]!;
          received.push(...frames.push(stream.subarray(at, at + size)));
          at += size;
        }
        expect(received).toEqual(expected);
        expect(frames.pendingBytes).toBe(0);
      }),
    );
  });

  it.each([
    ['F24 a length of 4 GiB', header(0xffff_fff8), 'TTLV.TOO_LARGE'],
    ['one byte too many', header(1024 * 1024), 'TTLV.TOO_LARGE'],
    ['a length that no structure has', header(4), 'TTLV.LENGTH_WRONG'],
    ['F24 another tag', header(8, 0x420078), 'TTLV.TAG_INVALID'],
    ['a web page', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 'TTLV.TAG_INVALID'],
    ['something that is no structure', header(8, TAG, 8), 'TTLV.TYPE_UNKNOWN'],
  ])('refuses %s as soon as the header is there', (_, bytes, code) => {
    const frames = new MessageFrames(TAG);
    const push = (): void => {
      for (const byte of bytes) frames.push(Buffer.from([byte]));
    };
    expect(push).toThrow(expect.objectContaining({ code }));
    expect(frames.pendingBytes).toBeLessThanOrEqual(8);
  });

  it('keeps no more than arrived, whatever the length promises', () => {
    const frames = new MessageFrames(TAG);
    expect(frames.push(header(1024 * 1024 - 8))).toEqual([]);
    expect(frames.pendingBytes).toBe(8);
    expect((frames as unknown as { buffer: Buffer }).buffer.length).toBeLessThan(10_000);
  });
});
