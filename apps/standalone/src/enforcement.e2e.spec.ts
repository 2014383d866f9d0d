import { spawn } from 'node:child_process';
import { ChildProcessRunner } from '@atrest/mongod';
import { waitFor } from '@atrest/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestInstallation } from './test-support/installation.contract.js';
import { isRunning, signal } from './test-support/machine.contract.js';
import type { TestHost } from './test-support/host.contract.js';
import { pidsOf, type ClusterAnswer, type ProcessAnswer, type TestProject } from './test-support/project.contract.js';

const LIMIT_MS = 300_000;
/** A member that takes part in an election while it stops may be late too; what is frozen always is. */
const WARN_AFTER_MS = 1_000;
const KILL_AFTER_MS = 3_000;
let atrest: TestInstallation;

beforeAll(async () => {
  atrest = await TestInstallation.start('enforcement');
}, LIMIT_MS);

afterAll(() => atrest.close(), LIMIT_MS);

async function replicaSet(project: TestProject, hosts: readonly TestHost[]): Promise<{ ports: number[]; cluster: ClusterAnswer }> {
  const ports = await project.createReplicaSet('orders', hosts);
  await project.untilClusterIs('orders', 'IDLE');
  await project.write('orders', 1);
  const cluster = await project.untilCluster('orders', 'seen with a primary and secondaries', ({ processes }) =>
    processes.every(({ memberState }) => memberState === 'PRIMARY' || memberState === 'SECONDARY'),
  );
  return { ports, cluster };
}

const on = (cluster: ClusterAnswer, port: number): ProcessAnswer => cluster.selfManaged.processes.find((each) => each.port === port)!;

/** A member that is not primary: what happens to it is no fail-over. */
function secondaryOf(cluster: ClusterAnswer): ProcessAnswer & { readonly pid: number } {
  const found = cluster.selfManaged.processes.find((process) => process.memberState === 'SECONDARY');
  if (found?.pid == null) throw new Error(`No secondary runs: ${JSON.stringify(cluster.selfManaged.processes)}`);
  return { ...found, pid: found.pid };
}

/** Until only the frozen member is left. */
const untilOnlyLeft = (project: TestProject, frozen: ProcessAnswer): Promise<ClusterAnswer> =>
  project.untilCluster(
    'orders',
    `DISABLING with only the process on port ${frozen.port} left`,
    ({ state, processes }) =>
      state === 'DISABLING' && processes.every(({ port, status }) => status === (port === frozen.port ? 'stopping' : 'stopped')),
  );

describe('a mongod that does not handle SIGTERM', { timeout: LIMIT_MS }, () => {
  it('F29 the others stop; it is named, mailed as overdue and left alive; when it goes on it exits cleanly', async () => {
    const host = await atrest.host('f29-patient', { warnAfterMs: WARN_AFTER_MS });
    const project = await atrest.project('F29-patient');
    const { cluster } = await replicaSet(project, [host, host, host]);
    const frozen = secondaryOf(cluster);
    signal(frozen.pid, 'SIGSTOP');

    await project.key('disable');
    const left = await untilOnlyLeft(project, frozen);
    expect(pidsOf(left)).toEqual([frozen.pid]);
    for (const pid of pidsOf(cluster)) expect(await isRunning(pid)).toBe(pid === frozen.pid);
    const ofFrozen = ({ text }: { text: string }) => text.includes(`127.0.0.1:${frozen.port}`);
    const mail = await project.untilMail(/a process does not stop/, { about: ofFrozen });
    expect(mail.recipients).toEqual(project.owners);
    expect((await project.cluster('orders')).selfManaged.state).toBe('DISABLING');
    expect(await isRunning(frozen.pid)).toBe(true);

    signal(frozen.pid, 'SIGCONT');
    await project.untilClusterIs('orders', 'DISABLED');
    expect(host.lines('the process did not stop in time and is killed')).toEqual([]);
    expect(host.lines('process stopped').map((line) => line.exitCode)).toEqual([0, 0, 0]);
    const mails = await project.mails();
    expect(mails.filter(({ subject }) => subject.includes('not usable'))).toHaveLength(1);
    expect(mails.filter(ofFrozen)).toHaveLength(1);
  });

  it('F29 it is killed when patience is over, not before, and its data survives', async () => {
    const host = await atrest.host('f29-killed', { warnAfterMs: WARN_AFTER_MS, killAfterMs: KILL_AFTER_MS });
    const project = await atrest.project('F29-killed');
    const { cluster } = await replicaSet(project, [host]);
    const [pid] = pidsOf(cluster) as [number];
    signal(pid, 'SIGSTOP');

    await project.key('disable');
    const disabled = await project.untilClusterIs('orders', 'DISABLED');
    expect(await isRunning(pid)).toBe(false);
    expect(disabled.selfManaged.processes[0]?.error).toContain('did not stop in time and was killed');
    const [ordered, killed] = ['stop signal sent', 'the process did not stop in time and is killed'].map((message) =>
      Date.parse(host.lines(message)[0]!.time),
    ) as [number, number];
    // The agent's own clock and that of its log may differ by a rounding.
    expect(killed - ordered).toBeGreaterThanOrEqual(KILL_AFTER_MS - 10);

    await project.key('enable');
    await project.write('orders', 2);
    expect(await project.written('orders')).toEqual([1, 2]);
  });

  it('F35 key valid again while stopping is half done: the cluster turns round and is whole when the process goes on', async () => {
    const host = await atrest.host('f35');
    const project = await atrest.project('F35-shop');
    const { cluster } = await replicaSet(project, [host, host, host]);
    const frozen = secondaryOf(cluster);
    signal(frozen.pid, 'SIGSTOP');

    await project.key('disable');
    await untilOnlyLeft(project, frozen);
    await project.key('enable');
    await project.untilClusterIs('orders', 'ENABLING');
    await project.write('orders', 2);
    expect((await project.cluster('orders')).selfManaged.state).toBe('ENABLING');

    signal(frozen.pid, 'SIGCONT');
    const back = await project.untilClusterIs('orders', 'IDLE');
    expect(pidsOf(back)).toHaveLength(3);
    // A stop that was begun is seen through: a process that is ending cannot be called back.
    expect(pidsOf(back)).not.toContain(frozen.pid);
    await project.write('orders', 3);
    expect(await project.written('orders')).toEqual([1, 2, 3]);
  });
});

