import type { DefinitiveReason, TransientReason } from '@atrest/contracts';
import {
  KmipConnectionError,
  KmipHostsError,
  KmipMessageError,
  KmipOperationError,
  KmipVersionError,
  ResultReason,
  State,
  TtlvError,
} from '@atrest/kmip';
import { redactText } from '@atrest/platform-logging';
import { CallLimitError } from '../errors.js';
import { definitive, MAX_MESSAGE_LENGTH, transient, type Verdict, type VerdictEvidence } from '../verdict.js';
import { KmipKeyStateError, KmipKeyTypeError, KmipUnwrapError } from './kmip-key-errors.js';

type Meaning = { readonly definitive: DefinitiveReason } | { readonly transient: TransientReason };

const gone = (reason: DefinitiveReason): Meaning => ({ definitive: reason });
const passing = (reason: TransientReason): Meaning => ({ transient: reason });
const UNKNOWN = passing('UNCLASSIFIED');

/**
 * By the server's result reason. Its text is no evidence: PyKMIP says "Could not locate object" for an object of another owner too.
 * A reason that is not here is unknown, and unknown is transient.
 */
const REASONS: Readonly<Record<number, Meaning>> = {
  [ResultReason.ItemNotFound]: gone('KEY_NOT_FOUND'),
  [ResultReason.ObjectNotFound]: gone('KEY_NOT_FOUND'),
  [ResultReason.ObjectDestroyed]: gone('KEY_NOT_FOUND'),

  [ResultReason.PermissionDenied]: gone('ACCESS_DENIED'),
  [ResultReason.NotAuthorised]: gone('ACCESS_DENIED'),
  [ResultReason.AuthenticationNotSuccessful]: gone('CREDENTIALS_INVALID'),

  [ResultReason.WrongKeyLifecycleState]: gone('KEY_DISABLED'),
  [ResultReason.ObjectArchived]: gone('KEY_DISABLED'),

  [ResultReason.KeyFormatTypeNotSupported]: gone('KEY_USAGE_WRONG'),
  [ResultReason.Sensitive]: gone('KEY_USAGE_WRONG'),
  [ResultReason.NotExtractable]: gone('KEY_USAGE_WRONG'),

  // The client has tried the other versions of the protocol before it says so.
  [ResultReason.OperationNotSupported]: gone('CONFIGURATION_WRONG'),
  [ResultReason.InvalidMessage]: gone('CONFIGURATION_WRONG'),
  [ResultReason.FeatureNotSupported]: gone('CONFIGURATION_WRONG'),
  [ResultReason.UnsupportedProtocolVersion]: gone('CONFIGURATION_WRONG'),

  // We allow 64 KiB for less than 4: our mistake, not the key's.
  [ResultReason.ResponseTooLarge]: UNKNOWN,
  [ResultReason.GeneralFailure]: passing('PROVIDER_ERROR'),
  [ResultReason.InternalServerError]: passing('PROVIDER_ERROR'),
  [ResultReason.ServerLimitExceeded]: passing('THROTTLED'),
};

const STATES: Readonly<Record<number, Meaning>> = {
  // Like a key whose material is still to come: it was never in use, and somebody has to act before it can be.
  [State.PreActive]: gone('KEY_PENDING_IMPORT'),
  [State.Deactivated]: gone('KEY_DISABLED'),
  [State.Compromised]: gone('KEY_DISABLED'),
  [State.Destroyed]: gone('KEY_NOT_FOUND'),
  [State.DestroyedCompromised]: gone('KEY_NOT_FOUND'),
};

/** By OpenSSL's and Node's codes: what is wrong with the server's certificate. */
const SERVER_CERTIFICATE: ReadonlySet<string> = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_REVOKED',
  'CERT_UNTRUSTED',
  'CERT_REJECTED',
  'CERT_SIGNATURE_FAILURE',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'HOSTNAME_MISMATCH',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/** TLS alerts with which a server ends the handshake, by their numbers (RFC 8446, section 6). */
const ALERTS: Readonly<Record<number, Meaning>> = {
  // handshake_failure: a server without its own certificate (a sealed key store after a restart) says the same as one that does not want ours.
  40: UNKNOWN,
  // bad_certificate, unsupported_certificate, certificate_revoked
  42: gone('CREDENTIALS_INVALID'),
  43: gone('CREDENTIALS_INVALID'),
  44: gone('CREDENTIALS_INVALID'),
  // certificate_expired
  45: gone('CREDENTIALS_EXPIRED'),
  // certificate_unknown, unknown_ca, access_denied
  46: gone('CREDENTIALS_INVALID'),
  48: gone('CREDENTIALS_INVALID'),
  49: gone('CREDENTIALS_INVALID'),
  // internal_error
  80: passing('PROVIDER_ERROR'),
  // certificate_required
  116: gone('CREDENTIALS_INVALID'),
};

