import type { AgentTaskResult, BackupJob } from '@atrest/contracts';
import { describe, expect, it } from 'vitest';
import { after, id, START } from '../test-support/process-views.contract.js';
import {
  backupTaskTransitions,
  decide,
  factOf,
  failedTaskFor,
  forAgent,
  isFinished,
  overdue,
  SILENT_AFTER_MS,
  stateOf,
  taskFor,
  UNFINISHED,
  type BackupTask,
  type BackupTaskFact,
} from './backup-task.js';

const KEY = { kty: 'OKP', crv: 'X25519', x: 'k'.repeat(43) } as const;
const OTHER_KEY = { ...KEY, x: 'o'.repeat(43) };
const SEALED = 'a..b.c.d';

const job = (change: Partial<Extract<BackupJob, { kind: 'take-snapshot' }>> = {}): BackupJob => ({
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

const host = {
  hostId: id(),
  hostname: 'a.example',
  sealingKey: KEY,
  source: { processId: id(), member: 'a.example:1', clusterName: 'orders' },
};
const waiting = (): BackupTask => taskFor(job(), host, START).task;
const moved = (task: BackupTask, fact: BackupTaskFact): BackupTask => {
  const decision = decide(task, fact, after(1_000));
  if (decision.outcome === 'ignored') throw new Error(`${task.status} ignores ${fact.kind}`);
  return decision.task;
};
const open = (): BackupTask => ({ ...moved(waiting(), { kind: 'key-granted', keyAccess: SEALED }), toldAt: START });
const cancelling = (): BackupTask => moved(open(), { kind: 'cancelled', reason: { code: 'CLUSTER_DISABLED', detail: 'It is disabled.' } });
const failure = { code: 'STORE_FULL', detail: 'The store is full.' } as const;
const proof = { provenAt: START.toISOString(), blocksSampled: 1, blocksRead: 1, bytesRead: 1 };

const FACTS: readonly BackupTaskFact[] = [
  { kind: 'key-granted', keyAccess: SEALED },
  { kind: 'key-waived' },
  { kind: 'key-refused', failure },
  { kind: 'key-lost', sealingKey: OTHER_KEY },
  { kind: 'withdrawn', reason: failure },
  { kind: 'cancelled', reason: failure },
  { kind: 'done', result: { proof } },
  { kind: 'failed', failure },
  { kind: 'overdue', failure },
];

describe('a backup task', () => {
  it('waits for its key when it needs one, and is open at once when it does not', () => {
    expect(taskFor(job(), host, START)).toMatchObject({ event: 'key-requested', task: { status: 'WAITING_FOR_KEY', sealingKey: KEY } });
    const plain = taskFor(job({ provider: 'NONE', encryptionKeyId: null }), host, START);
    expect(plain).toMatchObject({ event: 'assigned', task: { status: 'OPEN', sealingKey: null, keyAccess: null } });
    expect(failedTaskFor(job(), failure, START)).toMatchObject({
      event: 'finished',
      task: { status: 'FAILED', failure, finishedAt: START },
    });
  });

  it('ends once: what is DONE or FAILED stays so, whatever is said of it', () => {
    for (const fact of FACTS) {
      for (const status of ['DONE', 'FAILED'] as const) expect(decide({ ...open(), status }, fact, START)).toEqual({ outcome: 'ignored' });
    }
  });

  it('moves by the table, grows a revision with each move, and keeps no access to a key once it has ended', () => {
    const tasks = { WAITING_FOR_KEY: waiting(), OPEN: open(), CANCELLING: cancelling() };
    const seen = new Set<string>();
    for (const status of UNFINISHED) {
      for (const fact of FACTS) {
        const decision = decide(tasks[status], fact, after(2_000));
        const row = backupTaskTransitions.find(({ from, on }) => from === status && on === fact.kind);
        if (decision.outcome === 'ignored') {
          expect(row).toBeUndefined();
          continue;
        }
        seen.add(`${status} ${fact.kind}`);
        expect(row).toMatchObject({ to: decision.task.status, event: decision.event });
        expect(decision.task.revision).toBe(tasks[status].revision + 1);
        expect(decision.task.toldAt).toBeNull();
        if (!isFinished(decision.task.status)) continue;
        expect(decision.task).toMatchObject({ keyAccess: null, finishedAt: after(2_000) });
        expect(decision.task.failure !== null || decision.task.result !== null).toBe(true);
      }
    }
    expect(seen.size).toBe(backupTaskTransitions.length);
  });

  it('begins anew with another key when the host has another, and forgets how far it was', () => {
    const worked: BackupTask = { ...open(), namedAt: START, progress: { ...stateOf(open(), START).progress! } };
    expect(moved(worked, { kind: 'key-lost', sealingKey: OTHER_KEY })).toMatchObject({
      status: 'WAITING_FOR_KEY',
      sealingKey: OTHER_KEY,
      keyAccess: null,
      namedAt: null,
      progress: null,
    });
  });

  it('F54 ends for the reason it was cancelled for, with what went wrong beside; a result that was faster counts', () => {
    const asked = moved(cancelling(), { kind: 'failed', failure: { code: 'CANCELLED', detail: 'Ended.' } });
    expect(asked.failure).toEqual({ code: 'CLUSTER_DISABLED', detail: 'It is disabled.' });
    const broken = moved(cancelling(), { kind: 'failed', failure });
    expect(broken.failure).toEqual({ code: 'CLUSTER_DISABLED', detail: 'It is disabled. The store is full.' });
    expect(moved(cancelling(), { kind: 'done', result: { proof } })).toMatchObject({ status: 'DONE', failure: null });
  });

  it('tells what its key is to be sealed for while it waits for it only', () => {
    expect(stateOf(waiting(), START).hostSealingKey).toEqual(KEY);
    for (const task of [open(), cancelling()]) expect(stateOf(task, START).hostSealingKey).toBeNull();
    expect(JSON.stringify(stateOf(open(), START))).not.toContain(SEALED);
  });

  it('is given to its agent with everything that the agent needs', () => {
    const task = open();
    expect(forAgent(task, 'orders')).toMatchObject({
      id: task.id,
      kind: 'take-snapshot',
      keyAccess: SEALED,
      clusterName: 'orders',
      readLimit: null,
    });
  });
});

describe('a result', () => {
  const result = (change: Partial<AgentTaskResult>): AgentTaskResult => ({
    taskId: id(),
    outcome: 'done',
    error: null,
    lines: null,
    ...change,
  });

  it('counts as done only with what the kind of work brings', () => {
    const prove = { ...open(), job: { ...job(), kind: 'prove-snapshot', share: 1 } as BackupJob };
    const remove = { ...open(), job: { ...job(), kind: 'delete-snapshots', snapshotIds: [] } as BackupJob };
    expect(factOf(prove, result({ proof }))).toEqual({ kind: 'done', result: { proof } });
    const deletion = { deleted: [], refused: [], freedBytes: null };
    expect(factOf(remove, result({ deletion }))).toEqual({ kind: 'done', result: { deletion } });
    for (const task of [open(), prove, remove]) {
      expect(factOf(task, result({}))).toMatchObject({ kind: 'failed', failure: { code: 'INTERNAL' } });
    }
  });

  it('of a failure without a code is an internal one, in the words of the agent', () => {
    expect(factOf(open(), result({ outcome: 'failed', failure }))).toEqual({ kind: 'failed', failure });
    expect(factOf(open(), result({ outcome: 'failed', error: 'boom' }))).toEqual({
      kind: 'failed',
      failure: { code: 'INTERNAL', detail: 'boom' },
    });
  });
});

describe('a task of which nothing is heard', () => {
  const later = after(SILENT_AFTER_MS + 1_000);

  it('F41 is given up after half an hour, never before, and never for an outage of ours', () => {
    const task = { ...open(), since: START };
    expect(overdue(task, 'a.example', START, after(SILENT_AFTER_MS - 1))).toBeNull();
    expect(overdue(task, 'a.example', START, later)).toMatchObject({ code: 'HOST_SILENT', detail: expect.stringContaining('a.example') });
    expect(overdue({ ...task, namedAt: after(60_000) }, 'a.example', START, later)).toBeNull();
    expect(overdue(task, 'a.example', after(SILENT_AFTER_MS), later)).toBeNull();
  });

  it('is said to miss its key while it waits for it', () => {
    expect(overdue(waiting(), 'a.example', START, later)).toMatchObject({ code: 'KEY_UNREACHABLE' });
  });
});
