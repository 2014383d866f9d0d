import { randomBytes } from 'node:crypto';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from 'node:tls';
import {
  decodeRequest,
  encodeResponse,
  KMIP_VERSIONS,
  KmipMessageError,
  MessageFrames,
  ResultReason,
  Tag,
  TtlvError,
  type FailureItem,
  type KmipVersion,
  type ReceivedRequest,
  type SuccessItem,
} from '@atrest/kmip';
import { KmipAuthority, type KmipCredentials } from './kmip-authority.js';
import { KmipFaults, type KmipFault } from './kmip-faults.js';
import { KmipKeyStore, type KmipStateName, type NewKey, type StoredKey } from './kmip-key-store.js';
import { answerTo } from './kmip-operations.js';

export interface DevelopmentKmipServerOptions {
  /** Several servers with the same authority and keys stand for one cluster of appliances. */
  readonly with?: DevelopmentKmipServer;
  /** 127.0.0.1 and a free port by default. */
  readonly address?: string;
  readonly port?: number;
  /** Best first; all by default. */
  readonly versions?: readonly KmipVersion[];
  /** False: DiscoverVersions is refused like an unknown operation. */
  readonly discoverVersions?: boolean;
  /** What happens to a version that is not spoken: an answer as PyKMIP gives it, or the end of the connection. */
  readonly otherVersions?: 'refuse' | 'end';
  /** What happens to a client without a certificate of the authority: the end of the connection, as of any Node.js server, or an answer. */
  readonly strangers?: 'end' | 'answer';
}

/** One question that reached the server. */
export interface KmipCall {
  readonly operation: string;
  readonly keyId: string | null;
  /** Common name of the certificate. */
  readonly client: string;
  readonly version: KmipVersion;
}

/** A development tool: a KMIP server on the loopback with keys in memory, states that can be set, and faults on demand. */
export class DevelopmentKmipServer {
  /** Where it listens. */
  readonly host: { readonly host: string; readonly port: number };
  /** Every question, oldest first. */
  readonly calls: KmipCall[] = [];
  /** Connections that were ever accepted. */
  accepted = 0;
  private readonly faults = new KmipFaults();
  private readonly sockets = new Set<Socket>();

  private constructor(
    readonly authority: KmipAuthority,
    private readonly store: KmipKeyStore,
    private readonly options: DevelopmentKmipServerOptions,
    private readonly front: Server,
    private readonly tls: TlsServer,
  ) {
    const { address, port } = front.address() as AddressInfo;
    this.host = { host: address, port };
    front.on('connection', (socket) => this.accept(socket));
    tls.on('secureConnection', (socket) => this.serve(socket));
    // Clients that fail the handshake are what the tests are about.
    tls.on('tlsClientError', () => undefined);
  }

  static async start(options: DevelopmentKmipServerOptions = {}): Promise<DevelopmentKmipServer> {
    const authority = options.with?.authority ?? (await KmipAuthority.create());
    const { certificate, key } = await authority.server();
    const tls = createTlsServer({
      cert: certificate,
      key,
      ca: authority.certificate,
      requestCert: true,
      rejectUnauthorized: (options.strangers ?? 'end') === 'end',
      minVersion: 'TLSv1.2',
    });
    const front = createServer();
    await new Promise<void>((resolve, reject) => {
      front.once('error', reject);
      front.listen(options.port ?? 0, options.address ?? '127.0.0.1', resolve);
    });
    return new DevelopmentKmipServer(authority, options.with?.store ?? new KmipKeyStore(), options, front, tls);
  }

  /** A new key, active and AES-256 unless said otherwise. */
  createKey(key: NewKey = {}): StoredKey {
    return this.store.create(key);
  }

  /** The key, to look at and to change. */
  key(id: string): StoredKey {
    return this.store.get(id);
  }

  /** Any state, also such as no operation of KMIP leads to: an administrator of an appliance can do more than a client. */
  setState(id: string, state: KmipStateName): void {
    this.store.get(id).state = state;
  }

  removeKey(id: string): void {
    this.store.remove(id);
  }

  inject(fault: KmipFault): void {
    this.faults.inject(fault);
  }

  clearFaults(): void {
    this.faults.clear();
  }

  /** Shows another certificate from now on. */
  present({ certificate, key }: KmipCredentials): void {
    this.tls.setSecureContext({ cert: certificate, key, ca: this.authority.certificate });
  }

  /** Ends every connection, as firewalls and servers do with those that are idle. */
  dropConnections(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  get connections(): number {
    return this.sockets.size;
  }

  async close(): Promise<void> {
    this.dropConnections();
    await new Promise<void>((resolve) => {
      this.front.close(() => resolve());
    });
  }

  private accept(socket: Socket): void {
    this.accepted += 1;
    this.sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => this.sockets.delete(socket));
    const fault = this.faults.takeForConnection();
    if (fault?.kind === 'silent-host') return;
    if (fault?.kind === 'reset-on-accept') socket.resetAndDestroy();
    else {
      if (fault?.kind === 'end-after-handshake') this.tls.once('secureConnection', (secure: TLSSocket) => secure.destroy());
      this.tls.emit('connection', socket);
    }
  }

