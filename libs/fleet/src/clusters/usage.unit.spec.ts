import { describe, expect, it } from 'vitest';
import { after } from '../test-support/process-views.contract.js';
import { usageBetween } from './usage.js';

const HOUR = 3_600_000;
const period = (start: number, end: number | null) => ({
  processId: 'p',
  hostname: 'h',
  kind: 'mongod',
  startedAt: after(start * HOUR),
  endedAt: end === null ? null : after(end * HOUR),
});

describe('usage', () => {
  it('counts each process while it belongs to the cluster, within the window', () => {
    const usage = usageBetween([period(-10, null), period(1, 2.5), period(-5, -1), period(5, 6)], after(0), after(4 * HOUR));
    expect(usage.processes.map((each) => each.hours)).toEqual([4, 1.5]);
    expect(usage.totalHours).toBe(5.5);
  });
});
