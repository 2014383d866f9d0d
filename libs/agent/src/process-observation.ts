import type { ProcessObservation } from '@atrest/contracts';
import type { Hello } from '@atrest/mongod';
import { redactText } from '@atrest/platform-logging';
import type { ProcessStatus } from './process-status.js';

/** How the last run ended, or why it did not begin. */
export interface LastEnd {
  readonly code: number | null;
  readonly signal: string | null;
  readonly error: string | null;
  /** Nobody had ordered it. */
  readonly failed: boolean;
  /** It failed because the server could not use its master key: when that was seen, and what it said. */
  readonly endedForKey: { readonly at: Date; readonly detail: string } | null;
  /** The last lines of its log, redacted; empty after an orderly end. */
  readonly lines: readonly string[];
}

/** Everything that a report of a process is made of. Times are milliseconds of a clock that never jumps, dates are for the reader. */
export interface ObservedFacts {
  readonly id: string;
  readonly status: ProcessStatus;
  readonly since: Date;
  readonly pid: number | null;
  readonly version: string | null;
  readonly isMember: boolean;
  readonly hello: Hello | null;
  /** Every shard of the cluster that this mongos leads is known to have been added, and the users of a primary are there; true for every other process. */
  readonly complete: boolean;
  /** State by the process's own log; for a member whose `hello` does not tell (STARTUP2, RECOVERING). */
  readonly loggedState: string | null;
  readonly readyAt: number | null;
  readonly stop: { readonly signalledAt: number; readonly wallTime: Date } | null;
  readonly lastEnd: LastEnd | null;
  /** Why the goal is not pursued, or what is odd about the process that runs. */
  readonly blocked: string | null;
  /** Why the set or the cluster is not complete. */
  readonly administrationError: string | null;
  readonly startedByHandAt: Date | null;
  /** It was a member of its set once. */
  readonly wasMember: boolean;
  /** Null when another than this agent started it, and while it does not run. */
  readonly argumentsVersion: number | null;
  readonly setMembers: ProcessObservation['setMembers'] | null;
  readonly shards: readonly string[] | null;
  readonly administrator: string | null;
  /** A lock or a backup cursor on it. */
  readonly held?: ProcessObservation['heldForBackup'] | null;
  readonly warnAfterMs: number;
  readonly now: number;
}

/** A ready process that has not answered for this long is reported as silent; below it is only busy. */
const SILENT_AFTER_MS = 5_000;

/** A server repeats on its standard error what it was given, a mistyped password option with its value. */
const redacted = (text: string | null): string | null => (text === null ? null : redactText(text));

/** The report of one process. */
export function observationOf(facts: ObservedFacts): ProcessObservation {
  const running = facts.status === 'running';
  const hello = running ? facts.hello : null;
  const silent = running && hello === null && facts.readyAt !== null && facts.now - facts.readyAt > SILENT_AFTER_MS;
  const key = facts.lastEnd?.endedForKey;
  const overdue = facts.stop !== null && facts.now - facts.stop.signalledAt >= facts.warnAfterMs ? facts.stop.wallTime : null;
  const causes = [
    facts.blocked,
    running || facts.status === 'starting' ? facts.administrationError : null,
    silent ? 'The process runs but does not answer.' : null,
    facts.lastEnd?.error ?? null,
  ];
  return {
    id: facts.id,
    status: facts.status,
    pid: facts.pid,
    since: facts.since.toISOString(),
    version: facts.version,
    memberState: running && facts.isMember ? memberStateOf(facts, hello) : null,
    writable: (hello?.writable ?? false) && facts.complete,
    exitCode: facts.lastEnd?.code ?? null,
    exitSignal: facts.lastEnd?.signal ?? null,
    error: redacted(causes.find((cause) => cause !== null) ?? null),
    lastLogLines: [...(facts.lastEnd?.lines ?? [])],
    ...(key && { endedForKey: { at: key.at.toISOString(), detail: redactText(key.detail) } }),
    stopOverdueSince: overdue?.toISOString() ?? null,
    startedByHandAt: facts.startedByHandAt?.toISOString() ?? null,
    ...(facts.argumentsVersion !== null && { argumentsVersion: facts.argumentsVersion }),
    ...(running && facts.setMembers != null && { setMembers: facts.setMembers }),
    ...(running && facts.shards !== null && { shards: [...facts.shards] }),
    ...(running && facts.administrator !== null && { administrator: facts.administrator }),
    ...(running && facts.held != null && { heldForBackup: facts.held }),
  };
}

/** A member that its set does not have any more says of itself only that it has no configuration. */
function memberStateOf(facts: ObservedFacts, hello: Hello | null): string | null {
  if (hello?.kind === 'uninitialized' && facts.wasMember) return 'REMOVED';
  return hello?.memberState ?? facts.loggedState;
}
