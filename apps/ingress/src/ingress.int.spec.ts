import { once } from 'node:events';
import { createServer, request as sendRequest, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createLogger } from '@atrest/platform-logging';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Ingress } from './ingress.js';
import { UPSTREAMS, type Upstream } from './routes.js';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const servers = new Map<Upstream, Server>();
let handler: Handler;
let ingress: Ingress;
let base: string;

beforeEach(async () => {
  const upstreams = {} as Record<Upstream, string>;
  for (const name of UPSTREAMS) {
    const server = createServer((request, response) => {
      response.setHeader('x-served-by', name);
      handler(request, response);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    servers.set(name, server);
    upstreams[name] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
  ingress = await Ingress.start({ host: '127.0.0.1', port: 0, upstreams, logger: createLogger({ service: 'test', level: 'silent' }) });
  base = `http://127.0.0.1:${ingress.port}`;
});
afterEach(async () => {
  await ingress.close();
  for (const server of servers.values()) {
    server.closeAllConnections();
    server.close();
  }
});

describe('ingress', () => {
  it('hands a request over as it is, but for what concerns the connection and who asked', async () => {
    handler = (request, response) => {
      response.writeHead(201, { 'set-cookie': ['a=1', 'b=2'], 'content-type': 'application/json', connection: 'x-drop', 'x-drop': 'gone' });
      const { method, url, headers } = request;
      request.pipe(response, { end: false });
      request.on('end', () => response.end(JSON.stringify({ method, url, headers })));
    };
    const answer = await fetch(`${base}/api/atlas/v2/groups/1/clusters/a%2Fb?pretty=true&x=%20`, {
      method: 'PATCH',
      headers: { 'x-forwarded-for': '6.6.6.6', 'x-request-id': 'mine', 'content-type': 'application/vnd.atlas.2025-03-12+json' },
      body: 'body ünï ',
    });
    const text = await answer.text();
    expect(text.startsWith('body ünï ')).toBe(true);
    const seen = JSON.parse(text.slice('body ünï '.length)) as { headers: Record<string, string> };
    expect(seen).toMatchObject({
      method: 'PATCH',
      url: '/api/atlas/v2/groups/1/clusters/a%2Fb?pretty=true&x=%20',
      headers: {
        host: `127.0.0.1:${ingress.port}`,
        'content-type': 'application/vnd.atlas.2025-03-12+json',
        'x-forwarded-for': '127.0.0.1',
        'x-forwarded-proto': 'http',
        'x-request-id': 'mine',
      },
    });
    expect([answer.status, answer.headers.getSetCookie(), answer.headers.get('x-drop'), answer.headers.get('x-served-by')]).toEqual([
      201,
      ['a=1', 'b=2'],
      null,
      'fleet',
    ]);
  });

  it('passes on each piece of an answer when it comes', async () => {
    const pieces: ((text: string) => void)[] = [];
    handler = (_, response) => {
      response.flushHeaders();
      pieces.push((text) => (text === '' ? response.end() : response.write(text)));
    };
    const answer = await fetch(`${base}/agent/v1/poll`, { method: 'POST' });
    const reader = answer.body!.getReader();
    for (const piece of ['one', 'two']) {
      pieces[0]!(piece);
      expect(Buffer.from((await reader.read()).value!).toString()).toBe(piece);
    }
    pieces[0]!('');
    expect((await reader.read()).done).toBe(true);
  });

  it('ends the request at the service when the client goes away', async () => {
    const ended = new Promise<void>((resolve) => {
      handler = (_, response) => {
        response.on('close', resolve);
        client.destroy();
      };
    });
    const client = sendRequest(`${base}/agent/v1/poll`, { method: 'POST' });
    client.on('error', () => undefined);
    client.end();
    await expect(ended).resolves.toBeUndefined();
  });

  it('answers 502 in the shape of the API when a service is away, and cuts an answer that breaks off', async () => {
    servers.get('notification')!.close();
    const answer = await fetch(`${base}/api/atlas/v2/groups/1/alerts`);
    expect([answer.status, answer.headers.get('retry-after'), await answer.json()]).toEqual([
      502,
      '1',
      {
        detail: 'The service notification could not be reached. Try again.',
        error: 502,
        errorCode: 'BAD_GATEWAY',
        parameters: [],
        reason: 'Bad Gateway',
      },
    ]);
    handler = (_, response) => {
      response.write('half');
      response.socket!.destroySoon();
    };
    await expect(fetch(base).then((half) => half.text())).rejects.toThrow();
  });

  it('is ready when every service is, and says which is not and why; keeps metrics to itself', async () => {
    handler = (_, response) => response.end(JSON.stringify({ status: 'ready', checks: [{ name: 'x', ok: true }] }));
    expect((await fetch(`${base}/readyz`)).status).toBe(200);
    servers
      .get('kms-validation')!
      .removeAllListeners('request')
      .on('request', (_, response: ServerResponse) => {
        response.writeHead(503).end(JSON.stringify({ checks: [{ name: 'kms-validation', ok: false, detail: 'waiting for PostgreSQL' }] }));
      });
    servers.get('notification')!.close();
    const answer = await fetch(`${base}/readyz`);
    expect([answer.status, await answer.json()]).toMatchObject([
      503,
      {
        checks: [
          { name: 'fleet', ok: true },
          { name: 'kms-validation', ok: false, detail: 'waiting for PostgreSQL' },
          { name: 'notification', ok: false, detail: expect.stringMatching(/^no answer/) },
          { name: 'restore-execution', ok: true },
          { name: 'snapshot-catalog', ok: true },
        ],
      },
    ]);
    expect([(await fetch(`${base}/healthz`)).status, (await fetch(`${base}/metrics`)).status]).toEqual([200, 404]);
  });
});
