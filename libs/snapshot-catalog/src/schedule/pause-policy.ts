import type { KnownCluster } from '../projections/cluster-projection.js';

/** Why a schedule pauses. */
export const PAUSE_CODES = [
  'CLUSTER_DISABLED',
  'CLUSTER_PAUSED',
  'CLUSTER_RESTORING',
  'CLUSTER_NOT_READY',
  'KEY_CONFIGURATION_MISSING',
] as const;
export type PauseCode = (typeof PAUSE_CODES)[number];

export interface Pause {
  readonly code: PauseCode;
  /** For people. */
  readonly reason: string;
}

/** Coming and going of clusters is nothing to be told of. */
export const isQuiet = (code: PauseCode): boolean => code === 'CLUSTER_NOT_READY';

/** Why nothing is taken of a cluster at present; null: it can be copied. */
export function pauseOf(
  cluster: Pick<KnownCluster, 'state' | 'disabledReason' | 'paused' | 'provider'>,
  hasKeyConfiguration: boolean,
): Pause | null {
  if (cluster.disabledReason !== null || cluster.state === 'DISABLING' || cluster.state === 'DISABLED' || cluster.state === 'ENABLING') {
    return { code: 'CLUSTER_DISABLED', reason: `The cluster is disabled: ${cluster.disabledReason ?? 'it is being started again.'}` };
  }
  if (cluster.paused) return { code: 'CLUSTER_PAUSED', reason: 'The cluster is paused.' };
  if (cluster.state === 'RESTORING') return { code: 'CLUSTER_RESTORING', reason: 'A snapshot is being restored into the cluster.' };
  if (cluster.state === 'CREATING' || cluster.state === 'DELETING') {
    return {
      code: 'CLUSTER_NOT_READY',
      reason: cluster.state === 'CREATING' ? 'The cluster is being created.' : 'The cluster is being deleted.',
    };
  }
  if (cluster.provider !== 'NONE' && !hasKeyConfiguration) {
    return {
      code: 'KEY_CONFIGURATION_MISSING',
      reason: `The cluster uses a customer key of ${cluster.provider}, and the project has no key configuration for it.`,
    };
  }
  return null;
}
