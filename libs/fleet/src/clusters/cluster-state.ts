import { CLUSTER_STATES, type ClusterState, type DisabledReason } from '@atrest/contracts';

/** What can happen to a cluster. Facts are levels where they can be: saying one twice changes nothing. */
export type ClusterFact =
  | { readonly kind: 'key-invalid'; readonly reason: DisabledReason }
  | { readonly kind: 'key-usable' }
  /** `moves`: the change alters what a process runs with, so that the cluster is UPDATING until the agents have carried it out. */
  | { readonly kind: 'change-accepted'; readonly moves: boolean }
  | { readonly kind: 'deletion-accepted' }
  | { readonly kind: 'all-stopped' }
  /** Every process runs, each replica set has a primary and each mongos answers. */
  | { readonly kind: 'all-ready' }
  /** As `all-ready`, but for processes that are still joining, leaving or to be restarted: the cluster can be used while they are. */
  | { readonly kind: 'all-serving' }
  | { readonly kind: 'all-removed' }
  | { readonly kind: 'restore-started' }
  | { readonly kind: 'restore-ended' };

export type ClusterFactKind = ClusterFact['kind'];

/** The events of a cluster's life, by the past-tense part of their type. */
export type ClusterEventName =
  'updated' | 'disabling-started' | 'disabled' | 'enabling-started' | 'enabled' | 'deletion-started' | 'deleted';

/** What the writer of a transition does in the same transaction, beside the state itself. */
export type ClusterEffect =
  | 'remember-reason'
  | 'forget-reason'
  | 'apply-change'
  /** The change waits until the cluster is enabled again. */
  | 'keep-change-pending'
  | 'apply-pending-changes'
  | 'mark-deleted';

/** Why a fact that a person asked for is not possible. */
export type ClusterRefusal = 'RESTORE_IN_PROGRESS' | 'DELETION_ALREADY_REQUESTED';

/** One cell of the table. */
type Cell =
  | 'ignored'
  | { readonly refused: ClusterRefusal }
  | { readonly to: ClusterState; readonly event: ClusterEventName | null; readonly effects: readonly ClusterEffect[] };

const go = (to: ClusterState, event: ClusterEventName | null, ...effects: ClusterEffect[]): Cell => ({ to, event, effects });
const disable = go('DISABLING', 'disabling-started', 'remember-reason');
const enable = go('ENABLING', 'enabling-started', 'forget-reason', 'apply-pending-changes');
const remove = go('DELETING', 'deletion-started');

/**
 * Every state against every fact; the type refuses a missing cell. `change-accepted` stands for a change that moves processes;
 * one that does not keeps the state (see {@link decide}). Notes on cells that are not obvious:
 * - DISABLING × key-usable: the key came back while processes still stop. There is nothing to wait for; the goal turns round (F35).
 * - DISABLED × all-ready is ignored: processes that somebody started by hand do not make a cluster enabled (F34).
 * - UPDATING and ENABLING × all-stopped: the cluster is paused, so being stopped is what it was asked for. Nobody looks for that fact otherwise.
 * - DELETING ignores the key: deleting needs none, and stopping is what deletion does anyway.
 */
const TABLE: Readonly<Record<ClusterState, Readonly<Record<ClusterFactKind, Cell>>>> = {
  CREATING: {
    'key-invalid': disable,
    'key-usable': 'ignored',
    'change-accepted': go('CREATING', 'updated', 'apply-change'),
    'deletion-accepted': remove,
    'all-stopped': 'ignored',
    'all-ready': go('IDLE', 'updated'),
    'all-serving': go('UPDATING', 'updated'),
    'all-removed': 'ignored',
    'restore-started': 'ignored',
    'restore-ended': 'ignored',
  },
  IDLE: {
    'key-invalid': disable,
    'key-usable': 'ignored',
    'change-accepted': go('UPDATING', 'updated', 'apply-change'),
    'deletion-accepted': remove,
    'all-stopped': 'ignored',
    'all-ready': 'ignored',
    'all-serving': 'ignored',
    'all-removed': 'ignored',
    'restore-started': go('RESTORING', 'updated'),
    'restore-ended': 'ignored',
  },
  UPDATING: {
    'key-invalid': disable,
    'key-usable': 'ignored',
    'change-accepted': go('UPDATING', 'updated', 'apply-change'),
    'deletion-accepted': remove,
    'all-stopped': go('IDLE', 'updated'),
    'all-ready': go('IDLE', 'updated'),
    'all-serving': 'ignored',
    'all-removed': 'ignored',
    'restore-started': 'ignored',
    'restore-ended': 'ignored',
  },
  DISABLING: {
    'key-invalid': 'ignored',
    'key-usable': enable,
    'change-accepted': go('DISABLING', 'updated', 'keep-change-pending'),
    'deletion-accepted': remove,
    'all-stopped': go('DISABLED', 'disabled'),
    'all-ready': 'ignored',
    'all-serving': 'ignored',
    'all-removed': 'ignored',
    'restore-started': 'ignored',
    'restore-ended': 'ignored',
  },
  DISABLED: {
    'key-invalid': 'ignored',
    'key-usable': enable,
    'change-accepted': go('DISABLED', 'updated', 'keep-change-pending'),
    'deletion-accepted': remove,
    'all-stopped': 'ignored',
    'all-ready': 'ignored',
    'all-serving': 'ignored',
    'all-removed': 'ignored',
    'restore-started': 'ignored',
    'restore-ended': 'ignored',
  },
  ENABLING: {
    'key-invalid': disable,
    'key-usable': 'ignored',
    'change-accepted': go('ENABLING', 'updated', 'apply-change'),
    'deletion-accepted': remove,
    'all-stopped': go('IDLE', 'enabled'),
    'all-ready': go('IDLE', 'enabled'),
    'all-serving': go('UPDATING', 'enabled'),
    'all-removed': 'ignored',
    'restore-started': 'ignored',
    'restore-ended': 'ignored',
  },
  RESTORING: {
    'key-invalid': disable,
    'key-usable': 'ignored',
    'change-accepted': { refused: 'RESTORE_IN_PROGRESS' },
    'deletion-accepted': remove,
    'all-stopped': 'ignored',
    'all-ready': 'ignored',
    'all-serving': 'ignored',
    'all-removed': 'ignored',
    'restore-started': 'ignored',
    'restore-ended': go('IDLE', 'updated'),
  },
  DELETING: {
    'key-invalid': 'ignored',
    'key-usable': 'ignored',
    'change-accepted': { refused: 'DELETION_ALREADY_REQUESTED' },
    'deletion-accepted': { refused: 'DELETION_ALREADY_REQUESTED' },
    'all-stopped': 'ignored',
    'all-ready': 'ignored',
    'all-serving': 'ignored',
    'all-removed': go('DELETING', 'deleted', 'mark-deleted'),
    'restore-started': 'ignored',
    'restore-ended': 'ignored',
  },
};

