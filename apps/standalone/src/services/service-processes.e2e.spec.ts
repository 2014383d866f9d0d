import { randomUUID } from 'node:crypto';
import { chmod, mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@atrest/platform-logging';
import { kafkaAvailable, waitFor } from '@atrest/testing';
import type { JWK } from 'jose';
import kafkajs, { type KafkaMessage } from 'kafkajs';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiClient } from '../demo/api-client.js';
import { Customer } from '../demo/customer.js';
import { programsIn } from '../demo/programs-in.js';
import { freePortRange } from '../test-support/machine.contract.js';
import { readServicesConfiguration } from './configuration.js';
import { ServiceProcesses } from './service-processes.js';

/** Eight processes, two servers and a first start of everything; only ends what hangs. */
const LIMIT_MS = 600_000;

/** What docs/how-to tells other teams to do, as its own code. */
interface HowTo {
  newSigningKey(): Promise<{ privateJwk: JWK; publicJwk: JWK }>;
  restoreCommand(o: object): { readonly commandId: string; readonly idempotencyKey: string };
  signCommand(command: object, privateJwk: JWK): Promise<string>;
  kafkaMessage(command: object, jws: string): { key: string; value: string; headers: Record<string, string> };
}

const howToFile = new URL('../../../../docs/how-to/publish-a-restore-command.mjs', import.meta.url);

