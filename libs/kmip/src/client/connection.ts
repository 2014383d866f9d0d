import { lookup, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { connect, type SecureContext, type TLSSocket } from 'node:tls';
import { MessageFrames } from '../ttlv/message-frames.js';
import { Tag } from '../vocabulary/tags.js';
import { KmipConnectionError, type ConnectionPhase, type KmipConnectionErrorCode, type KmipHost } from './errors.js';

export interface ConnectionOptions {
  readonly host: KmipHost;
  readonly secureContext: SecureContext;
  readonly maxResponseBytes: number;
  /** Whether an address of the host may be connected to. */
  readonly allowAddress: (address: string) => boolean;
  /** Ends the attempt to connect, and the connection. */
  readonly signal: AbortSignal;
}

interface Waiting {
  resolve(message: Buffer): void;
  reject(error: unknown): void;
}

/** One TLS connection to one server, on which one question at a time is asked. Every end of it is an error of the question that waits. */
export class KmipConnection {
  private waiting: Waiting | null = null;
  private readonly frames: MessageFrames;
  private ended = false;

  private constructor(
    private readonly options: ConnectionOptions,
    private readonly socket: TLSSocket,
  ) {
    this.frames = new MessageFrames(Tag.ResponseMessage, options.maxResponseBytes);
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.received(chunk));
    socket.on('error', (error) => this.fail(failureOf(error, 'answer', this.options.host, this.frames.pendingBytes)));
    socket.on('end', () => this.fail(this.closedByServer()));
    socket.on('close', () => this.fail(this.closedByServer()));
    const abort = (): void => this.close();
    options.signal.addEventListener('abort', abort, { once: true });
    socket.on('close', () => options.signal.removeEventListener('abort', abort));
  }

  /** Connects and shakes hands within `timeoutMs`. @throws KmipConnectionError */
  static async open(options: ConnectionOptions, timeoutMs: number): Promise<KmipConnection> {
    const { host, secureContext, signal } = options;
    let phase: ConnectionPhase = 'connect';
    const kind = isIP(host.host);
    if (kind !== 0 && !options.allowAddress(host.host)) throw notAllowed(host);
    const socket = connect({
      host: host.host,
      port: host.port,
      secureContext,
      // SNI carries names only.
      ...(kind === 0 && { servername: host.host }),
      lookup: allowedAddresses(options),
    });
    socket.once('connect', () => {
      phase = 'handshake';
    });
    let timer: NodeJS.Timeout | undefined;
    let abort = (): void => undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        abort = () => reject(new KmipConnectionError('KMIP.CLOSED', 'closed by us', { host, phase }));
        signal.addEventListener('abort', abort, { once: true });
        if (signal.aborted) abort();
        timer = setTimeout(() => reject(timedOut(phase, timeoutMs, host)), timeoutMs);
        // They stay: what they say later is said to nobody.
        socket.once('error', (error) => reject(failureOf(error, phase, host, 0)));
        socket.once('close', () => reject(new KmipConnectionError('KMIP.CLOSED', `closed during ${phase}`, { host, phase })));
        socket.once('secureConnect', resolve);
      });
      return new KmipConnection(options, socket);
    } catch (error) {
      // What a connection says after we gave it up is of no interest.
      socket.on('error', () => undefined).destroy();
      throw error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
  }

  get usable(): boolean {
    return !this.ended;
  }

  /** Sends one message and gives the next that comes, within `timeoutMs` from the first byte sent to the last byte received. */
  async exchange(message: Uint8Array, timeoutMs: number): Promise<Buffer> {
    const { host } = this.options;
    if (this.ended || this.waiting !== null) throw new TypeError('a connection answers one question at a time, until it ends');
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<Buffer>((resolve, reject) => {
        this.waiting = { resolve, reject };
        timer = setTimeout(() => this.fail(timedOut('answer', timeoutMs, host, this.frames.pendingBytes)), timeoutMs);
        this.socket.ref();
        this.socket.write(message);
      });
    } finally {
      clearTimeout(timer);
      this.waiting = null;
    }
  }

  /** From now until the next question, the connection does not keep the process alive. */
  rest(): void {
    this.socket.unref();
  }

  close(): void {
    this.end(new KmipConnectionError('KMIP.CLOSED', 'closed by us', { host: this.options.host, phase: 'answer' }));
    // With a word of goodbye: some servers log every other end as an error.
    this.socket.destroySoon();
  }

  private received(chunk: Buffer): void {
    try {
      const [message, ...more] = this.frames.push(chunk);
      if (message === undefined && this.waiting !== null) return;
      // Bytes that nobody asked for would be taken for the answer to the next question.
      if (this.waiting === null || more.length > 0 || this.frames.pendingBytes > 0) {
        throw new KmipConnectionError('KMIP.CLOSED', 'the server sent what nobody asked for', { host: this.options.host, phase: 'answer' });
      }
      this.waiting.resolve(message!);
    } catch (error) {
      this.fail(error);
    }
  }

  private fail(error: unknown): void {
    this.end(error);
    this.socket.destroy();
  }

  private end(error: unknown): void {
    this.ended = true;
    this.waiting?.reject(error);
  }

  private closedByServer(): KmipConnectionError {
    const receivedBytes = this.frames.pendingBytes;
    const what = receivedBytes === 0 ? 'the server closed the connection without an answer' : 'the answer ends in the middle';
    return new KmipConnectionError('KMIP.CLOSED', what, { host: this.options.host, phase: 'answer', receivedBytes });
  }
}

