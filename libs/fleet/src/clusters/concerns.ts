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

const where = (process: ProcessView): string => `${process.kind} on ${process.hostname}:${process.port}`;

function present(state: ClusterState, process: ProcessView, now: Date): RaisedConcern[] {
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
  if ((state !== 'DISABLING' && state !== 'DISABLED') || process.desired !== 'stopped') return [];
  const concerns: RaisedConcern[] = [];
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
 * @param listeningSince when this replica began to listen. Who begins to listen hears nothing at first: after an outage of ours, all hosts seem to be silent
 */
export function concernChanges(
  state: ClusterState,
  processes: readonly ProcessView[],
  open: readonly OpenConcern[],
  now: Date,
  listeningSince: Date,
): ConcernChanges {
  const hearsSilence = isSilent(listeningSince, now);
  const key = (concern: { processId: string; kind: ConcernKind }) => `${concern.processId} ${concern.kind}`;
  const before = new Map(open.map((concern) => [key(concern), concern]));
  const raised: RaisedConcern[] = [];
  const seenAgain: OpenConcern[] = [];
  for (const concern of processes.flatMap((process) => present(state, process, now))) {
    const known = before.get(key(concern));
    before.delete(key(concern));
    if (known === undefined && concern.kind === 'HOST_UNREACHABLE' && !hearsSilence) continue;
    const isNew =
      known === undefined ||
      (concern.kind === 'STARTED_BY_HAND' && concern.lastSeen.getTime() - known.lastSeen.getTime() > SAME_OCCURRENCE_MS);
    if (isNew) raised.push(concern);
    else if (concern.lastSeen.getTime() > known.lastSeen.getTime()) seenAgain.push({ ...known, lastSeen: concern.lastSeen });
  }
  return { raised, seenAgain, ended: [...before.values()] };
}
