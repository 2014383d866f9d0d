import { accessConsumes, accessHandlers, accessMigrations, accessModule, AccessStore } from '@atrest/platform-auth';
import { EventPublisher, Messaging, messagingMigrations } from '@atrest/platform-messaging';
import { ServiceDatabase } from '@atrest/platform-persistence';
import type { Readiness, Service, ServiceDependencies } from '@atrest/platform-service';
import { BackgroundLoop } from '@atrest/platform-time';
import { Module, type DynamicModule } from '@nestjs/common';
import { AlertConfigRepository } from './alerts/alert-config.repository.js';
import { AlertRepository } from './alerts/alert.repository.js';
import { ALERTS_API, type AlertsApi } from './alerts/alerts-api.js';
import { notificationControllers } from './alerts/controllers.js';
import { Announcements } from './announcements.js';
import { BackupAnnouncements } from './backups/backup-announcements.js';
import { KnownBackupsRepository } from './backups/known-backups.repository.js';
import { DEFAULT_DELIVERY_POLICY, type DeliveryPolicy } from './delivery/delivery-policy.js';
import { Delivery } from './delivery/delivery.js';
import type { MailTransport } from './delivery/mail-transport.js';
import { NotificationRepository } from './delivery/notification.repository.js';
import { DELIVERY_CHANNEL, Notifier } from './delivery/notifier.js';
import { SmtpMailTransport } from './delivery/smtp-mail-transport.js';
import { EVENT_DAYS } from './events/project-event.js';
import { ProjectEventRepository } from './events/project-event.repository.js';
import { IncidentRepository } from './incidents/incident.repository.js';
import { Incidents } from './incidents/incidents.js';
import { KeyEventMessages } from './key-event-messages.js';
import { Notifications1795392200000 } from './migrations/1795392200000-notifications.js';
import { IncidentsAndAlertSettings1795480800000 } from './migrations/1795480800000-incidents-and-alert-settings.js';
import { ProjectEvents1795480900000 } from './migrations/1795480900000-project-events.js';
import { Backups1795481000000 } from './migrations/1795481000000-backups.js';
import { ClusterProjection } from './projections/clusters.js';
import { notificationConsumes, notificationHandlers, notificationIgnores } from './projections/handlers.js';
import { KeyConfigurationProjection } from './projections/key-configurations.js';
import { ProjectProjection } from './projections/projects.js';

export interface NotificationOptions {
  /** `smtp://[user:password@]host[:port]` or `smtps://…`. */
  readonly smtpUrl: string;
  /** Sender, `atrest@example.com` or `Atrest <atrest@example.com>`. */
  readonly from: string;
  /** Scheme and authority under which people reach the API; shown in messages. */
  readonly publicUrl: string;
  /** The `iss` of access tokens, as `fleet` is given it; the public URL when left out. */
  readonly issuer?: string;
  /** Told of what only the operators can look after: held shutdowns, a KMS that cannot be asked for long, owners who cannot be told. */
  readonly operatorAddress?: string;
  readonly delivery?: Partial<DeliveryPolicy>;
  /** Another way to hand over mails than SMTP. */
  readonly transport?: MailTransport;
}

/** How often due messages are looked for without a wake-up, in milliseconds: a sixth of the shortest pause between attempts. */
const DELIVERY_INTERVAL_MS = 5_000;

/** How often is looked for snapshots that are overdue for a day: what lasted a day may be told minutes later. */
const REMINDER_INTERVAL_MS = 5 * 60_000;

const DAY_MS = 24 * 3_600_000;
const FORGET_INTERVAL_MS = 3_600_000;

@Module({})
class NotificationModule {}

export interface NotificationService extends Service {
  readonly notifications: NotificationRepository;
  /** When something is to be told of an incident next; null when nothing is. */
  nextPageAt(): Promise<Date | null>;
  /** Deletes what is kept no longer. */
  forget(): Promise<void>;
  /** Sends whatever is due now. The running service does it by itself. */
  deliverDue(): Promise<void>;
}

