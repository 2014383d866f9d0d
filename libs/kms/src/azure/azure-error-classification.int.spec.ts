import { Metrics } from '@atrest/platform-metrics';
import { systemClock } from '@atrest/platform-time';
import { DevelopmentKeyVault, type AzureFault, type AzureOperation } from '@atrest/testing';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { CallLimiters } from '../call-limiter.js';
import { BlobNotAuthenticError, CallLimitError } from '../errors.js';
import type { WrappedBlob } from '../key-provider.js';
import { sleepFor } from '../transient-retries.js';
import { MAX_MESSAGE_LENGTH, type Verdict } from '../verdict.js';
import { classifyAzureError } from './azure-error-classification.js';
import { AzureKeyProvider, azureRequestQuotaOf } from './azure-key-provider.js';

type Effect = AzureFault;
const vault = (status: number, code: string, innerCode?: string, message?: string): Effect => ({
  kind: 'error',
  status,
  code,
  ...(innerCode !== undefined && { innerCode }),
  ...(message !== undefined && { message }),
});
const forbidden = (innerCode?: string, message?: string): Effect => vault(403, 'Forbidden', innerCode, message);
const entra = (number: number, error: string, status?: number): Effect => ({
  kind: 'aadsts',
  number,
  error,
  ...(status !== undefined && { status }),
});

/** The reference table of Azure's errors, row by row, in its order: what the service answers and what that means. */
const VAULT_ROWS: [answer: Effect, is: string, asked?: AzureOperation][] = [
  [vault(401, 'Unauthorized', undefined, 'AKV10000: Request is missing a Bearer or PoP token.'), 'definitive CREDENTIALS_INVALID'],
  [vault(401, 'Unauthorized', undefined, 'AKV10022: Invalid audience.'), 'definitive CONFIGURATION_WRONG'],
  [vault(401, 'Unauthorized', undefined, 'AKV10032: Invalid issuer.'), 'definitive CONFIGURATION_WRONG'],
  [forbidden('ForbiddenByRbac'), 'definitive ACCESS_DENIED'],
  [forbidden('AccessDenied'), 'definitive ACCESS_DENIED'],
  [forbidden('KeyDisabled', 'Operation unwrapKey is not allowed on a disabled key'), 'definitive KEY_DISABLED'],
  [forbidden('KeyOperationForbidden', 'Operation unwrapKey is not permitted on this key'), 'definitive KEY_USAGE_WRONG'],
  [forbidden('ForbiddenByFirewall', 'Client address is not authorized'), 'definitive ACCESS_DENIED'],
  [forbidden('ForbiddenByConnection'), 'definitive ACCESS_DENIED'],
  [forbidden('ForbiddenByPolicy'), 'definitive ACCESS_DENIED'],
  [forbidden('ForbiddenByPolicy', "The application does not have keys get permission on key vault 'v'."), 'definitive ACCESS_DENIED'],
  [forbidden(undefined, "The application does not have keys unwrapKey permission on key vault 'v'."), 'definitive ACCESS_DENIED'],
  [forbidden(undefined, 'The vault is disabled.'), 'definitive ACCESS_DENIED'],
  [forbidden(undefined, 'The subscription of the vault is suspended.'), 'definitive ACCESS_DENIED'],
  [vault(404, 'KeyNotFound'), 'definitive KEY_NOT_FOUND'],
  [vault(404, 'SecretNotFound'), 'definitive KEY_NOT_FOUND'],
  // UNSURE in the table. While it lasts a key is neither gone nor well, and it ends by itself; only the last of these does not.
  [vault(409, 'Conflict'), 'transient KEY_UNAVAILABLE'],
  [vault(409, 'Conflict', 'ObjectIsBeingDeleted'), 'transient KEY_UNAVAILABLE'],
  [vault(409, 'Conflict', 'ObjectIsBeingRecovered'), 'transient KEY_UNAVAILABLE'],
  [vault(409, 'Conflict', 'ObjectIsDeletedButRecoverable'), 'definitive KEY_PENDING_DELETION'],
  [vault(400, 'BadParameter', undefined, 'The parameter is incorrect.'), 'definitive CANARY_NOT_UNWRAPPED'],
  [vault(400, 'BadParameter', undefined, 'Property alg has invalid value'), 'definitive KEY_USAGE_WRONG', 'wrapKey'],
  [{ kind: 'throttle' }, 'transient THROTTLED'],
  [{ kind: 'throttle', retryAfterSeconds: 30 }, 'transient THROTTLED'],
  [vault(500, 'InternalServerError'), 'transient PROVIDER_ERROR'],
  ...[500, 502, 503, 504].map((status): [Effect, string] => [{ kind: 'error', status }, 'transient PROVIDER_ERROR']),
  [{ kind: 'error', status: 408 }, 'transient TIMEOUT'],

  // Not in the table: the status outranks a definitive code, and what is unknown is transient.
  [vault(503, 'Forbidden', 'KeyDisabled'), 'transient PROVIDER_ERROR'],
  [vault(429, 'Forbidden', 'KeyDisabled'), 'transient THROTTLED'],
  [forbidden('ForbiddenByTheMoon'), 'transient UNCLASSIFIED'],
  [forbidden(), 'transient UNCLASSIFIED'],
  [vault(403, 'KeyNotFound'), 'transient UNCLASSIFIED'],
  [vault(404, 'ResourceNotFound'), 'transient UNCLASSIFIED'],
  [vault(400, 'BadRequest'), 'transient UNCLASSIFIED'],
  [vault(418, 'Teapot'), 'transient UNCLASSIFIED'],
  ...[400, 401, 403, 404, 409].map((status): [Effect, string] => [{ kind: 'error', status }, 'transient UNCLASSIFIED']),
];

