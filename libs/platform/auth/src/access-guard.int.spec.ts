import type { RoleGrant, ServiceAccountState, SigningKeyState } from '@atrest/contracts';
import { AtlasRoute, createHttpApp, PathParam, RouteError, type HttpApp } from '@atrest/platform-http';
import { createLogger } from '@atrest/platform-logging';
import { Metrics } from '@atrest/platform-metrics';
import { ServiceDatabase } from '@atrest/platform-persistence';
import { SimulatedClock } from '@atrest/platform-time';
import { testDatabase, waitFor, type TestDatabase } from '@atrest/testing';
import { Controller, Get } from '@nestjs/common';
import { base64url, exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWTPayload } from 'jose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { accessModule } from './access-module.js';
import { accessMigrations, AccessStore } from './access-store.js';
import { ACCESS_TOKEN_AUDIENCE, ACCESS_TOKEN_SECONDS } from './access-token.js';
import type { Caller } from './caller.js';
import { CurrentAgent, CurrentCaller, type AgentCaller } from './current-caller.js';

const start = new Date('2026-11-23T12:00:00.000Z');
const issuer = 'https://atrest.test';
const orgA = 'a'.repeat(24);
const orgB = 'b'.repeat(24);
/** Projects 1 and 2 are of organisation A, 3 is of B, 4 does not exist. */
const project1 = '1'.repeat(24);
const project2 = '2'.repeat(24);
const project3 = '3'.repeat(24);
const project4 = '4'.repeat(24);
const organisations = new Map([
  [project1, orgA],
  [project2, orgA],
  [project3, orgB],
]);
const clientId = `mdb_sa_id_${'c'.repeat(24)}`;
const owner: RoleGrant = { role: 'ORG_OWNER', orgId: orgA, projectId: null };
const inProject = (role: 'GROUP_OWNER' | 'GROUP_READ_ONLY', projectId: string): RoleGrant => ({ role, orgId: null, projectId });

@Controller()
class ProbeController {
  @AtlasRoute({ method: 'GET', path: '/public', access: 'public', summary: 'For everybody.' })
  everybody(): object {
    return { ok: true };
  }
  @AtlasRoute({ method: 'GET', path: '/me', access: 'authenticated', summary: 'For anyone known.' })
  me(@CurrentCaller() caller: Caller): object {
    return { clientId: caller.clientId, owner: caller.hasRole('ORG_OWNER') };
  }
  @AtlasRoute({ method: 'GET', path: '/agent', access: 'agent', summary: 'For agents.' })
  agent(@CurrentAgent() agent: AgentCaller): object {
    return agent;
  }
  @AtlasRoute({ method: 'GET', path: '/groups/:groupId', access: { project: ['GROUP_READ_ONLY'] }, summary: 'For readers of a project.' })
  project(@PathParam('groupId') projectId: string, @CurrentCaller() caller: Caller): object {
    return { projectId, owner: caller.hasRole('GROUP_OWNER', projectId) };
  }
  @AtlasRoute({ method: 'GET', path: '/groups/:groupId/all', access: { project: ['GROUP_OWNER'] }, summary: 'For owners of a project.' })
  owned(): object {
    return { ok: true };
  }
  @AtlasRoute({ method: 'GET', path: '/orgs/:orgId', access: { org: ['ORG_OWNER'] }, summary: 'For owners of an organisation.' })
  organisation(): object {
    return { ok: true };
  }
  @AtlasRoute({ method: 'GET', path: '/org', access: { org: ['ORG_OWNER'] }, summary: 'For owners of their own organisation.' })
  ownOrganisation(): object {
    return { ok: true };
  }
}

/** Forgets to say who may call it. */
@Controller()
class CarelessController {
  @Get('/careless')
  get(): object {
    return {};
  }
}

const logger = createLogger({ service: 'test', level: 'silent' });
let testDb: TestDatabase;
let database: ServiceDatabase;
let clock: SimulatedClock;
let store: AccessStore;
let signing: { kid: string; privateKey: CryptoKey; state: SigningKeyState };
let stranger: CryptoKey;
const apps: HttpApp[] = [];

