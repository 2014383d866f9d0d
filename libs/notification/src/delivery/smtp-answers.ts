import { redactText } from '@atrest/platform-logging';
import type { RecipientResult } from './mail-transport.js';

/** What nodemailer reports, as far as it is read here. */
interface SmtpReport {
  readonly accepted?: unknown;
  readonly rejectedErrors?: unknown;
  readonly response?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
  readonly command?: unknown;
  readonly responseCode?: unknown;
}

/** Longest answer kept: enough for what a mail server says, short enough for a log line. */
const MAX_ANSWER = 300;

/** The results of an attempt that the server took at least partly. */
export function resultsOfReport(recipients: readonly string[], report: object): RecipientResult[] {
  const { rejectedErrors } = report as SmtpReport;
  const rejected = rejectionsOf(rejectedErrors);
  return recipients.map((address) => rejected.get(address) ?? { address, outcome: 'accepted', answer: null });
}

/**
 * The results of an attempt that failed as a whole. Only an answer to RCPT TO or DATA speaks about the message: a refusal of the
 * connection, of our credentials or of our sender address is a matter of configuration, which somebody can still repair, so the
 * message is kept.
 */
export function resultsOfError(recipients: readonly string[], error: unknown): RecipientResult[] {
  const report = (typeof error === 'object' && error !== null ? error : {}) as SmtpReport;
  const rejected = rejectionsOf(report.rejectedErrors);
  const aboutMessage = report.command === 'DATA' && isPermanent(report.responseCode);
  const answer = answerOf(report);
  return recipients.map((address) => rejected.get(address) ?? { address, outcome: aboutMessage ? 'refused' : 'deferred', answer });
}

function rejectionsOf(errors: unknown): Map<string, RecipientResult> {
  const entries: [string, RecipientResult][] = [];
  for (const error of Array.isArray(errors) ? (errors as unknown[]) : []) {
    if (typeof error !== 'object' || error === null || !('recipient' in error) || typeof error.recipient !== 'string') continue;
    const report = error as SmtpReport;
    const outcome = isPermanent(report.responseCode) ? 'refused' : 'deferred';
    entries.push([error.recipient, { address: error.recipient, outcome, answer: answerOf(report) }]);
  }
  return new Map(entries);
}

const isPermanent = (code: unknown): boolean => typeof code === 'number' && code >= 500 && code <= 599;

function answerOf(report: SmtpReport): string {
  const words = [report.response, report.message, report.code].find((part) => typeof part === 'string' && part !== '');
  // A server may repeat what it was sent, credentials included.
  return redactText(typeof words === 'string' ? words : 'unknown error')
    .replaceAll(/\s+/g, ' ')
    .slice(0, MAX_ANSWER);
}