  private serve(socket: TLSSocket): void {
    const frames = new MessageFrames(Tag.RequestMessage);
    const subject = socket.getPeerCertificate().subject as { CN?: string } | undefined;
    const client = subject?.CN ?? '';
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const message of frames.push(chunk)) this.answer(socket, message, client);
      } catch (error) {
        if (!(error instanceof TtlvError)) throw error;
        socket.destroy();
      }
    });
  }

  private answer(socket: TLSSocket, message: Buffer, client: string): void {
    const request = this.read(message);
    if (request === null || !this.speaks(request.version)) {
      if (request !== null && this.options.otherVersions === 'end') socket.destroy();
      else
        socket.write(bytesOf('1.0', [refused('InvalidMessage', 'Error parsing request message. See server logs for more information.')]));
      return;
    }
    const [item] = request.items;
    const operation = item?.operation ?? 'unknown';
    const keyId = item?.operation != null && 'uniqueIdentifier' in item.payload ? (item.payload.uniqueIdentifier ?? null) : null;
    this.calls.push({ operation, keyId, client, version: request.version });
    const fault = this.faults.takeForAnswer(operation);
    const limit = request.header.maximumResponseSize ?? Number.POSITIVE_INFINITY;
    let bytes = bytesOf(request.version, this.itemsFor(request, socket, client, fault?.kind === 'other-material'));
    if (bytes.length > limit) bytes = bytesOf(request.version, [refused('ResponseTooLarge', 'Response message length too large.')]);
    const known = item?.operation == null ? {} : { operation: item.operation };
    switch (fault?.kind) {
      case 'refuse': {
        const reason = typeof fault.reason === 'number' ? fault.reason : ResultReason[fault.reason];
        const answer = { status: 'OperationFailed', ...known, reason, message: fault.message ?? 'as injected' } as const;
        socket.write(bytesOf(request.version, [answer]));
        break;
      }
      case 'pending':
        socket.write(bytesOf(request.version, [{ status: 'OperationPending', ...known, reason: null, message: null }]));
        break;
      case 'hang':
        if (fault.phase === 'within-answer') socket.write(bytes.subarray(0, bytes.length / 2));
        break;
      case 'end':
        if (fault.phase === 'within-answer') socket.end(bytes.subarray(0, bytes.length / 2));
        else socket.end();
        break;
      case 'reset':
        for (const each of this.sockets) if (each.remotePort === socket.remotePort) each.resetAndDestroy();
        break;
      case 'mutate':
        socket.write(fault.change(bytes));
        break;
      case 'other-material':
      case undefined:
        socket.write(bytes);
    }
  }

  private itemsFor(request: ReceivedRequest, socket: TLSSocket, client: string, otherMaterial: boolean): (SuccessItem | FailureItem)[] {
    return request.items.map((item): SuccessItem | FailureItem => {
      const id = item.id === undefined ? {} : { id: item.id };
      if (!socket.authorized) return { ...refused('AuthenticationNotSuccessful', 'Error verifying the client certificate.'), ...id };
      if (item.operation === null || (item.operation === 'DiscoverVersions' && this.options.discoverVersions === false)) {
        return { ...refused('OperationNotSupported', 'The operation is not supported.'), ...id };
      }
      const answer = answerTo(item, { store: this.store, client, versions: this.options.versions ?? [...KMIP_VERSIONS].reverse() });
      if (!otherMaterial || answer.status !== 'Success' || answer.operation !== 'Get') return { ...answer, ...id };
      const block = answer.payload.symmetricKey?.block;
      if (block?.value === undefined || block.value instanceof Uint8Array) return { ...answer, ...id };
      const value = { ...block.value, material: randomBytes(32) };
      return { ...answer, payload: { ...answer.payload, symmetricKey: { block: { ...block, value } } }, ...id };
    });
  }

  private read(message: Buffer): ReceivedRequest | null {
    try {
      return decodeRequest(message);
    } catch (error) {
      if (error instanceof TtlvError || error instanceof KmipMessageError) return null;
      throw error;
    }
  }

  private speaks(version: KmipVersion): boolean {
    return this.options.versions?.includes(version) ?? true;
  }
}

const refused = (reason: keyof typeof ResultReason, message: string): FailureItem => ({
  status: 'OperationFailed',
  reason: ResultReason[reason],
  message,
});

const bytesOf = (version: KmipVersion, items: (SuccessItem | FailureItem)[]): Buffer =>
  encodeResponse({ version, timeStamp: new Date(), items });
