import { setMaxListeners } from 'node:events';
import { KmipMessageError } from '../messages/message-error.js';
import type { OperationName, RequestPayload, ResponsePayload } from '../messages/operation-messages.js';
import { encodeRequest, type RequestItem } from '../messages/request-message.js';
import { decodeResponse, type FailureItem, type SuccessItem } from '../messages/response-message.js';
import { TtlvError } from '../ttlv/ttlv-error.js';
import { ResultReason } from '../vocabulary/enumerations.js';
import { OPERATIONS } from '../vocabulary/operations.js';
import { versionNumber, versionOf, type KmipVersion } from '../vocabulary/versions.js';
import { ClientCredentials, type KmipTlsOptions } from './client-credentials.js';
import { KmipConnection } from './connection.js';
import { KmipClosedError, KmipConnectionError, KmipHostsError, KmipOperationError, KmipVersionError, type KmipHost } from './errors.js';
import { mayBeVersion, OFFERED_VERSIONS, VersionPlan } from './version-plan.js';

export interface KmipClientOptions extends KmipTlsOptions {
  /** Servers with the same keys, tried in this order; the one that answered last is tried first. */
  readonly hosts: readonly KmipHost[];
  /** Only this version; otherwise the server is asked. */
  readonly version?: KmipVersion;
  /** For servers that want more than the client certificate. */
  readonly credentials?: { readonly username: string; readonly password?: string };
  /** Name resolution, TCP and TLS. 5 s: what MongoDB's servers allow. */
  readonly handshakeTimeoutMs?: number;
  /** From the first byte of a question to the last of its answer, so that an answer that trickles ends too. 5 s, as above. */
  readonly answerTimeoutMs?: number;
  /** All hosts together. 20 s: a check has 30. */
  readonly requestTimeoutMs?: number;
  /** A connection without a question is closed after this. 10 s: enough for the requests of one check, too short to hide a revoked certificate. */
  readonly idleTimeoutMs?: number;
  /** Also told to the server. 64 KiB: a key with all its attributes has less than 4. */
  readonly maxResponseBytes?: number;
  /** Whether an address may be connected to; all may by default. */
  readonly allowAddress?: (address: string) => boolean;
  readonly now?: () => Date;
}

type Settings = Required<Omit<KmipClientOptions, 'ca' | 'certificate' | 'key' | 'hosts' | 'version' | 'credentials'>> &
  Pick<KmipClientOptions, 'credentials'>;

/** A server of the list with what is known of it. */
interface Server {
  readonly host: KmipHost;
  readonly versions: VersionPlan;
  /** The connection that the last question left. */
  idle: { readonly connection: KmipConnection; readonly timer: NodeJS.Timeout } | null;
}

/** With less time left no further server is asked: nothing answers that fast through TLS, and timers are off by a millisecond. */
const SHORTEST_ATTEMPT_MS = 10;

/** Answers with which another server of the list may do better. */
const ANOTHER_MAY_DO_BETTER: ReadonlySet<number | null> = new Set([
  ResultReason.GeneralFailure,
  ResultReason.InternalServerError,
  ResultReason.ServerLimitExceeded,
]);

/**
 * Asks KMIP servers over TLS, one operation at a time. Everything has a deadline; nothing is repeated that may have been carried out
 * already and would change something twice.
 */
export class KmipClient {
  private readonly settings: Settings;
  private readonly tls: ClientCredentials;
  /** The preferred server first. */
  private servers: readonly Server[];
  private readonly ending = new AbortController();

  constructor(options: KmipClientOptions) {
    const { hosts, version, credentials } = options;
    if (hosts.length === 0) throw new RangeError('a KMIP client needs at least one host');
    this.settings = {
      handshakeTimeoutMs: options.handshakeTimeoutMs ?? 5_000,
      answerTimeoutMs: options.answerTimeoutMs ?? 5_000,
      requestTimeoutMs: options.requestTimeoutMs ?? 20_000,
      idleTimeoutMs: options.idleTimeoutMs ?? 10_000,
      maxResponseBytes: options.maxResponseBytes ?? 64 * 1024,
      allowAddress: options.allowAddress ?? (() => true),
      now: options.now ?? (() => new Date()),
      ...(credentials !== undefined && { credentials }),
    };
    // Every connection listens; Node warns of more than ten.
    setMaxListeners(0, this.ending.signal);
    this.tls = new ClientCredentials(options, this.settings.now);
    this.servers = hosts.map((host) => ({ host, versions: new VersionPlan(version), idle: null }));
  }

