import { BACKUP_FAILURES, newObjectId, type PolicyItem } from '@atrest/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  isProofOverdue,
  meaningOf,
  nextProofAt,
  PROOF_AGED_MS,
  PROOF_INTERVAL_MS,
  PROOF_OVERDUE_MS,
  PROOF_RETRY_MS,
} from '../proof/proof-policy.js';
import { pauseOf } from '../schedule/pause-policy.js';
import { afterPolicyChange, endOf, expiryOf, groom, longestItem, type Retention } from './retention-policy.js';
import { afterFailure, FALLBACK_METHODS, MAX_ATTEMPTS, USUAL_METHODS, type FailedAttempt } from './retry-policy.js';

const DAY = 86_400_000;
const item = (
  frequencyType: PolicyItem['frequencyType'],
  retentionUnit: PolicyItem['retentionUnit'],
  retentionValue: number,
): PolicyItem => ({
  id: newObjectId(),
  frequencyType,
  frequencyInterval: 1,
  retentionUnit,
  retentionValue,
});
const NOW = new Date('2026-11-23T12:00:00Z');

describe('retention', () => {
  it('counts months and years by the calendar; a day that a month does not have is its last', () => {
    const end = (from: string, unit: Retention['unit'], value: number) => endOf({ unit, value }, new Date(from)).toISOString();
    expect(end('2027-01-31T08:00:00Z', 'months', 1)).toBe('2027-02-28T08:00:00.000Z');
    expect(end('2028-01-31T08:00:00Z', 'months', 1)).toBe('2028-02-29T08:00:00.000Z');
    expect(end('2028-02-29T08:00:00Z', 'years', 1)).toBe('2029-02-28T08:00:00.000Z');
    expect(end('2026-11-23T08:00:00Z', 'weeks', 4)).toBe('2026-12-21T08:00:00.000Z');
  });

  it('the longest retention wins; where two are equal, the rarer item names the snapshot', () => {
    const [hourly, daily, weekly] = [item('hourly', 'days', 7), item('daily', 'days', 7), item('weekly', 'weeks', 4)];
    expect(longestItem([hourly, weekly, daily], NOW)).toBe(weekly);
    expect(longestItem([hourly, daily], NOW)).toBe(daily);
    expect(longestItem([], NOW)).toBeNull();
    const extra = [{ frequencyType: 'DAILY' as const, retentionDays: 30 }];
    expect(expiryOf([daily, weekly], extra, NOW)).toEqual(new Date(NOW.getTime() + 37 * DAY));
  });

  it('no order of items changes how long a snapshot is kept', () => {
    const units = fc.constantFrom('days' as const, 'weeks' as const, 'months' as const, 'years' as const);
    const some = fc.record({ unit: units, value: fc.integer({ min: 1, max: 40 }) }).map(({ unit, value }) => item('daily', unit, value));
    fc.assert(
      fc.property(fc.array(some, { minLength: 1, maxLength: 5 }), (items) => {
        const expiry = expiryOf(items, [], NOW);
        expect(expiryOf(items.toReversed(), [], NOW)).toEqual(expiry);
        for (const one of items) expect(endOf({ unit: one.retentionUnit, value: one.retentionValue }, NOW) <= expiry!).toBe(true);
      }),
    );
  });

  it('the last good one of a cluster is never groomed away, whatever the clock says (F50)', () => {
    fc.assert(
      fc.property(fc.date({ noInvalidDate: true }), fc.date({ noInvalidDate: true }), (expiresAt, now) => {
        expect(groom({ id: 'a', status: 'completed', expiresAt }, 'a', now)).not.toBe('delete');
        expect(groom({ id: 'b', status: 'completed', expiresAt }, 'a', now)).toBe(expiresAt > now ? 'keep' : 'delete');
      }),
    );
    expect(groom({ id: 'a', status: 'failed', expiresAt: NOW }, 'a', NOW)).toBe('delete');
  });

  it('a changed policy touches what is there only when that is asked for', () => {
    const daily = item('daily', 'days', 14);
    const snapshot = { policyItems: [daily.id], completedAt: NOW, expiresAt: new Date(NOW.getTime() + 7 * DAY) };
    const policy = { items: [daily], extra: [] };
    const ask = (updateSnapshots: boolean, deleteSnapshots: boolean) => ({ updateSnapshots, deleteSnapshots });
    expect(afterPolicyChange(snapshot, policy, ask(false, true)).kind).toBe('unchanged');
    expect(afterPolicyChange(snapshot, policy, ask(true, false))).toEqual({
      kind: 'keep-until',
      expiresAt: new Date(NOW.getTime() + 14 * DAY),
    });
    expect(afterPolicyChange(snapshot, { items: [], extra: [] }, ask(true, false)).kind).toBe('unchanged');
    expect(afterPolicyChange(snapshot, { items: [], extra: [] }, ask(false, true)).kind).toBe('delete');
    expect(afterPolicyChange({ ...snapshot, policyItems: [] }, { items: [], extra: [] }, ask(true, true)).kind).toBe('unchanged');
  });
});

