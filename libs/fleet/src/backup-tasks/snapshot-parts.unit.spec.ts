import type { BackupProgress, SnapshotTaken } from '@atrest/contracts';
import { describe, expect, it } from 'vitest';
import { done } from '../test-support/backup-stage.contract.js';
import { after, id, START } from '../test-support/process-views.contract.js';
import type { BackupTask } from './backup-task.js';
import { cutOf, factOfParts, partStates, progressOfParts, tasksOfParts } from './snapshot-parts.js';

const host = (hostname: string) => ({
  hostId: id(),
  hostname,
  sealingKey: null,
  source: { processId: id(), member: `${hostname}:1`, clusterName: 'orders' },
});
const job = {
  id: id(),
  projectId: id(),
  clusterId: id(),
  epochId: id(),
  provider: 'NONE',
  encryptionKeyId: null,
  orderedAt: START.toISOString(),
  kind: 'take-snapshot',
  snapshotId: id(),
  source: { kind: 'secondary' },
  preferredMember: null,
  parentSnapshotId: id(),
  parentParts: [{ replicaSet: 's1', snapshotId: id(), member: 'b:1' }],
  methods: ['backupCursor', 'fsyncLock'],
  maxFiles: 100,
  proofBlocks: 3,
  labels: { clusterName: 'orders' },
} as const;
const made = () =>
  tasksOfParts(
    { ...job, source: job.source, methods: [...job.methods], parentParts: [...job.parentParts] },
    [
      { replicaSet: 'cfg', role: 'config', host: host('a') },
      { replicaSet: 's1', role: 'shard', host: host('b') },
      { replicaSet: 's2', role: 'shard', host: host('c') },
    ],
    START,
  );
const at = (seconds: number, increment = 1) => ({ seconds, increment, term: 1 });
const cut = { ...at(20), term: null };
const progress = (change: Partial<BackupProgress> = {}): BackupProgress => ({
  phase: 'copying',
  files: 1,
  filesTotal: 4,
  bytes: 100,
  bytesTotal: 400,
  storedBytes: 50,
  bytesPerSecond: null,
  secondsLeft: null,
  at: START.toISOString(),
  ...change,
});
const tasks = (...changes: Partial<BackupTask>[]): BackupTask[] => made().parts.map(({ task }, index) => ({ ...task, ...changes[index] }));
const taken = (change: Partial<SnapshotTaken> = {}): Partial<BackupTask> => {
  const result = done(id());
  return { status: 'DONE', finishedAt: START, result: { taken: { ...result.taken!, cut, ...change }, proof: result.proof! } };
};
const failedAt = (ms: number, code: 'STORE_FULL' | 'CANCELLED'): Partial<BackupTask> => ({
  status: 'FAILED',
  finishedAt: after(ms),
  failure: { code, detail: code },
});
const shards = ['s1', 's2'].map((replicaSet) => ({ name: replicaSet, replicaSet }));

