import { CreateKeyCommand, DisableKeyCommand, EnableKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { randomBytes } from 'node:crypto';
import type { SnapshotView } from '@atrest/contracts';
import { MongoClient, MongoServerError } from 'mongodb';
import type { CaughtMail, MailCatcher } from '@atrest/testing';
import { ApiCallError, type ApiClient } from './api-client.js';

/** What a customer sees of one process. */
export interface ProcessAnswer {
  readonly id: string;
  readonly hostname: string;
  readonly port: number;
  readonly kind: string;
  readonly replicaSet: string | null;
  readonly dbPath: string | null;
  readonly status: string;
  readonly pid: number | null;
  readonly stale: boolean;
}

/** What a customer sees of a cluster: Atlas's fields and the selfManaged extension. */
export interface ClusterAnswer {
  readonly id: string;
  readonly name: string;
  readonly stateName: string;
  readonly selfManaged: {
    readonly state: string;
    readonly disabledReason: { readonly detail: string } | null;
    readonly pendingChanges: unknown;
    readonly processes: readonly ProcessAnswer[];
  };
}

export interface CustomerOptions {
  readonly api: ApiClient;
  readonly orgId: string;
  readonly kms: { readonly endpoint: string; readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly mails: MailCatcher;
  /** How long to wait for anything before giving up, in milliseconds. */
  readonly limitMs?: number;
}

const LIMIT_MS = 90_000;
const POLL_MS = 100;

/** Polls until `look` answers something; says what was waited for when the limit is over. */
export async function until<T>(what: string, look: () => Promise<T | null | undefined | false>, limitMs = LIMIT_MS): Promise<T> {
  const deadline = performance.now() + limitMs;
  while (performance.now() < deadline) {
    const seen = await look();
    if (seen !== null && seen !== undefined && seen !== false) return seen;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error(`Waited ${limitMs / 1000} s for: ${what}`);
}

/**
 * A customer of a running Atrest, who uses nothing but what customers have: the Atlas Admin API, the KMS's own protocol through the AWS SDK,
 * the MongoDB driver, and a mailbox.
 */
export class Customer {
  readonly api: ApiClient;
  private readonly kms: KMSClient;
  /** Whom this customer has made an administrator of his clusters. */
  private readonly administrator = { username: 'owner', password: randomBytes(18).toString('base64url') };
  private project = '';

  constructor(private readonly options: CustomerOptions) {
    this.api = options.api;
    const { endpoint, accessKeyId, secretAccessKey } = options.kms;
    this.kms = new KMSClient({ endpoint, region: 'us-east-1', credentials: { accessKeyId, secretAccessKey } });
  }

  get projectId(): string {
    return this.project;
  }

  close(): void {
    this.kms.destroy();
  }

  async createProject(name: string, owners: readonly string[]): Promise<void> {
    this.project = (await this.api.post<{ id: string }>('/groups', { name, orgId: this.options.orgId })).id;
    for (const username of owners) await this.api.post(`/groups/${this.project}/users`, { username, roles: ['GROUP_OWNER'] });
  }

  /** Makes a key in the KMS and configures it; answers the key's id. */
  async bringKey(): Promise<string> {
    const created = await this.kms.send(new CreateKeyCommand({ Description: 'customer key' }));
    const keyId = created.KeyMetadata!.KeyId!;
    const { accessKeyId, secretAccessKey } = this.options.kms;
    await this.api.patch(`/groups/${this.project}/encryptionAtRest`, {
      awsKms: { enabled: true, customerMasterKeyID: keyId, region: 'US_EAST_1', accessKeyID: accessKeyId, secretAccessKey },
    });
    return keyId;
  }

  async disableKey(keyId: string): Promise<void> {
    await this.kms.send(new DisableKeyCommand({ KeyId: keyId }));
  }

  async enableKey(keyId: string): Promise<void> {
    await this.kms.send(new EnableKeyCommand({ KeyId: keyId }));
  }

  /** Creates a replica set the way an unchanged Atlas client does: how many nodes, not where. */
  async createCluster(name: string, nodeCount: number, encryptionAtRestProvider: 'AWS' | 'NONE', backupEnabled = false): Promise<void> {
    const regionConfigs = [
      { providerName: 'AWS', regionName: 'US_EAST_1', priority: 7, electableSpecs: { instanceSize: 'M10', nodeCount } },
    ];
    await this.api.post(`/groups/${this.project}/clusters`, {
      name,
      clusterType: 'REPLICASET',
      encryptionAtRestProvider,
      backupEnabled,
      replicationSpecs: [{ regionConfigs }],
      selfManaged: { administrator: this.administrator },
    });
  }

  cluster(name: string): Promise<ClusterAnswer> {
    return this.api.get<ClusterAnswer>(`/groups/${this.project}/clusters/${name}`);
  }

  untilState(name: string, state: string): Promise<ClusterAnswer> {
    return until(
      `cluster '${name}' to be ${state}`,
      async () => {
        const cluster = await this.cluster(name);
        return cluster.selfManaged.state === state && cluster;
      },
      this.options.limitMs,
    );
  }

  /** State of the project's key configuration: VALID, SUSPECT or INVALID. */
  async validity(): Promise<string> {
    return (await this.api.get<{ state: string }>(`/groups/${this.project}/encryptionAtRest/awsKms/status`)).state;
  }

  untilValidity(state: string): Promise<string> {
    return until(
      `the key configuration to be ${state}`,
      async () => {
        const seen = await this.validity();
        return seen === state && seen;
      },
      this.options.limitMs,
    );
  }

  /** Asks for a snapshot on demand; answers its id. */
  async askForSnapshot(cluster: string): Promise<string> {
    const body = { description: 'on demand', retentionInDays: 1 };
    return (await this.api.post<SnapshotView>(`/groups/${this.project}/clusters/${cluster}/backup/snapshots`, body)).id;
  }

  snapshot(cluster: string, id: string): Promise<SnapshotView> {
    return this.api.get<SnapshotView>(`/groups/${this.project}/clusters/${cluster}/backup/snapshots/${id}`);
  }

  untilSnapshot(cluster: string, id: string, what: string, is: (snapshot: SnapshotView) => boolean): Promise<SnapshotView> {
    return until(
      `the snapshot of '${cluster}' to be ${what}`,
      async () => {
        const snapshot = await this.snapshot(cluster, id);
        if (snapshot.status === 'failed')
          throw new Error(`The snapshot failed: ${snapshot.selfManaged.failure?.detail ?? 'no reason given'}`);
        return is(snapshot) && snapshot;
      },
      this.options.limitMs,
    );
  }

  /** What a pipeline asks before it deletes a key: null when nothing depends on it, otherwise what the API says. */
  async whyNotDelete(keyId: string): Promise<string | null> {
    try {
      await this.api.post(`/groups/${this.project}/encryptionKeys/${encodeURIComponent(keyId)}:deletion-check`, {});
      return null;
    } catch (error) {
      if (error instanceof ApiCallError && error.errorCode === 'ENCRYPTION_KEY_IN_USE') return error.detail;
      throw error;
    }
  }

  /** Waits until exactly `count` mails to this project's owners have come, and answers the newest. */
  async untilMails(count: number): Promise<CaughtMail> {
    const mails = await until(`${count} mails`, async () => {
      const caught = this.options.mails.messages();
      return caught.length >= count && caught;
    });
    if (mails.length > count) throw new Error(`Expected ${count} mails by now, found: ${mails.map((mail) => mail.subject).join(' | ')}`);
    return mails.at(-1)!;
  }

  /** Connection string of a replica set cluster. */
  async connectionString(name: string): Promise<string> {
    const { processes } = (await this.cluster(name)).selfManaged;
    const members = processes.map((member) => `${member.hostname}:${member.port}`).join(',');
    return `mongodb://${members}/?replicaSet=${processes[0]!.replicaSet}&serverSelectionTimeoutMS=30000`;
  }

  /** Writes documents with write concern majority. */
  async write(uri: string, batch: string, count: number): Promise<void> {
    const client = new MongoClient(uri, { auth: this.administrator, writeConcern: { w: 'majority' } });
    try {
      await client
        .db('shop')
        .collection('orders')
        .insertMany(Array.from({ length: count }, (_, number) => ({ batch, number })));
    } finally {
      await client.close();
    }
  }

  async count(uri: string, batch: string): Promise<number> {
    const client = new MongoClient(uri, { auth: this.administrator });
    try {
      return await client.db('shop').collection('orders').countDocuments({ batch });
    } finally {
      await client.close();
    }
  }

  /** Whether somebody without a login reads anything. */
  async isOpen(uri: string): Promise<boolean> {
    const client = new MongoClient(uri);
    try {
      await client.db('shop').collection('orders').findOne();
      return true;
    } catch (error) {
      if (error instanceof MongoServerError && error.code === 13) return false;
      throw error;
    } finally {
      await client.close();
    }
  }
}
