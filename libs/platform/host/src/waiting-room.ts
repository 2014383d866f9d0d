import type { RequestListener, ServerResponse } from 'node:http';
import type { CheckResult } from '@atrest/platform-health';
import { ApiError } from '@atrest/platform-http';
import type { Metrics } from '@atrest/platform-metrics';

export interface WaitingRoomOptions {
  /** What the service waits for at this moment. */
  readonly checks: () => Promise<readonly CheckResult[]>;
  readonly metrics: Metrics;
}

/**
 * Answers while the service is not there yet: probes hear what it waits for, everybody else to come again in a second (not 404, which a client
 * would take for an answer). Every connection ends with its answer, so that the next request reaches the service once it is there.
 */
export function waitingRoom(o: WaitingRoomOptions): RequestListener {
  return (request, response) => {
    // What a client still sends is of no interest.
    request.resume();
    reply(o, request.url ?? '/', response).catch(() => response.destroy());
  };
}

async function reply(o: WaitingRoomOptions, url: string, response: ServerResponse): Promise<void> {
  const send = (status: number, type: string, body: string, headers: Record<string, string> = {}): void => {
    response.writeHead(status, {
      'content-type': type,
      'content-length': Buffer.byteLength(body),
      'cache-control': 'no-store',
      connection: 'close',
      ...headers,
    });
    response.end(body);
  };
  const json = (status: number, value: object, headers?: Record<string, string>): void =>
    send(status, 'application/json; charset=utf-8', JSON.stringify(value), headers);
  switch (url.replace(/[?#].*$/, '')) {
    case '/healthz':
      return json(200, { status: 'ok' });
    case '/readyz':
      return json(503, { status: 'not ready', checks: await o.checks() });
    case '/metrics':
      return send(200, o.metrics.contentType, await o.metrics.render());
    default: {
      const error = new ApiError(503, 'SERVICE_UNAVAILABLE', 'The service is starting. Try again.');
      return json(error.status, error.toBody(), { 'retry-after': '1' });
    }
  }
}
