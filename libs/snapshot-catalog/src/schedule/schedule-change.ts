import {
  isFrequencyInterval,
  newObjectId,
  PolicyItemSchema,
  RetentionUnitSchema,
  SNAPSHOT_FREQUENCIES,
  type BackupScheduleChange,
  type PolicyItem,
  type RetentionUnit,
} from '@atrest/contracts';
import { done, refused, type Outcome, type Refused } from '../refusal.js';
import { LAST_DAY, nextRun } from './schedule-policy.js';
import type { Schedule } from './schedule.repository.js';

/** Far above what any policy needs, and small enough to decide on within a moment. */
const MAX_ITEMS = 50;
/** A century. */
const MAX_RETENTION_DAYS = 36_500;

type ItemInput = NonNullable<BackupScheduleChange['policies']>[number]['policyItems'][number];

/** Days at least; only for comparing retentions with each other. */
const DAYS: Readonly<Record<RetentionUnit, number>> = { days: 1, weeks: 7, months: 365 / 12, years: 365 };
const daysOf = ({ retentionUnit, retentionValue }: PolicyItem): number => DAYS[retentionUnit] * retentionValue;

/** Days from one snapshot of an item to the next: it is kept for as long at least. */
const PERIOD_DAYS: Readonly<Record<PolicyItem['frequencyType'], number>> = {
  hourly: 1,
  daily: 1,
  weekly: 7,
  monthly: 365 / 12,
  yearly: 365,
};

/** All that says when a snapshot is due, as text. */
const timesOf = ({ items, referenceHour, referenceMinute }: Schedule): string =>
  JSON.stringify([
    referenceHour,
    referenceMinute,
    items.map(({ id, frequencyType, frequencyInterval }) => [id, frequencyType, frequencyInterval]),
  ]);

/** The schedule after a change that somebody asks for, or why it is refused. What is absent, or null, stays. */
export function changeSchedule(current: Schedule, change: BackupScheduleChange, now: Date): Outcome<Schedule> {
  const items = change.policies == null ? done(current.items) : itemsOf(current, change.policies, now);
  if (items.kind === 'refused') return items;
  const referenceHour = change.referenceHourOfDay ?? current.referenceHour;
  if (!Number.isInteger(referenceHour) || referenceHour < 0 || referenceHour > 23) {
    return refused('INVALID_REFERENCE_HOUR_OF_DAY', 'referenceHourOfDay must be a whole number from 0 to 23.', ['referenceHourOfDay']);
  }
  const referenceMinute = change.referenceMinuteOfHour ?? current.referenceMinute;
  if (!Number.isInteger(referenceMinute) || referenceMinute < 0 || referenceMinute > 59) {
    return refused('INVALID_REFERENCE_MINUTE_OF_HOUR', 'referenceMinuteOfHour must be a whole number from 0 to 59.', [
      'referenceMinuteOfHour',
    ]);
  }
  const restoreWindowDays = change.restoreWindowDays ?? current.restoreWindowDays;
  const hourly = items.value.find(({ frequencyType }) => frequencyType === 'hourly');
  if (!Number.isInteger(restoreWindowDays) || restoreWindowDays < 1 || (hourly !== undefined && restoreWindowDays > daysOf(hourly))) {
    return refused(
      'INVALID_RESTORE_WINDOW',
      'restoreWindowDays must be a whole number of days, and not above the retention of hourly snapshots.',
      ['restoreWindowDays'],
    );
  }
  const next: Schedule = {
    ...current,
    items: items.value,
    referenceHour,
    referenceMinute,
    restoreWindowDays,
    extraRetention: change.extraRetentionSettings ?? current.extraRetention,
    source: change.selfManaged?.source ?? current.source,
  };
  // A run that is due and waits for the schedule to go on stays due when its times are the same.
  return done(timesOf(next) === timesOf(current) ? next : { ...next, nextSnapshotAt: nextRun(next, now), decidedAt: now });
}

