import type { DefinitiveVerdict, TransientVerdict } from '@atrest/kms';
import type { ProviderBinding } from './providers/provider-binding.js';
import { refusal, type Refusal } from './refusal.js';

/** Why new settings or credentials are not stored. A transient verdict is not a no: try again. */
export function refuseVerdict({ kms, refusals }: ProviderBinding, verdict: DefinitiveVerdict | TransientVerdict): Refusal {
  if (verdict.kind === 'transient') {
    const detail = `${kms} could not be asked (${said(verdict)}), so nothing was stored. Try again.`;
    return refusal('SERVICE_UNAVAILABLE', detail, [verdict.reason]);
  }
  const [code, advice] = refusals[verdict.reason];
  return refusal(code, `${advice} ${kms} said: ${said(verdict)}`, [verdict.reason]);
}

/** New credentials reach a key, but not what is already wrapped: storing them would strand that. */
export function refuseOtherKey(binding: ProviderBinding, verdict: DefinitiveVerdict | TransientVerdict): Refusal {
  if (verdict.kind === 'transient') return refuseVerdict(binding, verdict);
  const detail = `With the new credentials, what is already wrapped by the present key cannot be unwrapped (${said(verdict)}). Nothing was stored.`;
  const plainRefusal = verdict.reason !== 'CANARY_DIFFERS' && verdict.reason !== 'CANARY_NOT_UNWRAPPED';
  return refusal(plainRefusal ? binding.refusals[verdict.reason][0] : 'ENCRYPTION_AT_REST_SETTINGS_INVALID', detail, [verdict.reason]);
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
