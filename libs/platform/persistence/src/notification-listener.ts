import type { Logger } from '@atrest/platform-logging';
import { backoffMs } from '@atrest/platform-time';
import { databaseErrorCode } from './errors.js';
import type { DatabaseSession } from './session.js';

type Callback = (payload: string) => void;

/**
 * A silent connection is asked for a sign of life this often. A connection that a firewall dropped looks healthy until somebody writes;
 * whoever depends on notifications polls as well, so this bounds a slow-down, not a loss.
 */
const PROBE_INTERVAL_MS = 15_000;

/** One connection per service database that LISTENs for everybody in this process and comes back after each loss. */
export class NotificationListener {
  readonly #open: () => Promise<DatabaseSession>;
  readonly #schema: string;
  readonly #logger: Logger;
  readonly #callbacks = new Map<string, Set<Callback>>();
  #session: DatabaseSession | undefined;
  #connecting: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #probe: NodeJS.Timeout | undefined;
  #failures = 0;
  #closed = false;

  constructor(o: { open: () => Promise<DatabaseSession>; schema: string; logger: Logger }) {
    this.#open = o.open;
    this.#schema = o.schema;
    this.#logger = o.logger;
  }

  /** Resolves when PostgreSQL listens, or after the first failed attempt (later ones go on in the background). */
  async add(channel: string, callback: Callback): Promise<() => Promise<void>> {
    const callbacks = this.#callbacks.get(channel) ?? new Set();
    const known = this.#callbacks.has(channel);
    callbacks.add(callback);
    this.#callbacks.set(channel, callbacks);
    if (this.#session === undefined) {
      await this.#connect(false);
    } else if (!known) {
      await this.#session.query(`LISTEN ${this.#quoted(channel)}`).catch((error: unknown) => this.#onLost(error));
    }
    return async () => {
      callbacks.delete(callback);
      if (callbacks.size > 0 || this.#callbacks.get(channel) !== callbacks) return;
      this.#callbacks.delete(channel);
      await this.#session?.query(`UNLISTEN ${this.#quoted(channel)}`).catch((error: unknown) => this.#onLost(error));
    };
  }

  /** Calls everybody in this process who listens to the channel. */
  deliver(channel: string, payload: string): void {
    for (const callback of this.#callbacks.get(channel) ?? []) {
      try {
        callback(payload);
      } catch (error) {
        this.#logger.error({ err: error, channel }, 'a listener threw');
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    clearInterval(this.#probe);
    await this.#connecting;
    await this.#session?.close();
    this.#session = undefined;
  }

  #quoted(channel: string): string {
    return `"${`${this.#schema}.${channel}`.replaceAll('"', '""')}"`;
  }

  #connect(again: boolean): Promise<void> {
    this.#connecting ??= this.#connectOnce(again).finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  async #connectOnce(again: boolean): Promise<void> {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    if (this.#closed || this.#session !== undefined) return;
    let session: DatabaseSession | undefined;
    try {
      session = await this.#open();
      session.onLost = (error) => this.#onLost(error);
      session.onNotification((name, payload) => this.#onNotification(name, payload));
      // The set may grow while we wait for an answer.
      const listening = new Set<string>();
      for (;;) {
        const missing = [...this.#callbacks.keys()].filter((channel) => !listening.has(channel));
        if (missing.length === 0) break;
        for (const channel of missing) {
          await session.query(`LISTEN ${this.#quoted(channel)}`);
          listening.add(channel);
        }
      }
      if (this.#closed) {
        await session.close();
        return;
      }
      this.#session = session;
      this.#failures = 0;
      this.#startProbe(session);
      // What was sent while nobody listened is gone: everybody looks for himself.
      if (again) for (const channel of this.#callbacks.keys()) this.deliver(channel, '');
    } catch (error) {
      await session?.close();
      this.#onLost(error);
    }
  }

  #startProbe(session: DatabaseSession): void {
    clearInterval(this.#probe);
    this.#probe = setInterval(() => {
      session.query('SELECT 1').catch((error: unknown) => {
        if (this.#session === session) this.#onLost(error);
      });
    }, PROBE_INTERVAL_MS);
    this.#probe.unref();
  }

  #onLost(error: unknown): void {
    const session = this.#session;
    this.#session = undefined;
    clearInterval(this.#probe);
    if (session !== undefined) {
      session.close().catch((reason: unknown) => this.#logger.debug({ err: reason }, 'closing a lost connection failed'));
    }
    if (this.#closed || this.#retry !== undefined) return;
    this.#failures += 1;
    // Below a second at first, since a failover takes seconds; at most 10 s, since pollers bridge the gap.
    const waitMs = backoffMs(this.#failures, { baseMs: 200, maxMs: 10_000 });
    this.#logger.warn(
      { code: databaseErrorCode(error), waitMs },
      'the connection that listens for notifications is lost; connecting again',
    );
    this.#retry = setTimeout(() => void this.#connect(true), waitMs);
  }

  #onNotification(name: string, payload: string): void {
    if (name.startsWith(`${this.#schema}.`)) this.deliver(name.slice(this.#schema.length + 1), payload);
  }
}
