// Excluded from the package like every *.contract.ts: for the suites of this library only.
import { randomUUID } from 'node:crypto';
import { newObjectId, serviceAccountChanged, signingKeyCreated, type Role } from '@atrest/contracts';
import { ACCESS_TOKEN_ALGORITHM, ACCESS_TOKEN_AUDIENCE, ACCESS_TOKEN_TYPE } from '@atrest/platform-auth';
import { createHttpApp, type HttpApp } from '@atrest/platform-http';
import { createLogger } from '@atrest/platform-logging';
import { Metrics } from '@atrest/platform-metrics';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose';
import { DAY, PUBLIC_URL, START, type Stage } from './stage.contract.js';

export interface AlertsAnswer {
  readonly status: number;
  readonly body: { readonly results?: (Record<string, unknown> & { readonly id?: string })[]; readonly errorCode?: string } & Record<
    string,
    unknown
  >;
}

/** The API of the stage's service over HTTP, with service accounts that `fleet` told of. */
export class AlertsHttp {
  private constructor(
    private readonly stage: Stage,
    private readonly http: HttpApp,
    readonly url: string,
    private readonly privateKey: CryptoKey,
  ) {}

  static async open(stage: Stage): Promise<AlertsHttp> {
    const logger = createLogger({ service: 'http', level: 'silent' });
    const http = await createHttpApp({ modules: [stage.service.module], logger, metrics: new Metrics() });
    const url = await http.listen(0, '127.0.0.1');
    const pair = await generateKeyPair(ACCESS_TOKEN_ALGORITHM, { extractable: true });
    const { kty = '', crv = '', x = '', y = '' } = await exportJWK(pair.publicKey);
    const until = new Date(START.getTime() + 365 * DAY).toISOString();
    await stage.deliver(signingKeyCreated, { kid: 'k1', publicJwk: { kty, crv, x, y }, signsUntil: until, acceptedUntil: until });
    return new AlertsHttp(stage, http, url, pair.privateKey);
  }

  /** An access token of a new service account; its client id is the token's subject. */
  async tokenFor(role: Role, projectId: string): Promise<string> {
    const { stage } = this;
    const clientId = `mdb_sa_id_${newObjectId()}`;
    const grants = [{ role, orgId: null, projectId }];
    const account = { clientId, orgId: newObjectId(), name: 'test', grants, signingKeys: [], deletedAt: null, revision: 1 };
    await stage.deliver(serviceAccountChanged, account);
    const now = Math.floor(stage.clock.now().getTime() / 1_000);
    return new SignJWT({})
      .setProtectedHeader({ alg: ACCESS_TOKEN_ALGORITHM, typ: ACCESS_TOKEN_TYPE, kid: 'k1' })
      .setSubject(clientId)
      .setJti(randomUUID())
      .setIssuer(PUBLIC_URL)
      .setAudience(ACCESS_TOKEN_AUDIENCE)
      .setIssuedAt(now)
      .setExpirationTime(now + 3_600)
      .sign(this.privateKey);
  }

  async send(method: string, path: string, token: string, body?: object): Promise<AlertsAnswer> {
    const response = await fetch(`${this.url}/api/atlas/v2${path}`, {
      method,
      headers: {
        accept: 'application/vnd.atlas.2025-03-12+json',
        authorization: `Bearer ${token}`,
        ...(body && { 'content-type': 'application/vnd.atlas.2025-03-12+json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as AlertsAnswer['body'] };
  }

  close(): Promise<void> {
    return this.http.close();
  }
}
