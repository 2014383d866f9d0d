import type { BackupFailureCode, SnapshotMethod, SnapshotType } from '@atrest/contracts';

const MINUTE_MS = 60_000;

/** What is tried, in this order, unless something else is ordered. Both leave the member running. */
export const USUAL_METHODS: readonly SnapshotMethod[] = ['backupCursor', 'fsyncLock'];
/** Takes the member out of service for the time of the copy. */
export const FALLBACK_METHODS: readonly SnapshotMethod[] = ['stoppedMember'];
/** A set of three keeps its majority while one of its members is stopped. */
const MEMBERS_FOR_FALLBACK = 3;

/** The attempts that a run has, the first included: what three could not do within the hour needs a person. */
export const MAX_ATTEMPTS = 3;

/** How a kind of failure is met. */
type Remedy =
  /** Trying again would fail again. */
  | { readonly kind: 'final' }
  /** `otherMember`: the cause may lie with the member. `anew`: what is stored already is not relied on. */
  | { readonly kind: 'again'; readonly afterMs: number; readonly otherMember?: true; readonly anew?: true }
  | { readonly kind: 'other-method' }
  /** Nothing was wrong with the run: it is due as soon as the schedule goes on. */
  | { readonly kind: 'when-resumed' };

const final: Remedy = { kind: 'final' };
const again = (minutes: number, more: { otherMember?: true; anew?: true } = {}): Remedy => ({
  kind: 'again',
  afterMs: minutes * MINUTE_MS,
  ...more,
});

/** Every failure has its remedy. */
const REMEDIES: Readonly<Record<BackupFailureCode, Remedy>> = {
  // An agent that restarts is back within minutes.
  NO_SOURCE: again(5),
  NO_SNAPSHOT_STORE: again(15),
  HOST_SILENT: again(1, { otherMember: true }),
  // There will not be fewer.
  TOO_MANY_FILES: final,
  SOURCE_DISK_FULL: again(15, { otherMember: true }),
  // Room comes from retention, which runs every minute, or from a person.
  STORE_FULL: again(30),
  STORE_UNAVAILABLE: again(15),
  STORE_REFUSED: final,
  // An election is over within seconds.
  SOURCE_CHANGED: again(1, { otherMember: true }),
  NO_METHOD: { kind: 'other-method' },
  SOURCE_ACCESS_DENIED: final,
  // The validity check sees the same; while it does, the cluster is disabled and its schedule pauses.
  KEY_REFUSED: final,
  KEY_UNREACHABLE: again(15),
  // The next attempt belongs to the new key's epoch.
  KEY_CHANGED: again(0),
  NOT_PROVEN: again(1, { anew: true }),
  STORE_DAMAGED: again(1, { anew: true }),
  SNAPSHOT_MISSING: again(1, { anew: true }),
  ALREADY_RUNNING: again(5),
  // An agent was restarted in between, or a part was slow.
  NOT_CUT: again(1),
  // A chunk that moves comes to its end, a mongos is started again.
  BALANCER_NOT_STOPPED: again(5),
  CANCELLED: final,
  CLUSTER_DISABLED: { kind: 'when-resumed' },
  CLUSTER_GONE: final,
  INTERNAL: again(5),
};

/** A snapshot that failed. */
export interface FailedAttempt {
  readonly code: BackupFailureCode;
  /** Beginning with 1. */
  readonly attempt: number;
  readonly snapshotType: SnapshotType;
  readonly methods: readonly SnapshotMethod[];
  /** Of the cluster's replica set; 0 for a sharded cluster, of which no member is stopped to be copied. */
  readonly dataMembers: number;
}

export type RetryDecision =
  | { readonly kind: 'give-up' }
  /** The schedule is due again, and takes the run when it goes on. */
  | { readonly kind: 'make-due' }
  | {
      readonly kind: 'retry';
      readonly afterMs: number;
      readonly methods: readonly SnapshotMethod[];
      readonly snapshotType: SnapshotType;
      readonly avoidMember: boolean;
      /** Nothing that is stored already is relied on. */
      readonly anew: boolean;
    };

/** What follows a failed snapshot. */
export function afterFailure({ code, attempt, snapshotType, methods, dataMembers }: FailedAttempt): RetryDecision {
  const remedy = REMEDIES[code];
  if (remedy.kind === 'final') return { kind: 'give-up' };
  if (remedy.kind === 'when-resumed') return { kind: snapshotType === 'onDemand' ? 'give-up' : 'make-due' };
  if (attempt >= MAX_ATTEMPTS) return { kind: 'give-up' };
  if (remedy.kind === 'other-method') {
    if (methods.includes('stoppedMember') || dataMembers < MEMBERS_FOR_FALLBACK) return { kind: 'give-up' };
    const type = snapshotType === 'scheduled' ? 'fallback' : snapshotType;
    return { kind: 'retry', afterMs: 0, methods: FALLBACK_METHODS, snapshotType: type, avoidMember: false, anew: false };
  }
  // Each wait is twice the one before.
  const afterMs = remedy.afterMs * 2 ** (attempt - 1);
  return { kind: 'retry', afterMs, methods, snapshotType, avoidMember: remedy.otherMember ?? false, anew: remedy.anew ?? false };
}
