import type { DefinitiveReason, TransientReason } from '@atrest/contracts';
import { redactText } from '@atrest/platform-logging';
import { CallLimitError, ChecksumMismatchError } from '../errors.js';
import { definitive, MAX_MESSAGE_LENGTH, transient, type Verdict } from '../verdict.js';

/** What an answer means; the first rule whose `words` match (or that has none) decides. */
type Rule = { readonly words?: RegExp } & ({ readonly definitive: DefinitiveReason } | { readonly transient: TransientReason });

const UNKNOWN: Rule = { transient: 'UNCLASSIFIED' };
const CLOCK: Rule = { words: /\biat\b|\bexp\b|reasonable timeframe|used too early|not yet valid/i, transient: 'CLOCK_SKEW' };
const EXTERNAL_MANAGER: Rule = { words: /external key manager|\bEKM\b/i, transient: 'KEY_UNAVAILABLE' };
const CHECKSUM: Rule = { words: /checksum in field \w+ did not match/i, transient: 'PROVIDER_ERROR' };

/** The project or the organisation lets nobody through, whatever the rights on the key are. */
const SETUP: readonly Rule[] = [
  { words: /API has not been used in project|it is disabled|SERVICE_DISABLED/i, definitive: 'CONFIGURATION_WRONG' },
  { words: /billing/i, definitive: 'CONFIGURATION_WRONG' },
  { words: /VPC ?Service ?Controls|SECURITY_POLICY_VIOLATED|prohibited by organization/i, definitive: 'CONFIGURATION_WRONG' },
  { words: /scope insufficient|insufficient authentication scopes|SCOPE_INSUFFICIENT/i, definitive: 'CONFIGURATION_WRONG' },
];

/**
 * By gRPC status (google.rpc.Code). The words are `details` with the reason of an ErrorInfo before them. What is not here is
 * unknown, and unknown is transient: new words of Google may raise an alert but never stop a database.
 */
const STATUS: Readonly<Record<number, { readonly name: string; readonly rules: readonly Rule[] }>> = {
  1: { name: 'CANCELLED', rules: [{ transient: 'PROVIDER_ERROR' }] },
  2: { name: 'UNKNOWN', rules: [{ transient: 'PROVIDER_ERROR' }] },
  3: {
    name: 'INVALID_ARGUMENT',
    rules: [
      CHECKSUM,
      // The stored blob does not belong to the key or the context: the key itself may be well.
      { words: /decryption failed/i, definitive: 'CANARY_NOT_UNWRAPPED' },
      { words: /\bpurpose\b/i, definitive: 'KEY_USAGE_WRONG' },
      { words: /RESOURCE_NAME_INVALID|resource (field|name)|malformed|not a valid name/i, definitive: 'CONFIGURATION_WRONG' },
      UNKNOWN,
    ],
  },
  4: { name: 'DEADLINE_EXCEEDED', rules: [{ transient: 'TIMEOUT' }] },
  5: { name: 'NOT_FOUND', rules: [{ definitive: 'KEY_NOT_FOUND' }] },
  7: { name: 'PERMISSION_DENIED', rules: [EXTERNAL_MANAGER, ...SETUP, { definitive: 'ACCESS_DENIED' }] },
  8: { name: 'RESOURCE_EXHAUSTED', rules: [{ transient: 'THROTTLED' }] },
  9: {
    name: 'FAILED_PRECONDITION',
    rules: [
      EXTERNAL_MANAGER,
      { words: /state is:? (DESTROY_SCHEDULED|PENDING_EXTERNAL_DESTRUCTION)\b/, definitive: 'KEY_PENDING_DELETION' },
      { words: /state is:? (DESTROYED|EXTERNAL_DESTRUCTION_FAILED)\b/, definitive: 'KEY_NOT_FOUND' },
      { words: /state is:? DISABLED\b/, definitive: 'KEY_DISABLED' },
      { words: /state is:? (PENDING_IMPORT|IMPORT_FAILED)\b/, definitive: 'KEY_PENDING_IMPORT' },
      { words: /state is:? PENDING_GENERATION\b/, transient: 'KEY_UNAVAILABLE' },
      { words: /state is:? GENERATION_FAILED\b/, definitive: 'CONFIGURATION_WRONG' },
      { words: /\bpurpose\b/i, definitive: 'KEY_USAGE_WRONG' },
      ...SETUP,
      UNKNOWN,
    ],
  },
  10: { name: 'ABORTED', rules: [{ transient: 'PROVIDER_ERROR' }] },
  11: { name: 'OUT_OF_RANGE', rules: [UNKNOWN] },
  12: { name: 'UNIMPLEMENTED', rules: [UNKNOWN] },
  13: { name: 'INTERNAL', rules: [{ transient: 'PROVIDER_ERROR' }] },
  14: {
    name: 'UNAVAILABLE',
    rules: [
      EXTERNAL_MANAGER,
      {
        words: /No connection|Name resolution failed|Connection dropped|E[A-Z_]{4,}|socket|certificate|TLS|proxy|HTTP status/,
        transient: 'NETWORK',
      },
      { transient: 'PROVIDER_ERROR' },
    ],
  },
  15: { name: 'DATA_LOSS', rules: [{ transient: 'PROVIDER_ERROR' }] },
  16: {
    name: 'UNAUTHENTICATED',
    rules: [CLOCK, { words: /ACCESS_TOKEN_EXPIRED/, definitive: 'CREDENTIALS_EXPIRED' }, { definitive: 'CREDENTIALS_INVALID' }],
  },
};

