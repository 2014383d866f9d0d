import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { breakerHolds, BreakerLimitsError, compileBreakerLimits } from './breaker-policy.js';

describe('the breaker', () => {
  const limits = compileBreakerLimits();

  it.each([
    ['a single configuration, of one', 1, 1, false],
    ['all nine of a small installation', 9, 9, false],
    ['ten of ten', 10, 10, true],
    ['ten of a hundred', 10, 100, false],
    ['31 of a hundred', 31, 100, true],
    ['fifty of ten thousand', 50, 10_000, false],
    ['51 of ten thousand', 51, 10_000, true],
    ['nobody', 0, 10_000, false],
  ])('%s (%i of %i): %s', (_, failing, total, holds) => {
    expect(breakerHolds({ failing, total }, limits)).toBe(holds);
  });

  it('never lets go because more fail, and never holds fewer than the minimum', () => {
    const counts = fc.integer({ min: 0, max: 5_000 });
    fc.assert(
      fc.property(counts, counts, counts, (a, b, c) => {
        const [fewer, more, total] = [a, b, c].toSorted((x, y) => x - y) as [number, number, number];
        if (breakerHolds({ failing: fewer, total }, limits)) expect(breakerHolds({ failing: more, total }, limits)).toBe(true);
        if (fewer < limits.minimum) expect(breakerHolds({ failing: fewer, total }, limits)).toBe(false);
      }),
    );
  });

  it.each([{ maxCount: 0 }, { maxShare: 0 }, { maxShare: 1.1 }, { minimum: 0.5 }, { cycleMs: 1 }])('refuses %j', (wrong) => {
    expect(() => compileBreakerLimits(wrong)).toThrow(BreakerLimitsError);
  });
});
