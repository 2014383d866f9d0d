// Excluded from the package like every *.contract.ts: for the suites of this library only.
import { randomUUID } from 'node:crypto';
import { newObjectId, type Role } from '@atrest/contracts';
import { ACCESS_TOKEN_ALGORITHM, ACCESS_TOKEN_AUDIENCE, ACCESS_TOKEN_TYPE, AccessStore } from '@atrest/platform-auth';
import { createHttpApp, type HttpApp } from '@atrest/platform-http';
import { createLogger } from '@atrest/platform-logging';
import { Metrics } from '@atrest/platform-metrics';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose';
import type { SnapshotCatalogService } from '../snapshot-catalog.service.js';
import { ISSUER, START, type Stage } from './stage.contract.js';

export interface ApiAnswer {
  readonly status: number;
  readonly headers: Headers;
  // eslint-disable-next-line typescript/no-explicit-any -- whatever the service answers; the tests look into it.
  readonly body: any;
}

const KEY_ID = 'signing-key-1';

/** The service behind HTTP, with service accounts that carry real tokens. */
export class Api {
  private constructor(
    private readonly stage: Stage,
    private readonly http: HttpApp,
    readonly url: string,
    private readonly signingKey: CryptoKey,
  ) {}

  static async open(stage: Stage, service: SnapshotCatalogService): Promise<Api> {
    const { privateKey, publicKey } = await generateKeyPair(ACCESS_TOKEN_ALGORITHM, { extractable: true });
    const { kty, crv, x, y } = await exportJWK(publicKey);
    const until = new Date(START.getTime() + 365 * 86_400_000).toISOString();
    const publicJwk = { kty: kty!, crv: crv!, x: x!, y: y! };
    const state = { kid: KEY_ID, publicJwk, signsUntil: until, acceptedUntil: until };
    await stage.database.transaction((tx) => new AccessStore(stage.database, stage.clock).applySigningKey(tx, state));
    const logger = createLogger({ service: 'http', level: 'silent' });
    const http = await createHttpApp({ modules: [service.module], logger, metrics: new Metrics() });
    return new Api(stage, http, await http.listen(0, '127.0.0.1'), privateKey);
  }

  /** The token of a new service account with one role in one project; ORG_OWNER in the organisation of that id. */
  async tokenFor(role: Role, id: string): Promise<string> {
    const ofOrganisation = role === 'ORG_OWNER';
    const orgId = ofOrganisation ? id : newObjectId();
    const clientId = `mdb_sa_id_${newObjectId()}`;
    const grants = [{ role, orgId: ofOrganisation ? id : null, projectId: ofOrganisation ? null : id }];
    const account = { clientId, orgId, name: 'test', grants, signingKeys: [], deletedAt: null, revision: 1 };
    await this.stage.database.transaction((tx) => new AccessStore(this.stage.database, this.stage.clock).applyServiceAccount(tx, account));
    const now = Math.floor(this.stage.clock.now().getTime() / 1_000);
    return new SignJWT({})
      .setProtectedHeader({ alg: ACCESS_TOKEN_ALGORITHM, typ: ACCESS_TOKEN_TYPE, kid: KEY_ID })
      .setSubject(clientId)
      .setJti(randomUUID())
      .setIssuer(ISSUER)
      .setAudience(ACCESS_TOKEN_AUDIENCE)
      .setIssuedAt(now)
      .setExpirationTime(now + 3_600)
      .sign(this.signingKey);
  }

  async request(method: string, path: string, options: { token?: string; body?: unknown; prefix?: string } = {}): Promise<ApiAnswer> {
    const mediaType = 'application/vnd.atlas.2025-03-12+json';
    const response = await fetch(`${this.url}${options.prefix ?? '/api/atlas/v2'}${path}`, {
      method,
      headers: {
        accept: mediaType,
        ...(options.token !== undefined && { authorization: `Bearer ${options.token}` }),
        ...(options.body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(options.body !== undefined && { body: JSON.stringify(options.body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === '' ? null : JSON.parse(text) };
  }

  close(): Promise<void> {
    return this.http.close();
  }
}
