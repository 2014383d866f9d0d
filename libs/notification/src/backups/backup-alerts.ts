import type { BackupHealth, SnapshotState } from '@atrest/contracts';
import type { AlertChange } from '../alerts/alert.js';
import type { BackupHealthEventName, SnapshotEventName } from './backup-event-names.js';

/** How long scheduled snapshots are overdue before it is said again, in other words: a day, because a backup of yesterday is what most people count on. */
export const OLD_AFTER_MS = 24 * 3_600_000;

/** What is known of the backups of one cluster. The moments are those of the events, which may come in any order. */
export interface KnownBackups {
  readonly lastSuccessAt: Date | null;
  /** Of a failure that nobody ordered and that was final. */
  readonly lastFailureAt: Date | null;
  readonly lastProofAt: Date | null;
  readonly proofOverdueAt: Date | null;
  /** Since when scheduled snapshots are overdue; null when they are not, or while the schedule pauses. */
  readonly behindSince: Date | null;
  readonly healthRevision: number;
  /** Somebody was told of a trouble. */
  readonly told: boolean;
}

export const NOTHING_KNOWN: KnownBackups = {
  lastSuccessAt: null,
  lastFailureAt: null,
  lastProofAt: null,
  proofOverdueAt: null,
  behindSince: null,
  healthRevision: 0,
  told: false,
};

export interface BackupConsequence {
  readonly known: KnownBackups;
  readonly alerts: readonly AlertChange[];
}

/**
 * Failures that are told elsewhere or were wanted: whoever cancelled or deleted knows of it, and of a disabled cluster the owners have a message that
 * lists it.
 */
const UNTOLD_FAILURES: ReadonlySet<string> = new Set(['CANCELLED', 'CLUSTER_GONE', 'CLUSTER_DISABLED']);

/** Whether a person should hear that the snapshot failed. */
export const isTelling = ({ failure, willRetry }: SnapshotState): boolean => !willRetry && !UNTOLD_FAILURES.has(failure?.code ?? '');

/** What an event of a snapshot means for the alerts of its cluster; that it could not be proven is counted by {@link proofAlert}. Pure. */
export function afterSnapshot(name: SnapshotEventName, snapshot: SnapshotState, at: Date, before: KnownBackups): BackupConsequence {
  switch (name) {
    case 'completed': {
      const known = { ...before, lastSuccessAt: later(before.lastSuccessAt, at), lastProofAt: later(before.lastProofAt, at) };
      const newer = before.lastFailureAt === null || before.lastFailureAt <= at;
      return { known, alerts: [...(newer ? [close('CPS_SNAPSHOT_FAILED')] : []), ...proofAlerts(at, before)] };
    }
    case 'failed': {
      if (!isTelling(snapshot)) return { known: before, alerts: [] };
      const known = { ...before, lastFailureAt: later(before.lastFailureAt, at) };
      const news = before.lastSuccessAt === null || before.lastSuccessAt < at;
      return { known, alerts: news ? [{ change: 'open', eventType: 'CPS_SNAPSHOT_FAILED', since: at }] : [] };
    }
    case 'proven':
      return { known: { ...before, lastProofAt: later(before.lastProofAt, at) }, alerts: proofAlerts(at, before) };
    case 'requested':
    case 'started':
    case 'retention-changed':
    case 'proof-failed':
    case 'deleted':
      return { known: before, alerts: [] };
  }
}

const proofAlerts = (provenAt: Date, { proofOverdueAt }: KnownBackups): AlertChange[] =>
  proofOverdueAt === null || proofOverdueAt <= provenAt ? [close('CPS_SNAPSHOT_PROOF_OVERDUE')] : [];

/** One alert for all snapshots of a cluster that could not be proven: most often they share the cause. Pure. */
export const proofAlert = (unproven: number, at: Date): AlertChange =>
  unproven === 0 ? close('CPS_SNAPSHOT_PROOF_FAILED') : { change: 'open', eventType: 'CPS_SNAPSHOT_PROOF_FAILED', since: at };

/** What an event about the backups of a cluster means for its alerts. Follows from the state, so that no lost event leaves one open. Pure. */
export function afterHealth(name: BackupHealthEventName, health: BackupHealth, at: Date, before: KnownBackups): BackupConsequence {
  // A schedule that pauses is not late; why it pauses is told by whoever disabled the cluster.
  const behindSince = health.paused === null && health.behindSince !== null ? new Date(health.behindSince) : null;
  const overdue = name === 'proof-overdue' && (before.lastProofAt === null || before.lastProofAt < at);
  return {
    known: {
      ...before,
      behindSince,
      healthRevision: health.revision,
      proofOverdueAt: name === 'proof-overdue' ? later(before.proofOverdueAt, at) : before.proofOverdueAt,
    },
    alerts: [
      ...(behindSince === null
        ? [close('CPS_SNAPSHOT_BEHIND'), close('CPS_PREV_SNAPSHOT_OLD')]
        : [{ change: 'open' as const, eventType: 'CPS_SNAPSHOT_BEHIND' as const, since: behindSince }]),
      ...(overdue ? [{ change: 'open' as const, eventType: 'CPS_SNAPSHOT_PROOF_OVERDUE' as const, since: at }] : []),
    ],
  };
}

const close = (eventType: AlertChange['eventType']): AlertChange => ({ change: 'close', eventType });

const later = (known: Date | null, at: Date): Date => (known !== null && known > at ? known : at);