  /**
   * Asks for one operation. When a server cannot be reached, does not answer or is in trouble of its own, the next of the list is
   * asked; what a server says about the object is final.
   *
   * @throws KmipOperationError, KmipConnectionError, KmipVersionError, KmipMessageError, TtlvError of the only server asked or of the one
   *   whose answer counts; KmipHostsError when several servers failed; KmipClosedError
   */
  async request<O extends OperationName>(operation: O, payload: RequestPayload<O>): Promise<ResponsePayload<O>> {
    // The item's type is a union over operations, which a generic one is not seen to be a member of.
    const item = { operation, payload } as RequestItem;
    const endsAt = performance.now() + this.settings.requestTimeoutMs;
    const failures: Error[] = [];
    for (const server of this.servers) {
      if (failures.length > 0 && endsAt - performance.now() < SHORTEST_ATTEMPT_MS) break;
      try {
        const answer = await this.ask(server, item, endsAt);
        this.servers = [server, ...this.servers.filter((other) => other !== server)];
        return answer as ResponsePayload<O>;
      } catch (error) {
        if (this.closed) throw new KmipClosedError();
        if (!(error instanceof Error) || !canGoOn(error, OPERATIONS[operation].safe)) throw error;
        failures.push(error);
      }
    }
    throw failures.length === 1 ? failures[0]! : new KmipHostsError(failures);
  }

  /** Ends all connections; questions that wait fail with `KmipClosedError`. */
  close(): void {
    this.ending.abort();
    for (const { idle } of this.servers) clearTimeout(idle?.timer);
  }

  private get closed(): boolean {
    return this.ending.signal.aborted;
  }

  private async ask(server: Server, item: RequestItem, endsAt: number): Promise<unknown> {
    if (this.closed) throw new KmipClosedError();
    const idle = this.takeIdle(server);
    // What changes something is asked on a new connection: on a kept one nobody could tell whether it was carried out.
    if (idle !== null && OPERATIONS[item.operation].safe) {
      try {
        return await this.converse(server, new Conversation(this, server, endsAt, idle), item);
      } catch (error) {
        // A kept connection may have died in silence: a server that ends idle ones, a firewall that forgot it. A new one tells.
        if (!(error instanceof KmipConnectionError) || this.closed) throw error;
      }
    } else {
      idle?.close();
    }
    return this.converse(server, new Conversation(this, server, endsAt), item);
  }

  private async converse(server: Server, conversation: Conversation, item: RequestItem): Promise<unknown> {
    try {
      if (server.versions.isUnknown) await this.discover(server, conversation);
      let refusal: Error | null = null;
      for (const version of server.versions.candidates(OPERATIONS[item.operation].since)) {
        try {
          return await this.askIn(version, server, conversation, item);
        } catch (error) {
          if (!maybeOtherVersion(error, server.versions.isGuessed && OPERATIONS[item.operation].safe)) throw error;
          refusal ??= error;
        }
      }
      throw refusal ?? new KmipVersionError(server.host);
    } finally {
      this.keep(server, conversation.connection);
    }
  }

  private async askIn(version: KmipVersion, server: Server, conversation: Conversation, item: RequestItem): Promise<unknown> {
    const answer = await conversation.say(version, item);
    if (answer.status === 'Success') {
      server.versions.worked(version);
      if (answer.operation === item.operation) return answer.payload;
      const what = `The answer is to ${answer.operation}, not to ${item.operation}`;
      throw new KmipMessageError('KMIP.ANSWER_MISMATCH', what, 'ResponseMessage/BatchItem/Operation');
    }
    if (!mayBeVersion(answer.reason)) server.versions.worked(version);
    throw new KmipOperationError(item.operation, server.host, answer.status, answer.reason, answer.message);
  }

