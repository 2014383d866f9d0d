import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { runWithCorrelation, traceOf, type Logger } from '@atrest/platform-logging';
import type { Metrics } from '@atrest/platform-metrics';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from './api-error.js';
import type { RouteMetadata } from './atlas-route.js';
import type { Drain } from './drain.js';
import { stopping } from './exception-filter.js';
import { ClientGone, requestState, setRequestState, type RequestState } from './request-state.js';
import { invalidQueryParameter } from './validation.js';
import { isVersionDate, LEGACY_PREFIXES, negotiateVersion, newestNotLater } from './version.js';

/** Ids of others are taken over only when they cannot break a log line or a header. */
const REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/;

/** The id of a request: what the client sent as `X-Request-Id`, or a new one. */
export function requestId(message: { headers: IncomingMessage['headers'] }): string {
  const given = message.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

export interface HookOptions {
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly drain: Drain;
  readonly publicUrl: string | undefined;
  readonly secure: boolean;
}

/** Everything that happens to a request before its guard and after its answer. */
export function registerHooks(fastify: FastifyInstance, options: HookOptions): void {
  const duration = options.metrics.histogram('http_request_duration_seconds', 'Time from a request to the end of its answer.', [
    'method',
    'route',
    'status',
  ]);
  const inFlight = options.metrics.gauge('http_requests_in_flight', 'Requests that are being answered.');

  fastify.addHook('onRequest', (request, reply, done) => {
    const route = (request.routeOptions.config as { atrestRoute?: RouteMetadata }).atrestRoute;
    const abort = new AbortController();
    const state: RequestState = {
      route,
      legacy: false,
      envelope: false,
      abort,
      baseUrl: options.publicUrl ?? originOf(request),
    };
    setRequestState(request, state);
    inFlight.inc();
    options.drain.enter(abort);
    reply.raw.once('close', () => {
      inFlight.dec();
      options.drain.leave(abort);
      if (!reply.raw.writableFinished) abort.abort(new ClientGone());
    });
    setHeaders(reply, request.id, options.secure);
    const correlation = { correlationId: request.id, ...traceOf(request.headers['traceparent']) };
    runWithCorrelation(correlation, () => done(refusal(request, reply, state, options.drain)));
  });

  fastify.addHook('onSend', (_request, reply, payload, done) => {
    // A connection that stays open would keep the stopping server from ending.
    if (options.drain.stopping) void reply.header('connection', 'close');
    done(null, payload);
  });

  fastify.addHook('onResponse', (request, reply, done) => {
    const route = requestState(request)?.route;
    const labels = { method: request.method, route: route?.fullPath ?? 'unknown', status: String(reply.statusCode) };
    duration.observe(labels, reply.elapsedTime / 1_000);
    options.logger.debug(
      { ...labels, status: reply.statusCode, ms: Math.round(reply.elapsedTime), requestId: request.id },
      'request answered',
    );
    done();
  });
}

/** The headers of every answer. */
export function setHeaders(reply: FastifyReply, id: string, secure: boolean): void {
  void reply.headers({
    'x-request-id': id,
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'cache-control': 'no-store',
    ...(secure && { 'strict-transport-security': 'max-age=31536000; includeSubDomains' }),
  });
}

/** `Host` is whatever the client sent; what is no host must not end in a failure. */
function originOf(request: FastifyRequest): string {
  const origin = `${request.protocol}://${request.host}`;
  return URL.canParse(origin) ? new URL(origin).origin : `${request.protocol}://localhost`;
}

/** Fills in the state; the error says why the request goes no further. */
function refusal(request: FastifyRequest, reply: FastifyReply, state: RequestState, drain: Drain): Error | undefined {
  if (drain.stopping) return stopping();
  const versions = state.route?.versions;
  if (!versions) return undefined;
  try {
    const query = request.query as Record<string, unknown>;
    if (queryFlag(query, 'pretty')) void reply.serializer((payload: unknown) => JSON.stringify(payload, null, 2));
    state.envelope = queryFlag(query, 'envelope');
    const { version, legacy } = versionOf(request, versions);
    state.version = version;
    state.legacy = legacy;
    void reply.header('vary', 'accept');
  } catch (error) {
    return error instanceof Error ? error : new Error('unknown failure', { cause: error });
  }
  return undefined;
}

function queryFlag(query: Record<string, unknown>, name: string): boolean {
  const value = query[name];
  if (value === undefined || value === 'false') return false;
  if (value === 'true') return true;
  throw invalidQueryParameter(name, 'must be true or false, once');
}

function versionOf(request: FastifyRequest, versions: readonly string[]): { version: string; legacy: boolean } {
  const legacy = LEGACY_PREFIXES.find(
    ({ prefix }) => request.url.startsWith(`${prefix}/`) || request.url === prefix || request.url.startsWith(`${prefix}?`),
  );
  const version = legacy ? newestNotLater(versions, legacy.version) : negotiateVersion(request.headers.accept, versions);
  if (version === undefined || !isVersionDate(version)) {
    throw new ApiError(
      406,
      'INVALID_VERSION_DATE',
      'Invalid accept header or version date: send Accept: application/vnd.atlas.YYYY-MM-DD+json.',
    );
  }
  return { version, legacy: legacy !== undefined };
}
