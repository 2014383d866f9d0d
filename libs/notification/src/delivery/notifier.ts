import { notificationFailed, type NotificationState, type ProjectRole } from '@atrest/contracts';
import type { Logger } from '@atrest/platform-logging';
import type { EventPublisher } from '@atrest/platform-messaging';
import type { Metrics } from '@atrest/platform-metrics';
import { signalAfterCommit, type Transaction } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { oneLine } from '../mail/render-mail.js';
import type { MailContent } from '../mail/mail-content.js';
import { undeliverableMessage } from '../messages/attention-messages.js';
import { addressesOf, OWNERS, type KnownProject } from '../projections/projects.js';
import type { Notification, NotificationRepository } from './notification.repository.js';

/** Listened to by the delivery loop. */
export const DELIVERY_CHANNEL = 'delivery';

export interface Announcement {
  /** What it is about and which transition; a second announcement of the same cause has no effect. */
  readonly cause: string;
  readonly kind: NotificationState['kind'];
  readonly project: KnownProject;
  readonly alertId: string | null;
  readonly content: MailContent;
  /** Which members of the project are told; its owners when left out. */
  readonly audience?: readonly ProjectRole[];
}

export interface NotifierParts {
  readonly repository: NotificationRepository;
  readonly publisher: EventPublisher;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly operatorAddress: string | null;
}

/** Decides who is told and queues the message in the caller's transaction. */
export class Notifier {
  private readonly untold;

  constructor(private readonly parts: NotifierParts) {
    this.untold = parts.metrics.counter(
      'atrest_notification_operator_alerts_total',
      'Troubles that only the operators can look after: shutdowns that are held, a KMS that cannot be asked for long, owners who cannot be told',
      ['cause'],
    );
  }

  /** To all owners of the project, or who else is named. Without any of them it becomes a message to the operators, never silence. */
  async announce(tx: Transaction, announcement: Announcement): Promise<'queued' | 'known-already' | 'no-owner'> {
    const { project, content, audience = OWNERS, ...rest } = announcement;
    const recipients = addressesOf(project, audience);
    if (recipients.length === 0) {
      await this.tellOperators(tx, {
        cause: `${announcement.cause}/no-owner`,
        project,
        original: content,
        problem: 'no-owner',
        why: 'The project has no owner.',
      });
      return 'no-owner';
    }
    const added = await this.parts.repository.add(
      tx,
      { ...rest, projectId: project.id, content, recipients, forOperators: false },
      this.parts.clock.now(),
    );
    if (added === null) return 'known-already';
    signalAfterCommit(tx, DELIVERY_CHANNEL);
    return 'queued';
  }

  /** An operator alert that reaches whoever watches log and metrics. A message follows by {@link page}. */
  alertOperators(cause: 'shutdowns-held' | 'kms-unreachable', facts: Readonly<Record<string, unknown>>): void {
    this.untold.inc({ cause });
    this.parts.logger.error({ ...facts, problem: cause, operatorTold: this.parts.operatorAddress !== null }, 'operator alert');
  }

  /** A message to the operators about an incident. Without an address of theirs the event says that nobody was told. */
  async page(
    tx: Transaction,
    o: { readonly cause: string; readonly kind: NotificationState['kind']; readonly content: MailContent },
  ): Promise<'queued' | 'known-already' | 'no-address'> {
    const { repository, publisher, clock, operatorAddress } = this.parts;
    const recipients = operatorAddress === null ? [] : [operatorAddress];
    const added = await repository.add(tx, { ...o, projectId: null, alertId: null, recipients, forOperators: true }, clock.now());
    if (added === null) return 'known-already';
    if (added.status !== 'PENDING') {
      await publisher.publish(tx, notificationFailed, stateOf(added));
      return 'no-address';
    }
    signalAfterCommit(tx, DELIVERY_CHANNEL);
    return 'queued';
  }

  /** A message that reached nobody of its project: log, metric, and a mail when the operators have an address. */
  async tellOperators(
    tx: Transaction,
    o: {
      readonly cause: string;
      readonly project: { readonly id: string; readonly name: string };
      readonly original: MailContent;
      readonly problem: 'no-owner' | 'undeliverable';
      readonly why: string;
    },
  ): Promise<void> {
    const { repository, publisher, clock, logger, operatorAddress } = this.parts;
    const added = await repository.add(
      tx,
      {
        cause: o.cause,
        kind: 'NO_OWNER',
        projectId: o.project.id,
        alertId: null,
        content: undeliverableMessage(o.project, o.original, o.why),
        recipients: operatorAddress === null ? [] : [operatorAddress],
        forOperators: true,
      },
      clock.now(),
    );
    if (added === null) return;
    this.untold.inc({ cause: o.problem });
    logger.error(
      { projectId: o.project.id, problem: o.problem, subject: oneLine(o.original.subject), operatorTold: operatorAddress !== null },
      'operator alert: nobody of the project could be told',
    );
    if (added.status === 'PENDING') signalAfterCommit(tx, DELIVERY_CHANNEL);
    else await publisher.publish(tx, notificationFailed, stateOf(added));
  }
}

/** A notification as other services may remember it. */
export function stateOf(notification: Notification): NotificationState {
  return {
    id: notification.id,
    projectId: notification.projectId,
    kind: notification.kind,
    status: notification.status,
    recipients: notification.recipients.map(({ address }) => address),
    subject: oneLine(notification.content.subject),
    attempts: notification.attempts,
    createdAt: notification.createdAt.toISOString(),
    sentAt: notification.sentAt?.toISOString() ?? null,
  };
}
