import { TRANSIENT_REASONS, type Evidence, type TransientReason } from '@atrest/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileValidityPolicy } from './policy-settings.js';
import { secondKeyRole } from './second-key.js';
import { decide, provenValidity, type Validity } from './validity-policy.js';

const policy = { ...compileValidityPolicy(), failClosed: false, rotationReminderDays: 365 };
const START = Date.parse('2026-11-23T12:00:00.000Z');
const at = (minutes: number): Date => new Date(START + minutes * 60_000);

type Seen = 'usable' | 'definitive' | TransientReason;
const evidence = (seen: Seen, when: Date): Evidence => ({
  verdict: seen === 'usable' || seen === 'definitive' ? seen : 'transient',
  reason: seen === 'usable' ? null : seen === 'definitive' ? 'ACCESS_DENIED' : seen,
  errorName: null,
  message: null,
  httpStatus: null,
  requestId: null,
  at: when.toISOString(),
  observer: 'replica-1',
});

/** What is known after these checks, a minute apart. */
function after(...checks: readonly Seen[]): Validity {
  let validity = provenValidity(evidence('usable', at(0)), at(0));
  for (const [index, seen] of checks.entries()) {
    const now = at(index + 1);
    const moment = { now, random: 0.5, holdShutdowns: false };
    ({ validity } = decide(validity, { evidence: evidence(seen, now), findings: [] }, moment, policy));
  }
  return validity;
}

const UNREACHABLE: readonly TransientReason[] = ['NETWORK', 'TIMEOUT', 'PROVIDER_ERROR', 'THROTTLED'];

describe('the role of a second key', () => {
  it.each([
    ['WAITS', [], []],
    ['STANDS_IN', ['NETWORK'], []],
    ['STANDS_IN', ['definitive', 'usable', 'TIMEOUT'], []],
    ['WAITS', ['NETWORK', 'usable'], []],
    // An answer that may be about the key.
    ['WAITS', ['UNCLASSIFIED'], []],
    ['WAITS', ['NETWORK', 'KEY_UNAVAILABLE'], []],
    ['WAITS', ['CLOCK_SKEW'], []],
    ['BARRED_BY_FIRST', ['definitive'], []],
    ['BARRED_BY_FIRST', ['definitive', 'NETWORK'], []],
    ['BARRED_BY_FIRST', ['definitive'], ['definitive']],
    // Half an hour later the suspicion counts no more, but nothing was proven since.
    ['BARRED_BY_FIRST', ['definitive', ...Array.from({ length: 30 }, () => 'NETWORK' as const)], []],
    ['NOT_USABLE', ['NETWORK'], ['definitive']],
    ['NOT_USABLE', ['NETWORK'], ['TIMEOUT']],
    ['NOT_CONFIGURED', ['NETWORK'], null],
  ] as const)('is %s after %j of the first and %j of the second', (role, first, second) => {
    expect(secondKeyRole(after(...first), second && after(...second))).toBe(role);
  });

  it('never stands in after a definitive answer of the first before that was usable again, however long ago it was', () => {
    const seen = fc.constantFrom<Seen>('usable', 'definitive', ...TRANSIENT_REASONS);
    fc.assert(
      fc.property(fc.array(seen, { maxLength: 30 }), (checks) => {
        const role = secondKeyRole(after(...checks), after());
        const [definitive, usable] = [checks.lastIndexOf('definitive'), checks.lastIndexOf('usable')];
        if (definitive > usable) expect(role).toBe('BARRED_BY_FIRST');
        else expect(role).toBe(UNREACHABLE.some((reason) => reason === checks.at(-1)) ? 'STANDS_IN' : 'WAITS');
      }),
    );
  });
});