beforeAll(async () => {
  testDb = await testDatabase('access guard');
  database = await ServiceDatabase.open({
    service: 'guard-test',
    url: testDb.url,
    migrations: accessMigrations,
    logger,
    metrics: new Metrics({}),
  });
  const pair = await generateKeyPair('ES256', { extractable: true });
  const { kty, crv, x, y } = await exportJWK(pair.publicKey);
  signing = {
    kid: 'key-1',
    privateKey: pair.privateKey,
    state: {
      kid: 'key-1',
      publicJwk: { kty: kty!, crv: crv!, x: x!, y: y! },
      signsUntil: new Date(start.getTime() + 86_400_000).toISOString(),
      acceptedUntil: new Date(start.getTime() + 90_000_000).toISOString(),
    },
  };
  stranger = (await generateKeyPair('ES256')).privateKey;
});
afterAll(async () => {
  await database?.close();
  await testDb?.drop();
});
beforeEach(async () => {
  await database.query('TRUNCATE access_service_account, access_signing_key, access_revoked_token');
  clock = new SimulatedClock(start);
  store = new AccessStore(database, clock);
  await database.transaction((tx) => store.applySigningKey(tx, signing.state));
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const app of apps.splice(0)) await app.close();
});

/** An app whose store is never behind unless a wait is given. */
async function serve(o: { projectionWaitMs?: number; guards?: number } = {}): Promise<(path: string, token?: string) => Promise<Response>> {
  const guard = () =>
    accessModule({
      store,
      clock,
      logger,
      issuer,
      projects: { organisationOf: async (projectId) => organisations.get(projectId) ?? null },
      agentAuthenticator: { authenticate: async (bearer) => (bearer === 'agent-credential' ? { hostId: 'host-1' } : null) },
      projectionWaitMs: o.projectionWaitMs ?? 0,
    });
  class Probe {}
  const app = await createHttpApp({
    modules: [...Array.from({ length: o.guards ?? 1 }, guard), { module: Probe, controllers: [ProbeController] }],
    logger,
    metrics: new Metrics({}),
  });
  apps.push(app);
  const url = await app.listen(0, '127.0.0.1');
  return (path, token) => fetch(`${url}${path}`, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } });
}

let revision = 0;
async function haveAccount(...grants: RoleGrant[]): Promise<ServiceAccountState> {
  revision += 1;
  const state = { clientId, orgId: orgA, name: 'ci', grants, signingKeys: [], deletedAt: null, revision };
  await database.transaction((tx) => store.applyServiceAccount(tx, state));
  return state;
}

interface TokenParts {
  claims?: { [Claim in keyof JWTPayload]?: JWTPayload[Claim] | undefined };
  header?: { kid?: string; typ?: string };
  key?: CryptoKey;
}

async function token({ claims = {}, header = {}, key = signing.privateKey }: TokenParts = {}): Promise<string> {
  const now = Math.floor(clock.now().getTime() / 1000);
  const all = {
    iss: issuer,
    aud: ACCESS_TOKEN_AUDIENCE,
    sub: clientId,
    jti: 'token-1',
    iat: now,
    exp: now + ACCESS_TOKEN_SECONDS,
    ...claims,
  };
  // Through JSON, which leaves out what is undefined.
  const payload: JWTPayload = JSON.parse(JSON.stringify(all));
  return new SignJWT(payload).setProtectedHeader({ alg: 'ES256', kid: signing.kid, typ: 'at+jwt', ...header }).sign(key);
}

/** A token whose header says that it is not signed. */
async function unsigned(): Promise<string> {
  const [, payload] = (await token()).split('.');
  return `${base64url.encode(JSON.stringify({ alg: 'none', typ: 'at+jwt', kid: signing.kid }))}.${payload}.`;
}

/** A token "signed" with the public key as an HMAC secret, which a verifier that trusts the header would accept. */
async function confused(): Promise<string> {
  const secret = new TextEncoder().encode(JSON.stringify(signing.state.publicJwk));
  const now = Math.floor(clock.now().getTime() / 1000);
  return new SignJWT({ iss: issuer, aud: ACCESS_TOKEN_AUDIENCE, sub: clientId, jti: 'x', iat: now, exp: now + 60 })
    .setProtectedHeader({ alg: 'HS256', kid: signing.kid, typ: 'at+jwt' })
    .sign(secret);
}

