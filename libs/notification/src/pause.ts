/** The same cause is told at most once in this time: a day, so that a flapping KMS does not fill mailboxes. Alerts show every change. */
export const PAUSE_MS = 24 * 3_600_000;