describe('the parts of one snapshot', () => {
  it('have an id, a host and a parent of their own, are copied by a cursor, and say what they are a part of', () => {
    const { whole, parts } = made();
    expect(whole).toMatchObject({ id: job.id, status: 'OPEN', hostId: null, member: null, group: null });
    expect(
      new Set([
        whole.id,
        job.snapshotId,
        ...parts.flatMap(({ task }) => [task.id, task.job.kind === 'take-snapshot' && task.job.snapshotId]),
      ]).size,
    ).toBe(8);
    expect(parts.map(({ task }) => task.job)).toMatchObject([
      { parentSnapshotId: null, methods: ['backupCursor'] },
      {
        parentSnapshotId: job.parentParts[0].snapshotId,
        labels: { clusterName: 'orders', replicaSet: 's1', partOf: job.snapshotId, parts: 3 },
      },
      {},
    ]);
    expect(partStates(parts.map(({ task }) => task)).map(({ replicaSet, role, member }) => [replicaSet, role, member])).toEqual([
      ['cfg', 'config', 'a:1'],
      ['s1', 'shard', 'b:1'],
      ['s2', 'shard', 'c:1'],
    ]);
  });

  it('are cut at the latest end of their oplogs, once, when all hold', () => {
    const { whole } = made();
    const holds = (seconds: number, increment: number) => ({ progress: progress({ phase: 'holding', oplogEnd: at(seconds, increment) }) });
    expect(cutOf(whole, tasks(holds(10, 1), holds(20, 1)))).toBeNull();
    expect(cutOf(whole, tasks(holds(10, 9), holds(20, 1), { progress: progress() }))).toBeNull();
    expect(cutOf(whole, tasks(holds(10, 9), holds(20, 1), holds(20, 3)))).toEqual({ seconds: 20, increment: 3, term: null });
    expect(cutOf({ ...whole, cut }, tasks(holds(10, 9), holds(20, 1), holds(20, 3)))).toBeNull();
    expect(cutOf({ ...whole, status: 'CANCELLING' }, tasks(holds(10, 9), holds(20, 1), holds(20, 3)))).toBeNull();
  });

  it('are done together: with the sums of all, the moment of the cut and the oldest proof', () => {
    const whole = { ...made().whole, cut };
    expect(factOfParts(whole, tasks(taken({ shards }), taken()))).toBeNull();
    const fact = factOfParts(whole, tasks(taken({ shards }), taken(), taken({ durationMs: 9_000 })));
    expect(fact).toMatchObject({
      kind: 'done',
      result: {
        taken: { optime: cut, cut, shards, files: 30, bytes: 3_000, durationMs: 9_000, topology: { replicaSet: null } },
        proof: { blocksRead: 24 },
      },
    });
  });

  it('are no snapshot when one was cut elsewhere, says nothing, or a shard was left out', () => {
    const whole = { ...made().whole, cut };
    const code = (...parts: Partial<BackupTask>[]) => {
      const fact = factOfParts(whole, tasks(...parts));
      return fact?.kind === 'failed' ? fact.failure.code : fact?.kind;
    };
    expect(code(taken({ shards }), taken(), taken({ cut: at(21) }))).toBe('NOT_CUT');
    expect(code(taken({ shards }), taken(), { ...taken(), result: null })).toBe('INTERNAL');
    expect(code(taken({ shards: [...shards, { name: 's3', replicaSet: 's3' }] }), taken(), taken())).toBe('NO_SOURCE');
  });

  it('fail together: the first failure ends the others, and is told when all have ended', () => {
    const { whole } = made();
    const reason = { code: 'STORE_FULL', detail: 'Replica set s1: STORE_FULL' } as const;
    expect(factOfParts(whole, tasks({}, failedAt(1, 'STORE_FULL')))).toEqual({ kind: 'cancelled', reason });
    const ending = { ...whole, status: 'CANCELLING' as const, reason };
    expect(factOfParts(ending, tasks({}, failedAt(1, 'STORE_FULL')))).toBeNull();
    const all = tasks(failedAt(2, 'CANCELLED'), failedAt(1, 'STORE_FULL'), taken());
    expect(factOfParts(ending, all)).toMatchObject({ kind: 'failed', failure: { code: 'CANCELLED' } });
    expect(factOfParts(whole, all)).toEqual({ kind: 'failed', failure: reason });
  });

  it('are as far as the one that is behind', () => {
    expect(progressOfParts(tasks(), START)).toBeNull();
    expect(progressOfParts(tasks({ progress: progress() }), START)).toMatchObject({ phase: 'preparing', bytes: 100 });
    const rates = { bytesPerSecond: 10, secondsLeft: 30 };
    const parts = tasks(
      { progress: progress({ phase: 'proving' }) },
      { progress: progress(rates) },
      { progress: progress({ ...rates, secondsLeft: 5 }) },
    );
    expect(progressOfParts(parts, START)).toMatchObject({
      phase: 'copying',
      bytes: 300,
      bytesTotal: 1_200,
      bytesPerSecond: 20,
      secondsLeft: 30,
    });
  });
});
