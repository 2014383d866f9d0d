import type { EventDefinition } from '@atrest/contracts';
import type { Logger } from '@atrest/platform-logging';
import type { Metrics } from '@atrest/platform-metrics';
import type { ServiceDatabase } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import type { EventHandler } from './event-handler.js';
import type { EventTransport } from './event-transport.js';

/** How often and how soon a failed attempt is repeated. */
export interface RetryOptions {
  /** Upper bound of the first wait, in milliseconds; 100. It doubles with each attempt. */
  readonly baseMs: number;
  /** No wait is longer, in milliseconds; 30,000. */
  readonly maxMs: number;
  /**
   * An event is parked when this many attempts began and none ended well; 8, which is about 20 s: longer than a failover of PostgreSQL,
   * short enough that the events waiting behind it are not late for long.
   */
  readonly attempts: number;
}

export interface MessagingOptions {
  readonly service: string;
  readonly database: ServiceDatabase;
  readonly transport: EventTransport;
  /** What the service consumes. Each has exactly one handler, or the service does not start. */
  readonly consumes: readonly EventDefinition[];
  readonly handlers: readonly EventHandler[];
  /** Types of the same topics that the service skips on purpose. Any other type on those topics is parked as unknown. */
  readonly ignores?: readonly EventDefinition[];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly retry?: Partial<RetryOptions>;
  /** Subjects handled at the same time in this replica; 8. Each needs a connection of the pool. */
  readonly concurrency?: number;
  /** Milliseconds after which a wake-up that got lost is made good; 1,000. */
  readonly pollIntervalMs?: number;
  /** Milliseconds a handler may take; 45,000, which is below the minute after which PostgreSQL ends an idle transaction. */
  readonly handlerTimeoutMs?: number;
  /**
   * Milliseconds for which taking an event out of the inbox keeps other replicas away, until the attempt's row lock does; 5,000. An attempt
   * begins within milliseconds of it. Too short, and an attempt may be counted twice (its effect never); after a crash, events wait this long.
   */
  readonly claimMs?: number;
  /** How long ids of finished events are remembered, in milliseconds; 14 days. Must exceed any redelivery (Kafka: 7 days of retention). */
  readonly keepFinishedMs?: number;
  /** How long published events stay in the outbox, in milliseconds; 7 days, for whoever has to look into what was said. */
  readonly keepPublishedMs?: number;
}
