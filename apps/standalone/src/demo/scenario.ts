import type { CaughtMail } from '@atrest/testing';
import type { SnapshotView } from '@atrest/contracts';
import type { Customer, ProcessAnswer } from './customer.js';
import type { Report } from './report.js';

const OWNERS = ['mara@example.com', 'jonas@example.com'];
const ENCRYPTED = ['orders', 'carts'];
const ALL = [...ENCRYPTED, 'press'];
const DOCUMENTS = 100;

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

function size(bytes: number | null): string {
  const kibibytes = (bytes ?? 0) / 1_024;
  return kibibytes < 1_024 ? `${kibibytes.toFixed(0)} KiB` : `${(kibibytes / 1_024).toFixed(1)} MiB`;
}

const isNotRestorable = ({ selfManaged }: SnapshotView): boolean => selfManaged.restorable.kind !== 'YES';

/** The main job, step by step, as a customer sees it. Throws when anything is not as it should be. */
export class Scenario {
  constructor(
    private readonly customer: Customer,
    private readonly report: Report,
  ) {}

  async run(): Promise<void> {
    this.report.title('A project brings a key');
    const keyId = await this.bringKey();
    this.report.title('Clusters run under an agent');
    const uri = await this.createClusters();
    this.report.title('A snapshot is taken, encrypted under the key');
    const snapshotId = await this.takeSnapshot();
    this.report.title('The key is disabled in the KMS');
    await this.disable(keyId, snapshotId);
    this.report.title('The key is enabled again');
    await this.enable(keyId, uri, snapshotId);
  }

  private async bringKey(): Promise<string> {
    await this.customer.createProject('Web shop', OWNERS);
    this.report.step(`project 'Web shop' with the owners ${OWNERS.join(' and ')}`);
    const keyId = await this.customer.bringKey();
    this.report.step(`the customer made the key ${keyId} in its KMS`);
    this.report.step('encryption at rest is configured; the key was proven by wrap and unwrap before anything was stored');
    return keyId;
  }

  private async createClusters(): Promise<string> {
    const { customer } = this;
    await customer.createCluster('orders', 3, 'AWS', true);
    await customer.createCluster('carts', 1, 'AWS');
    await customer.createCluster('press', 1, 'NONE');
    await Promise.all(ALL.map((name) => customer.untilState(name, 'IDLE')));
    this.report.step("three clusters are up: 'orders' (three members) and 'carts' use the key, 'press' does not");
    const uri = await customer.connectionString('orders');
    await customer.write(uri, 'before', DOCUMENTS);
    this.report.step(`${DOCUMENTS} documents written to 'orders', acknowledged by a majority`);
    if (await customer.isOpen(uri)) throw new Error("'orders' is read without a login");
    this.report.step('nobody reads them without a login: the members have a key file, the customer a user, the agents one of their own');
    return uri;
  }

  private async takeSnapshot(): Promise<string> {
    const { customer, report } = this;
    const id = await customer.askForSnapshot('orders');
    report.moment('snapshot asked for', "a snapshot of 'orders' is asked for; its members run on");
    const snapshot = await customer.untilSnapshot('orders', id, 'completed', ({ status }) => status === 'completed');
    const { files, bytes, storedBytes, member, method, encryptionKeyId, proof } = snapshot.selfManaged;
    if (proof === null) throw new Error('The snapshot is completed, but was not proven');
    report.moment('snapshot completed', `completed: ${files} files of ${member} copied by ${method}`, 'snapshot asked for');
    report.detail(
      [
        `Encryption Key ID: ${encryptionKeyId}`,
        `masterKeyUUID:     ${snapshot.masterKeyUUID}`,
        `size:              ${size(bytes)}, ${size(storedBytes)} stored: encrypted on the host, before a byte left it`,
      ].join('\n'),
    );
    const { blocksRead, blocksSampled } = proof;
    report.step(
      `proof: read back from the store and authenticated (${blocksRead} blocks); ${blocksSampled} samples do not open without the key, and do with it`,
    );
    const why = await customer.whyNotDelete(encryptionKeyId);
    if (why === null) throw new Error('The key could be deleted, although clusters and a snapshot need it');
    report.step('may the key be deleted? The API answers 409:');
    report.detail(why.replaceAll('. ', '.\n'));
    return id;
  }

