import { SimulatedClock } from '@atrest/platform-time';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AttemptLimiter, takeAttempt, type AttemptBucket } from './attempt-limiter.js';

const policy = { burst: 3, refillMs: 6000 };
const start = new Date('2026-11-23T00:00:00Z');

describe('AttemptLimiter', () => {
  it('allows a burst, then one attempt per refill, and says when', () => {
    const clock = new SimulatedClock(start);
    const limiter = new AttemptLimiter(clock, policy);
    for (let i = 0; i < 3; i += 1) expect(limiter.begin('a')).toEqual({ allowed: true });
    expect(limiter.begin('a')).toEqual({ allowed: false, retryAfterSeconds: 6 });
    clock.advance(4000);
    expect(limiter.begin('a')).toEqual({ allowed: false, retryAfterSeconds: 2 });
    clock.advance(2000);
    expect(limiter.begin('a')).toEqual({ allowed: true });
    expect(limiter.begin('a')).toMatchObject({ allowed: false });
  });

  it('never limits who knows the secret, and one name never another', () => {
    const limiter = new AttemptLimiter(new SimulatedClock(start), policy);
    for (let i = 0; i < 100; i += 1) {
      expect(limiter.begin('a')).toEqual({ allowed: true });
      limiter.succeeded('a');
    }
    for (let i = 0; i < 4; i += 1) limiter.begin('b');
    expect(limiter.begin('b')).toMatchObject({ allowed: false });
    expect(limiter.begin('a')).toEqual({ allowed: true });
  });

  it('a right attempt does not wipe out the failures before it', () => {
    const limiter = new AttemptLimiter(new SimulatedClock(start), policy);
    limiter.begin('a');
    limiter.begin('a');
    limiter.begin('a');
    limiter.succeeded('a');
    expect(limiter.begin('a')).toEqual({ allowed: true });
    expect(limiter.begin('a')).toMatchObject({ allowed: false });
  });

  it('forgets the name that was used longest ago when there are too many', () => {
    const limiter = new AttemptLimiter(new SimulatedClock(start), policy);
    for (const name of ['old', 'recent']) for (let i = 0; i < 4; i += 1) limiter.begin(name);
    for (let i = 0; i < 9_999; i += 1) limiter.begin(`invented-${i}`);
    expect(limiter.begin('recent')).toMatchObject({ allowed: false });
    expect(limiter.begin('old')).toEqual({ allowed: true });
  });

  it('over any time allows at most the burst plus what was refilled, also when the clock goes back', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -20_000, max: 20_000 }), { maxLength: 60 }), (steps) => {
        let bucket: AttemptBucket | undefined;
        let now = start.getTime();
        let forward = 0;
        let allowed = 0;
        for (const step of steps) {
          now += step;
          forward += Math.max(0, step);
          const result = takeAttempt(bucket, now, policy);
          bucket = result.bucket;
          if (result.allowed) allowed += 1;
          else expect(result.retryAfterSeconds).toBeGreaterThanOrEqual(1);
        }
        expect(allowed).toBeLessThanOrEqual(policy.burst + forward / policy.refillMs + 1e-6);
      }),
    );
  });
});