/**
 * gRPC's client makes a status of its own from what is no answer of Cloud KMS: a proxy that says HTTP 403 becomes
 * PERMISSION_DENIED, a broken stream even that. It proves nothing about the key.
 */
const MADE_UP =
  /^(Received HTTP status code|Received RST_STREAM|Protocol not secure enough|Bandwidth exhausted|Stream refused|Call cancelled|Connection dropped|No status information|Failed to start HTTP)/;

/** A failed request for a token inside gRPC's client: what the token endpoint said follows. */
const PLUGIN = /^Getting metadata from plugin failed with error: (?:Error code )?(\w+)(.*)$/s;

/** By the `error` of an OAuth answer (RFC 6749, RFC 8693). */
const OAUTH: Readonly<Record<string, readonly Rule[]>> = {
  invalid_grant: [
    CLOCK,
    // The token of the outside identity is this installation's to renew: no word about the customer's key.
    { words: /stale|expired/i, transient: 'UNCLASSIFIED' },
    { definitive: 'CREDENTIALS_INVALID' },
  ],
  invalid_client: [{ definitive: 'CREDENTIALS_INVALID' }],
  unauthorized_client: [{ definitive: 'CREDENTIALS_INVALID' }],
  deleted_client: [{ definitive: 'CREDENTIALS_INVALID' }],
  disabled_client: [{ definitive: 'CREDENTIALS_INVALID' }],
  access_denied: [{ definitive: 'ACCESS_DENIED' }],
  invalid_scope: [{ definitive: 'CONFIGURATION_WRONG' }],
  invalid_target: [{ definitive: 'CONFIGURATION_WRONG' }],
  invalid_request: [{ definitive: 'CONFIGURATION_WRONG' }],
  temporarily_unavailable: [{ transient: 'PROVIDER_ERROR' }],
  server_error: [{ transient: 'PROVIDER_ERROR' }],
  internal_failure: [{ transient: 'PROVIDER_ERROR' }],
  rate_limit_exceeded: [{ transient: 'THROTTLED' }],
  slow_down: [{ transient: 'THROTTLED' }],
};

/** By `error.code` of Node.js and of its fetch. */
const NETWORK_CODES: Readonly<Record<string, TransientReason>> = {
  ECONNREFUSED: 'NETWORK',
  ECONNRESET: 'NETWORK',
  ECONNABORTED: 'NETWORK',
  EPIPE: 'NETWORK',
  EHOSTUNREACH: 'NETWORK',
  ENETUNREACH: 'NETWORK',
  ENOTFOUND: 'NETWORK',
  EAI_AGAIN: 'NETWORK',
  ERR_STREAM_PREMATURE_CLOSE: 'NETWORK',
  ETIMEDOUT: 'TIMEOUT',
  TimeoutError: 'TIMEOUT',
  AbortError: 'TIMEOUT',
};

/** Errors of the library on this side of the network, which carry no code. */
const LOCAL: readonly Rule[] = [
  { words: /Could not load the default credentials/, definitive: 'CREDENTIALS_MISSING' },
  { words: /DECODER routines|1E08010C/, definitive: 'CREDENTIALS_INVALID' },
];

/** So many nested errors are looked at. */
const MAX_CAUSES = 10;

/** What an error thrown by Google's libraries means for the key. Pure; anything unknown is `transient UNCLASSIFIED`. */
export function classifyGcpError(error: unknown): Verdict {
  let source = error;
  for (let depth = 0; depth < MAX_CAUSES; depth += 1) {
    const facts = factsOf(source);
    const rule = decide(source, facts);
    if (rule !== null) return verdictOf(rule, facts);
    if (facts.cause === null) break;
    source = facts.cause;
  }
  return verdictOf(UNKNOWN, factsOf(error));
}