describe.skipIf(!(await kafkaAvailable()))('services in processes of their own', { timeout: LIMIT_MS }, () => {
  let folder: string;
  let system: ServiceProcesses;
  let owner: NonNullable<ServiceProcesses['summary']['owner']>;
  let api: ApiClient;
  let projectId: string;

  async function start(): Promise<void> {
    const ports = await freePortRange(20);
    const environment = {
      ATREST_DATA_DIR: folder,
      ATREST_HTTP_PORT: '0',
      ATREST_MONGOD_DOWNLOAD: 'false',
      ATREST_ON_EXIT: 'stop',
      ATREST_AGENT_PORTS: `${ports}-${ports + 19}`,
      ATREST_KAFKA_SESSION_TIMEOUT: '5s',
    };
    const logger = createLogger({ service: 'test', file: join(folder, 'test.log') });
    system = await ServiceProcesses.start({ configuration: readServicesConfiguration(environment), environment, logger });
  }

  beforeAll(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'atrest-services-')));
    // PostgreSQL, which refuses to run as root, must reach its own folder in here.
    await chmod(folder, 0o711);
    await start();
    owner = system.summary.owner!;
    api = new ApiClient(system.summary.apiUrl, owner);
    projectId = (await api.post<{ id: string }>('/groups', { name: 'Web shop', orgId: owner.orgId })).id;
  }, LIMIT_MS);
  afterAll(async () => {
    await system?.stop();
    await rm(folder, { recursive: true });
  });

  async function rows<Row>(sql: string): Promise<Row[]> {
    const client = new pg.Client({ connectionString: system.postgres.url });
    await client.connect();
    try {
      return (await client.query(sql)).rows as Row[];
    } finally {
      await client.end();
    }
  }

  it('work over Kafka, each with a role of its own, and survive a kill', async () => {
    // Served by another process, which knows the project and the account from Kafka.
    const alerts = await waitFor(() => api.get(`/groups/${projectId}/alerts`), {
      describe: 'notification to know them',
      limitMs: LIMIT_MS / 4,
    });
    expect(alerts).toMatchObject({ totalCount: 0 });

    const victim = system.programs.get('kms-validation')!;
    victim.kill();
    await waitFor(() => victim.restarts === 1 && victim.pid !== null, { describe: 'it to be started again', limitMs: LIMIT_MS / 4 });
    const configuration = await waitFor(() => api.get<{ awsKms: object }>(`/groups/${projectId}/encryptionAtRest`), {
      describe: 'kms-validation to be back',
      limitMs: LIMIT_MS / 4,
    });
    expect(configuration.awsKms).toBeDefined();
    expect(victim.restarts).toBe(1);

    const connected = await rows(
      `SELECT DISTINCT usename AS role, nspname AS schema FROM pg_stat_activity JOIN pg_namespace ON nspowner = usesysid
        WHERE application_name LIKE 'atrest-%' ORDER BY schema`,
    );
    expect(connected).toEqual(
      ['fleet', 'kms_validation', 'notification', 'restore_execution', 'snapshot_catalog'].map((schema) => ({
        role: `atrest_${schema}`,
        schema,
      })),
    );
  });

  it('a restore command of another team is checked, answered and has one effect; what nobody signed is rejected and parked', async () => {
    const howTo = (await import(howToFile.href)) as HowTo;
    const regionConfigs = [
      { providerName: 'AWS', regionName: 'US_EAST_1', priority: 7, electableSpecs: { instanceSize: 'M10', nodeCount: 1 } },
    ];
    await api.post(`/groups/${projectId}/clusters`, { name: 'shop', clusterType: 'REPLICASET', replicationSpecs: [{ regionConfigs }] });
    const account = { name: 'nightly copy', description: 'restores', roles: ['GROUP_BACKUP_MANAGER'], secretExpiresAfterHours: 8 };
    const { clientId } = await api.post<{ clientId: string }>(`/groups/${projectId}/serviceAccounts`, account);
    const [key, strangers] = await Promise.all([howTo.newSigningKey(), howTo.newSigningKey()]);
    await api.post(`/orgs/${owner.orgId}/serviceAccounts/${clientId}/signingKeys`, { publicJwk: key.publicJwk });

    const shop = { projectId, clusterName: 'shop' };
    const command = howTo.restoreCommand({ clientId, source: shop, target: shop, snapshotId: 'a'.repeat(24), idempotencyKey: 'nightly-1' });
    const forged = howTo.restoreCommand({ clientId, source: shop, target: shop, snapshotId: 'b'.repeat(24), idempotencyKey: 'nightly-2' });
    const jws = await howTo.signCommand(command, key.privateJwk);
    const first = howTo.kafkaMessage(command, jws);
    // Delivered twice, and once more in a message of its own: other partition, other id, same idempotency key.
    const again = { ...howTo.kafkaMessage(command, jws), key: randomUUID() };
    const unsigned = { ...howTo.kafkaMessage(forged, ''), value: JSON.stringify(forged) };
    const signedByAStranger = howTo.kafkaMessage(forged, await howTo.signCommand(forged, strangers.privateJwk));
    const messages = [first, first, again, unsigned, signedByAStranger];

    const client = new kafkajs.Kafka({ brokers: system.summary.brokers.split(','), logLevel: kafkajs.logLevel.NOTHING });
    const producer = client.producer();
    await producer.connect();
    await producer.send({ topic: 'atrest.restore-commands', messages });
    await producer.disconnect();

    const answers: { type: string; data: Record<string, unknown> }[] = [];
    const parked: string[] = [];
    const consumer = client.consumer({ groupId: randomUUID(), maxWaitTimeInMs: 100 });
    await consumer.connect();
    await consumer.subscribe({ topics: ['atrest.restore-jobs', 'atrest.restore-commands.dlq'], fromBeginning: true });
    const header = ({ headers }: KafkaMessage, name: string): string | undefined => headers?.[name]?.toString();
    await consumer.run({
      eachMessage: async ({ topic, message }) => {
        if (topic.endsWith('.dlq')) parked.push(`${header(message, 'ce_id')} ${header(message, 'ce_subject')}`);
        else answers.push({ type: header(message, 'ce_type')!, data: JSON.parse(message.value!.toString()) as Record<string, unknown> });
      },
    });
    // Everything that was sent is decided, and what that wrote is out.
    const left = `SELECT (SELECT count(DISTINCT event_id) FROM restore_execution.inbox WHERE topic = 'atrest.restore-commands')::int AS arrived,
      (SELECT count(*) FROM restore_execution.inbox WHERE status = 'pending')::int
        + (SELECT count(*) FROM restore_execution.outbox WHERE published_at IS NULL)::int AS waiting`;
    await waitFor(
      async () => {
        const [state] = await rows<{ arrived: number; waiting: number }>(left);
        return state!.arrived === 4 && state!.waiting === 0 && answers.length >= 3 && parked.length >= 2;
      },
      { describe: () => `answers (${answers.length}) and parked commands (${parked.length})`, limitMs: LIMIT_MS / 4 },
    );
    await consumer.disconnect();

    const rejected = 'io.atrest.restore-command.rejected.v1';
    expect(answers).toHaveLength(3);
    expect(answers).toEqual(
      expect.arrayContaining([
        {
          type: rejected,
          data: expect.objectContaining({ reason: 'RESTORES_NOT_SERVED', signedBy: clientId, commandId: command.commandId }),
        },
        // Nothing that an unverified message says of itself is repeated.
        {
          type: rejected,
          data: expect.objectContaining({
            reason: 'INVALID_MESSAGE',
            messageId: unsigned.headers['ce_id'],
            signedBy: null,
            commandId: null,
          }),
        },
        {
          type: rejected,
          data: expect.objectContaining({
            reason: 'INVALID_SIGNATURE',
            messageId: signedByAStranger.headers['ce_id'],
            signedBy: null,
            commandId: null,
          }),
        },
      ]),
    );
    expect(parked).toHaveLength(2);
    expect(parked).toEqual(
      expect.arrayContaining([unsigned, signedByAStranger].map(({ headers }) => `${headers['ce_id']} ${headers['ce_subject']}`)),
    );
    const recorded = await rows(`SELECT command_id FROM restore_execution.restore_command WHERE idempotency_key = 'nightly-1'`);
    expect(recorded).toEqual([{ command_id: command.commandId }]);
  });

  it('take a snapshot together: catalogue, fleet, access to the key sealed for the host, agent, and who is told', async () => {
    const { developmentKms, apiUrl } = system.summary;
    const kms = { endpoint: developmentKms!.server.url, ...developmentKms!.credentials };
    const customer = new Customer({ api: new ApiClient(apiUrl, owner), orgId: owner.orgId, kms, mails: system.mailCatcher });
    try {
      await customer.createProject('With backups', ['owner@shop.example']);
      const keyId = await customer.bringKey();
      await customer.createCluster('shop', 1, 'AWS', true);
      await customer.untilState('shop', 'IDLE');
      const id = await waitFor(() => customer.askForSnapshot('shop'), { describe: 'a snapshot to be accepted', limitMs: LIMIT_MS / 4 });
      const snapshot = await customer.untilSnapshot('shop', id, 'completed', ({ status }) => status === 'completed');
      expect(snapshot.selfManaged).toMatchObject({ encryptionKeyId: expect.stringContaining(keyId), proof: expect.anything() });
      expect(await customer.whyNotDelete(snapshot.selfManaged.encryptionKeyId)).toContain('1 snapshot can only be restored with it');
      const events = () =>
        customer.api.get<{ results: { eventTypeName: string }[] }>(`/groups/${customer.projectId}/events?clusterNames=shop`);
      await waitFor(async () => (await events()).results.some(({ eventTypeName }) => eventTypeName === 'CPS_SNAPSHOT_SUCCESSFUL'), {
        describe: 'notification to know of the snapshot',
        limitMs: LIMIT_MS / 4,
      });
    } finally {
      customer.close();
    }
  });

  it('complain about nothing, leave nothing running, and keep what they know over a restart', async () => {
    for (const name of ['fleet', 'kms-validation', 'notification', 'restore-execution', 'snapshot-catalog', 'ingress']) {
      expect(await readFile(join(system.logFolder, `${name}.log`), 'utf8')).not.toContain('Warning');
    }
    await system.stop();
    expect([...(await system.leftRunning()), ...(await programsIn(folder))]).toEqual([]);

    await start();
    expect(system.summary.owner).toBeNull();
    const again = new ApiClient(system.summary.apiUrl, owner);
    expect(await again.get(`/groups/${projectId}`)).toMatchObject({ name: 'Web shop' });
  });
});
