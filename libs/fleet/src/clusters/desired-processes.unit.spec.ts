import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { after, observation, processView } from '../test-support/process-views.contract.js';
import { isReady, observedFact } from './cluster-facts.js';
import type { ClusterProcess } from './cluster-view.js';
import { desiredProcesses, nextPhaseLimit, PHASE_LIMIT_MS, type ClusterOrder } from './desired-processes.js';
import type { Desired } from './process-view.js';

const disabling: ClusterOrder = {
  state: 'DISABLING',
  disabledReason: {
    code: 'KEY_CONFIGURATION_INVALID',
    keyConfigurationId: 'a'.repeat(24),
    provider: 'AWS',
    keyId: 'alias/customer',
    detail: 'KEY_DISABLED',
    since: after(0).toISOString(),
  },
  paused: false,
};
const enabling: ClusterOrder = { state: 'ENABLING', disabledReason: null, paused: false };

const sharded = () => [processView('mongos'), processView('mongod'), processView('mongod', { memberId: 1 }), processView('config')];

/** Carries the orders out as a fleet's writer does, at a moment. */
function give(order: ClusterOrder, processes: readonly ClusterProcess[], now: Date): ClusterProcess[] {
  const desired = desiredProcesses(order, processes, now);
  return processes.map((process) => {
    const next = desired.get(process.id)!.desired;
    return next === process.desired ? process : { ...process, desired: next, desiredSince: now, goalVersion: process.goalVersion + 1 };
  });
}

/** The agent obeys: reports its goal version and the state it should have. */
const obey = (process: ClusterProcess, now: Date): ClusterProcess => ({
  ...process,
  reportedGoalVersion: process.goalVersion,
  hostHeardAt: now,
  observation:
    process.desired === 'removed'
      ? null
      : observation(process.id, { status: process.desired === 'running' ? 'running' : 'stopped', writable: process.desired === 'running' }),
});

const ordered = (processes: readonly ClusterProcess[], desired: Desired): string[] =>
  processes.filter((process) => process.desired === desired).map((process) => process.kind);