/** What a fact means for a cluster in a state. `stayed` still has an event and effects; `ignored` has neither. */
export type ClusterDecision =
  | {
      readonly outcome: 'moved' | 'stayed';
      readonly to: ClusterState;
      readonly event: ClusterEventName | null;
      readonly effects: readonly ClusterEffect[];
    }
  | { readonly outcome: 'ignored' }
  | { readonly outcome: 'refused'; readonly code: ClusterRefusal };

/** The next state of a cluster, and what goes with it. Pure: whoever calls it writes the result guarded by the state it was asked about. */
export function decide(state: ClusterState, fact: ClusterFact): ClusterDecision {
  const cell = TABLE[state][fact.kind];
  if (cell === 'ignored') return { outcome: 'ignored' };
  if ('refused' in cell) return { outcome: 'refused', code: cell.refused };
  // A change that touches no process (a tag, the backup switch) is carried out by being stored.
  const to = fact.kind === 'change-accepted' && !fact.moves ? state : cell.to;
  return { outcome: to === state ? 'stayed' : 'moved', to, event: cell.event, effects: cell.effects };
}

/** `stateName` of the Atlas API. */
export type AtlasStateName = 'IDLE' | 'CREATING' | 'UPDATING' | 'DELETING' | 'REPAIRING';

/**
 * The Atlas `stateName`. DISABLING and DISABLED are shown as IDLE: Atlas names no value for a cluster that is stopped because of its key,
 * clients check the enumeration strictly, and the ones that poll for IDLE must not wait for a key that may be away for days. The truth is in
 * `selfManaged.state` and `selfManaged.disabledReason`.
 */
export const atlasStateName = (state: ClusterState): AtlasStateName => STATE_NAMES[state];

const STATE_NAMES: Readonly<Record<ClusterState, AtlasStateName>> = {
  CREATING: 'CREATING',
  IDLE: 'IDLE',
  UPDATING: 'UPDATING',
  DISABLING: 'IDLE',
  DISABLED: 'IDLE',
  ENABLING: 'UPDATING',
  RESTORING: 'UPDATING',
  DELETING: 'DELETING',
};

/** States in which something is under way and the cluster is looked at again and again until it is over. */
export const MOVING_STATES: readonly ClusterState[] = ['CREATING', 'UPDATING', 'DISABLING', 'ENABLING', 'RESTORING', 'DELETING'];

/** The table as a Mermaid state diagram, for the documentation. */
export function clusterStateDiagram(): string {
  const lines = ['stateDiagram-v2', '  [*] --> CREATING'];
  for (const from of CLUSTER_STATES) {
    const byTarget = new Map<string, string[]>();
    for (const [fact, cell] of Object.entries(TABLE[from])) {
      if (cell === 'ignored' || 'refused' in cell) continue;
      const to = cell.effects.includes('mark-deleted') ? '[*]' : cell.to;
      if (to !== from) byTarget.set(to, [...(byTarget.get(to) ?? []), fact]);
    }
    for (const [to, facts] of byTarget) lines.push(`  ${from} --> ${to}: ${facts.join(', ')}`);
  }
  return `${lines.join('\n')}\n`;
}
