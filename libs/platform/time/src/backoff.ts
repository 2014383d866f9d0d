export interface BackoffOptions {
  /** Upper bound of the first wait, in milliseconds. */
  readonly baseMs: number;
  /** No wait is longer, in milliseconds. */
  readonly maxMs: number;
  /** In [0, 1); `Math.random` unless a test wants to know. */
  readonly random?: () => number;
}

/**
 * Milliseconds to wait before the next attempt, `attempt` counting from 1. The bound doubles with each attempt up to `maxMs`; the wait is
 * spread over the upper half of the bound, so that many who failed together do not come back together and yet nobody comes back at once.
 */
export function backoffMs(attempt: number, options: BackoffOptions): number {
  const random = options.random ?? Math.random;
  // 2^52 is far above every sensible maximum and keeps the arithmetic finite for any attempt.
  const doublings = Math.min(Math.max(Math.floor(attempt) - 1, 0), 52);
  const bound = Math.min(options.maxMs, options.baseMs * 2 ** doublings);
  return Math.round(bound / 2 + (bound / 2) * random());
}
