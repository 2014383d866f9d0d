import {
  createHttpHeaders,
  createPipelineFromOptions,
  createPipelineRequest,
  RestError,
  type HttpClient,
  type HttpMethods,
  type Pipeline,
  type PipelineResponse,
} from '@azure/core-rest-pipeline';
import { IncompleteAnswerError } from '../errors.js';
import type { AzureKeyId } from './azure-clouds.js';

/** What Key Vault's REST interface is asked. */
export type KeyVaultOperation = 'wrapkey' | 'unwrapkey' | 'getkey' | 'getdeletedkey';

/** `details` of the `RestError` of a refused request. */
export interface KeyVaultErrorDetails {
  readonly operation: KeyVaultOperation;
  /** The most precise code in the answer, `innererror` before `error`; null when the answer was not Key Vault's. */
  readonly innerCode: string | null;
}

/** The part of Key Vault's description of a key that we use. Times in seconds since 1970. */
export interface KeyVaultKey {
  readonly kid: string;
  readonly kty: string | null;
  readonly operations: readonly string[];
  /** Of the modulus; null for a key that has none. */
  readonly bits: number | null;
  readonly enabled: boolean | null;
  readonly notBefore: number | null;
  readonly expires: number | null;
  readonly created: number | null;
  readonly recoveryLevel: string | null;
  /** Only of a deleted key. */
  readonly scheduledPurge: number | null;
}

/** In service since 2022 in all clouds; it has all that is used here. */
const API_VERSION = '7.4';

/** Wrapping and unwrapping always happen in the vault: the SDK's `CryptographyClient` would read the key first and wrap by itself. */
export class KeyVaultClient {
  private readonly pipeline: Pipeline;

  constructor(private readonly http: HttpClient) {
    this.pipeline = createPipelineFromOptions({
      // `withTransientRetries` retries; and a vault has no reason to send us elsewhere with our token.
      retryOptions: { maxRetries: 0 },
      redirectOptions: { maxRetries: 0 },
      userAgentOptions: { userAgentPrefix: 'atrest' },
    });
  }

  /** Gives back what the vault made of `value`. `RSA-OAEP-256` in both directions. */
  async crypto(operation: 'wrapkey' | 'unwrapkey', key: AzureKeyId, value: Uint8Array, token: string): Promise<Buffer> {
    const path = `/keys/${key.name}/${key.version}/${operation}`;
    const body = { alg: 'RSA-OAEP-256', value: Buffer.from(value).toString('base64url') };
    const answer = await this.send({ operation, method: 'POST', host: key.host, path, token, body });
    const { kid, value: result } = answer;
    if (typeof result !== 'string' || result === '') throw new IncompleteAnswerError(operation, 'value');
    if (typeof kid !== 'string' || kid.toLowerCase() !== urlOf(key).toLowerCase()) {
      throw new IncompleteAnswerError(operation, 'kid of the key that was asked');
    }
    return Buffer.from(result, 'base64url');
  }

  async getKey(key: AzureKeyId, token: string): Promise<KeyVaultKey> {
    const path = `/keys/${key.name}/${key.version}`;
    return keyOf(await this.send({ operation: 'getkey', method: 'GET', host: key.host, path, token }), 'getkey');
  }

  /** A key that was deleted and can still be recovered. Azure shows it by name only: all its versions go together. */
  async getDeletedKey(key: AzureKeyId, token: string): Promise<KeyVaultKey> {
    const path = `/deletedkeys/${key.name}`;
    return keyOf(await this.send({ operation: 'getdeletedkey', method: 'GET', host: key.host, path, token }), 'getdeletedkey');
  }

  private async send(o: {
    operation: KeyVaultOperation;
    method: HttpMethods;
    host: string;
    path: string;
    token: string;
    body?: object;
  }): Promise<Record<string, unknown>> {
    const response = await this.pipeline.sendRequest(
      this.http,
      createPipelineRequest({
        url: `https://${o.host}${o.path}?api-version=${API_VERSION}`,
        method: o.method,
        headers: createHttpHeaders({
          Accept: 'application/json',
          'Content-Type': 'application/json',
          Authorization: `Bearer ${o.token}`,
        }),
        ...(o.body !== undefined && { body: JSON.stringify(o.body) }),
      }),
    );
    const answer = objectOf(response.bodyAsText);
    if (response.status !== 200) throw refusal(o.operation, response, answer);
    // A captive portal answers 200 with a page of its own.
    if (answer === null) throw new RestError('The answer is not JSON.', { ...evidence(response), code: RestError.PARSE_ERROR });
    return answer;
  }
}

export const urlOf = (key: AzureKeyId): string => `https://${key.host}/keys/${key.name}/${key.version}`;

const evidence = (response: PipelineResponse) => ({ statusCode: response.status, request: response.request, response });

/** The SDK's error for a refused request. A code is taken from Key Vault's own form of error only: a proxy's page has none. */
function refusal(operation: KeyVaultOperation, response: PipelineResponse, answer: Record<string, unknown> | null): RestError {
  const error = childOf(answer, 'error');
  const code = textOf(error, 'code');
  const words = textOf(error, 'message') ?? `HTTP ${response.status} in place of an answer of Key Vault`;
  const refused = new RestError(words, { ...evidence(response), ...(code !== null && { code }) });
  let innerCode = code;
  for (let inner = childOf(error, 'innererror'); inner !== null; inner = childOf(inner, 'innererror'))
    innerCode = textOf(inner, 'code') ?? innerCode;
  const details: KeyVaultErrorDetails = { operation, innerCode };
  refused.details = details;
  return refused;
}

function keyOf(answer: Record<string, unknown>, operation: KeyVaultOperation): KeyVaultKey {
  const key = childOf(answer, 'key');
  const attributes = childOf(answer, 'attributes');
  const kid = textOf(key, 'kid');
  if (kid === null) throw new IncompleteAnswerError(operation, 'key.kid');
  const modulus = textOf(key, 'n');
  const operations = key?.['key_ops'];
  const enabled = attributes?.['enabled'];
  return {
    kid,
    kty: textOf(key, 'kty'),
    operations: Array.isArray(operations) ? operations.filter((one) => typeof one === 'string') : [],
    bits: modulus === null ? null : Buffer.from(modulus, 'base64url').length * 8,
    enabled: typeof enabled === 'boolean' ? enabled : null,
    notBefore: numberOf(attributes, 'nbf'),
    expires: numberOf(attributes, 'exp'),
    created: numberOf(attributes, 'created'),
    recoveryLevel: textOf(attributes, 'recoveryLevel'),
    scheduledPurge: numberOf(answer, 'scheduledPurgeDate'),
  };
}

function objectOf(text: string | null | undefined): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text ?? '');
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function childOf(parent: Record<string, unknown> | null, name: string): Record<string, unknown> | null {
  const value = parent?.[name];
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
}

function textOf(parent: Record<string, unknown> | null, name: string): string | null {
  const value = parent?.[name];
  return typeof value === 'string' ? value : null;
}

function numberOf(parent: Record<string, unknown> | null, name: string): number | null {
  const value = parent?.[name];
  return typeof value === 'number' ? value : null;
}
