import type { Logger } from '@atrest/platform-logging';
import type { ServiceDatabase } from '@atrest/platform-persistence';
import { AttemptRunner } from './attempt-runner.js';
import { DeadLetters } from './dead-letters.js';
import type { EventTransport, ReceivedEvent } from './event-transport.js';
import { Housekeeping } from './housekeeping.js';
import { Inbox } from './inbox.js';
import { InboxWorker } from './inbox-worker.js';
import { Intake } from './intake.js';
import { messagingMetrics, type MessagingMetrics } from './messaging-metrics.js';
import type { MessagingOptions } from './messaging-options.js';
import { OutboxRelay } from './outbox-relay.js';
import { wire, type Wiring } from './wiring.js';

const DAY_MS = 86_400_000;

/** Outbox, inbox and handlers of one service. Delivery is at least once, the effect of a handler exactly once. */
export class Messaging {
  readonly service: string;
  readonly deadLetters: DeadLetters;
  readonly #database: ServiceDatabase;
  readonly #transport: EventTransport;
  readonly #wiring: Wiring;
  readonly #logger: Logger;
  readonly #metrics: MessagingMetrics;
  readonly #inbox: Inbox;
  readonly #intake = new Intake((batch) => this.#store(batch));
  readonly #worker: InboxWorker;
  readonly #relay: OutboxRelay;
  readonly #housekeeping: Housekeeping;
  #subscription: { close(): Promise<void> } | undefined;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  #started = false;

  /** Throws WiringError. Announces the service to the transport, so that nothing published from now on passes it by. */
  constructor(o: MessagingOptions) {
    this.#wiring = wire(o.service, o.consumes, o.handlers, o.ignores ?? []);
    this.service = o.service;
    this.#database = o.database;
    this.#transport = o.transport;
    this.#logger = o.logger.child({ component: 'messaging' });
    this.#metrics = messagingMetrics(o.metrics);
    this.#inbox = new Inbox(o.database, { claimMs: o.claimMs ?? 5_000, deadLetterTopics: o.transport.deadLetterTopics ?? false });
    const shared = { service: o.service, database: o.database, logger: this.#logger, metrics: this.#metrics, clock: o.clock };
    const pollIntervalMs = o.pollIntervalMs ?? 1_000;
    const attempts = new AttemptRunner({
      ...shared,
      inbox: this.#inbox,
      routes: this.#wiring,
      retry: { baseMs: 100, maxMs: 30_000, attempts: 8, ...o.retry },
      handlerTimeoutMs: o.handlerTimeoutMs ?? 45_000,
    });
    this.#worker = new InboxWorker({ ...shared, inbox: this.#inbox, attempts, concurrency: o.concurrency ?? 8, pollIntervalMs });
    this.#relay = new OutboxRelay({ ...shared, transport: o.transport, pollIntervalMs });
    this.#housekeeping = new Housekeeping({
      ...shared,
      keepFinishedMs: o.keepFinishedMs ?? 14 * DAY_MS,
      keepPublishedMs: o.keepPublishedMs ?? 7 * DAY_MS,
    });
    this.deadLetters = new DeadLetters(o.database, () => this.#worker.wake());
    if (this.#wiring.topics.length > 0) o.transport.announce({ service: o.service, topics: this.#wiring.topics });
  }

  /** Begins to handle, receive and send. */
  start(): Promise<void> {
    this.#starting ??= (async () => {
      this.#worker.start();
      const { topics } = this.#wiring;
      if (topics.length > 0) {
        this.#subscription = await this.#transport.subscribe({
          service: this.service,
          topics,
          receive: (batch) => this.#intake.receive(batch),
        });
      }
      await this.#relay.start();
      this.#housekeeping.start();
      this.#started = this.#stopping === undefined;
    })();
    return this.#starting;
  }

  /** Lets what is under way end: the batch being sent, the batches being stored, the handlers that run. */
  stop(): Promise<void> {
    this.#stopping ??= (async () => {
      this.#started = false;
      // At once, so that no further attempt begins; what arrives until the subscription ends is only stored.
      const worked = this.#worker.stop();
      // Whoever started knows why it failed; what did begin ends all the same.
      await this.#starting?.catch(() => undefined);
      await this.#relay.stop();
      await this.#subscription?.close();
      await worked;
      await this.#housekeeping.stop();
    })();
    return this.#stopping;
  }

  /** Whether anything waits in the outbox or the inbox at this moment. Parked events do not wait. */
  async isCaughtUp(): Promise<boolean> {
    const [row] = await this.#database.query<{ waiting: boolean }>(
      `SELECT EXISTS (SELECT 1 FROM outbox WHERE published_at IS NULL) OR EXISTS (SELECT 1 FROM inbox WHERE status = 'pending') AS waiting`,
    );
    return row?.waiting === false;
  }

  /** Resolves when nothing waits in the outbox and in the inbox. */
  async whenCaughtUp(): Promise<void> {
    while (!(await this.isCaughtUp())) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  async readiness(): Promise<{ ok: boolean; detail?: string }> {
    if (!this.#started) return { ok: false, detail: 'messaging is not started' };
    return this.#transport.readiness();
  }

  async #store(batch: readonly ReceivedEvent[]): Promise<void> {
    const { parked } = await this.#worker.take(batch.length, (allowance) => this.#inbox.store(batch, this.#wiring.ignores, allowance));
    this.#metrics.received.inc({ service: this.service }, batch.length);
    if (parked > 0) {
      this.#metrics.parked.inc({ service: this.service, reason: 'INVALID_ENVELOPE' }, parked);
      this.#logger.error({ parked, origins: batch.slice(0, 5).map((event) => event.origin) }, 'messages that are no events were parked');
    }
  }
}

/** Resolves when nothing waits in any of these services, also not what one of them published while another was asked. */
export async function whenAllCaughtUp(services: readonly Messaging[]): Promise<void> {
  // They are asked one after another, so an event may move from one not asked yet to one asked already: only a second round without any finds it.
  for (let quietRounds = 0; quietRounds < 2;) {
    for (const service of services) await service.whenCaughtUp();
    const answers = await Promise.all(services.map((service) => service.isCaughtUp()));
    quietRounds = answers.every(Boolean) ? quietRounds + 1 : 0;
  }
}
