import { once } from 'node:events';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { json } from 'node:stream/consumers';
import { createLogger } from '@atrest/platform-logging';
import { Metrics } from '@atrest/platform-metrics';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as fixture from './http-app.fixture.js';
import { Body, module, ThingController, ThingModule } from './http-app.fixture.js';
import { AtlasRoute, collectRoutes, createHttpApp, type HttpApp } from './index.js';

const groupId = '0123456789abcdef01234567';
const v = (date: string) => ({ accept: `application/vnd.atlas.${date}+json` });

const logged: string[] = [];
const metrics = new Metrics({});
const logger = createLogger({ service: 'test', level: 'info', destination: { write: (line) => logged.push(line) } });
const build = (modules = [module]) => createHttpApp({ modules, logger, metrics, bodyLimitBytes: 2_000, drainTimeoutMs: 30_000 });

describe('answers', () => {
  let http: HttpApp;
  beforeAll(async () => {
    http = await build();
  });
  afterAll(() => http.close());

  const inject = (
    method: 'GET' | 'POST' | 'DELETE' | 'PUT' | 'HEAD',
    url: string,
    headers: Record<string, string> = {},
    payload?: string,
  ) => http.app.inject({ method, url, headers, ...(payload !== undefined && { payload }) });
  const things = `/api/atlas/v2/groups/${groupId}/things`;

  it('works in the trace of the request, unless that is none', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    expect((await inject('GET', `${things}/n1`, { ...v('2024-01-01'), traceparent })).json()).toMatchObject({ traceparent });
    for (const wrong of ['', `${traceparent}-00`, traceparent.replace('0af7', 'zzzz'), `00-${'0'.repeat(32)}-b7ad6b7169203331-01`]) {
      const response = await inject('GET', `${things}/n1`, { ...v('2024-01-01'), traceparent: wrong });
      expect(response.json()).not.toHaveProperty('traceparent');
    }
  });

  it('uses the newest version that is not later than the asked date, and says which', async () => {
    const response = await inject('GET', `${things}/n1`, { ...v('2024-01-01'), 'x-request-id': 'r-1' });
    expect(response.statusCode).toBe(200);
    expect(response.headers['content-type']).toBe('application/vnd.atlas.2023-02-01+json;charset=utf-8');
    expect(response.json()).toEqual({ groupId, name: 'n1', version: '2023-02-01', base: 'http://localhost', correlationId: 'r-1' });
    expect(response.headers).toMatchObject({
      'x-request-id': 'r-1',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'cache-control': 'no-store',
    });
  });

  it.each([{}, { accept: '*/*' }, { accept: 'application/json' }])('serves curl (%j) the newest version', async (headers) => {
    expect((await inject('GET', `${things}/n1`, headers)).headers['content-type']).toContain('2024-08-05');
  });

  it.each([
    'application/vnd.atlas.2022-01-01+json',
    'application/vnd.atlas.2023-13-01+json',
    'application/vnd.atlas.preview+json',
    'text/html',
  ])('answers 406 to %s', async (accept) => {
    const response = await inject('GET', `${things}/n1`, { accept });
    expect(response.statusCode).toBe(406);
    expect(response.json()).toMatchObject({ error: 406, errorCode: 'INVALID_VERSION_DATE', reason: 'Not Acceptable', parameters: [] });
  });

  it('serves the old prefixes as the versions they stand for, in plain JSON', async () => {
    const old = await inject('GET', `/api/atlas/v1.0/groups/${groupId}/things/n1?pretty=false`, { accept: 'application/json' });
    expect(old.headers['content-type']).toBe('application/json;charset=utf-8');
    expect(old.json()).toMatchObject({ version: '2023-01-01' });
    expect((await inject('GET', `/api/atlas/v1.5/groups/${groupId}/things/n1`)).json()).toMatchObject({ version: '2023-02-01' });
    // The list exists only since 2023-02-01.
    expect((await inject('GET', `/api/atlas/v1.0/groups/${groupId}/things`)).statusCode).toBe(405);
  });

  it('wraps lists with links that keep the query', async () => {
    const response = await inject('GET', `${things}?pageNum=2&status=x&pretty=true`, v('2025-03-12'));
    const base = `http://localhost${things}`;
    expect(response.json()).toEqual({
      links: [
        { rel: 'self', href: `${base}?includeCount=true&pageNum=2&itemsPerPage=100&status=x&pretty=true` },
        { rel: 'previous', href: `${base}?includeCount=true&pageNum=1&itemsPerPage=100&status=x&pretty=true` },
        { rel: 'next', href: `${base}?includeCount=true&pageNum=3&itemsPerPage=100&status=x&pretty=true` },
      ],
      results: ['a', 'b'],
      totalCount: 250,
    });
    expect(response.body).toContain('\n  "results"');
    const bare = (await inject('GET', `${things}?includeCount=false&itemsPerPage=500`, v('2025-03-12'))).json<{ links: unknown[] }>();
    expect(bare).not.toHaveProperty('totalCount');
    expect(bare.links).toHaveLength(1);
  });

  it('wraps into an envelope on demand, with the status', async () => {
    expect((await inject('GET', `${things}/n1?envelope=true`)).json()).toMatchObject({ status: 200, content: { name: 'n1' } });
    expect((await inject('GET', `${things}?envelope=true`)).json()).toMatchObject({ status: 200, results: ['a', 'b'], totalCount: 250 });
  });

  it.each([
    'pageNum=0',
    'itemsPerPage=501',
    'itemsPerPage=6e1',
    'pageNum=1&pageNum=2',
    'includeCount=1',
    'pretty=1',
    'pretty=true&pretty=true',
    '__proto__=1',
  ])('refuses the query %s', async (query) => {
    const response = await inject('GET', `${things}?${query}`);
    expect(response.statusCode).toBe(400);
    expect(response.json()).toMatchObject({ errorCode: 'INVALID_QUERY_PARAMETER', parameters: [query.split('=')[0]] });
  });

  it.each([
    'application/json',
    'application/vnd.atlas.2023-01-01+json',
    'application/vnd.atlas.2023-01-01+json; charset=utf-8',
    'APPLICATION/JSON;charset=UTF-8',
  ])('takes a body as %s', async (type) => {
    const response = await inject('POST', things, { 'content-type': type }, '{"name":"n","clusterType":"SHARDED"}');
    expect(response.statusCode).toBe(201);
    expect(response.headers['location']).toBe('/things/1');
    expect(response.json()).toEqual({ name: 'n', clusterType: 'SHARDED' });
  });

  it.each([
    ['a missing attribute', { clusterType: 'SHARDED' }, 'MISSING_ATTRIBUTE', ['name']],
    ['several missing attributes', {}, 'MISSING_ATTRIBUTES', ['name', 'clusterType']],
    ['a value outside an enumeration', { name: 'n', clusterType: 'hunter2' }, 'INVALID_ENUM_VALUE', ['clusterType']],
    [
      'an unknown attribute',
      { name: 'n', clusterType: 'SHARDED', awsKms: { enabled: true, hunter: 'hunter2' } },
      'INVALID_ATTRIBUTE',
      ['awsKms.hunter'],
    ],
    ['a wrong type', { name: 'n', clusterType: 'SHARDED', awsKms: { enabled: 'hunter2' } }, 'INVALID_ATTRIBUTE', ['awsKms.enabled']],
    [
      'a wrong type in a list',
      { name: 'n', clusterType: 'SHARDED', processes: [{ port: 1 }, { port: 1.5 }] },
      'INVALID_ATTRIBUTE',
      ['processes[1].port'],
    ],
    ['a code of its own', { name: 'n', clusterType: 'SHARDED', special: 'bad' }, 'DUPLICATE_CLUSTER_NAME', ['special']],
    ['an array', [], 'INVALID_JSON', []],
  ])('explains %s without repeating the value', async (_name, body, errorCode, parameters) => {
    const response = await inject('POST', things, { 'content-type': 'application/json' }, JSON.stringify(body));
    expect(response.statusCode).toBe(400);
    expect(response.json()).toMatchObject({
      error: 400,
      errorCode,
      parameters,
      reason: 'Bad Request',
      badRequestDetail: { fields: [{ field: parameters[0] ?? '(body)' }, ...parameters.slice(1).map(() => ({}))] },
    });
    expect(response.headers['x-error-code']).toBe(errorCode);
    expect(response.body).not.toContain('hunter2');
  });

  it.each(['{', '{"name":"n",}', 'null x', '{"__proto__":{"a":1}}', '{"constructor":{"prototype":{"a":1}}}', '\u0000', '{"name":"n"}{'])(
    'calls the body %j malformed',
    async (body) => {
      const response = await inject('POST', things, { 'content-type': 'application/json' }, body);
      expect(response.statusCode).toBe(400);
      expect(response.headers['content-type']).toMatch(/^application\/json/);
      expect(response.json()).toMatchObject({ errorCode: 'MALFORMED_JSON', error: 400 });
    },
  );

  it('refuses bytes that are no UTF-8, compressed bodies, forms, other types and bodies that are too large', async () => {
    const post = (headers: Record<string, string>, payload: string | Buffer) =>
      http.app.inject({ method: 'POST', url: things, headers, payload });
    expect((await post({ 'content-type': 'application/json' }, Buffer.from([0x22, 0xff, 0x22]))).json()).toMatchObject({
      errorCode: 'MALFORMED_JSON',
    });
    for (const headers of [
      { 'content-type': 'application/json', 'content-encoding': 'gzip' },
      { 'content-type': 'application/x-www-form-urlencoded' },
      { 'content-type': 'text/plain' },
      { 'content-type': 'nonsense' },
    ]) {
      expect((await post(headers, 'a=b')).json()).toMatchObject({ error: 415, errorCode: 'UNSUPPORTED_MEDIA_TYPE' });
    }
    const large = await post({ 'content-type': 'application/json' }, JSON.stringify({ name: 'x'.repeat(2_001) }));
    expect(large.json()).toMatchObject({ error: 413, errorCode: 'PAYLOAD_TOO_LARGE', reason: 'Payload Too Large' });
  });

  it.each(['text/plain', 'text/plain; charset=UTF-8', 'application/json'])(
    'takes JSON that says it is %s where a route wants that',
    async (type) => {
      const headers = { 'content-type': type };
      expect((await inject('POST', '/notifications', headers, '{"Type":"Notification"}')).json()).toEqual({ Type: 'Notification' });
      expect((await inject('POST', '/notifications', headers, 'Notification')).json()).toMatchObject({ errorCode: 'MALFORMED_JSON' });
      expect((await inject('POST', '/notifications', headers, '{"__proto__":{}}')).json()).toMatchObject({ errorCode: 'MALFORMED_JSON' });
      expect((await inject('POST', '/notifications', { 'content-type': 'text/html' }, '{}')).json()).toMatchObject({ error: 415 });
    },
  );

  it('takes a form where OAuth 2 does, and lets such a route answer errors in its own shape', async () => {
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    expect((await inject('POST', '/api/oauth/token', form, 'grant_type=client_credentials')).json()).toEqual({ access_token: 'x' });
    const refused = await inject('POST', '/api/oauth/token', form, 'grant_type=x');
    expect([refused.statusCode, refused.json()]).toEqual([400, { error: 'unsupported_grant_type' }]);
    expect((await inject('POST', '/api/oauth/token', form, 'grant_type=a&grant_type=b')).json()).toMatchObject({
      errorCode: 'VALIDATION_ERROR',
    });
  });

  it('routes custom verbs beside parameters', async () => {
    expect((await inject('POST', `/api/atlas/v2/groups/${groupId}/encryptionAtRest/awsKms:check`)).json()).toEqual({ groupId });
    expect((await inject('POST', `${things}/n1:restart`)).statusCode).toBe(204);
    expect((await inject('GET', `${things}/n1:restart`)).json()).toMatchObject({ name: 'n1:restart' });
    expect((await inject('POST', `${things}/n1:stop`)).statusCode).toBe(405);
  });

  it('answers an empty success with {} and 204 with nothing', async () => {
    const removed = await inject('DELETE', `${things}/n1`, { 'content-type': 'application/json' });
    expect([removed.statusCode, removed.json()]).toEqual([202, {}]);
    expect((await inject('POST', `${things}/n1:restart`)).body).toBe('');
  });

  it('answers unknown routes, wrong methods, broken paths and ids in the error shape', async () => {
    expect((await inject('GET', '/api/atlas/v2/nothing')).json()).toMatchObject({
      error: 404,
      errorCode: 'RESOURCE_NOT_FOUND',
      reason: 'Not Found',
    });
    expect((await inject('POST', '/nothing', { 'content-type': 'text/html' }, '<x>')).json()).toMatchObject({
      errorCode: 'RESOURCE_NOT_FOUND',
    });
    const wrong = await inject('PUT', things, { 'content-type': 'application/json' }, '{}');
    expect([wrong.statusCode, wrong.headers['allow'], wrong.json<{ errorCode: string }>().errorCode]).toEqual([
      405,
      'GET, POST',
      'METHOD_NOT_ALLOWED',
    ]);
    expect((await inject('GET', `${things}/%zz`)).json()).toMatchObject({ error: 400, errorCode: 'INVALID_PATH_PARAMETER' });
    expect((await inject('GET', '/api/atlas/v2/groups/NOT-AN-ID/things/n1')).json()).toMatchObject({
      error: 404,
      errorCode: 'INVALID_GROUP_ID',
    });
    expect((await inject('GET', `${things}/${encodeURIComponent('"$.\u00fc/'.repeat(200))}`)).json()).toMatchObject({
      name: '"$.\u00fc/'.repeat(200),
    });
    expect((await inject('GET', `${things}/${'x'.repeat(5_000)}`)).json()).toMatchObject({ error: 414 });
  });

  it('passes on what a handler throws on purpose, and hides and logs what it did not', async () => {
    const known = await inject('GET', '/api/atlas/v2/fail/api?pretty=true');
    expect(known.headers).toMatchObject({ 'retry-after': '3', 'x-error-code': 'CANNOT_DISABLE_ENCRYPTION_AT_REST' });
    expect(known.json()).toEqual({
      detail: 'In use.',
      error: 409,
      errorCode: 'CANNOT_DISABLE_ENCRYPTION_AT_REST',
      parameters: ['c1'],
      reason: 'Conflict',
    });
    expect(known.body).toContain('\n  "detail"');

    const unknown = await inject('GET', '/api/atlas/v2/fail/other', { 'x-request-id': 'r-500' });
    expect(unknown.json()).toMatchObject({ error: 500, errorCode: 'UNEXPECTED_ERROR', parameters: ['r-500'] });
    expect(unknown.body).not.toMatch(/hunter2|postgres|spec\.ts/);
    const line = logged.map((text) => JSON.parse(text) as Record<string, unknown>).find(({ requestId }) => requestId === 'r-500');
    expect(line).toMatchObject({
      level: 'error',
      correlationId: 'r-500',
      route: '/api/atlas/v2/fail/:how',
      err: { message: 'password=*** at postgres' },
    });
  });

  it('takes over only harmless request ids', async () => {
    for (const id of ['a b', 'x'.repeat(129), '"}{']) {
      expect((await inject('GET', `${things}/n1`, { 'x-request-id': id })).headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  it.each(['a b', '', '[', 'x/../y?z'])('survives the Host header %j', async (host) => {
    const response = await inject('GET', things, { host });
    expect(response.statusCode).toBe(200);
    expect(response.json<{ links: { href: string }[] }>().links[0]?.href).toMatch(/^http:\/\//);
  });

  it('asks the guard, whose refusal has the error shape', async () => {
    const refused = await inject('GET', '/agent/v1/goal');
    expect(refused.json()).toMatchObject({ error: 403, errorCode: 'ACCESS_FORBIDDEN' });
  });

  it('counts by route, not by path', async () => {
    await inject('GET', `${things}/n1`);
    await inject('GET', '/wp-admin.php');
    const text = await metrics.render();
    expect(text).toMatch(
      /http_request_duration_seconds_count\{method="GET",route="\/api\/atlas\/v2\/groups\/:groupId\/things\/:name",status="200"\} \d+/,
    );
    expect(text).toMatch(/route="unknown",status="404"/);
    expect(text).not.toMatch(/wp-admin|n1:restart/);
    await expect.poll(async () => (await metrics.render()).includes('http_requests_in_flight 0')).toBe(true);
  });
});

describe('start', () => {
  it('collects every route with what the reference needs', () => {
    const routes = collectRoutes([{ module: class Outer {}, imports: [module, module] }]);
    expect(routes.map(({ method, fullPath }) => `${method} ${fullPath}`)).toContain(
      'POST /api/atlas/v2/groups/:groupId/encryptionAtRest/awsKms:check',
    );
    expect(collectRoutes([ThingController])).toEqual(routes);
    expect(routes.find(({ handler }) => handler === 'create')).toMatchObject({
      versions: ['2023-01-01'],
      access: 'public',
      summary: 'New.',
      body: Body,
      success: 201,
    });
  });

  it('refuses a route without access, a self-contradiction, a duplicate and a service without guard', async () => {
    const start = (controller: new () => object) => build([{ module: class Some {}, controllers: [controller] }]);
    await expect(start(fixture.Bare)).rejects.toThrow(/Bare\.bare is a route without access/);
    await expect(start(fixture.NoGroup)).rejects.toThrow(/no :groupId/);
    await expect(start(fixture.NoSchema)).rejects.toThrow(/NoSchema\.x reads the body, but its route has no body schema/);
    await expect(start(fixture.Twice)).rejects.toThrow(/both serve GET/);
    await expect(build([{ module: ThingModule, controllers: [ThingController] }])).rejects.toThrow(/no module brings a guard/);
    expect(() => AtlasRoute({ method: 'GET', path: '/x/', access: 'public', summary: '' })).toThrow(/must begin with a slash/);
  });
});

describe('a real listener', () => {
  it('drains: long polls end at once, requests under way are answered, new ones are refused, nothing stays open', async () => {
    const http = await build();
    const url = await http.listen(0, '127.0.0.1');
    const controller = http.app.get(ThingController, { strict: false });
    const agent = new Agent({ keepAlive: true });
    const idle = await get(`${url}/api/atlas/v2/fail/api`, agent);
    expect(idle.status).toBe(409);

    const poll = get(`${url}/agent/v1/goal`, agent, { 'x-agent': 'yes' });
    const throwing = get(`${url}/agent/v1/goal?throws=true`, agent, { 'x-agent': 'yes' });
    const slow = get(`${url}/slow`, agent);
    const gone = httpRequest(`${url}/agent/v1/goal`, { headers: { 'x-agent': 'yes' } });
    gone.on('error', () => undefined);
    gone.end();
    await expect.poll(() => controller.polls.length).toBe(3);
    gone.destroy();
    await expect.poll(() => controller.polls.filter(({ aborted }) => aborted).length).toBe(1);
    expect(controller.polls.map((signal) => (signal.reason as { code?: string } | undefined)?.code).filter(Boolean)).toEqual([
      'CLIENT_GONE',
    ]);
    let released = false;
    await expect.poll(async () => (await metrics.render()).includes('http_requests_in_flight 3')).toBe(true);

    const closed = http.close().then(() => expect(released).toBe(true));
    expect(await poll).toMatchObject({
      status: 200,
      body: { changed: false, reason: 'SERVICE_STOPPING' },
      headers: { connection: 'close' },
    });
    expect(await throwing).toMatchObject({ status: 503, body: { errorCode: 'SERVICE_UNAVAILABLE' }, headers: { 'retry-after': '1' } });
    await expect(get(`${url}/slow`, new Agent())).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    released = true;
    controller.release();
    expect(await slow).toMatchObject({ status: 200, body: { done: true } });
    await closed;
    await http.close();
    agent.destroy();
  });

  it('speaks TLS when it has a certificate, and says so in links', async () => {
    const http = await createHttpApp({ modules: [module], logger, metrics, tls: fixture.tls });
    const url = await http.listen(0, '127.0.0.1');
    expect(url).toMatch(/^https:/);
    const [response] = (await once(
      httpsRequest(`${url}/api/atlas/v2/groups/${groupId}/things/n1`, { rejectUnauthorized: false }).end(),
      'response',
    )) as [IncomingMessage];
    expect(response.headers['strict-transport-security']).toContain('max-age=');
    expect(await json(response)).toMatchObject({ base: url });
    await http.close();
  });

  it('answers what is not HTTP in the error shape', async () => {
    const http = await build();
    const { port } = new URL(await http.listen(0, '127.0.0.1'));
    const socket = connect(Number(port), '127.0.0.1');
    socket.write('NONSENSE\r\n\r\n');
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await once(socket, 'close');
    expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(JSON.parse(text.split('\r\n\r\n')[1] ?? '')).toMatchObject({ error: 400, errorCode: 'VALIDATION_ERROR' });
    await http.close();
  });
});

interface Received {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: unknown;
}

async function get(url: string, agent: Agent, headers: Record<string, string> = {}): Promise<Received> {
  const [response] = (await once(httpRequest(url, { agent, headers }).end(), 'response')) as [IncomingMessage];
  return { status: response.statusCode ?? 0, headers: response.headers, body: await json(response) };
}
