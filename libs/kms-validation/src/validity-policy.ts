import { ALERT_LEVELS, type AlertLevel, type Attention, type Evidence, type ValidityState } from '@atrest/contracts';
import type { ValidityPolicy } from './policy-settings.js';

/** What is known about the usability of one configuration's customer key. */
export interface Validity {
  readonly state: ValidityState;
  /** Since when it has this state. */
  readonly since: Date;
  /**
   * The definitive verdicts that count: towards INVALID while SUSPECT, and those that led to INVALID afterwards. Oldest first.
   * Empty while VALID.
   */
  readonly evidence: readonly Evidence[];
  readonly unreachableSince: Date | null;
  /** How many of the alert levels were told of the present `unreachableSince`. */
  readonly unreachableAlerts: number;
  /** Only while HELD. */
  readonly hold: HeldShutdown | null;
  readonly lastProvenAt: Date | null;
  /** The latest verdict of any kind. */
  readonly lastEvidence: Evidence | null;
  /** Findings that were announced already (`KIND:what`), so that each is told once. */
  readonly announcedFindings: readonly string[];
}

/** A shutdown that waits for somebody's decision. */
export interface HeldShutdown {
  readonly since: Date;
  readonly decision: 'PENDING' | 'RELEASED' | 'CANCELLED';
  /** Until when somebody should have decided; moves on each time when nobody has and nothing is stopped. */
  readonly until: Date;
  readonly decidedBy: string | null;
}

/** What a project has decided for itself, beside the numbers of the validity policy. */
export interface MemberPolicy extends ValidityPolicy {
  /** A held shutdown that nobody decides on in time is carried out; otherwise it stays held and the operators are told again. */
  readonly failClosed: boolean;
  /** After so many days without a rotation somebody is reminded; null: nobody. */
  readonly rotationReminderDays: number | null;
}

/** Something a check met that a person should look at. `key` is what makes it the same finding again, e.g. an error's name. */
export interface Finding extends Attention {
  readonly key: string;
}

/** What one check found out. */
export interface CheckResult {
  readonly evidence: Evidence;
  readonly findings: readonly Finding[];
}

/** The moment of a decision: time, and the randomness that spreads due times, both given so that a decision can be repeated. */
export interface Moment {
  readonly now: Date;
  /** In [0, 1). */
  readonly random: number;
  /** The breaker: whatever would be stopped now is held instead. */
  readonly holdShutdowns: boolean;
}

/** A fact for other services that follows from a check. */
export type ValidityEvent =
  | { readonly kind: 'invalidated' }
  | { readonly kind: 'validated' }
  | { readonly kind: 'held' }
  | { readonly kind: 'hold-overdue' }
  | { readonly kind: 'hold-ended' }
  | { readonly kind: 'became-unreachable'; readonly alertLevel: AlertLevel }
  | { readonly kind: 'unreachable-escalated'; readonly alertLevel: AlertLevel }
  | { readonly kind: 'became-reachable' }
  | { readonly kind: 'attention-needed'; readonly attention: Attention };

/** What follows from a check. */
export interface Decision {
  readonly validity: Validity;
  readonly events: readonly ValidityEvent[];
  readonly nextCheckAt: Date;
  /** The next check must use a new client: cached tokens and connections hide revocations, and recoveries too. */
  readonly freshClient: boolean;
}

/**
 * The table that {@link decide} follows; diagrams are generated from it. A transient verdict appears in no row that ends in INVALID.
 */
export const validityTransitions: readonly {
  readonly from: ValidityState;
  readonly on: string;
  readonly to: ValidityState;
  readonly event: ValidityEvent['kind'] | null;
}[] = [
  { from: 'VALID', on: 'usable', to: 'VALID', event: null },
  { from: 'VALID', on: 'transient', to: 'VALID', event: null },
  { from: 'VALID', on: 'definitive', to: 'SUSPECT', event: null },
  { from: 'SUSPECT', on: 'usable', to: 'VALID', event: null },
  { from: 'SUSPECT', on: 'transient', to: 'SUSPECT', event: null },
  { from: 'SUSPECT', on: 'transient, all evidence expired', to: 'VALID', event: null },
  { from: 'SUSPECT', on: 'definitive, not confirmed yet', to: 'SUSPECT', event: null },
  { from: 'SUSPECT', on: 'definitive, last confirmation', to: 'INVALID', event: 'invalidated' },
  { from: 'SUSPECT', on: 'definitive, last confirmation, while the breaker holds', to: 'HELD', event: 'held' },
  { from: 'HELD', on: 'usable', to: 'VALID', event: 'hold-ended' },
  { from: 'HELD', on: 'transient', to: 'HELD', event: null },
  { from: 'HELD', on: 'definitive, not released', to: 'HELD', event: null },
  { from: 'HELD', on: 'definitive, released, or overdue where the project fails closed', to: 'INVALID', event: 'invalidated' },
  { from: 'INVALID', on: 'usable', to: 'VALID', event: 'validated' },
  { from: 'INVALID', on: 'transient', to: 'INVALID', event: null },
  { from: 'INVALID', on: 'definitive', to: 'INVALID', event: null },
];

