/** An OAuth 2 error as the token endpoint answers it (RFC 6749 §5.2; texts where clients read them as Atlas has them). */
export interface OAuthRefusal {
  readonly status: 400 | 401 | 429;
  readonly error: 'invalid_request' | 'invalid_client' | 'unsupported_grant_type' | 'temporarily_unavailable';
  readonly description: string;
  readonly retryAfterSeconds?: number;
}

export interface ClientCredentials {
  readonly clientId: string;
  readonly secret: string;
}

/** The one answer for an unknown client, a wrong secret, an expired secret and a deleted account: nobody learns which accounts exist. */
export const INVALID_CLIENT: OAuthRefusal = { status: 401, error: 'invalid_client', description: 'Invalid credentials provided.' };

const invalidRequest = (description: string): OAuthRefusal => ({ status: 400, error: 'invalid_request', description });

export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refusal: OAuthRefusal };

const accept = <T>(value: T): Parsed<T> => ({ ok: true, value });
const refuse = (refusal: OAuthRefusal): { ok: false; refusal: OAuthRefusal } => ({ ok: false, refusal });

/** The body of an OAuth request as the HTTP layer parsed it: strings, or lists where a name came twice. */
export interface OAuthRequest {
  readonly contentType: string | undefined;
  readonly authorization: string | undefined;
  readonly body: unknown;
}

/** A request for a token: client credentials and `grant_type=client_credentials`. */
export function parseTokenRequest(request: OAuthRequest): Parsed<ClientCredentials> {
  const form = parseForm(request);
  if (!form.ok) return form;
  const grantType = form.value.get('grant_type');
  if (grantType === undefined) return refuse(invalidRequest('The parameter grant_type is missing.'));
  if (grantType !== 'client_credentials') {
    return refuse({ status: 400, error: 'unsupported_grant_type', description: 'Only the grant type client_credentials is supported.' });
  }
  return credentialsOf(request.authorization, form.value);
}

/** A request to revoke a token (RFC 7009). The token type hint is allowed and not needed: there is only one type. */
export function parseRevocationRequest(request: OAuthRequest): Parsed<ClientCredentials & { readonly token: string }> {
  const form = parseForm(request);
  if (!form.ok) return form;
  const credentials = credentialsOf(request.authorization, form.value);
  if (!credentials.ok) return credentials;
  const token = form.value.get('token');
  if (token === undefined) return refuse(invalidRequest('The parameter token is missing.'));
  return accept({ ...credentials.value, token });
}

function parseForm(request: OAuthRequest): Parsed<ReadonlyMap<string, string>> {
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(request.contentType ?? '')) {
    return refuse(invalidRequest('The content type must be application/x-www-form-urlencoded.'));
  }
  const form = new Map<string, string>();
  if (typeof request.body === 'object' && request.body !== null) {
    for (const [name, value] of Object.entries(request.body)) {
      // RFC 6749 §3.2: a parameter may not come twice, and one without a value is as if it were left out.
      if (typeof value !== 'string') return refuse(invalidRequest('A parameter is given twice.'));
      if (value !== '') form.set(name, value);
    }
  }
  return accept(form);
}

function credentialsOf(authorization: string | undefined, form: ReadonlyMap<string, string>): Parsed<ClientCredentials> {
  const clientId = form.get('client_id');
  const secret = form.get('client_secret');
  if (authorization === undefined) return clientId && secret ? accept({ clientId, secret }) : refuse(INVALID_CLIENT);
  if (secret !== undefined) return refuse(invalidRequest('Credentials must come in the header or in the body, not in both.'));
  const basic = parseBasic(authorization);
  if (basic === undefined) return refuse(INVALID_CLIENT);
  if (clientId !== undefined && clientId !== basic.clientId)
    return refuse(invalidRequest('client_id differs from the Authorization header.'));
  return accept(basic);
}

function parseBasic(authorization: string): ClientCredentials | undefined {
  const encoded = /^basic +([A-Za-z0-9+/=_-]+) *$/i.exec(authorization)?.[1];
  if (encoded === undefined) return undefined;
  const decoded = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  if (colon <= 0 || colon === decoded.length - 1) return undefined;
  return { clientId: formDecode(decoded.slice(0, colon)), secret: formDecode(decoded.slice(colon + 1)) };
}

/** RFC 6749 §2.3.1 encodes both halves like a form; clients that do not (MCP) send text which decodes to itself. A stray '%' is taken as it stands. */
function formDecode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}
