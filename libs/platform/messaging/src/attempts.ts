import { backoffMs } from '@atrest/platform-time';
import type { ParkReason } from './judge.js';
import type { RetryOptions } from './messaging-options.js';

/** Attempts at an event: how many began (the present one included) and how many of them ended with an error. */
export interface Attempts {
  readonly started: number;
  readonly failed: number;
}

export type NextStep =
  | { readonly kind: 'attempt' }
  | { readonly kind: 'retry'; readonly waitMs: number }
  | { readonly kind: 'park'; readonly reason: ParkReason; readonly detail: string };

/** Before an attempt that was already counted. An attempt that began and neither failed nor finished took its process with it. */
export function beforeAttempt(attempts: Attempts, retry: RetryOptions): NextStep {
  const earlier = attempts.started - 1;
  if (earlier < retry.attempts) return { kind: 'attempt' };
  const unfinished = earlier - attempts.failed;
  return { kind: 'park', reason: 'PROCESS_ENDED', detail: `the process ended in the middle of ${unfinished} of ${earlier} attempts` };
}

/** After an attempt that failed. */
export function afterFailure(attempts: Attempts, detail: string, retry: RetryOptions, random?: () => number): NextStep {
  if (attempts.started >= retry.attempts) return { kind: 'park', reason: 'HANDLER_FAILED', detail };
  return {
    kind: 'retry',
    waitMs: backoffMs(attempts.started, { baseMs: retry.baseMs, maxMs: retry.maxMs, ...(random === undefined ? {} : { random }) }),
  };
}
