import { createServer, type Server, type Socket } from 'node:net';
import type { Doc } from '../bson-values.js';
import { MessageSplitter, WireError, type WireRequest, decodeRequest, encodeMsg, encodeReply } from './codec.js';

/** What is sent for one request. */
export interface Answer {
  /** The reply, or undefined when the connection is closed without one. */
  document: Doc | undefined;
  /** Streaming hello: this command is run next, and its reply is sent without a further request. */
  again?: Doc;
}

const MAX_QUEUED = 64;

/** One client's connection. */
export class ClientConnection {
  readonly id: number;
  readonly remote: string;
  /** Name of the connection in the log. */
  readonly context: string;
  /** The client's handshake was logged. */
  greeted = false;
  /** host:port that an internal client of a replica set member said it is. */
  member: string | undefined;
  readonly #socket: Socket;
  readonly #closed: Promise<void>;
  #isClosed = false;

  constructor(id: number, socket: Socket) {
    this.id = id;
    this.context = `conn${id}`;
    this.remote = `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`;
    this.#socket = socket;
    this.#closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#isClosed = true;
        resolve();
      });
    });
  }

  get closed(): boolean {
    return this.#isClosed;
  }

  /** Resolves when the connection is gone. */
  whenClosed(): Promise<void> {
    return this.#closed;
  }

  /** The address of this server that the client connected to is of the loopback interface. */
  get local(): boolean {
    return /^(::ffff:)?127\.|^::1$/.test(this.#socket.remoteAddress ?? '');
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** @internal */
  send(bytes: Buffer): void {
    if (!this.#isClosed) this.#socket.write(bytes);
  }

  /** @internal */
  pause(paused: boolean): void {
    if (paused) this.#socket.pause();
    else this.#socket.resume();
  }
}

/** What the server asks of the program. */
export interface WireServerHooks {
  handle(request: WireRequest, connection: ClientConnection): Promise<Answer>;
  accepted(connection: ClientConnection, open: number): void;
  ended(connection: ClientConnection, open: number): void;
  invalid(connection: ClientConnection, reason: string): void;
}

/** Accepts connections of the wire protocol and runs the requests of each connection one after the other. */
export class WireServer {
  readonly #hooks: WireServerHooks;
  readonly #servers: Server[] = [];
  readonly #connections = new Set<ClientConnection>();
  #nextConnection = 0;
  #nextRequest = 0;

  constructor(hooks: WireServerHooks) {
    this.#hooks = hooks;
  }

  get connections(): number {
    return this.#connections.size;
  }

  get totalCreated(): number {
    return this.#nextConnection;
  }

  open(): ClientConnection[] {
    return [...this.#connections];
  }

  /** Listens on every address. Rejects with the system's error (EADDRINUSE …). */
  async listen(addresses: string[], port: number): Promise<void> {
    for (const address of addresses) {
      const server = createServer({ noDelay: true, keepAlive: true }, (socket) => this.#accept(socket));
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ host: address, port }, () => {
          server.off('error', reject);
          // A failing accept (too many open files) must not end the server.
          server.on('error', () => undefined);
          resolve();
        });
      });
      this.#servers.push(server);
    }
  }

  /** Stops accepting; open connections stay. */
  stopListening(): void {
    for (const server of this.#servers) server.close();
  }

  closeConnections(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  #accept(socket: Socket): void {
    this.#nextConnection += 1;
    const connection = new ClientConnection(this.#nextConnection, socket);
    this.#connections.add(connection);
    this.#hooks.accepted(connection, this.#connections.size);
    const splitter = new MessageSplitter();
    const queue: Buffer[] = [];
    let running = false;
    const run = async (): Promise<void> => {
      if (running) return;
      running = true;
      for (let message = queue.shift(); message !== undefined && !connection.closed; message = queue.shift()) {
        if (queue.length === MAX_QUEUED - 1) connection.pause(false);
        await this.#serve(message, connection);
      }
      running = false;
    };
    socket.on('error', () => undefined); // 'close' follows, which is what counts.
    socket.on('close', () => {
      this.#connections.delete(connection);
      this.#hooks.ended(connection, this.#connections.size);
    });
    socket.on('data', (chunk: Buffer) => {
      try {
        queue.push(...splitter.push(chunk));
      } catch (error) {
        this.#refuse(connection, error);
        return;
      }
      if (queue.length >= MAX_QUEUED) connection.pause(true);
      void run();
    });
  }

  async #serve(message: Buffer, connection: ClientConnection): Promise<void> {
    let request: WireRequest;
    try {
      request = decodeRequest(message);
    } catch (error) {
      this.#refuse(connection, error);
      return;
    }
    let responseTo = request.requestId;
    let answer = await this.#hooks.handle(request, connection);
    while (!connection.closed) {
      if (answer.document === undefined) {
        connection.destroy();
        return;
      }
      if (request.moreToCome) return;
      const requestId = this.#requestId();
      const again = answer.again;
      try {
        connection.send(
          request.form === 'query'
            ? encodeReply(answer.document, { requestId, responseTo })
            : encodeMsg(answer.document, { requestId, responseTo }, { moreToCome: again !== undefined }),
        );
      } catch (error) {
        this.#refuse(connection, error);
        return;
      }
      if (again === undefined) return;
      responseTo = requestId;
      answer = await this.#hooks.handle({ ...request, command: again }, connection);
    }
  }

  #refuse(connection: ClientConnection, error: unknown): void {
    this.#hooks.invalid(connection, error instanceof WireError ? error.message : `cannot be answered: ${String(error)}`);
    connection.destroy();
  }

  #requestId(): number {
    this.#nextRequest = (this.#nextRequest + 1) & 0x7fffffff;
    return this.#nextRequest;
  }
}
