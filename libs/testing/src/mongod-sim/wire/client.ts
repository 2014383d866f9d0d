import { type Socket, connect } from 'node:net';
import { type Doc, numberOf } from '../bson-values.js';
import { CommandError } from '../commands/command-error.js';
import { MessageSplitter, decodeReply, encodeMsg } from './codec.js';

/** A peer could not be reached or did not answer in time. */
export class PeerError extends Error {
  readonly code = 'PEER';
}

interface Pending {
  resolve(reply: Doc): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout;
}

/** Splits `host:port`. A missing port is mongod's default. */
export function splitHost(hostAndPort: string): { host: string; port: number } {
  const at = hostAndPort.lastIndexOf(':');
  return at < 0 ? { host: hostAndPort, port: 27017 } : { host: hostAndPort.slice(0, at), port: Number(hostAndPort.slice(at + 1)) };
}

/** One connection to another server, opened when it is needed. Commands are sent in order and answered in order. */
export class WireClient {
  /** The command that is sent first on every connection of this process; absent where servers ask for none. */
  static login: (() => Doc) | undefined;
  readonly hostAndPort: string;
  #socket: Socket | undefined;
  #pending = new Map<number, Pending>();
  #nextRequest = 0;
  #closed = false;

  constructor(hostAndPort: string) {
    this.hostAndPort = hostAndPort;
  }

  /** Runs a command. Rejects with {@link CommandError} for a reply with `ok: 0` and with {@link PeerError} for everything else. */
  async command(database: string, command: Doc, timeoutMs: number): Promise<Doc> {
    const reply = await this.raw(database, command, timeoutMs);
    if (numberOf(reply['ok']) === 1) return reply;
    throw new CommandError(numberOf(reply['code']) ?? 8, String(reply['errmsg']), reply);
  }

  /** Runs a command and returns the reply whatever it says. */
  raw(database: string, command: Doc, timeoutMs: number): Promise<Doc> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(new PeerError(`the connection to ${this.hostAndPort} is closed`));
        return;
      }
      this.#nextRequest = (this.#nextRequest + 1) & 0x7fffffff;
      const requestId = this.#nextRequest;
      const timer = setTimeout(() => this.#drop(new PeerError(`no answer from ${this.hostAndPort} within ${timeoutMs} ms`)), timeoutMs);
      this.#pending.set(requestId, { resolve, reject, timer });
      try {
        this.#open().write(encodeMsg({ ...command, $db: database }, { requestId, responseTo: 0 }));
      } catch (error) {
        this.#drop(new PeerError(error instanceof Error ? error.message : 'cannot be sent'));
      }
    });
  }

  close(): void {
    this.#closed = true;
    this.#drop(new PeerError(`the connection to ${this.hostAndPort} is closed`));
  }

  #open(): Socket {
    if (this.#socket !== undefined) return this.#socket;
    const { host, port } = splitHost(this.hostAndPort);
    const socket = connect({ host, port, noDelay: true });
    const splitter = new MessageSplitter();
    const lost = (reason: string): void => {
      if (this.#socket === socket) this.#drop(new PeerError(`Error connecting to ${this.hostAndPort} :: caused by :: ${reason}`));
    };
    socket.on('error', (error: NodeJS.ErrnoException) => lost(error.code === 'ECONNREFUSED' ? 'Connection refused' : error.message));
    socket.on('close', () => lost('Connection closed by peer'));
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const message of splitter.push(chunk)) this.#received(message);
      } catch (error) {
        lost(error instanceof Error ? error.message : 'invalid message');
      }
    });
    this.#socket = socket;
    // Its reply is not waited for: commands are answered in order, and without a login they are refused.
    if (WireClient.login !== undefined) socket.write(encodeMsg({ ...WireClient.login(), $db: 'admin' }, { requestId: 0, responseTo: 0 }));
    return socket;
  }

  #received(message: Buffer): void {
    const reply = decodeReply(message);
    const pending = this.#pending.get(reply.responseTo);
    if (pending === undefined) return;
    this.#pending.delete(reply.responseTo);
    clearTimeout(pending.timer);
    pending.resolve(reply.document);
  }

  #drop(error: PeerError): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const entry of pending) {
      clearTimeout(entry.timer);
      entry.reject(error);
    }
  }
}
