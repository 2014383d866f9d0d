import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Restarts, type Failure } from './restarts.js';

const settings = { restartBaseMs: 1_000, restartMaxMs: 60_000, stableAfterMs: 60_000 };
const waits = (failures: readonly Failure[], random = () => 1): number[] => {
  const restarts = new Restarts(settings, random);
  return failures.map((failure, index) => {
    restarts.failed(failure, index * 1_000_000);
    return restarts.retryAt! - index * 1_000_000;
  });
};
const failure: Failure = { readyForMs: null, endedForKey: false };

describe('when a process that failed is tried again', () => {
  it('later each time, at once after an order or a change, and from the start after a run that was stable', () => {
    expect(waits([failure, failure, failure, { ...failure, readyForMs: 60_000 }, failure])).toEqual([1_000, 2_000, 4_000, 1_000, 2_000]);
    const restarts = new Restarts(settings);
    restarts.failed(failure, 5);
    restarts.forget();
    expect(restarts.retryAt).toBeNull();
  });

  it('F37 after an end for its key never sooner than the confirmations of a check take, however long it had run', () => {
    const ends = fc.array(fc.record({ readyForMs: fc.option(fc.nat(10_000_000)), endedForKey: fc.constant(true) }), { minLength: 1 });
    fc.assert(
      fc.property(ends, fc.double({ min: 0, max: 0.999, noNaN: true }), (failures, random) => {
        for (const wait of waits(failures, () => random)) {
          expect(wait).toBeGreaterThan(20_000);
          expect(wait).toBeLessThanOrEqual(settings.restartMaxMs);
        }
      }),
    );
  });
});
