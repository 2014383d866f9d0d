import { clusterCreated, newObjectId, type ClusterDocument, type ProcessArgs } from '@atrest/contracts';
import { groupNotFound } from '@atrest/platform-http';
import type { Transaction } from '@atrest/platform-persistence';
import { lockHostsForPlacement, moveGoals } from '../hosts/hosts.repository.js';
import { lockProject } from '../projects/projects.repository.js';
import { inTransaction, onDatabase } from '../query.js';
import { Refusal } from '../refusal.js';
import { definitionOf, orderOf, summaryOf } from './cluster-lifecycle.js';
import {
  checkRights,
  ClusterUpdates,
  notFound,
  pausedCluster,
  REFUSALS,
  type ClusterRights,
  type ClustersDependencies,
} from './cluster-updates.js';
import type { Cluster, ClusterProcess, ClusterWithProcesses } from './cluster-view.js';
import {
  addHistory,
  findCluster,
  insertCluster,
  insertProcess,
  listClusters,
  lockCluster,
  processesOf,
  writeCluster,
} from './clusters.repository.js';
import { namedProcesses } from './named-processes.js';
import { NoRoomError, place, type PlacementHost } from './placement.js';
import { processGoal, type ProcessDefinition } from './process-goal.js';
import { accessOfNew, bringsSecrets } from './settings/access-settings.js';
import { checkClusterName, membersOf, type ClusterSettings } from './settings/cluster-settings.js';
import { settingsOfNew } from './settings/read-document.js';
import { wantedSettings } from './settings/render-cluster.js';
import { checkSealable, placeable } from './sealable-hosts.js';
import { planProcesses } from './update-plan.js';
import { awaitUsableKey, checkUsableKey } from './usable-key.js';
import { usageBetween, type ProcessUsage, type UsagePeriod } from './usage.js';

/** The use cases around clusters. */
export class Clusters {
  private readonly updates: ClusterUpdates;

  constructor(private readonly parts: ClustersDependencies) {
    this.updates = new ClusterUpdates(parts);
  }

  /** @throws {ApiError} CLUSTER_NOT_FOUND */
  async find(projectId: string, name: string): Promise<ClusterWithProcesses> {
    const found = await findCluster(onDatabase(this.parts.database), projectId, name);
    if (found === undefined) throw notFound(name, projectId);
    return found;
  }

  list(
    projectId: string,
    slice: { readonly offset: number; readonly limit: number },
  ): Promise<{ clusters: ClusterWithProcesses[]; total: number }> {
    return listClusters(onDatabase(this.parts.database), projectId, slice);
  }

  /** Accepts a cluster: places its processes, or takes the ones that are named, and has them started. @throws {Refusal} */
  async create(projectId: string, document: ClusterDocument, rights: ClusterRights): Promise<ClusterWithProcesses> {
    const { name } = document;
    if (name == null) throw new Refusal('MISSING_ATTRIBUTE', 'The required attribute name was not specified.', ['name']);
    checkClusterName(name);
    if (document.paused === true) throw new Refusal('CANNOT_CREATE_PAUSED_CLUSTER', 'A cluster cannot be created paused.');
    if (bringsSecrets(document)) checkRights(rights, 'let somebody into');
    const access = accessOfNew(document);
    const settings = { ...settingsOfNew(document), access: access.settings };
    if (settings.encryptionAtRestProvider !== 'NONE') {
      checkRights(rights, 'choose the encryption at rest of');
      await awaitUsableKey(this.parts.database, projectId, settings.encryptionAtRestProvider);
    }
    const now = this.parts.clock.now();
    const cluster: Cluster = {
      id: newObjectId(now),
      projectId,
      name,
      state: 'CREATING',
      stateSince: now,
      disabledReason: null,
      settings,
      pendingChanges: null,
      processArgs: {},
      createdAt: now,
      deletedAt: null,
      revision: 1,
    };
    await this.parts.database.transaction(async (tx) => {
      await checkUsableKey(tx, projectId, settings.encryptionAtRestProvider);
      const project = await lockProject(tx, projectId);
      if (project === undefined) throw groupNotFound(projectId);
      if ((await insertCluster(tx, cluster, now)) === 'name-taken') {
        throw new Refusal('DUPLICATE_CLUSTER_NAME', `A cluster named ${name} is already present in group ${projectId}.`, [name, projectId]);
      }
      await addHistory(tx, { clusterId: cluster.id, at: now, from: null, to: 'CREATING', fact: { kind: 'created' } });
      if (access.secret !== null) await this.parts.access.store(tx, cluster.id, access.secret);
      await this.placeProcesses(tx, project.orgId, cluster, document, now);
      const processes = (await processesOf(inTransaction(tx), [cluster.id])).get(cluster.id) ?? [];
      await this.parts.publisher.publish(tx, clusterCreated, summaryOf(cluster, processes));
    });
    return this.find(projectId, name);
  }

  /** Changes a cluster, see {@link ClusterUpdates}. @throws {Refusal} */
  async update(projectId: string, name: string, document: ClusterDocument, rights: ClusterRights): Promise<ClusterWithProcesses> {
    const before = await this.find(projectId, name);
    await this.updates.update(before, document, rights);
    return this.find(projectId, name);
  }

