import pg from 'pg';
import { SessionLostError } from './errors.js';
import { inOneFlight, queryOf, type Sql } from './transaction.js';

/**
 * One connection outside of the pool, for what hangs on a connection: session advisory locks and LISTEN. When it breaks, `lost` becomes
 * true, `onLost` is called once and every further query fails with {@link SessionLostError}; the owner opens a new one.
 */
export class DatabaseSession {
  readonly #client: pg.Client;
  #lost = false;
  #closing = false;
  onLost: (error: Error) => void = () => undefined;

  private constructor(client: pg.Client) {
    this.#client = client;
    const lose = (error: Error): void => {
      if (this.#lost || this.#closing) return;
      this.#lost = true;
      this.onLost(error);
    };
    client.on('error', lose);
    client.on('end', () => lose(new SessionLostError('the connection ended')));
  }

  static async open(options: pg.ClientConfig): Promise<DatabaseSession> {
    const client = new pg.Client({
      ...options,
      // A half-open connection answers nothing; without a limit its owner would wait for ever. The statements of a session are short.
      query_timeout: 30_000,
    });
    // Before connect(): a failure in between must not be an unhandled 'error' event.
    const session = new DatabaseSession(client);
    try {
      await client.connect();
    } catch (error) {
      await session.close();
      throw error;
    }
    return session;
  }

  get lost(): boolean {
    return this.#lost;
  }

  async query<Row = Record<string, unknown>>(sql: Sql, parameters: readonly unknown[] = []): Promise<Row[]> {
    if (this.#lost || this.#closing) throw new SessionLostError('the connection of this session is gone');
    const result = await this.#client.query(queryOf(sql, parameters));
    return result.rows as Row[];
  }

  /** Lets the statements that are sent meanwhile leave together. They run one after another, each in a transaction of its own. */
  together<T>(send: () => T): T {
    return inOneFlight(this.#client, send);
  }

  onNotification(listener: (channel: string, payload: string) => void): void {
    this.#client.on('notification', (message) => listener(message.channel, message.payload ?? ''));
  }

  /** Ends the connection, and with it its locks. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    const destroy = (): void => {
      (this.#client as unknown as { connection?: { stream?: { destroy?: () => void } } }).connection?.stream?.destroy?.();
    };
    if (this.#lost) {
      destroy();
      return;
    }
    // The goodbye is a courtesy: a peer that does not answer it within a second gets none.
    const limit = setTimeout(destroy, 1_000);
    try {
      await this.#client.end();
    } catch {
      destroy();
    } finally {
      clearTimeout(limit);
    }
  }
}
