import type { DefinitiveReason, TransientReason } from '@atrest/contracts';
import { redactText } from '@atrest/platform-logging';
import { CallLimitError } from '../errors.js';
import { AssumeRoleError } from './aws-assumed-role.js';
import { definitive, MAX_MESSAGE_LENGTH, transient, type Verdict, type VerdictEvidence } from '../verdict.js';

/** What an error name means; the first rule whose `message` matches (or that has none) decides. */
type Rule = { readonly message?: RegExp } & ({ readonly definitive: DefinitiveReason } | { readonly transient: TransientReason });

const CLOCK: Rule = { message: /signature expired|not yet current|request has expired/i, transient: 'CLOCK_SKEW' };
const UNKNOWN: Rule = { transient: 'UNCLASSIFIED' };
const gone = (reason: DefinitiveReason): Rule[] => [{ definitive: reason }];
const passing = (reason: TransientReason): Rule[] => [{ transient: reason }];
const signature: Rule[] = [CLOCK, { definitive: 'CREDENTIALS_INVALID' }];

/**
 * By `error.name`: the AWS SDK has classes for only some of these. Names that are not here are unknown, and unknown is transient:
 * a new error name of AWS may raise an alert but never stops a database.
 */
const RULES: Readonly<Record<string, readonly Rule[]>> = {
  AccessDeniedException: gone('ACCESS_DENIED'),
  // sts:AssumeRole answers without the suffix.
  AccessDenied: gone('ACCESS_DENIED'),

  UnrecognizedClientException: gone('CREDENTIALS_INVALID'),
  InvalidClientTokenId: gone('CREDENTIALS_INVALID'),
  MissingAuthenticationToken: gone('CREDENTIALS_INVALID'),
  MissingAuthenticationTokenException: gone('CREDENTIALS_INVALID'),
  IncompleteSignature: gone('CREDENTIALS_INVALID'),
  IncompleteSignatureException: gone('CREDENTIALS_INVALID'),
  OptInRequired: gone('CREDENTIALS_INVALID'),
  NotAuthorized: gone('CREDENTIALS_INVALID'),
  InvalidSignatureException: signature,
  SignatureDoesNotMatch: signature,
  ExpiredTokenException: gone('CREDENTIALS_EXPIRED'),
  ExpiredToken: gone('CREDENTIALS_EXPIRED'),
  RequestTimeTooSkewed: passing('CLOCK_SKEW'),

  DisabledException: [{ message: /pending (replica )?deletion/i, definitive: 'KEY_PENDING_DELETION' }, { definitive: 'KEY_DISABLED' }],
  KMSInvalidStateException: [
    { message: /pending (replica )?deletion/i, definitive: 'KEY_PENDING_DELETION' },
    { message: /pending import/i, definitive: 'KEY_PENDING_IMPORT' },
    { message: /unavailable|creating|updating/i, transient: 'KEY_UNAVAILABLE' },
    // A state that this table does not know: nobody decided that it is definitive.
    UNKNOWN,
  ],
  NotFoundException: gone('KEY_NOT_FOUND'),
  InvalidArnException: gone('CONFIGURATION_WRONG'),
  ValidationException: gone('CONFIGURATION_WRONG'),
  // STS, for the ARN of a role.
  ValidationError: gone('CONFIGURATION_WRONG'),
  UnsupportedOperationException: gone('CONFIGURATION_WRONG'),
  InvalidGrantTokenException: gone('CONFIGURATION_WRONG'),
  InvalidKeyUsageException: gone('KEY_USAGE_WRONG'),
  // The stored blob does not belong to the key or the context: the key itself may be well.
  IncorrectKeyException: gone('CANARY_NOT_UNWRAPPED'),
  InvalidCiphertextException: gone('CANARY_NOT_UNWRAPPED'),

  ThrottlingException: passing('THROTTLED'),
  Throttling: passing('THROTTLED'),
  RequestLimitExceeded: passing('THROTTLED'),
  TooManyRequestsException: passing('THROTTLED'),
  LimitExceededException: passing('THROTTLED'),

  KMSInternalException: passing('PROVIDER_ERROR'),
  DependencyTimeoutException: passing('PROVIDER_ERROR'),
  InternalFailure: passing('PROVIDER_ERROR'),
  ServiceUnavailable: passing('PROVIDER_ERROR'),
  ServiceUnavailableException: passing('PROVIDER_ERROR'),
  KeyUnavailableException: passing('KEY_UNAVAILABLE'),
  CloudHsmClusterNotActiveException: passing('KEY_UNAVAILABLE'),
  CustomKeyStoreInvalidStateException: passing('KEY_UNAVAILABLE'),
  XksProxyUriUnreachableException: passing('KEY_UNAVAILABLE'),

  TimeoutError: passing('TIMEOUT'),
  AbortError: passing('TIMEOUT'),
};

/** By `error.code` of Node.js. ENOTFOUND of a mistyped region is permanent, but cannot be told from a DNS outage. */
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
};

/** So many nested errors are looked at; the SDK nests two or three, Node.js lists one per address of a host. */
const MAX_CAUSES = 50;

export interface AwsErrorContext {
  /** Whether the credentials in use carry a session token, which is the only part of them that can expire by itself. */
  readonly hasSessionToken: boolean;
}

