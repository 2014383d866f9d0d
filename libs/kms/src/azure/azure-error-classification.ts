import type { TransientReason } from '@atrest/contracts';
import { redactText } from '@atrest/platform-logging';
import { BlobNotAuthenticError, CallLimitError } from '../errors.js';
import { definitive, MAX_MESSAGE_LENGTH, transient, type Verdict } from '../verdict.js';
import type { AzureMeaning } from './azure-meaning.js';
import { entraAnswerOf, meaningOfEntraAnswer } from './entra-errors.js';

/** One way in which Key Vault refuses; a rule without `message` fits any. */
interface VaultRule {
  readonly code: string;
  readonly message?: RegExp;
  /** Only for these requests. */
  readonly operation?: RegExp;
  readonly means: AzureMeaning;
}

const UNKNOWN: AzureMeaning = { transient: 'UNCLASSIFIED' };
const DENIED: AzureMeaning = { definitive: 'ACCESS_DENIED' };
const KEPT_OUT: AzureMeaning = { definitive: 'ACCESS_DENIED', hint: 'A network rule of the vault keeps us out: ' };

/**
 * By HTTP status and the most precise code of Key Vault's own answer (`innererror` before `error`); the first rule that fits decides. What
 * is not here is unknown, and unknown is transient: a new code of Azure may raise an alert but never stops a database. So is any status
 * without Key Vault's form of error, whoever sent it.
 */
const VAULT_RULES: Readonly<Record<number, readonly VaultRule[]>> = {
  400: [
    // The value was not made by this key; on any other request, the key is of another kind than asked for.
    { code: 'BadParameter', operation: /^unwrapkey$/, means: { definitive: 'CANARY_NOT_UNWRAPPED' } },
    { code: 'BadParameter', means: { definitive: 'KEY_USAGE_WRONG' } },
  ],
  // With a new token: the adapter asks for one before it believes a 401.
  401: [
    { code: 'Unauthorized', message: /AKV100(22|32)/, means: { definitive: 'CONFIGURATION_WRONG', hint: 'Wrong cloud or tenant: ' } },
    { code: 'Unauthorized', means: { definitive: 'CREDENTIALS_INVALID' } },
  ],
  403: [
    { code: 'KeyDisabled', means: { definitive: 'KEY_DISABLED' } },
    { code: 'KeyOperationForbidden', means: { definitive: 'KEY_USAGE_WRONG' } },
    { code: 'ForbiddenByRbac', means: DENIED },
    { code: 'AccessDenied', means: DENIED },
    { code: 'ForbiddenByFirewall', means: KEPT_OUT },
    { code: 'ForbiddenByConnection', means: KEPT_OUT },
    // Seen for access policies as well as for network policies: the words tell.
    { code: 'ForbiddenByPolicy', message: /does not have .* permission/i, means: DENIED },
    { code: 'ForbiddenByPolicy', means: KEPT_OUT },
    // Without a second code, or with one that only wrapping can meet: an expired key still unwraps.
    { code: 'Forbidden', message: /(subscription|vault)\b.*\b(disabled|suspended)/is, means: DENIED },
    { code: 'Forbidden', message: /does not have .* permission/i, means: DENIED },
    { code: 'KeyExpired', means: { definitive: 'KEY_DISABLED', hint: 'The key has expired: ' } },
    { code: 'KeyNotYetValid', means: { definitive: 'KEY_PENDING_IMPORT', hint: 'The key is not active yet: ' } },
  ],
  404: [
    { code: 'KeyNotFound', means: { definitive: 'KEY_NOT_FOUND' } },
    { code: 'SecretNotFound', means: { definitive: 'KEY_NOT_FOUND' } },
  ],
  409: [
    // This state lasts until somebody recovers or purges the key.
    { code: 'ObjectIsDeletedButRecoverable', means: { definitive: 'KEY_PENDING_DELETION' } },
    // The key is on its way out or back: seconds later it is gone, which is another answer, or well.
    { code: 'ObjectIsBeingDeleted', means: { transient: 'KEY_UNAVAILABLE' } },
    { code: 'ObjectIsBeingRecovered', means: { transient: 'KEY_UNAVAILABLE' } },
    { code: 'Conflict', means: { transient: 'KEY_UNAVAILABLE' } },
  ],
};

