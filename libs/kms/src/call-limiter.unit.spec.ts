import fc from 'fast-check';
import { SimulatedClock } from '@atrest/platform-time';
import { describe, expect, it } from 'vitest';
import { CallLimiters, TokenBucket } from './call-limiter.js';
import { CallLimitError } from './errors.js';

describe('call limiter', () => {
  it('never lets more calls through in any second than burst plus rate', () => {
    const arrivals = fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(arrivals, fc.integer({ min: 1, max: 20 }), (gaps, rate) => {
        const bucket = new TokenBucket(rate, rate, 0);
        let now = 0;
        const served: number[] = [];
        for (const gap of gaps) {
          now += gap;
          const wait = bucket.reserve(now, 60_000);
          if (wait !== null) served.push(now + wait);
        }
        for (const at of served) {
          const within = served.filter((other) => other >= at && other < at + 1_000).length;
          expect(within).toBeLessThanOrEqual(2 * rate);
        }
        expect(served).toEqual(served.toSorted((a, b) => a - b));
      }),
    );
  });

  it('is not emptied by a clock that is set back', () => {
    const bucket = new TokenBucket(1, 2, 10_000);
    expect(bucket.reserve(5_000, 0)).toBe(0);
    expect(bucket.reserve(5_000, 0)).toBe(0);
    expect(bucket.reserve(5_000, 0)).toBeNull();
    expect(bucket.reserve(6_000, 0)).toBe(0);
  });

  it('keeps accounts and regions apart and refuses when the wait is too long', async () => {
    const clock = new SimulatedClock(new Date(0));
    const slept: number[] = [];
    const limiters = new CallLimiters({
      clock,
      quotaOf: (region) => (region === 'us-east-1' ? 10 : 20),
      share: 0.1,
      maxWaitMs: 1_500,
      sleep: async (ms) => {
        slept.push(ms);
      },
    });
    await limiters.acquire('a', 'us-east-1');
    await limiters.acquire('a', 'us-east-1');
    await limiters.acquire('b', 'us-east-1');
    await limiters.acquire('a', 'eu-west-1');
    await limiters.acquire('a', 'eu-west-1');
    expect(slept).toEqual([1_000]);
    await expect(limiters.acquire('a', 'us-east-1')).rejects.toThrow(CallLimitError);
    clock.advance(2_000);
    await limiters.acquire('a', 'us-east-1');
    expect(slept).toEqual([1_000]);
  });

  it('forgets the least recently used bucket when there are too many', async () => {
    const clock = new SimulatedClock(new Date(0));
    const limiters = new CallLimiters({ clock, quotaOf: () => 10, share: 0.1, maxWaitMs: 0, maxBuckets: 2, sleep: async () => undefined });
    for (const account of ['a', 'b', 'c', 'a']) await limiters.acquire(account, 'r');
    await expect(limiters.acquire('c', 'r')).rejects.toThrow(CallLimitError);
  });
});
