import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { randomUUID } from 'node:crypto';
import { systemClock, type Clock } from '@atrest/platform-time';
import { ControlInterface, type ControllableKms } from './control-interface.js';
import { Faults, type ActiveFault, type Fault } from './faults.js';
import { delay, formOf, isLoopback, misbehave, parseObject, readBody } from './http.js';
import { KmsFailure } from './kms-failure.js';
import { KmsStore, type Denial, type DevelopmentKey, type DevelopmentKeyState, type Role } from './kms-store.js';
import { accessDenied, Operations } from './operations.js';
import { authenticate, type Principal } from './sigv4.js';
import { SecurityTokens } from './sts.js';

export interface DevelopmentKmsOptions {
  /** 0, the default, lets the operating system choose. */
  readonly port?: number;
  /** Loopback only; anything else is refused. */
  readonly host?: string;
  /** Keys, aliases and access keys survive a restart in this file (mode 0600). */
  readonly stateFile?: string;
  readonly accountId?: string;
  /** Where `createKey` puts keys when it is not told; requests may be signed for any region. */
  readonly region?: string;
  readonly clock?: Clock;
}

/** One request the server has read. */
export interface KmsCall {
  readonly requestId: string;
  readonly operation: string;
  readonly accessKeyId: string | null;
  readonly region: string | null;
  /** The key as the request names it. */
  readonly keyId: string | null;
  readonly encryptionContext: Readonly<Record<string, unknown>> | null;
  readonly at: Date;
  /** `ok`, the name of the error, or the kind of the fault that kept it from an answer. */
  outcome: string;
}

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** Calls kept for `calls()`: enough for any test, and a bound for a server that runs for weeks. */
const MAX_CALLS = 10_000;

/**
 * A development tool: an AWS KMS on the loopback that the real AWS SDK and CLI talk to. It keeps real key states, checks signatures
 * and encrypts with AES-256-GCM, but its keys lie in a file or in memory in clear. It protects nothing.
 */
export class DevelopmentKms implements ControllableKms {
  readonly accountId: string;
  readonly region: string;
  private readonly faults = new Faults();
  private readonly operations: Operations;
  private readonly tokens: SecurityTokens;
  private readonly control: ControlInterface;
  private readonly recorded: KmsCall[] = [];
  private readonly watchers = new Set<() => void>();

