import { isFrequencyInterval, newObjectId, type PolicyItem } from '@atrest/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultPlan } from './default-schedule.js';
import { CLOCK_TOLERANCE_MS, decideRun, itemsDue, nextMoment, nextRun, type SchedulePlan } from './schedule-policy.js';

const MINUTE = 60_000;
const DAY = 86_400_000;
const item = (frequencyType: PolicyItem['frequencyType'], frequencyInterval: number): PolicyItem => ({
  id: newObjectId(),
  frequencyType,
  frequencyInterval,
  retentionUnit: 'days',
  retentionValue: 7,
});
const at = (text: string): Date => new Date(text);
const plan = (items: PolicyItem[], referenceHour = 3, referenceMinute = 16): SchedulePlan => ({ items, referenceHour, referenceMinute });
const next = (one: PolicyItem, after: string): string => nextMoment(one, plan([one]), at(after)).toISOString();

describe('the moments of schedule items', () => {
  it('hours count from the reference time, also across midnight', () => {
    expect(next(item('hourly', 6), '2026-11-23T00:00:00Z')).toBe('2026-11-23T03:16:00.000Z');
    expect(next(item('hourly', 6), '2026-11-23T03:16:00Z')).toBe('2026-11-23T09:16:00.000Z');
    expect(next(item('hourly', 12), '2026-11-23T15:16:00Z')).toBe('2026-11-24T03:16:00.000Z');
    expect(next(item('hourly', 1), '2026-11-23T15:15:59Z')).toBe('2026-11-23T15:16:00.000Z');
  });

  it('weeks begin on Monday', () => {
    // 23 November 2026 is a Monday.
    expect(next(item('weekly', 1), '2026-11-23T00:00:00Z')).toBe('2026-11-23T03:16:00.000Z');
    expect(next(item('weekly', 1), '2026-11-23T03:16:00Z')).toBe('2026-11-30T03:16:00.000Z');
    expect(next(item('weekly', 6), '2026-11-23T00:00:00Z')).toBe('2026-11-28T03:16:00.000Z');
    expect(next(item('weekly', 7), '2026-11-23T00:00:00Z')).toBe('2026-11-29T03:16:00.000Z');
  });

  it('months have a day that each of them has, or their last one, in leap years as well', () => {
    expect(next(item('monthly', 28), '2027-02-27T00:00:00Z')).toBe('2027-02-28T03:16:00.000Z');
    expect(next(item('monthly', 40), '2027-02-01T00:00:00Z')).toBe('2027-02-28T03:16:00.000Z');
    expect(next(item('monthly', 40), '2028-02-01T00:00:00Z')).toBe('2028-02-29T03:16:00.000Z');
    expect(next(item('monthly', 40), '2028-02-29T03:16:00Z')).toBe('2028-03-31T03:16:00.000Z');
    expect(next(item('monthly', 1), '2026-12-31T23:59:59Z')).toBe('2027-01-01T03:16:00.000Z');
  });

  it('a yearly snapshot is taken on the first day of its month', () => {
    expect(next(item('yearly', 12), '2026-11-23T00:00:00Z')).toBe('2026-12-01T03:16:00.000Z');
    expect(next(item('yearly', 12), '2026-12-01T03:16:00Z')).toBe('2027-12-01T03:16:00.000Z');
    expect(next(item('yearly', 2), '2028-01-31T00:00:00Z')).toBe('2028-02-01T03:16:00.000Z');
  });

  it('items that meet are served by one snapshot', () => {
    const standard = defaultPlan(at('2026-11-23T00:00:00Z'), () => 0);
    const due = (moment: string) => itemsDue(standard, at(moment), at(moment)).map(({ frequencyType }) => frequencyType);
    expect(due('2026-11-23T06:00:00Z')).toEqual(['hourly']);
    expect(due('2026-11-23T00:00:00Z')).toEqual(['hourly', 'daily']);
    // Saturday.
    expect(due('2026-11-28T00:00:00Z')).toEqual(['hourly', 'daily', 'weekly']);
    expect(due('2026-11-30T00:00:00Z')).toEqual(['hourly', 'daily', 'monthly']);
    expect(due('2026-12-01T00:00:00Z')).toEqual(['hourly', 'daily', 'yearly']);
    expect(due('2026-12-01T00:01:00Z')).toEqual([]);
  });
});

