// A host with members, a snapshot store and a customer key in the development KMS, for suites of the agent's work on snapshots.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  newObjectId,
  type AgentTaskResult,
  type BackupFailureCode,
  type BackupTask,
  type DeleteSnapshotsTask,
  type KeyAccessSecret,
  type ProcessAccessSecret,
  type ProcessGoal,
  type ProveSnapshotTask,
  type TakeSnapshotTask,
} from '@atrest/contracts';
import { AwsKeyProvider, CallLimiters, sleepFor, type WrappedBlob } from '@atrest/kms';
import { Metrics } from '@atrest/platform-metrics';
import { systemClock } from '@atrest/platform-time';
import {
  FolderObjectStore,
  openEpoch,
  unsealedDataKeys,
  type DataKeyWrapper,
  type EpochKeys,
  type LeaseTimes,
  type ObjectStore,
} from '@atrest/snapshot-store';
import { DevelopmentKms, type Credentials } from '@atrest/testing';
import type { AgentOptions } from '../agent.js';
import { running, writable } from '../test-goals.contract.js';
import { TestHost } from '../test-host.contract.js';
import { folderStore } from './store-settings.js';

/** Leases that a test does not wait for. */
export const QUICK_LEASES: LeaseTimes = { renewMs: 100, expiryMs: 60_000, settleMs: 1 };

type Member = ProcessGoal & { dbPath: string };
type StoreCall = 'put' | 'get' | 'head' | 'list' | 'delete' | 'flush';

/** A store that has something done before each call: it waits, or fails. */
function observed(
  store: ObjectStore,
  before: (call: StoreCall, key: string) => Promise<void>,
  isLocked: (key: string) => boolean,
): ObjectStore {
  return {
    description: store.description,
    put: async (key, body, options) => {
      await before('put', key);
      return store.put(key, body, options);
    },
    get: async (key) => {
      await before('get', key);
      return store.get(key);
    },
    head: async (key) => {
      await before('head', key);
      return store.head(key);
    },
    list: (prefix) => store.list(prefix),
    delete: async (keys) => {
      for (const key of keys) await before('delete', key);
      const refused = keys.filter(isLocked);
      return [
        ...(await store.delete(keys.filter((key) => !refused.includes(key)))),
        ...refused.map((key) => ({ key, reason: 'AccessDenied: the object is locked' })),
      ];
    },
    flush: async () => {
      await before('flush', '');
      return store.flush();
    },
    close: () => store.close(),
  };
}

export class TestBackups {
  readonly projectId = newObjectId();
  readonly epochId = newObjectId();
  readonly host: TestHost;
  readonly kms: DevelopmentKms;
  readonly keyId: string;
  readonly credentials: Credentials;
  goals: Member[] = [];
  /** What the store of the agent does not delete, as under Object Lock. */
  isLocked: (key: string) => boolean = () => false;
  /** Done before each call to the store of the agent. */
  beforeStore: (call: StoreCall, key: string) => Promise<void> | void = () => undefined;

  private constructor(host: TestHost, kms: DevelopmentKms, keyId: string) {
    this.host = host;
    this.kms = kms;
    this.keyId = keyId;
    this.credentials = kms.createAccessKey();
  }

  static async open(): Promise<TestBackups> {
    const host = await TestHost.open();
    const kms = await DevelopmentKms.start({});
    const backups = new TestBackups(host, kms, kms.createKey({ region: 'eu-central-1' }).keyId);
    await mkdir(backups.storeFolder);
    return backups;
  }

  async close(): Promise<void> {
    await this.host.close(this.goals);
    await this.kms.close();
  }

  get storeFolder(): string {
    return join(this.host.folder, 'store');
  }

  options(change: Partial<AgentOptions> = {}): Partial<AgentOptions> {
    const { intervals } = this.host.options();
    return {
      snapshotStore: {
        description: `folder ${this.storeFolder}`,
        open: async () =>
          observed(
            await folderStore(this.storeFolder).open(),
            async (call, key) => this.beforeStore(call, key),
            (key) => this.isLocked(key),
          ),
        threads: 1,
      },
      kms: { aws: { endpoint: this.kms.url } },
      intervals: { ...intervals, holdsMs: 100 },
      storeTimes: { leaseTimes: QUICK_LEASES, graceMs: 0 },
      ...change,
    };
  }