describe('trying again', () => {
  const failed = (o: Partial<FailedAttempt> = {}): FailedAttempt => ({
    code: 'SOURCE_CHANGED',
    attempt: 1,
    snapshotType: 'scheduled',
    methods: USUAL_METHODS,
    dataMembers: 3,
    ...o,
  });

  it('every failure ends after a few attempts, whatever follows it', () => {
    for (const code of BACKUP_FAILURES) {
      expect(['give-up', 'make-due']).toContain(afterFailure(failed({ code, attempt: MAX_ATTEMPTS })).kind);
    }
  });

  it('waits twice as long each time, on another member where the member may be the cause (F43, F45)', () => {
    expect(afterFailure(failed())).toMatchObject({ kind: 'retry', afterMs: 60_000, avoidMember: true, methods: USUAL_METHODS });
    expect(afterFailure(failed({ attempt: 2 }))).toMatchObject({ afterMs: 120_000 });
    expect(afterFailure(failed({ code: 'STORE_UNAVAILABLE' }))).toMatchObject({ kind: 'retry', avoidMember: false });
    expect(afterFailure(failed({ code: 'SOURCE_DISK_FULL' }))).toMatchObject({ kind: 'retry', avoidMember: true });
  });

  it('what is found damaged is not built on', () => {
    for (const code of ['NOT_PROVEN', 'STORE_DAMAGED', 'SNAPSHOT_MISSING'] as const) {
      expect(afterFailure(failed({ code }))).toMatchObject({ kind: 'retry', anew: true });
    }
  });

  it('what a person must repair is not tried again', () => {
    for (const code of ['TOO_MANY_FILES', 'STORE_REFUSED', 'SOURCE_ACCESS_DENIED', 'KEY_REFUSED', 'CANCELLED', 'CLUSTER_GONE'] as const) {
      expect(afterFailure(failed({ code }))).toEqual({ kind: 'give-up' });
    }
  });

  it('a member is stopped only when nothing else works, and when the others keep the majority', () => {
    const none = failed({ code: 'NO_METHOD' });
    expect(afterFailure(none)).toMatchObject({ kind: 'retry', methods: FALLBACK_METHODS, snapshotType: 'fallback' });
    expect(afterFailure({ ...none, snapshotType: 'onDemand' })).toMatchObject({ kind: 'retry', snapshotType: 'onDemand' });
    expect(afterFailure({ ...none, dataMembers: 2 })).toEqual({ kind: 'give-up' });
    expect(afterFailure({ ...none, methods: FALLBACK_METHODS })).toEqual({ kind: 'give-up' });
  });

  it('a run that a disabled cluster ended is due again; who asked for one on demand asks again', () => {
    expect(afterFailure(failed({ code: 'CLUSTER_DISABLED' }))).toEqual({ kind: 'make-due' });
    expect(afterFailure(failed({ code: 'CLUSTER_DISABLED', snapshotType: 'onDemand' }))).toEqual({ kind: 'give-up' });
  });
});

describe('proofs', () => {
  it('only what was looked at says anything about a snapshot', () => {
    const meanings = BACKUP_FAILURES.filter((code) => meaningOf(code) !== 'not-looked-at');
    expect(meanings).toEqual(['KEY_REFUSED', 'KEY_CHANGED', 'NOT_PROVEN', 'STORE_DAMAGED', 'SNAPSHOT_MISSING']);
    expect(nextProofAt('proven', NOW).getTime() - NOW.getTime()).toBe(PROOF_INTERVAL_MS);
    expect(nextProofAt('not-looked-at', NOW).getTime() - NOW.getTime()).toBe(PROOF_RETRY_MS);
  });

  it('are overdue when none was made for days, or one waits for months', () => {
    const ago = (ms: number): Date => new Date(NOW.getTime() - ms);
    expect(isProofOverdue({ latest: null, oldest: null }, NOW)).toBe(false);
    expect(isProofOverdue({ latest: ago(PROOF_OVERDUE_MS), oldest: ago(PROOF_AGED_MS) }, NOW)).toBe(false);
    expect(isProofOverdue({ latest: ago(PROOF_OVERDUE_MS + 1), oldest: ago(PROOF_OVERDUE_MS + 1) }, NOW)).toBe(true);
    expect(isProofOverdue({ latest: NOW, oldest: ago(PROOF_AGED_MS + 1) }, NOW)).toBe(true);
  });
});

describe('pauses', () => {
  const running = { state: 'IDLE', disabledReason: null, paused: false, provider: 'NONE' } as const;

  it('a cluster that runs, or is being changed, can be copied', () => {
    expect(pauseOf(running, false)).toBeNull();
    expect(pauseOf({ ...running, state: 'UPDATING', provider: 'AWS' }, true)).toBeNull();
  });

  it('each reason is said', () => {
    expect(pauseOf({ ...running, state: 'DISABLING' }, true)?.code).toBe('CLUSTER_DISABLED');
    expect(pauseOf({ ...running, state: 'DISABLED', disabledReason: 'KEY_DISABLED: x' }, true)?.reason).toContain('KEY_DISABLED: x');
    expect(pauseOf({ ...running, paused: true }, true)?.code).toBe('CLUSTER_PAUSED');
    expect(pauseOf({ ...running, state: 'RESTORING' }, true)?.code).toBe('CLUSTER_RESTORING');
    expect(pauseOf({ ...running, state: 'CREATING' }, true)?.code).toBe('CLUSTER_NOT_READY');
    expect(pauseOf({ ...running, provider: 'AWS' }, false)?.code).toBe('KEY_CONFIGURATION_MISSING');
  });
});
