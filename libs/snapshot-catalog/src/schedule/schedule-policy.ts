import type { PolicyItem } from '@atrest/contracts';

/** When snapshots are due: items, and the time of day (UTC) that they count from. */
export interface SchedulePlan {
  readonly items: readonly PolicyItem[];
  readonly referenceHour: number;
  readonly referenceMinute: number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** 1 January 1970 was a Thursday, so its first Monday was the 5th. */
const FIRST_MONDAY_MS = 4 * DAY_MS;
/** The interval that stands for the last day of a month. */
export const LAST_DAY = 40;

/** The first moment after `after` at which an item is due. Hours count from the reference time, so that items meet there. */
export function nextMoment(item: PolicyItem, { referenceHour, referenceMinute }: SchedulePlan, after: Date): Date {
  const reference = referenceHour * HOUR_MS + referenceMinute * MINUTE_MS;
  switch (item.frequencyType) {
    case 'hourly':
      return nextOfPeriod(reference, item.frequencyInterval * HOUR_MS, after);
    case 'daily':
      return nextOfPeriod(reference, DAY_MS, after);
    case 'weekly':
      return nextOfPeriod(FIRST_MONDAY_MS + (item.frequencyInterval - 1) * DAY_MS + reference, 7 * DAY_MS, after);
    case 'monthly':
      return firstAfter(after, (step) => inMonth(after.getUTCFullYear(), after.getUTCMonth() + step, item.frequencyInterval, reference));
    case 'yearly':
      return firstAfter(after, (step) => inMonth(after.getUTCFullYear() + step, item.frequencyInterval - 1, 1, reference));
  }
}

/** When the next snapshot is due; null when no item asks for any. */
export function nextRun(plan: SchedulePlan, after: Date): Date | null {
  const moments = plan.items.map((item) => nextMoment(item, plan, after).getTime());
  return moments.length === 0 ? null : new Date(Math.min(...moments));
}

/** The items that are due in the time from `from` to `to`, both included. One snapshot serves them all. */
export function itemsDue(plan: SchedulePlan, from: Date, to: Date): PolicyItem[] {
  const before = new Date(from.getTime() - 1);
  return plan.items.filter((item) => nextMoment(item, plan, before) <= to);
}

/** What a look at a schedule led to. */
export type ScheduleDecision =
  /** `items`: those of every run that was missed, caught up with one snapshot. */
  | { readonly kind: 'take'; readonly items: readonly PolicyItem[]; readonly dueAt: Date; readonly next: Date | null }
  | { readonly kind: 'wait'; readonly next: Date | null };

/** Clocks of replicas differ by less than this; a larger step back is a clock that was set. */
export const CLOCK_TOLERANCE_MS = 5 * MINUTE_MS;

/**
 * What is to be done now. `next` was decided when the clock said `decidedAt`: a clock that says much less now was set back, and what was decided in its
 * future does not hold. A clock that jumped ahead leads to one snapshot, as any time in which nobody looked does.
 */
export function decideRun(
  plan: SchedulePlan,
  before: { readonly next: Date | null; readonly decidedAt: Date },
  now: Date,
): ScheduleDecision {
  const next = nextRun(plan, now);
  const setBack = before.decidedAt.getTime() - now.getTime() > CLOCK_TOLERANCE_MS;
  if (before.next === null || setBack || before.next > now) return { kind: 'wait', next };
  return { kind: 'take', items: itemsDue(plan, before.next, now), dueAt: before.next, next };
}

function nextOfPeriod(offset: number, period: number, after: Date): Date {
  return new Date(offset + (Math.floor((after.getTime() - offset) / period) + 1) * period);
}

/** Tries this month or year, and then the next one; the third is for nothing but the type. */
function firstAfter(after: Date, candidate: (step: number) => Date): Date {
  return [candidate(0), candidate(1)].find((moment) => moment > after) ?? candidate(2);
}

function inMonth(year: number, month: number, day: number, reference: number): Date {
  // Day 0 of the next month is the last one of this.
  const start = day === LAST_DAY ? Date.UTC(year, month + 1, 0) : Date.UTC(year, month, day);
  return new Date(start + reference);
}
