import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from '@atrest/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AgentLine, TestHost } from './test-support/host.contract.js';
import { TestInstallation } from './test-support/installation.contract.js';
import { filesContaining, isRunning, serversUnderTest } from './test-support/machine.contract.js';
import { pidsOf, type TestProject } from './test-support/project.contract.js';

const LIMIT_MS = 300_000;
const MARKER = `marker-${randomBytes(16).toString('hex')}`;
/** Of the agent of a test host: a failed start is tried again after half of this at least, and after twice as long each time. */
const RESTART_BASE_MS = 500;

/** A server without encrypted storage refuses its options before it looks at anything else. */
const { mongod } = await serversUnderTest();
const probe = spawnSync(mongod, ['--enableEncryption', '--encryptionKeyFile', '/no/such/key', '--dbpath', '/no/such/path', '--port', '0']);
const lacking = probe.status === 2;

describe.skipIf(lacking)(
  `a cluster whose files are encrypted${lacking ? ' (this server has no encrypted storage: it ends with exit code 2)' : ''}`,
  { timeout: LIMIT_MS },
  () => {
    let atrest: TestInstallation;
    let host: TestHost;
    let project: TestProject;
    let keyFile: string;
    const key = randomBytes(32).toString('base64');
    const useKey = (text: string) => writeFile(keyFile, `${text}\n`, { mode: 0o600 });

    beforeAll(async () => {
      atrest = await TestInstallation.start('encrypted-storage');
      host = await atrest.host('encrypted');
      project = await atrest.project('Encrypted');
      keyFile = join(atrest.folder, 'master-key');
      await useKey(key);
      await project.createReplicaSet('orders', [host, host, host], ['--enableEncryption', '--encryptionKeyFile', keyFile]);
      await project.untilClusterIs('orders', 'IDLE');
      await project.write('orders', 1, { marker: MARKER });
    }, LIMIT_MS);

    afterAll(() => atrest.close(), LIMIT_MS);

    async function revoked(): Promise<void> {
      await project.key('enable');
      const whole = await project.untilCluster(
        'orders',
        'IDLE with every process running',
        ({ state, processes }) => state === 'IDLE' && processes.every(({ pid, status }) => pid !== null && status === 'running'),
      );
      const pids = pidsOf(whole);
      await project.key('disable');
      await project.untilClusterIs('orders', 'DISABLED');
      for (const pid of pids) expect(await isRunning(pid)).toBe(false);
    }

    it('stops when the key is revoked, leaves nothing readable on disk, and starts with its data when the key is valid again', async () => {
      await revoked();
      expect(await filesContaining(host.dataFolder, MARKER)).toEqual([]);
      expect((await filesContaining(host.dataFolder, 'wiredTiger')).length).toBeGreaterThan(0);

      await project.key('enable');
      await project.write('orders', 2);
      await project.untilClusterIs('orders', 'IDLE');
      expect(await project.written('orders')).toContain(1);
      expect(await project.written('orders')).toContain(2);
    });

    it('F86 with another key, or one of 31 bytes, no process starts: the API says why, and starts are tried ever more rarely', async () => {
      await revoked();
      await useKey(randomBytes(32).toString('base64'));
      await project.key('enable');
      const failures = (): AgentLine[] => host.log.filter(({ msg }) => msg.startsWith('the process ended without an order'));
      const failed = await project.untilCluster(
        'orders',
        'ENABLING with every process failed by a wrong key',
        ({ state, processes }) =>
          state === 'ENABLING' &&
          processes.every(({ status, error }) => status === 'failed' && /exit code 14.*wrong key/.test(error ?? '')),
      );
      for (const { error } of failed.selfManaged.processes) expect(error).toContain('never run --repair');

      const { port } = failed.selfManaged.processes[0]!;
      const ofOne = () => failures().filter((line) => line.port === port);
      await waitFor(() => ofOne().length >= 4, {
        describe: () => `four failed starts of one process: ${ofOne().length}`,
        limitMs: LIMIT_MS,
      });
      const times = ofOne().map(({ time }) => new Date(time).getTime());
      times
        .slice(1)
        .forEach((time, index) => expect(time - times[index]!).toBeGreaterThanOrEqual((RESTART_BASE_MS / 2) * 2 ** Math.min(index, 3)));
      expect(ofOne().every(({ exitCode }) => exitCode === 14)).toBe(true);

      await useKey(randomBytes(31).toString('base64'));
      await project.untilCluster('orders', 'failed by a key of 31 bytes', ({ processes }) =>
        processes.every(({ error }) => error !== null && error.includes('encryption key length should be 32 bytes')),
      );

      await useKey(key);
      await project.write('orders', 3);
      await project.untilClusterIs('orders', 'IDLE');
      expect(await project.written('orders')).toEqual(expect.arrayContaining([1, 3]));
    });
  },
);
