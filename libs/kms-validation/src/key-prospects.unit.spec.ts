import type { KeyDescription } from '@atrest/kms';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { foresee, freshProspects, WARNING_DAYS, type KeyProspects, type Outlook, type ProspectEvent } from './key-prospects.js';

const DAY = 86_400_000;
const START = new Date('2026-11-23T12:00:00.000Z');
const at = (days: number): Date => new Date(START.getTime() + days * DAY);
const described = (change: Partial<KeyDescription>): KeyDescription => ({
  keyId: 'k',
  resolvedKeyId: 'k',
  keyVersion: null,
  state: 'ENABLED',
  usage: null,
  algorithm: null,
  createdAt: null,
  deletionDate: null,
  ...change,
});
const keepKey: Outlook['keepKey'] = (kind) => ({ command: `keep ${kind}`, explanation: 'Keeps it.' });

/** What is told when the key is looked at on these days. */
function look(days: readonly number[], description: (day: number) => KeyDescription | null, reminderDays: number | null = 365) {
  let prospects: KeyProspects = freshProspects(START);
  const told: (readonly [day: number, ...event: unknown[]])[] = [];
  for (const day of days) {
    const outcome = foresee(prospects, { now: at(day), description: description(day), reminderDays, keepKey });
    prospects = outcome.prospects;
    for (const event of outcome.events) told.push([day, event.kind, ...detail(event)]);
  }
  return { told, prospects };
}
const detail = (event: ProspectEvent): unknown[] =>
  'ending' in event ? [event.ending.kind, event.ending.daysLeft] : [event.rotation.ageDays];
const everyDay = (last: number): number[] => Array.from({ length: last + 1 }, (_, day) => day);

describe('the end of a key', () => {
  it.each<[string, Partial<KeyDescription>, string]>([
    ['AWS DeletionDate', { state: 'PENDING_DELETION', deletionDate: at(10) }, 'DELETION'],
    ['Google destroy time', { state: 'PENDING_DELETION', deletionDate: at(10) }, 'DELETION'],
    ['Azure exp', { expiresAt: at(10) }, 'EXPIRY'],
    ['KMIP Deactivation Date', { deletionDate: at(10) }, 'EXPIRY'],
  ])('%s: warnings at 7, 3 and 1 days, each once', (_, change, kind) => {
    expect(look(everyDay(12), () => described(change)).told).toEqual([
      [3, 'end-approaching', kind, 7],
      [7, 'end-approaching', kind, 3],
      [9, 'end-approaching', kind, 1],
    ]);
  });

  it('carries the command that keeps the key', () => {
    const { events } = foresee(freshProspects(START), {
      now: START,
      description: described({ expiresAt: at(2) }),
      reminderDays: null,
      keepKey,
    });
    expect(events).toEqual([
      {
        kind: 'end-approaching',
        ending: { kind: 'EXPIRY', at: at(2).toISOString(), daysLeft: 3, command: 'keep EXPIRY', explanation: 'Keeps it.' },
      },
    ]);
  });

  it('that is called off after a warning is told once; before any warning nobody needs to know', () => {
    const until = (last: number) => (day: number) => described(day <= last ? { state: 'PENDING_DELETION', deletionDate: at(10) } : {});
    expect(look(everyDay(12), until(5)).told).toEqual([
      [3, 'end-approaching', 'DELETION', 7],
      [6, 'end-called-off', 'DELETION', 7],
    ]);
    expect(look(everyDay(12), until(2)).told).toEqual([]);
  });

  it('that is moved has warnings of its own', () => {
    const moved = look(everyDay(40), (day) => described({ expiresAt: day < 8 ? at(10) : at(30) }));
    expect(moved.told.map(([day, kind, , days]) => [day, kind, days])).toEqual([
      [3, 'end-approaching', 7],
      [7, 'end-approaching', 3],
      [8, 'end-called-off', 3],
      [23, 'end-approaching', 7],
      [27, 'end-approaching', 3],
      [29, 'end-approaching', 1],
    ]);
  });

  it('a provider that does not tell changes nothing: the warnings come in time', () => {
    expect(look(everyDay(12), (day) => (day === 0 ? described({ expiresAt: at(10) }) : null)).told).toHaveLength(3);
  });

  it('whenever it is looked at, each warning is given at most once, in order, and never after the end', () => {
    const days = fc.array(fc.double({ min: 0, max: 40, noNaN: true }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(days, fc.integer({ min: 0, max: 30 }), (visits, end) => {
        const { told } = look(
          visits.toSorted((a, b) => a - b),
          () => described({ expiresAt: at(end) }),
          null,
        );
        const warnings = told.map(([, , , warned]) => warned as number);
        expect(warnings).toEqual([...new Set(warnings)].toSorted((a, b) => b - a));
        expect(warnings.every((warned) => (WARNING_DAYS as readonly number[]).includes(warned))).toBe(true);
        expect(told.every(([day]) => day < end)).toBe(true);
      }),
    );
  });
});

describe('the age of a key', () => {
  it('is reminded of once after the days that the project wants, and not when it wants none', () => {
    expect(look(everyDay(800), () => null).told).toEqual([[365, 'rotation-due', 365]]);
    expect(look(everyDay(800), () => null, 90).told).toEqual([[90, 'rotation-due', 90]]);
    expect(look(everyDay(800), () => null, null).told).toEqual([]);
  });

  it('a key that its provider renews needs no reminder, and each renewal is told', () => {
    const rotation = (day: number) => {
      const next = (Math.floor(day / 365) + 1) * 365;
      return described({ rotation: { automatic: true, periodDays: 365, nextRotationAt: at(next) } });
    };
    expect(look(everyDay(800), rotation).told).toEqual([
      [365, 'rotated', 0],
      [730, 'rotated', 0],
    ]);
    expect(look(everyDay(800), () => described({ rotation: { automatic: true, periodDays: null, nextRotationAt: null } })).told).toEqual(
      [],
    );
  });

  it('when the provider stops renewing it, the reminder comes a year after the last time', () => {
    const { told } = look(everyDay(800), (day) =>
      described({
        rotation: { automatic: day < 100, periodDays: day < 100 ? 90 : null, nextRotationAt: day < 100 ? at(day < 90 ? 90 : 180) : null },
      }),
    );
    expect(told).toEqual([
      [90, 'rotated', 0],
      [90 + 365, 'rotation-due', 365],
    ]);
  });
});
