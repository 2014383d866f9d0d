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
});
