import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ProcessGoal, SnapshotMethod } from '@atrest/contracts';
import type { CommandFailure, CommandOutcome, MemberFacts, RunCommand } from '@atrest/mongod';
import { createLogger } from '@atrest/platform-logging';
import { SimulatedClock } from '@atrest/platform-time';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BalancerNotes } from './balancer.js';
import { beginCopy, type ConsistentCopy } from './consistent-copy.js';
import { HoldWatch, type HeldForBackup } from './hold-watch.js';
import { HoldNotes, type Hold } from './holds.js';

const PROCESS = '65f0c0ffee65f0c0ffee0201';
const TASK = '65f0c0ffee65f0c0ffee0301';
const logger = createLogger({ service: 'agent', level: 'silent' });
const refused = (code: number, kind: CommandFailure['kind'] = 'other'): CommandOutcome<never> => ({
  ok: false,
  failure: { kind, code, message: `refused with ${code}` },
});
const UNREACHABLE: CommandOutcome<never> = {
  ok: false,
  failure: { kind: 'unreachable', code: null, message: 'the server did not answer in time' },
};

/** The locks of a server, and what it answers instead of taking one. */
class Server {
  locks = 0;
  mayAsk = true;
  lockAnswer: (() => CommandOutcome<never> | null) | null = null;
  cursorAnswer: CommandOutcome<never> = refused(40324);

  readonly run: RunCommand = async (_db, command) => {
    const fine = (value: Record<string, unknown>): CommandOutcome<Record<string, unknown>> => ({ ok: true, value });
    if ('fsync' in command) {
      const answer = this.lockAnswer?.() ?? null;
      if (answer !== null) return answer;
      this.locks += 1;
      return fine({ lockCount: this.locks });
    }
    if ('fsyncUnlock' in command) {
      this.locks -= 1;
      return fine({ lockCount: this.locks });
    }
    if ('currentOp' in command) return this.mayAsk ? fine(this.locks > 0 ? { fsyncLock: true } : {}) : refused(13, 'unauthorized');
    if ('aggregate' in command && JSON.stringify(command).includes('$backupCursor"')) return this.cursorAnswer;
    if ('aggregate' in command) return this.mayAsk ? fine({ cursor: { firstBatch: [] } }) : refused(13, 'unauthorized');
    return refused(59);
  };
}

let folder: string;
let notes: HoldNotes;
let server: Server;
let clock: SimulatedClock;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atrest-holds-'));
  notes = new HoldNotes(folder);
  server = new Server();
  clock = new SimulatedClock(new Date('2026-11-23T10:00:00Z'));
});
afterEach(() => rm(folder, { recursive: true }));

const FACTS: MemberFacts = { setName: null, state: null, term: null, rollbackId: null, members: [], applied: null };

function begin(...methods: SnapshotMethod[]): Promise<ConsistentCopy> {
  const member = {
    goal: { id: PROCESS, dbPath: folder } as ProcessGoal,
    process: null,
    connect: () => ({ run: server.run as never, close: async () => undefined }),
    connectTo: () => ({ run: server.run as never, close: async () => undefined }),
    suspend: async () => undefined,
    resume: () => undefined,
  };
  const signal = new AbortController().signal;
  return beginCopy(methods, { taskId: TASK, member, run: server.run, facts: FACTS, notes, clock, logger, signal });
}

describe('a way to hold the files', () => {
  it.each([
    ['the server does not know', refused(40324)],
    ['fails with encrypted storage', refused(31403)],
  ])('that %s gives way to the next', async (_what, answer) => {
    server.cursorAnswer = answer;
    const copy = await begin('backupCursor', 'fsyncLock');
    expect(copy.method).toBe('fsyncLock');
    expect(await notes.all()).toMatchObject([{ kind: 'fsyncLock', stage: 'held', taskId: TASK }]);
    await copy.assertHeld();
    await Promise.all([copy.end(), copy.end()]);
    expect([server.locks, await notes.all()]).toEqual([0, []]);
    await expect(copy.assertHeld()).rejects.toMatchObject({ code: 'SOURCE_CHANGED' });
  });

  it.each([
    [[refused(13, 'unauthorized'), refused(13, 'unauthorized')], 'SOURCE_ACCESS_DENIED'],
    [[refused(40324), refused(14031)], 'SOURCE_DISK_FULL'],
    [[refused(50886), refused(50884)], 'ALREADY_RUNNING'],
    [[refused(40324), refused(8000)], 'NO_METHOD'],
  ] as const)('F49 F51 none works: %j is %s, and nothing is noted', async ([cursor, lock], code) => {
    server.cursorAnswer = cursor;
    server.lockAnswer = () => lock;
    await expect(begin('backupCursor', 'fsyncLock')).rejects.toMatchObject({ code });
    expect(await notes.all()).toEqual([]);
  });

  it('a lock that somebody else took at the same moment is left to him', async () => {
    server.lockAnswer = () => {
      server.locks += 1;
      server.lockAnswer = null;
      return null;
    };
    await expect(begin('fsyncLock')).rejects.toMatchObject({ code: 'ALREADY_RUNNING' });
    expect([server.locks, await notes.all()]).toEqual([1, []]);
  });
});

describe('the watch', () => {
  let told: (HeldForBackup | null)[];
  let taking: string | null;
  /** Looks once, from beginning to end. */
  async function look(): Promise<void> {
    told = [];
    const watch = new HoldWatch({
      notes,
      balancers: new BalancerNotes(folder),
      processes: () => [
        {
          processId: PROCESS,
          run: server.run,
          connectTo: () => ({ run: server.run as never, close: async () => undefined }),
          tell: (held) => told.push(held),
        },
      ],
      takingFrom: () => taking,
      clock,
      logger,
      intervalMs: 60_000,
    });
    watch.start();
    await watch.stop();
  }
  const note = (change: Partial<Hold> = {}): Promise<void> =>
    notes.write({ processId: PROCESS, taskId: TASK, kind: 'fsyncLock', stage: 'held', since: clock.now().toISOString(), ...change });
  beforeEach(() => {
    taking = null;
  });

  it('F48 gives back what was left, once, and nothing of what a snapshot holds now', async () => {
    server.locks = 1;
    await note();
    taking = TASK;
    await look();
    expect(server.locks).toBe(1);
    expect(told).toEqual([{ kind: 'fsyncLock', since: '2026-11-23T10:00:00.000Z', taskId: TASK }]);
    taking = null;
    server.locks = 2;
    await look();
    expect([server.locks, await notes.all()]).toEqual([1, []]);
    await look();
    expect(server.locks).toBe(1);
    expect(told).toMatchObject([{ kind: 'fsyncLock', taskId: null }]);
  });

  it('F48 waits for a lock that a server which did not answer may still take', async () => {
    server.lockAnswer = () => UNREACHABLE;
    await expect(begin('fsyncLock')).rejects.toMatchObject({ code: 'SOURCE_CHANGED' });
    await look();
    expect(await notes.all()).toMatchObject([{ stage: 'asked' }]);
    server.locks = 1;
    await look();
    expect([server.locks, await notes.all(), told]).toEqual([0, [], [null]]);

    await note({ stage: 'asked' });
    clock.advance(11 * 60_000);
    await look();
    expect(await notes.all()).toEqual([]);
  });

  it('says nothing where it may not ask, and keeps its notes until it may', async () => {
    server.locks = 1;
    server.mayAsk = false;
    await note();
    await look();
    expect([told, server.locks]).toEqual([[], 1]);
    server.mayAsk = true;
    await look();
    expect([server.locks, await notes.all()]).toEqual([0, []]);
  });
});
