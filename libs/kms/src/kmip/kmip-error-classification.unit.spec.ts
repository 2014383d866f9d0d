import { DEFINITIVE_REASONS } from '@atrest/contracts';
import {
  KmipClosedError,
  KmipConnectionError,
  KmipHostsError,
  KmipMessageError,
  KmipOperationError,
  KmipVersionError,
  ResultReason,
  State,
  TtlvError,
  type ConnectionPhase,
  type FailureItem,
  type KmipConnectionErrorCode,
} from '@atrest/kmip';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CallLimitError } from '../errors.js';
import { MAX_MESSAGE_LENGTH } from '../verdict.js';
import { classifyKmipError } from './kmip-error-classification.js';
import { KmipKeyStateError, KmipKeyTypeError, KmipUnwrapError } from './kmip-key-errors.js';

const host = { host: 'kmip.example.com', port: 5696 };

const refused = (reason: number | null, message: string | null = null, status: FailureItem['status'] = 'OperationFailed') =>
  new KmipOperationError('Get', host, status, reason, message);
const broken = (code: KmipConnectionErrorCode, phase: ConnectionPhase, systemCode?: string, receivedBytes = 0) =>
  new KmipConnectionError(code, 'what happened', { host, phase, receivedBytes, ...(systemCode !== undefined && { systemCode }) });
const alert = (number: number, phase: ConnectionPhase = 'handshake') =>
  new KmipConnectionError('KMIP.TLS_FAILED', 'alert', { host, phase, systemCode: 'ERR_SSL_SSL/TLS_ALERT', alert: number });
const tls = (systemCode: string) => broken('KMIP.TLS_FAILED', 'handshake', systemCode);