  /** Asks which versions the server speaks. Whatever it says but a list, the versions are then tried one after the other. */
  private async discover(server: Server, conversation: Conversation): Promise<void> {
    const payload = { versions: OFFERED_VERSIONS.map(versionNumber) };
    let answer: SuccessItem | FailureItem;
    try {
      answer = await conversation.say('1.2', { operation: 'DiscoverVersions', payload });
    } catch (error) {
      // Some servers end the connection on a version they do not know. A server that is not there fails again at once.
      if (!isSilentEnd(error) || this.closed) throw error;
      server.versions.undiscoverable();
      return;
    }
    if (answer.status !== 'Success' || answer.operation !== 'DiscoverVersions') server.versions.undiscoverable();
    else if (!server.versions.discovered(answer.payload.versions.map(versionOf))) throw new KmipVersionError(server.host);
  }

  private takeIdle(server: Server): KmipConnection | null {
    const { idle } = server;
    server.idle = null;
    if (idle === null) return null;
    clearTimeout(idle.timer);
    return idle.connection.usable ? idle.connection : null;
  }

  private keep(server: Server, connection: KmipConnection | null): void {
    if (connection === null || !connection.usable) return;
    if (server.idle !== null) {
      connection.close();
      return;
    }
    connection.rest();
    const timer = setTimeout(() => {
      this.takeIdle(server)?.close();
    }, this.settings.idleTimeoutMs);
    timer.unref();
    server.idle = { connection, timer };
  }

  /** @internal */
  async connect(host: KmipHost, endsAt: number): Promise<KmipConnection> {
    const { handshakeTimeoutMs, maxResponseBytes, allowAddress } = this.settings;
    const secureContext = this.tls.secureContextFor(host);
    const { signal } = this.ending;
    return KmipConnection.open({ host, secureContext, maxResponseBytes, allowAddress, signal }, remaining(endsAt, handshakeTimeoutMs));
  }

  /** @internal */
  async exchange(connection: KmipConnection, version: KmipVersion, item: RequestItem, endsAt: number): Promise<SuccessItem | FailureItem> {
    const { answerTimeoutMs, maxResponseBytes, credentials, now } = this.settings;
    const message = encodeRequest({
      version,
      items: [item],
      maximumResponseSize: maxResponseBytes,
      timeStamp: now(),
      ...(credentials !== undefined && { credentials }),
    });
    const answer = await connection.exchange(message, remaining(endsAt, answerTimeoutMs));
    const { items } = decodeResponse(answer, { maxMessageBytes: maxResponseBytes });
    const [first, ...more] = items;
    if (first === undefined || more.length > 0) {
      throw new KmipMessageError('KMIP.ANSWER_MISMATCH', `${items.length} answers came to one question`, 'ResponseMessage');
    }
    return first;
  }
}

/** A sequence of questions to one server; connects anew when the server ended the connection after an answer. */
class Conversation {
  constructor(
    private readonly client: KmipClient,
    private readonly server: Server,
    private readonly endsAt: number,
    public connection: KmipConnection | null = null,
  ) {}

  async say(version: KmipVersion, item: RequestItem): Promise<SuccessItem | FailureItem> {
    if (this.connection?.usable !== true) this.connection = await this.client.connect(this.server.host, this.endsAt);
    try {
      return await this.client.exchange(this.connection, version, item, this.endsAt);
    } catch (error) {
      // After an answer that cannot be read nothing on this connection can be trusted.
      this.connection.close();
      throw error;
    }
  }
}

const remaining = (endsAt: number, limitMs: number): number => Math.max(1, Math.ceil(Math.min(limitMs, endsAt - performance.now())));

/** The server ended the connection without a word, as some do on a version or a client certificate that they do not want. */
const isSilentEnd = (error: unknown): boolean =>
  error instanceof KmipConnectionError &&
  error.code === 'KMIP.CLOSED' &&
  error.details.phase === 'answer' &&
  (error.details.receivedBytes ?? 0) === 0;

const maybeOtherVersion = (error: unknown, guessing: boolean): error is Error =>
  (error instanceof KmipOperationError && mayBeVersion(error.reason)) || (guessing && isSilentEnd(error));

/** Whether the next server of the list is asked after this failure. */
function canGoOn(error: Error, safe: boolean): boolean {
  if (error instanceof KmipConnectionError) return safe || !error.mayHaveActed;
  if (error instanceof KmipVersionError) return true;
  if (error instanceof KmipOperationError) return safe && (error.status === 'OperationPending' || ANOTHER_MAY_DO_BETTER.has(error.reason));
  return safe && (error instanceof TtlvError || error instanceof KmipMessageError);
}
