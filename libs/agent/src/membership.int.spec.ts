import { readdir } from 'node:fs/promises';
import type { ProcessGoal, ProcessObservation, ReplicaSetChanges } from '@atrest/contracts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestHost } from './test-host.contract.js';

type Goal = ProcessGoal & { dbPath: string };
type Observed = Map<string, ProcessObservation>;

let host: TestHost;
let goals: Goal[];
beforeEach(async () => {
  goals = [];
  host = await TestHost.open();
});
afterEach(() => host.close(goals));

const memberOf = (goal: Goal, id: number) => ({ id, host: `127.0.0.1:${goal.port}`, priority: 1, votes: 1, arbiterOnly: false });
const primary = (observed: Observed) => [...observed.values()].find((each) => each.writable);

/** Orders a set: who is in it, who joins, who leaves. */
function order(members: readonly Goal[], changes: Partial<ReplicaSetChanges> & { yielding?: Goal } = {}): void {
  const { yielding, ...rest } = changes;
  const all = members.map((goal) => memberOf(goal, goals.indexOf(goal)));
  host.controlPlane.order(
    goals.map((goal) => {
      const own: ReplicaSetChanges = { joining: [], leaving: [], ...rest, yields: goal === yielding };
      const changed = own.joining.length > 0 || own.leaving.length > 0 || own.yields;
      const leads = goal === members[0];
      return { ...goal, replicaSet: { name: 'rs0', role: 'plain', members: all, leads, ...(changed && { changes: own }) } };
    }),
  );
}

async function runningSet(): Promise<[Goal, Goal, Goal]> {
  goals = await host.replicaSet('rs0', 3);
  order(goals);
  await host.startAgent();
  await host.controlPlane.until(
    'a primary',
    (observed) => goals.every((goal) => observed.get(goal.id)?.status === 'running') && primary(observed) !== undefined,
  );
  return goals as [Goal, Goal, Goal];
}

describe('a replica set that runs', () => {
  it('gets a member with all data and a vote, and lets go of its primary, which keeps its data', async () => {
    const set = await runningSet();
    const url = `mongodb://127.0.0.1:${set[1].port},127.0.0.1:${set[2].port}/?replicaSet=rs0`;
    const orders = host.client(url).db('shop').collection('orders');
    await orders.insertOne({ n: 1 }, { writeConcern: { w: 'majority', wtimeoutMS: 60_000 } });

    const joiner = await host.process();
    goals = [...set, joiner];
    order(set, { joining: [memberOf(joiner, 3)] });
    const address = `127.0.0.1:${joiner.port}`;
    const joined = await host.controlPlane.until(
      'the new member to vote',
      (observed) =>
        primary(observed)?.setMembers?.some((member) => member.host === address && member.votes === 1 && member.priority === 1) === true &&
        observed.get(joiner.id)?.memberState === 'SECONDARY',
    );
    const direct = host.client(`mongodb://${address}/?directConnection=true&readPreference=secondary`);
    await expect.poll(() => direct.db('shop').collection('orders').countDocuments(), { timeout: 60_000 }).toBe(1);

    const leaver = goals.find((goal) => goal.id === primary(joined)!.id)!;
    order(goals, { leaving: [`127.0.0.1:${leaver.port}`], yielding: leaver });
    const left = await host.controlPlane.until('the old primary to be out', (observed) => {
      const members = primary(observed)?.setMembers;
      return members !== undefined && members.length === 3 && observed.get(leaver.id)?.memberState === 'REMOVED';
    });
    expect(left.get(leaver.id)).toMatchObject({ status: 'running', writable: false });
    expect(primary(left)!.id).not.toBe(leaver.id);

    const rest = goals.filter((goal) => goal !== leaver);
    goals = [...rest, { ...leaver, desired: 'removed' }];
    order(rest);
    await host.controlPlane.until('it to be gone', (observed) => !observed.has(leaver.id) && primary(observed) !== undefined);
    expect(await readdir(leaver.dbPath)).toContain('mongod.lock');
    await expect.poll(() => direct.db('shop').collection('orders').countDocuments(), { timeout: 60_000 }).toBe(1);
  });

  it('has its primary step down on order; arguments that changed are those of the next start', async () => {
    const set = await runningSet();
    const before = host.controlPlane.observed!;
    const yielding = set.find((goal) => goal.id === primary(before)!.id)!;
    order(set, { yielding });
    const after = await host.controlPlane.until('another primary', (observed) => {
      const now = primary(observed);
      return now !== undefined && now.id !== yielding.id && observed.get(yielding.id)?.memberState === 'SECONDARY';
    });
    const { pid } = after.get(yielding.id)!;

    const changed: Goal = { ...yielding, argumentsVersion: 1, extraArguments: [...yielding.extraArguments, '--quiet'] };
    goals = set.map((goal) => (goal === yielding ? changed : goal));
    order(goals);
    const kept = await host.controlPlane.until('the new goal', (observed) => observed.get(changed.id)?.status === 'running');
    expect(kept.get(changed.id)).toMatchObject({ pid, argumentsVersion: 0 });
    // Also for the next agent: what it finds was started by the arguments of before.
    await host.endAgent();
    await host.startAgent();
    const adopted = await host.controlPlane.until('the adopted process', (observed) => observed.get(changed.id)?.status === 'running');
    expect(adopted.get(changed.id)).toMatchObject({ pid, argumentsVersion: 0 });

    goals = goals.map((goal) => (goal === changed ? { ...changed, desired: 'stopped' } : goal));
    order(goals);
    await host.controlPlane.until('the stop', (observed) => observed.get(changed.id)?.status === 'stopped');
    goals = goals.map((goal) => (goal.id === changed.id ? changed : goal));
    order(goals);
    const restarted = await host.controlPlane.until('the restart', (observed) => observed.get(changed.id)?.memberState === 'SECONDARY');
    expect(restarted.get(changed.id)).toMatchObject({ argumentsVersion: 1 });
    const started = host.lines.findLast((line) => line['msg'] === 'process started');
    expect(String(started?.['argv'])).toContain('--quiet');
  });
});
