import { domainToASCII } from 'node:url';
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
  const { rejectedErrors, accepted } = report as SmtpReport;
  const rejected = rejectionsOf(rejectedErrors);
  const taken = new Set((Array.isArray(accepted) ? (accepted as unknown[]) : []).map((address) => canonical(String(address))));
  return recipients.map((address): RecipientResult => {
    const rejection = rejected.get(canonical(address));
    if (rejection !== undefined) return { ...rejection, address };
    if (taken.has(canonical(address))) return { address, outcome: 'accepted', answer: null };
    return { address, outcome: 'deferred', answer: 'the mail server did not say what became of this recipient' };
  });
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
  return recipients.map((address): RecipientResult => {
    const rejection = rejected.get(canonical(address));
    return rejection === undefined ? { address, outcome: aboutMessage ? 'refused' : 'deferred', answer } : { ...rejection, address };
  });
}

function rejectionsOf(errors: unknown): Map<string, RecipientResult> {
  const entries: [string, RecipientResult][] = [];
  for (const error of Array.isArray(errors) ? (errors as unknown[]) : []) {
    if (typeof error !== 'object' || error === null || !('recipient' in error) || typeof error.recipient !== 'string') continue;
    const report = error as SmtpReport;
    const outcome = isPermanent(report.responseCode) ? 'refused' : 'deferred';
    entries.push([canonical(error.recipient), { address: error.recipient, outcome, answer: answerOf(report) }]);
  }
  return new Map(entries);
}

/** nodemailer reports addresses with their domain in lower case and ASCII. */
function canonical(address: string): string {
  const at = address.lastIndexOf('@');
  const domain = address.slice(at + 1).toLowerCase();
  return `${address.slice(0, at)}@${domainToASCII(domain) || domain}`;
}

const isPermanent = (code: unknown): boolean => typeof code === 'number' && code >= 500 && code <= 599;

function answerOf(report: SmtpReport): string {
  const words = [report.response, report.message, report.code].find((part) => typeof part === 'string' && part !== '');
  // A server may repeat what it was sent, credentials included.
  return redactText(typeof words === 'string' ? words : 'unknown error')
    .replaceAll(/\s+/g, ' ')
    .slice(0, MAX_ANSWER);
}
