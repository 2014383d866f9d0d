import { signalAfterCommit, type ServiceDatabase } from '@atrest/platform-persistence';
import type { Logger } from '@atrest/platform-logging';
import type { Clock } from '@atrest/platform-time';
import type { CheckedKeyRepository } from '../checked-key.repository.js';
import { CHANGED_CHANNEL } from '../encryption-at-rest.js';
import { affectedByEventBridge, affectedByEventGrid, affectedByPubSub, parsed, type AffectedKeys } from './affected-keys.js';
import { isExpectedToken, isSameSecret, type TokenExpectation } from './event-tokens.js';
import { isSignedBy, isSnsAddress, signingCertificateAddress, SnsMessageSchema, type SnsMessage } from './sns-message.js';

/** From whom notifications are taken. What is not given is not taken from anybody. */
export interface PushSources {
  readonly aws?: {
    /** SNS topics that EventBridge rules write to; of any other topic nothing is taken, however well it is signed. */
    readonly topicArns: readonly string[];
  };
  readonly azure?: {
    /** A secret that Event Grid sends in the header `x-atrest-event-key`, or tokens of Entra. */
    readonly key?: string;
    readonly tokens?: TokenExpectation;
  };
  readonly gcp?: { readonly tokens: TokenExpectation };
}

export interface KmsEventsOptions {
  readonly database: ServiceDatabase;
  readonly keys: CheckedKeyRepository;
  readonly sources: PushSources;
  /** Fetches a text over HTTPS, without following redirects; rejects when that fails. */
  readonly fetchText: (url: URL) => Promise<string>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Headers that senders prove themselves with. */
export interface PushHeaders {
  readonly authorization?: string | undefined;
  readonly eventKey?: string | undefined;
}

export type PushOutcome =
  /** Checks that are due now, none when the notification is about no key of ours. */
  | { readonly kind: 'taken'; readonly checks: number }
  /** What Event Grid wants to read before it sends anything. */
  | { readonly kind: 'handshake'; readonly validationCode: string }
  | { readonly kind: 'refused' };

const REFUSED: PushOutcome = { kind: 'refused' };
/** SNS tries again for at most an hour; what is older was recorded by somebody. */
const MAX_AGE_MS = 3_600_000;
/** Certificates that are kept; SNS has one per region at a time. */
const MAX_CERTIFICATES = 100;

/** Notifications of KMSs: they make checks due at once, and decide nothing. */
export class KmsEvents {
  private readonly certificates = new Map<string, string>();

  constructor(private readonly options: KmsEventsOptions) {}

  /** Amazon SNS, signed by it. Confirms subscriptions of expected topics. */
  async ofAws(body: unknown): Promise<PushOutcome> {
    const message = SnsMessageSchema.safeParse(body);
    const topics = this.options.sources.aws?.topicArns ?? [];
    if (!message.success || !topics.includes(message.data.TopicArn)) return REFUSED;
    if (!(await this.isFromSns(message.data))) return REFUSED;
    if (message.data.Type === 'SubscriptionConfirmation') return this.confirm(message.data);
    if (message.data.Type === 'UnsubscribeConfirmation') {
      this.options.logger.warn({ topicArn: message.data.TopicArn }, 'the subscription to notifications of AWS KMS was taken away');
      return { kind: 'taken', checks: 0 };
    }
    return this.makeDue(affectedByEventBridge(parsed(message.data.Message)));
  }

  /** Azure Event Grid, with its handshake. */
  async ofAzure(body: unknown, headers: PushHeaders): Promise<PushOutcome> {
    const { azure } = this.options.sources;
    const byKey = azure?.key !== undefined && isSameSecret(headers.eventKey, azure.key);
    const byToken =
      !byKey && azure?.tokens !== undefined && (await isExpectedToken(headers.authorization, azure.tokens, this.options.clock));
    if (!byKey && !byToken) return REFUSED;
    const validationCode = validationCodeIn(body);
    return validationCode === null ? this.makeDue(affectedByEventGrid(body)) : { kind: 'handshake', validationCode };
  }

  /** Google Cloud Pub/Sub, with a token of the service account that pushes. */
  async ofGcp(body: unknown, headers: PushHeaders): Promise<PushOutcome> {
    const { gcp } = this.options.sources;
    if (gcp === undefined || !(await isExpectedToken(headers.authorization, gcp.tokens, this.options.clock))) return REFUSED;
    return this.makeDue(affectedByPubSub(body));
  }

  private async makeDue(affected: AffectedKeys): Promise<PushOutcome> {
    const { database, keys, clock, logger } = this.options;
    if (affected.names.length === 0 && affected.prefixes.length === 0) return { kind: 'taken', checks: 0 };
    const checks = await database.transaction(async (tx) => {
      const due = await keys.makeAffectedDue(tx, affected, clock.now());
      if (due > 0) signalAfterCommit(tx, CHANGED_CHANNEL);
      return due;
    });
    logger.info({ ...affected, checks }, 'a notification of a KMS made checks due');
    return { kind: 'taken', checks };
  }

  private async isFromSns(message: SnsMessage): Promise<boolean> {
    const { clock, fetchText } = this.options;
    const now = clock.now();
    if (Math.abs(now.getTime() - Date.parse(message.Timestamp)) > MAX_AGE_MS) return false;
    const address = signingCertificateAddress(message.SigningCertURL);
    if (address === null) return false;
    const certificate = this.certificates.get(address.href) ?? (await fetchText(address));
    if (!isSignedBy(message, certificate, now)) return false;
    // Kept only after it proved itself, and so few that nobody can fill the memory with them.
    if (this.certificates.size >= MAX_CERTIFICATES) this.certificates.clear();
    this.certificates.set(address.href, certificate);
    return true;
  }

  private async confirm({ SubscribeURL, TopicArn }: SnsMessage): Promise<PushOutcome> {
    const address = isSnsAddress(SubscribeURL ?? '');
    if (address?.searchParams.get('Action') !== 'ConfirmSubscription') return REFUSED;
    await this.options.fetchText(address);
    this.options.logger.info({ topicArn: TopicArn }, 'subscribed to notifications of AWS KMS');
    return { kind: 'taken', checks: 0 };
  }
}

function validationCodeIn(body: unknown): string | null {
  const first: unknown = Array.isArray(body) ? body[0] : undefined;
  if (typeof first !== 'object' || first === null) return null;
  const { eventType, data } = first as { eventType?: unknown; data?: { validationCode?: unknown } };
  const code = eventType === 'Microsoft.EventGrid.SubscriptionValidationEvent' ? data?.validationCode : undefined;
  return typeof code === 'string' && code.length <= 256 ? code : null;
}

/** The default way to fetch: HTTPS only, five seconds, no redirects, and no more than a certificate needs. */
export async function fetchShortText(url: URL): Promise<string> {
  const response = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(5_000) });
  if (!response.ok) throw new Error(`${url.hostname} answered ${response.status}.`);
  const bytes = Buffer.from(await response.arrayBuffer());
  if (bytes.length > 65_536) throw new Error(`${url.hostname} answered with ${bytes.length} bytes.`);
  return bytes.toString('utf8');
}
