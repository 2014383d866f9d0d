import fc from 'fast-check';
import { DEFINITIVE_REASONS } from '@atrest/contracts';
import { describe, expect, it } from 'vitest';
import { CallLimitError } from '../errors.js';
import { MAX_MESSAGE_LENGTH } from '../verdict.js';
import { AssumeRoleError } from './aws-assumed-role.js';
import { classifyAwsError } from './aws-error-classification.js';

const ARN = 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';

interface Row {
  readonly name: string;
  readonly http?: number;
  readonly message?: string;
  readonly code?: string;
  readonly cause?: unknown;
  readonly session?: boolean;
  readonly skew?: boolean;
  readonly is: string;
}

// The reference table of AWS KMS errors, row by row, in its order.
const TABLE: Row[] = [
  { name: 'AccessDeniedException', http: 400, is: 'definitive ACCESS_DENIED' },

  { name: 'UnrecognizedClientException', http: 400, is: 'definitive CREDENTIALS_INVALID' },
  { name: 'InvalidClientTokenId', http: 403, is: 'definitive CREDENTIALS_INVALID' },
  { name: 'MissingAuthenticationToken', http: 403, is: 'definitive CREDENTIALS_INVALID' },
  { name: 'MissingAuthenticationTokenException', http: 400, is: 'definitive CREDENTIALS_INVALID' },
  { name: 'IncompleteSignature', http: 400, is: 'definitive CREDENTIALS_INVALID' },
  { name: 'OptInRequired', http: 403, is: 'definitive CREDENTIALS_INVALID' },
  { name: 'NotAuthorized', http: 400, is: 'definitive CREDENTIALS_INVALID' },

  {
    name: 'InvalidSignatureException',
    http: 400,
    message: 'The request signature we calculated does not match',
    is: 'definitive CREDENTIALS_INVALID',
  },
  { name: 'SignatureDoesNotMatch', http: 403, message: 'does not match', is: 'definitive CREDENTIALS_INVALID' },
  {
    name: 'InvalidSignatureException',
    http: 400,
    message: 'Signature expired: 20261123T0 is now earlier than',
    is: 'transient CLOCK_SKEW',
  },
  { name: 'InvalidSignatureException', http: 400, message: 'Signature not yet current: 20261123T0', is: 'transient CLOCK_SKEW' },
  { name: 'SignatureDoesNotMatch', http: 403, message: 'Signature expired: 20261123T0', is: 'transient CLOCK_SKEW' },
  { name: 'InvalidSignatureException', http: 400, message: 'does not match', skew: true, is: 'transient CLOCK_SKEW' },

  { name: 'ExpiredTokenException', http: 400, session: true, is: 'definitive CREDENTIALS_EXPIRED' },
  { name: 'ExpiredToken', http: 400, session: true, is: 'definitive CREDENTIALS_EXPIRED' },
  { name: 'RequestExpired', http: 400, session: true, is: 'definitive CREDENTIALS_EXPIRED' },
  { name: 'RequestExpired', http: 400, session: false, is: 'transient CLOCK_SKEW' },
  { name: 'ExpiredTokenException', http: 400, session: true, skew: true, is: 'transient CLOCK_SKEW' },

  { name: 'CredentialsProviderError', message: 'Could not load credentials from any providers', is: 'definitive CREDENTIALS_MISSING' },
  { name: 'CredentialsProviderError', cause: { name: 'TimeoutError', message: 'IMDS' }, is: 'transient TIMEOUT' },
  { name: 'CredentialsProviderError', cause: { name: 'Error', code: 'EHOSTUNREACH' }, is: 'transient NETWORK' },
  { name: 'CredentialsProviderError', cause: { name: 'Error', message: 'who knows' }, is: 'transient UNCLASSIFIED' },
  { name: 'CredentialsProviderError', cause: { name: 'Error', cause: { name: 'ThrottlingException' } }, is: 'transient THROTTLED' },

  { name: 'AccessDenied', http: 403, message: 'not authorized to perform: sts:AssumeRole', is: 'definitive ACCESS_DENIED' },
  { name: 'CredentialsProviderError', cause: { name: 'AccessDenied', $metadata: { httpStatusCode: 403 } }, is: 'definitive ACCESS_DENIED' },

  { name: 'DisabledException', http: 400, message: `${ARN} is disabled.`, is: 'definitive KEY_DISABLED' },
  { name: 'DisabledException', http: 400, message: `${ARN} is pending deletion.`, is: 'definitive KEY_PENDING_DELETION' },
  { name: 'KMSInvalidStateException', http: 400, message: `${ARN} is pending deletion.`, is: 'definitive KEY_PENDING_DELETION' },
  { name: 'KMSInvalidStateException', http: 400, message: `${ARN} is pending replica deletion.`, is: 'definitive KEY_PENDING_DELETION' },
  { name: 'KMSInvalidStateException', http: 400, message: `${ARN} is pending import.`, is: 'definitive KEY_PENDING_IMPORT' },
  { name: 'KMSInvalidStateException', http: 400, message: `${ARN} is unavailable.`, is: 'transient KEY_UNAVAILABLE' },
  { name: 'KMSInvalidStateException', http: 400, message: `${ARN} is creating.`, is: 'transient KEY_UNAVAILABLE' },
  { name: 'KMSInvalidStateException', http: 400, message: `${ARN} is updating.`, is: 'transient KEY_UNAVAILABLE' },
  { name: 'KMSInvalidStateException', http: 400, message: `${ARN} is in a new state.`, is: 'transient UNCLASSIFIED' },

  { name: 'NotFoundException', http: 400, is: 'definitive KEY_NOT_FOUND' },
  { name: 'InvalidArnException', http: 400, is: 'definitive CONFIGURATION_WRONG' },
  { name: 'ValidationException', http: 400, is: 'definitive CONFIGURATION_WRONG' },
  { name: 'UnsupportedOperationException', http: 400, is: 'definitive CONFIGURATION_WRONG' },
  { name: 'InvalidKeyUsageException', http: 400, is: 'definitive KEY_USAGE_WRONG' },
  { name: 'IncorrectKeyException', http: 400, is: 'definitive CANARY_NOT_UNWRAPPED' },
  { name: 'InvalidCiphertextException', http: 400, is: 'definitive CANARY_NOT_UNWRAPPED' },
  { name: 'InvalidGrantTokenException', http: 400, is: 'definitive CONFIGURATION_WRONG' },

  { name: 'ThrottlingException', http: 400, is: 'transient THROTTLED' },
  { name: 'RequestLimitExceeded', http: 400, is: 'transient THROTTLED' },
  { name: 'TooManyRequestsException', http: 429, is: 'transient THROTTLED' },
  { name: 'Unknown', http: 429, is: 'transient THROTTLED' },
  { name: 'AccessDeniedException', http: 429, is: 'transient THROTTLED' },
  { name: 'LimitExceededException', http: 400, is: 'transient THROTTLED' },

  { name: 'KMSInternalException', http: 500, is: 'transient PROVIDER_ERROR' },
  { name: 'DependencyTimeoutException', http: 503, is: 'transient PROVIDER_ERROR' },
  { name: 'KeyUnavailableException', http: 500, is: 'transient KEY_UNAVAILABLE' },
  { name: 'InternalFailure', http: 500, is: 'transient PROVIDER_ERROR' },
  { name: 'ServiceUnavailable', http: 503, is: 'transient PROVIDER_ERROR' },
  { name: 'Unknown', http: 503, is: 'transient PROVIDER_ERROR' },
  { name: 'AccessDeniedException', http: 500, is: 'transient PROVIDER_ERROR' },

  { name: 'CloudHsmClusterNotActiveException', http: 400, is: 'transient KEY_UNAVAILABLE' },
  { name: 'XksProxyUriUnreachableException', http: 400, is: 'transient KEY_UNAVAILABLE' },

  { name: 'TimeoutError', is: 'transient TIMEOUT' },
  { name: 'TimeoutError', code: 'ECONNRESET', is: 'transient NETWORK' },
  { name: 'TimeoutError', code: 'ETIMEDOUT', is: 'transient TIMEOUT' },
  { name: 'AbortError', is: 'transient TIMEOUT' },
  ...['ECONNREFUSED', 'EPIPE', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN'].map((code) => ({
    name: 'Error',
    code,
    is: 'transient NETWORK',
  })),

  // Not in the table: unknown is transient.
  { name: 'QuantumFluxException', http: 400, is: 'transient UNCLASSIFIED' },
  { name: 'Unknown', http: 403, is: 'transient UNCLASSIFIED' },
  { name: 'SyntaxError', http: 200, is: 'transient UNCLASSIFIED' },
  { name: 'Error', code: 'CERT_HAS_EXPIRED', is: 'transient UNCLASSIFIED' },
  { name: 'toString', http: 400, is: 'transient UNCLASSIFIED' },
];