  private constructor(
    private readonly server: Server,
    private readonly store: KmsStore,
    private readonly clock: Clock,
    region: string,
  ) {
    this.accountId = store.accountId;
    this.region = region;
    this.operations = new Operations(store, clock);
    this.tokens = new SecurityTokens(store, clock);
    this.control = new ControlInterface(this);
    server.on('request', (request, response) => {
      this.serve(request, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
    });
  }

  static async start(options: DevelopmentKmsOptions = {}): Promise<DevelopmentKms> {
    const { port = 0, host = '127.0.0.1', stateFile, accountId = '111122223333', region = 'us-east-1', clock = systemClock } = options;
    if (!isLoopback(host)) throw new Error(`The development KMS protects nothing and listens on the loopback only, not on ${host}.`);
    const store = KmsStore.open({ accountId, clock, ...(stateFile !== undefined && { stateFile }) });
    const server = createServer();
    const kms = new DevelopmentKms(server, store, clock, region);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        resolve();
      });
    });
    return kms;
  }

  /** The endpoint to give to an AWS client. */
  get url(): string {
    const { address, port, family } = this.server.address() as AddressInfo;
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  }

  /** A new access key of an IAM user that may do everything until `deny` says otherwise. */
  createAccessKey(o: { userName?: string; temporary?: boolean; expiresAt?: Date } = {}): Credentials {
    const key = this.store.createAccessKey({
      userName: o.userName ?? 'atrest',
      temporary: o.temporary ?? o.expiresAt !== undefined,
      expiresAt: o.expiresAt?.getTime() ?? null,
    });
    return {
      accessKeyId: key.accessKeyId,
      secretAccessKey: key.secretAccessKey,
      ...(key.sessionToken !== null && { sessionToken: key.sessionToken }),
    };
  }

  disableAccessKey(accessKeyId: string): void {
    this.store.setAccessKey(accessKeyId, 'deactivate');
  }

  enableAccessKey(accessKeyId: string): void {
    this.store.setAccessKey(accessKeyId, 'activate');
  }

  deleteAccessKey(accessKeyId: string): void {
    this.store.setAccessKey(accessKeyId, 'delete');
  }

  /** A role that trusts the account's users when they name the external id; gives its ARN. */
  createRole(o: { name?: string; externalId?: string; region?: string } = {}): string {
    return this.tokens.createRole({ name: o.name ?? 'atrest-key', externalId: o.externalId ?? null, region: o.region ?? this.region });
  }

  /** The role is gone, or trusts nobody any more: AWS answers both alike. Sessions that were given out live on. */
  deleteRole(roleArn: string): void {
    this.tokens.deleteRole(roleArn);
  }

  roles(): readonly Role[] {
    return this.store.roles;
  }

  accessKeyIds(): string[] {
    return this.store.accessKeys.map((key) => key.accessKeyId);
  }

  /** A new key; `alias` with or without the `alias/` prefix. */
  createKey(
    o: { alias?: string; region?: string; description?: string; keySpec?: string; keyUsage?: string; origin?: 'AWS_KMS' | 'EXTERNAL' } = {},
  ): { keyId: string; arn: string } {
    const { region = this.region, keySpec = 'SYMMETRIC_DEFAULT', keyUsage = 'ENCRYPT_DECRYPT', origin = 'AWS_KMS', description = '' } = o;
    const key = this.store.createKey({ region, keySpec, keyUsage, origin, description });
    if (o.alias !== undefined) this.pointAlias(o.alias, key.keyId);
    return { keyId: key.keyId, arn: this.store.arnOf(key) };
  }

  /** Creates the alias or moves it to another key. */
  pointAlias(alias: string, keyId: string): void {
    const name = alias.startsWith('alias/') ? alias : `alias/${alias}`;
    const key = this.key(keyId);
    this.store.change((state) => {
      state.aliases = state.aliases.filter((known) => known.name !== name || known.region !== key.region);
      state.aliases.push({ region: key.region, name, keyId: key.keyId });
    });
  }

  disableKey(keyId: string): void {
    this.setKeyState(keyId, 'Disabled');
  }

  enableKey(keyId: string): void {
    this.setKeyState(keyId, 'Enabled');
  }

  scheduleKeyDeletion(keyId: string, days = 30): void {
    this.setKeyState(keyId, 'PendingDeletion', this.clock.now().getTime() + days * 24 * 3_600_000);
  }

  cancelKeyDeletion(keyId: string): void {
    this.setKeyState(keyId, 'Disabled');
  }

  /** Any state, also those that AWS reaches only with custom key stores or imported material. */
  setKeyState(keyId: string, state: DevelopmentKeyState, deletionDate: number | null = null): void {
    const key = this.key(keyId);
    this.store.change(() => {
      key.state = state;
      key.deletionDate = deletionDate;
    });
  }

  /** Turns automatic rotation on, or off with null. */
  setRotation(keyId: string, periodDays: number | null): void {
    const key = this.key(keyId);
    this.store.change(() => {
      key.rotation = periodDays === null ? null : { periodDays, since: this.clock.now().getTime() };
    });
  }

  /** The key and its aliases are gone at once, as after the waiting period. */
  destroyKey(keyId: string): void {
    this.store.destroyKey(this.key(keyId).keyId);
  }

  keys(): (Omit<DevelopmentKey, 'material'> & { arn: string; aliases: string[] })[] {
    return this.store.keys.map((key) => ({
      keyId: key.keyId,
      region: key.region,
      keySpec: key.keySpec,
      keyUsage: key.keyUsage,
      origin: key.origin,
      description: key.description,
      createdAt: key.createdAt,
      state: key.state,
      deletionDate: key.deletionDate,
      rotation: key.rotation ?? null,
      arn: this.store.arnOf(key),
      aliases: this.store.aliases.filter((alias) => alias.keyId === key.keyId).map((alias) => alias.name),
    }));
  }

  /** Takes permissions away, as an IAM or key policy does; `allow` gives them back. */
  deny(denial: Omit<Denial, 'id'>): Denial {
    return this.store.deny({ ...denial, ...(denial.keyId !== undefined && { keyId: this.key(denial.keyId).keyId }) });
  }

  allow(denialId?: string): void {
    this.store.allow(denialId);
  }

  denials(): readonly Denial[] {
    return this.store.denials;
  }

  inject(fault: Fault): ActiveFault {
    return this.faults.inject(fault);
  }

  clearFaults(id?: string): void {
    this.faults.clear(id);
  }

  activeFaults(): ActiveFault[] {
    return this.faults.list();
  }

  calls(filter: Partial<Pick<KmsCall, 'operation' | 'accessKeyId' | 'outcome'>> = {}): readonly KmsCall[] {
    return this.recorded.filter((call) =>
      Object.entries(filter).every(([member, value]) => call[member as 'operation' | 'accessKeyId' | 'outcome'] === value),
    );
  }

  /** Resolves as soon as the calls so far satisfy `predicate`. */
  async waitForCalls(predicate: (calls: readonly KmsCall[]) => boolean): Promise<void> {
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
      this.server.close(resolve);
    });
    this.server.closeAllConnections();
    await closed;
  }

  private key(reference: string): DevelopmentKey {
    const key = this.store.keys.find((candidate) => candidate.keyId === reference || this.store.arnOf(candidate) === reference);
    if (key === undefined) throw new Error(`there is no key ${reference}`);
    return key;
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('Server', 'Atrest development KMS (protects nothing)');
    const body = await readBody(request);
    if ((request.url ?? '').startsWith('/_control')) {
      this.control.serve(request, body, response);
      return;
    }
    const form = formOf(request, body);
    const target = String(request.headers['x-amz-target'] ?? '');
    const operation = form?.get('Action') ?? /^TrentService\.(\w+)$/.exec(target)?.[1] ?? '';
    const input = form === null ? parseObject(body) : null;
    const keyReference = typeof input?.['KeyId'] === 'string' ? input['KeyId'] : null;
    const call = this.record(request, operation, input, keyReference);
    response.setHeader('x-amzn-RequestId', call.requestId);
    const { latencyMs, effect } = this.faults.take(operation, keyReference);
    if (latencyMs > 0) await delay(latencyMs);
    if (misbehave(effect, request, response)) {
      this.settle(call, `fault:${effect?.kind}`);
      return;
    }
    const { status, text, type, outcome } =
      form === null
        ? this.answer({ request, body, operation, input, effect })
        : this.answerForm({ request, body, form, effect, requestId: call.requestId });
    response.statusCode = status;
    response.setHeader('Content-Type', type);
    response.setHeader('Content-Length', text.length);
    // The SDK sets its clock by this header.
    response.sendDate = false;
    if (effect?.kind !== 'clock-skew' || !effect.hideDate) response.setHeader('Date', this.now(effect).toUTCString());
    this.settle(call, outcome);
    if (effect?.kind === 'hang') {
      response.write(text.subarray(0, Math.max(1, text.length >> 1)));
    } else if (effect?.kind === 'reset') {
      response.write(text.subarray(0, effect.afterBytes), () => {
        request.socket.resetAndDestroy();
      });
    } else {
      response.end(text);
    }
  }

  private answer(o: {
    request: IncomingMessage;
    body: Buffer;
    operation: string;
    input: Record<string, unknown> | null;
    effect: ActiveFault | null;
  }): Answer {
    const { request, body, operation, input, effect } = o;
    const type = 'application/x-amz-json-1.1';
    const bytes = (value: object): Buffer => Buffer.from(JSON.stringify(value), 'utf8');
    try {
      const principal = this.authenticate(request, body, effect, 'kms');
      if (input === null) throw new KmsFailure('SerializationException', 'The body is not a JSON object.');
      this.assertNoFault(effect, principal, operation, input);
      const answer = this.operations.run({ operation, input, principal });
      if (effect?.kind === 'wrong-plaintext' && typeof answer['Plaintext'] === 'string') {
        const bytes = Buffer.from(answer['Plaintext'], 'base64');
        answer['Plaintext'] = Buffer.from(bytes.map((byte) => byte ^ 0xff)).toString('base64');
      }
      return { status: 200, type, text: bytes(answer), outcome: 'ok' };
    } catch (error) {
      if (!(error instanceof KmsFailure)) throw error;
      return { status: error.status, type, text: bytes({ __type: error.name, message: error.message }), outcome: error.name };
    }
  }

  /** AWS STS, which speaks forms and XML. */
  private answerForm(o: {
    request: IncomingMessage;
    body: Buffer;
    form: URLSearchParams;
    effect: ActiveFault | null;
    requestId: string;
  }): Answer {
    const { request, body, form, effect, requestId } = o;
    const type = 'text/xml';
    try {
      const principal = this.authenticate(request, body, effect, 'sts');
      this.assertNoFault(effect, principal, form.get('Action') ?? '', {});
      return { status: 200, type, text: this.tokens.answer(form, principal, requestId), outcome: 'ok' };
    } catch (error) {
      if (!(error instanceof KmsFailure)) throw error;
      const failure = this.tokens.failure(error, requestId);
      return { ...failure, type, outcome: failure.name };
    }
  }

  private authenticate(request: IncomingMessage, body: Buffer, effect: ActiveFault | null, service: 'kms' | 'sts'): Principal {
    return authenticate(
      { method: request.method ?? '', path: request.url ?? '/', headers: request.headers, body },
      this.now(effect),
      (accessKeyId) => this.store.accessKeys.find((key) => key.accessKeyId === accessKeyId),
      service,
    );
  }

  private assertNoFault(effect: ActiveFault | null, principal: Principal, operation: string, input: Record<string, unknown>): void {
    if (effect?.kind === 'throttle') throw new KmsFailure('ThrottlingException', 'Rate exceeded');
    if (effect?.kind === 'error') throw new KmsFailure(effect.name ?? 'InternalFailure', effect.message ?? '', effect.status);
    if (effect?.kind === 'access-denied') {
      const reference = input['KeyId'];
      const key = typeof reference === 'string' ? this.store.resolve(reference, principal.region) : null;
      throw accessDenied(this.store, principal, operation, key);
    }
  }

  private now(effect: ActiveFault | null): Date {
    return new Date(this.clock.now().getTime() + (effect?.kind === 'clock-skew' ? effect.offsetMs : 0));
  }

  private record(request: IncomingMessage, operation: string, input: Record<string, unknown> | null, keyId: string | null): KmsCall {
    const credential = /Credential=([^/]+)\/\d+\/([^/]+)\//.exec(request.headers.authorization ?? '');
    const context = input?.['EncryptionContext'];
    const call: KmsCall = {
      requestId: randomUUID(),
      operation,
      accessKeyId: credential?.[1] ?? null,
      region: credential?.[2] ?? null,
      keyId,
      encryptionContext: typeof context === 'object' ? (context as Record<string, unknown> | null) : null,
      at: this.clock.now(),
      outcome: 'under-way',
    };
    this.recorded.push(call);
    if (this.recorded.length > MAX_CALLS) this.recorded.shift();
    this.tellWatchers();
    return call;
  }

  private settle(call: KmsCall, outcome: string): void {
    call.outcome = outcome;
    this.tellWatchers();
  }

  private tellWatchers(): void {
    for (const watcher of this.watchers) watcher();
  }
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly text: Buffer;
  readonly outcome: string;
}
