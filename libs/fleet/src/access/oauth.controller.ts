import { ACCESS_TOKEN_ALGORITHM, AccessStore } from '@atrest/platform-auth';
import { answer, AtlasRoute, BodyError, type Answer } from '@atrest/platform-http';
import { Controller, Inject, Req } from '@nestjs/common';
import { AccessTokens } from './access-tokens.js';
import { parseRevocationRequest, parseTokenRequest, type OAuthRefusal, type OAuthRequest } from './token-request.js';
import { ACCESS_STORE, ACCESS_TOKENS } from './provider-tokens.js';

interface IncomingRequest {
  readonly headers: { readonly 'content-type'?: string; readonly authorization?: string };
  readonly body: unknown;
  /** The peer's address. */
  readonly ip: string;
}

/** RFC 6749 §5.1: nothing on the way may keep a token, nor an error about credentials. */
const NO_STORE = { 'cache-control': 'no-store', pragma: 'no-cache' };

/**
 * How long others may keep the key set. Keys are created a day before they sign, so an hour is safe; far less would make every verifier ask
 * at each start.
 */
const JWKS_MAX_AGE_SECONDS = 3600;

/** OAuth 2 client credentials as the Atlas clients use them, and the public keys for whoever wants to check tokens himself. */
@Controller()
export class OAuthController {
  constructor(
    @Inject(ACCESS_TOKENS) private readonly tokens: AccessTokens,
    @Inject(ACCESS_STORE) private readonly store: AccessStore,
  ) {}

  @AtlasRoute({
    method: 'POST',
    path: '/api/oauth/token',
    access: 'public',
    summary: 'Gives an access token to a service account that proves its secret (RFC 6749 §4.4).',
  })
  async token(@Req() request: IncomingRequest): Promise<Answer<object>> {
    const parsed = parseTokenRequest(requestOf(request));
    if (!parsed.ok) throw refused(parsed.refusal);
    const result = await this.tokens.issue(parsed.value, request.ip);
    if (!result.ok) throw refused(result.refusal);
    return answer({ access_token: result.accessToken, expires_in: result.expiresInSeconds, token_type: 'Bearer' }, { headers: NO_STORE });
  }

  @AtlasRoute({
    method: 'POST',
    path: '/api/oauth/revoke',
    access: 'public',
    summary: 'Revokes an access token of the service account that asks (RFC 7009). Unknown tokens are answered the same.',
  })
  async revoke(@Req() request: IncomingRequest): Promise<Answer<string>> {
    const parsed = parseRevocationRequest(requestOf(request));
    if (!parsed.ok) throw refused(parsed.refusal);
    const { token, ...credentials } = parsed.value;
    const result = await this.tokens.revoke(credentials, token, request.ip);
    if (!result.ok) throw refused(result.refusal);
    return answer('', { headers: NO_STORE });
  }

  @AtlasRoute({
    method: 'GET',
    path: '/api/oauth/jwks',
    access: 'public',
    summary: 'The public keys that access tokens are checked with (RFC 7517).',
  })
  async keys(): Promise<Answer<object>> {
    return this.keySet();
  }

  @AtlasRoute({ method: 'GET', path: '/.well-known/jwks.json', access: 'public', summary: 'The same key set at its usual place.' })
  async wellKnownKeys(): Promise<Answer<object>> {
    return this.keySet();
  }

  private async keySet(): Promise<Answer<object>> {
    const keys = await this.store.acceptedKeys();
    return answer(
      { keys: keys.map(({ kid, publicJwk }) => ({ ...publicJwk, kid, use: 'sig', alg: ACCESS_TOKEN_ALGORITHM })) },
      { headers: { 'cache-control': `public, max-age=${JWKS_MAX_AGE_SECONDS}` } },
    );
  }
}

function requestOf(request: IncomingRequest): OAuthRequest {
  return { contentType: request.headers['content-type'], authorization: request.headers.authorization, body: request.body };
}

function refused(refusal: OAuthRefusal): BodyError {
  return new BodyError(
    refusal.status,
    { error: refusal.error, error_description: refusal.description },
    {
      ...NO_STORE,
      // RFC 6749 §5.2 wants the scheme named. It is the first challenge and the only one.
      ...(refusal.status === 401 ? { 'www-authenticate': 'Basic realm="atrest"' } : {}),
      ...(refusal.retryAfterSeconds === undefined ? {} : { 'retry-after': String(refusal.retryAfterSeconds) }),
    },
  );
}