// The reference table of KMIP errors, row by row, in its order.
const TABLE: [string, unknown, string][] = [
  ['ItemNotFound', refused(0x01), 'definitive KEY_NOT_FOUND'],
  ['ObjectNotFound of KMIP 2', refused(0x37), 'definitive KEY_NOT_FOUND'],
  ['ObjectDestroyed of KMIP 2', refused(0x36), 'definitive KEY_NOT_FOUND'],

  ['PermissionDenied', refused(0x0c), 'definitive ACCESS_DENIED'],
  ['PermissionDenied in the words of a missing object', refused(0x0c, 'Could not locate object: 7'), 'definitive ACCESS_DENIED'],
  ['NotAuthorised', refused(0x39), 'definitive ACCESS_DENIED'],
  ['AuthenticationNotSuccessful', refused(0x03), 'definitive CREDENTIALS_INVALID'],

  ['F23 Pre-Active', new KmipKeyStateError('k', State.PreActive), 'definitive KEY_PENDING_IMPORT'],
  ['F23 Deactivated', new KmipKeyStateError('k', State.Deactivated), 'definitive KEY_DISABLED'],
  ['F23 Compromised', new KmipKeyStateError('k', State.Compromised), 'definitive KEY_DISABLED'],
  ['F23 Destroyed', new KmipKeyStateError('k', State.Destroyed), 'definitive KEY_NOT_FOUND'],
  ['F23 Destroyed Compromised', new KmipKeyStateError('k', State.DestroyedCompromised), 'definitive KEY_NOT_FOUND'],
  ['a state of a later KMIP', new KmipKeyStateError('k', 7), 'transient UNCLASSIFIED'],
  ['WrongKeyLifecycleState', refused(0x43), 'definitive KEY_DISABLED'],
  ['ObjectArchived', refused(0x0d), 'definitive KEY_DISABLED'],

  ['another object type', new KmipKeyTypeError('k', { objectType: 7 }), 'definitive KEY_USAGE_WRONG'],
  ['KeyFormatTypeNotSupported', refused(0x10), 'definitive KEY_USAGE_WRONG'],
  ['Sensitive', refused(0x16), 'definitive KEY_USAGE_WRONG'],
  ['NotExtractable', refused(0x17), 'definitive KEY_USAGE_WRONG'],

  ['OperationNotSupported in every version', refused(0x05), 'definitive CONFIGURATION_WRONG'],
  ['InvalidMessage in every version', refused(0x04), 'definitive CONFIGURATION_WRONG'],
  ['FeatureNotSupported in every version', refused(0x08), 'definitive CONFIGURATION_WRONG'],
  ['UnsupportedProtocolVersion in every version', refused(0x3f), 'definitive CONFIGURATION_WRONG'],
  ['F24 no version in common', new KmipVersionError(host), 'definitive CONFIGURATION_WRONG'],

  ['ResponseTooLarge, our own mistake', refused(0x02), 'transient UNCLASSIFIED'],

  ['GeneralFailure', refused(0x100), 'transient PROVIDER_ERROR'],
  ['InternalServerError', refused(0x2a), 'transient PROVIDER_ERROR'],
  ['ServerLimitExceeded', refused(0x3a), 'transient THROTTLED'],
  ['OperationPending', refused(null, null, 'OperationPending'), 'transient PROVIDER_ERROR'],
  ['OperationPending that claims a reason', refused(0x01, null, 'OperationPending'), 'transient PROVIDER_ERROR'],

  ['SELF_SIGNED_CERT_IN_CHAIN', tls('SELF_SIGNED_CERT_IN_CHAIN'), 'definitive CONFIGURATION_WRONG'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', tls('UNABLE_TO_VERIFY_LEAF_SIGNATURE'), 'definitive CONFIGURATION_WRONG'],
  ['F22 CERT_HAS_EXPIRED', tls('CERT_HAS_EXPIRED'), 'definitive CONFIGURATION_WRONG'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', tls('ERR_TLS_CERT_ALTNAME_INVALID'), 'definitive CONFIGURATION_WRONG'],
  ['a server certificate of tomorrow', tls('CERT_NOT_YET_VALID'), 'transient CLOCK_SKEW'],

  ['alert 40', alert(40), 'transient UNCLASSIFIED'],
  ['alert 42', alert(42), 'definitive CREDENTIALS_INVALID'],
  ['F22 alert 45', alert(45), 'definitive CREDENTIALS_EXPIRED'],
  ['alert 46', alert(46), 'definitive CREDENTIALS_INVALID'],
  ['alert 48', alert(48), 'definitive CREDENTIALS_INVALID'],
  ['alert 49', alert(49), 'definitive CREDENTIALS_INVALID'],
  ['alert 116, which TLS 1.3 sends after the handshake', alert(116, 'answer'), 'definitive CREDENTIALS_INVALID'],
  ['alert 80', alert(80), 'transient PROVIDER_ERROR'],
  ['an alert of nobody', alert(255), 'transient UNCLASSIFIED'],
  ['a port that does not speak TLS', tls('ERR_SSL_WRONG_VERSION_NUMBER'), 'transient UNCLASSIFIED'],

  ['F22 our certificate past its end', broken('KMIP.CLIENT_CERTIFICATE_EXPIRED', 'prepare'), 'definitive CREDENTIALS_EXPIRED'],
  ['our certificate unreadable', broken('KMIP.CLIENT_CERTIFICATE_UNREADABLE', 'prepare'), 'definitive CREDENTIALS_INVALID'],

  ['the end right after the handshake', broken('KMIP.CLOSED', 'answer'), 'transient UNCLASSIFIED'],
  ['ECONNRESET during the handshake', broken('KMIP.CLOSED', 'handshake', 'ECONNRESET'), 'transient UNCLASSIFIED'],

  ['ECONNREFUSED', broken('KMIP.CONNECT_FAILED', 'connect', 'ECONNREFUSED'), 'transient NETWORK'],
  ['ETIMEDOUT', broken('KMIP.CONNECT_FAILED', 'connect', 'ETIMEDOUT'), 'transient TIMEOUT'],
  ['EHOSTUNREACH', broken('KMIP.CONNECT_FAILED', 'connect', 'EHOSTUNREACH'), 'transient NETWORK'],
  ['ENOTFOUND', broken('KMIP.CONNECT_FAILED', 'connect', 'ENOTFOUND'), 'transient NETWORK'],
  ['no connection in time', broken('KMIP.TIMEOUT', 'connect'), 'transient TIMEOUT'],
  ['no handshake in time', broken('KMIP.TIMEOUT', 'handshake'), 'transient TIMEOUT'],
  ['no answer in time', broken('KMIP.TIMEOUT', 'answer'), 'transient TIMEOUT'],
  ['an answer that ends in the middle', broken('KMIP.CLOSED', 'answer', undefined, 60), 'transient NETWORK'],
  ['F24 truncated TTLV', new TtlvError('TTLV.TRUNCATED', 'too short', 0, ''), 'transient PROVIDER_ERROR'],
  ['F24 an unknown version', new KmipMessageError('KMIP.VERSION_UNKNOWN', 'KMIP 7.0', ''), 'transient PROVIDER_ERROR'],

  // Not in the reference.
  ['no reason at all', refused(null), 'transient UNCLASSIFIED'],
  ['a reason of nobody', refused(0x7777), 'transient UNCLASSIFIED'],
  ['something undone that claims a reason', refused(0x01, null, 'OperationUndone'), 'transient UNCLASSIFIED'],
  ['another material than that which wrapped', new KmipUnwrapError('k'), 'definitive CANARY_NOT_UNWRAPPED'],
  ['an address that is not allowed', broken('KMIP.ADDRESS_NOT_ALLOWED', 'connect'), 'transient UNCLASSIFIED'],
  ['our own limit', new CallLimitError('kmip', 5_000), 'transient THROTTLED'],
  ['our own end', new KmipClosedError(), 'transient UNCLASSIFIED'],
];

const short = (error: unknown): string => {
  const { kind, reason } = classifyKmipError(error);
  return `${kind} ${reason}`;
};

describe('what errors of KMIP mean', () => {
  it.each(TABLE)('%s', (_, error, expected) => {
    expect(short(error)).toBe(expected);
  });

  it('F26 a list of hosts is definitive only when every host is', () => {
    const expired = tls('CERT_HAS_EXPIRED');
    const dead = broken('KMIP.CONNECT_FAILED', 'connect', 'ECONNREFUSED');
    expect(short(new KmipHostsError([expired, dead]))).toBe('transient NETWORK');
    expect(short(new KmipHostsError([dead, expired]))).toBe('transient NETWORK');
    expect(short(new KmipHostsError([expired, alert(48)]))).toBe('definitive CONFIGURATION_WRONG');
    expect(classifyKmipError(new KmipHostsError([expired, dead])).errorName).toBe('ECONNREFUSED');
    expect(short(new KmipHostsError([]))).toBe('transient UNCLASSIFIED');
  });

  it('never stops a database for a reason or a code that is not in the table', () => {
    const known = new Set<number>(Object.values(ResultReason));
    fc.assert(
      fc.property(
        fc.oneof(
          fc
            .integer({ min: 0, max: 0xffff_ffff })
            .filter((reason) => !known.has(reason))
            .map((reason) => refused(reason)),
          fc.string().map((code) => tls(`X_${code}`)),
          fc.integer({ min: 117, max: 255 }).map((number) => alert(number)),
          fc.string().map((code) => broken('KMIP.CLOSED', 'answer', code)),
          fc.anything(),
        ),
        (error) => {
          expect(classifyKmipError(error).kind).toBe('transient');
        },
      ),
    );
  });

  it('carries evidence: the shortest name, the words of the server, no more than events allow', () => {
    expect(classifyKmipError(refused(0x0c, 'Could not locate object: 7'))).toEqual({
      kind: 'definitive',
      reason: 'ACCESS_DENIED',
      errorName: 'PermissionDenied',
      message: 'kmip.example.com:5696: Get: OperationFailed, PermissionDenied: Could not locate object: 7',
      httpStatus: null,
      requestId: null,
    });
    expect(classifyKmipError(new KmipKeyStateError('7', State.PreActive)).message).toBe('The key 7 is PreActive: activate it.');
    expect(classifyKmipError(broken('KMIP.CLOSED', 'answer')).message).toContain('it may not accept our client certificate');
    expect(classifyKmipError(alert(48)).errorName).toBe('TLS alert 48');
    expect(classifyKmipError(refused(0x2b)).errorName).toBe('0x0000002B');
    expect(classifyKmipError(refused(1, 'x'.repeat(5_000))).message).toHaveLength(MAX_MESSAGE_LENGTH);
    for (const [, error] of TABLE) {
      const verdict = classifyKmipError(error);
      expect(verdict.errorName).toBeTruthy();
      if (verdict.kind === 'definitive') expect(DEFINITIVE_REASONS).toContain(verdict.reason);
    }
  });
});
