import type { googleAuthLibrary } from 'google-gax';
import { IncompleteAnswerError, KmsUsageError } from '../errors.js';
import type { GcpCredentials, GcpExternalAccount } from './gcp-credentials.js';

type Library = typeof googleAuthLibrary;
type AuthClient = InstanceType<Library['JWT'] | Library['IdentityPoolClient']>;
type Transport = InstanceType<Library['gaxios']['Gaxios']>;

/**
 * Tokens live for an hour, and longer than the key or account they were given on. After so long a new one is asked for, which finds
 * out that a key of an account was deleted; a fresh provider finds out at once.
 */
const MAX_AGE_MS = 15 * 60_000;

/** Narrower than `cloud-platform`: such a token opens nothing but Cloud KMS. */
const SCOPE = 'https://www.googleapis.com/auth/cloudkms';

export interface GcpAccessTokensOptions {
  /** Milliseconds for one request to a token endpoint; an impersonation makes two. */
  readonly requestTimeoutMs: number;
  /** Replaces scheme, host and port of Google's token endpoints: for the development Google Cloud KMS. */
  readonly tokenOrigin?: string;
  /** Milliseconds of a clock that only goes forward. */
  readonly now?: () => number;
}

/**
 * Access tokens for one set of credentials, from explicit credentials only. The vendor's library gets and renews them; what it
 * does by itself beside that (its default lookup, retries for minutes, redirects, requests without a time-out) is switched off.
 */
export class GcpAccessTokens {
  private client: AuthClient | null = null;
  private last: { readonly token: string; readonly since: number } | null = null;

  constructor(
    private readonly credentials: GcpCredentials,
    private readonly options: GcpAccessTokensOptions,
  ) {}

  /** A token that is valid for some minutes at least, and whether it was given out before. Rejects with the library's own error. */
  async get(): Promise<{ readonly token: string; readonly reused: boolean }> {
    const { now = () => performance.now() } = this.options;
    if (this.last !== null && now() - this.last.since >= MAX_AGE_MS) this.forget();
    const client = (this.client ??= await this.create());
    const authorization = (await client.getRequestHeaders()).get('authorization') ?? '';
    const token = authorization.replace(/^Bearer /, '');
    // The library takes whatever comes with HTTP 200: a captive portal's page becomes the token "undefined".
    if (token === '' || token === 'undefined' || token === 'null') {
      this.forget();
      throw new IncompleteAnswerError('the request for an access token', 'access_token');
    }
    const reused = token === this.last?.token;
    if (!reused) this.last = { token, since: now() };
    return { token, reused };
  }

  /** The next token is a new one. */
  forget(): void {
    this.client = null;
    this.last = null;
  }

  private async create(): Promise<AuthClient> {
    const { googleAuthLibrary: library } = await import('google-gax');
    const { credentials } = this;
    const transporter = this.transport(library);
    if (credentials.kind === 'external-account') return externalClient(library, credentials, transporter);
    // With a scope of its own the library asks the token endpoint, which says "wrong clock" where Cloud KMS would only say "unauthenticated".
    return new library.JWT({ email: credentials.clientEmail, key: credentials.privateKey, scopes: [SCOPE], transporter });
  }

  private transport(library: Library): Transport {
    const { requestTimeoutMs, tokenOrigin } = this.options;
    const transport = new library.gaxios.Gaxios({
      timeout: requestTimeoutMs,
      // `withTransientRetries` retries.
      retryConfig: { retry: 0, noResponseRetries: 0 },
      // A redirect would carry a token to an address that nobody checked.
      redirect: 'error',
      maxContentLength: 64 * 1024,
    });
    const allowed = addressesOf(this.credentials);
    transport.interceptors.request.add({
      resolved: async (request) => {
        const url = new URL(request.url);
        if (!allowed.has(`${url.origin}${url.pathname}`)) throw new KmsUsageError(`No credentials are sent to ${url.origin}.`);
        if (tokenOrigin !== undefined) request.url = new URL(url.pathname + url.search, tokenOrigin);
        return request;
      },
    });
    return transport;
  }
}

/** Every address that may be asked with these credentials. */
function addressesOf(credentials: GcpCredentials): ReadonlySet<string> {
  if (credentials.kind === 'service-account') return new Set(['https://oauth2.googleapis.com/token']);
  const { tokenUrl, impersonationUrl, source } = credentials;
  const urls = [tokenUrl, impersonationUrl, source.url].filter((url) => url !== null && url !== undefined).map((url) => new URL(url));
  return new Set(urls.map((url) => `${url.origin}${url.pathname}`));
}

function externalClient(library: Library, account: GcpExternalAccount, transporter: Transport): AuthClient {
  const { source } = account;
  const client = new library.IdentityPoolClient({
    type: 'external_account',
    audience: account.audience,
    subject_token_type: account.subjectTokenType,
    token_url: account.tokenUrl,
    ...(account.impersonationUrl !== null && { service_account_impersonation_url: account.impersonationUrl }),
    credential_source: {
      ...(source.file !== undefined && { file: source.file }),
      ...(source.url !== undefined && { url: source.url }),
      ...(source.headers !== undefined && { headers: { ...source.headers } }),
      ...(source.format !== undefined && { format: { ...source.format } }),
    },
    scopes: [SCOPE],
    transporter,
  });
  // The library exchanges tokens on a transport of its own, without a time-out, and offers no other way to give it ours.
  const exchange: unknown = Reflect.get(client, 'stsCredential');
  if (typeof exchange !== 'object' || exchange === null || !Reflect.has(exchange, 'transporter')) {
    throw new TypeError('google-auth-library keeps its token exchange elsewhere than the version this was written for');
  }
  Reflect.set(exchange, 'transporter', transporter);
  return client;
}
