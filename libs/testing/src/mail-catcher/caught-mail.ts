/** A mail as it was received. */
export interface CaughtMail {
  /** In the order of arrival, from 1. */
  readonly id: number;
  readonly receivedAt: Date;
  readonly messageId: string | null;
  readonly from: string;
  /** Addresses of the To header. */
  readonly to: readonly string[];
  /** Addresses the client asked the server to deliver to. */
  readonly recipients: readonly string[];
  readonly subject: string;
  readonly text: string;
  readonly html: string | null;
  readonly headers: Readonly<Record<string, string>>;
}