describe('who is let in', () => {
  it('an account with a valid token', async () => {
    await haveAccount(owner);
    const get = await serve();
    const response = await get('/me', await token());
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ clientId, owner: true });
  });

  it('everybody, where a route is public', async () => {
    expect((await (await serve())('/public')).status).toBe(200);
  });

  it('an agent on its routes, and nobody else there', async () => {
    await haveAccount(owner);
    const get = await serve();
    expect(await (await get('/agent', 'agent-credential')).json()).toEqual({ hostId: 'host-1' });
    expect((await get('/agent', await token())).status).toBe(401);
    expect((await get('/me', 'agent-credential')).status).toBe(401);
  });

  it.each<[string, () => Promise<string> | string | undefined]>([
    ['no token', () => undefined],
    ['something that is no token', () => 'abc'],
    ['an expired token', () => token({ claims: { exp: Math.floor(start.getTime() / 1000) } })],
    ['a signature by another key', () => token({ key: stranger })],
    ['alg:none', unsigned],
    ['a public key used as HMAC secret', confused],
    ['another issuer', () => token({ claims: { iss: 'https://other.test' } })],
    ['another audience', () => token({ claims: { aud: 'other' } })],
    ['a token of another kind', () => token({ header: { typ: 'JWT' } })],
    ['no token id', () => token({ claims: { jti: undefined } })],
    ['no expiry', () => token({ claims: { exp: undefined } })],
    ['a key that does not exist', () => token({ header: { kid: 'key-2' } })],
    ['a key id that is no key id', () => token({ header: { kid: "'; \u0000 --" } })],
    ['an account that does not exist', () => token({ claims: { sub: `mdb_sa_id_${'d'.repeat(24)}` } })],
  ])('not: %s', async (_, make) => {
    await haveAccount(owner);
    const get = await serve();
    const response = await get('/me', await make());
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toMatch(/^Bearer realm="atrest"/);
    expect(await response.json()).toMatchObject({ error: 401, errorCode: 'USER_UNAUTHORIZED' });
  });

  it('F83 a token that is used again after it was revoked is refused', async () => {
    await haveAccount(owner);
    const get = await serve();
    const held = await token();
    expect((await get('/me', held)).status).toBe(200);
    await database.transaction((tx) =>
      store.applyRevocation(tx, { tokenId: 'token-1', expiresAt: new Date(start.getTime() + ACCESS_TOKEN_SECONDS * 1000).toISOString() }),
    );
    expect((await get('/me', held)).status).toBe(401);
    expect((await get('/me', await token({ claims: { jti: 'token-2' } }))).status).toBe(200);
  });

  it('F83 a role removed between two requests is gone with the second', async () => {
    await haveAccount(inProject('GROUP_OWNER', project1));
    const get = await serve();
    const held = await token();
    expect((await get(`/groups/${project1}/all`, held)).status).toBe(200);
    await haveAccount(inProject('GROUP_READ_ONLY', project1));
    expect((await get(`/groups/${project1}/all`, held)).status).toBe(403);
    expect((await get(`/groups/${project1}`, held)).status).toBe(200);
    await haveAccount();
    expect((await get(`/groups/${project1}`, held)).status).toBe(404);
  });

  it('a token expires with the clock, a key with its last token', async () => {
    await haveAccount(owner);
    const get = await serve();
    const held = await token();
    clock.advance(ACCESS_TOKEN_SECONDS * 1000 - 1000);
    expect((await get('/me', held)).status).toBe(200);
    clock.advance(1000);
    expect((await get('/me', held)).status).toBe(401);
    clock.set(new Date(signing.state.acceptedUntil));
    expect((await get('/me', await token())).status).toBe(401);
  });

  it('a deleted account is refused at once, not waited for', async () => {
    const state = await haveAccount(owner);
    const get = await serve({ projectionWaitMs: 50_000 });
    await database.transaction((tx) =>
      store.applyServiceAccount(tx, { ...state, deletedAt: start.toISOString(), grants: [], revision: state.revision + 1 }),
    );
    expect((await get('/me', await token())).status).toBe(401);
    revision += 1;
  });
});

