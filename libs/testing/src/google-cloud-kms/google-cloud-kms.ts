import { connect, createServer, type AddressInfo, type Server as TcpServer, type Socket } from 'node:net';
import { generateKeyPair, randomBytes, randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { Server, ServerCredentials, type handleUnaryCall, type sendUnaryData, type ServerUnaryCall } from '@grpc/grpc-js';
import { systemClock, type Clock } from '@atrest/platform-time';
import { loopbackCertificate, type LoopbackCertificate } from './certificate.js';
import { GoogleCloudFaults, type GoogleCloudFault } from './faults.js';
import { GoogleCloudKeyStore, type KeyPurpose, type VersionState } from './key-store.js';
import { GoogleCloudOperations, PERMISSIONS, type Rpc } from './operations.js';
import { RpcFailure } from './rpc-failure.js';
import { keyManagementService } from './service-definition.js';
import { publicKeyOf, TokenEndpoint } from './token-endpoint.js';

export interface DevelopmentGoogleCloudKmsOptions {
  readonly clock?: Clock;
  /** How long an access token lives; an hour at Google. */
  readonly tokenLifetimeMs?: number;
  /** How long the server's certificate is valid, from now; a negative length makes it expired. */
  readonly certificateValidForMs?: number;
}

/** One request that the server has read. */
export interface GoogleCloudCall {
  readonly operation: Rpc;
  /** The key or version as the request names it. */
  readonly name: string;
  /** `serviceAccount:<email>` or `principal:<subject>`; null without a valid token. */
  readonly principal: string | null;
  readonly additionalAuthenticatedData: Buffer;
  /** Milliseconds until the caller gives up, as it says itself; null when it waits for ever. */
  readonly deadlineInMs: number | null;
  /** `OK`, a status name, or the kind of the fault that kept it from an answer. */
  outcome: string;
}

interface Denial {
  readonly principal?: string;
  /** A key's or version's name, or its beginning. */
  readonly name?: string;
  readonly operations?: readonly Rpc[];
}

const PROJECT = 'atrest-development';
const rsaKeyPair = promisify(generateKeyPair);
const UNAUTHENTICATED =
  'Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.';

/**
 * A development tool: a Google Cloud KMS and its token endpoints on the loopback, which the vendor's SDK talks to by gRPC over TLS.
 * It keeps real key states, checks tokens and checksums and encrypts with AES-256-GCM, but everything lies in memory in clear.
 * It protects nothing.
 */
export class DevelopmentGoogleCloudKms {
  private readonly faults = new GoogleCloudFaults();
  private readonly store: GoogleCloudKeyStore;
  private readonly operations: GoogleCloudOperations;
  private readonly tokens: TokenEndpoint;
  private readonly server = new Server();
  private readonly front: TcpServer;
  private readonly sockets = new Set<Socket>();
  private readonly recorded: GoogleCloudCall[] = [];
  private readonly watchers = new Set<() => void>();
  private denials: Denial[] = [];
  private accepted = 0;

  private constructor(
    private readonly clock: Clock,
    tokenLifetimeMs: number,
    /** What the server shows; a client must be told to trust it. */
    readonly certificate: LoopbackCertificate,
  ) {
    this.store = new GoogleCloudKeyStore(clock);
    this.operations = new GoogleCloudOperations(this.store, clock);
    this.tokens = new TokenEndpoint(clock, this.faults, tokenLifetimeMs);
    const { operations } = this;
    this.server.addService(keyManagementService, {
      encrypt: this.handler('Encrypt', (request, fault) => operations.encrypt(request, fault)),
      decrypt: this.handler('Decrypt', (request, fault) => operations.decrypt(request, fault)),
      getCryptoKey: this.handler('GetCryptoKey', (request) => operations.getCryptoKey(request)),
      getCryptoKeyVersion: this.handler('GetCryptoKeyVersion', (request) => operations.getCryptoKeyVersion(request)),
      updateCryptoKeyVersion: this.handler('UpdateCryptoKeyVersion', (request) => operations.updateCryptoKeyVersion(request)),
      destroyCryptoKeyVersion: this.handler('DestroyCryptoKeyVersion', (request) => operations.destroyCryptoKeyVersion(request)),
      restoreCryptoKeyVersion: this.handler('RestoreCryptoKeyVersion', (request) => operations.restoreCryptoKeyVersion(request)),
    });
    this.front = createServer({ noDelay: true });
  }

  static async start(options: DevelopmentGoogleCloudKmsOptions = {}): Promise<DevelopmentGoogleCloudKms> {
    const { clock = systemClock, tokenLifetimeMs = 3_600_000, certificateValidForMs } = options;
    const certificate = await loopbackCertificate(certificateValidForMs === undefined ? {} : { validForMs: certificateValidForMs });
    const kms = new DevelopmentGoogleCloudKms(clock, tokenLifetimeMs, certificate);
    await kms.listen();
    return kms;
  }

  /** Where a client finds the service; the token endpoints have an origin of their own, with Google's paths. */
  get endpoint(): { readonly host: string; readonly port: number; readonly rootCertificates: string; readonly tokenOrigin: string } {
    const { port } = this.front.address() as AddressInfo;
    return { host: 'localhost', port, rootCertificates: this.certificate.certificate, tokenOrigin: this.tokens.origin };
  }

  /** A new service account with one key, as the JSON document that Google gives out for it. It may do everything until `deny`. */
  async createServiceAccount(name = `atrest-${randomUUID().slice(0, 8)}`): Promise<Readonly<Record<string, string>>> {
    const email = `${name}@${PROJECT}.iam.gserviceaccount.com`;
    const { privateKey } = await rsaKeyPair('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    const keyId = randomBytes(20).toString('hex');
    const keys = this.tokens.accounts.get(email) ?? new Map();
    this.tokens.accounts.set(email, keys.set(keyId, publicKeyOf(privateKey)));
    return {
      type: 'service_account',
      project_id: PROJECT,
      private_key_id: keyId,
      private_key: privateKey,
      client_email: email,
      client_id: '100000000000000000001',
      token_uri: 'https://oauth2.googleapis.com/token',
      universe_domain: 'googleapis.com',
    };
  }

  /** Deletes a service account, or one of its keys. Tokens already given out live on, as at Google. */
  deleteServiceAccount(email: string, keyId?: string): void {
    if (keyId === undefined) this.tokens.accounts.delete(email);
    else this.tokens.accounts.get(email)?.delete(keyId);
  }

  /** A token of an identity outside Google Cloud that a workload identity pool knows. */
  createSubjectToken(o: { audience: string; subject: string; expiresAt?: Date; mayImpersonate?: string }): string {
    const token = randomBytes(32).toString('base64url');
    const expiresAt = o.expiresAt?.getTime() ?? this.clock.now().getTime() + 3_600_000;
    this.tokens.subjects.set(token, { audience: o.audience, subject: o.subject, expiresAt });
    if (o.mayImpersonate !== undefined) this.tokens.impersonations.add(`principal:${o.subject} ${o.mayImpersonate}`);
    return token;
  }

  /** Ends every access token that was given out. */
  expireTokens(): void {
    this.tokens.expireTokens();
  }

  get tokenRequests(): number {
    return this.tokens.requests;
  }

  /** A new key with its first version; gives their names. */
  createKey(o: { location?: string; purpose?: KeyPurpose; rotationPeriodSeconds?: number; nextRotationAt?: Date } = {}): {
    readonly key: string;
    readonly version: string;
  } {
    const name = `projects/${PROJECT}/locations/${o.location ?? 'europe-west1'}/keyRings/databases/cryptoKeys/key-${randomUUID()}`;
    this.store.createKey({
      name,
      purpose: o.purpose ?? 'ENCRYPT_DECRYPT',
      rotationPeriod: o.rotationPeriodSeconds ?? null,
      nextRotationAt: o.nextRotationAt ?? null,
    });
    return { key: name, version: `${name}/cryptoKeyVersions/1` };
  }

  /** A new primary version, as by rotation; gives its name. */
  rotate(keyName: string): string {
    return this.store.addVersion(this.store.key(keyName)).name;
  }

  /** Any state of a version, also those that only imported or external keys reach. */
  setState(versionName: string, state: VersionState): void {
    this.store.version(versionName).version.state = state;
  }

  scheduleDestruction(versionName: string, at = new Date(this.clock.now().getTime() + 30 * 24 * 3_600_000)): void {
    const { version } = this.store.version(versionName);
    version.state = 'DESTROY_SCHEDULED';
    version.destroyAt = at;
  }

  /** The version's material is gone at once, as after the waiting time. */
  destroy(versionName: string): void {
    this.store.destroy(this.store.version(versionName).version);
  }

  /** The key is gone with all that is known of it. */
  deleteKey(keyName: string): void {
    this.store.deleteKey(keyName);
  }

  /** Takes permissions away, as a change of IAM policies does. */
  deny(denial: Denial): void {
    this.denials.push(denial);
  }

  allow(): void {
    this.denials = [];
  }

  inject(fault: GoogleCloudFault): void {
    this.faults.inject(fault);
  }

  clearFaults(): void {
    this.faults.clear();
  }

  calls(operation?: Rpc): readonly GoogleCloudCall[] {
    return this.recorded.filter((call) => operation === undefined || call.operation === operation);
  }

  /** Connections that clients have opened so far. */
  get connections(): number {
    return this.accepted;
  }

  /** Connections that are open now. */
  get openConnections(): number {
    return this.sockets.size;
  }

  /** Resolves as soon as the calls so far satisfy `predicate`. */
  async waitForCalls(predicate: (calls: readonly GoogleCloudCall[]) => boolean): Promise<void> {
    if (predicate(this.recorded)) return;
    await new Promise<void>((resolve) => {
      const watcher = (): void => {
        if (!predicate(this.recorded)) return;
        this.watchers.delete(watcher);
        resolve();
      };
      this.watchers.add(watcher);
    });
  }

  /** Ends every connection, also those that a fault keeps waiting. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => {
      this.front.close(resolve);
    });
    this.resetConnections();
    await closed;
    this.server.forceShutdown();
    await this.tokens.close();
  }

  private async listen(): Promise<void> {
    await this.tokens.listen();
    const credentials = ServerCredentials.createSsl(null, [
      { cert_chain: Buffer.from(this.certificate.certificate), private_key: Buffer.from(this.certificate.privateKey) },
    ]);
    const port = await new Promise<number>((resolve, reject) => {
      this.server.bindAsync('127.0.0.1:0', credentials, (error, bound) => {
        if (error === null) resolve(bound);
        else reject(error);
      });
    });
    // gRPC's server does not give its sockets away, so connections pass through here, where they can be counted and reset.
    this.front.on('connection', (socket) => {
      this.accepted += 1;
      const inner = connect({ port, host: '127.0.0.1', noDelay: true });
      this.sockets.add(socket);
      socket.on('close', () => {
        this.sockets.delete(socket);
        inner.destroy();
      });
      inner.on('close', () => socket.destroy());
      for (const one of [socket, inner]) one.on('error', () => one.destroy());
      socket.pipe(inner).pipe(socket);
    });
    await new Promise<void>((resolve, reject) => {
      this.front.once('error', reject);
      this.front.listen(0, '127.0.0.1', resolve);
    });
  }

  private resetConnections(): void {
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  private handler<Request extends object, Response>(
    operation: Rpc,
    run: (request: Request, fault: GoogleCloudFault | null) => Response,
  ): handleUnaryCall<Request, Response> {
    return (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>) => {
      const authorization = String(call.metadata.get('authorization')[0] ?? '');
      const principal = this.tokens.principalOf(authorization.replace(/^Bearer /, ''));
      const record = this.record(operation, call, principal);
      const fault = this.faults.take(operation);
      if (fault?.kind === 'hang' || fault?.kind === 'reset') {
        this.settle(record, `fault:${fault.kind}`);
        if (fault.kind === 'reset') this.resetConnections();
        return;
      }
      try {
        if (fault?.kind === 'error') throw new RpcFailure(fault.status, fault.message ?? fault.status, fault.reason);
        if (principal === null) throw new RpcFailure('UNAUTHENTICATED', UNAUTHENTICATED, 'ACCESS_TOKEN_EXPIRED');
        this.assertPermitted(operation, record.name, principal);
        const answer = run(call.request, fault);
        this.settle(record, 'OK');
        callback(null, answer);
      } catch (error) {
        if (!(error instanceof RpcFailure)) throw error;
        this.settle(record, error.statusName);
        callback(error.toServiceError());
      }
    };
  }

  private assertPermitted(operation: Rpc, name: string, principal: string): void {
    const denied = this.denials.some(
      (denial) =>
        (denial.principal === undefined || denial.principal === principal) &&
        (denial.name === undefined || name.startsWith(denial.name)) &&
        (denial.operations === undefined || denial.operations.includes(operation)),
    );
    if (!denied) return;
    throw new RpcFailure(
      'PERMISSION_DENIED',
      `Permission '${PERMISSIONS[operation]}' denied on resource '${name}' (or it may not exist).`,
      'IAM_PERMISSION_DENIED',
    );
  }

  private record(operation: Rpc, call: ServerUnaryCall<object, unknown>, principal: string | null): GoogleCloudCall {
    const request = call.request as { name?: string; cryptoKeyVersion?: { name?: string }; additionalAuthenticatedData?: Uint8Array };
    const deadline = call.getDeadline();
    const deadlineMs = deadline instanceof Date ? deadline.getTime() : deadline;
    const record: GoogleCloudCall = {
      operation,
      name: request.name ?? request.cryptoKeyVersion?.name ?? '',
      principal,
      additionalAuthenticatedData: Buffer.from(request.additionalAuthenticatedData ?? []),
      deadlineInMs: Number.isFinite(deadlineMs) ? deadlineMs - Date.now() : null,
      outcome: 'under-way',
    };
    this.recorded.push(record);
    this.tellWatchers();
    return record;
  }

  private settle(record: GoogleCloudCall, outcome: string): void {
    record.outcome = outcome;
    this.tellWatchers();
  }

  private tellWatchers(): void {
    for (const watcher of this.watchers) watcher();
  }
}
