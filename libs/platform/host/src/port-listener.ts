import { once } from 'node:events';
import type { Server as HttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/**
 * Owns a port and hands its connections to an HTTP server that may change: a service answers probes before the application that serves
 * everything else exists, and nobody who connects in between is refused.
 */
export class PortListener {
  readonly #server: Server;
  #behind: HttpServer;

  private constructor(server: Server, behind: HttpServer) {
    this.#server = server;
    this.#behind = behind;
    server.on('connection', (socket: Socket) => {
      // Node's own way to bring a connection to an HTTP or HTTPS server that does not listen itself.
      this.#behind.emit('connection', socket);
    });
  }

  /** Port 0 takes a free one. Rejects when the port is taken. */
  static async open(port: number, host: string, behind: HttpServer): Promise<PortListener> {
    const server = createServer();
    const listener = new PortListener(server, behind);
    server.listen(port, host);
    await once(server, 'listening');
    return listener;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get address(): AddressInfo {
    return this.#server.address() as AddressInfo;
  }

  /** New connections go to this server; those that the former one is not busy with end. */
  handOverTo(next: HttpServer): void {
    const former = this.#behind;
    this.#behind = next;
    former.closeIdleConnections();
  }

  /** Takes no new connections and waits until the others have ended, cutting them after `limitMs`. */
  async close(limitMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#behind.closeIdleConnections();
    const cut = setTimeout(() => this.#behind.closeAllConnections(), limitMs);
    await closed;
    clearTimeout(cut);
  }
}
