import type { ClusterConcern, EventEnvelope, KeyConfigurationState, NotificationState } from '@atrest/contracts';
import type { Logger } from '@atrest/platform-logging';
import type { Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { alertChanges, type KeyConfigurationEventName } from './alerts/alert.js';
import type { AlertRepository } from './alerts/alert.repository.js';
import type { NotificationRepository } from './delivery/notification.repository.js';
import type { Notifier } from './delivery/notifier.js';
import type { MailContent } from './mail/mail-content.js';
import { attentionMessage, concernMessage, kmsReachableMessage, kmsUnreachableMessage } from './messages/attention-messages.js';
import { keyInvalidMessage, keyValidMessage, type KeyMessageFacts } from './messages/key-messages.js';
import type { ClusterProjection } from './projections/clusters.js';
import type { KeyConfigurationProjection } from './projections/key-configurations.js';
import type { KnownProject, ProjectProjection } from './projections/projects.js';
import { unhandled } from './unhandled.js';

/** The event of a project's key or cluster came before the project itself; it is handled again in a moment. */
export class ProjectUnknownError extends Error {
  readonly code = 'NOTIFICATION.PROJECT_UNKNOWN';

  constructor(projectId: string) {
    super(`The project ${projectId} is not known yet.`);
    this.name = 'ProjectUnknownError';
  }
}

/** The same cause is told at most once in this time: a day, so that a flapping KMS does not fill mailboxes. Alerts show every change. */
const PAUSE_MS = 24 * 3_600_000;

export interface AnnouncementParts {
  readonly projects: ProjectProjection;
  readonly clusters: ClusterProjection;
  readonly configurations: KeyConfigurationProjection;
  readonly alerts: AlertRepository;
  readonly notifications: NotificationRepository;
  readonly notifier: Notifier;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly publicUrl: string;
}

interface Told {
  readonly kind: NotificationState['kind'];
  readonly content: MailContent;
  /** Set where the same cause is told at most once a day. */
  readonly pause?: string;
}

/** What follows from an event for alerts and messages. */
export class Announcements {
  constructor(private readonly parts: AnnouncementParts) {}

  async ofKeyConfiguration(tx: Transaction, name: KeyConfigurationEventName, event: EventEnvelope<KeyConfigurationState>): Promise<void> {
    const { projects, configurations, alerts, clock, logger } = this.parts;
    const { data: configuration } = event;
    if ((await configurations.remember(tx, configuration)) === 'known-already') {
      logger.debug({ eventId: event.id, type: event.type }, 'this or a newer event of the key configuration is known');
      return;
    }
    for (const change of alertChanges(name, configuration, new Date(event.time)))
      await alerts.apply(tx, configuration, change, clock.now());
    if (name === 'saved' || name === 'removed') return;

    const project = await projects.find(tx, configuration.projectId);
    if (project === null) throw new ProjectUnknownError(configuration.projectId);
    if (project.deletedAt !== null) return;
    const told = await this.messageOf(tx, name, project, configuration);
    await this.tell(
      tx,
      project,
      told,
      `key-configuration/${configuration.id}/${configuration.revision}`,
      await this.alertId(tx, name, configuration),
    );
  }

  async ofConcern(tx: Transaction, event: EventEnvelope<ClusterConcern>): Promise<void> {
    const { cluster, processId, kind } = event.data;
    const project = await this.parts.projects.find(tx, cluster.projectId);
    if (project === null) throw new ProjectUnknownError(cluster.projectId);
    if (project.deletedAt !== null) return;
    const content = concernMessage(project, event.data);
    await this.tell(
      tx,
      project,
      { kind: 'CLUSTER_CONCERN', content, pause: `concern/${cluster.id}/${processId}/${kind}` },
      `concern/${event.id}`,
      null,
    );
  }

  private async messageOf(
    tx: Transaction,
    name: Exclude<KeyConfigurationEventName, 'saved' | 'removed'>,
    project: KnownProject,
    configuration: KeyConfigurationState,
  ): Promise<Told> {
    const { clusters, alerts, clock, publicUrl } = this.parts;
    const facts: KeyMessageFacts = {
      project,
      configuration,
      clusters: await clusters.using(tx, project.id, configuration.provider),
      publicUrl,
    };
    switch (name) {
      case 'invalidated':
        return { kind: 'KEY_INVALID', content: keyInvalidMessage(facts) };
      case 'validated': {
        const alert = await alerts.latest(tx, configuration.id, `${configuration.provider}_ENCRYPTION_KEY_INVALID`);
        return { kind: 'KEY_VALID', content: keyValidMessage(facts, alert?.createdAt ?? null, clock.now()) };
      }
      case 'became-unreachable':
        return { kind: 'KMS_UNREACHABLE', content: kmsUnreachableMessage(facts), pause: `unreachable/${configuration.id}` };
      case 'became-reachable': {
        const alert = await alerts.latest(tx, configuration.id, 'ENCRYPTION_AT_REST_KMS_NETWORK_ACCESS_DENIED');
        const content = kmsReachableMessage(facts, alert?.createdAt ?? null, clock.now());
        return { kind: 'KMS_REACHABLE', content, pause: `reachable/${configuration.id}` };
      }
      case 'attention-needed':
        return { kind: 'ATTENTION_NEEDED', content: attentionMessage(facts), pause: attentionCause(configuration) };
      default:
        return unhandled(name);
    }
  }

  private async tell(tx: Transaction, project: KnownProject, told: Told, cause: string, alertId: string | null): Promise<void> {
    const { notifications, notifier, clock, logger } = this.parts;
    if (told.pause !== undefined && !(await notifications.mayTell(tx, told.pause, clock.now(), PAUSE_MS))) {
      logger.info({ cause: told.pause, projectId: project.id }, 'told within the last day; no further message');
      return;
    }
    await notifier.announce(tx, { cause, kind: told.kind, project, alertId, content: told.content });
  }

  private async alertId(tx: Transaction, name: KeyConfigurationEventName, configuration: KeyConfigurationState): Promise<string | null> {
    if (name === 'invalidated' || name === 'validated') {
      return (await this.parts.alerts.latest(tx, configuration.id, `${configuration.provider}_ENCRYPTION_KEY_INVALID`))?.id ?? null;
    }
    if (name === 'attention-needed') return null;
    return (await this.parts.alerts.latest(tx, configuration.id, 'ENCRYPTION_AT_REST_KMS_NETWORK_ACCESS_DENIED'))?.id ?? null;
  }
}

/** Two different unknown errors are two causes. */
const attentionCause = ({ id, attention, evidence }: KeyConfigurationState): string =>
  `attention/${id}/${attention?.kind ?? ''}/${attention?.kind === 'UNCLASSIFIED_ERROR' ? (evidence.at(-1)?.errorName ?? '') : ''}`;