const intervals = { hourly: [1, 2, 4, 6, 8, 12], daily: [1], weekly: [1, 2, 3, 4, 5, 6, 7] } as const;
const anyItem: fc.Arbitrary<PolicyItem> = fc.oneof(
  fc.constantFrom(...intervals.hourly).map((n) => item('hourly', n)),
  fc.constant(1).map((n) => item('daily', n)),
  fc.constantFrom(...intervals.weekly).map((n) => item('weekly', n)),
  fc.oneof(fc.integer({ min: 1, max: 28 }), fc.constant(40)).map((n) => item('monthly', n)),
  fc.integer({ min: 1, max: 12 }).map((n) => item('yearly', n)),
);
const anyPlan = fc.record({
  items: fc.array(anyItem, { minLength: 1, maxLength: 6 }),
  referenceHour: fc.integer({ min: 0, max: 23 }),
  referenceMinute: fc.integer({ min: 0, max: 59 }),
});
const anyMoment = fc.date({ min: at('2024-01-01T00:00:00Z'), max: at('2049-12-31T00:00:00Z'), noInvalidDate: true });

/** The longest time between two moments of an item. */
const LONGEST = { hourly: DAY / 2, daily: DAY, weekly: 7 * DAY, monthly: 31 * DAY, yearly: 366 * DAY };

describe('properties of schedules', () => {
  it('the next moment is later, at the reference minute, and not later than the period of the item', () => {
    fc.assert(
      fc.property(anyPlan, anyMoment, (some, after) => {
        for (const one of some.items) {
          const moment = nextMoment(one, some, after);
          expect(moment > after).toBe(true);
          expect(moment.getTime() - after.getTime()).toBeLessThanOrEqual(LONGEST[one.frequencyType]);
          expect([moment.getUTCMinutes(), moment.getUTCSeconds(), moment.getUTCMilliseconds()]).toEqual([some.referenceMinute, 0, 0]);
          if (one.frequencyType !== 'hourly') expect(moment.getUTCHours()).toBe(some.referenceHour);
        }
      }),
    );
  });

  it('nothing lies between a moment and the next one: whoever looks every minute finds the same runs', () => {
    fc.assert(
      fc.property(anyPlan, anyMoment, (some, start) => {
        const first = nextRun(some, start)!;
        const halfWay = new Date(start.getTime() + Math.floor((first.getTime() - start.getTime() - 1) / 2));
        expect(nextRun(some, halfWay)).toEqual(first);
        expect(itemsDue(some, new Date(start.getTime() + 1), new Date(first.getTime() - 1))).toEqual([]);
        expect(itemsDue(some, first, first).length).toBeGreaterThan(0);
      }),
    );
  });

  it('whenever somebody looks, a run is taken once, and what was missed with it', () => {
    fc.assert(
      fc.property(anyPlan, anyMoment, fc.array(fc.integer({ min: 1, max: 40 * DAY }), { maxLength: 12 }), (some, start, waits) => {
        let state = { next: nextRun(some, start), decidedAt: start };
        let now = start;
        let taken = start;
        for (const wait of waits) {
          now = new Date(now.getTime() + wait);
          const decision = decideRun(some, state, now);
          if (decision.kind === 'take') {
            expect(decision.items).toEqual(itemsDue(some, new Date(taken.getTime() + 1), now));
            expect(decision.dueAt > taken).toBe(true);
            taken = now;
          } else {
            expect(itemsDue(some, new Date(taken.getTime() + 1), now)).toEqual([]);
          }
          expect(decision.next! > now).toBe(true);
          state = { next: decision.next, decidedAt: now };
        }
      }),
    );
  });

  it('F50 a clock that jumps ahead leads to one run, and set back again to none that is late', () => {
    fc.assert(
      fc.property(anyPlan, anyMoment, fc.integer({ min: 1, max: 400 * DAY }), (some, start, jump) => {
        const before = { next: nextRun(some, start), decidedAt: start };
        const ahead = new Date(start.getTime() + jump);
        const there = decideRun(some, before, ahead);
        const back = new Date(start.getTime() + MINUTE);
        const again = decideRun(some, { next: there.next, decidedAt: ahead }, back);
        if (jump - MINUTE > CLOCK_TOLERANCE_MS) {
          expect(again).toEqual({ kind: 'wait', next: nextRun(some, back) });
        }
      }),
    );
  });

  it('a plan without items asks for nothing', () => {
    expect(nextRun(plan([]), new Date())).toBeNull();
    expect(decideRun(plan([]), { next: null, decidedAt: new Date(0) }, new Date(0))).toEqual({ kind: 'wait', next: null });
  });

  it('the default schedule is one that its own rules allow, at a time of day of its own', () => {
    for (const random of [0, 0.137, 0.5, 0.999_999]) {
      const some = defaultPlan(new Date(), () => random);
      expect(some.referenceHour).toBeLessThan(24);
      expect(some.referenceMinute).toBeLessThan(60);
      expect(some.items.every((one) => isFrequencyInterval(one.frequencyType, one.frequencyInterval))).toBe(true);
    }
  });
});
