import { ACCESS_TOKEN_SECONDS } from '@atrest/platform-auth';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CREATED_AHEAD_MS, nextKey, SIGNS_FOR_MS, signingOrder, type KeyTimes } from './signing-key-policy.js';

const start = new Date('2026-11-23T00:00:00Z');
const after = (ms: number) => new Date(start.getTime() + ms);

describe('signing keys over time', () => {
  it('the first key is created at once and signs for 30 days', () => {
    expect(nextKey([], start)?.signsUntil).toEqual(after(SIGNS_FOR_MS));
  });

  it('the next key is created a day ahead, and signs when the first one stops', () => {
    const first = { id: 1, ...nextKey([], start)! };
    expect(nextKey([first], after(SIGNS_FOR_MS - CREATED_AHEAD_MS - 1))).toBeUndefined();
    const ahead = after(SIGNS_FOR_MS - CREATED_AHEAD_MS);
    const second = { id: 2, ...nextKey([first], ahead)! };
    expect(second.signsUntil).toEqual(after(2 * SIGNS_FOR_MS));
    expect(nextKey([first, second], ahead)).toBeUndefined();
    expect(signingOrder([second, first], ahead).map((key) => key.id)).toEqual([1, 2]);
    expect(signingOrder([second, first], after(SIGNS_FOR_MS)).map((key) => key.id)).toEqual([2]);
  });

  it('whenever maintenance runs, there is a key to sign with afterwards, never more than two, and every token outlives none of them', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 * 24 }), { minLength: 1, maxLength: 80 }), (hours) => {
        let keys: KeyTimes[] = [];
        let now = start;
        for (const step of hours) {
          now = new Date(now.getTime() + step * 3_600_000);
          keys = keys.filter((key) => key.signsUntil > now);
          const created = nextKey(keys, now);
          if (created) keys.push(created);
          const [current] = signingOrder(keys, now);
          expect(current).toBeDefined();
          expect(keys.length).toBeLessThanOrEqual(2);
          for (const key of keys) {
            expect(key.acceptedUntil.getTime()).toBeGreaterThan(key.signsUntil.getTime() + ACCESS_TOKEN_SECONDS * 1000);
          }
        }
      }),
    );
  });
});