function errorOf(row: Row): Error {
  return Object.assign(new Error(row.message ?? 'words', row.cause === undefined ? {} : { cause: row.cause }), {
    name: row.name,
    ...(row.code !== undefined && { code: row.code }),
    ...((row.http !== undefined || row.skew) && {
      $metadata: { httpStatusCode: row.http, requestId: 'request-1', clockSkewCorrected: row.skew },
    }),
  });
}

const classify = (error: unknown, session = false) => classifyAwsError(error, { hasSessionToken: session });

describe('classification of AWS errors', () => {
  it.each(TABLE.map((row) => [`${row.name} ${row.code ?? row.http ?? ''} ${row.message ?? ''}`, row] as const))('%s', (_, row) => {
    const verdict = classify(errorOf(row), row.session);
    expect(`${verdict.kind} ${verdict.reason}`).toBe(row.is);
    if (row.cause === undefined) {
      expect(verdict).toMatchObject({
        errorName: row.name,
        httpStatus: row.http ?? null,
        requestId: row.http === undefined ? null : 'request-1',
      });
    }
  });

  it('covers every definitive reason that AWS can lead to', () => {
    const reached = new Set(TABLE.map((row) => row.is.split(' ')[1]));
    expect(DEFINITIVE_REASONS.filter((reason) => !reached.has(reason))).toEqual(['CANARY_DIFFERS']);
  });

  // What STS says of our own credentials is no word about the customer's key.
  it.each([
    [{ name: 'AccessDenied', http: 403, message: 'not authorized to perform: sts:AssumeRole' }, 'definitive ACCESS_DENIED'],
    [{ name: 'ValidationError', http: 400 }, 'definitive CONFIGURATION_WRONG'],
    [{ name: 'InvalidClientTokenId', http: 403 }, 'transient UNCLASSIFIED'],
    [{ name: 'SignatureDoesNotMatch', http: 403 }, 'transient UNCLASSIFIED'],
    [{ name: 'SignatureDoesNotMatch', http: 403, message: 'Signature expired: x' }, 'transient CLOCK_SKEW'],
    [{ name: 'ExpiredToken', http: 403 }, 'transient UNCLASSIFIED'],
    [{ name: 'ExpiredTokenException', http: 400 }, 'transient UNCLASSIFIED'],
    [{ name: 'OptInRequired', http: 403 }, 'transient UNCLASSIFIED'],
    [{ name: 'RegionDisabledException', http: 403 }, 'transient UNCLASSIFIED'],
    [{ name: 'CredentialsProviderError' }, 'transient UNCLASSIFIED'],
    [{ name: 'CredentialsProviderError', cause: { name: 'TimeoutError' } }, 'transient TIMEOUT'],
    [{ name: 'Throttling', http: 400 }, 'transient THROTTLED'],
    [{ name: 'AccessDenied', http: 503 }, 'transient PROVIDER_ERROR'],
    [{ name: 'Error', code: 'ENOTFOUND' }, 'transient NETWORK'],
  ] as const)('AssumeRole: %j is %s', (row, is) => {
    const verdict = classify(new AssumeRoleError(errorOf({ ...row, is })), true);
    expect(`${verdict.kind} ${verdict.reason}`).toBe(is);
  });

  it('looks into an AggregateError, where a transient cause outranks a definitive one', () => {
    const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
    const denied = errorOf({ name: 'AccessDeniedException', http: 400, is: '' });
    expect(classify(new AggregateError([refused, refused]))).toMatchObject({ reason: 'NETWORK', message: 'connect' });
    expect(classify(new AggregateError([denied, refused]))).toMatchObject({ reason: 'NETWORK' });
    expect(classify(new AggregateError([denied]))).toMatchObject({ reason: 'ACCESS_DENIED' });
    expect(classify(new AggregateError([]))).toMatchObject({ reason: 'UNCLASSIFIED' });
  });

  it('ends on causes that form a cycle or a forest', () => {
    const cycle: { name: string; cause?: unknown } = { name: 'Error' };
    cycle.cause = { name: 'Error', cause: cycle };
    expect(classify(cycle)).toMatchObject({ reason: 'UNCLASSIFIED' });
    const tree = (depth: number): Error => new AggregateError(depth === 0 ? [] : Array.from({ length: 10 }, () => tree(depth - 1)));
    expect(classify(tree(4))).toMatchObject({ reason: 'UNCLASSIFIED' });
  });

  it('takes our own call limit for throttling', () => {
    expect(classify(new CallLimitError('111122223333/us-east-1', 5_000))).toMatchObject({ kind: 'transient', reason: 'THROTTLED' });
  });

  it('redacts and cuts what the provider said', () => {
    const words = `token AKIAIOSFODNN7EXAMPLE is refused ${'x'.repeat(2_000)}`;
    const { message } = classify(errorOf({ name: 'UnrecognizedClientException', http: 400, message: words, is: '' }));
    expect(message).not.toContain('AKIAIOSFODNN7EXAMPLE');
    expect(message).toHaveLength(MAX_MESSAGE_LENGTH);
  });

  it('never throws, never says usable, and is definitive only for a listed name', () => {
    const listed = new Set(TABLE.filter((row) => row.is.startsWith('definitive')).map((row) => row.name));
    fc.assert(
      fc.property(fc.anything(), fc.boolean(), (thrown, session) => {
        const verdict = classify(thrown, session);
        expect(verdict.kind).not.toBe('usable');
        if (verdict.kind === 'definitive') expect(listed).toContain(verdict.errorName);
      }),
    );
  });
});