const ENTRA_ROWS: [answer: Effect, is: string][] = [
  [entra(7000215, 'invalid_client'), 'definitive CREDENTIALS_INVALID'],
  [entra(7000222, 'invalid_client'), 'definitive CREDENTIALS_EXPIRED'],
  [entra(700016, 'unauthorized_client'), 'definitive CREDENTIALS_INVALID'],
  [entra(90033, 'temporarily_unavailable', 503), 'transient PROVIDER_ERROR'],
  [{ kind: 'error', status: 429 }, 'transient THROTTLED'],
  [{ kind: 'error', status: 500 }, 'transient PROVIDER_ERROR'],
  [{ kind: 'reset' }, 'transient NETWORK'],
  [entra(90002, 'invalid_request'), 'definitive CONFIGURATION_WRONG'],
  [entra(700027, 'invalid_client'), 'definitive CREDENTIALS_INVALID'],
  // DEFINITIVE in the table, which names its cause: a clock. No clock may stop a database (F16).
  [entra(700024, 'invalid_client'), 'transient CLOCK_SKEW'],
  [entra(700030, 'invalid_client'), 'definitive CREDENTIALS_INVALID'],
  [entra(900023, 'invalid_request'), 'definitive CONFIGURATION_WRONG'],
  [entra(50034, 'invalid_grant'), 'definitive CREDENTIALS_INVALID'],
  [entra(50034, 'interaction_required', 400), 'definitive CREDENTIALS_INVALID'],
  [entra(53003, 'invalid_grant'), 'definitive ACCESS_DENIED'],
  [entra(65001, 'invalid_grant'), 'definitive CONFIGURATION_WRONG'],
  [entra(500011, 'invalid_resource'), 'definitive CONFIGURATION_WRONG'],
  [entra(7000112, 'unauthorized_client'), 'definitive CREDENTIALS_INVALID'],
  [entra(5000611, 'invalid_client'), 'definitive CREDENTIALS_INVALID'],
  [entra(50196, 'invalid_grant'), 'transient THROTTLED'],
  [entra(90006, 'server_error', 500), 'transient PROVIDER_ERROR'],
  [entra(90006, 'invalid_client'), 'transient PROVIDER_ERROR'],
  // UNSURE in the table: definitive, since nothing is done without confirmations.
  [entra(99999, 'invalid_client'), 'definitive CREDENTIALS_INVALID'],
  [entra(99999, 'unauthorized_client'), 'definitive CREDENTIALS_INVALID'],
  [entra(99999, 'invalid_grant'), 'definitive CREDENTIALS_INVALID'],

  // Not in the table.
  [entra(70021, 'invalid_request'), 'definitive CREDENTIALS_INVALID'],
  [entra(700211, 'invalid_client'), 'definitive CREDENTIALS_INVALID'],
  [entra(700212, 'invalid_client'), 'definitive CREDENTIALS_INVALID'],
  [entra(700213, 'invalid_client'), 'definitive CREDENTIALS_INVALID'],
  [entra(7000215, 'invalid_client', 503), 'transient PROVIDER_ERROR'],
  [entra(7000215, 'invalid_client', 429), 'transient THROTTLED'],
  [entra(99999, 'server_error', 400), 'transient PROVIDER_ERROR'],
  [entra(99999, 'invalid_request'), 'transient UNCLASSIFIED'],
  [{ kind: 'error', status: 401 }, 'transient UNCLASSIFIED'],
  [{ kind: 'web-page', status: 403 }, 'transient UNCLASSIFIED'],
];

