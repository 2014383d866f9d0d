import { Timestamp } from 'bson';
import { CommandError } from '../commands/command-error.js';
import { type Doc, isDocument, numberOf } from '../bson-values.js';
import { PeerError } from '../wire/client.js';
import type { ReplicaSetMonitor } from './replica-set-monitor.js';

const FIND_PRIMARY_MS = 20_000;
const COMMAND_MS = 60_000;
const ATTEMPTS = 3;
/** The member is not the primary (any more): nothing was done, another one is asked. */
const NOT_PRIMARY = new Set([10107, 13435, 13436, 189, 91, 11600, 11602]);
const READS = new Set([
  'find',
  'count',
  'distinct',
  'aggregate',
  'listCollections',
  'listIndexes',
  'collStats',
  'dbStats',
  'listDatabases',
  'getDefaultRWConcern',
]);

/**
 * Sends commands to the primary of a replica set, wherever it is now. Carries the latest time that any member or client has told from one to the other: what is
 * written after something was seen is later than it, on whatever shard.
 */
export class Routes {
  #clusterTime: Doc | undefined;

  /** Resolves to the reply, also to one with `ok: 0`. */
  async toPrimary(monitor: ReplicaSetMonitor, database: string, command: Doc, findMs = FIND_PRIMARY_MS): Promise<Doc> {
    const { $db: _db, $clusterTime: told, ...rest } = command;
    this.#learn(told);
    const forwarded: Doc = this.#clusterTime === undefined ? rest : { ...rest, $clusterTime: this.#clusterTime };
    const name = Object.keys(forwarded)[0] ?? '';
    const repeatable = READS.has(name) || forwarded['txnNumber'] !== undefined;
    for (let attempt = 1; ; attempt += 1) {
      const host = await monitor.primary(findMs);
      try {
        const reply = await monitor.client(host).raw(database, forwarded, COMMAND_MS);
        this.#learn(reply['$clusterTime']);
        if (attempt === ATTEMPTS || !NOT_PRIMARY.has(numberOf(reply['code']) ?? 0)) return reply;
      } catch (error) {
        if (!(error instanceof PeerError)) throw error;
        monitor.forgetPrimary();
        if (attempt === ATTEMPTS || !repeatable) throw new CommandError(6, error.message);
      }
      monitor.forgetPrimary();
    }
  }

  #learn(told: unknown): void {
    const time = isDocument(told) ? told['clusterTime'] : undefined;
    if (!isDocument(told) || !(time instanceof Timestamp)) return;
    const known = this.#clusterTime?.['clusterTime'];
    if (!(known instanceof Timestamp) || time.greaterThan(known)) this.#clusterTime = told;
  }

  /** The reply, unless it is an error. Throws {@link CommandError}. */
  static checked(reply: Doc): Doc {
    if (numberOf(reply['ok']) === 1) return reply;
    throw new CommandError(numberOf(reply['code']) ?? 8, String(reply['errmsg']));
  }
}