/** The validity of a key that was proven usable at this moment. */
export function provenValidity(evidence: Evidence, now: Date): Validity {
  return {
    state: 'VALID',
    since: now,
    evidence: [],
    unreachableSince: null,
    unreachableAlerts: 0,
    hold: null,
    lastProvenAt: now,
    lastEvidence: evidence,
    announcedFindings: [],
  };
}

/** Time between a definitive verdict and the check that may confirm it, in milliseconds. */
export const confirmationSpacingMs = (policy: ValidityPolicy): number => Math.ceil(policy.confirmationWindowMs / policy.confirmations);

/** No check is ever planned further ahead, in milliseconds. What is was planned before the clock was set back, or under a longer interval, and is due. */
export const longestWaitMs = (policy: ValidityPolicy): number => 2 * Math.max(policy.intervalMs, policy.confirmationWindowMs);

/** Whether a check in this state must use a new client. */
export const needsFreshClient = (validity: Validity): boolean => validity.state !== 'VALID';

/**
 * What follows from one check. Only definitive verdicts, confirmed by further ones at least {@link confirmationSpacingMs} apart, make a
 * configuration INVALID; a usable verdict makes it VALID whatever was before; a transient one teaches nothing about the key.
 */
export function decide(validity: Validity, result: CheckResult, moment: Moment, policy: MemberPolicy): Decision {
  const before = expireEvidence(validity, moment.now, policy);
  const { validity: after, overdue } = remindOfHold(applyVerdict(before, result.evidence, moment, policy), moment.now, policy);
  const { validity: announced, events: reach } = announceReachability(after, result.evidence, moment.now, policy);
  const { validity: next, events: findings } = announceFindings(announced, result.findings);
  return {
    validity: next,
    events: [...reach, ...transitionEvents(validity.state, next.state), ...overdue, ...findings],
    nextCheckAt: nextCheckAt(next, moment, policy),
    freshClient: needsFreshClient(next),
  };
}

function transitionEvents(from: ValidityState, to: ValidityState): ValidityEvent[] {
  if (from !== 'INVALID' && to === 'INVALID') return [{ kind: 'invalidated' }];
  if (from === 'INVALID' && to === 'VALID') return [{ kind: 'validated' }];
  if (from !== 'HELD' && to === 'HELD') return [{ kind: 'held' }];
  if (from === 'HELD' && to === 'VALID') return [{ kind: 'hold-ended' }];
  return [];
}

/**
 * Drops definitive verdicts that nothing confirmed for too long, and those from the future: the clock was set back since, nobody knows how long ago they
 * were, and waiting for their time would leave a revoked key in use. What led to INVALID is kept: it is the reason, not a count.
 */
function expireEvidence(validity: Validity, now: Date, policy: ValidityPolicy): Validity {
  if (validity.state !== 'SUSPECT') return validity;
  const oldest = now.getTime() - policy.evidenceExpiryMs;
  // Replicas' clocks differ by seconds; more than the window is a jump.
  const latest = now.getTime() + policy.confirmationWindowMs;
  const evidence = validity.evidence.filter((entry) => Date.parse(entry.at) >= oldest && Date.parse(entry.at) <= latest);
  if (evidence.length > 0) return { ...validity, evidence };
  return { ...validity, evidence, state: 'VALID', since: now };
}

function applyVerdict(validity: Validity, evidence: Evidence, moment: Moment, policy: MemberPolicy): Validity {
  const { now } = moment;
  const seen = { ...validity, lastEvidence: evidence };
  switch (evidence.verdict) {
    case 'usable':
      return {
        ...seen,
        state: 'VALID',
        since: validity.state === 'VALID' ? validity.since : now,
        evidence: [],
        unreachableSince: null,
        hold: null,
        lastProvenAt: now,
      };
    case 'transient':
      return { ...seen, unreachableSince: validity.unreachableSince ?? now };
    case 'definitive':
      // Whatever it said, the KMS answered.
      return countDefinitive({ ...seen, unreachableSince: null }, evidence, moment, policy);
    default:
      return evidence.verdict satisfies never;
  }
}

function countDefinitive(validity: Validity, evidence: Evidence, moment: Moment, policy: MemberPolicy): Validity {
  const { now } = moment;
  if (validity.state === 'INVALID') return validity;
  if (validity.hold !== null)
    return stopsNow(validity.hold, now, policy) ? { ...validity, state: 'INVALID', since: now, hold: null } : validity;
  const last = validity.evidence.at(-1);
  // Somebody who asks three times in a second has not confirmed anything: eventual consistency needs time between the questions.
  const tooSoon = last !== undefined && Date.parse(evidence.at) < Date.parse(last.at) + confirmationSpacingMs(policy);
  if (tooSoon) return validity;
  const counted = [...validity.evidence, evidence];
  if (counted.length >= policy.confirmations) {
    const confirmed = { ...validity, since: now, evidence: counted };
    return moment.holdShutdowns
      ? { ...confirmed, state: 'HELD', hold: { since: now, decision: 'PENDING', until: holdEnd(now, policy), decidedBy: null } }
      : { ...confirmed, state: 'INVALID' };
  }
  return { ...validity, state: 'SUSPECT', since: validity.state === 'SUSPECT' ? validity.since : now, evidence: counted };
}

