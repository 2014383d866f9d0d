import { createHmac, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import type { Clock } from '@atrest/platform-time';
import { EntraFailure } from './azure-failures.js';

/** What a client needs to prove that it is an application of the directory. */
export interface ApplicationCredentials {
  readonly tenantId: string;
  readonly clientId: string;
  readonly clientSecret: string;
}

/** What a token was issued for. */
export interface IssuedToken {
  readonly tenantId: string;
  readonly clientId: string;
  /** The resource, e.g. `https://vault.azure.net`. */
  readonly audience: string;
  readonly expiresAt: number;
}

interface Application {
  readonly tenantId: string;
  readonly clientId: string;
  readonly secrets: Map<string, { expiresAt: number | null }>;
  disabled: boolean;
  federated: boolean;
}

const TOKEN_LIFETIME_S = 3_600;
const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** The tenants, applications and tokens of a Microsoft Entra directory, in memory. */
export class EntraDirectory {
  private readonly tenants = new Set<string>();
  private readonly applications = new Map<string, Application>();
  private readonly tokens = new Map<string, IssuedToken>();
  /** Signs the assertions of workloads in place of a cluster's issuer. */
  private readonly issuerKey = randomBytes(32);

  constructor(private readonly clock: Clock) {}

  createTenant(): string {
    const tenantId = randomUUID();
    this.tenants.add(tenantId);
    return tenantId;
  }

  createApplication(tenantId: string): ApplicationCredentials {
    const clientId = randomUUID();
    this.applications.set(clientId, { tenantId, clientId, secrets: new Map(), disabled: false, federated: false });
    return { tenantId, clientId, clientSecret: this.addSecret(clientId) };
  }

  addSecret(clientId: string): string {
    const secret = randomBytes(30).toString('base64url');
    this.application(clientId).secrets.set(secret, { expiresAt: null });
    return secret;
  }

  /** Every secret of the application expires now, or is removed. */
  endSecrets(clientId: string, how: 'expired' | 'removed'): void {
    const { secrets } = this.application(clientId);
    if (how === 'removed') secrets.clear();
    for (const secret of secrets.values()) secret.expiresAt = this.clock.now().getTime();
  }

  setApplication(clientId: string, change: 'disabled' | 'enabled' | 'deleted' | 'federated'): void {
    const application = this.application(clientId);
    if (change === 'deleted') this.applications.delete(clientId);
    else if (change === 'federated') application.federated = true;
    else application.disabled = change === 'disabled';
  }

  /** What a workload would find in its federated token file. */
  issueAssertion(clientId: string, o: { validForMs?: number } = {}): string {
    const now = this.clock.now().getTime();
    const { validForMs = 3_600_000 } = o;
    const claims = {
      sub: clientId,
      aud: 'api://AzureADTokenExchange',
      nbf: Math.min(now, now + validForMs) - 60_000,
      exp: now + validForMs,
    };
    const payload = Buffer.from(JSON.stringify(claims)).toString('base64url');
    return `${payload}.${this.signature(payload)}`;
  }

  /** Answers a request for a token; fails as Entra does. */
  issueToken(tenantId: string, form: URLSearchParams, skewMs: number): object {
    const now = this.clock.now().getTime();
    if (!this.tenants.has(tenantId)) {
      throw new EntraFailure(
        90002,
        'invalid_request',
        `Tenant '${tenantId}' not found. Check to make sure you have the correct tenant ID.`,
      );
    }
    const clientId = form.get('client_id') ?? '';
    const application = this.applications.get(clientId);
    if (application?.tenantId !== tenantId) {
      const words = `Application with identifier '${clientId}' was not found in the directory '${tenantId}'.`;
      throw new EntraFailure(700016, 'unauthorized_client', words);
    }
    if (application.disabled) throw new EntraFailure(7000112, 'unauthorized_client', `Application '${clientId}'(Atrest) is disabled.`);
    if (form.get('client_assertion_type') === ASSERTION_TYPE) {
      this.verifyAssertion(application, form.get('client_assertion') ?? '', now + skewMs);
    } else {
      verifySecret(application, form.get('client_secret') ?? '', now + skewMs);
    }
    const scope = form.get('scope') ?? '';
    const audience = scope
      .split(' ')
      .find((one) => one.endsWith('/.default'))
      ?.slice(0, -'/.default'.length);
    if (audience === undefined) throw new EntraFailure(1002012, 'invalid_scope', `The provided value for scope ${scope} is not valid.`);
    const token = randomBytes(40).toString('base64url');
    this.tokens.set(token, { tenantId, clientId, audience, expiresAt: now + TOKEN_LIFETIME_S * 1_000 });
    return { token_type: 'Bearer', expires_in: TOKEN_LIFETIME_S, ext_expires_in: TOKEN_LIFETIME_S, access_token: token };
  }

  tokenOf(authorization: string | undefined): IssuedToken | undefined {
    return this.tokens.get(/^Bearer (.+)$/.exec(authorization ?? '')?.[1] ?? '');
  }

  private verifyAssertion(application: Application, assertion: string, nowMs: number): void {
    const [payload = '', signature = ''] = assertion.split('.');
    const expected = Buffer.from(this.signature(payload));
    const given = Buffer.from(signature);
    if (expected.length !== given.length || !timingSafeEqual(expected, given)) {
      throw new EntraFailure(
        700027,
        'invalid_client',
        'The certificate with identifier used to sign the client assertion is not registered.',
      );
    }
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as { sub: string; nbf: number; exp: number };
    if (nowMs >= claims.exp || nowMs < claims.nbf) {
      const [current, from, until] = [nowMs, claims.nbf, claims.exp].map((ms) => new Date(ms).toISOString());
      const words = `Client assertion is not within its valid time range. Current time: ${current}, assertion valid from ${from}, expiry time of assertion ${until}.`;
      throw new EntraFailure(700024, 'invalid_client', words);
    }
    if (!application.federated || claims.sub !== application.clientId) {
      const words = `No matching federated identity record found for presented assertion subject '${claims.sub}'.`;
      throw new EntraFailure(700213, 'invalid_client', words);
    }
  }

  private signature(payload: string): string {
    return createHmac('sha256', this.issuerKey).update(payload).digest('base64url');
  }

  private application(clientId: string): Application {
    const application = this.applications.get(clientId);
    if (application === undefined) throw new Error(`there is no application ${clientId}`);
    return application;
  }
}

function verifySecret(application: Application, secret: string, nowMs: number): void {
  const known = application.secrets.get(secret);
  if (known === undefined) {
    const words = `Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '${application.clientId}'.`;
    throw new EntraFailure(7000215, 'invalid_client', words);
  }
  if (known.expiresAt !== null && known.expiresAt <= nowMs) {
    throw new EntraFailure(7000222, 'invalid_client', `The provided client secret keys for app '${application.clientId}' are expired.`);
  }
}
