import type { ClusterDocument } from '@atrest/contracts';
import { clusterNotFound, groupNotFound } from '@atrest/platform-http';
import type { EventPublisher } from '@atrest/platform-messaging';
import type { ServiceDatabase, Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { lockHostsForPlacement, moveGoals } from '../hosts/hosts.repository.js';
import { lockProject } from '../projects/projects.repository.js';
import { inTransaction } from '../query.js';
import { Refusal } from '../refusal.js';
import { isSettled } from './cluster-facts.js';
import type { ClusterAccess } from './cluster-access.js';
import { definitionOf, orderOf, type ClusterLifecycle } from './cluster-lifecycle.js';
import type { ClusterRefusal } from './cluster-state.js';
import type { Cluster, ClusterProcess, ClusterWithProcesses } from './cluster-view.js';
import { changeArguments, insertProcess, lockCluster, markLeaving, processesOf, type StoredProcess } from './clusters.repository.js';
import { targetOf } from './desired-processes.js';
import { changesByName, changesByTopology, changesNothing, NO_CHANGES, shardsOfProcesses, type ProcessChanges } from './process-changes.js';
import { processGoal } from './process-goal.js';
import { accessAfter, bringsSecrets } from './settings/access-settings.js';
import { checkSettings, movesProcesses, sameTopology, type ClusterChange, type ClusterSettings } from './settings/cluster-settings.js';
import { changeOf } from './settings/read-document.js';
import { majorOf, versionOf, wantedSettings } from './settings/render-cluster.js';
import { awaitUsableKey, checkPresentKey, checkUsableKey } from './usable-key.js';

export interface ClustersDependencies {
  readonly database: ServiceDatabase;
  readonly publisher: EventPublisher;
  readonly clock: Clock;
  readonly lifecycle: ClusterLifecycle;
  readonly access: ClusterAccess;
}

/** What the caller of a request may do beyond what its route asks for. */
export interface ClusterRights {
  /** Encryption, and who gets into a cluster, are matters of the project's owner; other settings are not. */
  readonly isOwner: boolean;
}

export const REFUSALS: Readonly<Record<ClusterRefusal, () => Refusal>> = {
  RESTORE_IN_PROGRESS: () =>
    new Refusal('CLUSTER_RESTORE_IN_PROGRESS_CANNOT_UPDATE', 'The cluster cannot be changed while a restore is in progress.'),
  DELETION_ALREADY_REQUESTED: () => new Refusal('CLUSTER_ALREADY_REQUESTED_DELETION', 'The cluster is being deleted already.'),
};

/** @throws {Refusal} ACCESS_FORBIDDEN */
export function checkRights(rights: ClusterRights, what: 'choose the encryption at rest of' | 'let somebody into'): void {
  if (rights.isOwner) return;
  throw new Refusal('ACCESS_FORBIDDEN', `Only a Project Owner may ${what} a cluster.`);
}

export const notFound = (name: string, projectId: string) => clusterNotFound(name.slice(0, 64), projectId);

export const pausedCluster = (name: string): Refusal =>
  new Refusal('CANNOT_UPDATE_PAUSED_CLUSTER', `The cluster ${name} is paused: {"paused": false} alone is the only change it takes.`, [
    name,
  ]);

/** What a request asks for: other settings, other processes, or both. */
interface Asked {
  readonly change: ClusterChange;
  readonly processes: ProcessChanges;
}

/**
 * Changes of clusters that exist. What is accepted is written down as a wish (settings, processes that join or leave, arguments); the lifecycle carries it out
 * step by step. A disabled cluster takes changes too; they wait until it is enabled.
 */
export class ClusterUpdates {
  constructor(private readonly parts: ClustersDependencies) {}

  /** A document that says nothing new changes nothing. @throws {Refusal} */
  async update(before: ClusterWithProcesses, document: ClusterDocument, rights: ClusterRights): Promise<void> {
    const { id, projectId, name } = before.cluster;
    const asked = document.encryptionAtRestProvider;
    const changesProvider = asked != null && asked !== wantedSettings(before.cluster).encryptionAtRestProvider;
    if (changesProvider) {
      checkRights(rights, 'choose the encryption at rest of');
      if (asked !== 'NONE') await awaitUsableKey(this.parts.database, projectId, asked);
    }
    if (bringsSecrets(document)) checkRights(rights, 'let somebody into');
    await this.parts.database.transaction(async (tx) => {
      // The configuration first and the cluster second: the order in which the handler of a configuration's event locks them.
      if (changesProvider) await checkUsableKey(tx, projectId, asked);
      const cluster = await lockCluster(tx, id);
      if (cluster === undefined) throw notFound(name, projectId);
      const processes = (await processesOf(inTransaction(tx), [id])).get(id) ?? [];
      const access = accessAfter({ settings: cluster.settings.access, secret: await this.parts.access.secretOf(tx, id) }, document);
      const { change: other, processes: changes } = await this.read(tx, cluster, processes, document);
      // Who gets in has nothing to do with whether anything runs.
      checkPause({ cluster, processes }, document, { change: other, processes: changes });
      const change: ClusterChange = access === null ? other : { ...other, access: access.settings };
      if (Object.keys(change).length === 0 && changesNothing(changes)) return;
      if (access?.secret) await this.parts.access.store(tx, id, access.secret);
      await this.apply(tx, cluster, processes, changes);
      const moves = movesProcesses(change) || !changesNothing(changes);
      const advance = await this.parts.lifecycle.advance(tx, id, { kind: 'change-accepted', moves }, change);
      if (advance.outcome === 'refused') throw REFUSALS[advance.code]();
      if (advance.outcome === 'gone') throw notFound(name, projectId);
    });
  }

  /** What a document changes, or why it cannot. */
  private async read(tx: Transaction, cluster: Cluster, processes: readonly ClusterProcess[], document: ClusterDocument): Promise<Asked> {
    const wanted: ClusterSettings = wantedSettings(cluster);
    if (document.name != null && document.name !== cluster.name) {
      throw new Refusal('INVALID_CLUSTER_CONFIGURATION', 'The name of a cluster cannot be changed.');
    }
    const change = changeOf(withoutReported(document, versionOf(cluster, processes), wanted), wanted);
    if (change.encryptionAtRestProvider !== undefined)
      await checkPresentKey(tx, cluster.projectId, cluster.settings.encryptionAtRestProvider);
    const asked = document.selfManaged?.processes;
    const resizes = change.shards !== undefined && !sameTopology(change.shards, wanted.shards);
    if (!resizes && asked == null) return { change, processes: NO_CHANGES };
    const project = await lockProject(tx, cluster.projectId);
    if (project === undefined) throw groupNotFound(cluster.projectId);
    const now = this.parts.clock.now();
    const hosts = await lockHostsForPlacement(tx, project.orgId, now);
    const changed = { id: cluster.id, name: cluster.name, clusterType: wanted.clusterType, processes, access: wanted.access };
    const named = asked == null ? NO_CHANGES : changesByName(changed, asked, hosts);
    const renames = named.added.length > 0 || named.leaving.length > 0;
    if (resizes && renames) {
      throw new Refusal(
        'INVALID_CLUSTER_CONFIGURATION',
        'Change either the number of nodes and shards or the list selfManaged.processes, not both in one request.',
      );
    }
    if (resizes) {
      const sized = changesByTopology(changed, change.shards ?? wanted.shards, hosts, now);
      return { change, processes: { ...sized, rearranged: named.rearranged } };
    }
    if (!renames) return { change, processes: named };
    const remaining = processes.filter((process) => !process.leaving && !named.leaving.includes(process.id));
    const shards = shardsOfProcesses(change.shards ?? wanted.shards, [...remaining, ...named.added]);
    checkSettings({ ...wanted, ...change, shards });
    return { change: sameTopology(shards, wanted.shards) ? change : { ...change, shards }, processes: named };
  }

  private async apply(tx: Transaction, cluster: Cluster, processes: readonly StoredProcess[], changes: ProcessChanges): Promise<void> {
    const now = this.parts.clock.now();
    if (changes.leaving.length > 0) await markLeaving(tx, changes.leaving);
    for (const { id, extraArguments } of changes.rearranged) await changeArguments(tx, id, extraArguments);
    if (changes.added.length === 0) return;
    const desired = targetOf(orderOf(cluster));
    const added = changes.added.map((process) => ({ ...process, desired, leaving: false, lost: false, argumentsVersion: 0 }));
    const versions = await moveGoals(
      tx,
      added.map((process) => process.hostId),
      now,
    );
    const hostIds = [...processes, ...added].map((process) => process.hostId);
    const definition = definitionOf(cluster, await this.parts.access.sealedFor(tx, cluster, hostIds));
    for (const process of added) {
      const order = { desired, reason: null, mayStart: true, yields: false };
      const goal = processGoal(definition, [...processes, ...added], process, order);
      await insertProcess(tx, cluster.id, process, { goal, goalVersion: versions.get(process.hostId) ?? 1, now });
    }
  }
}

/** States in which a cluster can be paused: it runs and nothing is under way, or it is stopped anyhow. */
const PAUSABLE: readonly Cluster['state'][] = ['IDLE', 'DISABLING', 'DISABLED'];

/** The rules of Atlas around pausing. @throws {Refusal} */
function checkPause({ cluster, processes }: ClusterWithProcesses, document: ClusterDocument, { change, processes: changes }: Asked): void {
  const { name } = cluster;
  const { paused, ...rest } = change;
  const asksMore = Object.keys(rest).length > 0 || !changesNothing(changes);
  if (wantedSettings(cluster).paused) {
    if (asksMore) throw pausedCluster(name);
    const isBarePause = document.paused === true && Object.values(document).filter((value) => value != null).length === 1;
    if (isBarePause) throw new Refusal('CLUSTER_ALREADY_PAUSED', `The cluster ${name} is paused already.`, [name]);
    return;
  }
  if (paused !== true) return;
  if (asksMore) {
    throw new Refusal('CANNOT_UPDATE_AND_PAUSE_CLUSTER', `The cluster ${name} cannot be changed and paused by one request.`, [name]);
  }
  if (!PAUSABLE.includes(cluster.state) || cluster.pendingChanges !== null || !isSettled(processes)) {
    throw new Refusal(
      'CANNOT_PAUSE_CLUSTER_WITH_PENDING_CHANGES',
      `The cluster ${name} cannot be paused while changes are pending: wait until it is IDLE.`,
      [name],
    );
  }
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
