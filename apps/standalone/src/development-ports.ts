/**
 * Where people find the mailbox page and the development KMS again after a restart, when nobody else took the port. 8025 is the mailbox port
 * that mail catchers commonly use; the KMS takes the next.
 */
export const MAILBOX_PORT = 8025;
export const DEVELOPMENT_KMS_PORT = 8026;
