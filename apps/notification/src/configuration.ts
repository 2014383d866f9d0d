import { duration, optional, secret, text } from '@atrest/platform-config';

/** What `notification` reads beside the settings of every service. */
export const notificationFields = {
  ATREST_SMTP_URL: secret({ description: 'Mail server, `smtp://user:password@host:587` or `smtps://…`' }),
  ATREST_MAIL_FROM: text({ description: 'Sender of every mail, `Atrest <atrest@example.com>`' }),
  ATREST_MAIL_RETRY: duration({
    min: '1s',
    max: '15m',
    default: '30s',
    description: 'First pause after a mail could not be handed over; it doubles up to 15 minutes, for 5 days',
  }),
  ATREST_OPERATOR_ADDRESS: optional(text({ description: 'Who is told when a project has no owner or a mail cannot be delivered' })),
} as const;
