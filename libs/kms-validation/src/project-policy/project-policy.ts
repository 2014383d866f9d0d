import type { EnforcementMode, SecondProviders, ValidityPolicyChange, ValidityPolicyView } from '@atrest/contracts';
import { compileValidityPolicy, VALIDITY_POLICY_LIMITS, ValidityPolicyError, type ValidityPolicy } from '../policy-settings.js';
import { refusal, type Refusal } from '../refusal.js';

/** The numbers that a project may decide for itself, by their name in the API, in seconds where they are times. */
const NUMBERS = {
  intervalSeconds: 'intervalMs',
  confirmations: 'confirmations',
  confirmationWindowSeconds: 'confirmationWindowMs',
  unreachableOwnersSeconds: 'unreachableGraceMs',
  unreachableOperatorsSeconds: 'unreachableOperatorsMs',
  unreachableOrganisationSeconds: 'unreachableOrganisationMs',
  holdLimitSeconds: 'holdLimitMs',
} as const satisfies Record<string, keyof ValidityPolicy>;

type NumberName = keyof typeof NUMBERS;

/** Customer keys should change once a year. */
export const DEFAULT_REMINDER_DAYS = 365;

/** What a project decided for itself; what it did not follows the installation. */
export interface ProjectPolicy {
  readonly mode: EnforcementMode;
  readonly failClosed: boolean;
  /** Null: nobody is reminded. */
  readonly rotationReminderDays: number | null;
  /** Whose key may unwrap while that of another provider is unreachable. */
  readonly secondProviders: SecondProviders;
  readonly numbers: Partial<ValidityPolicy>;
  /** Grows with every change; 0 when nothing was ever decided. */
  readonly revision: number;
}

export const DEFAULT_PROJECT_POLICY: ProjectPolicy = {
  mode: 'enforce',
  failClosed: false,
  rotationReminderDays: DEFAULT_REMINDER_DAYS,
  secondProviders: {},
  numbers: {},
  revision: 0,
};

/** The numbers that apply to a project. What was stored under other limits follows the installation again. */
export function effectivePolicy(installation: ValidityPolicy, { numbers }: ProjectPolicy): ValidityPolicy {
  try {
    const { evidenceExpiryMs: _, ...own } = installation;
    return compileValidityPolicy({ ...own, ...numbers });
  } catch (error) {
    if (error instanceof ValidityPolicyError) return installation;
    throw error;
  }
}

/** What a PATCH makes of a policy; a null number follows the installation again. Pure. */
export function changeProjectPolicy(
  current: ProjectPolicy,
  change: ValidityPolicyChange,
  installation: ValidityPolicy,
): ProjectPolicy | Refusal {
  const numbers: Partial<Record<keyof ValidityPolicy, number>> = { ...current.numbers };
  for (const [name, setting] of Object.entries(NUMBERS) as [NumberName, keyof ValidityPolicy][]) {
    const value = change[name];
    if (value === undefined) continue;
    if (value === null) delete numbers[setting];
    else numbers[setting] = inUnit(setting, value);
  }
  const secondProviders = change.secondProviders === undefined ? current.secondProviders : (change.secondProviders ?? {});
  const wrong = refuseNumbers(numbers, installation) ?? refuseSecondProviders(secondProviders);
  if (wrong !== null) return wrong;
  return {
    mode: change.mode ?? current.mode,
    failClosed: change.failClosed ?? current.failClosed,
    rotationReminderDays: change.rotationReminderDays === undefined ? current.rotationReminderDays : change.rotationReminderDays,
    secondProviders,
    numbers,
    revision: current.revision + 1,
  };
}

const inUnit = (setting: keyof ValidityPolicy, value: number): number =>
  VALIDITY_POLICY_LIMITS[setting].unit === 'ms' ? value * 1_000 : value;

function refuseNumbers(numbers: Partial<ValidityPolicy>, installation: ValidityPolicy): Refusal | null {
  try {
    const { evidenceExpiryMs: _, ...own } = installation;
    compileValidityPolicy({ ...own, ...numbers });
    return null;
  } catch (error) {
    if (!(error instanceof ValidityPolicyError)) throw error;
    const names = error.problems.map(({ setting }) => apiName(setting));
    const rules = error.problems.map(({ setting, rule }) => `${apiName(setting)} ${inSeconds(setting, rule)}`);
    return refusal('INVALID_ATTRIBUTE', `${rules.join('; ')}.`, names);
  }
}

/** A provider that is not configured yet may be named: until it is, there is no second key. */
function refuseSecondProviders(secondProviders: SecondProviders): Refusal | null {
  const own = Object.entries(secondProviders).find(([first, second]) => first === second);
  if (own === undefined) return null;
  return refusal('INVALID_ATTRIBUTE', `secondProviders must not name ${own[0]} for itself.`, ['secondProviders']);
}

const apiName = (setting: string): string => Object.entries(NUMBERS).find(([, name]) => name === setting)?.[0] ?? setting;

function inSeconds(setting: string, rule: string): string {
  const limit = VALIDITY_POLICY_LIMITS[setting as keyof ValidityPolicy];
  return limit?.unit === 'ms' ? `must be a whole number from ${Math.ceil(limit.min / 1_000)} to ${limit.max / 1_000} seconds` : rule;
}

/** The policy as the API shows it: what applies, whoever decided it. */
export function toPolicyView(policy: ProjectPolicy, installation: ValidityPolicy): ValidityPolicyView {
  const effective = effectivePolicy(installation, policy);
  const entries = Object.entries(NUMBERS) as [NumberName, keyof ValidityPolicy][];
  const numbers = Object.fromEntries(
    entries.map(([name, setting]) => [
      name,
      VALIDITY_POLICY_LIMITS[setting].unit === 'ms' ? effective[setting] / 1_000 : effective[setting],
    ]),
  ) as Record<NumberName, number>;
  return {
    mode: policy.mode,
    failClosed: policy.failClosed,
    rotationReminderDays: policy.rotationReminderDays,
    secondProviders: policy.secondProviders,
    ...numbers,
    ownSettings: entries.filter(([, setting]) => policy.numbers[setting] !== undefined).map(([name]) => name),
  };
}
