import { createTransport, type Transporter } from 'nodemailer';
import type { MailTransport, OutgoingMail, RecipientResult } from './mail-transport.js';
import { resultsOfError, resultsOfReport } from './smtp-answers.js';

export interface SmtpOptions {
  /** `smtp://[user:password@]host[:port]`, or `smtps://…` for TLS from the first byte. */
  readonly url: string;
  /** 10 s: a mail server in reach answers within one; two minutes, nodemailer's default, would hold a lease too long. */
  readonly connectionTimeoutMs?: number;
  /** Longest silence of the server within a conversation. 30 s: some servers think about the greeting or the message. */
  readonly silenceTimeoutMs?: number;
  /** PEM of a private certificate authority. */
  readonly ca?: string;
}

/** A mail server is addressed wrongly. Never repeats the address, which may hold a password. */
export class SmtpUrlError extends Error {
  readonly code = 'NOTIFICATION.SMTP_URL';

  constructor(rule: string) {
    super(`The address of the mail server ${rule}.`);
    this.name = 'SmtpUrlError';
  }
}

/**
 * Mail over SMTP. Certificates are verified; with a user name, TLS is required except on the loopback, because a password must not
 * cross a network in clear.
 */
export class SmtpMailTransport implements MailTransport {
  private readonly transporter: Transporter<object>;

  constructor(options: SmtpOptions) {
    const url = URL.parse(options.url);
    if (url === null) throw new SmtpUrlError('is not a URL');
    if (url.protocol !== 'smtp:' && url.protocol !== 'smtps:') throw new SmtpUrlError('must begin with smtp:// or smtps://');
    if (url.hostname === '') throw new SmtpUrlError('names no host');
    const secure = url.protocol === 'smtps:';
    const host = url.hostname.replaceAll(/^\[|\]$/g, '');
    const loopback = host === 'localhost' || host === '::1' || host.startsWith('127.');
    const { connectionTimeoutMs = 10_000, silenceTimeoutMs = 30_000 } = options;
    this.transporter = createTransport({
      host,
      port: url.port === '' ? (secure ? 465 : 587) : Number(url.port),
      secure,
      requireTLS: !secure && url.username !== '' && !loopback,
      ...(url.username !== '' && { auth: { user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password) } }),
      tls: { minVersion: 'TLSv1.2', ...(options.ca !== undefined && { ca: options.ca }) },
      connectionTimeout: connectionTimeoutMs,
      dnsTimeout: connectionTimeoutMs,
      greetingTimeout: silenceTimeoutMs,
      socketTimeout: silenceTimeoutMs,
      // Content is ours, but a name in it must never make the library read a file or a URL.
      disableFileAccess: true,
      disableUrlAccess: true,
    });
  }

  async send(mail: OutgoingMail): Promise<readonly RecipientResult[]> {
    const { recipients } = mail;
    try {
      const report = await this.transporter.sendMail({
        messageId: `<${mail.messageId}>`,
        date: mail.date,
        from: mail.from,
        to: [...mail.to],
        envelope: { from: addressIn(mail.from), to: [...recipients] },
        subject: mail.subject,
        text: mail.text,
        html: mail.html,
        // RFC 3834: keeps holiday answers and mailing lists from answering.
        headers: { 'Auto-Submitted': 'auto-generated' },
      });
      return resultsOfReport(recipients, report);
    } catch (error) {
      return resultsOfError(recipients, error);
    }
  }

  close(): void {
    this.transporter.close();
  }
}

/** `Atrest <atrest@example.com>` → `atrest@example.com` */
export const addressIn = (from: string): string => /<([^<>]+)>\s*$/.exec(from)?.[1] ?? from.trim();