const holdEnd = (from: Date, policy: ValidityPolicy): Date => new Date(from.getTime() + policy.holdLimitMs);

const isOverdue = (hold: HeldShutdown, now: Date): boolean => hold.decision === 'PENDING' && hold.until <= now;

/** A definitive verdict of this moment carries a held shutdown out, once somebody released it, or nobody did and the project fails closed. */
const stopsNow = (hold: HeldShutdown, now: Date, policy: MemberPolicy): boolean =>
  hold.decision === 'RELEASED' || (policy.failClosed && isOverdue(hold, now));

/** Where the project does not fail closed, a hold that nobody decides on goes on, and says so again each time. */
function remindOfHold(validity: Validity, now: Date, policy: MemberPolicy): { validity: Validity; overdue: ValidityEvent[] } {
  const { hold } = validity;
  if (hold === null || policy.failClosed || !isOverdue(hold, now)) return { validity, overdue: [] };
  return { validity: { ...validity, hold: { ...hold, until: holdEnd(now, policy) } }, overdue: [{ kind: 'hold-overdue' }] };
}

/** When each alert level hears of a KMS that cannot be asked, in milliseconds. */
export const alertTimesMs = (policy: ValidityPolicy): readonly { readonly level: AlertLevel; readonly afterMs: number }[] => {
  const after = {
    PROJECT_OWNERS: policy.unreachableGraceMs,
    OPERATORS: policy.unreachableOperatorsMs,
    ORGANISATION_OWNERS: policy.unreachableOrganisationMs,
  };
  // A later level never hears before an earlier one.
  let atLeast = 0;
  return ALERT_LEVELS.map((level) => ({ level, afterMs: (atLeast = Math.max(atLeast, after[level])) }));
};

function announceReachability(
  validity: Validity,
  evidence: Evidence,
  now: Date,
  policy: ValidityPolicy,
): { validity: Validity; events: ValidityEvent[] } {
  if (evidence.verdict !== 'transient') {
    if (validity.unreachableAlerts === 0) return { validity, events: [] };
    return { validity: { ...validity, unreachableAlerts: 0 }, events: [{ kind: 'became-reachable' }] };
  }
  const lastedMs = now.getTime() - (validity.unreachableSince ?? now).getTime();
  const due = alertTimesMs(policy).filter(({ afterMs }, index) => index >= validity.unreachableAlerts && lastedMs >= afterMs);
  if (due.length === 0) return { validity, events: [] };
  const events = due.map(({ level: alertLevel }, index): ValidityEvent => {
    const first = validity.unreachableAlerts === 0 && index === 0;
    return { kind: first ? 'became-unreachable' : 'unreachable-escalated', alertLevel };
  });
  return { validity: { ...validity, unreachableAlerts: validity.unreachableAlerts + due.length }, events };
}

/** Findings remembered per configuration. Error names are few; the limit only bounds the row of a provider that invents them. */
const MAX_REMEMBERED_FINDINGS = 100;

function announceFindings(validity: Validity, findings: readonly Finding[]): { validity: Validity; events: ValidityEvent[] } {
  const announced = new Set(validity.announcedFindings);
  const events: ValidityEvent[] = [];
  for (const { key, ...attention } of findings) {
    const name = `${attention.kind}:${key}`;
    if (announced.has(name)) continue;
    announced.add(name);
    events.push({ kind: 'attention-needed', attention });
  }
  return {
    validity: events.length === 0 ? validity : { ...validity, announcedFindings: [...announced].slice(-MAX_REMEMBERED_FINDINGS) },
    events,
  };
}

function nextCheckAt(validity: Validity, { now, random }: Moment, policy: ValidityPolicy): Date {
  if (validity.state === 'SUSPECT') {
    // Counted from the verdict to be confirmed, so that asking in between does not postpone the confirmation.
    const lastCounted = validity.evidence.at(-1);
    const due = (lastCounted ? Date.parse(lastCounted.at) : now.getTime()) + confirmationSpacingMs(policy);
    return new Date(due > now.getTime() ? due : now.getTime() + confirmationSpacingMs(policy));
  }
  const spread = policy.intervalMs * (1 + policy.jitter * (2 * random - 1));
  const regular = now.getTime() + Math.max(1, Math.round(spread));
  const { unreachableSince, unreachableAlerts, hold } = validity;
  const next = unreachableSince === null ? undefined : alertTimesMs(policy)[unreachableAlerts];
  // With a long interval the time of an alert, or the end of a hold, would otherwise pass unnoticed.
  const moments = [
    ...(unreachableSince === null || next === undefined ? [] : [unreachableSince.getTime() + next.afterMs]),
    ...(hold?.decision === 'PENDING' ? [hold.until.getTime()] : []),
  ].filter((moment) => moment > now.getTime());
  return new Date(Math.min(regular, ...moments));
}
