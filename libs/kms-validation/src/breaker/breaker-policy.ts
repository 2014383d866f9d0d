/** When shutdowns are held. Made by {@link compileBreakerLimits} only. */
export interface BreakerLimits {
  /** Configurations that may fail in one cycle before shutdowns are held. */
  readonly maxCount: number;
  /** Part of all configurations that may fail in one cycle before shutdowns are held. */
  readonly maxShare: number;
  /** Below this number nothing is held, whatever part of all it is: in a small installation one key is everything. */
  readonly minimum: number;
  /** How long a configuration that turned invalid counts as of this cycle, in milliseconds. */
  readonly cycleMs: number;
}

/** How many configurations fail at present. */
export interface Tally {
  /** Those that are suspect, or turned INVALID or HELD within the cycle. */
  readonly failing: number;
  readonly total: number;
}

/** Thrown for limits that cannot be used. Names the setting and its rule. */
export class BreakerLimitsError extends Error {
  readonly code = 'KMS_VALIDATION.BREAKER_LIMITS_REFUSED';
  override readonly name = 'BreakerLimitsError';
}

/**
 * Fills in defaults and checks them. 50 configurations or 30 % within two minutes: a customer revokes a key, not fifty projects; a mistake with our own
 * role, network or clock hits all of them. From 10 on, because a part of few says nothing.
 *
 * @throws BreakerLimitsError
 */
export function compileBreakerLimits(o: Partial<BreakerLimits> = {}): BreakerLimits {
  const limits = { maxCount: 50, maxShare: 0.3, minimum: 10, cycleMs: 120_000, ...o };
  const wholeNumber = (value: number, min: number): boolean => Number.isSafeInteger(value) && value >= min;
  if (!wholeNumber(limits.maxCount, 1)) throw new BreakerLimitsError('maxCount must be a whole number of at least 1');
  if (!wholeNumber(limits.minimum, 1)) throw new BreakerLimitsError('minimum must be a whole number of at least 1');
  if (!(limits.maxShare > 0 && limits.maxShare <= 1)) throw new BreakerLimitsError('maxShare must be above 0 and at most 1');
  if (!wholeNumber(limits.cycleMs, 1_000)) throw new BreakerLimitsError('cycleMs must be a whole number of at least 1000');
  return limits;
}

/**
 * Whether so many fail that it is more likely our fault than theirs. Suspects count: when the first of a whole fleet is confirmed, the others are
 * suspected already, and none has been stopped yet.
 */
export function breakerHolds({ failing, total }: Tally, { maxCount, maxShare, minimum }: BreakerLimits): boolean {
  return failing >= minimum && (failing > maxCount || failing > maxShare * total);
}
