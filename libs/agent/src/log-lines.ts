import type { ProcessObservation } from '@atrest/contracts';

/** Lines of logs in one message to the control plane, in bytes: half of what it takes (1 MiB), so that the rest always has room. */
export const LOG_LINES_LIMIT = 512 * 1024;

/** The last lines that fit. */
export function lastWithin(lines: readonly string[], bytes: number): string[] {
  let left = bytes;
  // As JSON, where a quote or a control character takes more than one byte.
  const first = lines.findLastIndex((line) => (left -= Buffer.byteLength(JSON.stringify(line)) + 1) < 0);
  return lines.slice(first + 1);
}

/**
 * The same observations with fewer lines where there are too many: when a disk is full, every process of a host fails at once, and a report that is too
 * large would be refused as a whole, again and again.
 */
export function fitLogLines(observations: readonly ProcessObservation[]): ProcessObservation[] {
  const talking = observations.filter((observation) => observation.lastLogLines.length > 0).length;
  const share = Math.floor(LOG_LINES_LIMIT / Math.max(1, talking));
  return observations.map((observation) => ({ ...observation, lastLogLines: lastWithin(observation.lastLogLines, share) }));
}
