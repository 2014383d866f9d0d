import { spawn, type ChildProcess } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ProcessGoal } from '@atrest/contracts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestHost } from './test-host.contract.js';

/** The program as it is installed; `npm test` has built it. */
const PROGRAM = fileURLToPath(new URL('../../../apps/agent/dist/main.js', import.meta.url));

let host: TestHost;
let goals: ProcessGoal[];
let agents: ChildProcess[];

beforeEach(async () => {
  host = await TestHost.open();
  goals = [];
  agents = [];
});

afterEach(async () => {
  for (const agent of agents) await end(agent, 'SIGKILL');
  await host.close(goals);
});

async function startProgram(): Promise<ChildProcess> {
  const config = join(host.folder, 'agent.yaml');
  const { url, token } = host.controlPlane;
  await writeFile(
    config,
    JSON.stringify({
      controlPlane: { url },
      token,
      hostname: '127.0.0.1',
      dataFolder: host.dataFolder,
      stateFolder: join(host.folder, 'state'),
      portRange: { first: 20_000, last: 29_999 },
      capacity: 3,
      allowsColocation: true,
    }),
  );
  const env = { ...process.env, MONGOD_BIN: host.programs.mongod, MONGOS_BIN: host.programs.mongos ?? '' };
  const agent = spawn(process.execPath, [PROGRAM, '--config', config], { env, stdio: ['ignore', 'ignore', 'inherit'] });
  agents.push(agent);
  return agent;
}

async function end(agent: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (agent.exitCode !== null || agent.signalCode !== null) return agent.exitCode;
  const exited = new Promise<number | null>((resolve) => agent.once('exit', (code) => resolve(code)));
  agent.kill(signal);
  return exited;
}

const status = (wanted: string) => (observed: Map<string, { status: string }>) =>
  goals.every((goal) => observed.get(goal.id)?.status === wanted);

describe('the agent program', () => {
  it('is killed, and the next one adopts what runs, stops it and starts it again; SIGTERM leaves it running', async () => {
    goals = [await host.process()];
    const [goal] = goals as [ProcessGoal];
    host.controlPlane.order(goals);
    const first = await startProgram();
    const { pid } = (await host.controlPlane.until('the process to run', status('running'))).get(goal.id)!;
    await end(first, 'SIGKILL');
    process.kill(pid!, 0);

    host.controlPlane.reports.length = 0;
    const second = await startProgram();
    const adopted = await host.controlPlane.until('the process to be adopted', status('running'));
    expect(adopted.get(goal.id)!.pid).toBe(pid);

    // Killed between the order and its execution: the order is carried out by the next one.
    process.kill(pid!, 'SIGSTOP');
    host.controlPlane.order([{ ...goal, desired: 'stopped', reason: 'The AWS key configuration is invalid.' }]);
    await host.controlPlane.until('the process to stop', status('stopping'));
    await end(second, 'SIGKILL');
    process.kill(pid!, 'SIGCONT');
    host.controlPlane.reports.length = 0;
    const third = await startProgram();
    const stopped = await host.controlPlane.until('the process to be stopped', status('stopped'));
    expect(stopped.get(goal.id)!.pid).toBeNull();

    host.controlPlane.order(goals);
    const again = (await host.controlPlane.until('the process to run again', status('running'))).get(goal.id)!;
    expect(await end(third, 'SIGTERM')).toBe(0);
    process.kill(again.pid!, 0);
  });

  it('ends with 1 and a reason when there is no program to supervise, and with 2 without a configuration', async () => {
    const run = async (args: string[], env: NodeJS.ProcessEnv) => {
      const child = spawn(process.execPath, [PROGRAM, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
      let output = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
      const code = await new Promise((resolve) => child.once('close', resolve));
      return { code, output };
    };
    expect(await run([], {})).toMatchObject({ code: 2, output: expect.stringContaining('--config') });
    expect(await run(['--config', '/nowhere.yaml'], {})).toMatchObject({ code: 1, output: expect.stringContaining('/nowhere.yaml') });
    await startProgram().then((agent) => end(agent, 'SIGKILL'));
    const missing = await run(['--config', join(host.folder, 'agent.yaml')], { PATH: '/nowhere' });
    expect(missing).toMatchObject({ code: 1, output: expect.stringContaining('No mongod was found') });
  });
});
