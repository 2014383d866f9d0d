import { createSecureServer } from 'node:http2';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { startDevelopmentGoogleCloudKms, type GoogleCloudFault } from '@atrest/testing';
import { describe, expect, it } from 'vitest';
import { checkCanary, proveKey } from '../canary.js';
import { context, gcpStage, short } from './gcp-stage.contract.js';

describe('Google Cloud KMS under faults', () => {
  const stage = gcpStage();

  const rpc = (status: Extract<GoogleCloudFault, { kind: 'error' }>['status'], message: string, reason?: string): GoogleCloudFault => ({
    kind: 'error',
    status,
    message,
    ...(reason !== undefined && { reason }),
  });
  const NAME = 'projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1';
  // The rows of the reference, each through the SDK.
  const faults: [string, GoogleCloudFault, string][] = [
    [
      'F05 Google Cloud: permission denied',
      rpc('PERMISSION_DENIED', `Permission 'cloudkms.cryptoKeyVersions.useToDecrypt' denied on resource '${NAME}' (or it may not exist).`),
      'definitive ACCESS_DENIED',
    ],
    [
      'F07 Google Cloud: API not enabled',
      rpc(
        'PERMISSION_DENIED',
        'Cloud Key Management Service (KMS) API has not been used in project 1 before or it is disabled.',
        'SERVICE_DISABLED',
      ),
      'definitive CONFIGURATION_WRONG',
    ],
    [
      'F07 Google Cloud: API not enabled, as a precondition',
      rpc('FAILED_PRECONDITION', 'Cloud Key Management Service (KMS) API has not been used in project 1 before or it is disabled.'),
      'definitive CONFIGURATION_WRONG',
    ],
    [
      'F17 Google Cloud: billing is off',
      rpc('PERMISSION_DENIED', 'This API method requires billing to be enabled.', 'BILLING_DISABLED'),
      'definitive CONFIGURATION_WRONG',
    ],
    [
      'F17 Google Cloud: project suspended',
      rpc('PERMISSION_DENIED', "Permission denied: Consumer 'projects/1' has been suspended.", 'CONSUMER_SUSPENDED'),
      'definitive ACCESS_DENIED',
    ],
    [
      'VPC Service Controls',
      rpc('PERMISSION_DENIED', "VPC Service Controls: Request is prohibited by organization's policy.", 'SECURITY_POLICY_VIOLATED'),
      'definitive CONFIGURATION_WRONG',
    ],
    [
      'a scope that does not suffice',
      rpc('PERMISSION_DENIED', 'Request had insufficient authentication scopes.', 'ACCESS_TOKEN_SCOPE_INSUFFICIENT'),
      'definitive CONFIGURATION_WRONG',
    ],
    [
      'F06 Google Cloud: unauthenticated',
      rpc('UNAUTHENTICATED', 'Request had invalid authentication credentials.'),
      'definitive CREDENTIALS_INVALID',
    ],
    ['F16 Google Cloud: unauthenticated for a clock', rpc('UNAUTHENTICATED', 'Invalid JWT: iat is in the future'), 'transient CLOCK_SKEW'],
    [
      'F03 Google Cloud: key not found',
      rpc('NOT_FOUND', 'CryptoKey projects/p/locations/l/keyRings/r/cryptoKeys/k not found.'),
      'definitive KEY_NOT_FOUND',
    ],
    [
      'F01 Google Cloud: version disabled',
      rpc('FAILED_PRECONDITION', `${NAME} is not enabled, current state is: DISABLED.`),
      'definitive KEY_DISABLED',
    ],
    [
      'F03 Google Cloud: version destroyed',
      rpc('FAILED_PRECONDITION', `${NAME} is not enabled, current state is: DESTROYED.`),
      'definitive KEY_NOT_FOUND',
    ],
    [
      'F02 Google Cloud: destruction scheduled',
      rpc('FAILED_PRECONDITION', `${NAME} is not enabled, current state is: DESTROY_SCHEDULED.`),
      'definitive KEY_PENDING_DELETION',
    ],
    [
      'a version that waits for its import',
      rpc('FAILED_PRECONDITION', `${NAME} is not enabled, current state is: PENDING_IMPORT.`),
      'definitive KEY_PENDING_IMPORT',
    ],
    [
      'a version that is being generated',
      rpc('FAILED_PRECONDITION', `${NAME} is not enabled, current state is: PENDING_GENERATION.`),
      'transient KEY_UNAVAILABLE',
    ],
    [
      'a state that nobody knows',
      rpc('FAILED_PRECONDITION', `${NAME} is not enabled, current state is: DREAMING.`),
      'transient UNCLASSIFIED',
    ],
    [
      'an external key manager out of reach',
      rpc('FAILED_PRECONDITION', 'The external key manager could not be reached.'),
      'transient KEY_UNAVAILABLE',
    ],
    [
      'an external key manager out of reach, unavailable',
      rpc('UNAVAILABLE', 'The external key manager could not be reached.'),
      'transient KEY_UNAVAILABLE',
    ],
    [
      'a blob of another key',
      rpc('INVALID_ARGUMENT', "Decryption failed: verify that 'name' refers to the correct CryptoKey."),
      'definitive CANARY_NOT_UNWRAPPED',
    ],
    [
      'F07 Google Cloud: wrong purpose',
      rpc('INVALID_ARGUMENT', 'The CryptoKey purpose ASYMMETRIC_SIGN is not valid for this request.'),
      'definitive KEY_USAGE_WRONG',
    ],
    [
      'a malformed name',
      rpc('INVALID_ARGUMENT', 'Invalid resource field value in the request.', 'RESOURCE_NAME_INVALID'),
      'definitive CONFIGURATION_WRONG',
    ],
    ['an invalid argument that nobody knows', rpc('INVALID_ARGUMENT', 'Mercury is in retrograde.'), 'transient UNCLASSIFIED'],
    [
      'F08 Google Cloud: quota',
      rpc('RESOURCE_EXHAUSTED', "Quota exceeded for quota metric 'Cryptographic requests'", 'RATE_LIMIT_EXCEEDED'),
      'transient THROTTLED',
    ],
    ['F09 Google Cloud: unavailable', rpc('UNAVAILABLE', 'The service is currently unavailable.'), 'transient PROVIDER_ERROR'],
    ['F09 Google Cloud: internal', rpc('INTERNAL', 'Internal error encountered.'), 'transient PROVIDER_ERROR'],
    ['F09 Google Cloud: unknown', rpc('UNKNOWN', 'Stream removed'), 'transient PROVIDER_ERROR'],
    ['F09 Google Cloud: aborted', rpc('ABORTED', 'aborted'), 'transient PROVIDER_ERROR'],
    ['F09 Google Cloud: cancelled', rpc('CANCELLED', 'cancelled'), 'transient PROVIDER_ERROR'],
    ['F09 Google Cloud: deadline of the service', rpc('DEADLINE_EXCEEDED', 'deadline exceeded'), 'transient TIMEOUT'],
    ['F12 Google Cloud: no answer after the request was sent', { kind: 'hang' }, 'transient TIMEOUT'],
    ['a reset before the answer', { kind: 'reset' }, 'transient NETWORK'],
    ['F15 Google Cloud: other bytes', { kind: 'wrong-plaintext' }, 'definitive CANARY_DIFFERS'],
    ['an answer that was damaged on its way', { kind: 'damaged-answer' }, 'transient PROVIDER_ERROR'],
    ['a request that was damaged on its way', { kind: 'damaged-request' }, 'transient PROVIDER_ERROR'],
  ];
  it.each(faults)('%s', async (_, fault, expected) => {
    const provider = stage.open({}, { requestTimeoutMs: fault.kind === 'hang' ? 500 : 5_000 });
    const canary = await stage.proven(provider);
    const before = stage.kms.calls().length;
    stage.kms.inject(fault);
    expect(short(await checkCanary(provider, canary, context))).toBe(expected);
    // No retries but one with a new token.
    expect(stage.kms.calls().length - before).toBe(fault.kind === 'error' && fault.status === 'UNAUTHENTICATED' ? 2 : 1);
    stage.kms.clearFaults();
    // The same provider works again at once, on a new connection if need be.
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    expect(short(await checkCanary(provider.fresh(), canary, context))).toBe('usable null');
  });

  it('does not trust an encryption whose checksums nobody verified', async () => {
    stage.kms.inject({ kind: 'unverified' });
    expect(await stage.proof(stage.open())).toBe('transient UNCLASSIFIED');
    stage.kms.clearFaults();
    stage.kms.inject({ kind: 'damaged-answer', operations: ['Encrypt'] });
    expect(await stage.proof(stage.open())).toBe('transient PROVIDER_ERROR');
  });

  const tokenFaults: [string, GoogleCloudFault, string][] = [
    [
      'F06 Google Cloud: invalid_grant',
      { kind: 'token-error', status: 400, error: 'invalid_grant', description: 'Invalid JWT Signature.' },
      'definitive CREDENTIALS_INVALID',
    ],
    ['F16 Google Cloud: our clock is behind', { kind: 'clock-skew', offsetMs: 3 * 3_600_000 }, 'transient CLOCK_SKEW'],
    ['F16 Google Cloud: our clock is ahead', { kind: 'clock-skew', offsetMs: -3 * 3_600_000 }, 'transient CLOCK_SKEW'],
    ['F08 Google Cloud: token endpoint throttles', { kind: 'token-error', status: 429 }, 'transient THROTTLED'],
    ['F09 Google Cloud: token endpoint is broken', { kind: 'token-error', status: 503 }, 'transient PROVIDER_ERROR'],
    [
      'F09 Google Cloud: a broken token endpoint that claims something definitive',
      { kind: 'token-error', status: 500, error: 'invalid_grant' },
      'transient PROVIDER_ERROR',
    ],
    ['F11 Google Cloud: captive portal before the token endpoint', { kind: 'token-web-page' }, 'transient UNCLASSIFIED'],
    ['a proxy that forbids', { kind: 'token-error', status: 403 }, 'transient UNCLASSIFIED'],
    ['F12 Google Cloud: token endpoint does not answer', { kind: 'token-hang' }, 'transient TIMEOUT'],
    [
      'a client that was deleted',
      { kind: 'token-error', status: 401, error: 'invalid_client', description: 'The OAuth client was not found.' },
      'definitive CREDENTIALS_INVALID',
    ],
  ];
  it.each(tokenFaults)('%s', async (_, fault, expected) => {
    const provider = stage.open({}, { requestTimeoutMs: fault.kind === 'token-hang' ? 500 : 5_000 });
    stage.kms.inject(fault);
    const before = stage.kms.tokenRequests;
    expect(await stage.proof(provider)).toBe(expected);
    expect(stage.kms.tokenRequests - before).toBe(1);
    stage.kms.clearFaults();
    expect(await stage.proof(provider)).toBe('usable null');
  });

  it('F06 Google Cloud: a token that ended during a check is renewed once; a deleted key of the stage.account is found out by a fresh provider', async () => {
    const provider = stage.open();
    const canary = await stage.proven(provider);
    const requests = stage.kms.tokenRequests;
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    expect(stage.kms.tokenRequests).toBe(requests);
    stage.kms.expireTokens();
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    expect(stage.kms.tokenRequests).toBe(requests + 1);
    const doomed = await stage.kms.createServiceAccount();
    const other = stage.open({ serviceAccountKey: JSON.stringify(doomed) });
    await stage.proven(other);
    stage.kms.deleteServiceAccount(doomed['client_email']!, doomed['private_key_id']!);
    expect(await stage.proof(other)).toBe('usable null');
    expect(await stage.proof(other.fresh())).toBe('definitive CREDENTIALS_INVALID');
    stage.kms.expireTokens();
    expect(await stage.proof(other)).toBe('definitive CREDENTIALS_INVALID');
    stage.kms.deleteServiceAccount(doomed['client_email']!);
    expect((await proveKey(other.fresh(), context)).verdict).toMatchObject({ errorName: 'invalid_grant', httpStatus: 400 });
  });

  it('F10 Google Cloud: an unresolvable name and a closed port are network errors, also of the token endpoint', async () => {
    const closed = createTcpServer();
    await new Promise<void>((resolve) => {
      closed.listen(0, '127.0.0.1', resolve);
    });
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => {
      closed.close(resolve);
    });
    const unresolvable = `${'x'.repeat(64)}.invalid`;
    for (const change of [
      { port },
      { host: unresolvable },
      { tokenOrigin: `http://127.0.0.1:${port}` },
      { tokenOrigin: `http://${unresolvable}` },
    ]) {
      expect([change, await stage.proof(stage.open({}, {}, change))]).toEqual([change, 'transient NETWORK']);
    }
  });

  it('F11 Google Cloud: an untrusted and an expired certificate are network errors', async () => {
    const expired = await startDevelopmentGoogleCloudKms({ certificateValidForMs: -60_000 });
    try {
      const { port, rootCertificates } = expired.endpoint;
      expect(await stage.proof(stage.open({}, {}, { port, rootCertificates }))).toBe('transient NETWORK');
      // The certificate of another server.
      expect(await stage.proof(stage.open({}, {}, { rootCertificates }))).toBe('transient NETWORK');
    } finally {
      await expired.close();
    }
  });

  it.each([200, 401, 403, 404, 502])('F11 Google Cloud: a proxy that answers HTTP %i with a web page proves nothing', async (status) => {
    const proxy = createSecureServer({ cert: stage.kms.certificate.certificate, key: stage.kms.certificate.privateKey });
    const sessions = new Set<{ destroy(): void }>();
    proxy.on('session', (session) => sessions.add(session));
    proxy.on('stream', (stream) => {
      stream.respond({ ':status': status, 'content-type': 'text/html' });
      stream.end('<!doctype html><title>Welcome</title>');
    });
    await new Promise<void>((resolve) => {
      proxy.listen(0, '127.0.0.1', resolve);
    });
    const { port } = proxy.address() as AddressInfo;
    const { verdict } = await proveKey(stage.open({}, {}, { port }), context);
    expect(verdict.kind).toBe('transient');
    for (const session of sessions) session.destroy();
    proxy.close();
  });

  it('F05 Google Cloud: permissions count per operation', async () => {
    const provider = stage.open();
    const canary = await stage.proven(provider);
    stage.kms.deny({ operations: ['Encrypt'] });
    expect(short(await checkCanary(provider, canary, context))).toBe('usable null');
    expect(await stage.proof(provider)).toBe('definitive ACCESS_DENIED');
    stage.kms.deny({ operations: ['GetCryptoKey'] });
    const description = await provider.describe();
    expect(description).toMatchObject({ state: 'ENABLED', usage: null });
    expect(description).not.toHaveProperty('rotation');
    stage.kms.allow();
    stage.kms.deny({ operations: ['Decrypt'] });
    expect(short(await checkCanary(provider, canary, context))).toBe('definitive ACCESS_DENIED');
    expect((await provider.describe()).state).toBe('ENABLED');
  });

  it('F03 F07 Google Cloud: a deleted key, a destroyed version and a key for signatures', async () => {
    const canary = await stage.proven(stage.open());
    stage.kms.destroy(stage.key.version);
    expect(short(await checkCanary(stage.open(), canary, context))).toBe('definitive KEY_NOT_FOUND');
    expect((await stage.open().describe()).state).toBe('DESTROYED');
    stage.kms.deleteKey(stage.key.key);
    expect(short(await checkCanary(stage.open(), canary, context))).toBe('definitive KEY_NOT_FOUND');
    const signing = stage.kms.createKey({ purpose: 'ASYMMETRIC_SIGN' });
    expect(await stage.proof(stage.open({ keyVersionResourceID: signing.version }))).toBe('definitive KEY_USAGE_WRONG');
    const other = stage.kms.createKey();
    const moved = { ...canary, blob: { ...canary.blob, resolvedKeyId: other.version } };
    expect(short(await checkCanary(stage.open(), moved, context))).toBe('definitive CANARY_NOT_UNWRAPPED');
  });
});
