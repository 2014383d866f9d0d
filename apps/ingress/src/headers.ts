import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';

/** They concern one connection, not the message (RFC 9110 §7.6.1). */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Only the ingress says who asked. */
const SET_HERE = new Set(['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-request-id']);

function endToEnd(message: IncomingMessage): [string, string][] {
  const named = new Set((message.headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()));
  const pairs: [string, string][] = [];
  for (let index = 0; index < message.rawHeaders.length; index += 2) {
    const name = message.rawHeaders[index]!;
    const lower = name.toLowerCase();
    if (!HOP_BY_HOP.has(lower) && !named.has(lower)) pairs.push([name, message.rawHeaders[index + 1]!]);
  }
  return pairs;
}

function collect(pairs: readonly [string, string][]): OutgoingHttpHeaders {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of pairs) {
    const key = name.toLowerCase();
    const known = headers[key];
    headers[key] = known === undefined ? value : [...(typeof known === 'string' ? [known] : known), value];
  }
  return headers;
}

/** A request's headers as the service gets them. `Host` stays: links in answers are made from it. */
export function forwardedHeaders(request: IncomingMessage, requestId: string): OutgoingHttpHeaders {
  const headers = collect(endToEnd(request).filter(([name]) => !SET_HERE.has(name.toLowerCase())));
  // A body of unknown length stays one; Node would send none for GET and DELETE.
  if (request.headers['transfer-encoding'] !== undefined) headers['transfer-encoding'] = 'chunked';
  return {
    ...headers,
    'x-request-id': requestId,
    'x-forwarded-for': request.socket.remoteAddress ?? '',
    'x-forwarded-host': request.headers.host ?? '',
    'x-forwarded-proto': 'http',
  };
}

/** An answer's headers as the client gets them. */
export function returnedHeaders(answer: IncomingMessage): OutgoingHttpHeaders {
  return collect(endToEnd(answer));
}
