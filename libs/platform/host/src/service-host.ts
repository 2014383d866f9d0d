import { setTimeout as delay } from 'node:timers/promises';
import { healthModule, runChecks, type CheckResult, type Health } from '@atrest/platform-health';
import { createHttpApp, type HttpApp } from '@atrest/platform-http';
import type { Logger } from '@atrest/platform-logging';
import type { EventTransport } from '@atrest/platform-messaging';
import type { Metrics } from '@atrest/platform-metrics';
import { DatabaseUnavailableError } from '@atrest/platform-persistence';
import type { Service, ServiceDependencies } from '@atrest/platform-service';
import { backoffMs, systemClock } from '@atrest/platform-time';
import { PatientTransport } from './patient-transport.js';
import { PortListener } from './port-listener.js';
import { waitingRoom } from './waiting-room.js';

export interface ServiceHostOptions {
  readonly name: string;
  /** Called again while it rejects. */
  readonly create: (dependencies: ServiceDependencies) => Promise<Service>;
  readonly database: { readonly url: string; readonly poolSize?: number };
  /** Closed with the host. */
  readonly transport: EventTransport;
  readonly http: {
    readonly host: string;
    readonly port: number;
    readonly publicUrl: string;
    readonly tls?: { readonly cert: Buffer; readonly key: Buffer } | undefined;
  };
  /** How long {@link ServiceHost.stop} waits for requests before it cuts them, in milliseconds. */
  readonly drainMs: number;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** A round of waiting for PostgreSQL; between two of them `/readyz` tells the newest reason. */
const DATABASE_ROUND_MS = 5_000;
/** A service that could not be built or started is given this long to let go of what it holds. */
const DISCARD_LIMIT_MS = 10_000;
/** As healthModule: below the usual patience of a probe. */
const CHECK_LIMIT_MS = 2_000;

interface Running {
  readonly service: Service;
  readonly http: HttpApp;
}

/**
 * One service in a process of its own. The port answers from the first moment; PostgreSQL and the broker may come later, in any order, and
 * `/readyz` names what is missing. Nothing but a wrong configuration ends the process.
 */
export class ServiceHost {
  readonly #o: ServiceHostOptions;
  readonly #transport: PatientTransport;
  readonly #stopping = new AbortController();
  #listener: PortListener | undefined;
  #waitingFor: Health = { ok: false, detail: 'waiting for PostgreSQL' };
  #subscribing = false;
  #running: Running | undefined;
  #starting: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;

  private constructor(options: ServiceHostOptions) {
    this.#o = options;
    this.#transport = new PatientTransport(options.transport, options.logger);
  }

  /** Resolves when the port answers. Rejects when it is taken. */
  static async start(options: ServiceHostOptions): Promise<ServiceHost> {
    const host = new ServiceHost(options);
    const { port, host: address, tls } = options.http;
    const first = waitingRoom({ checks: () => host.#checks(), metrics: options.metrics });
    host.#listener = await PortListener.open({ port, host: address, tls, first });
    options.logger.info({ port: host.port }, 'listening; the service starts');
    host.#starting = host.#run();
    return host;
  }

  get port(): number {
    return this.#listener!.port;
  }

  /** Resolves when the service does its work, or when the host was stopped before. */
  whenStarted(): Promise<void> {
    return this.#starting;
  }

  /** Refuses new requests, lets those under way and the handlers end, closes everything. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #run(): Promise<void> {
    const { logger } = this.#o;
    for (let attempt = 1; !this.#stopping.signal.aborted; attempt += 1) {
      let service: Service | undefined;
      try {
        service = await this.#o.create(this.#dependencies());
        if (this.#stopping.signal.aborted) return await discard(service, logger);
        const http = await this.#application(service);
        this.#subscribing = true;
        await service.start();
        this.#subscribing = false;
        this.#running = { service, http };
        this.#listener!.handOverTo(http.app.getHttpServer());
        logger.info('the service is running');
        return;
      } catch (error) {
        this.#subscribing = false;
        await discard(service, logger);
        if (this.#stopping.signal.aborted) return;
        this.#report(error);
        await delay(backoffMs(attempt, { baseMs: 250, maxMs: 10_000 }), undefined, { signal: this.#stopping.signal }).catch(
          () => undefined,
        );
      }
    }
  }

  #dependencies(): ServiceDependencies {
    const { database, logger, metrics } = this.#o;
    return {
      database: { ...database, connectTimeoutMs: DATABASE_ROUND_MS },
      transport: this.#transport,
      clock: systemClock,
      logger,
      metrics,
    };
  }

  async #application(service: Service): Promise<HttpApp> {
    const { logger, metrics, http, drainMs } = this.#o;
    const app = await createHttpApp({
      modules: [service.module, healthModule({ checks: [{ name: service.name, check: () => service.readiness() }], metrics })],
      logger,
      metrics,
      publicUrl: new URL(http.publicUrl).origin,
      drainTimeoutMs: drainMs,
      // For the headers of answers (Strict-Transport-Security); the connections end at our port.
      ...(http.tls !== undefined && { tls: http.tls }),
    });
    // It never listens itself: the requests come from our port.
    await app.app.getHttpAdapter().getInstance().ready();
    return app;
  }

  #report(error: unknown): void {
    const detail = error instanceof Error ? error.message : String(error);
    this.#waitingFor = { ok: false, detail };
    if (error instanceof DatabaseUnavailableError) this.#o.logger.warn({ detail }, 'waiting for PostgreSQL');
    else this.#o.logger.error({ err: error }, 'the service could not start; trying again');
  }

  #checks(): Promise<readonly CheckResult[]> {
    return runChecks([{ name: this.#o.name, check: () => this.#startState() }], CHECK_LIMIT_MS);
  }

  async #startState(): Promise<Health> {
    if (!this.#subscribing) return this.#waitingFor;
    const detail = this.#transport.problem ?? (await this.#transport.readiness()).detail;
    return { ok: false, detail: `waiting for the broker${detail === undefined ? '' : `: ${detail}`}` };
  }

  async #stop(): Promise<void> {
    const { logger, drainMs } = this.#o;
    this.#stopping.abort();
    if (this.#running === undefined) {
      // Ends a subscription that still waits. What never ran has nothing to finish.
      await this.#transport.close().catch((error: unknown) => logger.warn({ err: error }, 'the transport did not close cleanly'));
      await this.#starting;
    }
    if (this.#running === undefined) return this.#listener!.close(0);
    const { service, http } = this.#running;
    await http.close();
    await this.#listener!.close(drainMs);
    await service.stop();
    await this.#transport.close();
  }
}

/** Best effort: the process goes on, and a part that cannot be closed is closed by the server on the other side. */
async function discard(service: Service | undefined, logger: Logger): Promise<void> {
  if (service === undefined) return;
  try {
    await Promise.race([service.stop(), delay(DISCARD_LIMIT_MS, undefined, { ref: false })]);
  } catch (error) {
    logger.debug({ err: error }, 'a service that did not start could not be closed cleanly');
  }
}
