import type { SnapshotView } from '@atrest/contracts';
import { waitFor, type CaughtMail } from '@atrest/testing';
import { MongoClient, type MongoClientOptions } from 'mongodb';
import type { ApiClient } from '../demo/api-client.js';
import type { TestHost } from './host.contract.js';
import { freePorts } from './machine.contract.js';

/** Where the parts of a system are that a customer sees. They may move when it is started again. */
export interface SystemAddresses {
  readonly api: ApiClient;
  readonly orgId: string;
  readonly kmsUrl: string;
  readonly mailboxUrl: string;
}

export interface ProcessAnswer {
  readonly id: string;
  readonly kind: 'mongod' | 'config' | 'mongos';
  readonly replicaSet: string | null;
  readonly port: number;
  readonly dbPath: string | null;
  readonly status: string;
  readonly pid: number | null;
  readonly memberState: string | null;
  readonly error: string | null;
}

export interface ClusterAnswer {
  readonly tags: readonly { readonly key: string; readonly value: string }[];
  readonly backupEnabled: boolean;
  readonly connectionStrings: { readonly standard?: string };
  readonly selfManaged: {
    readonly state: string;
    readonly accessControl: boolean;
    readonly administrator?: { readonly username: string | null; readonly state?: string };
    readonly disabledReason: { readonly provider: string; readonly detail: string } | null;
    readonly pendingChanges: object | null;
    readonly processes: readonly ProcessAnswer[];
  };
}

/** A process as the API takes it. */
export interface NamedProcess {
  readonly hostId: string;
  readonly kind: 'mongod' | 'config' | 'mongos';
  readonly replicaSet?: string;
  readonly port: number;
  readonly dbPath?: string;
  readonly extraArguments: readonly string[];
  readonly adopted?: boolean;
}

/** What hangs is given up after this, in milliseconds; a real server on a slow machine may need half a minute for an election. */
const LIMIT_MS = 120_000;

/** One project with its owners, key and clusters, through the interfaces that a customer has. */
export class TestProject {
  readonly owners: readonly string[];
  /** Of every cluster that is created here, unless it has an access control of its own. */
  administrator = { username: 'owner', password: 'a word of the owner' };
  id = '';
  keyId = '';

  constructor(
    private readonly system: () => SystemAddresses,
    readonly name: string,
    owners: number,
  ) {
    this.owners = Array.from({ length: owners }, (_, index) => `owner-${index + 1}@${name.toLowerCase()}.example`);
  }

  async create(): Promise<this> {
    const { api, orgId } = this.system();
    this.id = (await api.post<{ id: string }>('/groups', { name: this.name, orgId })).id;
    for (const username of this.owners) await api.post(`/groups/${this.id}/users`, { username, roles: ['GROUP_OWNER'] });
    return this;
  }

  /** A key of the development KMS, and the configuration that names it. */
  async bringKey(): Promise<this> {
    const { accessKeyId, secretAccessKey } = await this.kms<Record<'accessKeyId' | 'secretAccessKey', string>>('/access-keys', {});
    this.keyId = (await this.kms<{ keyId: string }>('/keys', {})).keyId;
    await this.system().api.patch(`/groups/${this.id}/encryptionAtRest`, {
      awsKms: {
        enabled: true,
        customerMasterKeyID: this.keyId,
        region: 'US_EAST_1',
        accessKeyID: accessKeyId,
        secretAccessKey,
      },
    });
    return this;
  }

  async key(order: 'disable' | 'enable' | 'schedule-deletion' | 'cancel-deletion'): Promise<void> {
    await this.kms(`/keys/${this.keyId}/${order}`, {});
  }

  /** 'Try again': the answer of a check that is made now. */
  checkKey(): Promise<object> {
    return this.system().api.post(`/groups/${this.id}/encryptionAtRest/awsKms:check`, {});
  }

  async untilKeyIs(state: 'VALID' | 'INVALID'): Promise<void> {
    const path = `/groups/${this.id}/encryptionAtRest/awsKms/status`;
    await waitFor(async () => (await this.system().api.get<{ state: string }>(path)).state === state, {
      describe: `the key configuration of ${this.name} to be ${state}`,
      limitMs: LIMIT_MS,
    });
  }

