import fc from 'fast-check';
import type { Evidence } from '@atrest/contracts';
import { describe, expect, it } from 'vitest';
import { compileValidityPolicy } from './policy-settings.js';
import {
  confirmationSpacingMs,
  decide,
  needsFreshClient,
  provenValidity,
  validityTransitions,
  type Decision,
  type Finding,
  type Validity,
} from './validity-policy.js';

const policy = { ...compileValidityPolicy(), failClosed: false, rotationReminderDays: 365 };
const spacing = confirmationSpacingMs(policy);
const START = Date.parse('2026-11-23T12:00:00.000Z');
const at = (ms: number): Date => new Date(START + ms);

type Kind = Evidence['verdict'];
const evidence = (verdict: Kind, when: Date, errorName: string | null = null): Evidence => ({
  verdict,
  reason: verdict === 'usable' ? null : verdict === 'definitive' ? 'KEY_DISABLED' : 'THROTTLED',
  errorName,
  message: null,
  httpStatus: null,
  requestId: null,
  at: when.toISOString(),
  observer: 'replica-1',
});

const proven = (): Validity => provenValidity(evidence('usable', at(0)), at(0));

const check = (
  validity: Validity,
  verdict: Kind,
  when: Date,
  options: { random?: number; findings?: Finding[]; holdShutdowns?: boolean; failClosed?: boolean } = {},
): Decision =>
  decide(
    validity,
    { evidence: evidence(verdict, when), findings: options.findings ?? [] },
    { now: when, random: options.random ?? 0.5, holdShutdowns: options.holdShutdowns ?? false },
    { ...policy, failClosed: options.failClosed ?? false },
  );

/** Applies verdicts at the times that the policy itself asks for. */
function run(verdicts: readonly Kind[], from: Validity = proven(), start = at(0)): { decisions: Decision[]; last: Decision } {
  const decisions: Decision[] = [];
  let validity = from;
  let when = start;
  for (const verdict of verdicts) {
    const decision = check(validity, verdict, when);
    decisions.push(decision);
    validity = decision.validity;
    when = decision.nextCheckAt;
  }
  return { decisions, last: decisions.at(-1)! };
}

const eventKinds = (decisions: readonly Decision[]): string[] => decisions.flatMap(({ events }) => events.map(({ kind }) => kind));

/** Verdicts at any times, as several replicas, restarts and 'try again' produce them; often enough definitive and close together to reach INVALID. */
const timed = fc.array(
  fc.record({
    verdict: fc.oneof(
      { weight: 3, arbitrary: fc.constant<Kind>('definitive') },
      { weight: 1, arbitrary: fc.constantFrom<Kind>('usable', 'transient') },
    ),
    afterMs: fc.oneof(
      { weight: 4, arbitrary: fc.integer({ min: 0, max: 60_000 }) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 20 * 60_000 }) },
    ),
  }),
  { maxLength: 60, size: 'max' },
);

interface Step {
  readonly verdict: Kind;
  readonly afterMs: number;
  /** What the breaker says at this step, and how the project takes an overdue hold. */
  readonly holdShutdowns?: boolean;
  readonly failClosed?: boolean;
}

/** The same under a breaker that may hold at any time. */
const timedWithBreaker = timed.chain((steps) =>
  fc.tuple(
    ...steps.map((step) => fc.record({ holdShutdowns: fc.boolean(), failClosed: fc.boolean() }).map((more) => ({ ...step, ...more }))),
  ),
);

function runTimed(steps: readonly Step[], from: Validity = proven()): (Decision & { now: number })[] {
  let validity = from;
  let now = 0;
  return steps.map(({ verdict, afterMs, ...options }) => {
    now += afterMs;
    const decision = check(validity, verdict, at(now), options);
    validity = decision.validity;
    return { ...decision, now };
  });
}

