import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import {
  Agent,
  createServer,
  request as sendRequest,
  STATUS_CODES,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from '@atrest/platform-logging';
import { forwardedHeaders, returnedHeaders } from './headers.js';
import { UPSTREAMS, upstreamOf, type Upstream } from './routes.js';

export interface IngressOptions {
  /** Base URLs of the services. */
  readonly upstreams: Readonly<Record<Upstream, string>>;
  readonly logger: Logger;
}

/** A probe that hears nothing for this long has its answer. */
const PROBE_LIMIT_MS = 3_000;

/**
 * One address for all services: each request goes to the service that owns its path, as a stream in both directions. There is no limit on how
 * long an answer may take (agents long-poll); a client that goes away ends the request behind it. For development and small installations;
 * any reverse proxy with the same table of paths does the same.
 */
export class Ingress {
  readonly #options: IngressOptions;
  readonly #server: Server;
  /** A service closes a connection that was idle for 5 s (Node's default); ours go first, so that no request meets a closing one. */
  readonly #agent = new Agent({ keepAlive: true, timeout: 4_000 });

  private constructor(options: IngressOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => void this.#answer(request, response));
    // Agents wait 30 s and more for an answer; the request itself has to arrive in a minute.
    this.#server.requestTimeout = 60_000;
  }

  /** Port 0 takes a free one. Rejects when the port is taken. */
  static async start(options: IngressOptions & { readonly host: string; readonly port: number }): Promise<Ingress> {
    const ingress = new Ingress(options);
    ingress.#server.listen(options.port, options.host);
    await once(ingress.#server, 'listening');
    return ingress;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Takes no new requests, waits for those under way, and cuts them after `limitMs`. */
  async close(limitMs = 0): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#server.closeIdleConnections();
    const cut = setTimeout(() => this.#server.closeAllConnections(), limitMs);
    await closed;
    clearTimeout(cut);
    this.#agent.destroy();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').replace(/[?#].*$/, '');
    if (path === '/healthz') return sendJson(response, 200, { status: 'ok' });
    if (path === '/readyz') return this.#readiness(response);
    // What a service tells about itself is for those who reach it directly.
    if (path === '/metrics') return sendError(response, 404, 'RESOURCE_NOT_FOUND', 'Ask the services themselves for their metrics.');
    this.#forward(request, response, upstreamOf(path));
  }

  #forward(request: IncomingMessage, response: ServerResponse, upstream: Upstream): void {
    const target = new URL(this.#options.upstreams[upstream]);
    const requestId = headerOf(request, 'x-request-id') ?? randomUUID();
    const outgoing = sendRequest({
      host: target.hostname,
      port: target.port === '' ? 80 : target.port,
      method: request.method ?? 'GET',
      path: request.url ?? '/',
      headers: forwardedHeaders(request, requestId),
      agent: this.#agent,
    });
    // The agent's time-out is for idle connections; one that carries a request may be silent as long as it likes.
    outgoing.setTimeout(0);
    outgoing.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.statusMessage ?? '', returnedHeaders(answer));
      // A client that polls must get the head before there is a body.
      response.flushHeaders();
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    outgoing.on('error', (error) => {
      if (response.destroyed) return;
      this.#options.logger.warn({ err: error, upstream, requestId }, 'a service could not answer');
      // Half an answer cannot be taken back; the client must see that it is not whole.
      if (response.headersSent) response.destroy();
      else
        sendError(response, 502, 'BAD_GATEWAY', `The service ${upstream} could not be reached. Try again.`, {
          'retry-after': '1',
          'x-request-id': requestId,
        });
    });
    response.on('close', () => {
      if (!response.writableFinished) outgoing.destroy();
    });
    request.on('error', () => outgoing.destroy());
    request.pipe(outgoing);
  }

  async #readiness(response: ServerResponse): Promise<void> {
    const checks = await Promise.all(UPSTREAMS.map((upstream) => this.#probe(upstream)));
    const ready = checks.every(({ ok }) => ok);
    sendJson(response, ready ? 200 : 503, { status: ready ? 'ready' : 'not ready', checks });
  }

  async #probe(upstream: Upstream): Promise<{ readonly name: Upstream; readonly ok: boolean; readonly detail?: string }> {
    try {
      const answer = await fetch(new URL('/readyz', this.#options.upstreams[upstream]), { signal: AbortSignal.timeout(PROBE_LIMIT_MS) });
      const { checks = [] } = (await answer.json()) as { checks?: readonly { ok: boolean; detail?: string }[] };
      const detail = checks.find(({ ok }) => !ok)?.detail;
      return { name: upstream, ok: answer.ok, ...(detail !== undefined && { detail }) };
    } catch (error) {
      const cause = (error as { cause?: { code?: string } }).cause?.code ?? (error instanceof Error ? error.name : 'unknown error');
      return { name: upstream, ok: false, detail: `no answer (${cause})` };
    }
  }
}

function headerOf(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === 'string' ? value : undefined;
}

function sendJson(response: ServerResponse, status: number, value: object, headers: Record<string, string> = {}): void {
  const body = JSON.stringify(value);
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  });
  response.end(body);
}

/** In the shape of every error of the API. */
function sendError(response: ServerResponse, status: number, errorCode: string, detail: string, headers?: Record<string, string>): void {
  sendJson(response, status, { detail, error: status, errorCode, parameters: [], reason: STATUS_CODES[status] ?? 'Error' }, headers);
}
