import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { simpleParser, type AddressObject, type ParsedMail } from 'mailparser';
import { SMTPServer, type SMTPServerDataStream } from 'smtp-server';
import type { CaughtMail } from './caught-mail.js';
import { MailFolder } from './mail-folder.js';
import { serveMailbox } from './mailbox-page.js';

/** How the server answers one recipient instead of accepting it, e.g. `{ code: 451, message: 'greylisted' }`. */
export interface SmtpRefusal {
  readonly code: number;
  readonly message: string;
}

export interface MailCatcherOptions {
  /** 0, the default, lets the operating system choose. */
  readonly smtpPort?: number;
  readonly httpPort?: number;
  /** Mails are also kept here as `.eml` files and read again at the next start. */
  readonly folder?: string;
}

/** Mails kept in memory: far more than a person reads, a bound for a server that runs for weeks. */
const MAX_MAILS = 1_000;
const MAX_MAIL_BYTES = 5 * 1024 * 1024;

/** A development tool: an SMTP server on the loopback that delivers nothing and shows everything on a web page. */
export class MailCatcher {
  /** When set, asked for each recipient; a refusal is answered as it says. */
  refuse: ((recipient: string) => SmtpRefusal | null) | null = null;
  private readonly mails: CaughtMail[] = [];
  private readonly watchers = new Set<() => void>();
  private lastId = 0;
  private readonly smtp: SMTPServer;
  private readonly http: Server;

  private constructor(private readonly folder: MailFolder | null) {
    this.smtp = new SMTPServer({
      // It has no users and no certificate, so it does not offer what would only fail.
      disabledCommands: ['AUTH', 'STARTTLS'],
      disableReverseLookup: true,
      logger: false,
      size: MAX_MAIL_BYTES,
      // A client that is cut off at the end of a test should not be waited for.
      closeTimeout: 100,
      onRcptTo: (address, _, callback) => {
        const refusal = this.refuse?.(address.address) ?? null;
        callback(refusal === null ? null : Object.assign(new Error(refusal.message), { responseCode: refusal.code }));
      },
      onData: (stream, session, callback) => {
        const recipients = session.envelope.rcptTo.map(({ address }) => address);
        this.receive(stream, recipients).then(
          () => callback(),
          (error: unknown) => callback(error instanceof Error ? error : new Error(String(error))),
        );
      },
    });
    // Connections that break while a test or the process ends are no news.
    this.smtp.on('error', () => undefined);
    this.http = createServer((request, response) => serveMailbox(this.mails, request, response));
  }

  static async start(options: MailCatcherOptions = {}): Promise<MailCatcher> {
    const folder = options.folder === undefined ? null : await MailFolder.open(options.folder);
    const catcher = new MailCatcher(folder);
    for (const { raw, receivedAt } of (await folder?.read(MAX_MAILS)) ?? []) catcher.add(await simpleParser(raw), null, receivedAt);
    await new Promise<void>((resolve, reject) => {
      catcher.smtp.server.once('error', reject);
      catcher.smtp.listen(options.smtpPort ?? 0, '127.0.0.1', () => resolve());
    });
    await new Promise<void>((resolve, reject) => {
      catcher.http.once('error', reject);
      catcher.http.listen(options.httpPort ?? 0, '127.0.0.1', () => resolve());
    });
    return catcher;
  }

  get smtpUrl(): string {
    return `smtp://127.0.0.1:${(this.smtp.server.address() as AddressInfo).port}`;
  }

  /** The mailbox for people. */
  get pageUrl(): string {
    return `http://127.0.0.1:${(this.http.address() as AddressInfo).port}/`;
  }

  /** Oldest first. */
  messages(): readonly CaughtMail[] {
    return [...this.mails];
  }

  /** The first mail, present or future, that satisfies `predicate`. */
  async waitForMessage(predicate: (mail: CaughtMail) => boolean = () => true): Promise<CaughtMail> {
    return new Promise((resolve) => {
      const look = (): void => {
        const found = this.mails.find(predicate);
        if (found === undefined) return;
        this.watchers.delete(look);
        resolve(found);
      };
      this.watchers.add(look);
      look();
    });
  }

  async close(): Promise<void> {
    const httpClosed = new Promise((resolve) => {
      this.http.close(resolve);
    });
    this.http.closeAllConnections();
    await Promise.all([
      httpClosed,
      new Promise<void>((resolve) => {
        this.smtp.close(() => resolve());
      }),
    ]);
  }

  private async receive(stream: SMTPServerDataStream, recipients: string[]): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
    if (stream.sizeExceeded) throw Object.assign(new Error('message too large'), { responseCode: 552 });
    const raw = Buffer.concat(chunks);
    const receivedAt = new Date();
    const parsed = await simpleParser(raw);
    await this.folder?.write(raw, receivedAt);
    this.add(parsed, recipients, receivedAt);
  }

  private add(parsed: ParsedMail, recipients: string[] | null, receivedAt: Date): void {
    const to = addressesOf(parsed.to);
    this.lastId += 1;
    this.mails.push({
      id: this.lastId,
      receivedAt,
      messageId: parsed.messageId ?? null,
      from: parsed.from?.text ?? '',
      to,
      recipients: recipients ?? to,
      subject: parsed.subject ?? '',
      text: parsed.text ?? '',
      html: typeof parsed.html === 'string' ? parsed.html : null,
      headers: Object.fromEntries(parsed.headerLines.map(({ key, line }) => [key, line.slice(line.indexOf(':') + 1).trim()])),
    });
    if (this.mails.length > MAX_MAILS) this.mails.shift();
    for (const watcher of this.watchers) watcher();
  }
}

function addressesOf(header: AddressObject | AddressObject[] | undefined): string[] {
  const objects = header === undefined ? [] : Array.isArray(header) ? header : [header];
  return objects.flatMap(({ value }) => value).flatMap(({ address }) => (address === undefined ? [] : [address]));
}
