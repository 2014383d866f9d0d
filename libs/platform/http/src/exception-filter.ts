import { Catch, HttpException, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { Logger } from '@atrest/platform-logging';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiError, BodyError } from './api-error.js';
import { requestState } from './request-state.js';

/** Codes for errors that Nest or Fastify raise by status alone. */
const CODE_OF_STATUS: Readonly<Record<number, string>> = {
  400: 'VALIDATION_ERROR',
  401: 'USER_UNAUTHORIZED',
  403: 'ACCESS_FORBIDDEN',
  404: 'RESOURCE_NOT_FOUND',
  405: 'METHOD_NOT_ALLOWED',
  406: 'INVALID_VERSION_DATE',
  408: 'REQUEST_TIMEOUT',
  413: 'PAYLOAD_TOO_LARGE',
  414: 'INVALID_PATH_PARAMETER',
  415: 'UNSUPPORTED_MEDIA_TYPE',
  429: 'RATE_LIMITED',
  503: 'SERVICE_UNAVAILABLE',
};

const DETAIL_OF_STATUS: Readonly<Record<number, string>> = {
  400: 'The request is not valid.',
  401: 'You are not authorized for this resource.',
  403: 'The current user is not authorized to access this resource.',
  404: 'The requested resource does not exist.',
  413: 'The body is larger than this service takes.',
  414: 'A parameter of the path is too long.',
  415: 'The body has a media type that is not supported: set Content-Type to application/json.',
  503: 'The service is not available at the moment. Try again.',
};

/** Every error leaves in the Atlas shape. What nobody foresaw is logged and answered without its internals. */
@Catch()
export class ApiExceptionFilter implements ExceptionFilter {
  readonly #logger: Logger;
  readonly #methodsAt: (path: string) => readonly string[];

  constructor(logger: Logger, methodsAt: (path: string) => readonly string[]) {
    this.#logger = logger;
    this.#methodsAt = methodsAt;
  }

  catch(thrown: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const reply = http.getResponse<FastifyReply>();
    if (reply.sent || reply.raw.headersSent) {
      this.#logger.error({ err: thrown, requestId: request.id }, 'failed after the answer was sent');
      return;
    }
    if (thrown instanceof BodyError) {
      void reply.headers(thrown.headers).code(thrown.status).type('application/json').send(thrown.body);
      return;
    }
    const error = this.#apiError(thrown, request);
    if (error.status >= 500 && !(thrown instanceof ApiError) && !endedBySignal(thrown, request)) {
      const route = requestState(request)?.route?.fullPath;
      this.#logger.error({ err: thrown, requestId: request.id, method: request.method, route }, 'request failed');
    }
    sendError(reply, error);
  }

  #apiError(thrown: unknown, request: FastifyRequest): ApiError {
    if (thrown instanceof ApiError) return thrown;
    if (request.is404) return this.#unknownRoute(request);
    if (endedBySignal(thrown, request)) return stopping();
    return frameworkError(thrown, request.id);
  }

  #unknownRoute(request: FastifyRequest): ApiError {
    const path = request.url.replace(/[?#].*$/, '');
    const methods = this.#methodsAt(path);
    if (methods.length === 0) {
      const shown = path.slice(0, 256);
      return new ApiError(404, 'RESOURCE_NOT_FOUND', `Cannot find resource ${shown}.`, [shown]);
    }
    const detail = `The method ${request.method} is not allowed for this resource.`;
    return new ApiError(405, 'METHOD_NOT_ALLOWED', detail, [request.method]).withHeader('allow', methods.join(', '));
  }
}

/** Whether a handler gave up because its request was aborted: what it throws then is no failure. A client that is gone hears nothing anyway. */
function endedBySignal(thrown: unknown, request: FastifyRequest): boolean {
  const signal = requestState(request)?.abort.signal;
  return signal?.aborted === true && (thrown === signal.reason || (thrown instanceof Error && thrown.name === 'AbortError'));
}

/** Sends an error in the Atlas shape. */
export function sendError(reply: FastifyReply, error: ApiError): void {
  void reply
    .headers(error.headers)
    .header('x-error-code', error.errorCode)
    .code(error.status)
    .type('application/json')
    .send(error.toBody());
}

/** The Atlas form of what Nest, Fastify or a handler raised in some other form. */
export function frameworkError(thrown: unknown, id = 'unknown'): ApiError {
  const status = clientStatus(thrown);
  if (status === undefined) return new ApiError(500, 'UNEXPECTED_ERROR', `An unexpected error occurred. The request id is ${id}.`, [id]);
  if (isBadUrl(thrown)) return new ApiError(400, 'INVALID_PATH_PARAMETER', 'The path is not well-formed.');
  return new ApiError(status, CODE_OF_STATUS[status] ?? 'VALIDATION_ERROR', DETAIL_OF_STATUS[status] ?? 'The request cannot be served.');
}

/** 503 while the service drains. The client should come back to another replica, or to this one when it is up again. */
export function stopping(): ApiError {
  return new ApiError(503, 'SERVICE_UNAVAILABLE', 'The service is stopping. Try again.', [], [], {
    'retry-after': '1',
    connection: 'close',
  });
}

/** The status of an error that Nest or Fastify raised, when it is the client's. */
function clientStatus(thrown: unknown): number | undefined {
  const status = thrown instanceof HttpException ? thrown.getStatus() : isFastifyError(thrown) ? thrown.statusCode : undefined;
  return status !== undefined && (status < 500 || status === 503) ? status : undefined;
}

function isFastifyError(thrown: unknown): thrown is Error & { code: string; statusCode: number } {
  return (
    thrown instanceof Error &&
    'code' in thrown &&
    typeof thrown.code === 'string' &&
    thrown.code.startsWith('FST_') &&
    'statusCode' in thrown &&
    typeof thrown.statusCode === 'number'
  );
}

const isBadUrl = (thrown: unknown): boolean => isFastifyError(thrown) && thrown.code === 'FST_ERR_BAD_URL';
