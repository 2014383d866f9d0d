import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ApiError } from './api-error.js';
import { requestState } from './request-state.js';

/**
 * Bodies are JSON, as `application/json` or as any dated Atlas media type, and as `text/plain` where a route says so; a route without versions also
 * takes forms, because OAuth 2 does. Parsed objects cannot reach a prototype.
 */
export function registerBodyParsers(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers();
  // Fastify's parser refuses `__proto__` and `constructor.prototype`.
  const parseJson = fastify.getDefaultJsonParser('error', 'error');
  type Done = (error: Error | null, value?: unknown) => void;
  const readJson = (request: FastifyRequest, body: Buffer, done: Done): void => {
    if (isEncoded(request)) done(unsupported('A compressed body is not supported.'));
    // Clients send a content type with every request, also where there is no body.
    else if (body.length === 0) done(null, undefined);
    else {
      const text = decode(body);
      if (text === undefined) done(malformed());
      else void parseJson(request, text, (error: Error | null, value?: unknown) => (error ? done(malformed()) : done(null, value)));
    }
  };
  fastify.addContentTypeParser(/^application\/(?:json|vnd\.atlas\.[a-z0-9-]+\+json)(?:\s*;|$)/i, { parseAs: 'buffer' }, readJson);
  fastify.addContentTypeParser(/^text\/plain(?:\s*;|$)/i, { parseAs: 'buffer' }, (request: FastifyRequest, body: Buffer, done: Done) => {
    if (requestState(request)?.route?.jsonAsPlainText === true) readJson(request, body, done);
    else done(unsupported('The body has a media type that is not supported: set Content-Type to application/json.'));
  });
  fastify.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'buffer' },
    (request: FastifyRequest, body: Buffer, done: Done) => {
      const route = requestState(request)?.route;
      if (isEncoded(request)) done(unsupported('A compressed body is not supported.'));
      else if (route?.versions) done(unsupported('This operation takes a JSON body: set Content-Type to application/json.'));
      else {
        const form = parseForm(body);
        if (form instanceof ApiError) done(form);
        else done(null, form);
      }
    },
  );
}

function parseForm(body: Buffer): ApiError | Record<string, string> {
  const fields = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(body.toString('utf8'))) {
    // RFC 6749 §3.2: parameters must not be included more than once.
    if (fields.has(name) || name === '__proto__') {
      return new ApiError(400, 'VALIDATION_ERROR', 'A form field is given more than once or has a reserved name.');
    }
    fields.set(name, value);
  }
  return Object.fromEntries(fields);
}

function decode(body: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    return undefined;
  }
}

function isEncoded(request: FastifyRequest): boolean {
  const encoding = request.headers['content-encoding'];
  return encoding !== undefined && encoding !== 'identity';
}

const malformed = (): ApiError => new ApiError(400, 'MALFORMED_JSON', 'The body is not well-formed JSON.');
const unsupported = (detail: string): ApiError => new ApiError(415, 'UNSUPPORTED_MEDIA_TYPE', detail);
