import type { ProcessObservation } from '@atrest/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitLogLines, lastWithin, LOG_LINES_LIMIT } from './log-lines.js';

describe('lines of logs', () => {
  it('are the last ones that fit, as many as fit', () => {
    expect(lastWithin(['a', 'b', 'c'], 8)).toEqual(['b', 'c']);
    expect(lastWithin(['a', 'b'], 1)).toEqual([]);
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 20 })), fc.nat(200), (lines, bytes) => {
        const kept = lastWithin(lines, bytes);
        expect(kept).toEqual(lines.slice(lines.length - kept.length));
        const size = (list: readonly string[]) => list.reduce((sum, line) => sum + Buffer.byteLength(JSON.stringify(line)) + 1, 0);
        expect(size(kept)).toBeLessThanOrEqual(bytes);
        if (kept.length < lines.length) expect(size(lines.slice(lines.length - kept.length - 1))).toBeGreaterThan(bytes);
      }),
    );
  });

  it('of a host whose processes all fail fit into one report', () => {
    const failed = {
      id: 'a',
      status: 'failed',
      lastLogLines: Array.from({ length: 20 }, () => '\u0000'.repeat(2_000)),
    } as unknown as ProcessObservation;
    const report = fitLogLines(Array.from({ length: 1_000 }, (_, index) => (index % 2 === 0 ? failed : { ...failed, lastLogLines: [] })));
    expect(JSON.stringify(report).length).toBeLessThan(2 * LOG_LINES_LIMIT);
    expect(fitLogLines([failed])).toEqual([failed]);
  });
});
