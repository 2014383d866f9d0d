import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { after, observation, processView } from '../test-support/process-views.contract.js';
import { isSettled, observedFact } from './cluster-facts.js';
import type { ClusterProcess } from './cluster-view.js';
import type { ClusterOrder } from './desired-processes.js';
import { addressOf, processGoal } from './process-goal.js';
import { isRemoved } from './process-view.js';
import { hasJoined, planProcesses, YIELD_LIMIT_MS } from './update-plan.js';

const updating: ClusterOrder = { state: 'UPDATING', disabledReason: null, paused: false };
const cluster = { id: 'c'.repeat(24), name: 'shop', clusterType: 'REPLICASET', encryptionAtRestProvider: 'NONE' } as const;

/** A replica set as it really is, driven by goals as agents pursue them. Processes are named by their position. */
class ReplicaSetModel {
  processes: ClusterProcess[];
  clock = 0;
  /** What really runs, by arguments version; what the set's configuration has; who is primary. */
  readonly runs: Map<string, number>;
  readonly members: Set<string>;
  primary: string | null;

  constructor(members: number, joining = 0) {
    this.processes = Array.from({ length: members + joining }, (_, memberId) =>
      processView('mongod', { memberId, port: 27017 + memberId, hostname: `h${memberId}.example`, joining: memberId >= members }),
    );
    this.runs = new Map(this.processes.map((each) => [each.id, 0]));
    this.members = new Set(this.processes.slice(0, members).map((each) => each.id));
    this.primary = this.processes[0]!.id;
    for (const each of this.processes) this.report(each.id);
  }

  get(id: string): ClusterProcess {
    return this.processes.find((each) => each.id === id)!;
  }

  change(id: string, change: Partial<ClusterProcess>): void {
    this.processes = this.processes.map((each) => (each.id === id ? { ...each, ...change } : each));
  }

  /** What the control plane does at each look. */
  look(): void {
    const now = after(this.clock);
    for (const each of this.processes) if (each.joining && hasJoined(each, this.processes, now)) this.change(each.id, { joining: false });
    this.processes = this.processes.filter((each) => !(each.leaving && isRemoved(each)));
    const orders = planProcesses(updating, this.processes, now);
    for (const { id, desired, yieldsSince, goalVersion } of this.processes) {
      const order = orders.get(id)!;
      const since = order.yields ? (yieldsSince ?? now) : null;
      if (order.desired === desired && String(since) === String(yieldsSince)) continue;
      this.change(id, { desired: order.desired, yieldsSince: since, desiredSince: now, goalVersion: goalVersion + 1 });
    }
  }

  private elect(): void {
    const able = this.processes.filter((each) => this.members.has(each.id) && this.runs.has(each.id));
    if (able.length * 2 <= this.members.size) this.primary = null;
    else this.primary = able.find((each) => each.yieldsSince === null && each.id !== this.primary)?.id ?? able[0]!.id;
  }

  /** One agent does one step towards its goal. */
  act(id: string): void {
    const process = this.processes.find((each) => each.id === id);
    if (process === undefined) return;
    const goal = processGoal(cluster, this.processes, process, {
      desired: process.desired,
      reason: null,
      mayStart: true,
      yields: process.yieldsSince !== null,
    });
    if (goal.desired === 'running') {
      if (!this.runs.has(id)) this.runs.set(id, process.argumentsVersion);
    } else {
      this.runs.delete(id);
      if (this.primary === id) this.elect();
    }
    if (this.primary === null) this.elect();
    if (this.primary !== id) return;
    const changes = goal.replicaSet?.changes;
    const at = (host: string) => this.processes.find((each) => addressOf(each) === host)!.id;
    const joiner = changes?.joining.map((member) => at(member.host)).find((each) => !this.members.has(each) && this.runs.has(each));
    const leaver = changes?.leaving.map(at).find((each) => this.members.has(each) && each !== id);
    if (joiner !== undefined) this.members.add(joiner);
    else if (leaver !== undefined) this.members.delete(leaver);
    else if (changes?.yields === true) this.elect();
  }

  /** Its agent is heard. */
  report(id: string): void {
    const process = this.processes.find((each) => each.id === id);
    if (process === undefined) return;
    const version = this.runs.get(id);
    const isPrimary = this.primary === id;
    const memberState = !this.members.has(id) ? 'REMOVED' : isPrimary ? 'PRIMARY' : 'SECONDARY';
    const setMembers = this.processes.filter((each) => this.members.has(each.id)).map((each) => ({ host: addressOf(each) }));
    const running = observation(id, { memberState, writable: isPrimary, argumentsVersion: version ?? 0, ...(isPrimary && { setMembers }) });
    this.change(id, {
      reportedGoalVersion: process.goalVersion,
      hostHeardAt: after(this.clock),
      observation: version !== undefined ? running : process.desired === 'removed' ? null : observation(id, { status: 'stopped' }),
    });
  }

  /** Everybody acts and is heard, again and again; answers what was down at each moment. */
  settle(rounds = 60): string[][] {
    const down: string[][] = [];
    for (let round = 0; round < rounds; round += 1) {
      this.look();
      for (const { id } of this.processes) this.act(id);
      down.push(this.processes.filter((each) => !this.runs.has(each.id) && this.members.has(each.id)).map((each) => each.hostname));
      for (const { id } of this.processes) this.report(id);
    }
    return down;
  }
}

const trace = (down: readonly string[][]): string[] =>
  down.flatMap((each, index) => (String(each) === String(down[index - 1] ?? []) ? [] : each));

