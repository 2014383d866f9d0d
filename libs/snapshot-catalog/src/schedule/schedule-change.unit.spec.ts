import { newObjectId, type BackupScheduleChange } from '@atrest/contracts';
import { describe, expect, it } from 'vitest';
import { defaultPlan } from './default-schedule.js';
import { changeSchedule } from './schedule-change.js';
import type { Schedule } from './schedule.repository.js';

const NOW = new Date('2026-11-23T12:00:00Z');
const schedule: Schedule = {
  ...defaultPlan(NOW, () => 0.5),
  clusterId: newObjectId(),
  projectId: newObjectId(),
  policyId: newObjectId(),
  restoreWindowDays: 7,
  extraRetention: [],
  source: { kind: 'secondary' },
  nextSnapshotAt: new Date('2026-11-22T12:30:00Z'),
  decidedAt: new Date('2026-11-22T12:00:00Z'),
  paused: true,
  revision: 1,
};
const [hourly, daily, weekly] = schedule.items;
const policies = (...policyItems: NonNullable<BackupScheduleChange['policies']>[number]['policyItems']) => [{ policyItems }];
const refusal = (change: BackupScheduleChange): string => {
  const outcome = changeSchedule(schedule, change, NOW);
  return outcome.kind === 'refused' ? outcome.refusal.code : 'done';
};

describe('changing a schedule', () => {
  it('what is absent stays, and what is due stays due', () => {
    expect(changeSchedule(schedule, {}, NOW)).toEqual({ kind: 'done', value: schedule });
    expect(changeSchedule(schedule, { policies: [{ id: schedule.policyId, policyItems: [...schedule.items] }] }, NOW)).toEqual({
      kind: 'done',
      value: schedule,
    });
  });

  it('other times are decided anew', () => {
    const outcome = changeSchedule(schedule, { referenceHourOfDay: 3, referenceMinuteOfHour: 0 }, NOW);
    expect(outcome).toMatchObject({ value: { referenceHour: 3, nextSnapshotAt: new Date('2026-11-23T15:00:00Z'), decidedAt: NOW } });
  });

  it('items keep their ids, new ones get one, and those that are left out go', () => {
    const added = { frequencyType: 'weekly', frequencyInterval: 1, retentionUnit: 'weeks', retentionValue: 4 };
    const outcome = changeSchedule(schedule, { policies: policies({ ...hourly!, frequencyInterval: 12 }, added) }, NOW);
    if (outcome.kind !== 'done') throw new Error(outcome.refusal.code);
    expect(outcome.value.items.map(({ id }) => id === hourly?.id)).toEqual([true, false]);
    expect(outcome.value.items[0]).toMatchObject({ frequencyInterval: 12 });
  });

  const cases: readonly (readonly [string, BackupScheduleChange])[] = [
    ['INVALID_NUM_OF_POLICIES', { policies: [] }],
    ['INVALID_NUM_OF_POLICIES', { policies: [...policies(), ...policies()] }],
    ['INVALID_POLICY_ID', { policies: [{ id: newObjectId(), policyItems: [] }] }],
    ['INVALID_POLICY_ITEM_ID', { policies: policies({ ...daily!, id: newObjectId() }) }],
    ['INVALID_POLICY_ITEM_ID', { policies: policies(weekly!, weekly!) }],
    ['INVALID_FREQUENCY_TYPE_CHANGE', { policies: policies({ ...daily!, frequencyType: 'weekly' }) }],
    ['MISSING_POLICY_ITEM_PARAMETERS', { policies: policies({ frequencyType: 'daily', frequencyInterval: 1 }) }],
    ['INVALID_NUM_OF_POLICY_ITEMS', { policies: policies(daily!, { ...daily!, id: null }) }],
    ['INVALID_BACKUP_POLICY', { policies: policies({ ...hourly!, frequencyInterval: 5 }) }],
    ['INVALID_BACKUP_POLICY', { policies: policies({ ...hourly!, retentionUnit: 'fortnights' }) }],
    ['INVALID_BACKUP_POLICY', { policies: policies({ ...hourly!, retentionValue: 0 }) }],
    ['INVALID_BACKUP_POLICY', { policies: policies({ ...daily!, retentionValue: 1.5 }) }],
    ['INVALID_BACKUP_POLICY', { policies: policies({ ...daily!, retentionUnit: 'years', retentionValue: 101 }) }],
    // A week's snapshot that is gone before the next one comes.
    ['INVALID_BACKUP_POLICY', { policies: policies({ ...weekly!, retentionUnit: 'days', retentionValue: 6 }) }],
    // The daily ones would be kept for longer than the weekly ones.
    ['INVALID_BACKUP_POLICY', { policies: policies({ ...daily!, retentionValue: 30 }, weekly!) }],
    ['INVALID_REFERENCE_HOUR_OF_DAY', { referenceHourOfDay: 24 }],
    ['INVALID_REFERENCE_HOUR_OF_DAY', { referenceHourOfDay: 1.5 }],
    ['INVALID_REFERENCE_MINUTE_OF_HOUR', { referenceMinuteOfHour: -1 }],
    ['INVALID_RESTORE_WINDOW', { restoreWindowDays: 0 }],
    ['INVALID_RESTORE_WINDOW', { restoreWindowDays: 8 }],
  ];
  it.each(cases)('%s', (code, change) => {
    expect(refusal(change)).toBe(code);
  });
});