function itemsOf(current: Schedule, policies: NonNullable<BackupScheduleChange['policies']>, now: Date): Outcome<readonly PolicyItem[]> {
  const [policy] = policies;
  if (policy === undefined || policies.length > 1) return refused('INVALID_NUM_OF_POLICIES', 'A schedule has exactly one policy.');
  if (policy.id != null && policy.id !== current.policyId) {
    return refused('INVALID_POLICY_ID', `The policy of the schedule has the ID ${current.policyId}.`, [policy.id]);
  }
  if (policy.policyItems.length > MAX_ITEMS) return refused('INVALID_NUM_OF_POLICY_ITEMS', `A policy has at most ${MAX_ITEMS} items.`);
  const items: PolicyItem[] = [];
  for (const input of policy.policyItems) {
    const item = itemOf(current, input, now);
    if (item.kind === 'refused') return item;
    items.push(item.value);
  }
  return problemOf(items) ?? done(items);
}

/** An item with the id of one that is there changes it; without an id it is a new one. */
function itemOf(current: Schedule, input: ItemInput, now: Date): Outcome<PolicyItem> {
  const before = input.id == null ? undefined : current.items.find(({ id }) => id === input.id);
  if (input.id != null && before === undefined) {
    return refused('INVALID_POLICY_ITEM_ID', `The policy has no item with the ID ${input.id}. Leave the ID of a new item out.`, [input.id]);
  }
  const { frequencyType, frequencyInterval, retentionUnit, retentionValue } = input;
  if (frequencyType == null || frequencyInterval == null || retentionUnit == null || retentionValue == null) {
    return refused(
      'MISSING_POLICY_ITEM_PARAMETERS',
      'Each policy item needs frequencyType, frequencyInterval, retentionUnit and retentionValue.',
    );
  }
  if (before !== undefined && before.frequencyType !== frequencyType) {
    return refused('INVALID_FREQUENCY_TYPE_CHANGE', `Item ${before.id} is ${before.frequencyType}: its frequencyType cannot change.`, [
      before.id,
    ]);
  }
  const parsed = PolicyItemSchema.safeParse({
    id: before?.id ?? newObjectId(now),
    frequencyType,
    frequencyInterval,
    retentionUnit,
    retentionValue,
  });
  if (!parsed.success || !isFrequencyInterval(parsed.data.frequencyType, frequencyInterval)) {
    return refused(
      'INVALID_BACKUP_POLICY',
      `A policy item is not valid: frequencyType is one of ${SNAPSHOT_FREQUENCIES.join(', ')}; frequencyInterval is 1, 2, 4, 6, 8 or 12 for hourly, 1 for daily, ` +
        `1 to 7 for weekly, 1 to 28 or ${LAST_DAY} for monthly, 1 to 12 for yearly; retentionUnit is one of ${RetentionUnitSchema.options.join(', ')}; ` +
        'retentionValue is a whole number above 0.',
    );
  }
  return done(parsed.data);
}

/** What items must not be, taken together. */
function problemOf(items: readonly PolicyItem[]): Refused | null {
  const once = (['hourly', 'daily'] as const).find((type) => items.filter(({ frequencyType }) => frequencyType === type).length > 1);
  if (once !== undefined) return refused('INVALID_NUM_OF_POLICY_ITEMS', `A policy has at most one ${once} item.`, [once]);
  if (new Set(items.map(({ id }) => id)).size < items.length) return refused('INVALID_POLICY_ITEM_ID', 'The same item was given twice.');
  const long = items.find((item) => daysOf(item) > MAX_RETENTION_DAYS);
  if (long !== undefined) return refused('INVALID_BACKUP_POLICY', `Snapshots are kept for at most ${MAX_RETENTION_DAYS} days.`);
  const short = items.find((item) => daysOf(item) < PERIOD_DAYS[item.frequencyType]);
  if (short !== undefined) {
    return refused('INVALID_BACKUP_POLICY', `Snapshots of a ${short.frequencyType} item are kept for as long as its period at least.`, [
      short.frequencyType,
    ]);
  }
  for (const [index, type] of SNAPSHOT_FREQUENCIES.entries()) {
    const shortest = Math.min(...items.filter(({ frequencyType }) => frequencyType === type).map(daysOf));
    const longer = items.find((item) => SNAPSHOT_FREQUENCIES.indexOf(item.frequencyType) < index && daysOf(item) > shortest);
    if (longer !== undefined) {
      return refused(
        'INVALID_BACKUP_POLICY',
        `Snapshots of a ${type} item are kept for as long as those of a ${longer.frequencyType} one at least.`,
        [type, longer.frequencyType],
      );
    }
  }
  return null;
}
