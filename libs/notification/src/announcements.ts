import type { ClusterConcern, EventEnvelope, KeyConfigurationState, ProcessEndedForKey, ProjectRole } from '@atrest/contracts';
import type { Logger } from '@atrest/platform-logging';
import type { Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import {
  alertChanges,
  alertTypeOf,
  alertTypesOf,
  type Alert,
  type AlertEventType,
  type KeyConfigurationEventName,
} from './alerts/alert.js';
import type { AlertConfigRepository } from './alerts/alert-config.repository.js';
import type { AlertRepository } from './alerts/alert.repository.js';
import type { NotificationRepository } from './delivery/notification.repository.js';
import type { Notifier } from './delivery/notifier.js';
import { eventTypeOf } from './events/project-event.js';
import type { ProjectEventRepository } from './events/project-event.repository.js';
import type { Incidents } from './incidents/incidents.js';
import type { KeyEventMessages, Message } from './key-event-messages.js';
import { concernMessage, endedForKeyMessage } from './messages/attention-messages.js';
import { heldForBackupMessage } from './messages/backup-messages.js';
import { PAUSE_MS } from './pause.js';
import type { KeyConfigurationProjection } from './projections/key-configurations.js';
import { BACKUP_KEEPERS, OWNERS, ProjectUnknownError, type KnownProject, type ProjectProjection } from './projections/projects.js';

export interface AnnouncementParts {
  readonly projects: ProjectProjection;
  readonly configurations: KeyConfigurationProjection;
  readonly alerts: AlertRepository;
  readonly alertConfigs: AlertConfigRepository;
  readonly incidents: Incidents;
  readonly events: ProjectEventRepository;
  readonly messages: KeyEventMessages;
  readonly notifications: NotificationRepository;
  readonly notifier: Notifier;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What follows from an event for alerts, incidents and messages. */
export class Announcements {
  constructor(private readonly parts: AnnouncementParts) {}

  async ofKeyConfiguration(tx: Transaction, name: KeyConfigurationEventName, event: EventEnvelope<KeyConfigurationState>): Promise<void> {
    const { configurations, alertConfigs, incidents, events, messages, clock, logger } = this.parts;
    const { data: configuration } = event;
    const before = await configurations.remember(tx, configuration);
    if (before === 'known-already') {
      logger.debug({ eventId: event.id, type: event.type }, 'this or a newer event of the key configuration is known');
      return;
    }
    const eventType = eventTypeOf(name, configuration.provider);
    if (eventType !== null) await events.add(tx, configuration, eventType, new Date(event.time));
    await alertConfigs.ensure(tx, configuration.projectId, alertTypesOf(configuration.provider), clock.now());
    const disabled = await alertConfigs.disabled(tx, configuration.projectId);
    await this.changeAlerts(tx, name, event, before.epoch, disabled);
    await this.tellOwners(tx, name, configuration, disabled, (project) => messages.of(tx, name, project, configuration, before));
    // Last, because an incident is one row that many events wait for.
    await incidents.ofKeyConfiguration(tx, name, event);
  }

  async ofConcern(tx: Transaction, event: EventEnvelope<ClusterConcern>): Promise<void> {
    const { cluster, processId, kind } = event.data;
    const project = await this.parts.projects.find(tx, cluster.projectId);
    if (project === null) throw new ProjectUnknownError(cluster.projectId);
    if (project.deletedAt !== null) return;
    const ofBackup = kind === 'HELD_FOR_BACKUP';
    const content = ofBackup ? heldForBackupMessage(project, event.data) : concernMessage(project, { ...event.data, kind });
    const message: Message = { kind: 'CLUSTER_CONCERN', content, pause: `concern/${cluster.id}/${processId}/${kind}` };
    await this.tell(tx, project, message, `concern/${event.id}`, null, ofBackup ? BACKUP_KEEPERS : OWNERS);
  }

  /** Servers of a project that lose one key end one after the other, each when it asks: that is one message. */
  async ofProcessEndedForKey(tx: Transaction, event: EventEnvelope<ProcessEndedForKey>): Promise<void> {
    const { cluster } = event.data;
    const project = await this.parts.projects.find(tx, cluster.projectId);
    if (project === null) throw new ProjectUnknownError(cluster.projectId);
    if (project.deletedAt !== null) return;
    const pause = `ended-for-key/${project.id}/${cluster.encryptionAtRestProvider}`;
    const message: Message = { kind: 'CLUSTER_CONCERN', content: endedForKeyMessage(project, event.data), pause };
    await this.tell(tx, project, message, `ended-for-key/${event.id}`, null);
  }

  private async changeAlerts(
    tx: Transaction,
    name: KeyConfigurationEventName,
    { data: configuration, time }: EventEnvelope<KeyConfigurationState>,
    epochBefore: number | null,
    disabled: ReadonlySet<AlertEventType>,
  ): Promise<void> {
    const { alerts, clock } = this.parts;
    for (const change of alertChanges(name, configuration, new Date(time), epochBefore)) {
      if (change.change === 'open' && disabled.has(change.eventType)) continue;
      await alerts.apply(tx, configuration, change, clock.now());
    }
  }

  private async tellOwners(
    tx: Transaction,
    name: KeyConfigurationEventName,
    configuration: KeyConfigurationState,
    disabled: ReadonlySet<AlertEventType>,
    messageFor: (project: KnownProject) => Promise<Message | null>,
  ): Promise<void> {
    if (name === 'saved' || name === 'removed') return;
    const project = await this.parts.projects.find(tx, configuration.projectId);
    if (project === null) throw new ProjectUnknownError(configuration.projectId);
    if (project.deletedAt !== null) return;
    const message = await messageFor(project);
    if (message === null) return;
    const alertType = alertTypeOf(name, configuration.provider);
    const alert = alertType === null ? null : await this.parts.alerts.latest(tx, configuration.id, alertType);
    if (message.reminder && alertType !== null && (disabled.has(alertType) || this.isAcknowledged(alert))) {
      this.parts.logger.info({ projectId: project.id, alertType }, 'the project does not want to hear of it; no message');
      return;
    }
    await this.tell(tx, project, message, `key-configuration/${configuration.id}/${configuration.revision}`, alert?.id ?? null);
  }

  private isAcknowledged(alert: Alert | null): boolean {
    return alert?.status === 'OPEN' && alert.acknowledgedUntil !== null && alert.acknowledgedUntil > this.parts.clock.now();
  }

  private async tell(
    tx: Transaction,
    project: KnownProject,
    message: Message,
    cause: string,
    alertId: string | null,
    audience: readonly ProjectRole[] = OWNERS,
  ): Promise<void> {
    const { notifications, notifier, clock, logger } = this.parts;
    if (message.pause !== undefined && !(await notifications.mayTell(tx, message.pause, clock.now(), PAUSE_MS))) {
      logger.info({ cause: message.pause, projectId: project.id }, 'told within the last day; no further message');
      return;
    }
    await notifier.announce(tx, { cause, kind: message.kind, project, alertId, content: message.content, audience });
  }
}