  private async disable(keyId: string, snapshotId: string): Promise<void> {
    const { customer, report } = this;
    const running = await this.processes();
    await customer.disableKey(keyId);
    report.moment('KMS change', 'KMS change: the key is disabled');

    await customer.untilValidity('INVALID');
    report.moment('detected', 'detected: three checks, the confirmations each on a fresh client, got DisabledException', 'KMS change');

    const [mail] = await Promise.all([this.firstMail(), this.stopped(running)]);
    report.detail(`to:      ${mail.recipients.join(', ')}\nsubject: ${mail.subject}`);

    const press = await customer.cluster('press');
    if (press.selfManaged.state !== 'IDLE') throw new Error(`'press' does not use the key, but is ${press.selfManaged.state}`);
    const { disabledReason } = (await customer.cluster('orders')).selfManaged;
    report.step(`the API says why 'orders' is disabled: ${disabledReason?.detail ?? 'no reason given'}`);
    report.step("'press' runs on: it does not use the key");
    const { restorable } = (await customer.untilSnapshot('orders', snapshotId, 'not restorable', isNotRestorable)).selfManaged;
    report.step(`the snapshot is kept, but cannot be restored now: ${restorable.kind === 'YES' ? '' : restorable.reason}`);
  }

  private async stopped(running: readonly ProcessAnswer[]): Promise<void> {
    await Promise.all(ENCRYPTED.map((name) => this.customer.untilState(name, 'DISABLED')));
    const alive = running.filter(({ pid }) => pid !== null && isAlive(pid));
    if (alive.length > 0) throw new Error(`DISABLED, but still running: ports ${alive.map(({ port }) => port).join(', ')}`);
    this.report.moment('stopped', `stopped: all ${running.length} mongod of 'orders' and 'carts' are gone`, 'detected');
  }

  private async firstMail(): Promise<CaughtMail> {
    const mail = await this.customer.untilMails(1);
    this.expectMail(mail, ENCRYPTED);
    this.report.moment('mail', 'mail: one message to both Project Owners lists every affected cluster', 'detected');
    return mail;
  }

  private async enable(keyId: string, uri: string, snapshotId: string): Promise<void> {
    const { customer, report } = this;
    await customer.enableKey(keyId);
    report.moment('KMS restored', 'KMS change: the key is enabled');
    await customer.untilValidity('VALID');
    report.moment('valid', 'valid: the canary was unwrapped', 'KMS restored');
    await customer.write(uri, 'after', 1);
    report.moment('writable', "writable: a majority of 'orders' acknowledged a write", 'valid');
    await Promise.all(ENCRYPTED.map((name) => customer.untilState(name, 'IDLE')));
    const mail = await customer.untilMails(2);
    report.moment('second mail', 'mail: a second message says that everything starts again', 'valid');
    report.detail(`subject: ${mail.subject}`);
    const found = await customer.count(uri, 'before');
    if (found !== DOCUMENTS) throw new Error(`Expected the ${DOCUMENTS} documents written before the stop, found ${found}`);
    report.step(`all ${DOCUMENTS} documents written before the stop are there`);
    await customer.untilSnapshot('orders', snapshotId, 'restorable', (snapshot) => !isNotRestorable(snapshot));
    report.step('the snapshot can be restored again');
  }

  private async processes(): Promise<readonly ProcessAnswer[]> {
    return (await Promise.all(ENCRYPTED.map((name) => this.customer.cluster(name)))).flatMap(({ selfManaged }) => selfManaged.processes);
  }

  private expectMail(mail: CaughtMail, clusters: readonly string[]): void {
    for (const owner of OWNERS) if (!mail.recipients.includes(owner)) throw new Error(`The mail does not go to ${owner}`);
    for (const name of clusters) if (!mail.text.includes(name)) throw new Error(`The mail does not name the cluster '${name}'`);
  }
}