  /** Holds the agent before a call to its store; every time it is made, until it is released. */
  holdStore(matches: (call: StoreCall, key: string) => boolean): { readonly reached: Promise<void>; readonly release: () => void } {
    const [reached, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    this.beforeStore = async (call, key) => {
      if (!matches(call, key)) return;
      reached.resolve();
      await released.promise;
    };
    return { reached: reached.promise, release: () => released.resolve() };
  }

  /** A running replica set with some documents; the agent looks after it. */
  async startSet(
    size: number,
    change: Partial<AgentOptions> = {},
    extraArguments: readonly string[] = [],
    secret?: ProcessAccessSecret,
  ): Promise<Member[]> {
    await this.host.startAgent(this.options(change));
    await this.orderSet(size, extraArguments, secret);
    await this.host.controlPlane.until('the set to be writable', writable(this.goals));
    if (size > 1) await this.secondary();
    return this.goals;
  }

  async orderSet(size: number, extraArguments: readonly string[] = [], secret?: ProcessAccessSecret): Promise<void> {
    const members = await this.host.replicaSet('rs0', size);
    const clusterId = secret?.clusterId ?? members[0]!.clusterId;
    const access = secret === undefined ? {} : { access: { sealed: await this.host.controlPlane.seal(secret) } };
    this.goals = members.map((goal) => ({ ...goal, clusterId, ...access, extraArguments: [...goal.extraArguments, ...extraArguments] }));
    this.host.controlPlane.order(this.goals);
  }

  /** The goals of a running sharded cluster: config servers, two shards and a mongos, of one process each. */
  async shardedGoals(secret?: ProcessAccessSecret): Promise<{ config: Member; shards: Member[]; router: ProcessGoal; all: ProcessGoal[] }> {
    const sets = await Promise.all([
      this.host.replicaSet('cfg', 1, 'config'),
      this.host.replicaSet('s1', 1, 'shard'),
      this.host.replicaSet('s2', 1, 'shard'),
    ]);
    const clusterId = secret?.clusterId ?? newObjectId();
    const access = secret === undefined ? {} : { access: { sealed: await this.host.controlPlane.seal(secret) } };
    const [config, ...shards] = sets.flat().map((goal) => ({ ...goal, clusterId, ...access })) as [Member, ...Member[]];
    const { extraArguments } = this.host.programs;
    const router: ProcessGoal = {
      ...(await this.host.process()),
      clusterId,
      ...access,
      kind: 'mongos',
      dbPath: null,
      // Cache sizes and oplogs mean nothing to a mongos.
      extraArguments: extraArguments.filter((_, at, list) => list[at] === '--setParameter' || list[at - 1] === '--setParameter'),
      router: {
        configDB: `cfg/127.0.0.1:${config.port}`,
        shards: shards.map(({ replicaSet, port }) => ({ name: replicaSet!.name, connection: `${replicaSet!.name}/127.0.0.1:${port}` })),
        leads: true,
      },
    };
    this.goals = [config, ...shards, router as Member];
    return { config, shards, router, all: [config, ...shards, router] };
  }

  async startAgent(change: Partial<AgentOptions> = {}): Promise<void> {
    await this.host.startAgent(this.options(change));
    await this.host.controlPlane.until('its processes to run', running(this.goals));
  }

  get url(): string {
    return `mongodb://${this.goals.map((goal) => `127.0.0.1:${goal.port}`).join(',')}/?replicaSet=rs0`;
  }

  async secondary(): Promise<Member> {
    const isSecondary = (id: string) => (observed: Map<string, { memberState: string | null }>) =>
      observed.get(id)?.memberState === 'SECONDARY';
    const observed = await this.host.controlPlane.until('a secondary', (seen) => this.goals.some((goal) => isSecondary(goal.id)(seen)));
    return this.goals.find((goal) => isSecondary(goal.id)(observed))!;
  }

  async primary(): Promise<Member> {
    const observed = await this.host.controlPlane.until('a primary', (seen) => this.goals.some((goal) => seen.get(goal.id)?.writable));
    return this.goals.find((goal) => observed.get(goal.id)!.writable)!;
  }

  async insert(from: number, count: number, padding = 200): Promise<void> {
    const documents = Array.from({ length: count }, (_, n) => ({ n: from + n, text: 'x'.repeat(padding) }));
    await this.host
      .client(this.url)
      .db('shop')
      .collection('orders')
      .insertMany(documents, { writeConcern: { w: 'majority' } });
  }

  access(): Extract<KeyAccessSecret['access'], { provider: 'AWS' }> {
    const { accessKeyId, secretAccessKey } = this.credentials;
    return { provider: 'AWS', keyId: this.keyId, region: 'EU_CENTRAL_1', accessKeyId, secretAccessKey };
  }

  /** With access to the customer key for this task, unless something else is asked for. */
  async #withAccess<Task extends BackupTask>(task: Task, secret: Partial<KeyAccessSecret> = {}): Promise<Task> {
    if (task.encryptionKeyId === null || task.keyAccess !== null) return task;
    const { id: taskId, projectId, encryptionKeyId } = task;
    return {
      ...task,
      keyAccess: await this.host.controlPlane.seal({ taskId, projectId, encryptionKeyId, access: this.access(), ...secret }),
    };
  }