/**
 * What an error of the KMIP adapter means for the key. What looks definitive and has a known passing cause is transient: a server that
 * restarts behind a load balancer resets connections exactly as one that does not want our certificate, and three confirmations within
 * seconds do not outlast a restart. Such an error is reported as unclassified, so that somebody looks.
 */
export function classifyKmipError(error: unknown): Verdict {
  const { meaning, source } = decide(error);
  const evidence = evidenceOf(source);
  return 'definitive' in meaning ? definitive(meaning.definitive, evidence) : transient(meaning.transient, evidence);
}

interface Decision {
  readonly meaning: Meaning;
  readonly source: unknown;
}

function decide(error: unknown): Decision {
  if (error instanceof KmipHostsError) {
    // One server of the list that could not say counts for more than others that refused: it may have the key.
    const below = error.errors.map(decide);
    const chosen = below.find(({ meaning }) => 'transient' in meaning) ?? below[0];
    return chosen ?? { meaning: UNKNOWN, source: error };
  }
  return { meaning: meaningOf(error), source: error };
}

function meaningOf(error: unknown): Meaning {
  if (error instanceof KmipOperationError) {
    if (error.status === 'OperationPending') return passing('PROVIDER_ERROR');
    return error.status === 'OperationFailed' && error.reason !== null ? (REASONS[error.reason] ?? UNKNOWN) : UNKNOWN;
  }
  if (error instanceof KmipKeyStateError) return STATES[error.state] ?? UNKNOWN;
  if (error instanceof KmipKeyTypeError) return gone('KEY_USAGE_WRONG');
  if (error instanceof KmipUnwrapError) return gone('CANARY_NOT_UNWRAPPED');
  if (error instanceof KmipConnectionError) return meaningOfConnection(error);
  if (error instanceof KmipVersionError) return gone('CONFIGURATION_WRONG');
  if (error instanceof TtlvError || error instanceof KmipMessageError) return passing('PROVIDER_ERROR');
  if (error instanceof CallLimitError) return passing('THROTTLED');
  return UNKNOWN;
}

function meaningOfConnection({ code, details }: KmipConnectionError): Meaning {
  const { systemCode = '', receivedBytes = 0 } = details;
  switch (code) {
    case 'KMIP.CONNECT_FAILED':
      return passing(systemCode === 'ETIMEDOUT' ? 'TIMEOUT' : 'NETWORK');
    case 'KMIP.TIMEOUT':
      return passing('TIMEOUT');
    case 'KMIP.CLOSED':
      return receivedBytes > 0 ? passing('NETWORK') : UNKNOWN;
    case 'KMIP.TLS_FAILED': {
      if (SERVER_CERTIFICATE.has(systemCode)) return gone('CONFIGURATION_WRONG');
      if (systemCode === 'CERT_NOT_YET_VALID') return passing('CLOCK_SKEW');
      return (details.alert === undefined ? undefined : ALERTS[details.alert]) ?? UNKNOWN;
    }
    case 'KMIP.CLIENT_CERTIFICATE_EXPIRED':
      return gone('CREDENTIALS_EXPIRED');
    case 'KMIP.CLIENT_CERTIFICATE_UNREADABLE':
      return gone('CREDENTIALS_INVALID');
    case 'KMIP.ADDRESS_NOT_ALLOWED':
      // A name that suddenly has another address is no proof of anything about the key.
      return UNKNOWN;
  }
}

const HINT_CLOSED = ' (it may not accept our client certificate)';

function evidenceOf(error: unknown): VerdictEvidence {
  const name = error instanceof Error ? nameIn(error) : typeof error;
  const hint = error instanceof KmipConnectionError && error.code === 'KMIP.CLOSED' && meaningOf(error) === UNKNOWN ? HINT_CLOSED : '';
  const message = error instanceof Error ? `${redactText(error.message)}${hint}`.slice(0, MAX_MESSAGE_LENGTH) : '';
  return { errorName: name, message, httpStatus: null, requestId: null };
}

/** The shortest word that tells errors apart: the server's reason, the system's code, or our own. */
function nameIn(error: Error): string {
  if (error instanceof KmipOperationError) return error.reasonName ?? error.status;
  if (error instanceof KmipConnectionError) {
    const { alert, systemCode } = error.details;
    return alert === undefined ? (systemCode ?? error.code) : `TLS alert ${alert}`;
  }
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : error.name;
}
