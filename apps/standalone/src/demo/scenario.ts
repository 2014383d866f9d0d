import { CreateKeyCommand, DisableKeyCommand, EnableKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { MongoClient } from 'mongodb';
import type { MailCatcher } from '@atrest/testing';
import { ApiCallError, type ApiClient } from './api-client.js';
import type { Report } from './report.js';

/** What the demo needs from the system it drives. */
export interface Stage {
  readonly api: ApiClient;
  readonly orgId: string;
  readonly kms: { readonly endpoint: string; readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly mails: MailCatcher;
}

interface ObservedProcess {
  readonly hostname: string;
  readonly port: number;
  readonly status: string;
  readonly pid: number | null;
}

interface ClusterAnswer {
  readonly name: string;
  readonly stateName: string;
  readonly selfManaged: {
    readonly state: string;
    readonly disabledReason: { readonly detail: string } | null;
    readonly processes: readonly ObservedProcess[];
  };
}

const OWNERS = ['mara@example.com', 'jonas@example.com'];
const ENCRYPTED = ['orders', 'carts'];
/** Generous on purpose: a shared machine is slow, and the demo prints the time each step really took. */
const LIMIT_MS = 90_000;
const POLL_MS = 100;

/** Polls until `look` answers something; says what was waited for when the limit is over. */
async function until<T>(what: string, look: () => Promise<T | null | undefined | false>): Promise<T> {
  const deadline = performance.now() + LIMIT_MS;
  while (performance.now() < deadline) {
    const seen = await look();
    if (seen !== null && seen !== undefined && seen !== false) return seen;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error(`Waited ${LIMIT_MS / 1000} s for: ${what}`);
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

/** The main job, step by step, through the public API, the KMS's own protocol and the MongoDB driver. */
export class Scenario {
  private projectId = '';
  private readonly kms: KMSClient;

  constructor(
    private readonly stage: Stage,
    private readonly report: Report,
  ) {
    const { endpoint, accessKeyId, secretAccessKey } = stage.kms;
    this.kms = new KMSClient({ endpoint, region: 'us-east-1', credentials: { accessKeyId, secretAccessKey } });
  }

  async run(): Promise<void> {
    this.report.title('A project brings a key');
    const keyId = await this.createProjectWithKey();
    this.report.title('Clusters run under an agent');
    const uri = await this.createClusters();
    await this.write(uri, 'before');
    this.report.title('The key is disabled in the KMS');
    await this.disable(keyId);
    this.report.title('The key is enabled again');
    await this.enable(keyId, uri);
  }

  close(): void {
    this.kms.destroy();
  }

  private async createProjectWithKey(): Promise<string> {
    const { api, orgId, kms } = this.stage;
    const project = await api.post<{ id: string }>('/groups', { name: 'Web shop', orgId });
    this.projectId = project.id;
    for (const username of OWNERS) await api.post(`/groups/${project.id}/users`, { username, roles: ['GROUP_OWNER'] });
    this.report.step(`project 'Web shop' with the owners ${OWNERS.join(' and ')}`);

    const created = await this.kms.send(new CreateKeyCommand({ Description: 'customer key of the web shop' }));
    const keyId = created.KeyMetadata!.KeyId!;
    this.report.step(`the customer made the key ${keyId} in its KMS`);

    const { awsKms } = await api.patch<{ awsKms: { valid: boolean; secretAccessKey?: string } }>(`/groups/${project.id}/encryptionAtRest`, {
      awsKms: {
        enabled: true,
        customerMasterKeyID: keyId,
        region: 'US_EAST_1',
        accessKeyID: kms.accessKeyId,
        secretAccessKey: kms.secretAccessKey,
      },
    });
    this.report.step(`encryption at rest configured, proven by wrap and unwrap: valid=${awsKms.valid}`);
    return keyId;
  }

  private async createClusters(): Promise<string> {
    await this.createCluster('orders', 3, 'AWS');
    await this.createCluster('carts', 1, 'AWS');
    await this.createCluster('press', 1, 'NONE');
    const uris = await Promise.all(['orders', 'carts', 'press'].map((name) => this.untilState(name, 'IDLE')));
    this.report.step("three clusters are up: 'orders' (three members) and 'carts' use the key, 'press' does not");
    const [orders] = uris as [ClusterAnswer];
    const members = orders.selfManaged.processes.map((member) => `${member.hostname}:${member.port}`);
    return `mongodb://${members.join(',')}/?replicaSet=${await this.replicaSetName('orders')}&serverSelectionTimeoutMS=30000`;
  }

  private async createCluster(name: string, nodeCount: number, encryptionAtRestProvider: string): Promise<void> {
    const regionConfigs = [
      { providerName: 'AWS', regionName: 'US_EAST_1', priority: 7, electableSpecs: { instanceSize: 'M10', nodeCount } },
    ];
    await this.stage.api.post(`/groups/${this.projectId}/clusters`, {
      name,
      clusterType: 'REPLICASET',
      encryptionAtRestProvider,
      replicationSpecs: [{ regionConfigs }],
    });
  }

  private async replicaSetName(cluster: string): Promise<string> {
    const answer = await this.stage.api.get<{ selfManaged: { processes: { replicaSet: string }[] } }>(
      `/groups/${this.projectId}/clusters/${cluster}`,
    );
    return answer.selfManaged.processes[0]!.replicaSet;
  }

  private async disable(keyId: string): Promise<void> {
    const running = await this.processesOf(ENCRYPTED);
    await this.kms.send(new DisableKeyCommand({ KeyId: keyId }));
    this.report.moment('KMS change', 'KMS change: the key is disabled');

    await until('the validity checks to prove it', async () => (await this.validity()) === 'INVALID');
    this.report.moment('detected', 'detected: three checks in a row, each on a fresh client, got DisabledException', 'KMS change');

    await Promise.all(ENCRYPTED.map((name) => this.untilState(name, 'DISABLED')));
    const alive = running.filter((member) => member.pid !== null && isAlive(member.pid));
    if (alive.length > 0) throw new Error(`DISABLED, but still running: ${alive.map((member) => member.port).join(', ')}`);
    this.report.moment('stopped', `stopped: all ${running.length} mongod of 'orders' and 'carts' are gone`, 'detected');

    const mail = await this.mail('invalid', 1);
    this.report.moment('mail', 'mail: one message to both Project Owners lists every affected cluster', 'detected');
    this.report.detail(`to:      ${mail.to.join(', ')}\nsubject: ${mail.subject}`);
    for (const name of ENCRYPTED) if (!mail.text.includes(name)) throw new Error(`The mail does not name the cluster '${name}'`);

    const press = await this.cluster('press');
    if (press.selfManaged.state !== 'IDLE') throw new Error(`'press' does not use the key, but is ${press.selfManaged.state}`);
    const { selfManaged } = await this.cluster('orders');
    this.report.step(`the API says why 'orders' is disabled: ${selfManaged.disabledReason?.detail ?? 'no reason given'}`);
    this.report.step("'press' runs on: it does not use the key");
  }

  private async enable(keyId: string, uri: string): Promise<void> {
    await this.kms.send(new EnableKeyCommand({ KeyId: keyId }));
    this.report.moment('KMS restored', 'KMS change: the key is enabled');
    await until('the validity check to prove it', async () => (await this.validity()) === 'VALID');
    this.report.moment('valid', 'valid: the canary was unwrapped', 'KMS restored');
    await this.write(uri, 'after');
    this.report.moment('writable', "writable: a majority of 'orders' acknowledged a write", 'valid');
    await Promise.all(ENCRYPTED.map((name) => this.untilState(name, 'IDLE')));
    await this.mail('valid', 2);
    this.report.moment('second mail', 'mail: a second message says that everything is starting again', 'valid');
    await this.verifyNothingLost(uri);
  }

  private async write(uri: string, when: string): Promise<void> {
    const client = new MongoClient(uri, { writeConcern: { w: 'majority' } });
    try {
      await client
        .db('shop')
        .collection('orders')
        .insertMany(Array.from({ length: 100 }, (_, number) => ({ when, number })));
      if (when === 'before') this.report.step('100 documents written with write concern majority');
    } finally {
      await client.close();
    }
  }

  private async verifyNothingLost(uri: string): Promise<void> {
    const client = new MongoClient(uri);
    try {
      const count = await client.db('shop').collection('orders').countDocuments({ when: 'before' });
      if (count !== 100) throw new Error(`Expected the 100 documents written before the stop, found ${count}`);
      this.report.step('all 100 documents written before the stop are there');
    } finally {
      await client.close();
    }
  }

  private cluster(name: string): Promise<ClusterAnswer> {
    return this.stage.api.get<ClusterAnswer>(`/groups/${this.projectId}/clusters/${name}`);
  }

  private untilState(name: string, state: string): Promise<ClusterAnswer> {
    return until(`cluster '${name}' to be ${state}`, async () => {
      const cluster = await this.cluster(name);
      return cluster.selfManaged.state === state && cluster;
    });
  }

  private async processesOf(names: readonly string[]): Promise<readonly ObservedProcess[]> {
    return (await Promise.all(names.map((name) => this.cluster(name)))).flatMap((cluster) => cluster.selfManaged.processes);
  }

  private async validity(): Promise<string> {
    return (await this.stage.api.get<{ state: string }>(`/groups/${this.projectId}/encryptionAtRest/awsKms/status`)).state;
  }

  private async mail(
    what: string,
    count: number,
  ): Promise<{ readonly to: readonly string[]; readonly subject: string; readonly text: string }> {
    const messages = await until(`the mail about the ${what} key`, async () => {
      const caught = this.stage.mails.messages();
      return caught.length >= count && caught;
    });
    if (messages.length !== count) throw new Error(`Expected ${count} mail${count === 1 ? '' : 's'} by now, found ${messages.length}`);
    return messages.at(-1)!;
  }
}

export { ApiCallError };
