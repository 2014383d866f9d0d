import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

export interface PortListenerOptions {
  /** 0 takes a free one. */
  readonly port: number;
  readonly host: string;
  readonly tls: { readonly cert: Buffer; readonly key: Buffer } | undefined;
  /** Answers until somebody else does. */
  readonly first: RequestListener;
}

/** A whole request has to arrive in this time, as in platform-http; answers may take as long as they like. */
const REQUEST_LIMIT_MS = 60_000;
/** As Fastify: above the idle limits of common load balancers, so that they are the ones who close. */
const KEEP_ALIVE_MS = 72_000;

/**
 * Owns a port, and hands its requests to whoever answers at the moment: probes get an answer before the application that serves everything
 * else exists, and nobody who connects in between is refused.
 */
export class PortListener {
  readonly #server: Server;
  #answer: RequestListener;
  #broken: ((error: Error, socket: Socket) => void) | undefined;

  private constructor(o: PortListenerOptions) {
    this.#answer = o.first;
    const answer: RequestListener = (request, response) => void this.#answer(request, response);
    const options = { requestTimeout: REQUEST_LIMIT_MS, keepAliveTimeout: KEEP_ALIVE_MS };
    this.#server =
      o.tls === undefined ? createServer(options, answer) : createTlsServer({ ...options, ...o.tls, minVersion: 'TLSv1.2' }, answer);
    this.#server.on('clientError', (error: Error, socket: Socket) => {
      if (this.#broken === undefined) socket.destroy();
      else this.#broken(error, socket);
    });
  }

  /** Rejects when the port is taken. */
  static async open(options: PortListenerOptions): Promise<PortListener> {
    const listener = new PortListener(options);
    listener.#server.listen(options.port, options.host);
    await once(listener.#server, 'listening');
    return listener;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** From now on requests go to this server, which itself does not listen. */
  handOverTo(next: Server): void {
    this.#answer = (request, response) => next.emit('request', request, response);
    this.#broken = (error, socket) => next.emit('clientError', error, socket);
  }

  /** Takes no new connections and waits until the others have ended, cutting them after `limitMs`. */
  async close(limitMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    const cut = setTimeout(() => this.#server.closeAllConnections(), limitMs);
    await closed;
    clearTimeout(cut);
  }
}
