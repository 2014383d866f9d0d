const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How often keys are checked and what it takes to call one invalid. All durations in milliseconds. Made by {@link compileValidityPolicy} only. */
export interface ValidityPolicy {
  /** Between two checks of a key that nothing is wrong with. */
  readonly intervalMs: number;
  /** Definitive verdicts, each seconds after the one before and on a fresh client, that make a configuration INVALID. */
  readonly confirmations: number;
  /** Confirmations are spread over this time. */
  readonly confirmationWindowMs: number;
  /** A definitive verdict that was not confirmed for this long counts no more. */
  readonly evidenceExpiryMs: number;
  /** After this long without an answer of the KMS the project's owners hear of it. */
  readonly unreachableGraceMs: number;
  /** After this long the operators of the installation hear of it, too. */
  readonly unreachableOperatorsMs: number;
  /** After this long the owners of the organisation hear of it, too. */
  readonly unreachableOrganisationMs: number;
  /** So long somebody has to decide on a held shutdown. */
  readonly holdLimitMs: number;
  /** Part of the interval by which due times are spread, so that keys saved together are not checked together for ever. */
  readonly jitter: number;
  /** A fresh wrap is proven this often for keys that are not named by an alias (those are proven by each check). */
  readonly wrapProofIntervalMs: number;
}

interface Limit {
  readonly min: number;
  readonly max: number;
  readonly default: number;
  readonly unit: 'ms' | 'count' | 'part';
  readonly description: string;
}

/**
 * Defaults and limits. The interval may not be so short that one configuration hammers the customer's KMS, nor so long that a revoked
 * key is noticed only the day after. Two confirmations are the least, because one is none.
 */
export const VALIDITY_POLICY_LIMITS = {
  intervalMs: { min: SECOND, max: DAY, default: MINUTE, unit: 'ms', description: 'Time between two validity checks of a key' },
  confirmations: { min: 2, max: 10, default: 3, unit: 'count', description: 'Definitive verdicts that make a key configuration invalid' },
  confirmationWindowMs: {
    min: SECOND,
    max: 10 * MINUTE,
    default: 20 * SECOND,
    unit: 'ms',
    description: 'Time over which the confirmations are spread',
  },
  evidenceExpiryMs: {
    min: MINUTE,
    max: DAY,
    default: 10 * MINUTE,
    unit: 'ms',
    description: 'Age at which an unconfirmed definitive verdict stops to count (at least twice the window)',
  },
  unreachableGraceMs: {
    min: 0,
    max: DAY,
    default: 5 * MINUTE,
    unit: 'ms',
    description: 'Time without an answer of the KMS before its owners are told',
  },
  unreachableOperatorsMs: {
    min: 0,
    max: 7 * DAY,
    default: 30 * MINUTE,
    unit: 'ms',
    description: 'Time without an answer of the KMS before the operators are told',
  },
  unreachableOrganisationMs: {
    min: 0,
    max: 7 * DAY,
    default: 4 * HOUR,
    unit: 'ms',
    description: "Time without an answer of the KMS before the organisation's owners are told",
  },
  holdLimitMs: {
    min: MINUTE,
    max: 7 * DAY,
    default: 4 * HOUR,
    unit: 'ms',
    description: 'Time that somebody has to decide on a held shutdown',
  },
  jitter: { min: 0, max: 0.5, default: 0.1, unit: 'part', description: 'Part of the interval by which due times are spread' },
  wrapProofIntervalMs: {
    min: MINUTE,
    max: 7 * DAY,
    default: DAY,
    unit: 'ms',
    description: 'Time between two proofs that the key still wraps',
  },
} as const satisfies Record<keyof ValidityPolicy, Limit>;

/** Thrown when the policy's settings cannot be used. Names every setting and its rule, never the value. */
export class ValidityPolicyError extends Error {
  readonly code = 'KMS_VALIDATION.POLICY_REFUSED';
  override readonly name = 'ValidityPolicyError';

  constructor(readonly problems: readonly { readonly setting: string; readonly rule: string }[]) {
    super(`The validity policy cannot be used: ${problems.map(({ setting, rule }) => `${setting} ${rule}`).join('; ')}.`);
  }
}

function rule(limit: Limit): string {
  const unit = { ms: ' milliseconds', count: '', part: ' of the interval' }[limit.unit];
  return `must be a ${limit.unit === 'part' ? 'number' : 'whole number'} from ${limit.min} to ${limit.max}${unit}`;
}

/**
 * Fills in defaults and checks every limit and how the settings fit together. Nothing after it asks whether a setting is sensible.
 *
 * @throws ValidityPolicyError
 */
export function compileValidityPolicy(options: Partial<ValidityPolicy> = {}): ValidityPolicy {
  const problems: { setting: string; rule: string }[] = [];
  const compiled: Record<string, number> = {};
  for (const [setting, limit] of Object.entries(VALIDITY_POLICY_LIMITS) as [keyof ValidityPolicy, Limit][]) {
    const value: unknown = options[setting] ?? limit.default;
    const isRightNumber = typeof value === 'number' && (limit.unit === 'part' ? Number.isFinite(value) : Number.isSafeInteger(value));
    if (!isRightNumber || value < limit.min || value > limit.max) problems.push({ setting, rule: rule(limit) });
    else compiled[setting] = value;
  }
  for (const setting of Object.keys(options)) {
    if (!(setting in VALIDITY_POLICY_LIMITS)) problems.push({ setting, rule: 'is not a setting of the validity policy' });
  }
  const policy = compiled as unknown as ValidityPolicy;
  if (options.evidenceExpiryMs === undefined && problems.length === 0) {
    return { ...policy, evidenceExpiryMs: Math.max(policy.evidenceExpiryMs, 2 * policy.confirmationWindowMs) };
  }
  // Otherwise the first verdict would have expired before the last could confirm it, and no key would ever be found invalid.
  if (problems.length === 0 && policy.evidenceExpiryMs < 2 * policy.confirmationWindowMs) {
    problems.push({ setting: 'evidenceExpiryMs', rule: 'must be at least twice confirmationWindowMs' });
  }
  if (problems.length > 0) throw new ValidityPolicyError(problems);
  return policy;
}
