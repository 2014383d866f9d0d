import { StreamableFile, type CallHandler, type ExecutionContext, type NestInterceptor } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { map, type Observable } from 'rxjs';
import { Answer } from './answer.js';
import { Page } from './page.js';
import { requestState } from './request-state.js';

/** Turns what a handler returns into the answer: list envelope with links, `envelope`, versioned media type. */
export class RenderInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const http = context.switchToHttp();
    return next.handle().pipe(map((value: unknown) => render(value, http.getRequest<FastifyRequest>(), http.getResponse<FastifyReply>())));
  }
}

function render(returned: unknown, request: FastifyRequest, reply: FastifyReply): unknown {
  let value = returned;
  if (value instanceof Answer) {
    void reply.headers(value.headers);
    if (value.status !== undefined) void reply.code(value.status);
    value = value.body as unknown;
  }
  const state = requestState(request);
  if (value instanceof Page) value = value.envelope(new URL(request.originalUrl, state?.baseUrl ?? 'http://localhost'));
  if (!state?.route?.versions || value instanceof StreamableFile || reply.statusCode === 204) return value;
  if (!reply.hasHeader('content-type')) {
    const type = state.legacy ? 'application/json' : `application/vnd.atlas.${state.version}+json`;
    void reply.header('content-type', `${type};charset=utf-8`);
  }
  const body = value ?? {};
  if (!state.envelope || typeof body !== 'object') return body;
  return 'results' in body ? { ...body, status: reply.statusCode } : { status: reply.statusCode, content: body };
}
