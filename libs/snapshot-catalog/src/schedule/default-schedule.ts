import { newObjectId, type PolicyItem } from '@atrest/contracts';
import type { SchedulePlan } from './schedule-policy.js';

/** What Atlas gives to a new cluster, yearly item included. */
const DEFAULT_ITEMS: readonly Omit<PolicyItem, 'id'>[] = [
  { frequencyType: 'hourly', frequencyInterval: 6, retentionUnit: 'days', retentionValue: 7 },
  { frequencyType: 'daily', frequencyInterval: 1, retentionUnit: 'days', retentionValue: 7 },
  // Saturday.
  { frequencyType: 'weekly', frequencyInterval: 6, retentionUnit: 'weeks', retentionValue: 4 },
  // The last day.
  { frequencyType: 'monthly', frequencyInterval: 40, retentionUnit: 'months', retentionValue: 12 },
  // December.
  { frequencyType: 'yearly', frequencyInterval: 12, retentionUnit: 'years', retentionValue: 1 },
];

/** Days of point-in-time reach. */
export const DEFAULT_RESTORE_WINDOW_DAYS = 7;

/** The schedule of a cluster whose backup was just enabled. Its time of day is its own, so that clusters do not all copy at once. */
export function defaultPlan(now: Date, random: () => number): SchedulePlan {
  return {
    items: DEFAULT_ITEMS.map((item) => ({ ...item, id: newObjectId(now) })),
    referenceHour: Math.floor(random() * 24),
    referenceMinute: Math.floor(random() * 60),
  };
}
