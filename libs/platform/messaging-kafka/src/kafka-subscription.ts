import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '@atrest/platform-logging';
import type { ReceivedEvent, Subscription } from '@atrest/platform-messaging';
import { backoffMs } from '@atrest/platform-time';
import type { Consumer, EachBatchPayload, Kafka } from 'kafkajs';
import { fromKafkaMessage } from './cloud-events.js';
import { StoredOffsets } from './stored-offsets.js';

/** Batches of so many partitions go to the inbox at the same time, which stores them together. More than a service has topics times partitions. */
const PARTITIONS_AT_ONCE = 64;

export interface KafkaSubscriptionOptions {
  readonly kafka: Kafka;
  readonly groupId: string;
  readonly sessionTimeoutMs: number;
  readonly subscription: Subscription;
  readonly logger: Logger;
}

/** One kafkajs consumer while it lives. */
interface Member {
  readonly consumer: Consumer;
  readonly offsets: StoredOffsets;
}

/**
 * A place in a consumer group. kafkajs gives some errors up for good (a coordinator that it did not find in time, for one), and its consumer
 * is then silent for ever; here it is replaced by a new one, until the subscription is closed.
 */
export class KafkaSubscription {
  readonly #o: KafkaSubscriptionOptions;
  readonly #closing = new AbortController();
  #member: Member | undefined;
  #replacing: Promise<void> | undefined;

  private constructor(o: KafkaSubscriptionOptions) {
    this.#o = o;
  }

  /** Rejects when the broker cannot be reached now. */
  static async open(o: KafkaSubscriptionOptions): Promise<KafkaSubscription> {
    const subscription = new KafkaSubscription(o);
    await subscription.#join();
    return subscription;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#replacing;
    await this.#leave();
  }

  async #join(): Promise<void> {
    const { kafka, groupId, sessionTimeoutMs, subscription, logger } = this.#o;
    const consumer = kafka.consumer({
      groupId,
      sessionTimeout: sessionTimeoutMs,
      // Far below the session, so that several lost heartbeats do not end it.
      heartbeatInterval: sessionTimeoutMs / 10,
      maxWaitTimeInMs: 50,
      retry: { retries: Number.MAX_SAFE_INTEGER, initialRetryTime: 100, maxRetryTime: 5_000, restartOnFailure: async () => true },
    });
    const offsets = new StoredOffsets({
      commit: (stored) => consumer.commitOffsets(stored),
      onError: (error) => logger.debug({ err: error }, 'offsets were not committed yet'),
    });
    consumer.on(consumer.events.GROUP_JOIN, () => offsets.forget());
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      if (!payload.restart) this.#replace(payload.error);
    });
    this.#member = { consumer, offsets };
    try {
      await consumer.connect();
      await consumer.subscribe({ topics: [...subscription.topics], fromBeginning: true });
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: PARTITIONS_AT_ONCE,
        eachBatch: (payload) => this.#storeBatch(payload, offsets),
      });
    } catch (error) {
      await this.#leave();
      throw error;
    }
  }

  #replace(cause: Error): void {
    if (this.#closing.signal.aborted || this.#replacing !== undefined) return;
    this.#replacing = this.#joinAgain(cause).finally(() => {
      this.#replacing = undefined;
    });
  }

  async #joinAgain(cause: Error): Promise<void> {
    const { signal } = this.#closing;
    let problem: unknown = cause;
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      const waitMs = backoffMs(attempt, { baseMs: 250, maxMs: 10_000 });
      this.#o.logger.warn({ err: problem, groupId: this.#o.groupId, waitMs }, 'the consumer ended; a new one follows');
      await this.#leave();
      await delay(waitMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await this.#join();
        return;
      } catch (error) {
        problem = error;
      }
    }
  }

  /** What was stored but not committed is delivered once more; that is no reason not to end. */
  async #leave(): Promise<void> {
    const member = this.#member;
    this.#member = undefined;
    const ignored = (error: unknown): void => this.#o.logger.debug({ err: error }, 'the consumer did not leave in good order');
    await member?.offsets.close().catch(ignored);
    await member?.consumer.disconnect().catch(ignored);
  }

  async #storeBatch(payload: EachBatchPayload, offsets: StoredOffsets): Promise<void> {
    const { batch } = payload;
    const last = batch.messages.at(-1);
    if (last === undefined || this.#closing.signal.aborted || !payload.isRunning() || payload.isStale()) return;
    const received: ReceivedEvent[] = batch.messages.map((message) => ({
      topic: batch.topic,
      envelope: fromKafkaMessage(message),
      origin: `${batch.topic}[${batch.partition}]@${message.offset}`,
    }));
    await this.#o.subscription.receive(received);
    payload.resolveOffset(last.offset);
    offsets.stored({ topic: batch.topic, partition: batch.partition, offset: (BigInt(last.offset) + 1n).toString() });
    await payload.heartbeat();
  }
}
