import fc from 'fast-check';
import { DEFINITIVE_REASONS } from '@atrest/contracts';
import { describe, expect, it } from 'vitest';
import { CallLimitError, ChecksumMismatchError, IncompleteAnswerError } from '../errors.js';
import { MAX_MESSAGE_LENGTH } from '../verdict.js';
import { classifyGcpError } from './gcp-error-classification.js';

const VERSION = 'projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1';
const status = (code: number, details: string, reason?: string): Error =>
  Object.assign(new Error(`${code} STATUS: ${details}`), { code, details, ...(reason !== undefined && { reason }) });
const http = (httpStatus: number | null, data?: unknown, code?: string): Error =>
  Object.assign(new Error('Request failed'), {
    config: { url: 'https://oauth2.googleapis.com/token' },
    ...(httpStatus !== null && { response: { status: httpStatus, data } }),
    ...(code !== undefined && { code }),
  });
const oauth = (error: string, description = '', httpStatus = 400): Error => http(httpStatus, { error, error_description: description });

// The reference table of Google Cloud errors, row by row; what the SDK can be made to produce is also in gcp-faults.int.spec.ts.
const TABLE: [string, unknown, string][] = [
  [
    'permission denied',
    status(7, `Permission 'cloudkms.cryptoKeyVersions.useToDecrypt' denied on resource '${VERSION}' (or it may not exist).`),
    'definitive ACCESS_DENIED',
  ],
  [
    'API disabled',
    status(7, 'Cloud Key Management Service (KMS) API has not been used in project 1 before or it is disabled.'),
    'definitive CONFIGURATION_WRONG',
  ],
  [
    'API disabled, as a precondition',
    status(9, 'Cloud Key Management Service (KMS) API has not been used in project 1 before or it is disabled.'),
    'definitive CONFIGURATION_WRONG',
  ],
  ['billing', status(7, 'This API method requires billing to be enabled.'), 'definitive CONFIGURATION_WRONG'],
  [
    'VPC Service Controls',
    status(7, "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: x", 'SECURITY_POLICY_VIOLATED'),
    'definitive CONFIGURATION_WRONG',
  ],
  ['scope', status(7, 'access_token scope insufficient'), 'definitive CONFIGURATION_WRONG'],
  ['suspended', status(7, 'Consumer has been suspended.', 'CONSUMER_SUSPENDED'), 'definitive ACCESS_DENIED'],

  ['unauthenticated', status(16, 'Request had invalid authentication credentials.'), 'definitive CREDENTIALS_INVALID'],
  [
    'token expired',
    status(16, 'Request had invalid authentication credentials.', 'ACCESS_TOKEN_EXPIRED'),
    'definitive CREDENTIALS_EXPIRED',
  ],
  ['clock at the service', status(16, 'Invalid JWT: check iat and exp'), 'transient CLOCK_SKEW'],
  ['deleted key of an account', oauth('invalid_grant', 'Invalid JWT Signature.'), 'definitive CREDENTIALS_INVALID'],
  ['deleted account', oauth('invalid_grant', 'Invalid grant: account not found'), 'definitive CREDENTIALS_INVALID'],
  [
    'clock at the token endpoint',
    oauth(
      'invalid_grant',
      'Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.',
    ),
    'transient CLOCK_SKEW',
  ],
  [
    'invalid_grant inside gRPC',
    status(2, 'Getting metadata from plugin failed with error: invalid_grant: Invalid JWT Signature.'),
    'definitive CREDENTIALS_INVALID',
  ],
  [
    'clock inside gRPC',
    status(2, 'Getting metadata from plugin failed with error: invalid_grant: Invalid JWT: check your iat and exp values'),
    'transient CLOCK_SKEW',
  ],
  [
    'bad key inside gRPC',
    status(2, 'Getting metadata from plugin failed with error: error:1E08010C:DECODER routines::unsupported'),
    'definitive CREDENTIALS_INVALID',
  ],
  ['anything else inside gRPC', status(14, 'Getting metadata from plugin failed with error: socket hang up'), 'transient UNCLASSIFIED'],

  ['no credentials', new Error('Could not load the default credentials. Browse to …'), 'definitive CREDENTIALS_MISSING'],
  ['bad key', new Error('error:1E08010C:DECODER routines::unsupported'), 'definitive CREDENTIALS_INVALID'],

  ['key not found', status(5, 'CryptoKey projects/p/locations/l/keyRings/r/cryptoKeys/k not found.'), 'definitive KEY_NOT_FOUND'],
  ['key ring not found', status(5, 'KeyRing projects/p/locations/l/keyRings/r not found.'), 'definitive KEY_NOT_FOUND'],
  ...(
    [
      ['DISABLED', 'definitive KEY_DISABLED'],
      ['DESTROYED', 'definitive KEY_NOT_FOUND'],
      ['DESTROY_SCHEDULED', 'definitive KEY_PENDING_DELETION'],
      ['PENDING_IMPORT', 'definitive KEY_PENDING_IMPORT'],
      ['IMPORT_FAILED', 'definitive KEY_PENDING_IMPORT'],
      ['PENDING_GENERATION', 'transient KEY_UNAVAILABLE'],
      ['GENERATION_FAILED', 'definitive CONFIGURATION_WRONG'],
      ['PENDING_EXTERNAL_DESTRUCTION', 'definitive KEY_PENDING_DELETION'],
      ['EXTERNAL_DESTRUCTION_FAILED', 'definitive KEY_NOT_FOUND'],
      ['A_NEW_STATE', 'transient UNCLASSIFIED'],
    ] as const
  ).map(([state, is]): [string, unknown, string] => [state, status(9, `${VERSION} is not enabled, current state is: ${state}.`), is]),

  [
    'wrong key or context',
    status(3, "Decryption failed: verify that 'name' refers to the correct CryptoKey."),
    'definitive CANARY_NOT_UNWRAPPED',
  ],
  ['wrong purpose', status(3, 'The purpose ASYMMETRIC_SIGN is not valid for this operation.'), 'definitive KEY_USAGE_WRONG'],
  ['malformed name', status(3, 'Invalid resource field value in the request.'), 'definitive CONFIGURATION_WRONG'],
  ['checksum', status(3, 'The checksum in field plaintext_crc32c did not match the data in field plaintext.'), 'transient PROVIDER_ERROR'],

  ['quota', status(8, 'Quota exceeded'), 'transient THROTTLED'],
  ['deadline', status(4, 'Deadline exceeded after 5.0s'), 'transient TIMEOUT'],
  [
    'total time-out of the SDK',
    Object.assign(
      new Error(
        'Total timeout of API google.cloud.kms.v1.KeyManagementService exceeded 1000 milliseconds retrying error Error: 14 UNAVAILABLE: x',
      ),
      { code: 4 },
    ),
    'transient TIMEOUT',
  ],
  ['unavailable', status(14, 'The service is currently unavailable.'), 'transient PROVIDER_ERROR'],
  ['name resolution', status(14, 'Name resolution failed for target dns:cloudkms.googleapis.com:443'), 'transient NETWORK'],
  ['refused', status(14, 'No connection established. Last error: connect ECONNREFUSED 127.0.0.1:1'), 'transient NETWORK'],
  ['internal', status(13, 'Internal error encountered.'), 'transient PROVIDER_ERROR'],
  ['unknown', status(2, 'Stream removed'), 'transient PROVIDER_ERROR'],
  ['aborted', status(10, 'aborted'), 'transient PROVIDER_ERROR'],
  ['cancelled', status(1, 'cancelled'), 'transient PROVIDER_ERROR'],
  ['external manager', status(9, 'The external key manager returned an error'), 'transient KEY_UNAVAILABLE'],
  ['external manager, unavailable', status(14, 'EKM is not reachable'), 'transient KEY_UNAVAILABLE'],

  // What gRPC's client makes of no answer at all.
  ...([7, 9, 16, 5, 3, 8, 12, 14] as const).map((code): [string, unknown, string] => [
    `a proxy's HTTP status as ${code}`,
    status(code, 'Received HTTP status code 403'),
    code === 8 ? 'transient THROTTLED' : code === 12 || code === 9 || code === 3 ? 'transient UNCLASSIFIED' : 'transient NETWORK',
  ]),
  ['a broken stream', status(7, 'Protocol not secure enough'), 'transient NETWORK'],

  // Token endpoints.
  ['OAuth: client', oauth('invalid_client', '', 401), 'definitive CREDENTIALS_INVALID'],
  ['OAuth: not allowed', oauth('unauthorized_client'), 'definitive CREDENTIALS_INVALID'],
  ['OAuth: denied', oauth('access_denied', '', 403), 'definitive ACCESS_DENIED'],
  ['OAuth: audience', oauth('invalid_target'), 'definitive CONFIGURATION_WRONG'],
  ['OAuth: scope', oauth('invalid_scope'), 'definitive CONFIGURATION_WRONG'],
  ['OAuth: our own stale token', oauth('invalid_grant', 'ID Token issued at 1 is stale to sign-in.'), 'transient UNCLASSIFIED'],
  ['OAuth: later', oauth('temporarily_unavailable'), 'transient PROVIDER_ERROR'],
  ['OAuth: slower', oauth('slow_down'), 'transient THROTTLED'],
  ['OAuth: new error', oauth('quantum_flux'), 'transient UNCLASSIFIED'],
  ['OAuth: definitive words with 503', oauth('invalid_client', '', 503), 'transient PROVIDER_ERROR'],
  [
    'impersonation denied',
    http(403, { error: { code: 403, status: 'PERMISSION_DENIED', message: "Permission 'iam.serviceAccounts.getAccessToken' denied" } }),
    'definitive ACCESS_DENIED',
  ],
  [
    'impersonation of nobody',
    http(404, { error: { code: 404, status: 'NOT_FOUND', message: 'Unknown service account' } }),
    'definitive CREDENTIALS_INVALID',
  ],
  ['HTTP 429', http(429), 'transient THROTTLED'],
  ['HTTP 408', http(408), 'transient TIMEOUT'],
  ['a page', http(403, '<html>'), 'transient UNCLASSIFIED'],
  ['token endpoint refused', http(null, undefined, 'ECONNREFUSED'), 'transient NETWORK'],
  ['token endpoint unknown', http(null, undefined, 'ENOTFOUND'), 'transient NETWORK'],
  ['token endpoint slow', http(null, undefined, 'TimeoutError'), 'transient TIMEOUT'],

  ['our own limit', new CallLimitError('p/all-locations', 5_000), 'transient THROTTLED'],
  ['a damaged answer', new ChecksumMismatchError('Decrypt', 'plaintext'), 'transient PROVIDER_ERROR'],
  ['an incomplete answer', new IncompleteAnswerError('Encrypt', 'name'), 'transient UNCLASSIFIED'],
  ['a cause', new Error('wrapped', { cause: status(5, 'CryptoKey not found') }), 'definitive KEY_NOT_FOUND'],
  ['a status that does not exist', status(99, 'x'), 'transient UNCLASSIFIED'],
];

