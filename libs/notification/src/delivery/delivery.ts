import { notificationFailed, notificationSent } from '@atrest/contracts';
import type { Logger } from '@atrest/platform-logging';
import type { EventPublisher } from '@atrest/platform-messaging';
import type { Metrics } from '@atrest/platform-metrics';
import type { ServiceDatabase } from '@atrest/platform-persistence';
import { BackgroundLoop, type Clock } from '@atrest/platform-time';
import type { AlertRepository } from '../alerts/alert.repository.js';
import { renderMail } from '../mail/render-mail.js';
import type { ProjectProjection } from '../projections/projects.js';
import { settle, type DeliveryPolicy, type Settlement } from './delivery-policy.js';
import type { MailTransport } from './mail-transport.js';
import type { ClaimedNotification, NotificationRepository } from './notification.repository.js';
import { stateOf, type Notifier } from './notifier.js';
import { addressIn } from './smtp-mail-transport.js';

export interface DeliveryParts {
  readonly database: ServiceDatabase;
  readonly repository: NotificationRepository;
  readonly alerts: AlertRepository;
  readonly projects: ProjectProjection;
  readonly notifier: Notifier;
  readonly publisher: EventPublisher;
  readonly transport: MailTransport;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly policy: DeliveryPolicy;
  /** Sender, `Atrest <atrest@example.com>`. */
  readonly from: string;
  readonly random?: () => number;
}

/** Messages sent at the same time by one replica: one slow conversation does not hold up the others, few enough for any mail server. */
const BATCH = 4;

/** Sends what is due. */
export class Delivery {
  private readonly outcomes;

  constructor(private readonly parts: DeliveryParts) {
    this.outcomes = parts.metrics.counter('atrest_notification_attempts_total', 'Attempts to deliver a message', ['kind', 'outcome']);
  }

  /** One round; `again` when there was something to do, so that more may wait. */
  async run(): Promise<void | 'again'> {
    const { repository, clock, policy } = this.parts;
    const claimed = await repository.claim(clock.now(), policy.leaseMs, BATCH);
    if (claimed.length === 0) return;
    const renewal = this.renewal(claimed[0]!.leaseToken);
    renewal.start();
    try {
      await this.attemptAll(claimed);
    } finally {
      await renewal.stop();
    }
    return 'again';
  }

  /** Keeps the claim for as long as the round takes: a conversation with a mail server may take minutes. */
  private renewal(leaseToken: string): BackgroundLoop {
    const { repository, clock, policy, logger } = this.parts;
    return new BackgroundLoop({
      name: 'mail lease',
      intervalMs: policy.leaseMs / 3,
      run: () => repository.renew(leaseToken, new Date(clock.now().getTime() + policy.leaseMs)),
      onError: (error) => logger.warn({ err: error }, 'the claim on messages could not be renewed; another replica may take them over'),
    });
  }

  private async attemptAll(claimed: readonly ClaimedNotification[]): Promise<void> {
    // 'Usable again' must not overtake 'not usable' of the same project when both are due.
    const byProject = Map.groupBy(claimed, ({ projectId }) => projectId);
    const results = await Promise.allSettled([...byProject.values()].map((group) => this.attemptInOrder(group)));
    const failure = results.find((result) => result.status === 'rejected');
    if (failure !== undefined) throw failure.reason;
  }

  private async attemptInOrder(group: readonly ClaimedNotification[]): Promise<void> {
    for (const notification of group) await this.attempt(notification);
  }

  private async attempt(notification: ClaimedNotification): Promise<void> {
    const { transport, clock, policy, from, random } = this.parts;
    const { subject, text, html } = renderMail(notification.content);
    const results = await transport.send({
      messageId: `${notification.id}@${addressIn(from).split('@').at(-1) ?? 'atrest'}`,
      date: notification.createdAt,
      from,
      to: notification.recipients.map(({ address }) => address),
      recipients: notification.recipients.filter(({ status }) => status === 'PENDING').map(({ address }) => address),
      subject,
      text,
      html,
    });
    const now = clock.now();
    const settlement = settle(notification, results, now, policy, random);
    await this.write(notification, settlement, now);
  }

  private async write(notification: ClaimedNotification, settlement: Settlement, now: Date): Promise<void> {
    const { database, repository, alerts, publisher, logger } = this.parts;
    const { id, kind, attempts, alertId } = notification;
    const outcome = await database.transaction(async (tx) => {
      if ((await repository.settle(tx, notification, settlement, now)) === 'lease-lost') return 'lease-lost';
      const settled = { ...notification, ...settlement, sentAt: settlement.status === 'SENT' ? now : null };
      if (settlement.status === 'SENT') {
        await publisher.publish(tx, notificationSent, stateOf(settled));
        if (alertId !== null) await alerts.notified(tx, alertId, now);
      }
      if (settlement.status === 'FAILED') {
        await publisher.publish(tx, notificationFailed, stateOf(settled));
        await this.raise(tx, settled);
      }
      return settlement.status;
    });
    this.outcomes.inc({ kind, outcome });
    const problem = settlement.recipients.find(({ answer }) => answer !== null)?.answer ?? null;
    const facts = { notificationId: id, kind, attempts, problem };
    if (outcome === 'SENT') logger.info(facts, 'message sent');
    else if (outcome === 'lease-lost')
      logger.warn(facts, 'another replica took the message over; it may arrive twice, under one message id');
    else if (outcome === 'PENDING') logger.warn(facts, 'message not delivered to everybody yet; it is kept');
    else logger.error(facts, 'operator alert: message could be delivered to nobody');
  }

  private async raise(tx: Parameters<Notifier['tellOperators']>[0], failed: ClaimedNotification): Promise<void> {
    // A message to the operators that fails makes no other: the log and the event have to do.
    if (failed.forOperators || failed.projectId === null) return;
    const project = await this.parts.projects.find(tx, failed.projectId);
    await this.parts.notifier.tellOperators(tx, {
      cause: `${failed.cause}/undeliverable`,
      project: project ?? { id: failed.projectId, name: failed.projectId },
      original: failed.content,
      problem: 'undeliverable',
      why: 'The mail server accepted it for none of them.',
    });
  }
}
