import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlobNotAuthenticError } from '../errors.js';
import { MAX_PLAINTEXT_BYTES } from '../key-provider.js';
import { bindToContext, openForContext } from './azure-envelope.js';

const contexts = fc.record({ projectId: fc.string(), purpose: fc.string() });
const secrets = fc.uint8Array({ minLength: 1, maxLength: MAX_PLAINTEXT_BYTES });

describe('binding a secret to its context', () => {
  it('gives the secret back for its own context only', () => {
    fc.assert(
      fc.property(secrets, contexts, contexts, (secret, own, other) => {
        const bound = bindToContext(secret, own);
        // The smallest key takes 190 bytes.
        expect(bound.length).toBeLessThanOrEqual(190);
        expect(Buffer.from(openForContext(bound, own))).toEqual(Buffer.from(secret));
        fc.pre(own.projectId !== other.projectId || own.purpose !== other.purpose);
        expect(() => openForContext(bound, other)).toThrow(BlobNotAuthenticError);
      }),
    );
  });

  it('does not take a part of one name for a part of the other', () => {
    const bound = bindToContext(Buffer.from('secret'), { projectId: 'a', purpose: 'b,c' });
    for (const context of [
      { projectId: 'a","b', purpose: 'c' },
      { projectId: 'ab', purpose: ',c' },
      { projectId: 'a,b', purpose: 'c' },
    ]) {
      expect(() => openForContext(bound, context)).toThrow(BlobNotAuthenticError);
    }
  });

  it('refuses what is too short to hold a secret, and any bit that changed', () => {
    const context = { projectId: 'p', purpose: 'canary' };
    const bound = bindToContext(Buffer.from('x'), context);
    for (const length of [0, 1, 31, 32])
      expect(() => openForContext(bound.subarray(bound.length - length), context)).toThrow(BlobNotAuthenticError);
    for (let index = 1; index < bound.length; index += 1) {
      const changed = Buffer.from(bound);
      changed.writeUInt8(changed.readUInt8(index) ^ 1, index);
      expect(() => openForContext(changed, context)).toThrow(BlobNotAuthenticError);
    }
  });
});
