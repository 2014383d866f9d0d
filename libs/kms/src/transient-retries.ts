import { backoffMs, type Clock } from '@atrest/platform-time';
import type { Verdict } from './verdict.js';

export interface TransientRetryOptions {
  readonly clock: Clock;
  readonly sleep: (ms: number) => Promise<void>;
  readonly random?: () => number;
  /** Tries in all. 3: a single lost packet or throttled second should not count as a failed check, an outage should soon. */
  readonly tries?: number;
  /** No try begins when it could end later than this after the first began. 30 s: the next check of a busy schedule is due soon after. */
  readonly budgetMs?: number;
  /** How long one try may take at most. 10 s: two requests of 5 s each, the time-out of a request. */
  readonly tryMs?: number;
  /** First pause, doubled each time, with jitter. */
  readonly baseMs?: number;
}

/** The real way to wait. */
export const sleepFor = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

/**
 * Repeats one attempt while its verdict is transient, within one check. The SDK's own retries are off, so this is the only place
 * that retries; what it gives back is the last result.
 */
export async function withTransientRetries<Result>(
  attempt: (number: number) => Promise<Result>,
  verdictOf: (result: Result) => Verdict,
  options: TransientRetryOptions,
): Promise<Result> {
  const { clock, sleep, tries = 3, budgetMs = 30_000, tryMs = 10_000, baseMs = 200 } = options;
  const startedAt = clock.now().getTime();
  for (let number = 1; ; number += 1) {
    const result = await attempt(number);
    if (verdictOf(result).kind !== 'transient' || number >= tries) return result;
    const pause = backoffMs(number, { baseMs, maxMs: budgetMs, ...(options.random && { random: options.random }) });
    if (clock.now().getTime() - startedAt + pause + tryMs > budgetMs) return result;
    await sleep(pause);
  }
}
