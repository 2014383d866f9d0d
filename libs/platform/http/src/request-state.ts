import type { FastifyRequest } from 'fastify';
import type { RouteMetadata } from './atlas-route.js';

/** What the hooks found out about a request before its handler runs. */
export interface RequestState {
  readonly route: RouteMetadata | undefined;
  /** The resolved version of an Atlas operation. */
  version?: string;
  /** Reached through one of the older prefixes, which answer plain JSON. */
  legacy: boolean;
  envelope: boolean;
  /** Scheme and authority of links. */
  readonly baseUrl: string;
  /** Aborted when the client goes away or the service stops. */
  readonly abort: AbortController;
}

const states = new WeakMap<FastifyRequest, RequestState>();

export function setRequestState(request: FastifyRequest, state: RequestState): void {
  states.set(request, state);
}

export function requestState(request: FastifyRequest): RequestState | undefined {
  return states.get(request);
}

/** The reason of an abort because the service stops. */
export class ServiceStopping extends Error {
  readonly code = 'SERVICE_STOPPING';

  constructor() {
    super('The service is stopping.');
    this.name = 'ServiceStopping';
  }
}

/** The reason of an abort because nobody waits for the answer any more. */
export class ClientGone extends Error {
  readonly code = 'CLIENT_GONE';

  constructor() {
    super('The client closed the connection.');
    this.name = 'ClientGone';
  }
}
