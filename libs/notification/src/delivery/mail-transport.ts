/** A message for one attempt. The same message id, date and text in every attempt, so that a mail program shows a repeated one once. */
export interface OutgoingMail {
  /** Without angle brackets. */
  readonly messageId: string;
  readonly date: Date;
  readonly from: string;
  /** Everybody it is meant for, shown in the header. */
  readonly to: readonly string[];
  /** Those to deliver to in this attempt: the ones who have not got it yet. */
  readonly recipients: readonly string[];
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

/** What became of one recipient in one attempt. */
export interface RecipientResult {
  readonly address: string;
  /** `refused` is for good, `deferred` may be tried again. */
  readonly outcome: 'accepted' | 'deferred' | 'refused';
  /** What the mail server said, or why it could not be asked; null when it accepted. */
  readonly answer: string | null;
}

/** Hands mails to a mail server. */
export interface MailTransport {
  /** Exactly one result for each of `mail.recipients`. Does not reject for anything a mail server or a network does. */
  send(mail: OutgoingMail): Promise<readonly RecipientResult[]>;
  close(): void;
}
