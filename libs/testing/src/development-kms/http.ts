import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ActiveFault } from './faults.js';

const MAX_BODY_BYTES = 64 * 1024;

/** Faults below the level of an answer; true when there will be none. */
export function misbehave(effect: ActiveFault | null, request: IncomingMessage, response: ServerResponse): boolean {
  if (effect?.kind === 'hang' && effect.phase === 'before-answer') return true;
  if (effect?.kind === 'reset' && effect.afterBytes === 0) {
    request.socket.resetAndDestroy();
    return true;
  }
  if (effect?.kind === 'error' && effect.name === undefined) {
    response.writeHead(effect.status).end();
    return true;
  }
  if (effect?.kind === 'web-page') {
    response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>Welcome</title><p>Please log in.</p>');
    return true;
  }
  return false;
}

/** Whether an address is one of this machine only. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

/** The whole body; more than 64 KiB is refused. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) throw new Error('the body is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** A body as a JSON object; null when it is none. */
export function parseObject(body: Buffer): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** Resolves after so many milliseconds. */
export const delay = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

/** The body of a request to STS; null for one to KMS. */
export function formOf(request: IncomingMessage, body: Buffer): URLSearchParams | null {
  const type = request.headers['content-type'] ?? '';
  return type.startsWith('application/x-www-form-urlencoded') ? new URLSearchParams(body.toString('utf8')) : null;
}
