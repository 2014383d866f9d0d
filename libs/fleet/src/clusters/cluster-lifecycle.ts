import {
  clusterConcernRaised,
  clusterDeleted,
  clusterDeletionStarted,
  clusterDisabled,
  clusterDisablingStarted,
  clusterEnabled,
  clusterEnablingStarted,
  clusterProcessEndedForKey,
  clusterUpdated,
  type ClusterSummary,
  type EventDefinition,
} from '@atrest/contracts';
import type { Logger } from '@atrest/platform-logging';
import type { EventPublisher } from '@atrest/platform-messaging';
import { rows, type Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { copiesOf } from '../backup-tasks/backup-tasks.repository.js';
import { endCopies } from '../backup-tasks/copied-cluster.js';
import { moveGoals } from '../hosts/hosts.repository.js';
import { findKeyConfiguration, keyFact } from '../projections/key-configurations.js';
import { inTransaction } from '../query.js';
import type { ClusterAccess, SealedAccess } from './cluster-access.js';
import { observedFact } from './cluster-facts.js';
import { decide, MOVING_STATES, type ClusterEventName, type ClusterFact, type ClusterRefusal } from './cluster-state.js';
import type { Cluster } from './cluster-view.js';
import {
  addHistory,
  lockCluster,
  markJoined,
  openConcerns,
  processesOf,
  retireProcesses,
  writeCluster,
  writeConcerns,
  writeProcessGoal,
  type StoredProcess,
} from './clusters.repository.js';
import { concernChanges, HELD_GRACE_MS, isHeld } from './concerns.js';
import { nextPhaseLimit, type ClusterOrder } from './desired-processes.js';
import { addressOf, processGoal, type ClusterDefinition } from './process-goal.js';
import { isRemoved } from './process-view.js';
import { splitChange, type ClusterChange } from './settings/cluster-settings.js';
import { canonical } from './settings/read-document.js';
import { versionOf } from './settings/render-cluster.js';
import { hasJoined, planProcesses } from './update-plan.js';

const EVENTS: Readonly<Record<ClusterEventName, EventDefinition<ClusterSummary>>> = {
  updated: clusterUpdated,
  'disabling-started': clusterDisablingStarted,
  disabled: clusterDisabled,
  'enabling-started': clusterEnablingStarted,
  enabled: clusterEnabled,
  'deletion-started': clusterDeletionStarted,
  deleted: clusterDeleted,
};

/**
 * A cluster that is under way is looked at again after this time although nobody reported anything: silence is a fact too (a host that is not heard of,
 * a phase that takes too long). Observations bring everything else at once, so this is no part of how fast a cluster stops or starts.
 */
const LOOK_AGAIN_MS = 5_000;
/** A disabled cluster has nothing to do; only a host that fell silent or a process started by hand is news. */
const LOOK_AGAIN_DISABLED_MS = 30_000;
/** A process that is held for a backup is let go of without a word of it in a report that is lost with its agent. Half of what it may last. */
const LOOK_AGAIN_HELD_MS = HELD_GRACE_MS / 2;

/** What became of a cluster that was looked at. `gone`: deleted, or never there. */
export type Advance =
  | { readonly outcome: 'gone' }
  | { readonly outcome: 'refused'; readonly code: ClusterRefusal }
  | { readonly outcome: 'advanced'; readonly cluster: Cluster };

/** What a cluster's state and wishes order its processes to be. */
export const orderOf = (cluster: Cluster): ClusterOrder => ({
  state: cluster.state,
  disabledReason: cluster.disabledReason,
  paused: cluster.settings.paused,
});

/** The cluster as the goals of its processes need it. */
export const definitionOf = (cluster: Cluster, access: SealedAccess): ClusterDefinition => ({
  id: cluster.id,
  name: cluster.name,
  clusterType: cluster.settings.clusterType,
  encryptionAtRestProvider: cluster.settings.encryptionAtRestProvider,
  access,
});

/** The state of a cluster as other services may remember it. */
export function summaryOf(cluster: Cluster, processes: readonly StoredProcess[]): ClusterSummary {
  return {
    id: cluster.id,
    projectId: cluster.projectId,
    name: cluster.name,
    clusterType: cluster.settings.clusterType,
    state: cluster.state,
    disabledReason: cluster.disabledReason,
    encryptionAtRestProvider: cluster.settings.encryptionAtRestProvider,
    backupEnabled: cluster.settings.backupEnabled,
    paused: cluster.settings.paused,
    retainBackups: cluster.settings.retainBackups,
    mongoDBVersion: versionOf(cluster, processes),
    processes: processes.map(({ id, hostId, hostname, port, kind, replicaSet }) => ({ id, hostId, hostname, port, kind, replicaSet })),
    createdAt: cluster.createdAt.toISOString(),
    deletedAt: cluster.deletedAt?.toISOString() ?? null,
    revision: cluster.revision,
  };
}

/** A cluster on its way through one look. */
interface Draft {
  cluster: Cluster;
  processes: StoredProcess[];
  readonly before: Cluster;
  readonly moves: { readonly from: Cluster['state']; readonly to: Cluster['state']; readonly fact: ClusterFact }[];
  readonly events: { readonly name: ClusterEventName; readonly cluster: Cluster }[];
}

/**
 * Takes clusters from state to state. Every change of a cluster goes through {@link ClusterLifecycle.advance}, whether a request, an event, an observation
 * or time is the cause, so that a cluster is always judged by everything that is known: the fact at hand, the key configuration, the observations.
 */
export class ClusterLifecycle {
  private readonly listeningSince: Date;

  constructor(
    private readonly parts: {
      readonly publisher: EventPublisher;
      readonly clock: Clock;
      readonly logger: Logger;
      readonly access: ClusterAccess;
    },
  ) {
    this.listeningSince = parts.clock.now();
  }

  /**
   * Applies a fact (none: only looks), then what the key configuration says, gives the orders that follow, and then applies what was observed. Idempotent:
   * looking twice writes once.
   */
  async advance(tx: Transaction, clusterId: string, fact?: ClusterFact, change: ClusterChange = {}): Promise<Advance> {
    const now = this.parts.clock.now();
    const cluster = await lockCluster(tx, clusterId);
    if (cluster === undefined) return { outcome: 'gone' };
    const query = inTransaction(tx);
    const processes = (await processesOf(query, [clusterId])).get(clusterId) ?? [];
    const draft: Draft = { cluster, processes, before: cluster, moves: [], events: [] };

    if (fact !== undefined) {
      const refused = this.apply(draft, fact, change, now);
      if (refused !== null) return { outcome: 'refused', code: refused };
    }
    const key = keyFact(await findKeyConfiguration(query, draft.cluster.projectId, draft.cluster.settings.encryptionAtRestProvider), now);
    if (key !== null) this.apply(draft, key, {}, now);
    await this.settleChanges(tx, draft, now);
    await this.giveOrders(tx, draft, now);
    const observed = observedFact(orderOf(draft.cluster), draft.processes, now);
    if (observed !== null) this.apply(draft, observed, {}, now);
    await this.write(tx, draft, now);
    if (draft.moves.length > 0) await endCopies(this.parts, tx, draft.cluster);
    await this.raiseConcerns(tx, draft, now);
    return { outcome: 'advanced', cluster: draft.cluster };
  }

  private apply(draft: Draft, fact: ClusterFact, change: ClusterChange, now: Date): ClusterRefusal | null {
    const decision = decide(draft.cluster.state, fact);
    if (decision.outcome === 'refused') return decision.code;
    if (decision.outcome === 'ignored') return null;
    let next: Cluster = { ...draft.cluster, state: decision.to, revision: draft.cluster.revision + 1 };
    if (decision.outcome === 'moved') {
      next = { ...next, stateSince: now };
      draft.moves.push({ from: draft.cluster.state, to: decision.to, fact });
    }
    for (const effect of decision.effects) {
      switch (effect) {
        case 'remember-reason':
          if (fact.kind === 'key-invalid') next = { ...next, disabledReason: fact.reason };
          break;
        case 'forget-reason':
          next = { ...next, disabledReason: null };
          break;
        case 'apply-change':
          next = { ...next, settings: { ...next.settings, ...change } };
          break;
        case 'keep-change-pending': {
          const { now: atOnce, later } = splitChange(change);
          const pending = { ...next.pendingChanges, ...later };
          next = {
            ...next,
            settings: { ...next.settings, ...atOnce },
            pendingChanges: Object.keys(pending).length === 0 ? null : pending,
          };
          break;
        }
        case 'apply-pending-changes':
          next = { ...next, settings: { ...next.settings, ...next.pendingChanges }, pendingChanges: null };
          break;
        case 'mark-deleted':
          next = { ...next, deletedAt: now };
          break;
      }
    }
    draft.cluster = next;
    if (decision.event !== null) draft.events.push({ name: decision.event, cluster: next });
    return null;
  }

  /** Notes which processes have arrived in the cluster, and lets go of the ones that have left it. */
  private async settleChanges(tx: Transaction, draft: Draft, now: Date): Promise<void> {
    const { processes } = draft;
    const joined = processes.filter((process) => process.joining && hasJoined(process, processes, now)).map((process) => process.id);
    const left = draft.cluster.state === 'DELETING' ? [] : processes.filter((process) => process.leaving && isRemoved(process));
    if (joined.length > 0) await markJoined(tx, joined);
    if (left.length > 0) {
      await retireProcesses(
        tx,
        left.map((process) => process.id),
        now,
      );
      await moveGoals(
        tx,
        left.map((process) => process.hostId),
        now,
      );
      this.parts.logger.info({ clusterId: draft.cluster.id, processes: left.map(addressOf) }, 'processes have left a cluster');
    }
    draft.processes = processes
      .filter((process) => !left.includes(process))
      .map((process) => (joined.includes(process.id) ? { ...process, joining: false } : process));
  }

  /** Gives agents the goals that follow from the state. A goal that is the same moves nothing. */
  private async giveOrders(tx: Transaction, draft: Draft, now: Date): Promise<void> {
    const orders = planProcesses(orderOf(draft.cluster), draft.processes, now);
    const ordered = draft.processes.map((process) => ({ ...process, desired: orders.get(process.id)?.desired ?? process.desired }));
    const hostIds = draft.processes.map((process) => process.hostId);
    const definition = definitionOf(draft.cluster, await this.parts.access.sealedFor(tx, draft.cluster, hostIds));
    const changed = draft.processes.flatMap((process) => {
      const order = orders.get(process.id) ?? { desired: process.desired, reason: process.goal.reason, mayStart: true, yields: false };
      const goal = processGoal(definition, ordered, process, order);
      if (canonical(goal) === canonical(process.goal)) return [];
      const desiredSince = order.desired === process.desired ? process.desiredSince : now;
      const yieldsSince = order.yields ? (process.yieldsSince ?? now) : null;
      return [{ ...process, goal, desired: order.desired, desiredSince, yieldsSince }];
    });
    if (changed.length === 0) return;
    const versions = await moveGoals(
      tx,
      changed.map((process) => process.hostId),
      now,
    );
    for (const process of changed) {
      const moved: StoredProcess = { ...process, goalVersion: versions.get(process.hostId) ?? process.goalVersion };
      await writeProcessGoal(tx, moved);
      draft.processes = draft.processes.map((each) => (each.id === moved.id ? moved : each));
    }
  }

  private async write(tx: Transaction, draft: Draft, now: Date): Promise<void> {
    const { before, cluster, processes } = draft;
    const reconcileAt = this.reconcileAt(draft, now);
    await writeCluster(tx, before, cluster, reconcileAt);
    for (const move of draft.moves) {
      await addHistory(tx, { clusterId: cluster.id, at: now, ...move });
      this.parts.logger.info(
        { clusterId: cluster.id, cluster: cluster.name, from: move.from, to: move.to, fact: move.fact.kind },
        'a cluster changed its state',
      );
    }
    if (cluster.deletedAt !== null) {
      await this.parts.access.forget(tx, cluster.id);
      await retireProcesses(
        tx,
        processes.map((process) => process.id),
        now,
      );
      await moveGoals(
        tx,
        processes.map((process) => process.hostId),
        now,
      );
    }
    for (const event of draft.events) await this.parts.publisher.publish(tx, EVENTS[event.name], summaryOf(event.cluster, processes));
  }

  private reconcileAt({ cluster, processes }: Draft, now: Date): Date | null {
    if (cluster.deletedAt !== null) return null;
    if (cluster.state === 'DISABLED') return new Date(now.getTime() + LOOK_AGAIN_DISABLED_MS);
    if (!MOVING_STATES.includes(cluster.state)) return processes.some(isHeld) ? new Date(now.getTime() + LOOK_AGAIN_HELD_MS) : null;
    const limit = nextPhaseLimit(orderOf(cluster), processes, now)?.getTime() ?? Infinity;
    return new Date(Math.min(limit, now.getTime() + LOOK_AGAIN_MS));
  }

  private async raiseConcerns(tx: Transaction, { cluster, processes }: Draft, now: Date): Promise<void> {
    if (cluster.deletedAt !== null) return;
    const ids = processes.map((process) => process.id);
    const query = inTransaction(tx);
    const held = processes.filter(isHeld).map((process) => process.id);
    const copies = held.length === 0 ? new Map() : await copiesOf(query, held);
    const changes = concernChanges(cluster.state, processes, await openConcerns(query, ids), now, this.listeningSince, copies);
    await writeConcerns(tx, changes);
    const summary = summaryOf(cluster, processes);
    for (const { processId, kind, detail, since } of changes.raised) {
      this.parts.logger.warn({ clusterId: cluster.id, cluster: cluster.name, processId, kind }, detail);
      const at = since.toISOString();
      if (kind === 'ENDED_FOR_KEY') {
        await this.parts.publisher.publish(tx, clusterProcessEndedForKey, { cluster: summary, processId, detail, endedAt: at });
      } else {
        await this.parts.publisher.publish(tx, clusterConcernRaised, { cluster: summary, processId, kind, detail, since: at });
      }
    }
  }
}

/** The clusters of a project that use a provider, in the order in which they are locked. */
export async function clustersUsing(tx: Transaction, projectId: string, provider: string): Promise<string[]> {
  const found = await rows<{ id: string }>(
    tx,
    'SELECT id FROM cluster WHERE project_id = $1 AND encryption_at_rest_provider = $2 AND deleted_at IS NULL ORDER BY id',
    [projectId, provider],
  );
  return found.map((row) => row.id);
}
