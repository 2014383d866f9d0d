import { CommandError } from '../commands/command-error.js';
import { type Doc, truthy } from '../bson-values.js';
import { WireClient } from '../wire/client.js';

const HELLO_TIMEOUT_MS = 1000;
const RETRY_MS = 200;

/** A replica set as `set/host:port,host:port` names it. */
export interface SetAddress {
  setName: string;
  hosts: string[];
}

/** Reads `set/host:port,…`. Throws BadValue (2). */
export function parseSetAddress(text: string): SetAddress {
  const [setName, list, ...rest] = text.split('/');
  const hosts = (list ?? '').split(',').filter((host) => host !== '');
  if (setName === undefined || setName === '' || hosts.length === 0 || rest.length > 0) {
    throw new CommandError(2, `'${text}' must name a replica set as set/host:port,...`);
  }
  return { setName, hosts };
}

/** Finds the primary of another replica set and keeps one connection to each of its members. */
export class ReplicaSetMonitor {
  readonly setName: string;
  #hosts: string[];
  #primary: string | undefined;
  readonly #clients = new Map<string, WireClient>();

  constructor({ setName, hosts }: SetAddress) {
    this.setName = setName;
    this.#hosts = hosts;
  }

  get hosts(): readonly string[] {
    return this.#hosts;
  }

  /** The set as `set/host:port,…` with the members that are known now. */
  get connectionString(): string {
    return `${this.setName}/${this.#hosts.join(',')}`;
  }

  client(host: string): WireClient {
    let client = this.#clients.get(host);
    if (client === undefined) {
      client = new WireClient(host);
      this.#clients.set(host, client);
    }
    return client;
  }

  /** Host of the primary. Rejects with FailedToSatisfyReadPreference (133) when none is found in time. */
  async primary(timeoutMs: number): Promise<string> {
    const until = Date.now() + timeoutMs;
    for (;;) {
      if (this.#primary !== undefined) return this.#primary;
      await this.look();
      if (this.#primary !== undefined) return this.#primary;
      if (Date.now() >= until) {
        throw new CommandError(133, `Could not find host matching read preference { mode: "primary" } for set ${this.setName}`);
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  /** Asks all known members once. Resolves to the replies of those that answered. */
  async look(): Promise<Doc[]> {
    const replies = await Promise.all(
      this.#hosts.map(async (host) => {
        try {
          return await this.client(host).command('admin', { hello: 1 }, HELLO_TIMEOUT_MS);
        } catch {
          return undefined; // A member that does not answer is no primary; the others decide.
        }
      }),
    );
    const answered = replies.filter((reply) => reply !== undefined);
    for (const reply of answered) {
      if (reply['setName'] !== this.setName || !truthy(reply['isWritablePrimary'])) continue;
      this.#primary = String(reply['me']);
      this.#hosts = [...((reply['hosts'] as string[] | undefined) ?? this.#hosts)];
    }
    return answered;
  }

  /** The primary answered that it is none, or did not answer. */
  forgetPrimary(): void {
    this.#primary = undefined;
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
  }
}
