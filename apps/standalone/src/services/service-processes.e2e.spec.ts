import { chmod, mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@atrest/platform-logging';
import { kafkaAvailable, waitFor } from '@atrest/testing';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiClient } from '../demo/api-client.js';
import { programsIn } from '../demo/programs-in.js';
import { readServicesConfiguration } from './configuration.js';
import { ServiceProcesses } from './service-processes.js';

/** Seven processes, two servers and a first start of everything; only ends what hangs. */
const LIMIT_MS = 600_000;

describe.skipIf(!(await kafkaAvailable()))('services in processes of their own', () => {
  let folder: string;
  let system: ServiceProcesses | undefined;

  beforeEach(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'atrest-services-')));
    // PostgreSQL, which refuses to run as root, must reach its own folder in here.
    await chmod(folder, 0o711);
  });
  afterEach(async () => {
    await system?.stop();
    await rm(folder, { recursive: true });
  });

  async function start(): Promise<ServiceProcesses> {
    const environment = { ATREST_DATA_DIR: folder, ATREST_HTTP_PORT: '0', ATREST_MONGOD_DOWNLOAD: 'false', ATREST_ON_EXIT: 'stop' };
    const logger = createLogger({ service: 'test', file: join(folder, 'test.log') });
    return ServiceProcesses.start({ configuration: readServicesConfiguration(environment), environment, logger });
  }

  it(
    'start as one, work over Kafka, survive a kill, keep what they know over a restart, and leave nothing running',
    async () => {
      system = await start();
      const { apiUrl, owner } = system.summary;
      const api = new ApiClient(apiUrl, owner!);
      const { id } = await api.post<{ id: string }>('/groups', { name: 'Web shop', orgId: owner!.orgId });
      // Served by another process, which knows the project and the account from Kafka.
      expect(await api.get(`/groups/${id}/alerts`)).toMatchObject({ totalCount: 0 });

      system.programs.get('kms-validation')!.kill();
      const configuration = await waitFor(() => api.get<{ awsKms: object }>(`/groups/${id}/encryptionAtRest`), {
        describe: 'kms-validation to be back',
        limitMs: LIMIT_MS / 4,
      });
      expect(configuration.awsKms).toBeDefined();
      expect(system.programs.get('kms-validation')!.restarts).toBe(1);

      const client = new pg.Client({ connectionString: system.postgres.url });
      await client.connect();
      const { rows } = await client.query(
        `SELECT DISTINCT usename AS role, nspname AS schema FROM pg_stat_activity JOIN pg_namespace ON nspowner = usesysid
          WHERE application_name LIKE 'atrest-%' ORDER BY schema`,
      );
      await client.end();
      expect(rows).toEqual(
        ['fleet', 'kms_validation', 'notification', 'restore_execution'].map((schema) => ({ role: `atrest_${schema}`, schema })),
      );

      // Nor do they complain about anything of Node or of a library.
      for (const service of ['fleet', 'kms-validation', 'notification', 'restore-execution', 'ingress']) {
        expect(await readFile(join(system.logFolder, `${service}.log`), 'utf8')).not.toContain('Warning');
      }

      await system.stop();
      expect([...(await system.leftRunning()), ...(await programsIn(folder))]).toEqual([]);

      system = await start();
      expect(system.summary.owner).toBeNull();
      const again = new ApiClient(system.summary.apiUrl, owner!);
      expect(await again.get(`/groups/${id}`)).toMatchObject({ name: 'Web shop' });
    },
    LIMIT_MS,
  );
});
