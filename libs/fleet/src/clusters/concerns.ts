import type { ClusterConcern, ClusterState } from '@atrest/contracts';
import { isSilent } from '../hosts/host-liveness.js';
import { isStopped, type ProcessView } from './process-view.js';

/** What is announced once while it lasts. An end for the key is an event of its own: it is no trouble with an order, but a reason to check the key. */
export type ConcernKind = ClusterConcern['kind'] | 'ENDED_FOR_KEY';

/** A concern that was raised and whose cause has not ended. */
export interface OpenConcern {
  readonly processId: string;
  readonly kind: ConcernKind;
  readonly since: Date;
  /** The last moment the cause was seen. */
  readonly lastSeen: Date;
}

export interface RaisedConcern extends OpenConcern {
  readonly detail: string;
}

export interface ConcernChanges {
  /** New occurrences: each is announced once. */
  readonly raised: readonly RaisedConcern[];
  /** Still open, seen again. */
  readonly seenAgain: readonly OpenConcern[];
  readonly ended: readonly OpenConcern[];
}

/**
 * Starts by hand closer together than this are one occurrence: the agent reports the moment it last saw the process, and a restart loop of systemd or
 * of a person would otherwise page once per try.
 */
const SAME_OCCURRENCE_MS = 60_000;

/** A copy that ended lets go of its process in the next moments, and its agent says so in its next report: half of it would blame a slow report. */
export const HELD_GRACE_MS = 30_000;
/**
 * An agent that is not heard of while it copies goes on copying, and lets go by itself. After this nobody can tell any more: half would blame a short network
 * problem, and with double a locked secondary may fall behind the oplog of its set.
 */
const HELD_SILENT_MS = 5 * 60_000;

/** What is known of the copies of processes: when the last one ended, or that one is being made. */
export type Copies = ReadonlyMap<string, Date | 'copying'>;

export const isHeld = (process: ProcessView): boolean => process.observation?.heldForBackup !== undefined;

const where = (process: ProcessView): string => `${process.kind} on ${process.hostname}:${process.port}`;

const HELD_BY = { fsyncLock: 'is locked for writes', backupCursor: 'has a backup cursor open' } as const;

/** Locks and cursors outlive whoever took them: a set runs on with a secondary that stands still, or a disk that fills. */
function leftHeld(process: ProcessView, copies: Copies, now: Date): RaisedConcern[] {
  const held = process.observation?.heldForBackup;
  if (held === undefined) return [];
  const since = new Date(held.since);
  const copy = copies.get(process.id);
  const silent = process.hostHeardAt === null ? Infinity : now.getTime() - process.hostHeardAt.getTime();
  const raise = (why: string): RaisedConcern[] => [
    {
      processId: process.id,
      kind: 'HELD_FOR_BACKUP',
      since,
      lastSeen: now,
      detail: `The ${where(process)} ${HELD_BY[held.kind]} since ${held.since}, ${why}`,
    },
  ];
  if (silent > HELD_SILENT_MS) {
    return raise(
      `and its agent has not been heard of since ${process.hostHeardAt?.toISOString() ?? 'then'}: start the agent, which lets go of it, or let go of it by hand.`,
    );
  }
  if (copy === 'copying') return [];
  const freeSince = Math.max(since.getTime(), copy?.getTime() ?? 0);
  if (now.getTime() - freeSince <= HELD_GRACE_MS) return [];
  return raise('although no snapshot of it is being taken: let go of it by hand unless another tool backs it up.');
}

function present(state: ClusterState, process: ProcessView, copies: Copies, now: Date): RaisedConcern[] {
  if (process.lost) {
    const since = process.hostHeardAt ?? process.desiredSince;
    const detail = `The ${where(process)} is lost: its host was last heard of at ${since.toISOString()} and was given up.`;
    return [{ processId: process.id, kind: 'HOST_GIVEN_UP', since, lastSeen: now, detail }];
  }
  const ended = process.observation?.endedForKey;
  // What ended before it was ordered to run says nothing about the key of today.
  if (ended !== undefined && process.desired === 'running' && Date.parse(ended.at) >= process.desiredSince.getTime()) {
    return [{ processId: process.id, kind: 'ENDED_FOR_KEY', since: new Date(ended.at), lastSeen: now, detail: ended.detail }];
  }
  const concerns = leftHeld(process, copies, now);
  if ((state !== 'DISABLING' && state !== 'DISABLED') || process.desired !== 'stopped') return concerns;
  const seen = process.observation;
  if (isSilent(process.hostHeardAt, now) && !isStopped(process)) {
    const since = process.hostHeardAt ?? process.desiredSince;
    const detail = `The ${where(process)} could not be confirmed to be stopped: the host's agent has not been heard of since ${since.toISOString()}.`;
    concerns.push({ processId: process.id, kind: 'HOST_UNREACHABLE', since, lastSeen: now, detail });
  }
  if (seen?.stopOverdueSince != null) {
    const since = new Date(seen.stopOverdueSince);
    const detail = `The ${where(process)} has not stopped since ${seen.stopOverdueSince}.`;
    concerns.push({ processId: process.id, kind: 'STOP_OVERDUE', since, lastSeen: now, detail });
  }
  // What the agent saw before the order says nothing about the order being undermined.
  if (seen?.startedByHandAt != null && Date.parse(seen.startedByHandAt) >= process.desiredSince.getTime()) {
    const since = new Date(seen.startedByHandAt);
    const detail = `The ${where(process)} was started by somebody other than its agent at ${seen.startedByHandAt} although the cluster is disabled.`;
    concerns.push({ processId: process.id, kind: 'STARTED_BY_HAND', since, lastSeen: since, detail });
  }
  return concerns;
}

/**
 * Compares what is wrong now with what was announced.
 * @param copies of the processes that are held; may be left out when none is
 * @param listeningSince when this replica began to listen. Who begins to listen hears nothing at first: after an outage of ours, all hosts seem to be silent
 */
export function concernChanges(
  state: ClusterState,
  processes: readonly ProcessView[],
  open: readonly OpenConcern[],
  now: Date,
  listeningSince: Date,
  copies: Copies = new Map(),
): ConcernChanges {
  const hearsSilence = isSilent(listeningSince, now);
  const hearsHeld = now.getTime() - listeningSince.getTime() > HELD_GRACE_MS;
  const key = (concern: { processId: string; kind: ConcernKind }) => `${concern.processId} ${concern.kind}`;
  const before = new Map(open.map((concern) => [key(concern), concern]));
  const raised: RaisedConcern[] = [];
  const seenAgain: OpenConcern[] = [];
  for (const concern of processes.flatMap((process) => present(state, process, copies, now))) {
    const known = before.get(key(concern));
    before.delete(key(concern));
    if (known === undefined && concern.kind === 'HOST_UNREACHABLE' && !hearsSilence) continue;
    if (known === undefined && concern.kind === 'HELD_FOR_BACKUP' && !hearsHeld) continue;
    const isNew =
      known === undefined ||
      (concern.kind === 'STARTED_BY_HAND' && concern.lastSeen.getTime() - known.lastSeen.getTime() > SAME_OCCURRENCE_MS);
    if (isNew) raised.push(concern);
    else if (concern.lastSeen.getTime() > known.lastSeen.getTime()) seenAgain.push({ ...known, lastSeen: concern.lastSeen });
  }
  return { raised, seenAgain, ended: [...before.values()] };
}
