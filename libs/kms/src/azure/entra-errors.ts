import type { AzureMeaning } from './azure-meaning.js';

/** What Microsoft Entra answered, or what kept it from answering, as far as the SDK tells. */
export interface EntraAnswer {
  /** The numbers after AADSTS. */
  readonly numbers: readonly string[];
  /** OAuth's word, e.g. `invalid_client`; MSAL's own, e.g. `network_error`, where Entra did not answer. */
  readonly error: string;
  readonly status: number | null;
  readonly message: string;
  /** Entra's trace id. */
  readonly requestId: string | null;
  readonly errorName: string;
}

/** The SDK's classes for everything that goes wrong with a token. They say nothing more: all is in the message and in the cause. */
const IDENTITY_ERRORS = new Set(['AuthenticationRequiredError', 'CredentialUnavailableError', 'AuthenticationError']);

export function entraAnswerOf(error: unknown): EntraAnswer | null {
  if (!(error instanceof Error) || !IDENTITY_ERRORS.has(error.name)) return null;
  const { status, correlationId } = (error.cause ?? {}) as { status?: unknown; correlationId?: unknown };
  const description = /AADSTS\d+:.*?(?=\s*(?:Trace ID:|$))/s.exec(error.message)?.[0];
  const traceId = /Trace ID: ([0-9a-f-]{36})/.exec(error.message)?.[1];
  // The number may stand in the list only: "Error(s): 7000215,7000222 - Timestamp …".
  const listed = /Error\(s\): ([\d, ]+)/.exec(error.message)?.[1]?.match(/\d+/g) ?? [];
  const named = [...error.message.matchAll(/AADSTS(\d+)/g)].map((match) => match[1] ?? '');
  const numbers = [...new Set([...named, ...listed])];
  const word = /^[a-z_]+(?=:)/.exec(error.message)?.[0] ?? '';
  return {
    numbers,
    error: word,
    status: typeof status === 'number' ? status : null,
    // Without Entra's own words MSAL adds all headers of the answer, cookies of a proxy among them.
    message: description ?? error.message.split('\nHeaders:')[0] ?? '',
    requestId: traceId ?? (typeof correlationId === 'string' ? correlationId : null),
    errorName: numbers[0] === undefined ? error.name : `AADSTS${numbers[0]}`,
  };
}

const CREDENTIALS: AzureMeaning = { definitive: 'CREDENTIALS_INVALID' };
const CONFIGURATION: AzureMeaning = { definitive: 'CONFIGURATION_WRONG' };

/** By the number after AADSTS. */
const NUMBERS: Readonly<Record<string, AzureMeaning>> = {
  // Wrong secret, expired secret.
  7000215: CREDENTIALS,
  7000222: { definitive: 'CREDENTIALS_EXPIRED' },
  // Unknown application, disabled application or service principal, unknown account.
  700016: CREDENTIALS,
  7000112: CREDENTIALS,
  50034: CREDENTIALS,
  // Assertion or certificate that is not registered with the application.
  700027: CREDENTIALS,
  700030: CREDENTIALS,
  5000611: CREDENTIALS,
  // No federation for the issuer, audience or subject of the assertion: how access of a workload identity is taken away.
  70021: CREDENTIALS,
  700211: CREDENTIALS,
  700212: CREDENTIALS,
  700213: CREDENTIALS,
  // Conditional access.
  53003: { definitive: 'ACCESS_DENIED' },
  // Unknown tenant, malformed tenant, no consent, Key Vault unknown in the tenant.
  90002: CONFIGURATION,
  900023: CONFIGURATION,
  65001: CONFIGURATION,
  500011: CONFIGURATION,
  // Assertion outside its time: a clock that is wrong, or a token file that nobody renews. Both are ours, and neither says that access was
  // taken away, so it must not stop a database.
  700024: { transient: 'CLOCK_SKEW' },
  90033: { transient: 'PROVIDER_ERROR' },
  90006: { transient: 'PROVIDER_ERROR' },
  // Too many equal requests in a short time.
  50196: { transient: 'THROTTLED' },
};

/** OAuth's words for a client that is refused. With a number that is not listed, since Microsoft adds and changes them. */
const REFUSED = new Set(['invalid_client', 'unauthorized_client', 'invalid_grant']);
const BROKEN = new Set(['temporarily_unavailable', 'server_error']);
const UNREACHABLE = new Set(['network_error', 'endpoints_resolution_error', 'openid_config_error']);

export function meaningOfEntraAnswer({ numbers, error, status }: EntraAnswer): AzureMeaning {
  // The status outranks the number, as everywhere.
  if (status === 429) return { transient: 'THROTTLED' };
  const meanings = numbers.flatMap((number) => NUMBERS[number] ?? []);
  const passing = meanings.find((meaning) => 'transient' in meaning);
  if (passing !== undefined) return passing;
  if ((status !== null && status >= 500) || BROKEN.has(error)) return { transient: 'PROVIDER_ERROR' };
  if (meanings[0] !== undefined) return meanings[0];
  if (numbers.length > 0 && REFUSED.has(error)) return CREDENTIALS;
  if (numbers.length === 0 && UNREACHABLE.has(error)) return { transient: 'NETWORK' };
  return { transient: 'UNCLASSIFIED' };
}
