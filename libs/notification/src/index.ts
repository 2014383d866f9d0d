export { createNotificationService, type NotificationOptions, type NotificationService } from './notification-service.js';
export { DEFAULT_DELIVERY_POLICY, type DeliveryPolicy } from './delivery/delivery-policy.js';
export type { MailTransport, OutgoingMail, RecipientResult } from './delivery/mail-transport.js';
export { SmtpMailTransport, SmtpUrlError, type SmtpOptions } from './delivery/smtp-mail-transport.js';
export { renderMail, type RenderedMail } from './mail/render-mail.js';
export type { Block, MailContent } from './mail/mail-content.js';
export { notificationControllers } from './alerts/controllers.js';