/** What an error thrown by the AWS SDK means for the key (the table of RULES, NETWORK_CODES and the credential rules below). */
export function classifyAwsError(error: unknown, context: AwsErrorContext): Verdict {
  const { rule, source } = decide(error, context, new Set());
  const evidence = evidenceOf(source);
  return 'definitive' in rule ? definitive(rule.definitive, evidence) : transient(rule.transient, evidence);
}

type Decision = { readonly rule: Rule; readonly source: unknown };

/** `seen`: causes may form a cycle. */
function decide(error: unknown, context: AwsErrorContext, seen: Set<unknown>): Decision {
  seen.add(error);
  if (error instanceof AssumeRoleError) return decideAssumeRole(error, context, seen);
  const own = decideByItself(error, context);
  return own === null ? decideByCauses(error, context, seen) : { rule: own, source: error };
}

/** The customer can take the role away or name a wrong one; all else that STS refuses is ours (credentials, clock, activated regions). */
function decideAssumeRole(error: AssumeRoleError, context: AwsErrorContext, seen: Set<unknown>): Decision {
  const inner = decide(error.cause, context, seen);
  const reason = 'definitive' in inner.rule ? inner.rule.definitive : null;
  if (reason === null || reason === 'ACCESS_DENIED' || reason === 'CONFIGURATION_WRONG') return inner;
  return { rule: UNKNOWN, source: inner.source };
}

function decideByItself(error: unknown, context: AwsErrorContext): Rule | null {
  if (error instanceof CallLimitError) return { transient: 'THROTTLED' };
  const { name, message, status, code, clockSkewCorrected } = factsOf(error);
  const rule = ruleOf(name, message);
  // The status outranks the name: an answer of a broken server says nothing about the key, whatever it is called.
  if (status !== null && status >= 500) return rule !== null && 'transient' in rule ? rule : { transient: 'PROVIDER_ERROR' };
  if (status === 429) return { transient: 'THROTTLED' };
  // The SDK calls a reset connection "TimeoutError": the code is more precise.
  if (code !== null && NETWORK_CODES[code] !== undefined) return { transient: NETWORK_CODES[code] };
  if (name === 'RequestExpired') return context.hasSessionToken && !clockSkewCorrected ? { definitive: 'CREDENTIALS_EXPIRED' } : CLOCK;
  // The SDK noticed with this very answer that the local clock is wrong by minutes, and signs the next request with the server's time.
  // Until then, a refused signature is a fact about the clock.
  if (clockSkewCorrected && rule !== null && 'definitive' in rule && rule.definitive.startsWith('CREDENTIALS_')) return CLOCK;
  return rule;
}

function ruleOf(name: string, message: string): Rule | null {
  const rules = Object.hasOwn(RULES, name) ? RULES[name] : undefined;
  return rules?.find((rule) => rule.message === undefined || rule.message.test(message)) ?? null;
}

/** An error that says little itself: what lies below it decides, and where several lie below it a transient one outranks the others. */
function decideByCauses(error: unknown, context: AwsErrorContext, seen: Set<unknown>): Decision {
  const below: Decision[] = [];
  for (const cause of causesOf(error)) {
    if (!seen.has(cause) && seen.size < MAX_CAUSES) below.push(decide(cause, context, seen));
  }
  const known = below.filter(({ rule }) => rule !== UNKNOWN);
  const chosen = known.find(({ rule }) => 'transient' in rule) ?? known[0];
  if (chosen !== undefined) return chosen;
  if (below.length === 0 && factsOf(error).name === 'CredentialsProviderError') {
    return { rule: { definitive: 'CREDENTIALS_MISSING' }, source: error };
  }
  return { rule: UNKNOWN, source: error };
}

function causesOf(error: unknown): unknown[] {
  if (typeof error !== 'object' || error === null) return [];
  const { cause, errors } = error as { cause?: unknown; errors?: unknown };
  const list: unknown[] = Array.isArray(errors) ? errors : [];
  return cause === undefined || cause === null ? list : [cause, ...list];
}

interface ErrorFacts {
  readonly name: string;
  readonly message: string;
  readonly code: string | null;
  readonly status: number | null;
  readonly requestId: string | null;
  readonly clockSkewCorrected: boolean;
}

function factsOf(error: unknown): ErrorFacts {
  const { name, message, code, $metadata } = (typeof error === 'object' && error !== null ? error : {}) as Record<string, unknown>;
  const metadata = (typeof $metadata === 'object' && $metadata !== null ? $metadata : {}) as Record<string, unknown>;
  return {
    name: typeof name === 'string' ? name : typeof error,
    message: typeof message === 'string' ? message : '',
    code: typeof code === 'string' ? code : null,
    status: typeof metadata['httpStatusCode'] === 'number' ? metadata['httpStatusCode'] : null,
    requestId: typeof metadata['requestId'] === 'string' ? metadata['requestId'] : null,
    clockSkewCorrected: metadata['clockSkewCorrected'] === true,
  };
}

function evidenceOf(error: unknown): VerdictEvidence {
  const { name, message, code, status, requestId } = factsOf(error);
  // The code is often all that a network error says ("AggregateError" has an empty message).
  const words = message === '' && code !== null ? code : message;
  return { errorName: name, message: redactText(words).slice(0, MAX_MESSAGE_LENGTH), httpStatus: status, requestId };
}
