import { describe, expect, it } from 'vitest';
import { after, observation, processView } from '../test-support/process-views.contract.js';
import { concernChanges, type OpenConcern } from './concerns.js';

const stopping = (change: Parameters<typeof processView>[1] = {}) => processView('mongod', { desired: 'stopped', ...change });

const LONG_AGO = after(-86_400_000);

describe('concerns', () => {
  it('raises a stop that is overdue once, and again only after it had ended', () => {
    const own = 'e'.repeat(24);
    const overdue = stopping({ id: own, observation: observation(own, { status: 'stopping', stopOverdueSince: after(1).toISOString() }) });
    const first = concernChanges('DISABLING', [overdue], [], after(2), LONG_AGO);
    expect(first.raised).toMatchObject([{ kind: 'STOP_OVERDUE', processId: own, since: after(1) }]);
    const again = concernChanges('DISABLING', [overdue], first.raised, after(3), LONG_AGO);
    expect(again).toMatchObject({ raised: [], ended: [] });
    const over = stopping({ id: own, observation: observation(own, { status: 'stopped' }) });
    expect(concernChanges('DISABLED', [over], first.raised, after(4), LONG_AGO).ended).toHaveLength(1);
  });

  it('F30 names a host that does not answer, unless its process was already seen to be stopped', () => {
    const changes = concernChanges('DISABLING', [stopping()], [], after(31_000), LONG_AGO);
    expect(changes.raised).toMatchObject([{ kind: 'HOST_UNREACHABLE', since: after(0) }]);
    const stopped = stopping({ observation: observation('x', { status: 'stopped' }) });
    expect(concernChanges('DISABLED', [stopped], [], after(31_000), LONG_AGO).raised).toEqual([]);
    expect(concernChanges('IDLE', [processView('mongod')], [], after(31_000), LONG_AGO).raised).toEqual([]);
  });

  it('does not take an outage of the control plane for one of every host', () => {
    const restarted = (sinceMs: number, open: readonly OpenConcern[] = []) =>
      concernChanges('DISABLING', [stopping()], open, after(60_000), after(60_000 - sinceMs));
    expect(restarted(5_000)).toEqual({ raised: [], seenAgain: [], ended: [] });
    expect(restarted(30_001).raised).toMatchObject([{ kind: 'HOST_UNREACHABLE' }]);
    const open = concernChanges('DISABLING', [stopping({ id: 'd'.repeat(24) })], [], after(31_000), LONG_AGO).raised;
    const stillOpen = concernChanges('DISABLING', [stopping({ id: 'd'.repeat(24) })], open, after(60_000), after(59_000));
    expect(stillOpen).toMatchObject({ raised: [], ended: [] });
  });

  it('F34 takes starts by hand that follow one another closely for one occurrence', () => {
    const own = 'f'.repeat(24);
    const seenAt = (ms: number) =>
      stopping({ id: own, observation: observation(own, { status: 'stopped', startedByHandAt: after(ms).toISOString() }) });
    let open: OpenConcern[] = [];
    const announced: number[] = [];
    for (const ms of [1_000, 5_000, 30_000, 80_000, 200_000]) {
      const changes = concernChanges('DISABLED', [seenAt(ms)], open, after(ms), LONG_AGO);
      open = [...changes.raised, ...changes.seenAgain];
      announced.push(changes.raised.length);
    }
    expect(announced).toEqual([1, 0, 0, 0, 1]);
    expect(concernChanges('DISABLED', [seenAt(-1)], [], after(0), LONG_AGO).raised).toEqual([]);
  });

  describe('of a process that is held for a backup', () => {
    const own = 'c'.repeat(24);
    const held = (kind: 'fsyncLock' | 'backupCursor' = 'fsyncLock', change: Parameters<typeof processView>[1] = {}) =>
      processView('mongod', {
        id: own,
        hostHeardAt: after(600_000),
        observation: observation(own, { heldForBackup: { kind, since: after(0).toISOString(), taskId: null } }),
        ...change,
      });
    const at = (ms: number, copies: Parameters<typeof concernChanges>[5], open: readonly OpenConcern[] = [], process = held()) =>
      concernChanges('IDLE', [process], open, after(ms), LONG_AGO, copies);

    it('F48 F42 are raised when nobody copies it, half a minute after the copy ended, and once while that lasts', () => {
      expect(at(30_000, new Map()).raised).toEqual([]);
      const [raised] = at(30_001, new Map()).raised;
      expect(raised).toMatchObject({ kind: 'HELD_FOR_BACKUP', processId: own, since: after(0), detail: expect.stringContaining('locked') });
      expect(at(60_000, new Map(), [raised!]).raised).toEqual([]);
      const ended = new Map([[own, after(60_000)]]);
      expect(at(90_000, ended).raised).toEqual([]);
      expect(at(90_001, ended, [], held('backupCursor')).raised).toMatchObject([{ detail: expect.stringContaining('cursor') }]);
      const freed = concernChanges('IDLE', [processView('mongod', { id: own })], [raised!], after(61_000), LONG_AGO);
      expect(freed.ended).toMatchObject([{ kind: 'HELD_FOR_BACKUP' }]);
    });

    it('F41 are not raised while it is being copied, but when its agent is not heard of for minutes meanwhile', () => {
      const copying = new Map([[own, 'copying' as const]]);
      expect(at(600_000, copying).raised).toEqual([]);
      const silent = held('fsyncLock', { hostHeardAt: after(0) });
      expect(at(300_000, copying, [], silent).raised).toEqual([]);
      expect(at(300_001, copying, [], silent).raised).toMatchObject([{ detail: expect.stringContaining('not been heard of') }]);
    });

    it('are judged by nobody who has only just begun to listen', () => {
      const listening = (sinceMs: number) => concernChanges('IDLE', [held()], [], after(600_000), after(600_000 - sinceMs)).raised;
      expect(listening(30_000)).toEqual([]);
      expect(listening(30_001)).toHaveLength(1);
    });
  });
});
