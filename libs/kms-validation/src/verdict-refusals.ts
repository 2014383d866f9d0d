import type { DefinitiveVerdict, TransientVerdict } from '@atrest/kms';
import type { DefinitiveReason } from '@atrest/contracts';
import { refusal, type Refusal, type RefusalCode } from './refusal.js';

/** The Atlas code with which new settings are refused, and what to do; the provider's own words are added. */
const REFUSALS: Readonly<Record<DefinitiveReason, readonly [RefusalCode, string]>> = {
  KEY_DISABLED: ['AWS_KMS_CUSTOMER_MASTER_KEY_NOT_ENABLED', 'The key is disabled. Enable it in AWS KMS.'],
  KEY_PENDING_DELETION: [
    'AWS_KMS_CUSTOMER_MASTER_KEY_PENDING_DELETION',
    'The key is scheduled for deletion. Cancel the deletion and enable it.',
  ],
  KEY_PENDING_IMPORT: ['AWS_KMS_CUSTOMER_MASTER_KEY_PENDING_IMPORT', 'The key has no key material yet. Import it.'],
  KEY_NOT_FOUND: ['AWS_CUSTOMER_MASTER_KEY_NOT_FOUND', 'AWS KMS knows no such key in this region and account.'],
  KEY_USAGE_WRONG: [
    'NO_PERMISSION_TO_ENCRYPT_DECRYPT',
    'The key is not for encryption: a symmetric key with usage ENCRYPT_DECRYPT is needed.',
  ],
  ACCESS_DENIED: ['NO_PERMISSION_TO_ENCRYPT_DECRYPT', 'The credentials may not use the key. Allow kms:Encrypt and kms:Decrypt.'],
  CREDENTIALS_INVALID: ['INVALID_AWS_CREDENTIALS', 'AWS refuses the credentials.'],
  CREDENTIALS_EXPIRED: ['INVALID_AWS_CREDENTIALS', 'The credentials have expired.'],
  CREDENTIALS_MISSING: ['INVALID_AWS_CREDENTIALS', 'There are no credentials.'],
  CONFIGURATION_WRONG: ['INVALID_ATTRIBUTE', 'AWS KMS does not accept the settings.'],
  CANARY_NOT_UNWRAPPED: ['NO_PERMISSION_TO_ENCRYPT_DECRYPT', 'The key did not unwrap what was wrapped with it.'],
  CANARY_DIFFERS: ['NO_PERMISSION_TO_ENCRYPT_DECRYPT', 'The key gave back other bytes than were wrapped with it.'],
};

/** Why new settings or credentials are not stored. A transient verdict is not a no: try again. */
export function refuseVerdict(verdict: DefinitiveVerdict | TransientVerdict): Refusal {
  if (verdict.kind === 'transient') {
    const detail = `AWS KMS could not be asked (${said(verdict)}), so nothing was stored. Try again.`;
    return refusal('SERVICE_UNAVAILABLE', detail, [verdict.reason]);
  }
  const [code, advice] = REFUSALS[verdict.reason];
  return refusal(code, `${advice} AWS said: ${said(verdict)}`, [verdict.reason]);
}

/** New credentials reach a key, but not what is already wrapped: storing them would strand that. */
export function refuseOtherKey(verdict: DefinitiveVerdict | TransientVerdict): Refusal {
  if (verdict.kind === 'transient') return refuseVerdict(verdict);
  const detail = `With the new credentials, what is already wrapped by the present key cannot be unwrapped (${said(verdict)}). Nothing was stored.`;
  const plainRefusal = verdict.reason !== 'CANARY_DIFFERS' && verdict.reason !== 'CANARY_NOT_UNWRAPPED';
  return refusal(plainRefusal ? REFUSALS[verdict.reason][0] : 'ENCRYPTION_AT_REST_SETTINGS_INVALID', detail, [verdict.reason]);
}

/** The present key does not prove itself, so it may be neither changed nor turned off: that would strand what only it opens. */
export function refuseWithoutPresentKey(verdict: DefinitiveVerdict | TransientVerdict): Refusal {
  const detail =
    `The present key cannot be used now (${said(verdict)}), so it can neither be changed nor turned off. ` +
    'Restore access to it first; new credentials for the same key are accepted.';
  return refusal('ENCRYPTION_AT_REST_SETTINGS_INVALID', detail, [verdict.reason]);
}

const said = ({ errorName, message, reason }: DefinitiveVerdict | TransientVerdict): string =>
  [errorName ?? reason, message].filter((part) => part !== null && part !== '').join(': ');