describe('classification of Google Cloud errors', () => {
  it.each(TABLE)('%s', (_, error, is) => {
    const verdict = classifyGcpError(error);
    expect(`${verdict.kind} ${verdict.reason}`).toBe(is);
  });

  it('covers every definitive reason that Google Cloud can lead to', () => {
    const reached = new Set(TABLE.map(([, , is]) => is.split(' ')[1]));
    expect(DEFINITIVE_REASONS.filter((reason) => !reached.has(reason))).toEqual(['CANARY_DIFFERS']);
  });

  it('gives evidence without secrets', () => {
    expect(classifyGcpError(status(7, 'no', 'CONSUMER_SUSPENDED'))).toMatchObject({
      errorName: 'PERMISSION_DENIED',
      message: 'CONSUMER_SUSPENDED: no',
    });
    expect(classifyGcpError(oauth('invalid_grant', 'Invalid JWT Signature.'))).toMatchObject({
      errorName: 'invalid_grant',
      httpStatus: 400,
    });
    const { message } = classifyGcpError(status(16, `Authorization: Bearer ya29.${'s'.repeat(80)} ${'x'.repeat(2_000)}`));
    expect(message).not.toContain('ssss');
    expect(message!.length).toBeLessThanOrEqual(MAX_MESSAGE_LENGTH);
  });

  it('ends on causes that form a cycle', () => {
    const cycle: { name: string; cause?: unknown } = { name: 'Error' };
    cycle.cause = { name: 'Error', cause: cycle };
    expect(classifyGcpError(cycle)).toMatchObject({ reason: 'UNCLASSIFIED' });
  });

  it('never throws, never says usable, and is transient for whatever has no status and no known words', () => {
    fc.assert(
      fc.property(fc.anything(), (thrown) => {
        const verdict = classifyGcpError(thrown);
        expect(verdict.kind).not.toBe('usable');
        const known = typeof thrown === 'object' && thrown !== null && ('code' in thrown || 'config' in thrown || 'message' in thrown);
        if (!known) expect(verdict.kind).toBe('transient');
      }),
    );
  });

  it('no status that gRPC makes up for a proxy is ever definitive', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 100, max: 599 }), (code, httpStatus) => {
        expect(classifyGcpError(status(code, `Received HTTP status code ${httpStatus}`)).kind).toBe('transient');
      }),
    );
  });
});