describe('hosts and hands that do not obey', { timeout: LIMIT_MS }, () => {
  it('F30 a host that is away when the order is given stops its processes when it is back; rebooted, it starts none', async () => {
    const [near, away] = [await atrest.host('f30-near'), await atrest.host('f30-away')];
    const project = await atrest.project('F30-shop');
    const { ports, cluster } = await replicaSet(project, [near, near, away]);
    const remote = on(cluster, ports[2]!);

    await away.endAgent();
    await project.key('disable');
    const left = await project.untilCluster(
      'orders',
      'DISABLING with the processes of the near host stopped',
      ({ state, processes }) => state === 'DISABLING' && processes.filter(({ status }) => status === 'stopped').length === 2,
    );
    expect(on(left, remote.port).status).not.toBe('stopped');
    expect(await isRunning(remote.pid!)).toBe(true);
    await away.start();
    await project.untilClusterIs('orders', 'DISABLED');
    expect(await isRunning(remote.pid!)).toBe(false);
    expect(away.lines('running process adopted')).toHaveLength(1);

    await project.key('enable');
    await project.untilClusterIs('orders', 'IDLE');
    const rebooted = on(await project.cluster('orders'), remote.port);
    const starts = away.lines('process started').length;
    await away.endAgent();
    await project.key('disable');
    await project.untilClusterIs('orders', 'DISABLING');
    signal(rebooted.pid!, 'SIGKILL');
    await away.start();
    await project.untilClusterIs('orders', 'DISABLED');
    expect(away.lines('process started')).toHaveLength(starts);
    expect(await isRunning(rebooted.pid!)).toBe(false);

    await project.key('enable');
    await project.untilClusterIs('orders', 'IDLE');
    await project.write('orders', 2);
    expect(await project.written('orders')).toEqual([1, 2]);
  });

  it('F34 somebody starts mongod by hand: it is stopped again, the cluster stays DISABLED, the owners hear of it', async () => {
    const host = await atrest.host('f34');
    const project = await atrest.project('F34-shop');
    const { cluster } = await replicaSet(project, [host]);
    const { dbPath, port } = cluster.selfManaged.processes[0]!;
    const original = await new ChildProcessRunner({ scanReuseMs: 0 }).find({ dbPath: dbPath! });
    await project.key('disable');
    await project.untilClusterIs('orders', 'DISABLED');

    const [program, ...argv] = original!.argv as [string, ...string[]];
    const byHand = spawn(program, argv, { cwd: original!.cwd ?? '/', stdio: 'ignore' });
    const end = new Promise<number | null>((resolve) => byHand.once('exit', resolve));
    const states = new Set<string>();
    const mail = await waitFor(
      async () => {
        states.add((await project.cluster('orders')).selfManaged.state);
        return (await project.mails()).find(({ subject }) => subject.includes('a process was started by hand'));
      },
      { describe: 'the mail about a process that was started by hand', limitMs: LIMIT_MS },
    );
    expect(await end).toBe(0);
    expect(mail.text).toContain(`127.0.0.1:${port}`);
    const after = await project.untilCluster('orders', 'stopped', ({ processes }) => processes[0]!.status === 'stopped');
    states.add(after.selfManaged.state);
    expect([...states]).toEqual(['DISABLED']);

    await project.key('enable');
    await project.write('orders', 2);
    expect(await project.written('orders')).toEqual([1, 2]);
  });
});
