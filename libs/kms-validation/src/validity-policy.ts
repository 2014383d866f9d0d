import type { Attention, Evidence, ValidityState } from '@atrest/contracts';
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
  /** `became-unreachable` was published for the present `unreachableSince`. */
  readonly unreachableAnnounced: boolean;
  readonly lastProvenAt: Date | null;
  /** The latest verdict of any kind. */
  readonly lastEvidence: Evidence | null;
  /** Findings that were announced already (`KIND:what`), so that each is told once. */
  readonly announcedFindings: readonly string[];
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
}

/** A fact for other services that follows from a check. */
export type ValidityEvent =
  | { readonly kind: 'invalidated' }
  | { readonly kind: 'validated' }
  | { readonly kind: 'became-unreachable' }
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
    unreachableAnnounced: false,
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
export function decide(validity: Validity, result: CheckResult, moment: Moment, policy: ValidityPolicy): Decision {
  const before = expireEvidence(validity, moment.now, policy);
  const after = applyVerdict(before, result.evidence, moment.now, policy);
  const { validity: announced, events: reach } = announceReachability(after, result.evidence, moment.now, policy);
  const { validity: next, events: findings } = announceFindings(announced, result.findings);
  return {
    validity: next,
    events: [...reach, ...transitionEvents(validity.state, next.state), ...findings],
    nextCheckAt: nextCheckAt(next, moment, policy),
    freshClient: needsFreshClient(next),
  };
}

function transitionEvents(from: ValidityState, to: ValidityState): ValidityEvent[] {
  if (from !== 'INVALID' && to === 'INVALID') return [{ kind: 'invalidated' }];
  if (from === 'INVALID' && to === 'VALID') return [{ kind: 'validated' }];
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

function applyVerdict(validity: Validity, evidence: Evidence, now: Date, policy: ValidityPolicy): Validity {
  const seen = { ...validity, lastEvidence: evidence };
  switch (evidence.verdict) {
    case 'usable':
      return {
        ...seen,
        state: 'VALID',
        since: validity.state === 'VALID' ? validity.since : now,
        evidence: [],
        unreachableSince: null,
        lastProvenAt: now,
      };
    case 'transient':
      return { ...seen, unreachableSince: validity.unreachableSince ?? now };
    case 'definitive':
      // Whatever it said, the KMS answered.
      return countDefinitive({ ...seen, unreachableSince: null }, evidence, now, policy);
    default:
      return evidence.verdict satisfies never;
  }
}

function countDefinitive(validity: Validity, evidence: Evidence, now: Date, policy: ValidityPolicy): Validity {
  if (validity.state === 'INVALID') return validity;
  const last = validity.evidence.at(-1);
  // Somebody who asks three times in a second has not confirmed anything: eventual consistency needs time between the questions.
  const tooSoon = last !== undefined && Date.parse(evidence.at) < Date.parse(last.at) + confirmationSpacingMs(policy);
  if (tooSoon) return validity;
  const counted = [...validity.evidence, evidence];
  if (counted.length >= policy.confirmations) return { ...validity, state: 'INVALID', since: now, evidence: counted };
  return { ...validity, state: 'SUSPECT', since: validity.state === 'SUSPECT' ? validity.since : now, evidence: counted };
}

function announceReachability(
  validity: Validity,
  evidence: Evidence,
  now: Date,
  policy: ValidityPolicy,
): { validity: Validity; events: ValidityEvent[] } {
  if (evidence.verdict !== 'transient') {
    if (!validity.unreachableAnnounced) return { validity, events: [] };
    return { validity: { ...validity, unreachableAnnounced: false }, events: [{ kind: 'became-reachable' }] };
  }
  const since = validity.unreachableSince ?? now;
  if (validity.unreachableAnnounced || now.getTime() - since.getTime() < policy.unreachableGraceMs) return { validity, events: [] };
  return { validity: { ...validity, unreachableAnnounced: true }, events: [{ kind: 'became-unreachable' }] };
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
  if (validity.unreachableSince === null || validity.unreachableAnnounced) return new Date(regular);
  // With a long interval the end of the grace period would otherwise pass unnoticed.
  const graceEnds = validity.unreachableSince.getTime() + policy.unreachableGraceMs;
  return new Date(graceEnds > now.getTime() ? Math.min(regular, graceEnds) : regular);
}
