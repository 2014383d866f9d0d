/** One process's time in a cluster, from its placement to its removal. */
export interface UsagePeriod {
  readonly processId: string;
  readonly hostname: string;
  readonly kind: string;
  readonly startedAt: Date;
  /** Null while the process belongs to the cluster. */
  readonly endedAt: Date | null;
}

export interface ProcessUsage {
  readonly processId: string;
  readonly hostname: string;
  readonly kind: string;
  readonly hours: number;
}

const HOUR_MS = 3_600_000;

/** Hours, rounded to a ten-thousandth (less than half a second). */
const hours = (ms: number): number => Math.round((ms / HOUR_MS) * 10_000) / 10_000;

/**
 * Process hours between two moments. Time counts while the process belongs to the cluster, whatever the cluster's state: a disabled cluster keeps its
 * hosts and its data, so it is metered like any other.
 */
export function usageBetween(
  periods: readonly UsagePeriod[],
  from: Date,
  to: Date,
): { readonly processes: readonly ProcessUsage[]; readonly totalHours: number } {
  let total = 0;
  const processes: ProcessUsage[] = [];
  for (const period of periods) {
    const start = Math.max(period.startedAt.getTime(), from.getTime());
    const end = Math.min(period.endedAt?.getTime() ?? to.getTime(), to.getTime());
    if (end <= start) continue;
    total += end - start;
    processes.push({ processId: period.processId, hostname: period.hostname, kind: period.kind, hours: hours(end - start) });
  }
  return { processes, totalHours: hours(total) };
}