describe('changed arguments', () => {
  it('restart one member at a time, the primary last, after it has stepped down', () => {
    const set = new ReplicaSetModel(3);
    for (const { id } of set.processes) set.change(id, { argumentsVersion: 1 });
    const first = set.primary;
    const down = set.settle();
    expect(trace(down)).toEqual(['h2.example', 'h1.example', 'h0.example']);
    expect(down.every((each) => each.length <= 1)).toBe(true);
    expect(set.primary).not.toBe(first);
    expect([...set.runs.values()]).toEqual([1, 1, 1]);
    expect(observedFact(updating, set.processes, after(0))).toEqual({ kind: 'all-ready' });
  });

  it('stop a primary that does not step down once it has been waited for', () => {
    const set = new ReplicaSetModel(3);
    const primary = set.primary!;
    set.change(primary, { argumentsVersion: 1 });
    set.look();
    expect(set.get(primary)).toMatchObject({ desired: 'running', yieldsSince: after(0) });
    set.clock = YIELD_LIMIT_MS - 1;
    for (const { id } of set.processes) set.report(id);
    set.look();
    expect(set.get(primary).desired).toBe('running');
    set.clock = YIELD_LIMIT_MS;
    set.look();
    expect(set.get(primary).desired).toBe('stopped');
  });

  it('wait while a member is missing: a restart would cost the majority', () => {
    const set = new ReplicaSetModel(3);
    for (const { id } of set.processes) set.change(id, { argumentsVersion: 1 });
    const [, second] = set.processes;
    set.change(second!.id, { observation: observation(second!.id, { status: 'failed' }) });
    set.look();
    expect(set.processes.map((each) => each.desired)).toEqual(['running', 'running', 'running']);
  });

  it('restart the routers one after the other', () => {
    const routers = [0, 1].map((memberId) => processView('mongos', { memberId, argumentsVersion: 1 }));
    const orders = planProcesses(updating, routers, after(0));
    expect(routers.map((each) => orders.get(each.id)!.desired)).toEqual(['running', 'stopped']);
  });
});

describe('members', () => {
  it('join before others leave; the primary hands over before it leaves, and what has left is stopped last and keeps its data', () => {
    const set = new ReplicaSetModel(3, 1);
    const [leaver] = set.processes as [ClusterProcess];
    set.change(leaver.id, { leaving: true });
    set.members.delete(set.processes[3]!.id);
    set.look();
    expect(set.get(leaver.id)).toMatchObject({ desired: 'running', yieldsSince: null });
    const down = set.settle();
    expect(trace(down)).toEqual([]);
    expect(set.processes.map((each) => each.hostname)).toEqual(['h1.example', 'h2.example', 'h3.example']);
    expect(set.members.size).toBe(3);
    const goal = processGoal(
      cluster,
      [leaver],
      { ...leaver, leaving: true },
      { desired: 'removed', reason: null, mayStart: true, yields: false },
    );
    expect(goal.deleteData).toBe(false);
  });

  it('are not taken for gone because the set calls them by other names', () => {
    const set = new ReplicaSetModel(3);
    const [primary, , last] = set.processes as [ClusterProcess, ClusterProcess, ClusterProcess];
    set.change(last.id, { leaving: true });
    set.change(primary.id, {
      observation: observation(primary.id, { writable: true, memberState: 'PRIMARY', setMembers: [{ host: '10.0.0.1:27017' }] }),
    });
    set.look();
    expect(set.get(last.id).desired).toBe('running');
  });

  it('that are lost leave although nobody hears of them', () => {
    const set = new ReplicaSetModel(3);
    const [, , last] = set.processes as [ClusterProcess, ClusterProcess, ClusterProcess];
    set.runs.delete(last.id);
    set.change(last.id, { leaving: true, lost: true, hostHeardAt: null });
    for (let round = 0; round < 10; round += 1) {
      set.look();
      for (const { id } of set.processes.filter((each) => !each.lost)) set.act(id);
      for (const { id } of set.processes.filter((each) => !each.lost)) set.report(id);
    }
    expect(set.processes.map((each) => each.hostname)).toEqual(['h0.example', 'h1.example']);
  });
});

it('whatever is changed and whoever is heard when, a change ends and never takes more than one member away at a time', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 3, max: 5 }),
      fc.integer({ min: 0, max: 2 }),
      fc.array(fc.boolean(), { minLength: 7, maxLength: 7 }),
      fc.nat(4),
      fc.array(fc.record({ who: fc.nat(6), deed: fc.constantFrom('look' as const, 'act' as const, 'report' as const) }), { maxLength: 80 }),
      (members, joining, outdated, leaver, steps) => {
        const set = new ReplicaSetModel(members, joining);
        set.processes.forEach((each, index) => {
          if (outdated[index]) set.change(each.id, { argumentsVersion: 1 });
          if (index === leaver) set.change(each.id, { leaving: true });
        });
        const all = set.processes.map((each) => each.id);
        const check = () => {
          const missing = [...set.members].filter((id) => !set.runs.has(id));
          expect(missing.length).toBeLessThanOrEqual(1);
        };
        for (const { who, deed } of steps) {
          const id = all[who % all.length]!;
          if (deed === 'look') set.look();
          else set[deed](id);
          check();
        }
        set.settle();
        check();
        expect(isSettled(set.processes)).toBe(true);
        expect(set.processes.length).toBe(members + joining - (leaver < members + joining ? 1 : 0));
        expect(set.processes.map((each) => set.runs.get(each.id))).toEqual(set.processes.map((each) => each.argumentsVersion));
      },
    ),
  );
});
