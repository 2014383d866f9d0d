import type { BackupHealth, ClusterSummary, EventEnvelope, NotificationState, SnapshotState } from '@atrest/contracts';
import type { Logger } from '@atrest/platform-logging';
import type { ServiceDatabase, Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import type { AlertConfigRepository } from '../alerts/alert-config.repository.js';
import type { AlertRepository } from '../alerts/alert.repository.js';
import { BACKUP_ALERT_TYPES, isBackupAlertType, type AlertChange, type BackupAlertType } from '../alerts/alert.js';
import type { NotificationRepository } from '../delivery/notification.repository.js';
import type { Notifier } from '../delivery/notifier.js';
import type { ProjectEventRepository } from '../events/project-event.repository.js';
import type { MailContent } from '../mail/mail-content.js';
import {
  backupsInOrderMessage,
  proofOverdueMessage,
  snapshotFailedMessage,
  snapshotNotProvenMessage,
  snapshotsBehindMessage,
  type BackupMessageFacts,
} from '../messages/backup-messages.js';
import { PAUSE_MS } from '../pause.js';
import { BACKUP_KEEPERS, ProjectUnknownError, type KnownProject, type ProjectProjection } from '../projections/projects.js';
import { afterHealth, afterSnapshot, isTelling, OLD_AFTER_MS, proofAlert, type KnownBackups } from './backup-alerts.js';
import { eventTypesOfSnapshot, HEALTH_EVENT_TYPES, type BackupHealthEventName, type SnapshotEventName } from './backup-event-names.js';
import type { BackedUpCluster, KnownBackupsRepository } from './known-backups.repository.js';

export interface BackupAnnouncementParts {
  readonly database: ServiceDatabase;
  readonly projects: ProjectProjection;
  readonly known: KnownBackupsRepository;
  readonly alerts: AlertRepository;
  readonly alertConfigs: AlertConfigRepository;
  readonly events: ProjectEventRepository;
  readonly notifications: NotificationRepository;
  readonly notifier: Notifier;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly publicUrl: string;
}

/** One transition of the backups of a cluster, while it is handled. */
interface Happening {
  readonly project: KnownProject;
  readonly cluster: BackedUpCluster;
  /** Which transition; a second message of the same has no effect. */
  readonly cause: string;
}

interface Trouble {
  readonly kind: NotificationState['kind'];
  /** The alert that it belongs to. */
  readonly alert: BackupAlertType;
  readonly content: MailContent;
}

/** What follows from events about snapshots for alerts, the project's events and messages. */
export class BackupAnnouncements {
  constructor(private readonly parts: BackupAnnouncementParts) {}

  async ofSnapshot(tx: Transaction, name: SnapshotEventName, event: EventEnvelope<SnapshotState>): Promise<void> {
    const { data: snapshot } = event;
    const eventTypes = eventTypesOfSnapshot(name, snapshot);
    if (eventTypes.length === 0) return;
    const cluster = { id: snapshot.clusterId, projectId: snapshot.projectId, name: snapshot.clusterName };
    const project = await this.projectOf(tx, snapshot.projectId);
    if (project === null) return;
    const { known, events } = this.parts;
    const before = await known.lock(tx, cluster);
    if ((await events.revisionOf(tx, snapshot.id)) >= snapshot.revision) return this.knownAlready(event);
    const at = new Date(event.time);
    const source = { id: snapshot.id, projectId: snapshot.projectId, clusterName: snapshot.clusterName, revision: snapshot.revision };
    for (const eventType of eventTypes) await events.add(tx, source, eventType, at);
    const proof = snapshot.proofFailure !== null && snapshot.deletedAt === null ? 'failed' : 'fine';
    const unproven = await known.noteProof(tx, cluster.id, snapshot.id, proof);
    const consequence = afterSnapshot(name, snapshot, at, before);
    const happening = { project, cluster, cause: `snapshot/${snapshot.id}/${snapshot.revision}` };
    await this.carryOut(tx, happening, consequence.known, [...consequence.alerts, proofAlert(unproven, at)], (facts) =>
      snapshotTrouble(name, snapshot, at, facts),
    );
  }

  async ofHealth(tx: Transaction, name: BackupHealthEventName, event: EventEnvelope<BackupHealth>): Promise<void> {
    const { data: health } = event;
    const cluster = { id: health.id, projectId: health.projectId, name: health.clusterName };
    const project = await this.projectOf(tx, health.projectId);
    if (project === null) return;
    const { known, events } = this.parts;
    const before = await known.lock(tx, cluster);
    if (before.healthRevision >= health.revision) return this.knownAlready(event);
    const at = new Date(event.time);
    const source = { id: `health/${health.id}`, projectId: health.projectId, clusterName: health.clusterName, revision: health.revision };
    await events.add(tx, source, HEALTH_EVENT_TYPES[name], at);
    const consequence = afterHealth(name, health, at, before);
    const happening = { project, cluster, cause: `backup-health/${health.id}/${health.revision}` };
    await this.carryOut(tx, happening, consequence.known, consequence.alerts, (facts) => {
      if (name === 'fell-behind' && consequence.known.behindSince !== null) {
        const content = snapshotsBehindMessage(facts, consequence.known.behindSince, false);
        return { kind: 'SNAPSHOTS_BEHIND', alert: 'CPS_SNAPSHOT_BEHIND', content };
      }
      if (name !== 'proof-overdue') return null;
      const oldest = health.oldestProof === null ? null : new Date(health.oldestProof.provenAt);
      return { kind: 'SNAPSHOT_PROOF_OVERDUE', alert: 'CPS_SNAPSHOT_PROOF_OVERDUE', content: proofOverdueMessage(facts, oldest) };
    });
  }

  /** With the cluster, or its backups, what was wrong with them ends as well. */
  async ofCluster(tx: Transaction, cluster: ClusterSummary): Promise<void> {
    if (cluster.backupEnabled && cluster.deletedAt === null) return;
    const { known, alerts, clock } = this.parts;
    await known.forget(tx, cluster.id);
    for (const eventType of BACKUP_ALERT_TYPES) await alerts.apply(tx, cluster, { change: 'cancel', eventType }, clock.now());
  }

  /** Says again what is overdue for long. */
  async remind(): Promise<void> {
    while ((await this.remindOfNext()) === 'reminded');
  }

  private remindOfNext(): Promise<'reminded' | 'none'> {
    const { database, known, projects, clock } = this.parts;
    return database.transaction(async (tx) => {
      const now = clock.now();
      const behind = await known.behindWithoutAlert(tx, new Date(now.getTime() - OLD_AFTER_MS), 'CPS_PREV_SNAPSHOT_OLD');
      const since = behind?.known.behindSince ?? null;
      if (behind === null || since === null) return 'none';
      const project = await projects.find(tx, behind.cluster.projectId);
      if (project === null || project.deletedAt !== null) {
        await known.forget(tx, behind.cluster.id);
        return 'reminded';
      }
      const happening = { project, cluster: behind.cluster, cause: `snapshots-old/${behind.cluster.id}/${since.toISOString()}` };
      const opened: AlertChange = { change: 'open', eventType: 'CPS_PREV_SNAPSHOT_OLD', since: now };
      await this.carryOut(tx, happening, behind.known, [opened], (facts) => ({
        kind: 'SNAPSHOTS_BEHIND',
        alert: 'CPS_PREV_SNAPSHOT_OLD',
        content: snapshotsBehindMessage(facts, since, true),
      }));
      return 'reminded';
    });
  }

  private async carryOut(
    tx: Transaction,
    happening: Happening,
    known: KnownBackups,
    changes: readonly AlertChange[],
    troubleOf: (facts: BackupMessageFacts) => Trouble | null,
  ): Promise<void> {
    const { alerts, alertConfigs, clock, publicUrl } = this.parts;
    const { project, cluster } = happening;
    await alertConfigs.ensure(tx, project.id, BACKUP_ALERT_TYPES, clock.now());
    const disabled = await alertConfigs.disabled(tx, project.id);
    const source = { id: cluster.id, projectId: cluster.projectId, clusterName: cluster.name };
    for (const change of changes) {
      if (change.change === 'open' && disabled.has(change.eventType)) continue;
      await alerts.apply(tx, source, change, clock.now());
    }
    const facts = { project, clusterName: cluster.name, lastSuccessAt: known.lastSuccessAt, publicUrl };
    const trouble = troubleOf(facts);
    const told = (trouble !== null && (await this.tellTrouble(tx, happening, trouble))) || known.told;
    const over = told && !(await alerts.openOf(tx, cluster.id)).some(({ eventType }) => isBackupAlertType(eventType));
    if (over) await this.tell(tx, happening, { kind: 'BACKUPS_IN_ORDER', content: backupsInOrderMessage(facts, clock.now()) }, null);
    await this.parts.known.write(tx, cluster, { ...known, told: told && !over });
  }

  /** Whether somebody is told of it, now or within the last day. */
  private async tellTrouble(tx: Transaction, happening: Happening, trouble: Trouble): Promise<boolean> {
    const { alerts, notifications, clock, logger } = this.parts;
    const now = clock.now();
    const facts = { cause: happening.cause, projectId: happening.project.id, alertType: trouble.alert };
    const alert = (await alerts.openOf(tx, happening.cluster.id)).find(({ eventType }) => eventType === trouble.alert);
    if (alert === undefined) {
      logger.info(facts, 'over already, or the project does not want to hear of it; no message');
      return false;
    }
    if (alert.acknowledgedUntil !== null && alert.acknowledgedUntil > now) {
      logger.info(facts, 'somebody knows of it; no message');
      return false;
    }
    // One alert is one trouble, however many snapshots it hits.
    if (await notifications.mayTell(tx, `${trouble.alert}/${alert.id}`, now, PAUSE_MS)) await this.tell(tx, happening, trouble, alert.id);
    else logger.info(facts, 'told within the last day; no further message');
    return true;
  }

  private async tell(
    tx: Transaction,
    { project, cause }: Happening,
    { kind, content }: Pick<Trouble, 'kind' | 'content'>,
    alertId: string | null,
  ): Promise<void> {
    await this.parts.notifier.announce(tx, { cause: `${cause}/${kind}`, kind, project, alertId, content, audience: BACKUP_KEEPERS });
  }

  /** Null when it is deleted. */
  private async projectOf(tx: Transaction, projectId: string): Promise<KnownProject | null> {
    const project = await this.parts.projects.find(tx, projectId);
    if (project === null) throw new ProjectUnknownError(projectId);
    return project.deletedAt === null ? project : null;
  }

  private knownAlready({ id, type }: EventEnvelope): void {
    this.parts.logger.debug({ eventId: id, type }, 'this or a newer event is known');
  }
}

function snapshotTrouble(name: SnapshotEventName, snapshot: SnapshotState, at: Date, facts: BackupMessageFacts): Trouble | null {
  if (name === 'failed' && isTelling(snapshot)) {
    return { kind: 'SNAPSHOT_FAILED', alert: 'CPS_SNAPSHOT_FAILED', content: snapshotFailedMessage(facts, snapshot, at) };
  }
  if (name !== 'proof-failed') return null;
  return { kind: 'SNAPSHOT_NOT_PROVEN', alert: 'CPS_SNAPSHOT_PROOF_FAILED', content: snapshotNotProvenMessage(facts, snapshot, at) };
}