/**
 * By the `code` of a request that got no answer. ENOTFOUND stays transient for good: a deleted vault has no name any more, but confirming it
 * within seconds would not tell it from an outage of the name service or of a private zone. The alert for an unreachable KMS tells it.
 */
const NETWORK_CODES: Readonly<Record<string, TransientReason>> = {
  ECONNREFUSED: 'NETWORK',
  ECONNRESET: 'NETWORK',
  ECONNABORTED: 'NETWORK',
  EPIPE: 'NETWORK',
  EHOSTUNREACH: 'NETWORK',
  ENETUNREACH: 'NETWORK',
  ENOTFOUND: 'NETWORK',
  EAI_AGAIN: 'NETWORK',
  ETIMEDOUT: 'TIMEOUT',
  // The answer broke off.
  PARSE_ERROR: 'NETWORK',
};

/** What an error of the Azure SDK, or of the adapter, means for the key. */
export function classifyAzureError(error: unknown): Verdict {
  const entra = entraAnswerOf(error);
  if (entra !== null) return verdictOf(meaningOfEntraAnswer(entra), entra);
  const facts = factsOf(error);
  return verdictOf(meaningOf(error, facts), facts);
}

function meaningOf(error: unknown, facts: VaultFacts): AzureMeaning {
  if (error instanceof CallLimitError) return { transient: 'THROTTLED' };
  if (error instanceof BlobNotAuthenticError) return { definitive: 'CANARY_NOT_UNWRAPPED' };
  // The SDK's only name for a time-out.
  if (facts.name === 'AbortError') return { transient: 'TIMEOUT' };
  if (facts.name !== 'RestError') return UNKNOWN;
  const { status, code } = facts;
  if (status === null) return code !== null && Object.hasOwn(NETWORK_CODES, code) ? { transient: NETWORK_CODES[code]! } : UNKNOWN;
  // The status outranks the code: an answer of a broken server says nothing about the key, whatever it is called.
  if (status >= 500) return { transient: 'PROVIDER_ERROR' };
  if (status === 429) return { transient: 'THROTTLED' };
  if (status === 408) return { transient: 'TIMEOUT' };
  return VAULT_RULES[status]?.find((rule) => fits(rule, facts))?.means ?? UNKNOWN;
}

const fits = (rule: VaultRule, { innerCode, message, operation }: VaultFacts): boolean =>
  rule.code === innerCode && (rule.message?.test(message) ?? true) && (rule.operation?.test(operation) ?? true);

interface VaultFacts {
  readonly name: string;
  readonly message: string;
  readonly code: string | null;
  readonly innerCode: string | null;
  readonly operation: string;
  readonly status: number | null;
  readonly requestId: string | null;
  /** The name that says most. */
  readonly errorName: string;
}

function factsOf(error: unknown): VaultFacts {
  const { name, message, code, statusCode, details, response } = recordOf(error);
  const { operation, innerCode } = recordOf(details);
  const inner = typeof innerCode === 'string' ? innerCode : null;
  const ownName = typeof name === 'string' ? name : typeof error;
  const errorCode = typeof code === 'string' ? code : null;
  // The SDK calls all its errors RestError; the adapter's own have names that tell.
  const telling = ownName === 'RestError' ? (inner ?? errorCode) : null;
  const words = typeof message === 'string' ? message : '';
  return {
    name: ownName,
    message: words === '' && errorCode !== null ? errorCode : words,
    code: errorCode,
    innerCode: inner,
    operation: typeof operation === 'string' ? operation : '',
    status: typeof statusCode === 'number' ? statusCode : null,
    requestId: requestIdOf(response),
    errorName: telling ?? ownName,
  };
}

function requestIdOf(response: unknown): string | null {
  const { headers } = recordOf(response);
  const { get } = recordOf(headers);
  const value: unknown = typeof get === 'function' ? get.call(headers, 'x-ms-request-id') : undefined;
  return typeof value === 'string' ? value : null;
}

const recordOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

function verdictOf(
  meaning: AzureMeaning,
  told: { readonly errorName: string; readonly message: string; readonly status: number | null; readonly requestId: string | null },
): Verdict {
  const message = redactText(`${meaning.hint ?? ''}${told.message}`).slice(0, MAX_MESSAGE_LENGTH);
  const evidence = { errorName: told.errorName, message, httpStatus: told.status, requestId: told.requestId };
  return 'definitive' in meaning ? definitive(meaning.definitive, evidence) : transient(meaning.transient, evidence);
}
