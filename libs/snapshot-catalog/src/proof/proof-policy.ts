import type { BackupFailureCode } from '@atrest/contracts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** One snapshot of each cluster is proven again a day. */
export const PROOF_INTERVAL_MS = DAY_MS;
/** After a proof that could not be made; the reasons are those of minutes. */
export const PROOF_RETRY_MS = HOUR_MS;
/** The part of the blocks that a proof reads: with the 60 snapshots of the default schedule, which share most of them, each block is read about once a month. */
export const PROOF_SHARE = 0.05;
/** Of those that are tried with another key, too. Sixteen find a store that encrypts nothing with certainty, and one block in ten with 80 %. */
export const PROOF_BLOCKS = 16;
/** Three failed days are no hiccup. */
export const PROOF_OVERDUE_MS = 3 * DAY_MS;
/** A snapshot that was proven so long ago says little about today: the default schedule's turn comes every two months. */
export const PROOF_AGED_MS = 90 * DAY_MS;

/** What a failed proof says. */
export type FailedProof =
  /** The snapshot cannot be restored: what is stored is missing or not what it should be. */
  | 'broken'
  /** Its key does not open it at present. */
  | 'locked'
  /** Nothing about the snapshot: it could not be looked at. */
  | 'not-looked-at';

const MEANINGS: Readonly<Record<BackupFailureCode, FailedProof>> = {
  STORE_DAMAGED: 'broken',
  SNAPSHOT_MISSING: 'broken',
  NOT_PROVEN: 'broken',
  KEY_REFUSED: 'locked',
  KEY_CHANGED: 'locked',
  KEY_UNREACHABLE: 'not-looked-at',
  NO_SOURCE: 'not-looked-at',
  NO_SNAPSHOT_STORE: 'not-looked-at',
  HOST_SILENT: 'not-looked-at',
  TOO_MANY_FILES: 'not-looked-at',
  SOURCE_DISK_FULL: 'not-looked-at',
  STORE_FULL: 'not-looked-at',
  STORE_UNAVAILABLE: 'not-looked-at',
  STORE_REFUSED: 'not-looked-at',
  SOURCE_CHANGED: 'not-looked-at',
  NO_METHOD: 'not-looked-at',
  SOURCE_ACCESS_DENIED: 'not-looked-at',
  ALREADY_RUNNING: 'not-looked-at',
  NOT_CUT: 'not-looked-at',
  BALANCER_NOT_STOPPED: 'not-looked-at',
  CANCELLED: 'not-looked-at',
  CLUSTER_DISABLED: 'not-looked-at',
  CLUSTER_GONE: 'not-looked-at',
  INTERNAL: 'not-looked-at',
};

export const meaningOf = (code: BackupFailureCode): FailedProof => MEANINGS[code];

/** When the next proof of a cluster's snapshots is due. */
export function nextProofAt(outcome: 'proven' | FailedProof, now: Date): Date {
  return new Date(now.getTime() + (outcome === 'not-looked-at' ? PROOF_RETRY_MS : PROOF_INTERVAL_MS));
}

/** Whether the proofs of a cluster are overdue: none was made for days, or a snapshot waits for its turn for months. */
export function isProofOverdue(proofs: { readonly latest: Date | null; readonly oldest: Date | null }, now: Date): boolean {
  const olderThan = (moment: Date | null, ms: number): boolean => moment !== null && now.getTime() - moment.getTime() > ms;
  return olderThan(proofs.latest, PROOF_OVERDUE_MS) || olderThan(proofs.oldest, PROOF_AGED_MS);
}