const timedOut = (phase: ConnectionPhase, timeoutMs: number, host: KmipHost, receivedBytes = 0): KmipConnectionError =>
  new KmipConnectionError('KMIP.TIMEOUT', `no ${phase === 'connect' ? 'connection' : phase} within ${timeoutMs} ms`, {
    host,
    phase,
    receivedBytes,
  });

const notAllowed = (host: KmipHost): KmipConnectionError =>
  new KmipConnectionError('KMIP.ADDRESS_NOT_ALLOWED', 'the address is not allowed', { host, phase: 'connect' });

/** What an error of a socket means in a phase. Codes of OpenSSL and of certificate checks have no system call behind them. */
function failureOf(error: Error, phase: ConnectionPhase, host: KmipHost, receivedBytes: number): KmipConnectionError {
  if (error instanceof KmipConnectionError) return error;
  const { code: systemCode = 'UNKNOWN', syscall, reason } = error as NodeJS.ErrnoException & { reason?: string };
  let kind: KmipConnectionErrorCode = 'KMIP.CLOSED';
  if (phase === 'connect') kind = 'KMIP.CONNECT_FAILED';
  else if (syscall === undefined && systemCode !== 'ECONNRESET' && systemCode !== 'EPIPE') kind = 'KMIP.TLS_FAILED';
  const alert = /SSL alert number (\d+)/.exec(error.message)?.[1];
  const details = { host, phase, systemCode, receivedBytes, ...(alert !== undefined && { alert: Number(alert) }) };
  // OpenSSL's messages begin with the address of a thread; its reason is all that a reader wants.
  const what = [reason, error.message, systemCode].find((text) => text !== undefined && text !== '');
  return new KmipConnectionError(kind, what ?? systemCode, details, { cause: error });
}

/** Resolves names as Node does and leaves out what may not be connected to: a name can be moved to any address of our network. */
function allowedAddresses({ host, allowAddress }: ConnectionOptions): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found: LookupAddress[]) => {
      const allowed = (found ?? []).filter(({ address }) => allowAddress(address));
      const [first] = allowed;
      if (error !== null) callback(error, '');
      else if (first === undefined) callback(notAllowed(host), '');
      else if (options.all === true) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };
}
