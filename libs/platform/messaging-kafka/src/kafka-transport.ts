import { deadLetterTopicOf, topics as declaredTopics, type Topic } from '@atrest/contracts';
import type { Logger } from '@atrest/platform-logging';
import type { EventTransport, OutgoingEvent, RewindableTransport, Subscription } from '@atrest/platform-messaging';
import kafkajs, { type Kafka, type KafkaConfig, type LogEntry, type Producer } from 'kafkajs';
import { toKafkaMessage } from './cloud-events.js';
import { toDeadLetterMessage } from './dead-letter-message.js';
import { KafkaSubscription } from './kafka-subscription.js';
import { ServiceRunningError } from './errors.js';
import { repairRequestQueue } from './request-queue.js';
import { ensureTopics } from './topics.js';

repairRequestQueue();

export interface KafkaTransportOptions {
  readonly brokers: readonly string[];
  /** Shown in the broker's logs and quotas. */
  readonly clientId: string;
  readonly logger: Logger;
  /** TLS: true for the system's certificate authorities, or Node's own options. */
  readonly ssl?: KafkaConfig['ssl'];
  readonly sasl?: KafkaConfig['sasl'];
  /** -1 takes the broker's default. */
  readonly replicationFactor?: number;
  /** Prefix of consumer groups; the service's name follows. */
  readonly groupPrefix?: string;
  readonly topics?: readonly Topic[];
  /** How long Kafka waits for a member that vanished before others get its partitions, in milliseconds; 30,000. */
  readonly sessionTimeoutMs?: number;
  /** How often kafkajs repeats a request by itself; 8 times. What it gives up on is tried again by the relay and the subscription, for ever. */
  readonly requestRetries?: number;
}

const SESSION_TIMEOUT_MS = 30_000;

/**
 * kafkajs reports every refusal of the protocol as an error of the connection, also those that are part of its normal course (a group that
 * rebalances, a coordinator that moves) and that it repeats by itself. What it gives up on comes again from the producer or consumer.
 */
const severity = (entry: LogEntry): 'error' | 'warn' | 'debug' => {
  if (entry.namespace === 'Connection' || entry.level > kafkajs.logLevel.WARN) return 'debug';
  return entry.level === kafkajs.logLevel.ERROR ? 'error' : 'warn';
};

/**
 * Events over Apache Kafka. Handling does not happen here: `receive` stores a batch in the consumer's inbox, and only then its offsets are
 * committed. A slow or throwing handler therefore never holds up a partition, never costs the session, and never causes a rebalance.
 *
 * Nest's own Kafka strategy is not used: it acknowledges events without a handler and blocks a partition on one that throws.
 */
export class KafkaTransport implements EventTransport, RewindableTransport {
  readonly deadLetterTopics = true;
  private readonly kafka: Kafka;
  private readonly options: KafkaTransportOptions;
  private producer: Promise<Producer> | null = null;
  private ready: Promise<void> | null = null;
  private readonly subscriptions = new Set<KafkaSubscription>();

  constructor(options: KafkaTransportOptions) {
    this.options = options;
    this.kafka = new kafkajs.Kafka({
      clientId: options.clientId,
      brokers: [...options.brokers],
      ...(options.ssl === undefined ? {} : { ssl: options.ssl }),
      ...(options.sasl === undefined ? {} : { sasl: options.sasl }),
      connectionTimeout: 5_000,
      requestTimeout: 30_000,
      retry: { initialRetryTime: 100, maxRetryTime: 5_000, retries: options.requestRetries ?? 8 },
      logLevel: kafkajs.logLevel.WARN,
      logCreator: () => (entry) => {
        const { message, ...details } = entry.log;
        options.logger[severity(entry)]({ kafka: entry.namespace, error: details['error'], groupId: details['groupId'] }, message);
      },
    });
  }

  /** Kafka keeps events for groups that read later: a new group starts at the beginning of the topic. */
  announce(): void {}