describe('what is known a little later', () => {
  it('an account whose event arrives while its first request waits is accepted', async () => {
    const look = vi.spyOn(store, 'lookUp');
    const get = await serve({ projectionWaitMs: 50_000 });
    const response = get('/me', await token());
    await waitFor(() => look.mock.calls.length >= 2, { describe: 'the guard to look for the account a second time' });
    await haveAccount(owner);
    expect((await response).status).toBe(200);
  });

  it('so is a key, and so is a revocation', async () => {
    await database.query('TRUNCATE access_signing_key');
    await haveAccount(owner);
    const look = vi.spyOn(store, 'findKey');
    const get = await serve({ projectionWaitMs: 50_000 });
    const response = get('/me', await token());
    await waitFor(() => look.mock.calls.length >= 2, { describe: 'the guard to look for the key a second time' });
    await database.transaction((tx) => store.applySigningKey(tx, signing.state));
    expect((await response).status).toBe(200);
  });

  it('and so is a project, for the owner of its organisation', async () => {
    await haveAccount(owner);
    const late = '5'.repeat(24);
    const known = vi.spyOn(organisations, 'get');
    const get = await serve({ projectionWaitMs: 50_000 });
    const response = get(`/groups/${late}`, await token());
    await waitFor(() => known.mock.calls.length >= 2, { describe: 'the guard to look for the project a second time' });
    organisations.set(late, orgA);
    expect((await response).status).toBe(200);
    organisations.delete(late);
  });

  it('many made-up keys are refused without each of them being polled for', async () => {
    await haveAccount(owner);
    const get = await serve({ projectionWaitMs: 50_000 });
    let refused = 0;
    const requests = Array.from({ length: 40 }, async (_, index) => {
      const response = await get('/me', await token({ header: { kid: `made-up-${index}` } }));
      if (response.status === 401) refused += 1;
    });
    // Sixteen wait for their key; as long as they do, every other one is refused.
    await waitFor(() => refused === 24, { describe: () => `24 of 40 requests to be refused, now ${refused}` });
    await database.query(
      `INSERT INTO access_signing_key SELECT 'made-up-' || n, public_jwk, signs_until, accepted_until
                            FROM access_signing_key, generate_series(0, 39) AS n WHERE kid = $1`,
      [signing.kid],
    );
    await Promise.all(requests);
  });
});

describe('projects and organisations', () => {
  const readerOf1 = [inProject('GROUP_READ_ONLY', project1)];
  it.each<[string, RoleGrant[], string, number]>([
    ['a reader reads', readerOf1, `/groups/${project1}`, 200],
    ['a reader may not do more', readerOf1, `/groups/${project1}/all`, 403],
    ['a project of the same organisation without role', readerOf1, `/groups/${project2}`, 404],
    ['a project of another organisation', readerOf1, `/groups/${project3}`, 404],
    ['a project that does not exist', readerOf1, `/groups/${project4}`, 404],
    ['what is no id at all', readerOf1, '/groups/nonsense', 404],
    ['an organisation owner in his project', [owner], `/groups/${project2}/all`, 200],
    ['an organisation owner in a project of another organisation', [owner], `/groups/${project3}`, 404],
    ['an organisation owner in no project', [owner], `/groups/${project4}`, 404],
    ['the owner of an organisation', [owner], `/orgs/${orgA}`, 200],
    ['the owner of another organisation', [owner], `/orgs/${orgB}`, 403],
    ['no owner', readerOf1, `/orgs/${orgA}`, 403],
    ['an owner, without organisation in the path', [owner], '/org', 200],
    ['no owner, without organisation in the path', readerOf1, '/org', 403],
  ])('%s', async (_, grants, path, status) => {
    await haveAccount(...grants);
    expect((await (await serve())(path, await token())).status).toBe(status);
  });

  it("another's project and one that does not exist are told apart by nothing", async () => {
    await haveAccount(owner);
    const get = await serve();
    const answers = await Promise.all(
      [project3, project4].map(async (id) => {
        const response = await get(`/groups/${id}`, await token());
        const headers = [...response.headers].filter(([name]) => name !== 'date' && name !== 'x-request-id');
        return { status: response.status, headers, body: (await response.text()).replaceAll(id, 'ID') };
      }),
    );
    expect(answers[0]).toEqual(answers[1]);
  });

  it('the caller knows his roles in the project of the path', async () => {
    await haveAccount(owner);
    expect(await (await (await serve())(`/groups/${project1}`, await token())).json()).toEqual({ projectId: project1, owner: true });
  });

  it('with several guards in one app each request is decided once', async () => {
    await haveAccount(owner);
    const look = vi.spyOn(store, 'lookUp');
    const get = await serve({ guards: 3 });
    expect((await get('/me', await token())).status).toBe(200);
    expect(look).toHaveBeenCalledTimes(1);
    expect((await get('/me')).status).toBe(401);
  });
});

describe('boot', () => {
  it('is refused for a route that does not say who may call it', async () => {
    class CarelessModule {}
    const boot = createHttpApp({
      modules: [
        accessModule({ store, clock, logger, issuer, projects: { organisationOf: async () => null } }),
        { module: CarelessModule, controllers: [CarelessController] },
      ],
      logger,
      metrics: new Metrics({}),
    });
    await expect(boot).rejects.toThrow(RouteError);
  });
});
