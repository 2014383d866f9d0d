import type { Clock } from '@atrest/platform-time';

/**
 * Ten wrong secrets at once cover a fleet of jobs that all start with yesterday's secret; after that one attempt per 6 s, ten a minute. Against
 * 256-bit secrets the limit is not what keeps guessers out: it keeps their noise from the database and makes them visible.
 */
export const ATTEMPT_POLICY: AttemptPolicy = { burst: 10, refillMs: 6000 };

/** Names remembered. An attacker who invents more than this many only forgets the oldest: memory stays bounded. */
const MAX_NAMES = 10_000;

export interface AttemptPolicy {
  /** Failures allowed in a row. */
  readonly burst: number;
  /** After this time one more is allowed. */
  readonly refillMs: number;
}

/** How much is left for one name at a moment, as the milliseconds it took (or would take) to refill: whole numbers, no rounding. Absent means full. */
export interface AttemptBucket {
  readonly creditMs: number;
  readonly at: number;
}

/** Takes one attempt. Pure: `now` in milliseconds since the epoch. */
export function takeAttempt(
  bucket: AttemptBucket | undefined,
  now: number,
  policy: AttemptPolicy,
): { allowed: true; bucket: AttemptBucket } | { allowed: false; bucket: AttemptBucket; retryAfterSeconds: number } {
  const full = policy.burst * policy.refillMs;
  const before = bucket ?? { creditMs: full, at: now };
  // A clock that was set back must neither refill nor starve the bucket.
  const creditMs = Math.min(full, before.creditMs + Math.max(0, now - before.at));
  const missingMs = policy.refillMs - creditMs;
  return missingMs <= 0
    ? { allowed: true, bucket: { creditMs: -missingMs, at: now } }
    : { allowed: false, bucket: { creditMs, at: now }, retryAfterSeconds: Math.ceil(missingMs / 1000) };
}

/**
 * Limits failed log-ins per name, in this process. An attempt is taken before the secret is looked at and given back when it was right, so
 * parallel guesses count too and clients that know their secret never notice.
 */
export class AttemptLimiter {
  readonly #clock: Clock;
  readonly #policy: AttemptPolicy;
  readonly #buckets = new Map<string, AttemptBucket>();

  constructor(clock: Clock, policy: AttemptPolicy = ATTEMPT_POLICY) {
    this.#clock = clock;
    this.#policy = policy;
  }

  begin(name: string): { allowed: true } | { allowed: false; retryAfterSeconds: number } {
    const result = takeAttempt(this.#buckets.get(name), this.#clock.now().getTime(), this.#policy);
    // Deleted and set anew: the map's order is then the order of last use, and its first entry the one to forget.
    this.#buckets.delete(name);
    this.#buckets.set(name, result.bucket);
    if (this.#buckets.size > MAX_NAMES) {
      const oldest = this.#buckets.keys().next();
      if (!oldest.done) this.#buckets.delete(oldest.value);
    }
    return result.allowed ? { allowed: true } : { allowed: false, retryAfterSeconds: result.retryAfterSeconds };
  }

  /** The attempt was right: give it back. */
  succeeded(name: string): void {
    const bucket = this.#buckets.get(name);
    if (bucket === undefined) return;
    const creditMs = bucket.creditMs + this.#policy.refillMs;
    if (creditMs >= this.#policy.burst * this.#policy.refillMs) this.#buckets.delete(name);
    else this.#buckets.set(name, { ...bucket, creditMs });
  }
}