  /** Creates a replica set, or a sharded cluster, as an unchanged Atlas client does: how many nodes, not where. */
  async createPlaced(name: string, nodeCount: number, encryptionAtRestProvider: 'AWS' | 'NONE' = 'AWS', shards = 0): Promise<void> {
    const regionConfigs = [
      { providerName: 'AWS', regionName: 'US_EAST_1', priority: 7, electableSpecs: { instanceSize: 'M10', nodeCount } },
    ];
    await this.createCluster(name, {
      encryptionAtRestProvider,
      clusterType: shards === 0 ? 'REPLICASET' : 'SHARDED',
      replicationSpecs: Array.from({ length: Math.max(1, shards) }, () => ({ regionConfigs })),
      selfManaged: { administrator: this.administrator },
    });
  }

  /** Turns backups on, asks for a snapshot, and waits until it is there. */
  async takeSnapshot(cluster: string): Promise<SnapshotView> {
    if (!(await this.cluster(cluster)).backupEnabled) await this.patch(cluster, { backupEnabled: true });
    const path = `/groups/${this.id}/clusters/${cluster}/backup/snapshots`;
    const { id } = await waitFor(() => this.system().api.post<SnapshotView>(path, { description: 'by hand', retentionInDays: 1 }), {
      describe: `a snapshot of cluster ${cluster} to be accepted`,
      limitMs: LIMIT_MS,
    });
    let last: SnapshotView | null = null;
    return waitFor(
      async () => {
        last = await this.get<SnapshotView>(`/clusters/${cluster}/backup/snapshots/${id}`);
        return (last.status === 'completed' || last.status === 'failed') && last;
      },
      { describe: () => `a snapshot of cluster ${cluster} to end; it is ${JSON.stringify(last)}`, limitMs: LIMIT_MS },
    );
  }

  /** Reads a resource below this project. */
  get<T>(path: string): Promise<T> {
    return this.system().api.get<T>(`/groups/${this.id}${path}`);
  }

  async delete(path: string): Promise<void> {
    await this.system().api.delete(`/groups/${this.id}${path}`);
  }

  /** Creates a replica set with one member on each of the hosts; a host may be given several times. Answers their ports. */
  async createReplicaSet(name: string, hosts: readonly TestHost[], extraArguments: readonly string[] = []): Promise<number[]> {
    const ports = await freePorts(hosts.length);
    const processes = hosts.map((host, index): NamedProcess => ({
      hostId: host.id,
      kind: 'mongod',
      replicaSet: name,
      port: ports[index]!,
      extraArguments: [...host.servers.arguments, ...extraArguments],
    }));
    await this.createNamed(name, processes);
    return ports;
  }

  async createNamed(name: string, processes: readonly NamedProcess[], clusterType = 'REPLICASET'): Promise<void> {
    const own = processes.some(({ adopted }) => adopted === true) ? {} : { administrator: this.administrator };
    await this.createCluster(name, { encryptionAtRestProvider: 'AWS', clusterType, selfManaged: { processes, ...own } });
  }

  async patch(cluster: string, change: object): Promise<ClusterAnswer> {
    return this.system().api.patch(`/groups/${this.id}/clusters/${cluster}`, change);
  }

  async deleteCluster(name: string): Promise<void> {
    await this.system().api.delete(`/groups/${this.id}/clusters/${name}`);
    await waitFor(async () => (await this.clusterNames()).every((each) => each !== name), {
      describe: `cluster ${name} to be gone`,
      limitMs: LIMIT_MS,
    });
  }

  cluster(name: string): Promise<ClusterAnswer> {
    return this.system().api.get<ClusterAnswer>(`/groups/${this.id}/clusters/${name}`);
  }

