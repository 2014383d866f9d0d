import type { Clock } from '@atrest/platform-time';
import { CallLimitError } from './errors.js';

/**
 * A token bucket as a pure value: `reserve` takes a token that may lie in the future and says how long to wait for it. Waiting
 * callers are thereby served in order without a queue.
 */
export class TokenBucket {
  private tokens: number;
  private refilledAt: number;

  constructor(
    readonly perSecond: number,
    readonly burst: number,
    nowMs: number,
  ) {
    if (!(perSecond > 0) || !(burst >= 1)) throw new RangeError('a token bucket needs a rate above 0 and a burst of at least 1');
    this.tokens = burst;
    this.refilledAt = nowMs;
  }

  /** Milliseconds until the token may be used, or null when that is longer than `maxWaitMs`; then none is taken. */
  reserve(nowMs: number, maxWaitMs: number): number | null {
    // A clock that was set back must not empty the bucket.
    const elapsed = Math.max(0, nowMs - this.refilledAt);
    this.tokens = Math.min(this.burst, this.tokens + (elapsed / 1000) * this.perSecond);
    this.refilledAt = nowMs;
    const waitMs = this.tokens >= 1 ? 0 : Math.ceil(((1 - this.tokens) / this.perSecond) * 1000);
    if (waitMs > maxWaitMs) return null;
    this.tokens -= 1;
    return waitMs;
  }
}

export interface CallLimitersOptions {
  readonly clock: Clock;
  readonly sleep: (ms: number) => Promise<void>;
  /** Share of the provider's quota that we allow ourselves: the rest belongs to the customer's own applications. */
  readonly share?: number;
  /** Longest wait before a call is given up as throttled. 5 s: the time-out of a request. */
  readonly maxWaitMs?: number;
  /** Requests per second that the provider allows for `account` in `region`. */
  readonly quotaOf: (region: string) => number;
  /** Buckets kept; the least recently used is forgotten first, which only refills it. */
  readonly maxBuckets?: number;
}

/** One bucket per account and region of a provider, shared by every client of the process. */
export class CallLimiters {
  private readonly buckets = new Map<string, TokenBucket>();

  constructor(private readonly options: CallLimitersOptions) {}

  /** Waits for its turn; rejects with `CallLimitError` (a transient THROTTLED) when that would take too long. */
  async acquire(account: string, region: string): Promise<void> {
    const { clock, sleep, maxWaitMs = 5_000 } = this.options;
    const name = `${account}/${region}`;
    const now = clock.now().getTime();
    const waitMs = this.bucket(name, region, now).reserve(now, maxWaitMs);
    if (waitMs === null) throw new CallLimitError(name, maxWaitMs);
    if (waitMs > 0) await sleep(waitMs);
  }

  private bucket(name: string, region: string, nowMs: number): TokenBucket {
    const { share = 0.1, quotaOf, maxBuckets = 10_000 } = this.options;
    let bucket = this.buckets.get(name);
    if (bucket === undefined) {
      const perSecond = Math.max(1, quotaOf(region) * share);
      bucket = new TokenBucket(perSecond, perSecond, nowMs);
    }
    this.buckets.delete(name);
    this.buckets.set(name, bucket);
    if (this.buckets.size > maxBuckets) {
      const [oldest] = this.buckets.keys();
      if (oldest !== undefined) this.buckets.delete(oldest);
    }
    return bucket;
  }
}