const context = { projectId: 'project', purpose: 'canary' };
const titleOf = (answer: Effect): string =>
  Object.entries(answer)
    .map(([name, value]) => (name === 'kind' ? String(value) : `${name}=${String(value)}`))
    .join(' ');

describe('classification of Azure errors, as the SDK presents them', () => {
  let azure: DevelopmentKeyVault;
  let open: () => AzureKeyProvider;
  let blob: WrappedBlob;

  beforeAll(async () => {
    azure = await DevelopmentKeyVault.start();
    const { clientSecret, ...application } = azure.createApplication();
    const keyIdentifier = await azure.createKey();
    const limiters = new CallLimiters({ clock: systemClock, sleep: sleepFor, quotaOf: azureRequestQuotaOf, share: 1 });
    const metrics = new Metrics();
    open = () =>
      new AzureKeyProvider(
        { keyIdentifier, environment: 'AZURE', ...application, proof: { kind: 'client-secret', clientSecret } },
        { limiters, metrics, development: azure.route },
      );
    const provider = open();
    blob = await provider.wrap(Buffer.alloc(32, 1), context);
    provider.close();
    return () => azure.close();
  });

  const verdictWhen = async (answer: Effect, asked: AzureOperation): Promise<Verdict> => {
    const provider = open();
    const { id } = azure.inject({ ...answer, operations: [asked] });
    try {
      await (asked === 'wrapKey' ? provider.wrap(Buffer.alloc(32, 1), context) : provider.unwrap(blob, context));
    } catch (error) {
      return provider.verdict(error);
    } finally {
      azure.clearFaults(id);
      provider.close();
    }
    throw new Error('the call did not fail');
  };

  it.each(VAULT_ROWS.map(([answer, is, asked]) => [titleOf(answer), is, answer, asked ?? 'unwrapKey'] as const))(
    'vault: %s is %s',
    async (_, is, answer, asked) => {
      const verdict = await verdictWhen(answer, asked);
      expect(`${verdict.kind} ${verdict.reason}`).toBe(is);
      // A network rule is told as one.
      const keptOut = answer.kind === 'error' && /ByFirewall|ByConnection/.test(answer.innerCode ?? '');
      if (keptOut) expect(verdict.message).toMatch(/^A network rule of the vault keeps us out: /);
      if (answer.kind === 'error') expect(verdict).toMatchObject({ httpStatus: answer.status, requestId: azure.calls().at(-1)?.requestId });
    },
  );

  it.each(ENTRA_ROWS.map(([answer, is]) => [titleOf(answer), is, answer] as const))('Entra: %s is %s', async (_, is, answer) => {
    const verdict = await verdictWhen(answer, 'token');
    expect(`${verdict.kind} ${verdict.reason}`).toBe(is);
    if (answer.kind === 'aadsts')
      expect(verdict).toMatchObject({ errorName: `AADSTS${answer.number}`, message: `AADSTS${answer.number}: words of Entra.` });
  });

  it('shows neither the secret nor the headers of a proxy that answered in place of Entra', async () => {
    const { message } = await verdictWhen({ kind: 'web-page', status: 403 }, 'token');
    expect(message).toContain('Http status code: 403');
    expect(message).not.toMatch(/headers|x-ms-request-id/i);
  });
});