describe('the validity policy', () => {
  it('no sequence of transient verdicts ever leads to INVALID, from whatever was known before', () => {
    fc.assert(
      fc.property(timed, fc.array(fc.integer({ min: 0, max: 3_600_000 }), { minLength: 1, maxLength: 60 }), (history, gaps) => {
        const before = runTimed(history).at(-1)?.validity ?? proven();
        let validity = before;
        let now = history.reduce((sum, { afterMs }) => sum + afterMs, 0);
        for (const gap of gaps) {
          now += gap;
          const decision = check(validity, 'transient', at(now));
          validity = decision.validity;
          expect(decision.events.map(({ kind }) => kind)).not.toContain('invalidated');
          if (before.state !== 'INVALID') expect(validity.state).not.toBe('INVALID');
          else expect(validity.state).toBe('INVALID');
        }
      }),
    );
  });

  it('every run of definitive verdicts as long as the confirmations leads to INVALID, and transient ones in between neither count nor reset', () => {
    const interleaved = fc.array(fc.integer({ min: 0, max: 8 }), { minLength: policy.confirmations, maxLength: policy.confirmations });
    fc.assert(
      fc.property(timed, interleaved, (history, transients) => {
        const before = runTimed(history).at(-1);
        const now = at((before?.now ?? 0) + 1);
        const usable = check(before?.validity ?? proven(), 'usable', now);
        const verdicts = transients.flatMap<Kind>((count) => [...Array.from({ length: count }, () => 'transient' as const), 'definitive']);
        const { decisions } = run(verdicts, usable.validity, now);
        expect(decisions.at(-1)!.validity).toMatchObject({
          state: 'INVALID',
          since: new Date(decisions.at(-1)!.validity.evidence.at(-1)!.at),
        });
        expect(eventKinds(decisions).filter((kind) => kind === 'invalidated')).toHaveLength(1);
        expect(decisions.at(-1)!.events.map(({ kind }) => kind)).toContain('invalidated');
      }),
    );
  });

  it('never becomes INVALID with fewer counted verdicts, closer together or older than the policy says', () => {
    fc.assert(
      fc.property(timed, (history) => {
        for (const { events, validity, now } of runTimed(history)) {
          if (!events.some(({ kind }) => kind === 'invalidated')) continue;
          const times = validity.evidence.map((entry) => Date.parse(entry.at));
          expect(validity.evidence.every((entry) => entry.verdict === 'definitive')).toBe(true);
          expect(times).toHaveLength(policy.confirmations);
          times.slice(1).forEach((time, index) => expect(time - times[index]!).toBeGreaterThanOrEqual(spacing));
          expect(at(now).getTime() - times[0]!).toBeLessThanOrEqual(policy.evidenceExpiryMs);
        }
      }),
    );
  });

  it('a usable verdict brings VALID from everywhere and forgets all evidence', () => {
    fc.assert(
      fc.property(timed, (history) => {
        const before = runTimed(history).at(-1);
        const now = at((before?.now ?? 0) + 1);
        const { validity } = check(before?.validity ?? proven(), 'usable', now);
        expect(validity).toMatchObject({
          state: 'VALID',
          evidence: [],
          unreachableSince: null,
          unreachableAlerts: 0,
          lastProvenAt: now,
        });
      }),
    );
  });

  it('F13 a key that flaps with each check is never INVALID', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: policy.confirmations - 1 }), (rounds, definitives) => {
        const round: Kind[] = [...Array.from({ length: definitives }, () => 'definitive' as const), 'usable'];
        const { decisions } = run(Array.from({ length: rounds }, () => round).flat());
        expect(decisions.map(({ validity }) => validity.state)).not.toContain('INVALID');
        expect(eventKinds(decisions)).toEqual([]);
      }),
    );
  });

  it('publishes invalidated and validated exactly at the transitions, in turn', () => {
    fc.assert(
      fc.property(timed, (history) => {
        let state = 'VALID';
        for (const { validity, events } of runTimed(history)) {
          const kinds = events.map(({ kind }) => kind).filter((kind) => kind === 'invalidated' || kind === 'validated');
          const expected =
            validity.state === state ? [] : validity.state === 'INVALID' ? ['invalidated'] : state === 'INVALID' ? ['validated'] : [];
          expect(kinds).toEqual(expected);
          state = validity.state;
        }
      }),
    );
  });

  it('follows its table: every step is a row, and every row happens', () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(timedWithBreaker, (history) => {
        let state: Validity['state'] = 'VALID';
        for (const { validity } of runTimed(history)) {
          const verdict = validity.lastEvidence!.verdict;
          const rows = validityTransitions.filter((row) => row.from === state && row.to === validity.state && row.on.startsWith(verdict));
          // Evidence that expired before a definitive verdict came: SUSPECT stays SUSPECT, which is a row as well.
          expect(rows.length).toBeGreaterThan(0);
          rows.forEach((row) => seen.add(`${row.from} ${row.on}`));
          state = validity.state;
        }
      }),
      { numRuns: 300, seed: 20261123 },
    );
    // A hold lasts for hours and is released by people, which the histories above have not.
    const [held] = run(['definitive', 'definitive'], proven()).decisions.slice(-1);
    const holding = check(held!.validity, 'definitive', at(2 * spacing), { holdShutdowns: true });
    const overdue = check(holding.validity, 'definitive', at(2 * spacing + policy.holdLimitMs), { failClosed: true });
    expect([holding.validity.state, overdue.validity.state]).toEqual(['HELD', 'INVALID']);
    seen.add('HELD definitive, released, or overdue where the project fails closed');
    expect([...seen].sort()).toEqual(validityTransitions.map((row) => `${row.from} ${row.on}`).sort());
  });

  it('F18 while the breaker holds, nothing ever becomes INVALID by itself, and transient answers change nothing', () => {
    fc.assert(
      fc.property(timed, (history) => {
        const held = runTimed(history.map((step) => ({ ...step, holdShutdowns: true })));
        for (const { validity, events } of held) {
          expect(validity.state).not.toBe('INVALID');
          expect(validity.hold === null).toBe(validity.state !== 'HELD');
          expect(events.map(({ kind }) => kind)).not.toContain('invalidated');
        }
      }),
    );
  });

  describe('a held shutdown', () => {
    const suspect = run(['definitive', 'definitive']).last;
    const held = check(suspect.validity, 'definitive', suspect.nextCheckAt, { holdShutdowns: true });
    const decidedAs = (decision: 'RELEASED' | 'CANCELLED'): Validity => ({
      ...held.validity,
      hold: { ...held.validity.hold!, decision, decidedBy: 'somebody' },
    });
    const later = (ms: number): Date => new Date(suspect.nextCheckAt.getTime() + ms);

    it('says so, keeps its evidence, and is looked at when its time ends', () => {
      expect(held.events).toEqual([{ kind: 'held' }]);
      expect(held.validity).toMatchObject({ state: 'HELD', hold: { decision: 'PENDING', until: later(policy.holdLimitMs) } });
      expect(held.validity.evidence).toHaveLength(policy.confirmations);
      expect(check(held.validity, 'definitive', later(policy.holdLimitMs - 1_000)).nextCheckAt).toEqual(later(policy.holdLimitMs));
    });

    it('is carried out by the next definitive verdict after its release, also while the breaker still holds', () => {
      const released = check(decidedAs('RELEASED'), 'definitive', later(1_000), { holdShutdowns: true });
      expect(released).toMatchObject({ validity: { state: 'INVALID', hold: null }, events: [{ kind: 'invalidated' }] });
      expect(check(decidedAs('RELEASED'), 'transient', later(1_000)).validity.state).toBe('HELD');
    });

    it('ends with a usable key, whatever was decided', () => {
      for (const validity of [held.validity, decidedAs('RELEASED'), decidedAs('CANCELLED')]) {
        expect(check(validity, 'usable', later(1_000))).toMatchObject({
          validity: { state: 'VALID', hold: null, evidence: [] },
          events: [{ kind: 'hold-ended' }],
        });
      }
    });

    it('that was cancelled stops nothing, ever', () => {
      const years = check(decidedAs('CANCELLED'), 'definitive', later(10 * policy.holdLimitMs), { failClosed: true });
      expect(years).toMatchObject({ validity: { state: 'HELD' }, events: [] });
    });

    it('that nobody decides on is carried out where the project fails closed, and else goes on and says so each time', () => {
      const closed = check(held.validity, 'definitive', later(policy.holdLimitMs), { failClosed: true });
      expect(closed).toMatchObject({ validity: { state: 'INVALID' }, events: [{ kind: 'invalidated' }] });
      expect(check(held.validity, 'transient', later(policy.holdLimitMs), { failClosed: true }).validity.state).toBe('HELD');
      let validity = held.validity;
      for (let round = 1; round <= 3; round += 1) {
        const overdue = check(validity, 'definitive', later(round * policy.holdLimitMs));
        expect(overdue).toMatchObject({ validity: { state: 'HELD' }, events: [{ kind: 'hold-overdue' }] });
        expect(check(overdue.validity, 'definitive', later(round * policy.holdLimitMs + 1_000)).events).toEqual([]);
        validity = overdue.validity;
      }
    });
  });

  it('asks for the confirmations within the window, on a fresh client, and then for the regular check', () => {
    const { decisions } = run(['definitive', 'definitive', 'definitive']);
    expect(decisions.map(({ validity }) => [validity.state, validity.evidence.length])).toEqual([
      ['SUSPECT', 1],
      ['SUSPECT', 2],
      ['INVALID', 3],
    ]);
    expect(decisions.map(({ nextCheckAt }) => nextCheckAt.getTime() - START)).toEqual([
      spacing,
      2 * spacing,
      2 * spacing + policy.intervalMs,
    ]);
    expect(2 * spacing).toBeLessThanOrEqual(policy.confirmationWindowMs);
    expect(decisions.map(({ freshClient }) => freshClient)).toEqual([true, true, true]);
    expect(needsFreshClient(proven())).toBe(false);
  });

  it('a verdict that somebody forced too soon is no confirmation and postpones none', () => {
    const first = check(proven(), 'definitive', at(0));
    let validity = first.validity;
    for (let ms = 100; ms < spacing; ms += 100) {
      const forced = check(validity, 'definitive', at(ms));
      expect(forced.validity).toMatchObject({ state: 'SUSPECT', evidence: first.validity.evidence });
      expect(forced.nextCheckAt).toEqual(first.nextCheckAt);
      validity = forced.validity;
    }
  });

  it('definitive evidence that was not confirmed within ten minutes counts no more', () => {
    const first = check(proven(), 'definitive', at(0));
    const second = check(first.validity, 'definitive', at(spacing));
    const late = check(second.validity, 'definitive', at(spacing + policy.evidenceExpiryMs + 1));
    expect(late.validity).toMatchObject({ state: 'SUSPECT', evidence: [{ at: at(spacing + policy.evidenceExpiryMs + 1).toISOString() }] });
    const unanswered = check(second.validity, 'transient', at(spacing + policy.evidenceExpiryMs + 1));
    expect(unanswered).toMatchObject({ validity: { state: 'VALID', evidence: [] }, freshClient: false });
  });

  it('evidence from the future counts no more: the clock was set back', () => {
    const first = check(proven(), 'definitive', at(0));
    const second = check(first.validity, 'definitive', at(spacing));
    const earlier = at(spacing - 86_400_000);
    const back = check(second.validity, 'definitive', earlier);
    expect(back.validity).toMatchObject({ state: 'SUSPECT', evidence: [{ at: earlier.toISOString() }] });
    expect(back.nextCheckAt).toEqual(new Date(earlier.getTime() + spacing));
    // A replica whose clock is behind by seconds loses nothing.
    const behind = check(second.validity, 'transient', at(spacing - 2_000));
    expect(behind.validity.evidence).toHaveLength(2);
  });

  it('keeps the reason of INVALID however long it lasts', () => {
    const invalid = run(['definitive', 'definitive', 'definitive']).last.validity;
    const later = check(invalid, 'definitive', at(40 * 86_400_000));
    expect(later.validity.evidence).toEqual(invalid.evidence);
    expect(later).toMatchObject({ events: [], freshClient: true, validity: { since: invalid.since } });
  });

  it('tells each alert level once that the KMS is unreachable, and once that it answers again', () => {
    const minutes = Array.from({ length: 1_440 }, () => 'transient' as const);
    const { decisions, last } = run(minutes);
    const told = decisions.flatMap(({ events, validity }) => events.map((event) => [event, validity.lastEvidence!.at] as const));
    expect(told).toEqual([
      [{ kind: 'became-unreachable', alertLevel: 'PROJECT_OWNERS' }, at(policy.unreachableGraceMs).toISOString()],
      [{ kind: 'unreachable-escalated', alertLevel: 'OPERATORS' }, at(policy.unreachableOperatorsMs).toISOString()],
      [{ kind: 'unreachable-escalated', alertLevel: 'ORGANISATION_OWNERS' }, at(policy.unreachableOrganisationMs).toISOString()],
    ]);
    expect(last.validity).toMatchObject({ state: 'VALID', unreachableSince: at(0), lastProvenAt: at(0) });
    expect(eventKinds(run(['usable', 'usable'], last.validity, last.nextCheckAt).decisions)).toEqual(['became-reachable']);
  });

  it('a short silence is nobody’s business', () => {
    expect(eventKinds(run(['transient', 'transient', 'usable', 'transient', 'transient', 'usable']).decisions)).toEqual([]);
  });

  it('a definitive answer is an answer: the KMS is reachable', () => {
    const silent = run(Array.from({ length: 7 }, () => 'transient' as const)).last;
    const answered = check(silent.validity, 'definitive', silent.nextCheckAt);
    expect(answered.events.map(({ kind }) => kind)).toEqual(['became-reachable']);
    expect(answered.validity).toMatchObject({ state: 'SUSPECT', unreachableSince: null });
  });

  it('with a long interval looks again when the grace period ends', () => {
    const slow = compileValidityPolicy({ intervalMs: 86_400_000 });
    const result = { evidence: evidence('transient', at(0)), findings: [] };
    expect(
      decide(proven(), result, { now: at(0), random: 0, holdShutdowns: false }, { ...slow, failClosed: false, rotationReminderDays: null })
        .nextCheckAt,
    ).toEqual(at(slow.unreachableGraceMs));
  });

  it('spreads due times over ten percent around the interval', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (random) => {
        const wait = check(proven(), 'usable', at(0), { random }).nextCheckAt.getTime() - START;
        expect(wait).toBeGreaterThanOrEqual(policy.intervalMs * 0.9);
        expect(wait).toBeLessThanOrEqual(policy.intervalMs * 1.1);
      }),
    );
  });

  it('tells each finding once and stops nothing for it', () => {
    const finding = (key: string): Finding => ({ key, kind: 'UNCLASSIFIED_ERROR', detail: key, at: at(0).toISOString() });
    const first = check(proven(), 'transient', at(0), { findings: [finding('OddException')] });
    expect(first.events).toEqual([
      { kind: 'attention-needed', attention: { kind: 'UNCLASSIFIED_ERROR', detail: 'OddException', at: at(0).toISOString() } },
    ]);
    const again = check(first.validity, 'transient', at(60_000), { findings: [finding('OddException'), finding('StrangeException')] });
    expect(again.events).toMatchObject([{ kind: 'attention-needed', attention: { detail: 'StrangeException' } }]);
    expect(again.validity.state).toBe('VALID');
  });
});
