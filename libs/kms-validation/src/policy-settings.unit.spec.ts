import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileValidityPolicy, VALIDITY_POLICY_LIMITS, ValidityPolicyError, type ValidityPolicy } from './policy-settings.js';

const refusal = (options: Record<string, unknown>): ValidityPolicyError => {
  try {
    compileValidityPolicy(options as Partial<ValidityPolicy>);
  } catch (error) {
    if (error instanceof ValidityPolicyError) return error;
    throw error;
  }
  throw new Error('the policy was accepted');
};

describe('the settings of the validity policy', () => {
  it('have the defaults that the documentation names', () => {
    expect(compileValidityPolicy()).toEqual({
      intervalMs: 60_000,
      confirmations: 3,
      confirmationWindowMs: 20_000,
      evidenceExpiryMs: 600_000,
      unreachableGraceMs: 300_000,
      unreachableOperatorsMs: 1_800_000,
      unreachableOrganisationMs: 14_400_000,
      holdLimitMs: 14_400_000,
      jitter: 0.1,
      wrapProofIntervalMs: 86_400_000,
    });
  });

  it.each([
    ['0', 0],
    ['-1', -1],
    ['1 ms', 1],
    ['10 years', 10 * 365 * 86_400_000],
    ['not a number', Number.NaN],
    ['infinity', Number.POSITIVE_INFINITY],
    ['a fraction', 1_500.5],
  ])('F88 an interval of %s is refused with the rule and without the value', (_, intervalMs) => {
    const error = refusal({ intervalMs });
    expect(error).toMatchObject({
      code: 'KMS_VALIDATION.POLICY_REFUSED',
      problems: [{ setting: 'intervalMs', rule: 'must be a whole number from 1000 to 86400000 milliseconds' }],
    });
  });

  it('F87 numbers as strings are refused: nobody knows their unit', () => {
    expect(refusal({ intervalMs: '60', confirmations: '3' }).problems.map(({ setting }) => setting)).toEqual([
      'intervalMs',
      'confirmations',
    ]);
    expect(refusal({ interval: 60_000 }).problems).toEqual([{ setting: 'interval', rule: 'is not a setting of the validity policy' }]);
  });

  it('a single confirmation is refused, because it is none', () => {
    expect(refusal({ confirmations: 1 }).problems).toHaveLength(1);
  });

  it('evidence may not expire before it can be confirmed', () => {
    expect(refusal({ confirmationWindowMs: 60_000, evidenceExpiryMs: 60_000 }).problems).toEqual([
      { setting: 'evidenceExpiryMs', rule: 'must be at least twice confirmationWindowMs' },
    ]);
  });

  it('accept exactly what lies within the limits', () => {
    const settings = Object.entries(VALIDITY_POLICY_LIMITS).filter(
      ([name]) => name !== 'evidenceExpiryMs' && name !== 'confirmationWindowMs',
    );
    for (const [setting, limit] of settings) {
      fc.assert(
        fc.property(limit.unit === 'part' ? fc.double({ noNaN: true }) : fc.maxSafeInteger(), (value) => {
          const inside = value >= limit.min && value <= limit.max;
          if (inside) expect(compileValidityPolicy({ [setting]: value })).toMatchObject({ [setting]: value });
          else expect(refusal({ [setting]: value }).problems).toHaveLength(1);
        }),
      );
    }
  });
});