describe('phases', () => {
  it('stop mongos, then all shard members at once, then config servers', () => {
    let processes = give(disabling, sharded(), after(0));
    expect(ordered(processes, 'stopped')).toEqual(['mongos']);
    processes = give(
      disabling,
      processes.map((each) => (each.kind === 'mongos' ? obey(each, after(1)) : each)),
      after(1),
    );
    expect(ordered(processes, 'stopped')).toEqual(['mongos', 'mongod', 'mongod']);
    const half = processes.map((each) => (each.memberId === 0 ? obey(each, after(2)) : each));
    expect(ordered(give(disabling, half, after(2)), 'stopped')).toEqual(['mongos', 'mongod', 'mongod']);
    processes = give(
      disabling,
      processes.map((each) => obey(each, after(3))),
      after(3),
    );
    expect(ordered(processes, 'stopped')).toEqual(['mongos', 'mongod', 'mongod', 'config']);
    expect(observedFact(disabling, processes, after(3))).toBeNull();
    expect(
      observedFact(
        disabling,
        processes.map((each) => obey(each, after(4))),
        after(4),
      ),
    ).toEqual({ kind: 'all-stopped' });
  });

  it('start config servers, then shards, then mongos', () => {
    let processes = sharded().map((each) => obey({ ...each, desired: 'stopped' as const }, after(0)));
    const seen: string[][] = [];
    for (let step = 0; step < 3; step += 1) {
      processes = give(enabling, processes, after(step)).map((each) => obey(each, after(step)));
      seen.push(ordered(processes, 'running'));
    }
    expect(seen).toEqual([['config'], ['mongod', 'mongod', 'config'], ['mongos', 'mongod', 'mongod', 'config']]);
    expect(observedFact(enabling, processes, after(3))).toEqual({ kind: 'all-ready' });
  });

  it('F30 an unreachable host holds up the next phase for the limit and no longer', () => {
    const processes = give(disabling, sharded(), after(0));
    expect(nextPhaseLimit(disabling, processes, after(1))).toEqual(after(PHASE_LIMIT_MS));
    expect(ordered(give(disabling, processes, after(PHASE_LIMIT_MS - 1)), 'stopped')).toEqual(['mongos']);
    expect(ordered(give(disabling, processes, after(PHASE_LIMIT_MS)), 'stopped')).toEqual(['mongos', 'mongod', 'mongod']);
  });

  it('let nothing start again that waits for its turn to stop', () => {
    const mayStart = (order: ClusterOrder) => {
      const desired = desiredProcesses(order, sharded(), after(0));
      return [...desired.values()].map((each) => [each.desired, each.mayStart]);
    };
    const waiting = ['running', false];
    expect(mayStart(disabling)).toEqual(expect.arrayContaining([['stopped', true], waiting]));
    expect(mayStart(disabling).filter(([desired]) => desired === 'running')).toEqual([waiting, waiting, waiting]);
    expect(mayStart(enabling).every(([, may]) => may === true)).toBe(true);
  });

  it('stop a paused cluster in the same order, and keep it stopped through a key that comes and goes', () => {
    for (const state of ['UPDATING', 'ENABLING'] as const) {
      const paused: ClusterOrder = { state, disabledReason: null, paused: true };
      let processes = sharded();
      for (let step = 0; step < 3; step += 1) {
        expect(observedFact(paused, processes, after(step))).toBeNull();
        processes = give(paused, processes, after(step)).map((each) => obey(each, after(step)));
      }
      expect(observedFact(paused, processes, after(3))).toEqual({ kind: 'all-stopped' });
    }
  });

  it('wait for nobody whose host was given up', () => {
    const processes = sharded().map((each) => ({ ...each, lost: each.kind === 'mongos' }));
    const stopping = give(disabling, processes, after(0));
    expect(ordered(give(disabling, stopping, after(1)), 'stopped')).toEqual(['mongos', 'mongod', 'mongod']);
    const deleting = processes.map((each) => ({ ...each, desired: 'removed' as const, ...(!each.lost && { observation: null }) }));
    expect(observedFact({ state: 'DELETING', paused: false }, deleting, after(1))).toEqual({ kind: 'all-removed' });
  });

  it('a clock that is set back by days holds no phase up', () => {
    const processes = give(disabling, sharded(), after(0));
    expect(ordered(give(disabling, processes, after(-14_999)), 'stopped')).toEqual(['mongos']);
    expect(ordered(give(disabling, processes, after(-86_400_000)), 'stopped')).toEqual(['mongos', 'mongod', 'mongod']);
  });

  it('believes no report that does not answer the present goal', () => {
    const before = processView('mongod', { observation: observation('x', { status: 'stopped' }) });
    const [process] = give(disabling, [before], after(0)) as [ClusterProcess];
    expect(observedFact(disabling, [process], after(1))).toBeNull();
    expect(observedFact(disabling, [{ ...process, reportedGoalVersion: process.goalVersion }], after(1))).toEqual({
      kind: 'all-stopped',
    });
  });

  it('is ready only with a primary in each set, routers that answer and agents that are heard of', () => {
    const members = [processView('mongod', { observation: observation('p', { writable: true }) }), processView('mongod', { memberId: 1 })];
    expect(isReady(members, after(1))).toBe(true);
    expect(isReady(members, after(31_000))).toBe(false);
    expect(isReady(members.slice(1), after(1))).toBe(false);
    expect(isReady([...members, processView('mongos', { observation: observation('r', { writable: false }) })], after(1))).toBe(false);
    expect(isReady([], after(1))).toBe(false);
  });

  it('never take an order back and always end, whatever order hosts answer in and whoever stays silent', () => {
    const states = ['DISABLING', 'ENABLING', 'DELETING'] as const;
    fc.assert(
      fc.property(
        fc.constantFrom(...states),
        fc.array(fc.constantFrom('mongos' as const, 'mongod' as const, 'config' as const), { minLength: 1, maxLength: 8 }),
        fc.array(fc.record({ answers: fc.array(fc.nat(7)), ms: fc.integer({ min: 0, max: 8_000 }) }), { maxLength: 20 }),
        (state, kinds, steps) => {
          const order: ClusterOrder = state === 'DISABLING' ? disabling : { state, disabledReason: null, paused: false };
          const target: Desired = state === 'DISABLING' ? 'stopped' : state === 'ENABLING' ? 'running' : 'removed';
          let processes = kinds.map((kind) => processView(kind, { desired: target === 'running' ? 'stopped' : 'running' }));
          let clock = 0;
          for (const step of steps) {
            clock += step.ms;
            const next = give(order, processes, after(clock));
            next.forEach((each, index) => {
              if (processes[index]?.desired === target) expect(each.desired).toBe(target);
            });
            processes = next.map((each, index) => (step.answers.includes(index) ? obey(each, after(clock)) : each));
          }
          // Three phases at most, each over after the limit.
          for (let phase = 0; phase < 3; phase += 1) processes = give(order, processes, after((clock += PHASE_LIMIT_MS)));
          expect(processes.every((each) => each.desired === target)).toBe(true);
        },
      ),
    );
  });
});