/** Builds the notification service; it does nothing before `start`. */
export async function createNotificationService(
  dependencies: ServiceDependencies,
  options: NotificationOptions,
): Promise<NotificationService> {
  const { transport: events, clock, logger, metrics } = dependencies;
  const service = 'notification';
  // First: a wrong address is found before anything is opened.
  const transport = options.transport ?? new SmtpMailTransport({ url: options.smtpUrl });
  const database = await ServiceDatabase.open({
    service,
    ...dependencies.database,
    migrations: [
      ...messagingMigrations,
      ...accessMigrations,
      Notifications1795392200000,
      IncidentsAndAlertSettings1795480800000,
      ProjectEvents1795480900000,
      Backups1795481000000,
    ],
    logger,
    metrics,
  });
  const store = new AccessStore(database, clock);
  const projectEvents = new ProjectEventRepository(database);
  const publisher = new EventPublisher(service, clock);
  const projects = new ProjectProjection(database);
  const clusters = new ClusterProjection();
  const configurations = new KeyConfigurationProjection(database);
  const alerts = new AlertRepository(database);
  const alertConfigs = new AlertConfigRepository(database);
  const notifications = new NotificationRepository(database);
  const notifier = new Notifier({
    repository: notifications,
    publisher,
    clock,
    logger,
    metrics,
    operatorAddress: options.operatorAddress ?? null,
  });
  const incidents = new Incidents({
    database,
    repository: new IncidentRepository(database),
    notifier,
    clock,
    logger,
    publicUrl: options.publicUrl,
  });
  const announcements = new Announcements({
    projects,
    configurations,
    alerts,
    alertConfigs,
    incidents,
    events: projectEvents,
    messages: new KeyEventMessages({ clusters, alerts, clock, publicUrl: options.publicUrl }),
    notifications,
    notifier,
    clock,
    logger,
  });
  const backups = new BackupAnnouncements({
    database,
    projects,
    known: new KnownBackupsRepository(),
    alerts,
    alertConfigs,
    events: projectEvents,
    notifications,
    notifier,
    clock,
    logger,
    publicUrl: options.publicUrl,
  });
  const messaging = new Messaging({
    service,
    database,
    transport: events,
    consumes: [...notificationConsumes, ...accessConsumes],
    handlers: [...notificationHandlers({ projects, clusters, announcements, incidents, backups }), ...accessHandlers(store)],
    ignores: notificationIgnores,
    clock,
    logger,
    metrics,
  });
  const delivery = new Delivery({
    database,
    repository: notifications,
    alerts,
    projects,
    notifier,
    publisher,
    transport,
    clock,
    logger,
    metrics,
    policy: { ...DEFAULT_DELIVERY_POLICY, ...options.delivery },
    from: options.from,
  });
  const loop = new BackgroundLoop({
    name: 'mail delivery',
    intervalMs: DELIVERY_INTERVAL_MS,
    run: () => delivery.run(),
    onError: (error) => logger.error({ err: error }, 'mail delivery failed; it goes on'),
  });
  const pages = new BackgroundLoop({
    name: 'messages about incidents',
    intervalMs: DELIVERY_INTERVAL_MS,
    run: () => incidents.page(),
    onError: (error) => logger.error({ err: error }, 'messages about incidents could not be made; it goes on'),
  });
  const reminders = new BackgroundLoop({
    name: 'reminders of overdue snapshots',
    intervalMs: REMINDER_INTERVAL_MS,
    run: () => backups.remind(),
    onError: (error) => logger.error({ err: error }, 'overdue snapshots could not be looked at; it goes on'),
  });
  const forget = (): Promise<void> => projectEvents.prune(new Date(clock.now().getTime() - EVENT_DAYS * DAY_MS));
  const forgetting = new BackgroundLoop({
    name: 'old events',
    intervalMs: FORGET_INTERVAL_MS,
    run: forget,
    onError: (error) => logger.error({ err: error }, 'old events could not be deleted; it goes on'),
  });
  let unlisten: (() => Promise<void>) | null = null;

  const access = accessModule({ store, clock, logger, issuer: options.issuer ?? options.publicUrl, projects });
  const api: AlertsApi = { alerts, alertConfigs, configurations, events: projectEvents, projects, clock };
  const module: DynamicModule = {
    module: NotificationModule,
    imports: [access],
    controllers: [...notificationControllers],
    providers: [{ provide: ALERTS_API, useValue: api }],
  };

  return {
    name: service,
    module,
    messaging,
    notifications,
    forget,
    nextPageAt: () => incidents.nextDueAt(),
    async deliverDue() {
      await incidents.page();
      await backups.remind();
      while ((await delivery.run()) === 'again');
    },
    async start() {
      await messaging.start();
      unlisten = await database.listen(DELIVERY_CHANNEL, () => loop.wake());
      loop.start();
      pages.start();
      reminders.start();
      forgetting.start();
    },
    async stop() {
      await messaging.stop();
      await unlisten?.();
      await forgetting.stop();
      await reminders.stop();
      await pages.stop();
      await loop.stop();
      transport.close();
      await database.close();
    },
    async readiness(): Promise<Readiness> {
      const checks = await Promise.all([database.readiness(), messaging.readiness()]);
      return checks.find(({ ok }) => !ok) ?? { ok: true };
    },
  };
}
