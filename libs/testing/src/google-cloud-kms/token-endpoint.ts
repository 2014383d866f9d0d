import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createPublicKey, randomBytes, verify, type KeyObject } from 'node:crypto';
import type { Clock } from '@atrest/platform-time';
import type { GoogleCloudFaults } from './faults.js';

/** How far a JWT's times may lie from the server's. */
const MAX_SKEW_MS = 5 * 60_000;
const MAX_BODY_BYTES = 64 * 1024;
const SCOPES = ['https://www.googleapis.com/auth/cloud-platform', 'https://www.googleapis.com/auth/cloudkms'];

/** An OAuth error answer. */
class TokenFailure extends Error {
  constructor(
    readonly status: number,
    readonly body: Record<string, unknown>,
  ) {
    super('refused');
  }
}

const refused = (error: string, description: string, status = 400): TokenFailure =>
  new TokenFailure(status, { error, error_description: description });

/**
 * The endpoints that give out access tokens, each below the path it has at Google: `/token` (a JWT signed by a service account's
 * key), `/v1/token` (an identity of a workload identity pool) and `…:generateAccessToken` (a pool's identity becomes a service account).
 */
export class TokenEndpoint {
  /** Public keys of each service account. */
  readonly accounts = new Map<string, Map<string, KeyObject>>();
  /** Subject tokens of workload identity pools: token → audience and subject. */
  readonly subjects = new Map<string, { readonly audience: string; readonly subject: string; readonly expiresAt: number }>();
  /** Which pool's subjects may become which service account. */
  readonly impersonations = new Set<string>();
  private readonly tokens = new Map<string, { readonly principal: string; readonly expiresAt: number }>();
  private readonly server: Server;
  private count = 0;

