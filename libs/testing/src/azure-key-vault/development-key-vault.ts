import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { systemClock, type Clock } from '@atrest/platform-time';
import { EntraFailure, KeyVaultFailure } from './azure-failures.js';
import { AzureFaults, type ActiveAzureFault, type AzureFault, type AzureOperation } from './azure-faults.js';
import { ALL_HOST_NAMES, AZURE_HOSTS, cloudOf, isAuthority, type AzureEnvironmentName } from './azure-hosts.js';
import { developmentCertificate } from './certificate-authority.js';
import { EntraDirectory, type ApplicationCredentials } from './entra-directory.js';
import { change, idOf, keyVaultRequestOf, KeyVaultOperations } from './key-vault-operations.js';
import { KeyVaultStore, type NewKeyVersion } from './key-vault-store.js';
import { VaultAccess, type VaultDenial } from './vault-access.js';

/** How a client reaches the fake under Azure's own host names. */
export interface DevelopmentRoute {
  /** PEM of the authority that signed the fake's certificate. */
  readonly ca: string;
  /** Where to connect to instead of `host`. */
  dial(host: string): { readonly host: string; readonly port: number };
}

/** One request the server has read. */
export interface KeyVaultCall {
  readonly requestId: string;
  readonly operation: AzureOperation | null;
  readonly host: string;
  /** URL of the key as the request names it; null for Entra. */
  readonly keyId: string | null;
  readonly clientId: string | null;
  /** `alg` of the body. */
  readonly algorithm: string | null;
  /** `ok`, the error's code, or the kind of the fault that kept it from an answer. */
  outcome: string;
}

/** Calls kept for `calls()`: enough for any test, and a bound for a server that runs for weeks. */
const MAX_CALLS = 10_000;
const MAX_BODY_BYTES = 64 * 1024;
/** The resolver refuses a label of more than 63 letters with ENOTFOUND by itself, on every machine. */
const UNRESOLVABLE = `${'x'.repeat(64)}.invalid`;

/**
 * A development tool: Microsoft Entra's token endpoint and Azure Key Vault on the loopback, for the real Azure SDK, under Azure's own host
 * names and with a certificate that only its own clients trust. Keys, secrets and tokens lie in memory in clear. It protects nothing.
 */
export class DevelopmentKeyVault {
  /** The tenant that every vault belongs to. */
  readonly tenantId: string;
  readonly directory: EntraDirectory;
  readonly route: DevelopmentRoute;
  private readonly faults = new AzureFaults();
  private readonly access = new VaultAccess();
  private readonly store: KeyVaultStore;
  private readonly operations: KeyVaultOperations;
  private readonly recorded: KeyVaultCall[] = [];
  private readonly unknownHosts = new Set<string>();

