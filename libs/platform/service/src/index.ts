import type { DynamicModule } from '@nestjs/common';
import type { Logger } from '@atrest/platform-logging';
import type { EventTransport, Messaging } from '@atrest/platform-messaging';
import type { Metrics } from '@atrest/platform-metrics';
import type { Clock } from '@atrest/platform-time';

/** Whether something can do its work now, and if not why. */
export interface Readiness {
  readonly ok: boolean;
  readonly detail?: string;
}

/** One of the services of DESIGN §2, built and ready to start: alone in its process, or beside others in the standalone app. */
export interface Service {
  readonly name: string;
  /** Its controllers, for the HTTP application of the process. */
  readonly module: DynamicModule;
  readonly messaging: Messaging;
  /** Starts messaging and background work. */
  start(): Promise<void>;
  /** Finishes what is in flight, then closes the database. */
  stop(): Promise<void>;
  readiness(): Promise<Readiness>;
}

/** What a process gives to each service it hosts. */
export interface ServiceDependencies {
  /** `connectTimeoutMs`: how long creating the service waits for PostgreSQL before it fails; a minute when not said. */
  readonly database: { readonly url: string; readonly poolSize?: number; readonly connectTimeoutMs?: number };
  readonly transport: EventTransport;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}