  #common() {
    const [member] = this.goals;
    return {
      id: newObjectId(),
      projectId: this.projectId,
      clusterId: member!.clusterId,
      epochId: this.epochId,
      encryptionKeyId: this.keyId,
      keyAccess: null,
    };
  }

  async takeTask(
    member: ProcessGoal,
    change: Partial<TakeSnapshotTask> = {},
    secret: Partial<KeyAccessSecret> = {},
  ): Promise<TakeSnapshotTask> {
    const task: TakeSnapshotTask = {
      ...this.#common(),
      kind: 'take-snapshot',
      processId: member.id,
      clusterName: 'shop',
      snapshotId: newObjectId(),
      parentSnapshotId: null,
      methods: ['backupCursor', 'fsyncLock'],
      readLimit: null,
      uploadLimit: null,
      maxFiles: 100_000,
      proofBlocks: 20,
      labels: { clusterName: 'shop' },
      ...change,
    };
    return this.#withAccess(task, secret);
  }

  async proveTask(snapshotId: string, change: Partial<ProveSnapshotTask> = {}): Promise<ProveSnapshotTask> {
    return this.#withAccess({ ...this.#common(), kind: 'prove-snapshot', snapshotId, share: 1, proofBlocks: 20, ...change });
  }

  async deleteTask(snapshotIds: string[], change: Partial<DeleteSnapshotsTask> = {}): Promise<DeleteSnapshotsTask> {
    return this.#withAccess({ ...this.#common(), kind: 'delete-snapshots', snapshotIds, ...change });
  }

  async result(task: BackupTask): Promise<AgentTaskResult> {
    this.host.controlPlane.giveTask(task);
    return this.host.controlPlane.resultOf(task.id);
  }

  async failureOf(task: BackupTask): Promise<{ code: BackupFailureCode; detail: string }> {
    const { outcome, failure } = await this.result(task);
    if (outcome !== 'failed' || failure === undefined) throw new Error(`the task did not fail: ${outcome}`);
    return failure;
  }

  async openStore(): Promise<ObjectStore> {
    return FolderObjectStore.open(this.storeFolder, new Date());
  }

  /** What lies in the store below the epoch, without the leases of who works there. */
  async stored(part = ''): Promise<string[]> {
    const store = await this.openStore();
    const keys: string[] = [];
    for await (const { key } of store.list(`epochs/${this.epochId}/${part}`)) keys.push(key);
    return keys.sort();
  }

  /** The keys of the epoch, with the customer key. */
  async keys(epochId = this.epochId): Promise<EpochKeys> {
    const store = await this.openStore();
    const { access } = { access: this.access() };
    const limiters = new CallLimiters({ clock: systemClock, sleep: sleepFor, quotaOf: () => 1_000 });
    const provider = new AwsKeyProvider(
      { keyId: access.keyId, region: 'EU_CENTRAL_1', accessKeyId: access.accessKeyId, secretAccessKey: access.secretAccessKey },
      { limiters, metrics: new Metrics({ defaultMetrics: false }), endpoint: this.kms.url },
    );
    try {
      const wrapper: DataKeyWrapper<WrappedBlob> = provider;
      return (await openEpoch(store, epochId, wrapper)).keys;
    } finally {
      provider.close();
    }
  }

  async unsealedKeys(epochId = this.epochId): Promise<EpochKeys> {
    return (await openEpoch(await this.openStore(), epochId, unsealedDataKeys)).keys;
  }

  /** What holds a member for a backup by its own account: an open cursor, or how often its writes are locked. */
  async holdsOf(member: ProcessGoal): Promise<{ cursors: number; locked: boolean }> {
    const admin = this.host.client(`mongodb://127.0.0.1:${member.port}/?directConnection=true`).db('admin');
    const pipeline = [{ $currentOp: { idleCursors: true, allUsers: true } }, { $match: { type: 'idleCursor' } }];
    const { cursor } = await admin.command({ aggregate: 1, pipeline, cursor: {} });
    const cursors = (cursor.firstBatch as { cursor?: { originatingCommand?: { pipeline?: object[] } } }[]).filter(
      (each) => '$backupCursor' in (each.cursor?.originatingCommand?.pipeline?.[0] ?? {}),
    ).length;
    return { cursors, locked: (await admin.command({ currentOp: 1 }))['fsyncLock'] === true };
  }
}

export const NOT_HELD = { cursors: 0, locked: false };
