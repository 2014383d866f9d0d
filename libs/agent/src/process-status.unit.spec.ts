import type { ProcessGoal } from '@atrest/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { observationOf, type ObservedFacts } from './process-observation.js';
import { conflictingProcesses, statusOf, type StatusFacts } from './process-status.js';

const facts: StatusFacts = {
  desired: 'running',
  looked: true,
  present: false,
  beginning: false,
  ready: false,
  stopping: false,
  failed: false,
};

describe('status', () => {
  it.each<[Partial<StatusFacts>, string]>([
    [{ present: true }, 'starting'],
    [{ present: true, ready: true }, 'running'],
    [{ present: true, ready: true, stopping: true }, 'stopping'],
    [{ beginning: true }, 'starting'],
    [{ failed: true }, 'failed'],
    [{ failed: true, desired: 'stopped' }, 'stopped'],
    [{ desired: 'stopped' }, 'stopped'],
    [{ looked: false, desired: 'stopped' }, 'stopping'],
    [{ looked: false, desired: 'removed' }, 'stopping'],
    [{ looked: false }, 'starting'],
  ])('%j is %s', (change, status) => {
    expect(statusOf({ ...facts, ...change })).toBe(status);
  });

  it('is never stopped or failed while a process is there, begins, or was not looked for', () => {
    const any = fc.record({
      desired: fc.constantFrom<StatusFacts['desired']>('running', 'stopped', 'removed'),
      looked: fc.boolean(),
      present: fc.boolean(),
      beginning: fc.boolean(),
      ready: fc.boolean(),
      stopping: fc.boolean(),
      failed: fc.boolean(),
    });
    fc.assert(
      fc.property(any, (each) => {
        if (each.present || each.beginning || !each.looked) expect(['starting', 'running', 'stopping']).toContain(statusOf(each));
      }),
    );
  });
});

describe('observation', () => {
  const observed: ObservedFacts = {
    id: 'a'.repeat(24),
    status: 'running',
    since: new Date(0),
    pid: 1,
    version: '4.4.6-8',
    isMember: true,
    hello: { kind: 'member', memberState: 'PRIMARY', writable: true, setName: 'rs0', primary: 'h:1' },
    complete: true,
    loggedState: 'PRIMARY',
    readyAt: 0,
    stop: null,
    lastEnd: null,
    blocked: null,
    administrationError: null,
    startedByHandAt: null,
    wasMember: true,
    argumentsVersion: null,
    setMembers: null,
    shards: null,
    administrator: null,
    warnAfterMs: 30_000,
    now: 100_000,
  };

  it('says what a running member says of itself', () => {
    expect(observationOf(observed)).toMatchObject({ memberState: 'PRIMARY', writable: true, error: null });
    const recovering = { ...observed.hello!, memberState: null, writable: false };
    expect(observationOf({ ...observed, hello: recovering, loggedState: 'RECOVERING' })).toMatchObject({ memberState: 'RECOVERING' });
  });

  it('promises no writes of a mongos whose cluster lacks shards', () => {
    const mongos = { ...observed, isMember: false, hello: { ...observed.hello!, kind: 'mongos' as const, memberState: null } };
    expect(observationOf(mongos)).toMatchObject({ status: 'running', writable: true });
    expect(observationOf({ ...mongos, complete: false })).toMatchObject({ status: 'running', writable: false });
  });

  it('promises no writes of a process that stops', () => {
    const stop = { signalledAt: 99_000, wallTime: new Date(5) };
    expect(observationOf({ ...observed, status: 'stopping', stop })).toMatchObject({
      writable: false,
      memberState: null,
      stopOverdueSince: null,
    });
  });

  it('F29 names the moment of the signal when patience is over', () => {
    const stop = { signalledAt: 70_000, wallTime: new Date(5) };
    expect(observationOf({ ...observed, status: 'stopping', stop }).stopOverdueSince).toBe(new Date(5).toISOString());
  });

  it('repeats no secret that a server repeats', () => {
    const error = "Error parsing command line: unrecognised option '--ldapQueryPasword --setParameter password=hunter2'";
    const lastEnd = { code: 2, signal: null, error, failed: true, endedForKey: { at: new Date(5), detail: error }, lines: [] };
    const { error: said, endedForKey } = observationOf({ ...observed, status: 'failed', pid: null, hello: null, lastEnd });
    expect(said).toMatch(/unrecognised option/);
    expect(said).not.toContain('hunter2');
    expect(endedForKey).toEqual({ at: new Date(5).toISOString(), detail: said });
  });

  it('says when a running process does not answer', () => {
    expect(observationOf({ ...observed, hello: null }).error).toMatch(/does not answer/);
    expect(observationOf({ ...observed, hello: null, readyAt: 99_000 }).error).toBeNull();
  });
});

describe('conflicts', () => {
  const goal = { id: '1', dbPath: '/d/1', port: 1 } as ProcessGoal;
  it('names the later of two processes with one data path or port', () => {
    const twins = [goal, { ...goal, id: '2', port: 2 }, { ...goal, id: '3', dbPath: null }, { ...goal, id: '4', dbPath: '/d/4', port: 4 }];
    expect([...conflictingProcesses(twins)]).toEqual([
      ['2', 'The goal gives data path /d/1 to process 1 too.'],
      ['3', 'The goal gives port 1 to process 1 too.'],
    ]);
  });

  it('names the removal that would take the data of another process along', () => {
    const removed = { ...goal, desired: 'removed', deleteData: true } as ProcessGoal;
    const around = (dbPath: string) =>
      [...conflictingProcesses([removed, { ...goal, id: '2', dbPath, port: 2, desired: 'running' }])].map(([id]) => id);
    expect(around('/d/1/inner')).toEqual(['1']);
    expect(around('/d')).toEqual(['1']);
    expect(around('/d/10')).toEqual([]);
    expect([...conflictingProcesses([goal, { ...goal, id: '2', dbPath: '/d/1/inner', port: 2 }])]).toEqual([]);
  });
});
