import type { BackupJob, ProcessObservation } from '@atrest/contracts';
import { describe, expect, it } from 'vitest';
import type { ClusterProcess } from '../clusters/cluster-view.js';
import { after, id, observation, processView, START } from '../test-support/process-views.contract.js';
import { chooseParts, chooseSource, chooseWorker, type BackupHost, type Choice, type PartsChoice } from './choose-source.js';

const KEY = { kty: 'OKP', crv: 'X25519', x: 'k'.repeat(43) } as const;
type TakeSnapshot = Extract<BackupJob, { kind: 'take-snapshot' }>;

const job = (change: Partial<TakeSnapshot> = {}): TakeSnapshot => ({
  id: id(),
  projectId: id(),
  clusterId: id(),
  epochId: id(),
  provider: 'AWS',
  encryptionKeyId: 'arn:key',
  orderedAt: START.toISOString(),
  kind: 'take-snapshot',
  snapshotId: id(),
  source: { kind: 'secondary' },
  preferredMember: null,
  parentSnapshotId: null,
  methods: ['backupCursor'],
  maxFiles: 100,
  proofBlocks: 3,
  labels: {},
  ...change,
});

const member = (hostname: string, memberState: string, change: Partial<ClusterProcess> = {}, seen: Partial<ProcessObservation> = {}) => {
  const own = id();
  return processView('mongod', { id: own, hostname, observation: observation(own, { memberState, ...seen }), ...change });
};
const hostOf = (process: ClusterProcess, change: Partial<BackupHost> = {}): BackupHost => ({
  id: process.hostId,
  hostname: process.hostname,
  lastHeardAt: START,
  snapshotStore: 's3://snapshots',
  sealingKey: KEY,
  busy: 0,
  ...change,
});
const hostsOf = (processes: readonly ClusterProcess[], change: Partial<BackupHost> = {}) =>
  new Map(processes.map((process) => [process.hostId, hostOf(process, change)]));
const choose = (processes: readonly ClusterProcess[], change: Partial<TakeSnapshot> = {}, hosts = hostsOf(processes)): Choice =>
  chooseSource(job(change), { name: 'orders', processes }, hosts, START);
const chosen = (choice: Choice) => (choice.kind === 'chosen' ? (choice.host.source?.member ?? choice.host.hostname) : choice.failure.code);
const detail = (choice: Choice) => (choice.kind === 'none' ? choice.failure.detail : '');

describe('the member that is copied', () => {
  const set = () => [member('a.example', 'PRIMARY'), member('b.example', 'SECONDARY'), member('c.example', 'SECONDARY')];

  it('is a secondary: the one copied last, then the lowest priority, then the name', () => {
    expect(chosen(choose(set()))).toBe('b.example:27017');
    const [a, b, c] = set();
    expect(chosen(choose([a!, { ...b!, priority: 2 }, c!]))).toBe('c.example:27017');
    expect(chosen(choose([a!, b!, c!], { preferredMember: 'c.example:27017' }))).toBe('c.example:27017');
    expect(chosen(choose([a!, b!, c!], { preferredMember: 'a.example:27017' }))).toBe('b.example:27017');
    expect(chosen(choose([a!, b!, c!], { avoidMember: 'b.example:27017' }))).toBe('c.example:27017');
    expect(chosen(choose([a!, b!], { avoidMember: 'b.example:27017' }))).toBe('b.example:27017');
  });

  it('is the primary, or the member by its name, where that was asked for', () => {
    expect(chosen(choose(set(), { source: { kind: 'primary' } }))).toBe('a.example:27017');
    for (const name of ['a.example:27017', 'c.example:27017']) {
      expect(chosen(choose(set(), { source: { kind: 'member', member: name } }))).toBe(name);
    }
    const other = choose(set(), { source: { kind: 'member', member: 'z.example:1' } });
    expect([chosen(other), detail(other)]).toEqual(['NO_SOURCE', expect.stringContaining('z.example:1')]);
  });

  it('is the only one of a set of one', () => {
    expect(chosen(choose([member('a.example', 'PRIMARY')]))).toBe('a.example:27017');
  });

  it.each<[string, ClusterProcess]>([
    ['an arbiter', member('b.example', 'ARBITER', { arbiterOnly: true })],
    ['on a silent host', member('b.example', 'SECONDARY', { hostHeardAt: after(-31_000) })],
    ['on a host that was given up', member('b.example', 'SECONDARY', { lost: true })],
    ['joining', member('b.example', 'SECONDARY', { joining: true })],
    ['leaving', member('b.example', 'SECONDARY', { leaving: true })],
    ['ordered to stop', member('b.example', 'SECONDARY', { desired: 'stopped' })],
    ['still syncing', member('b.example', 'STARTUP2')],
    ['rolling back', member('b.example', 'ROLLBACK')],
    ['failed', member('b.example', 'SECONDARY', {}, { status: 'failed' })],
    ['never seen', member('b.example', 'SECONDARY', { observation: null })],
  ])('F44 is none that is %s, and the failure says why', (_name, unfit) => {
    const processes = [member('a.example', 'PRIMARY'), member('d.example', 'PRIMARY'), unfit];
    const choice = choose(processes);
    expect(chosen(choice)).toBe('NO_SOURCE');
    if (!unfit.arbiterOnly) expect(detail(choice)).toContain('b.example:27017 is');
    const sound = member('c.example', 'SECONDARY');
    expect(chosen(choose([...processes, sound]))).toBe('c.example:27017');
  });

  it('F48 is one that nobody holds, while there is one', () => {
    const held = { heldForBackup: { kind: 'fsyncLock', since: START.toISOString(), taskId: null } } as const;
    const locked = member('b.example', 'SECONDARY', {}, held);
    expect(chosen(choose([locked, member('c.example', 'SECONDARY')]))).toBe('c.example:27017');
    expect(chosen(choose([locked, member('a.example', 'PRIMARY')]))).toBe('b.example:27017');
  });

  it('is on a host with a snapshot store, and with a key to seal for where one is needed; the failure says what to set', () => {
    const processes = set();
    const [, b, c] = processes;
    const only = new Map([[c!.hostId, hostOf(c!)]]);
    expect(chosen(choose(processes, {}, only))).toBe('c.example:27017');
    const without = choose(processes, {}, hostsOf(processes, { snapshotStore: null }));
    expect(chosen(without)).toBe('NO_SNAPSHOT_STORE');
    expect(detail(without)).toMatch(/snapshotStore.*b\.example, c\.example/);
    const keyless = hostsOf([b!], { sealingKey: null });
    expect(chosen(choose(processes, {}, keyless))).toBe('NO_SNAPSHOT_STORE');
    expect(chosen(choose(processes, { provider: 'NONE', encryptionKeyId: null }, keyless))).toBe('b.example:27017');
  });
});

