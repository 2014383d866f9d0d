import 'reflect-metadata';
import type { AddressInfo, Socket } from 'node:net';
import type { DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { nestLogger, type Logger } from '@atrest/platform-logging';
import type { Metrics } from '@atrest/platform-metrics';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from './api-error.js';
import { registerBodyParsers } from './body-parsers.js';
import { collectRoutes, hasGlobalGuard, type CollectedRoute } from './collect-routes.js';
import { Drain } from './drain.js';
import { ApiExceptionFilter, frameworkError, sendError } from './exception-filter.js';
import { registerHooks, requestId, setHeaders } from './hooks.js';
import { RouteError } from './parameters.js';
import { RenderInterceptor } from './render-interceptor.js';
import { matchesPath } from './route-path.js';

export interface HttpAppOptions {
  readonly modules: readonly DynamicModule[];
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Largest body in bytes, 1 MiB by default. */
  readonly bodyLimitBytes?: number;
  /** PEM. Without it the service speaks plain HTTP, for a loopback or behind an ingress. */
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer };
  /** Scheme and authority of links, when clients reach the service under another name than they send as Host. */
  readonly publicUrl?: string;
  /** How long {@link HttpApp.close} waits for requests under way before it cuts their connections; 15 s by default. */
  readonly drainTimeoutMs?: number;
}

/** The HTTP side of a process. */
export interface HttpApp {
  readonly app: NestFastifyApplication;
  /** What is served, as {@link collectRoutes} found it. */
  readonly routes: readonly CollectedRoute[];
  /** Port 0 takes a free one. Resolves to the base URL, such as `http://127.0.0.1:8080`. */
  listen(port: number, host: string): Promise<string>;
  /** Refuses new requests, ends long polls, waits for the rest, closes. A second call waits for the first. */
  close(): Promise<void>;
}

const MIB = 1_048_576;

/** Errors reach our filter as they are; Nest would reduce them to a status and a text. */
class Adapter extends FastifyAdapter {
  override mapException(error: unknown): unknown {
    return error;
  }
}

/** The root of the module tree; Nest wants a class. */
class HttpRootModule {}

/**
 * Builds the HTTP application of one or several contexts; it does not listen yet.
 *
 * @throws RouteError when a route has no access, contradicts itself or another, or needs a guard that no module brings
 */
export async function createHttpApp(options: HttpAppOptions): Promise<HttpApp> {
  const routes = collectRoutes(options.modules);
  const guarded = routes.find(({ access }) => access !== 'public');
  if (guarded && !hasGlobalGuard(options.modules)) {
    throw new RouteError(
      `${guarded.controller}.${guarded.handler} is not public, but no module brings a guard (APP_GUARD). Add the access module of platform-auth.`,
    );
  }
  const drain = new Drain();
  const adapter = new Adapter({
    logger: false,
    bodyLimit: options.bodyLimitBytes ?? MIB,
    genReqId: requestId,
    requestIdHeader: false,
    // Names of a thousand characters deserve the answer of their operation, not of the router.
    routerOptions: { maxParamLength: 2_048 },
    // Our own hook answers in the Atlas shape while the service stops.
    return503OnClosing: false,
    // A whole request has to arrive in this time; long polls are not affected.
    requestTimeout: 60_000,
    clientErrorHandler: answerBrokenRequest,
    // Raised by the router, before any hook and any filter.
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) => {
      setHeaders(reply, request.id, options.tls !== undefined);
      sendError(reply, frameworkError(error, request.id));
    },
    ...(options.tls && { https: { cert: options.tls.cert, key: options.tls.key, minVersion: 'TLSv1.2' } }),
  });
  const fastify = adapter.getInstance<FastifyInstance>();
  registerHooks(fastify, {
    logger: options.logger,
    metrics: options.metrics,
    drain,
    publicUrl: options.publicUrl,
    secure: options.tls !== undefined,
  });
  registerBodyParsers(fastify);
  const root: DynamicModule = { module: HttpRootModule, imports: [...options.modules] };
  const app = await NestFactory.create<NestFastifyApplication>(root, adapter, {
    logger: nestLogger(options.logger),
    bodyParser: false,
    abortOnError: false,
  });
  app.useGlobalFilters(new ApiExceptionFilter(options.logger, (path) => methodsAt(routes, path)));
  app.useGlobalInterceptors(new RenderInterceptor());
  await app.init();

  let closing: Promise<void> | undefined;
  return {
    app,
    routes,
    listen: async (port, host) => {
      await app.listen(port, host);
      return baseUrl(app.getHttpServer().address() as AddressInfo, options.tls !== undefined);
    },
    close: () => (closing ??= close(app, drain, options)),
  };
}

async function close(app: NestFastifyApplication, drain: Drain, options: HttpAppOptions): Promise<void> {
  drain.stop();
  const cut = setTimeout(() => {
    options.logger.warn({ requests: drain.size }, 'requests did not end in time; their connections are cut');
    app.getHttpServer().closeAllConnections();
  }, options.drainTimeoutMs ?? 15_000);
  try {
    await app.close();
  } finally {
    clearTimeout(cut);
  }
}

function methodsAt(routes: readonly CollectedRoute[], path: string): string[] {
  return [...new Set(routes.filter(({ paths }) => paths.some((served) => matchesPath(served, path))).map(({ method }) => method))].sort();
}

function baseUrl({ address, port, family }: AddressInfo, secure: boolean): string {
  const local = address === '0.0.0.0' || address === '::' ? '127.0.0.1' : family === 'IPv6' ? `[${address}]` : address;
  return `${secure ? 'https' : 'http'}://${local}:${port}`;
}

/** Answers what is not even HTTP, or has headers beyond all measure; there is no request object yet. */
function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const broken =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? new ApiError(408, 'REQUEST_TIMEOUT', 'The request did not arrive in time.')
      : error.code === 'HPE_HEADER_OVERFLOW'
        ? new ApiError(431, 'VALIDATION_ERROR', 'The headers are larger than this service takes.')
        : new ApiError(400, 'VALIDATION_ERROR', 'The request is not well-formed HTTP.');
  const body = JSON.stringify(broken.toBody());
  const head = [
    `HTTP/1.1 ${broken.status} ${broken.toBody().reason}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    `x-error-code: ${broken.errorCode}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
