import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffMs, BackgroundLoop, DurationError, formatDuration, parseDuration, SimulatedClock } from './index.js';

describe('durations', () => {
  it.each([
    ['250ms', 250],
    ['60s', 60_000],
    ['15m', 900_000],
    ['24h', 86_400_000],
    ['365d', 31_536_000_000],
    ['0s', 0],
  ])('%s is %i ms', (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each([
    '60',
    '',
    ' 60s',
    '60s ',
    '60 s',
    '-1s',
    '+1s',
    '1.5s',
    '1e3ms',
    '0x10s',
    '060s',
    '1h30m',
    '60S',
    '60sec',
    '9999999999999d',
    '٦٠s',
    '60s\n',
  ])('F87 %j is no duration', (text) => {
    expect(() => parseDuration(text)).toThrow(DurationError);
  });

  it('does not repeat the text in its error', () => {
    expect(() => parseDuration('hunter2-the-password')).toThrow(/^A duration must be a whole number with a unit, as in [^']*365d\.$/);
  });

  it('reads back what it writes', () =>
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 400 * 86_400_000 }), (ms) => {
        expect(parseDuration(formatDuration(ms))).toBe(ms);
      }),
    ));
});

describe('backoff', () => {
  it('stays in the upper half of a bound that doubles up to the maximum', () =>
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), fc.double({ min: 0, max: 0.999_999, noNaN: true }), (attempt, random) => {
        const bound = Math.min(30_000, 100 * 2 ** Math.min(attempt - 1, 60));
        const wait = backoffMs(attempt, { baseMs: 100, maxMs: 30_000, random: () => random });
        expect(wait).toBeGreaterThanOrEqual(Math.floor(bound / 2));
        expect(wait).toBeLessThanOrEqual(bound);
      }),
    ));
});

describe('simulated clock', () => {
  it('moves only when told and hands out copies', () => {
    const clock = new SimulatedClock(new Date('2026-01-01T00:00:00Z'));
    clock.now().setFullYear(1999);
    clock.advance(1_500);
    expect(clock.now().toISOString()).toBe('2026-01-01T00:00:01.500Z');
    clock.set(new Date('2025-01-01T00:00:00Z'));
    expect(clock.now().getUTCFullYear()).toBe(2025);
    expect(() => clock.set(new Date(Number.NaN))).toThrow(RangeError);
  });
});

describe('background loop', () => {
  const HOUR = 3_600_000;

  /** A loop whose runs the test ends one by one. */
  function stepped() {
    let running = 0;
    const starts: ((outcome: { end: (value: void | 'again') => void; fail: (error: unknown) => void; signal: AbortSignal }) => void)[] = [];
    const queue: { end: (value: void | 'again') => void; fail: (error: unknown) => void; signal: AbortSignal }[] = [];
    const errors: unknown[] = [];
    const loop = new BackgroundLoop({
      name: 'stepped',
      intervalMs: HOUR,
      onError: (error) => errors.push(error),
      run: (signal) => {
        running += 1;
        expect(running).toBe(1);
        return new Promise<void | 'again'>((resolve, reject) => {
          const step = { end: resolve, fail: reject, signal };
          const waiting = starts.shift();
          if (waiting) waiting(step);
          else queue.push(step);
        }).finally(() => (running -= 1));
      },
    });
    const nextRun = () =>
      new Promise<(typeof queue)[number]>((resolve) => {
        const step = queue.shift();
        if (step) resolve(step);
        else starts.push(resolve);
      });
    return { loop, nextRun, errors };
  }

  it('runs at once, again on "again", after a wake, and loses no wake that comes during a run', async () => {
    const { loop, nextRun, errors } = stepped();
    loop.start();
    loop.start();
    (await nextRun()).end('again');
    const second = await nextRun();
    loop.wake();
    loop.wake();
    second.end();
    (await nextRun()).end();
    // Everything is done now: only a wake starts the next run within the hour.
    await new Promise((resolve) => setImmediate(resolve));
    loop.wake();
    (await nextRun()).end();
    await loop.stop();
    expect(errors).toEqual([]);
  });

  it('reports a throwing run and goes on', async () => {
    const { loop, nextRun, errors } = stepped();
    loop.start();
    (await nextRun()).fail(new Error('broken'));
    await expect.poll(() => errors.length).toBe(1);
    loop.wake();
    (await nextRun()).end();
    await loop.stop();
  });

  it('stops after the run that is under way, whose signal is aborted, and never starts again', async () => {
    const { loop, nextRun, errors } = stepped();
    loop.start();
    const run = await nextRun();
    let stopped = false;
    const stopping = loop.stop().then(() => (stopped = true));
    expect(run.signal.aborted).toBe(true);
    await new Promise((resolve) => setImmediate(resolve));
    expect(stopped).toBe(false);
    run.fail(run.signal.reason);
    await stopping;
    loop.start();
    loop.wake();
    await loop.stop();
    expect(errors).toEqual([]);
  });

  it('runs again after the interval without being woken', async () => {
    let runs = 0;
    const loop = new BackgroundLoop({ name: 'timed', intervalMs: 1, run: async () => void (runs += 1), onError: () => undefined });
    loop.start();
    await expect.poll(() => runs).toBeGreaterThan(2);
    await loop.stop();
  });
});