describe('the host that works on snapshots that exist', () => {
  const remove = (): BackupJob => ({ ...job(), kind: 'delete-snapshots', snapshotIds: [] }) as BackupJob;
  const host = (hostname: string, change: Partial<BackupHost> = {}) => hostOf(member(hostname, 'SECONDARY'), { hostname, ...change });
  const work = (hosts: readonly BackupHost[], last: BackupHost | null, ofCluster: readonly BackupHost[] = []): Choice =>
    chooseWorker(remove(), hosts, { last: last && { hostId: last.id }, ofCluster: new Set(ofCluster.map((each) => each.id)) }, START);

  it('is the one of the last snapshot, then one with the same store, then one of the cluster, then the least busy', () => {
    const last = host('d.example', { snapshotStore: 's3://one' });
    const same = host('c.example', { snapshotStore: 's3://one' });
    const own = host('b.example', { snapshotStore: 's3://two' });
    const other = host('a.example', { snapshotStore: 's3://two' });
    const silent = { lastHeardAt: after(-31_000) };
    expect(chosen(work([other, own, same, last], last, [own]))).toBe('d.example');
    expect(chosen(work([other, own, same, { ...last, ...silent }], last, [own]))).toBe('c.example');
    expect(chosen(work([other, own], last, [own]))).toBe('b.example');
    expect(chosen(work([{ ...other, busy: 1 }, own], null))).toBe('b.example');
    expect(chosen(work([other, own], null))).toBe('a.example');
  });

  it('is none without a store or without an agent that is heard of, and the failure says which', () => {
    expect(work([host('a.example', { snapshotStore: null })], null)).toMatchObject({ failure: { code: 'NO_SNAPSHOT_STORE' } });
    const silent = work([host('a.example', { lastHeardAt: after(-31_000) })], null);
    expect(silent).toMatchObject({ failure: { code: 'NO_SOURCE', detail: expect.stringContaining('a.example') } });
  });
});

describe('the members of a sharded cluster', () => {
  const cluster = () => {
    const config = member('a.example', 'PRIMARY', { kind: 'config', replicaSet: 'cfg' });
    const shards = ['s1', 's2'].flatMap((replicaSet) => [
      member('a.example', 'PRIMARY', { replicaSet }),
      member('b.example', 'SECONDARY', { replicaSet }),
    ]);
    const own = id();
    const router = processView('mongos', {
      id: own,
      hostname: 'r.example',
      replicaSet: null,
      observation: observation(own, { writable: true }),
    });
    return { all: [config, ...shards, router], config, shards, router };
  };
  const parts = (processes: readonly ClusterProcess[], change: Partial<TakeSnapshot> = {}) =>
    chooseParts(job(change), { name: 'orders', processes }, hostsOf(processes), START);

  it('are one of each replica set: of the config servers and of every shard', () => {
    const choice = parts(cluster().all, { parentParts: [{ replicaSet: 's1', snapshotId: id(), member: 'b.example:27017' }] });
    if (choice.kind === 'none') throw new Error(choice.failure.detail);
    expect(choice.parts.map(({ replicaSet, role, host }) => [replicaSet, role, host.source?.member, host.source?.clusterName])).toEqual([
      ['cfg', 'config', 'a.example:27017', 'orders'],
      ['s1', 'shard', 'b.example:27017', 'orders'],
      ['s2', 'shard', 'b.example:27017', 'orders'],
    ]);
  });

  it('are none while one of the sets has none, no mongos runs, or the method cannot be extended to one moment', () => {
    const { all, shards, router } = cluster();
    const code = (choice: PartsChoice) => (choice.kind === 'none' ? [choice.failure.code, choice.failure.detail] : 'chosen');
    const without = all.filter((process) => process !== shards[3]);
    const down = { ...shards[3]!, observation: observation(shards[3]!.id, { status: 'stopped' }) };
    expect(code(parts([...without, down]))).toEqual(['NO_SOURCE', expect.stringContaining('replica set s2')]);
    expect(code(parts(all.filter((process) => process !== router)))).toEqual(['NO_SOURCE', expect.stringContaining('mongos')]);
    expect(code(parts(all, { methods: ['fsyncLock'] }))).toEqual(['NO_METHOD', expect.stringContaining('$backupCursor')]);
  });
});