describe('classification of other errors', () => {
  const named = (name: string, message: string, more: object = {}) => Object.assign(new Error(message), { name, ...more });
  const short = (error: unknown): string => {
    const { kind, reason } = classifyAzureError(error);
    return `${kind} ${reason}`;
  };

  it("knows the adapter's own errors", () => {
    expect(short(new CallLimitError('vault', 5_000))).toBe('transient THROTTLED');
    expect(short(new BlobNotAuthenticError())).toBe('definitive CANARY_NOT_UNWRAPPED');
  });

  // What earlier versions of the SDK, and authorities that it must look up, lead to.
  it.each([
    ['AuthenticationRequiredError', 'Response had no "expiresOn" property.', 'transient UNCLASSIFIED'],
    ['AuthenticationRequiredError', 'network_error: See https://aka.ms/msal.js.errors#network_error for details', 'transient NETWORK'],
    ['CredentialUnavailableError', 'endpoints_resolution_error: Endpoints cannot be resolved', 'transient NETWORK'],
    [
      'AuthenticationRequiredError',
      'invalid_client: Error(s): 7000215 - Timestamp: now - Description: Not Available',
      'definitive CREDENTIALS_INVALID',
    ],
    ['AuthenticationRequiredError', 'invalid_client: Error(s): 7000215,90033 - Timestamp: now', 'transient PROVIDER_ERROR'],
    ['AuthenticationRequiredError', 'invalid_client: Error(s): Not Available', 'transient UNCLASSIFIED'],
    // Anybody may write a number into a text; only the SDK's classes for tokens count.
    ['Error', 'invalid_client: AADSTS7000215: words', 'transient UNCLASSIFIED'],
  ])('%s %s is %s', (name, message, is) => {
    expect(short(named(name, message))).toBe(is);
  });

  it.each([
    ...['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN'].map((code) => [code, 'NETWORK']),
    ['ETIMEDOUT', 'TIMEOUT'],
    ['CERT_HAS_EXPIRED', 'UNCLASSIFIED'],
    ['toString', 'UNCLASSIFIED'],
  ])('a request that got no answer for %s is transient %s', (code, reason) => {
    expect(classifyAzureError(named('RestError', 'words', { code }))).toMatchObject({ kind: 'transient', reason, errorName: code });
  });

  it('redacts and cuts what was said', () => {
    const { message } = classifyAzureError(named('RestError', `Bearer eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2ln ${'x'.repeat(2_000)}`));
    expect(message).not.toContain('eyJhbGciOiJSUzI1NiJ9');
    expect(message).toHaveLength(MAX_MESSAGE_LENGTH);
  });

  it('never throws, never says usable, and is never definitive for what it does not know', () => {
    fc.assert(
      fc.property(fc.anything(), (thrown) => {
        expect(classifyAzureError(thrown)).toMatchObject({ kind: 'transient', reason: 'UNCLASSIFIED' });
      }),
    );
  });
});
