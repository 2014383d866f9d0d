import fc from 'fast-check';
import { SimulatedClock } from '@atrest/platform-time';
import { describe, expect, it } from 'vitest';
import { withTransientRetries } from './transient-retries.js';
import { definitive, transient, usable, type Verdict } from './verdict.js';

async function run(verdicts: readonly Verdict[], o: { tryTakesMs?: number; random?: () => number } = {}) {
  const clock = new SimulatedClock(new Date(0));
  const pauses: number[] = [];
  let tries = 0;
  const result = await withTransientRetries(
    async (number) => {
      tries += 1;
      expect(number).toBe(tries);
      clock.advance(o.tryTakesMs ?? 0);
      return verdicts.at(Math.min(number, verdicts.length) - 1) ?? usable();
    },
    (verdict) => verdict,
    {
      clock,
      ...(o.random && { random: o.random }),
      sleep: async (ms) => {
        pauses.push(ms);
        clock.advance(ms);
      },
    },
  );
  return { result, tries, pauses, elapsedMs: clock.now().getTime() };
}

describe('retries within one check', () => {
  it('repeats only what is transient, three tries in all', async () => {
    expect(await run([usable()])).toMatchObject({ tries: 1, pauses: [] });
    expect(await run([definitive('KEY_DISABLED')])).toMatchObject({ tries: 1 });
    expect(await run([transient('THROTTLED'), usable()])).toMatchObject({ tries: 2, result: { kind: 'usable' } });
    expect(await run([transient('THROTTLED'), definitive('KEY_DISABLED')])).toMatchObject({ tries: 2, result: { kind: 'definitive' } });
    expect(await run([transient('TIMEOUT'), transient('NETWORK')])).toMatchObject({ tries: 3, result: { reason: 'NETWORK' } });
  });

  it('stays within 30 s however long a try takes, and spreads the pauses', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 10_000 }), fc.double({ min: 0, max: 0.999, noNaN: true }), async (tryTakesMs, chance) => {
        const { elapsedMs, tries, pauses } = await run([transient('TIMEOUT')], { tryTakesMs, random: () => chance });
        expect(elapsedMs).toBeLessThanOrEqual(30_000);
        expect(tries).toBeGreaterThanOrEqual(2);
        for (const pause of pauses) expect(pause).toBeGreaterThan(0);
      }),
    );
  });
});
