import type { SnapshotState } from '@atrest/contracts';
import { unhandled } from '../unhandled.js';

/** The part of an event's type that names what happened. How far a snapshot is, nobody is told. */
export const SNAPSHOT_EVENT_NAMES = [
  'requested',
  'started',
  'completed',
  'failed',
  'retention-changed',
  'proven',
  'proof-failed',
  'deleted',
] as const;
export type SnapshotEventName = (typeof SNAPSHOT_EVENT_NAMES)[number];

export const BACKUP_HEALTH_EVENT_NAMES = ['fell-behind', 'caught-up', 'paused', 'resumed', 'proof-overdue'] as const;
export type BackupHealthEventName = (typeof BACKUP_HEALTH_EVENT_NAMES)[number];

/**
 * The names that the Atlas Admin API has for an event of a snapshot: what happened, and where there is one the entry for the audit. Proofs are an
 * extension in the same style. Only an on-demand request is an event in Atlas.
 */
export function eventTypesOfSnapshot(name: SnapshotEventName, { snapshotType, willRetry }: SnapshotState): readonly string[] {
  const fallback = snapshotType === 'fallback';
  switch (name) {
    case 'requested':
      return snapshotType === 'onDemand' ? ['CPS_ON_DEMAND_SNAPSHOT_REQUESTED'] : [];
    case 'started':
      return ['CPS_SNAPSHOT_STARTED', 'CPS_SNAPSHOT_IN_PROGRESS_AUDIT'];
    case 'completed':
      return [fallback ? 'CPS_SNAPSHOT_FALLBACK_SUCCESSFUL' : 'CPS_SNAPSHOT_SUCCESSFUL', 'CPS_SNAPSHOT_COMPLETED_AUDIT'];
    case 'failed':
      // The only name in Atlas for a failure that another attempt follows.
      if (willRetry) return ['CPS_CONCURRENT_SNAPSHOT_FAILED_WILL_RETRY'];
      return [fallback ? 'CPS_SNAPSHOT_FALLBACK_FAILED' : 'CPS_SNAPSHOT_FAILED'];
    case 'retention-changed':
      return ['CPS_SNAPSHOT_RETENTION_MODIFIED_AUDIT'];
    case 'proven':
      return ['CPS_SNAPSHOT_PROVEN_AUDIT'];
    case 'proof-failed':
      return ['CPS_SNAPSHOT_PROOF_FAILED'];
    case 'deleted':
      return ['CPS_SNAPSHOT_DELETED_AUDIT'];
    default:
      return unhandled(name);
  }
}

/** The same for the backups of a cluster; all but the first are extensions in the style of `CPS_OPLOG_CAUGHT_UP`. */
export const HEALTH_EVENT_TYPES: Readonly<Record<BackupHealthEventName, string>> = {
  'fell-behind': 'CPS_SNAPSHOT_BEHIND',
  'caught-up': 'CPS_SNAPSHOT_CAUGHT_UP',
  paused: 'CPS_SNAPSHOT_SCHEDULE_PAUSED',
  resumed: 'CPS_SNAPSHOT_SCHEDULE_RESUMED',
  'proof-overdue': 'CPS_SNAPSHOT_PROOF_OVERDUE',
};
