import { backoffMs } from '@atrest/platform-time';
import type { RecipientResult } from './mail-transport.js';

export type DeliveryStatus = 'PENDING' | 'SENT' | 'FAILED';

export interface Recipient {
  readonly address: string;
  readonly status: DeliveryStatus;
  /** The mail server's last answer. */
  readonly answer: string | null;
}

export interface DeliveryPolicy {
  /** First pause after a failed attempt; doubles. 30 s: greylisting servers accept again after half a minute to five. */
  readonly baseMs: number;
  /** 15 min: a mail server that is up again is used soon, one that is down is not hammered. */
  readonly maxMs: number;
  /** How long a message is kept. 5 days, what RFC 5321 (4.5.4.1) asks of mail servers: longer than a weekend with a holiday. */
  readonly keepMs: number;
  /**
   * How long a message belongs to the replica that sends it; renewed three times as often while a conversation with the mail server goes on. What a
   * killed replica was about to send is sent by another one after this. 30 s: a mail about stopped databases must not be late, and a replica that
   * cannot write to its database for so long should not be relied on.
   */
  readonly leaseMs: number;
}

export const DEFAULT_DELIVERY_POLICY: DeliveryPolicy = { baseMs: 30_000, maxMs: 15 * 60_000, keepMs: 5 * 24 * 3_600_000, leaseMs: 30_000 };

export type Settlement =
  | { readonly status: 'PENDING'; readonly recipients: readonly Recipient[]; readonly nextAttemptAt: Date }
  /** Accepted for somebody, and nobody else will ever get it. */
  | { readonly status: 'SENT'; readonly recipients: readonly Recipient[] }
  /** Accepted for nobody, for good. */
  | { readonly status: 'FAILED'; readonly recipients: readonly Recipient[] };

/** What follows from one attempt. Pure. */
export function settle(
  message: { readonly createdAt: Date; readonly attempts: number; readonly recipients: readonly Recipient[] },
  results: readonly RecipientResult[],
  now: Date,
  policy: DeliveryPolicy,
  random?: () => number,
): Settlement {
  const pause = backoffMs(message.attempts, { baseMs: policy.baseMs, maxMs: policy.maxMs, ...(random && { random }) });
  const expired = now.getTime() >= message.createdAt.getTime() + policy.keepMs;
  const byAddress = new Map(results.map((result) => [result.address, result]));
  const recipients = message.recipients.map((recipient): Recipient => {
    const result = byAddress.get(recipient.address);
    if (recipient.status !== 'PENDING' || result === undefined) return recipient;
    if (result.outcome === 'accepted') return { ...recipient, status: 'SENT', answer: null };
    const lost = result.outcome === 'refused' || expired;
    return { ...recipient, status: lost ? 'FAILED' : 'PENDING', answer: result.answer };
  });
  if (recipients.some(({ status }) => status === 'PENDING')) {
    return { status: 'PENDING', recipients, nextAttemptAt: new Date(now.getTime() + pause) };
  }
  return { status: recipients.some(({ status }) => status === 'SENT') ? 'SENT' : 'FAILED', recipients };
}