  private constructor(
    private readonly server: Server,
    ca: string,
    private readonly clock: Clock,
  ) {
    this.directory = new EntraDirectory(clock);
    this.tenantId = this.directory.createTenant();
    this.store = new KeyVaultStore(clock);
    this.operations = new KeyVaultOperations(this.store);
    const { port } = server.address() as AddressInfo;
    this.route = {
      ca,
      dial: (host) => ({ host: this.unknownHosts.has(host) ? UNRESOLVABLE : '127.0.0.1', port }),
    };
    server.on('request', (request, response) => {
      this.serve(request, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
    });
  }

  static async start(options: { clock?: Clock; expiredCertificate?: boolean } = {}): Promise<DevelopmentKeyVault> {
    const { clock = systemClock, expiredCertificate = false } = options;
    const { ca, certificate, privateKey } = await developmentCertificate(ALL_HOST_NAMES, { expired: expiredCertificate });
    const server = createServer({ cert: certificate, key: privateKey });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', () => {
        server.off('error', reject);
        resolve();
      });
    });
    return new DevelopmentKeyVault(server, ca, clock);
  }

  /** A new application of the vaults' tenant, or of another, that may do everything until `deny` says otherwise. */
  createApplication(tenantId = this.tenantId): ApplicationCredentials {
    return this.directory.createApplication(tenantId);
  }

  /** A new key, or a new version of one that exists; gives its versioned URL. */
  async createKey(o: NewKeyVersion & { vault?: string; environment?: AzureEnvironmentName; name?: string } = {}): Promise<string> {
    const { vault = 'atrest-dev', environment = 'AZURE', name = `key-${randomUUID()}` } = o;
    const suffix = AZURE_HOSTS.find((hosts) => hosts.environment === environment)?.vaultSuffix;
    const { key, version } = await this.store.create(`${vault}.${suffix}`, name, o);
    return idOf(key, version);
  }

  /** Changes what Azure calls a key's attributes; dates in place of seconds. */
  setAttributes(keyId: string, o: { enabled?: boolean; expires?: Date | null; notBefore?: Date | null; operations?: string[] }): void {
    const { host, name, version } = partsOf(keyId);
    const seconds = (date: Date | null | undefined) => (date instanceof Date ? Math.floor(date.getTime() / 1_000) : date);
    change(this.store.version(host, name, version).version, {
      key_ops: o.operations,
      attributes: { enabled: o.enabled, exp: seconds(o.expires), nbf: seconds(o.notBefore) },
    });
  }

  /** Soft delete of the key with all its versions. */
  deleteKey(keyId: string): void {
    const { host, name } = partsOf(keyId);
    this.store.delete(host, name);
  }

  recoverKey(keyId: string): void {
    const { host, name } = partsOf(keyId);
    this.store.recover(host, name);
  }

  /** The key is gone for good, as after a purge or the waiting period. */
  destroyKey(keyId: string): void {
    const { host, name } = partsOf(keyId);
    this.store.delete(host, name);
    this.store.purge(host, name);
  }

  /** The vault loses its DNS name, as when it is deleted. */
  forgetHost(host: string): void {
    this.unknownHosts.add(host);
  }

  deny(denial: Omit<VaultDenial, 'id'>): VaultDenial {
    return this.access.deny(denial);
  }

  allow(id?: string): void {
    this.access.allow(id);
  }

  inject(fault: AzureFault): ActiveAzureFault {
    return this.faults.inject(fault);
  }

  clearFaults(id?: string): void {
    this.faults.clear(id);
  }

  calls(filter: Partial<Pick<KeyVaultCall, 'operation' | 'host' | 'outcome'>> = {}): readonly KeyVaultCall[] {
    return this.recorded.filter((call) =>
      Object.entries(filter).every(([member, value]) => call[member as 'operation' | 'host' | 'outcome'] === value),
    );
  }

  /** Ends every connection, also those that a fault keeps waiting. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => {
      this.server.close(resolve);
    });
    this.server.closeAllConnections();
    await closed;
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request);
    const host = (request.headers.host ?? '').replace(/:\d+$/, '').toLowerCase();
    const path = new URL(request.url ?? '/', `https://${host}`).pathname;
    const call = this.record(request, host, path, body);
    response.setHeader('Server', 'Atrest development Key Vault (protects nothing)');
    response.setHeader('x-ms-request-id', call.requestId);
    const fault = call.operation === null ? null : this.faults.take(call.operation);
    if (fault !== null && misbehave(fault, request, response)) {
      call.outcome = `fault:${fault.kind}`;
      return;
    }
    const answer = await this.answer({ request, host, path, body, call, fault });
    call.outcome = answer.outcome;
    send(answer, fault, request, response);
  }

  private async answer(o: {
    request: IncomingMessage;
    host: string;
    path: string;
    body: string;
    call: KeyVaultCall;
    fault: ActiveAzureFault | null;
  }): Promise<{ status: number; body: object | null; outcome: string; challenge?: string }> {
    const { host, fault } = o;
    try {
      throwFault(fault);
      const body = isAuthority(host) ? this.entra(o.path, o.body, fault) : await this.vault(o);
      return { status: body === null ? 204 : 200, body, outcome: 'ok' };
    } catch (error) {
      if (error instanceof EntraFailure) {
        return { status: error.status, body: error.body(this.clock.now()), outcome: `AADSTS${error.aadsts}` };
      }
      if (!(error instanceof KeyVaultFailure)) throw error;
      const outcome = error.innerCode ?? error.code;
      if (error.status !== 401) return { status: error.status, body: error.body(), outcome };
      const cloud = cloudOf(host);
      const challenge = `Bearer authorization="https://${cloud?.authorities[0]}/${this.tenantId}", resource="https://${cloud?.vaultSuffix}"`;
      return { status: 401, body: error.body(), outcome, challenge };
    }
  }

  private entra(path: string, body: string, fault: ActiveAzureFault | null): object {
    const [, tenantId = '', ...rest] = path.split('/');
    if (rest.join('/') !== 'oauth2/v2.0/token') throw new EntraFailure(90014, 'invalid_request', `The fake has no ${path}.`, 404);
    return this.directory.issueToken(tenantId, new URLSearchParams(body), fault?.kind === 'clock-skew' ? fault.offsetMs : 0);
  }

  private async vault(o: {
    request: IncomingMessage;
    host: string;
    path: string;
    body: string;
    fault: ActiveAzureFault | null;
  }): Promise<object | null> {
    const { host, fault } = o;
    const asked = keyVaultRequestOf(o.request.method ?? '', o.path);
    const cloud = cloudOf(host);
    if (cloud === undefined || asked === null) throw new KeyVaultFailure(404, 'NotFound', `The fake has no ${o.path} at ${host}.`);
    const token = this.directory.tokenOf(o.request.headers.authorization);
    const unauthorized = (words: string) => new KeyVaultFailure(401, 'Unauthorized', words);
    if (o.request.headers.authorization === undefined) throw unauthorized('AKV10000: Request is missing a Bearer or PoP token.');
    if (token === undefined || token.expiresAt <= this.clock.now().getTime() || fault?.kind === 'stale-token') {
      throw unauthorized('AKV10046: Unable to resolve the key used for signature validation.');
    }
    if (token.audience !== `https://${cloud.vaultSuffix}`) throw unauthorized(`AKV10022: Invalid audience. Found: ${token.audience}.`);
    if (token.tenantId !== this.tenantId)
      throw unauthorized(`AKV10032: Invalid issuer. Expected: ${this.tenantId}, found: ${token.tenantId}.`);
    this.access.assertAllowed({ ...token, operation: asked.operation, host });
    const answer = await this.operations.run(host, asked, parse(o.body));
    if (fault?.kind !== 'wrong-plaintext' || answer === null || !('value' in answer)) return answer;
    const bytes = Buffer.from(String(answer.value), 'base64url');
    return { ...answer, value: Buffer.from(bytes.map((byte) => byte ^ 0xff)).toString('base64url') };
  }

  private record(request: IncomingMessage, host: string, path: string, body: string): KeyVaultCall {
    const asked = keyVaultRequestOf(request.method ?? '', path);
    const form = isAuthority(host) ? new URLSearchParams(body) : null;
    const token = this.directory.tokenOf(request.headers.authorization);
    const algorithm = parse(body)['alg'];
    const call: KeyVaultCall = {
      requestId: randomUUID(),
      operation: form === null ? (asked?.operation ?? null) : path.endsWith('/token') ? 'token' : 'discovery',
      host,
      keyId: asked === null ? null : `https://${host}/keys/${asked.name}${asked.version === '' ? '' : `/${asked.version}`}`,
      clientId: form?.get('client_id') ?? token?.clientId ?? null,
      algorithm: typeof algorithm === 'string' ? algorithm : null,
      outcome: 'under-way',
    };
    this.recorded.push(call);
    if (this.recorded.length > MAX_CALLS) this.recorded.shift();
    return call;
  }
}

function throwFault(fault: ActiveAzureFault | null): void {
  if (fault?.kind === 'error' && fault.code !== undefined) {
    throw new KeyVaultFailure(fault.status, fault.code, fault.message, fault.innerCode);
  }
  if (fault?.kind === 'aadsts') throw new EntraFailure(fault.number, fault.error, fault.message, fault.status);
}

/** Faults below the level of an answer; true when there will be none. */
function misbehave(fault: ActiveAzureFault, request: IncomingMessage, response: ServerResponse): boolean {
  if (fault.kind === 'hang' && fault.phase === 'before-answer') return true;
  if (fault.kind === 'reset' && fault.phase === 'before-answer') {
    request.socket.destroy();
    return true;
  }
  if (fault.kind === 'throttle') {
    if (fault.retryAfterSeconds !== undefined) response.setHeader('Retry-After', fault.retryAfterSeconds);
    response.writeHead(429, { 'Content-Type': 'application/json' });
    response.end(
      JSON.stringify({ error: { code: 'Throttled', message: 'Request was not processed because too many requests were received.' } }),
    );
    return true;
  }
  if (fault.kind === 'error' && fault.code === undefined) {
    response.writeHead(fault.status).end();
    return true;
  }
  if (fault.kind === 'web-page') {
    response.writeHead(fault.status, { 'Content-Type': 'text/html' }).end('<!doctype html><title>Welcome</title><p>Please log in.</p>');
    return true;
  }
  return false;
}

function send(
  answer: { status: number; body: object | null; challenge?: string },
  fault: ActiveAzureFault | null,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const text = answer.body === null ? '' : JSON.stringify(answer.body);
  response.statusCode = answer.status;
  if (answer.challenge !== undefined) response.setHeader('WWW-Authenticate', answer.challenge);
  response.setHeader('Content-Type', 'application/json; charset=utf-8');
  if (text !== '') response.setHeader('Content-Length', Buffer.byteLength(text));
  const half = text.slice(0, Math.max(1, text.length >> 1));
  if (fault?.kind === 'hang') response.write(half);
  else if (fault?.kind === 'reset') response.write(half, () => request.socket.destroy());
  else response.end(text);
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) throw new Error('the body is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parse(body: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function partsOf(keyId: string): { host: string; name: string; version: string } {
  const { host, pathname } = new URL(keyId);
  const [, , name = '', version = ''] = pathname.split('/');
  return { host, name, version };
}
