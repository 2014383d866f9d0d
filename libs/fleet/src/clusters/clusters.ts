import {
  clusterCreated,
  newObjectId,
  type ClusterDocument,
  type EncryptionAtRestProvider,
  type KeyConfigurationState,
  type ProcessArgs,
} from '@atrest/contracts';
import { clusterNotFound, groupNotFound } from '@atrest/platform-http';
import type { EventPublisher } from '@atrest/platform-messaging';
import { awaitProjection, type ServiceDatabase, type Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { lockHostsForPlacement, moveGoals } from '../hosts/hosts.repository.js';
import { findKeyConfiguration } from '../projections/key-configurations.js';
import { lockProject } from '../projects/projects.repository.js';
import { inTransaction, onDatabase } from '../query.js';
import { Refusal } from '../refusal.js';
import { summaryOf, type ClusterLifecycle } from './cluster-lifecycle.js';
import type { ClusterRefusal } from './cluster-state.js';
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
import { desiredProcesses } from './desired-processes.js';
import { namedProcesses } from './named-processes.js';
import { NoRoomError, place } from './placement.js';
import { processGoal, type ProcessDefinition } from './process-goal.js';
import type { ProcessView } from './process-view.js';
import {
  checkClusterName,
  membersOf,
  movesProcesses,
  sameTopology,
  type ClusterChange,
  type ClusterSettings,
} from './settings/cluster-settings.js';
import { changeOf, settingsOfNew } from './settings/read-document.js';
import { majorOf, versionOf, wantedSettings } from './settings/render-cluster.js';
import { maskArguments } from './settings/render-self-managed.js';
import { usageBetween, type ProcessUsage, type UsagePeriod } from './usage.js';

export interface ClustersDependencies {
  readonly database: ServiceDatabase;
  readonly publisher: EventPublisher;
  readonly clock: Clock;
  readonly lifecycle: ClusterLifecycle;
}

/** What the caller of a request may do beyond what its route asks for. */
export interface ClusterRights {
  /** Encryption is a matter of the project's owner; other settings are not. */
  readonly mayChangeEncryption: boolean;
}

const REFUSALS: Readonly<Record<ClusterRefusal, () => Refusal>> = {
  RESTORE_IN_PROGRESS: () =>
    new Refusal('CLUSTER_RESTORE_IN_PROGRESS_CANNOT_UPDATE', 'The cluster cannot be changed while a restore is in progress.'),
  DELETION_ALREADY_REQUESTED: () => new Refusal('CLUSTER_ALREADY_REQUESTED_DELETION', 'The cluster is being deleted already.'),
};

/** The use cases around clusters. */
export class Clusters {
  constructor(private readonly parts: ClustersDependencies) {}

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
    const settings = settingsOfNew(document);
    if (settings.encryptionAtRestProvider !== 'NONE') {
      checkRights(rights);
      await this.awaitUsableKey(projectId, settings.encryptionAtRestProvider);
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
      await this.checkUsableKey(tx, projectId, settings.encryptionAtRestProvider);
      const project = await lockProject(tx, projectId);
      if (project === undefined) throw groupNotFound(projectId);
      if ((await insertCluster(tx, cluster, now)) === 'name-taken') {
        throw new Refusal('DUPLICATE_CLUSTER_NAME', `A cluster named ${name} is already present in group ${projectId}.`, [name, projectId]);
      }
      await addHistory(tx, { clusterId: cluster.id, at: now, from: null, to: 'CREATING', fact: { kind: 'created' } });
      await this.placeProcesses(tx, project.orgId, cluster, document, now);
      const processes = (await processesOf(inTransaction(tx), [cluster.id])).get(cluster.id) ?? [];
      await this.parts.publisher.publish(tx, clusterCreated, summaryOf(cluster, processes));
    });
    return this.find(projectId, name);
  }

  /**
   * Changes a cluster. A document that says nothing new changes nothing. A disabled cluster takes changes too; they wait until it is enabled.
   * @throws {Refusal}
   */
  async update(projectId: string, name: string, document: ClusterDocument, rights: ClusterRights): Promise<ClusterWithProcesses> {
    const before = await this.find(projectId, name);
    if (document.paused === true) throw new Refusal('FEATURE_UNSUPPORTED', 'Clusters that you run yourself cannot be paused.');
    const asked = document.encryptionAtRestProvider;
    const changesProvider = asked != null && asked !== wantedSettings(before.cluster).encryptionAtRestProvider;
    if (changesProvider) {
      checkRights(rights);
      if (asked !== 'NONE') await this.awaitUsableKey(projectId, asked);
    }
    await this.parts.database.transaction(async (tx) => {
      // The configuration first and the cluster second: the order in which the handler of a configuration's event locks them.
      if (changesProvider) await this.checkUsableKey(tx, projectId, asked);
      const cluster = await lockCluster(tx, before.cluster.id);
      if (cluster === undefined) throw notFound(name, projectId);
      const change = await this.checkedChange(tx, cluster, document);
      if (Object.keys(change).length === 0) return;
      const advance = await this.parts.lifecycle.advance(
        tx,
        cluster.id,
        { kind: 'change-accepted', moves: movesProcesses(change) },
        change,
      );
      if (advance.outcome === 'refused') throw REFUSALS[advance.code]();
      if (advance.outcome === 'gone') throw notFound(name, projectId);
    });
    return this.find(projectId, name);
  }

  /** Accepts the deletion of a cluster, in every state. Data is deleted only where Atrest made it. @throws {Refusal} */
  async delete(projectId: string, name: string): Promise<void> {
    const { cluster } = await this.find(projectId, name);
    await this.parts.database.transaction(async (tx) => {
      const locked = await lockCluster(tx, cluster.id);
      if (locked?.settings.terminationProtectionEnabled) {
        throw new Refusal(
          'CANNOT_TERMINATE_CLUSTER_WHEN_TERMINATION_PROTECTION_ENABLED',
          'Cannot terminate a cluster when termination protection is enabled. Disable termination protection and try again.',
        );
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
    const { clusterType, encryptionAtRestProvider, shards } = cluster.settings;
    const named = document.selfManaged?.processes;
    const processes = named != null ? namedProcesses(named, { id: cluster.id, clusterType }, hosts) : placed(cluster, shards, hosts);
    const versions = await moveGoals(
      tx,
      processes.map((process) => process.hostId),
      now,
    );
    // Nothing of a new cluster was ordered yet: its processes begin as stopped, and the first phase of its start is ordered here.
    const views = processes.map((process): ProcessView => ({ ...process, ...NEW_PROCESS, desiredSince: now }));
    const desired = desiredProcesses(cluster, views, now);
    const definition = { id: cluster.id, name: cluster.name, clusterType, encryptionAtRestProvider };
    for (const process of processes) {
      const goal = processGoal(definition, processes, process, desired.get(process.id) ?? { desired: 'stopped', reason: null });
      await insertProcess(tx, cluster.id, process, { goal, goalVersion: versions.get(process.hostId) ?? 1, now });
    }
  }

  /** What a document changes, or why it cannot. */
  private async checkedChange(tx: Transaction, cluster: Cluster, document: ClusterDocument): Promise<ClusterChange> {
    const wanted: ClusterSettings = wantedSettings(cluster);
    if (document.name != null && document.name !== cluster.name) {
      throw new Refusal('INVALID_CLUSTER_CONFIGURATION', 'The name of a cluster cannot be changed.');
    }
    const processes = (await processesOf(inTransaction(tx), [cluster.id])).get(cluster.id) ?? [];
    checkProcesses(processes, document);
    const change = changeOf(withoutReported(document, versionOf(cluster, processes), wanted), wanted);
    if (change.shards !== undefined && !sameTopology(change.shards, wanted.shards)) {
      throw new Refusal('INVALID_CLUSTER_CONFIGURATION', 'The number of shards and nodes of a cluster cannot be changed yet.');
    }
    if (change.encryptionAtRestProvider !== undefined && cluster.settings.encryptionAtRestProvider !== 'NONE') {
      // Neither turned off nor exchanged without a valid key: that would undo what the customer's key protects.
      const configuration = await findKeyConfiguration(inTransaction(tx), cluster.projectId, cluster.settings.encryptionAtRestProvider);
      if (configuration?.state !== 'VALID') throw settingsInvalid(cluster.settings.encryptionAtRestProvider);
    }
    return change;
  }

  /** A configuration that was saved a moment ago may still be on its way to us. */
  private async awaitUsableKey(projectId: string, provider: EncryptionAtRestProvider): Promise<void> {
    await awaitProjection(async () => {
      const configuration = await findKeyConfiguration(onDatabase(this.parts.database), projectId, provider);
      return isUsable(configuration) ? configuration : undefined;
    });
  }

  /**
   * Inside the transaction that makes a cluster use a key. The configuration stays as it is until that is committed, so that whoever makes it invalid
   * afterwards finds the cluster.
   */
  private async checkUsableKey(tx: Transaction, projectId: string, provider: EncryptionAtRestProvider): Promise<void> {
    if (provider === 'NONE') return;
    const configuration = await findKeyConfiguration(inTransaction(tx), projectId, provider, 'FOR SHARE');
    if (configuration === undefined || !configuration.enabled) {
      throw new Refusal(
        'ENCRYPTION_AT_REST_NOT_ENABLED',
        `Encryption at rest with the provider ${provider} is not enabled for group ${projectId}.`,
        [provider, projectId],
      );
    }
    if (!isUsable(configuration)) throw settingsInvalid(provider);
  }
}

const NEW_PROCESS = { desired: 'stopped', goalVersion: 0, observation: null, reportedGoalVersion: null, hostHeardAt: null } as const;

const isUsable = (configuration: KeyConfigurationState | undefined): boolean =>
  configuration !== undefined && configuration.enabled && configuration.state === 'VALID';

const settingsInvalid = (provider: string): Refusal =>
  new Refusal(
    'ENCRYPTION_AT_REST_SETTINGS_INVALID',
    `The encryption at rest settings for ${provider} are invalid: the customer key must be usable before this can be changed.`,
    [provider],
  );

function checkRights(rights: ClusterRights): void {
  if (rights.mayChangeEncryption) return;
  throw new Refusal('ACCESS_FORBIDDEN', 'Only a Project Owner may choose the encryption at rest of a cluster.');
}

/** Processes may come back as they were answered, and not otherwise. */
function checkProcesses(known: readonly ClusterProcess[], document: ClusterDocument): void {
  const asked = document.selfManaged?.processes;
  if (asked == null) return;
  const same = asked.every((process) => {
    const match = known.find(
      (each) => (each.hostId === process.hostId || each.hostname === process.hostname) && each.port === process.port,
    );
    const args = process.extraArguments;
    return match?.kind === process.kind && (args == null || String(args) === String(maskArguments(match.extraArguments)));
  });
  if (same && asked.length === known.length) return;
  throw new Refusal('INVALID_CLUSTER_CONFIGURATION', 'The processes of a cluster cannot be changed yet.', ['selfManaged.processes']);
}

/** The version that the processes report is an answer and no wish: a client that sends it back asks for nothing. */
function withoutReported(document: ClusterDocument, reported: string | null, wanted: ClusterSettings): ClusterDocument {
  const { mongoDBVersion, mongoDBMajorVersion, ...rest } = document;
  return {
    ...rest,
    ...(mongoDBVersion !== reported && { mongoDBVersion }),
    ...((wanted.mongoDBMajorVersion !== null || mongoDBMajorVersion !== majorOf(reported)) && { mongoDBMajorVersion }),
  };
}

const notFound = (name: string, projectId: string) => clusterNotFound(name.slice(0, 64), projectId);

function placed(cluster: Cluster, shards: ClusterSettings['shards'], hosts: Parameters<typeof place>[1]): readonly ProcessDefinition[] {
  try {
    return place(
      { clusterId: cluster.id, clusterName: cluster.name, clusterType: cluster.settings.clusterType, shards: shards.map(membersOf) },
      hosts,
    );
  } catch (error) {
    if (error instanceof NoRoomError) throw new Refusal('INVALID_CLUSTER_CONFIGURATION', error.message, [error.what]);
    throw error;
  }
}
