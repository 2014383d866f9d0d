// What suites of the agent say about goals and about what is observed of them.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { ProcessGoal, ProcessObservation } from '@atrest/contracts';
import { commandLine } from '@atrest/mongod';
import type { TestHost } from './test-host.contract.js';

export type Observed = Map<string, ProcessObservation>;
export const all = (goals: readonly ProcessGoal[], satisfied: (process: ProcessObservation) => boolean) => (observed: Observed) =>
  goals.every((goal) => observed.has(goal.id) && satisfied(observed.get(goal.id)!));
export const stopped = (goals: readonly ProcessGoal[]) => all(goals, (process) => process.status === 'stopped' && process.pid === null);
export const running = (goals: readonly ProcessGoal[]) => all(goals, (process) => process.status === 'running');
export const writable = (goals: readonly ProcessGoal[]) => (observed: Observed) =>
  running(goals)(observed) && goals.some((goal) => observed.get(goal.id)!.writable);
export const desire = (goals: readonly ProcessGoal[], change: Partial<ProcessGoal>) => goals.map((goal) => ({ ...goal, ...change }));
export const stop = { desired: 'stopped', reason: 'The AWS key configuration is invalid.' } as const;

/** A process that nobody but its data path connects with the agent. */
export function startByHand(host: TestHost, goal: ProcessGoal): { pid: number; exited: Promise<number | null> } {
  const { argv } = commandLine(goal, join(host.folder, `${goal.id}-by-hand.log`));
  const child = spawn(host.programs.mongod, argv, { stdio: 'ignore', detached: true });
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  child.unref();
  return { pid: child.pid!, exited };
}
