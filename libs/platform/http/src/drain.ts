import { ServiceStopping } from './request-state.js';

/** The requests under way, so that a stop can end long polls at once and wait for the rest. */
export class Drain {
  readonly #requests = new Set<AbortController>();
  #stopping = false;

  get stopping(): boolean {
    return this.#stopping;
  }

  /** How many requests are under way. */
  get size(): number {
    return this.#requests.size;
  }

  enter(request: AbortController): void {
    this.#requests.add(request);
  }

  leave(request: AbortController): void {
    this.#requests.delete(request);
  }

  /** From now on new requests are refused, and those under way are asked to come to an end. */
  stop(): void {
    this.#stopping = true;
    for (const request of this.#requests) request.abort(new ServiceStopping());
  }
}
