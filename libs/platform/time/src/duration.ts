/** A text is not a duration. `rule` says what a duration looks like; the text itself is not repeated, because it may come from a secret. */
export class DurationError extends Error {
  readonly code = 'INVALID_DURATION';
  readonly rule = 'must be a whole number with a unit, as in 250ms, 60s, 15m, 24h or 365d';

  constructor() {
    super('A duration must be a whole number with a unit, as in 250ms, 60s, 15m, 24h or 365d.');
    this.name = 'DurationError';
  }
}

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
type Unit = keyof typeof UNITS;

/**
 * Milliseconds of a duration such as `60s`. A bare number has no unit and is refused, because half of its readers would take it for
 * seconds and the other half for milliseconds; so are signs, fractions, blanks and compound forms.
 *
 * @throws DurationError
 */
export function parseDuration(text: string): number {
  const match = /^(0|[1-9]\d{0,14})(ms|s|m|h|d)$/.exec(text);
  if (!match) throw new DurationError();
  const ms = Number(match[1]) * UNITS[match[2] as Unit];
  if (!Number.isSafeInteger(ms)) throw new DurationError();
  return ms;
}

/** The shortest exact text that {@link parseDuration} reads back: 90000 → `90s`. For whole, non-negative milliseconds. */
export function formatDuration(ms: number): string {
  if (!Number.isSafeInteger(ms) || ms < 0) throw new RangeError('Only whole, non-negative milliseconds have a duration text.');
  if (ms === 0) return '0s';
  const unit = (['d', 'h', 'm', 's'] as const).find((name) => ms % UNITS[name] === 0) ?? 'ms';
  return `${ms / UNITS[unit]}${unit}`;
}