  async send(events: readonly OutgoingEvent[]): Promise<void> {
    const producer = await this.connectedProducer();
    const byTopic = new Map<string, ReturnType<typeof toKafkaMessage>[]>();
    for (const { topic, envelope, headers } of events) {
      const messages = byTopic.get(topic) ?? [];
      messages.push(headers ? toDeadLetterMessage(envelope, headers) : toKafkaMessage(envelope));
      byTopic.set(topic, messages);
    }
    try {
      await producer.sendBatch({ acks: -1, topicMessages: [...byTopic].map(([topic, messages]) => ({ topic, messages })) });
    } catch (error) {
      // An idempotent producer that lost track of its sequence stays broken: the next send starts with a new one.
      this.producer = null;
      void producer.disconnect().catch(() => undefined);
      throw error;
    }
  }

  async subscribe(subscription: Subscription): Promise<{ close(): Promise<void> }> {
    await this.topicsReady();
    const opened = await KafkaSubscription.open({
      kafka: this.kafka,
      groupId: this.groupOf(subscription.service),
      sessionTimeoutMs: this.options.sessionTimeoutMs ?? SESSION_TIMEOUT_MS,
      subscription,
      logger: this.options.logger,
    });
    this.subscriptions.add(opened);
    return {
      close: async () => {
        this.subscriptions.delete(opened);
        await opened.close();
      },
    };
  }

  /**
   * Deletes the consumer group of the service, so that its next start reads every topic from the beginning. What is not compacted comes
   * again too and is recognised by the inbox, which remembers longer than any topic keeps.
   *
   * @throws ServiceRunningError while the service runs
   */
  async rewind(service: string): Promise<void> {
    const admin = this.kafka.admin();
    await admin.connect();
    try {
      await admin.deleteGroups([this.groupOf(service)]);
    } catch (error) {
      const refused =
        error instanceof kafkajs.KafkaJSDeleteGroupsError ? error.groups.map((group) => group.error as { type?: string }) : [];
      if (refused.some(({ type }) => type === 'NON_EMPTY_GROUP')) throw new ServiceRunningError(service, { cause: error });
      // A service that never started has no group and begins at the beginning anyway.
      if (!refused.some(({ type }) => type === 'GROUP_ID_NOT_FOUND')) throw error;
    } finally {
      await admin.disconnect();
    }
  }

  async readiness(): Promise<{ ok: boolean; detail?: string }> {
    const admin = this.kafka.admin({ retry: { retries: 0 } });
    try {
      await admin.connect();
      await admin.describeCluster();
      return { ok: true };
    } catch (error) {
      return { ok: false, detail: `Kafka does not answer: ${error instanceof Error ? error.message : String(error)}` };
    } finally {
      await admin.disconnect().catch(() => undefined);
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.subscriptions].map((subscription) => subscription.close()));
    this.subscriptions.clear();
    const producer = this.producer;
    this.producer = null;
    await (await producer)?.disconnect();
  }

  private groupOf(service: string): string {
    return `${this.options.groupPrefix ?? 'atrest'}.${service}`;
  }

  private connectedProducer(): Promise<Producer> {
    this.producer ??= this.connectProducer();
    this.producer.catch(() => {
      this.producer = null;
    });
    return this.producer;
  }

  private async connectProducer(): Promise<Producer> {
    await this.topicsReady();
    const producer = this.kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    });
    await producer.connect();
    return producer;
  }

  private topicsReady(): Promise<void> {
    this.ready ??= this.prepareTopics();
    this.ready.catch(() => {
      this.ready = null;
    });
    return this.ready;
  }

  private async prepareTopics(): Promise<void> {
    const admin = this.kafka.admin();
    await admin.connect();
    try {
      const topics = this.options.topics ?? Object.values(declaredTopics);
      await ensureTopics(admin, [...topics, ...topics.map(deadLetterTopicOf)], this.options.replicationFactor ?? -1);
    } finally {
      await admin.disconnect();
    }
  }
}
