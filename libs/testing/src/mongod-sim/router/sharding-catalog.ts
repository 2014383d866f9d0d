import { ObjectId, UUID } from 'bson';
import { CommandError } from '../commands/command-error.js';
import { type Doc, isDocument, stringOf } from '../bson-values.js';
import { cursorOf } from '../replication/cursor-batch.js';
import { ReplicaSetMonitor, type SetAddress, parseSetAddress } from './replica-set-monitor.js';
import { Routes } from './routes.js';

const MAJORITY = { w: 'majority', wtimeout: 60_000 };

export interface Shard {
  name: string;
  monitor: ReplicaSetMonitor;
}

/** What the config servers know: shards, and the shard on which each database lives. Kept in memory, so that routing goes on without them. */
export class ShardingCatalog {
  readonly configServers: ReplicaSetMonitor;
  readonly #routes: Routes;
  #shards = new Map<string, Shard>();
  #primaryShard = new Map<string, string>();

  constructor(address: SetAddress) {
    this.configServers = new ReplicaSetMonitor(address);
    this.#routes = new Routes();
  }

  get shards(): Shard[] {
    return [...this.#shards.values()];
  }

  /** Runs a command on the primary of the config servers. */
  config(database: string, command: Doc, timeoutMs?: number): Promise<Doc> {
    return this.#routes.toPrimary(this.configServers, database, command, timeoutMs);
  }

  /** Runs a command on the primary of a shard. */
  toShard(shard: Shard, database: string, command: Doc): Promise<Doc> {
    return this.#routes.toPrimary(shard.monitor, database, command);
  }

  /** Reads shards and databases anew. */
  async refresh(timeoutMs?: number): Promise<void> {
    const shards = await this.#read('shards', timeoutMs);
    const next = new Map<string, Shard>();
    for (const entry of shards) {
      const name = String(entry['_id']);
      next.set(name, this.#shards.get(name) ?? { name, monitor: new ReplicaSetMonitor(parseSetAddress(String(entry['host']))) });
    }
    for (const [name, shard] of this.#shards) if (!next.has(name)) shard.monitor.close();
    this.#shards = next;
    const databases = await this.#read('databases', timeoutMs);
    this.#primaryShard = new Map(databases.map((entry) => [String(entry['_id']), String(entry['primary'])]));
  }

  async #read(collection: string, timeoutMs?: number): Promise<Doc[]> {
    const reply = await this.config('config', { find: collection, batchSize: 10_000, singleBatch: true }, timeoutMs);
    return cursorOf(Routes.checked(reply)).batch;
  }

  /** The shard of a database; with `create`, an unknown one is given a home first. */
  async shardOf(database: string, create: boolean): Promise<Shard | undefined> {
    let name = this.#primaryShard.get(database);
    if (name === undefined || !this.#shards.has(name)) {
      await this.refresh();
      name = this.#primaryShard.get(database);
    }
    if (name === undefined && create) name = await this.#giveHome(database);
    return name === undefined ? undefined : this.#shards.get(name);
  }

  async #giveHome(database: string): Promise<string> {
    const count = (shard: Shard): number => [...this.#primaryShard.values()].filter((name) => name === shard.name).length;
    const [chosen] = this.shards.sort((a, b) => count(a) - count(b) || a.name.localeCompare(b.name));
    if (chosen === undefined) throw new CommandError(70, 'No shards found');
    const doc = { _id: database, primary: chosen.name, partitioned: false, version: { uuid: new UUID(), lastMod: 1 } };
    await this.#upsert('databases', doc);
    this.#primaryShard.set(database, chosen.name);
    return chosen.name;
  }

  async forgetDatabase(database: string): Promise<void> {
    await this.#remove('databases', database);
    this.#primaryShard.delete(database);
  }

  /** `addShard`: tells the shard where it belongs, then notes it. Adding one again changes nothing. */
  async addShard(text: string, wantedName: string | undefined): Promise<string> {
    const address = parseSetAddress(text);
    const monitor = new ReplicaSetMonitor(address);
    const known = (await this.#read('shards')).find((entry) => String(entry['host']).startsWith(`${address.setName}/`));
    const name = wantedName ?? (known === undefined ? address.setName : String(known['_id']));
    try {
      const reply = await this.#routes.toPrimary(monitor, 'admin', {
        _addShard: 1,
        shardIdentity: {
          shardName: name,
          clusterId: await this.#clusterId(),
          configsvrConnectionString: this.configServers.connectionString,
        },
      });
      Routes.checked(reply);
      await this.#upsert('shards', { _id: name, host: monitor.connectionString, state: 1 });
    } catch (error) {
      if (error instanceof CommandError && error.code === 133) {
        throw new CommandError(96, `failed to connect to shard ${text}: ${error.message}`);
      }
      throw error;
    } finally {
      monitor.close();
    }
    await this.refresh();
    return name;
  }

  async listShards(): Promise<Doc[]> {
    return this.#read('shards');
  }

  /** `removeShard`: begins draining, then tells what is left, then removes the shard when nothing is. */
  async removeShard(name: string): Promise<Doc> {
    const entry = (await this.#read('shards')).find((shard) => shard['_id'] === name);
    if (entry === undefined) throw new CommandError(70, `Shard ${name} does not exist`);
    const databases = (await this.#read('databases')).filter((database) => database['primary'] === name).map((database) => database['_id']);
    if (entry['draining'] !== true) {
      await this.#upsert('shards', { ...entry, draining: true });
      return { msg: 'draining started successfully', state: 'started', shard: name, dbsToMove: databases };
    }
    if (databases.length > 0) {
      return {
        msg: 'draining ongoing',
        state: 'ongoing',
        remaining: { chunks: 0, dbs: databases.length, jumboChunks: 0 },
        dbsToMove: databases,
      };
    }
    await this.#remove('shards', name);
    await this.refresh();
    return { msg: 'removeshard completed successfully', state: 'completed', shard: name };
  }

  async enableSharding(database: string): Promise<void> {
    const shard = await this.shardOf(database, true);
    const entry = (await this.#read('databases')).find((known) => known['_id'] === database);
    await this.#upsert('databases', { ...entry, _id: database, primary: shard?.name, partitioned: true });
  }

  /** `shardCollection`: noted, but the collection stays on the primary shard of its database. */
  async shardCollection(ns: string, key: unknown): Promise<Doc> {
    const database = ns.slice(0, ns.indexOf('.'));
    const collection = ns.slice(database.length + 1);
    const shard = await this.shardOf(database, true);
    if (shard === undefined) throw new CommandError(70, 'No shards found');
    await this.toShard(shard, database, { create: collection });
    const listed = cursorOf(await this.toShard(shard, database, { listCollections: 1, filter: { name: collection } })).batch[0];
    const info = isDocument(listed?.['info']) ? listed['info'] : {};
    await this.#upsert('collections', { _id: ns, lastmodEpoch: new ObjectId(), dropped: false, key, unique: false, uuid: info['uuid'] });
    return { collectionsharded: ns, collectionUUID: info['uuid'] };
  }

  async balancerMode(): Promise<string> {
    const settings = await this.#read('settings');
    return stringOf(settings.find((entry) => entry['_id'] === 'balancer')?.['mode']) ?? 'full';
  }

  async setBalancerMode(mode: 'full' | 'off'): Promise<void> {
    await this.#upsert('settings', { _id: 'balancer', mode, stopped: mode === 'off' });
  }

  close(): void {
    this.configServers.close();
    for (const shard of this.#shards.values()) shard.monitor.close();
  }

  async #clusterId(): Promise<unknown> {
    const [version] = await this.#read('version');
    if (version !== undefined) return version['clusterId'];
    const clusterId = new ObjectId();
    await this.#upsert('version', { _id: 1, minCompatibleVersion: 5, currentVersion: 6, clusterId });
    return clusterId;
  }

  async #upsert(collection: string, doc: Doc): Promise<void> {
    const update = { q: { _id: doc['_id'] }, u: doc, upsert: true };
    Routes.checked(await this.config('config', { update: collection, updates: [update], writeConcern: MAJORITY }));
  }

  async #remove(collection: string, id: string): Promise<void> {
    Routes.checked(await this.config('config', { delete: collection, deletes: [{ q: { _id: id }, limit: 1 }], writeConcern: MAJORITY }));
  }
}