function verdictOf(rule: Rule, facts: ErrorFacts): Verdict {
  const evidence = {
    errorName: facts.name,
    message: redactText(facts.message === '' ? String(facts.code ?? '') : facts.message).slice(0, MAX_MESSAGE_LENGTH),
    httpStatus: facts.httpStatus,
    requestId: null,
  };
  return 'definitive' in rule ? definitive(rule.definitive, evidence) : transient(rule.transient, evidence);
}

function decide(error: unknown, facts: ErrorFacts): Rule | null {
  if (error instanceof CallLimitError) return { transient: 'THROTTLED' };
  if (error instanceof ChecksumMismatchError) return { transient: 'PROVIDER_ERROR' };
  if (facts.kind === 'http') return decideHttp(facts);
  if (facts.kind === 'status') return decideStatus(facts);
  if (typeof facts.code === 'string' && Object.hasOwn(NETWORK_CODES, facts.code)) {
    return { transient: NETWORK_CODES[facts.code] ?? 'NETWORK' };
  }
  return LOCAL.find(({ words }) => words?.test(facts.message)) ?? null;
}

function decideStatus({ code, words }: ErrorFacts): Rule {
  const entry = STATUS[Number(code)];
  const plugin = PLUGIN.exec(words);
  if (plugin !== null) return decideOauth(plugin[1] ?? '', plugin[2] ?? '') ?? LOCAL.find((rule) => rule.words?.test(words)) ?? UNKNOWN;
  const rule = entry?.rules.find((candidate) => candidate.words === undefined || candidate.words.test(words)) ?? UNKNOWN;
  return 'definitive' in rule && MADE_UP.test(words) ? { transient: 'NETWORK' } : rule;
}

function decideHttp(facts: ErrorFacts): Rule | null {
  const { httpStatus, answer } = facts;
  // The status outranks the body: an answer of a broken server says nothing about the credentials.
  if (httpStatus !== null && httpStatus >= 500) return { transient: 'PROVIDER_ERROR' };
  if (httpStatus === 429) return { transient: 'THROTTLED' };
  if (httpStatus === 408) return { transient: 'TIMEOUT' };
  if (typeof facts.code === 'string' && Object.hasOwn(NETWORK_CODES, facts.code))
    return { transient: NETWORK_CODES[facts.code] ?? 'NETWORK' };
  if (typeof answer === 'string') return decideOauth(answer, facts.words);
  // The impersonation of a service account answers like any Google API; what it does not find is the account, not the key.
  if (record(answer)?.['status'] === 'NOT_FOUND') return { definitive: 'CREDENTIALS_INVALID' };
  const status = Object.values(STATUS).find(({ name }) => name === record(answer)?.['status']);
  return status?.rules.find(({ words }) => words === undefined || words.test(facts.words)) ?? null;
}

const decideOauth = (error: string, words: string): Rule | null =>
  (Object.hasOwn(OAUTH, error) ? OAUTH[error] : undefined)?.find((rule) => rule.words === undefined || rule.words.test(words)) ?? null;

interface ErrorFacts {
  /** `status`: gRPC's; `http`: of a request to a token endpoint. */
  readonly kind: 'status' | 'http' | 'other';
  readonly name: string;
  readonly message: string;
  /** What the rules look at. */
  readonly words: string;
  readonly code: number | string | null;
  readonly httpStatus: number | null;
  /** The member `error` of an HTTP answer. */
  readonly answer: unknown;
  readonly cause: unknown;
}

function factsOf(error: unknown): ErrorFacts {
  const value = record(error) ?? {};
  const message = typeof value['message'] === 'string' ? value['message'] : '';
  const code = typeof value['code'] === 'number' || typeof value['code'] === 'string' ? value['code'] : null;
  const own = { name: typeof value['name'] === 'string' ? value['name'] : typeof error, message, words: message, code };
  const rest = { httpStatus: null, answer: null, cause: value['cause'] ?? null };
  if ('config' in value) {
    const response = record(value['response']);
    const answer = record(response?.['data'])?.['error'] ?? null;
    const described = record(response?.['data'])?.['error_description'] ?? record(answer)?.['message'];
    const words = typeof described === 'string' ? described : message;
    const httpStatus = typeof response?.['status'] === 'number' ? response['status'] : null;
    const name = typeof answer === 'string' ? answer : own.name;
    return { ...rest, ...own, kind: 'http', name, words, httpStatus, answer };
  }
  if (typeof code === 'number') {
    const details = typeof value['details'] === 'string' && value['details'] !== '' ? value['details'] : message;
    const reason = typeof value['reason'] === 'string' ? value['reason'] : null;
    const name = STATUS[code]?.name ?? own.name;
    const words = reason === null || MADE_UP.test(details) ? details : `${reason}: ${details}`;
    return { ...rest, ...own, kind: 'status', name, message: words, words };
  }
  return { ...rest, ...own, kind: 'other' };
}

const record = (value: unknown): Record<string, unknown> | null =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