  /** Accepts the deletion of a cluster, in every state. Data is deleted only where Atrest made it; snapshots unless they are to be kept. @throws {Refusal} */
  async delete(projectId: string, name: string, o: { readonly retainBackups: boolean }): Promise<void> {
    const { cluster } = await this.find(projectId, name);
    await this.parts.database.transaction(async (tx) => {
      const locked = await lockCluster(tx, cluster.id);
      if (locked?.settings.terminationProtectionEnabled) {
        throw new Refusal(
          'CANNOT_TERMINATE_CLUSTER_WHEN_TERMINATION_PROTECTION_ENABLED',
          'Cannot terminate a cluster when termination protection is enabled. Disable termination protection and try again.',
        );
      }
      // Also what waits until the cluster is enabled: it never will be.
      if (locked !== undefined && !locked.settings.retainBackups && (o.retainBackups || wantedSettings(locked).retainBackups)) {
        const settings = { ...locked.settings, retainBackups: true };
        await writeCluster(tx, locked, { ...locked, settings, revision: locked.revision + 1 }, this.parts.clock.now());
      }
      const advance = await this.parts.lifecycle.advance(tx, cluster.id, { kind: 'deletion-accepted' });
      if (advance.outcome === 'gone') throw notFound(name, projectId);
      if (advance.outcome === 'refused') throw REFUSALS[advance.code]();
    });
  }

  /** Stores arguments for a cluster's processes. They are kept and answered; the agents of this release do not apply them. */
  async changeProcessArgs(projectId: string, name: string, args: ProcessArgs): Promise<Cluster> {
    const { cluster } = await this.find(projectId, name);
    return this.parts.database.transaction(async (tx) => {
      const locked = await lockCluster(tx, cluster.id);
      if (locked === undefined) throw notFound(name, projectId);
      if (locked.settings.paused) throw pausedCluster(name);
      const next: Cluster = { ...locked, processArgs: { ...locked.processArgs, ...args }, revision: locked.revision + 1 };
      await writeCluster(tx, locked, next, this.parts.clock.now());
      return next;
    });
  }

  /** Process hours of a cluster; also while it is disabled. */
  async usage(
    projectId: string,
    name: string,
    window: { readonly from: Date | null; readonly to: Date | null },
  ): Promise<{
    readonly cluster: Cluster;
    readonly from: Date;
    readonly to: Date;
    readonly processes: readonly ProcessUsage[];
    readonly totalHours: number;
  }> {
    const { cluster } = await this.find(projectId, name);
    const from = window.from ?? cluster.createdAt;
    const to = window.to ?? this.parts.clock.now();
    const periods = await this.parts.database.query<{
      process_id: string;
      hostname: string;
      kind: string;
      started_at: Date;
      ended_at: Date | null;
    }>(
      `SELECT usage_period.*, process.kind, host.hostname FROM usage_period
         JOIN process ON process.id = usage_period.process_id JOIN host ON host.id = process.host_id
        WHERE usage_period.cluster_id = $1 ORDER BY usage_period.started_at, process.id`,
      [cluster.id],
    );
    const known = periods.map((row): UsagePeriod => ({
      processId: row.process_id,
      hostname: row.hostname,
      kind: row.kind,
      startedAt: row.started_at,
      endedAt: row.ended_at,
    }));
    return { cluster, from, to, ...usageBetween(known, from, to) };
  }

  private async placeProcesses(tx: Transaction, orgId: string, cluster: Cluster, document: ClusterDocument, now: Date): Promise<void> {
    const hosts = await lockHostsForPlacement(tx, orgId, now);
    const { clusterType, shards, access } = cluster.settings;
    const named = document.selfManaged?.processes;
    const processes = named != null ? namedProcesses(named, { id: cluster.id, clusterType }, hosts) : placed(cluster, shards, hosts);
    checkSealable(access, processes, hosts);
    const versions = await moveGoals(
      tx,
      processes.map((process) => process.hostId),
      now,
    );
    // Nothing of a new cluster was ordered yet: its processes begin as stopped, and the first phase of its start is ordered here.
    const views = processes.map((process): ClusterProcess => ({ ...process, ...NEW_PROCESS, desiredSince: now }));
    const orders = planProcesses(orderOf(cluster), views, now);
    const hostIds = processes.map((process) => process.hostId);
    const definition = definitionOf(cluster, await this.parts.access.sealedFor(tx, cluster, hostIds));
    for (const process of views) {
      const goal = processGoal(definition, views, process, orders.get(process.id) ?? STOPPED);
      await insertProcess(tx, cluster.id, process, { goal, goalVersion: versions.get(process.hostId) ?? 1, now });
    }
  }
}

const STOPPED = { desired: 'stopped', reason: null, mayStart: true, yields: false } as const;

const NEW_PROCESS = {
  desired: 'stopped',
  goalVersion: 0,
  observation: null,
  reportedGoalVersion: null,
  hostHeardAt: null,
  joining: false,
  leaving: false,
  lost: false,
  yieldsSince: null,
  argumentsVersion: 0,
} as const;

function placed(cluster: Cluster, shards: ClusterSettings['shards'], all: readonly PlacementHost[]): readonly ProcessDefinition[] {
  const hosts = placeable(cluster.settings.access, all);
  try {
    return place(
      { clusterId: cluster.id, clusterName: cluster.name, clusterType: cluster.settings.clusterType, shards: shards.map(membersOf) },
      hosts,
    );
  } catch (error) {
    if (error instanceof NoRoomError) {
      const others =
        all.length === hosts.length
          ? ''
          : ` ${all.length - hosts.length} more have an agent of a release without a sealing key: update it.`;
      throw new Refusal('INVALID_CLUSTER_CONFIGURATION', `${error.message}${others}`, [error.what]);
    }
    throw error;
  }
}