  constructor(
    private readonly clock: Clock,
    private readonly faults: GoogleCloudFaults,
    private readonly lifetimeMs: number,
  ) {
    this.server = createServer((request, response) => {
      this.serve(request, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(0, '127.0.0.1', resolve);
    });
  }

  /** Scheme, host and port. */
  get origin(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Requests for tokens so far. */
  get requests(): number {
    return this.count;
  }

  /** Who a token stands for; null when it is unknown or has expired. */
  principalOf(token: string): string | null {
    const known = this.tokens.get(token);
    return known !== undefined && known.expiresAt > this.clock.now().getTime() ? known.principal : null;
  }

  /** Ends every token that was given out. */
  expireTokens(): void {
    this.tokens.clear();
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => {
      this.server.close(resolve);
    });
    this.server.closeAllConnections();
    await closed;
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request);
    this.count += 1;
    const fault = this.faults.take('token');
    const reply = (status: number, value: unknown): void => {
      response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }).end(JSON.stringify(value));
    };
    if (fault?.kind === 'token-hang') return;
    if (fault?.kind === 'token-web-page') {
      response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>Welcome</title><p>Please log in.</p>');
      return;
    }
    if (fault?.kind === 'token-error') {
      const { error, description } = fault;
      if (error === undefined) response.writeHead(fault.status).end();
      else reply(fault.status, { error, error_description: description ?? '' });
      return;
    }
    const nowMs = this.clock.now().getTime() + (fault?.kind === 'clock-skew' ? fault.offsetMs : 0);
    try {
      reply(200, this.answer(request, new URLSearchParams(body), nowMs));
    } catch (error) {
      if (!(error instanceof TokenFailure)) throw error;
      reply(error.status, error.body);
    }
  }

  private answer(request: IncomingMessage, form: URLSearchParams, nowMs: number): Record<string, unknown> {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname;
    if (path === '/token') return this.bearer(`serviceAccount:${this.serviceAccountOf(form, nowMs)}`);
    if (path === '/v1/token')
      return { ...this.bearer(this.subjectOf(form, nowMs)), issued_token_type: 'urn:ietf:params:oauth:token-type:access_token' };
    const account = /^\/v1\/projects\/-\/serviceAccounts\/([^/:]+):generateAccessToken$/.exec(path)?.[1];
    if (account === undefined) throw new TokenFailure(404, { error: { code: 404, message: 'Not found.', status: 'NOT_FOUND' } });
    return this.impersonate(decodeURIComponent(account), request.headers.authorization ?? '');
  }

  private bearer(principal: string): Record<string, unknown> {
    const { token } = this.issue(principal);
    return { access_token: token, expires_in: Math.floor(this.lifetimeMs / 1000), token_type: 'Bearer' };
  }

  private issue(principal: string): { token: string; expiresAt: number } {
    const token = `ya29.${randomBytes(48).toString('base64url')}`;
    const expiresAt = this.clock.now().getTime() + this.lifetimeMs;
    this.tokens.set(token, { principal, expiresAt });
    return { token, expiresAt };
  }

  private serviceAccountOf(form: URLSearchParams, nowMs: number): string {
    if (form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:jwt-bearer')
      throw refused('unsupported_grant_type', 'Invalid grant_type.');
    const [head = '', payload = '', signature = ''] = (form.get('assertion') ?? '').split('.');
    const claims = parseJson(payload);
    const email = textOf(claims['iss']);
    const keys = this.accounts.get(email);
    if (keys === undefined) throw refused('invalid_grant', 'Invalid grant: account not found');
    const signed = [...keys.values()].some((key) =>
      verify('RSA-SHA256', Buffer.from(`${head}.${payload}`), key, Buffer.from(signature, 'base64url')),
    );
    if (!signed) throw refused('invalid_grant', 'Invalid JWT Signature.');
    const [iat, exp] = [Number(claims['iat']) * 1000, Number(claims['exp']) * 1000];
    if (!(iat <= nowMs + MAX_SKEW_MS && exp > nowMs - MAX_SKEW_MS && exp - iat <= 3_600_000)) {
      throw refused(
        'invalid_grant',
        'Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.',
      );
    }
    if (claims['aud'] !== 'https://oauth2.googleapis.com/token') throw refused('invalid_grant', 'Invalid JWT: Failed audience check.');
    if (
      !textOf(claims['scope'])
        .split(' ')
        .some((scope) => SCOPES.includes(scope))
    )
      throw refused('invalid_scope', 'Invalid OAuth scope.');
    return email;
  }

  private subjectOf(form: URLSearchParams, nowMs: number): string {
    const known = this.subjects.get(form.get('subject_token') ?? '');
    if (known === undefined) throw refused('invalid_grant', 'The subject token is not valid.');
    if (known.audience !== form.get('audience')) {
      throw refused('invalid_target', 'The target service indicated by the "audience" parameters is invalid.');
    }
    if (known.expiresAt <= nowMs) throw refused('invalid_grant', 'ID Token is stale to sign-in.');
    return `principal:${known.subject}`;
  }

  private impersonate(account: string, authorization: string): Record<string, unknown> {
    const principal = this.principalOf(authorization.replace(/^Bearer /, ''));
    if (principal === null) {
      throw new TokenFailure(401, {
        error: { code: 401, message: 'Request had invalid authentication credentials.', status: 'UNAUTHENTICATED' },
      });
    }
    if (!this.impersonations.has(`${principal} ${account}`)) {
      const message = "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).";
      throw new TokenFailure(403, { error: { code: 403, message, status: 'PERMISSION_DENIED' } });
    }
    const { token, expiresAt } = this.issue(`serviceAccount:${account}`);
    return { accessToken: token, expireTime: new Date(expiresAt).toISOString() };
  }
}

/** The public half of a service account's key. */
export const publicKeyOf = (privateKey: string): KeyObject => createPublicKey(privateKey);

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

function parseJson(part: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    // Whatever is no JSON object names no account, which is how it is refused.
    return {};
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) throw new Error('the body is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
