import { createNotificationService, SmtpMailTransport, type NotificationOptions } from '@atrest/notification';
import { hostService } from '@atrest/platform-host';
import { notificationFields } from './configuration.js';

await hostService({
  name: 'notification',
  fields: notificationFields,
  prepare: (configuration): NotificationOptions => {
    const smtpUrl = configuration.ATREST_SMTP_URL.reveal();
    // Throws for an address that cannot be one, before anything else starts.
    new SmtpMailTransport({ url: smtpUrl }).close();
    return {
      smtpUrl,
      from: configuration.ATREST_MAIL_FROM,
      issuer: configuration.ATREST_PUBLIC_URL,
      publicUrl: configuration.ATREST_PUBLIC_URL,
      delivery: { baseMs: configuration.ATREST_MAIL_RETRY },
      ...(configuration.ATREST_OPERATOR_ADDRESS !== undefined && { operatorAddress: configuration.ATREST_OPERATOR_ADDRESS }),
    };
  },
  create: createNotificationService,
});