  async untilCluster(name: string, what: string, predicate: (cluster: ClusterAnswer['selfManaged']) => boolean): Promise<ClusterAnswer> {
    let last: ClusterAnswer | null = null;
    return waitFor(
      async () => {
        last = await this.cluster(name);
        return predicate(last.selfManaged) && last;
      },
      { describe: () => `cluster ${name} of ${this.name} to be ${what}; it is ${JSON.stringify(last?.selfManaged)}`, limitMs: LIMIT_MS },
    );
  }

  untilClusterIs(name: string, state: string): Promise<ClusterAnswer> {
    return this.untilCluster(name, state, (cluster) => cluster.state === state);
  }

  /** Until a majority acknowledges the document `{ n, ...fields }`: a cluster that is just starting may refuse the first tries. */
  async write(cluster: string, n: number, fields: object = {}): Promise<void> {
    const { uri, login } = await this.connection(cluster);
    await waitFor(
      async () => {
        // A client that could not connect stays closed, and a write without an answer may have been done: a new one each time, with one effect.
        const client = new MongoClient(uri, {
          ...login,
          serverSelectionTimeoutMS: 20_000,
          writeConcern: { w: 'majority', wtimeoutMS: 10_000 },
        });
        try {
          await client
            .db('shop')
            .collection<{ _id: number }>('orders')
            .updateOne({ _id: n }, { $set: { n, ...fields } }, { upsert: true });
          return true;
        } finally {
          await client.close();
        }
      },
      { describe: `a write to cluster ${cluster} of ${this.name}`, limitMs: LIMIT_MS },
    );
  }

  /** The numbers that were written, in order. */
  async written(cluster: string): Promise<number[]> {
    const { uri, login } = await this.connection(cluster);
    const client = new MongoClient(uri, { ...login, serverSelectionTimeoutMS: 30_000 });
    try {
      const documents = await client.db('shop').collection<{ _id: number; n: number }>('orders').find().toArray();
      return documents.map(({ n }) => n).sort((a, b) => a - b);
    } finally {
      await client.close();
    }
  }

  /** Mails to anybody who hears of this project as its owner, oldest first. */
  async mails(to: readonly string[] = this.owners): Promise<CaughtMail[]> {
    const response = await fetch(new URL('/messages', this.system().mailboxUrl));
    const all = (await response.json()) as CaughtMail[];
    return all.filter((mail) => mail.recipients.some((recipient) => to.includes(recipient)) && mail.subject.includes(this.name));
  }

  async untilMail(
    subject: RegExp,
    o: { readonly to?: readonly string[]; readonly about?: (mail: CaughtMail) => boolean } = {},
  ): Promise<CaughtMail> {
    return waitFor(async () => (await this.mails(o.to)).find((mail) => subject.test(mail.subject) && (o.about?.(mail) ?? true)), {
      describe: `a mail about ${this.name} whose subject matches ${subject}`,
      limitMs: LIMIT_MS,
    });
  }

  /** Where a customer reaches a cluster, and how he logs in. */
  async connection(name: string): Promise<{ readonly uri: string; readonly login: MongoClientOptions }> {
    const { connectionStrings, selfManaged } = await this.cluster(name);
    if (connectionStrings.standard === undefined) throw new Error(`Cluster ${name} has no connection string yet`);
    return { uri: connectionStrings.standard, login: selfManaged.accessControl ? { auth: this.administrator } : {} };
  }

  private async clusterNames(): Promise<string[]> {
    return (await this.system().api.get<{ results: { name: string }[] }>(`/groups/${this.id}/clusters`)).results.map(({ name }) => name);
  }

  private async createCluster(name: string, document: object): Promise<void> {
    await this.system().api.post(`/groups/${this.id}/clusters`, { name, ...document });
  }

  private async kms<T>(path: string, body: object): Promise<T> {
    const response = await fetch(`${this.system().kmsUrl}/_control${path}`, { method: 'POST', body: JSON.stringify(body) });
    const answer = (await response.json()) as T;
    if (!response.ok) throw new Error(`The development KMS refuses ${path}: ${JSON.stringify(answer)}`);
    return answer;
  }
}

/** Pids of a cluster's running processes. */
export const pidsOf = (cluster: ClusterAnswer): number[] => cluster.selfManaged.processes.flatMap(({ pid }) => pid ?? []);
