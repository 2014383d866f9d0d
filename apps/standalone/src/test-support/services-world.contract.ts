import { chmod, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { createLogger } from '@atrest/platform-logging';
import { waitFor } from '@atrest/testing';
import pg from 'pg';
import { ApiCallError, ApiClient } from '../demo/api-client.js';
import { Customer } from '../demo/customer.js';
import { readServicesConfiguration } from '../services/configuration.js';
import { ServiceProcesses } from '../services/service-processes.js';
import { freePortRange } from './machine.contract.js';

/** Only ends what hangs: a service that was killed while Kafka was away takes its time on a busy machine. */
export const LIMIT_MS = 240_000;

const SCHEMAS = ['fleet', 'kms_validation', 'notification', 'restore_execution', 'snapshot_catalog'] as const;
const others = (table: string): string[] => SCHEMAS.filter((schema) => schema !== 'fleet').map((schema) => `${schema}.${table}`);

/** Each kind of aggregate with its owner's table and all of its projections; what the columns say must be equal. */
const PROJECTIONS = [
  { aggregate: 'fleet.project', columns: 'id, revision, deleted_at IS NULL AS alive', projections: others('project') },
  { aggregate: 'fleet.cluster', columns: 'id, revision, deleted_at IS NULL AS alive', projections: others('cluster') },
  {
    aggregate: 'fleet.service_account',
    columns: 'client_id AS id, revision, deleted_at IS NULL AS alive',
    projections: SCHEMAS.map((schema) => `${schema}.access_service_account`),
  },
  { aggregate: 'fleet.signing_key', columns: 'kid AS id', projections: SCHEMAS.map((schema) => `${schema}.access_signing_key`) },
  {
    aggregate: 'kms_validation.key_configuration',
    columns: 'id, revision',
    projections: ['fleet.key_configuration', 'notification.key_configuration', 'snapshot_catalog.key_configuration'],
  },
] as const;

/** What is left to do, anywhere. */
const UNFINISHED = SCHEMAS.map(
  (schema) =>
    `(SELECT count(*) FROM ${schema}.outbox WHERE published_at IS NULL) + (SELECT count(*) FROM ${schema}.inbox WHERE status = 'pending')`,
).join(' + ');

/** All services as processes, for tests that end them, with customers who go on working meanwhile. */
export class ServicesWorld {
  private constructor(
    readonly system: ServiceProcesses,
    private readonly folder: string,
    private readonly customer: Customer,
    private readonly orgId: string,
  ) {}

  static async start(): Promise<ServicesWorld> {
    const folder = await realpath(await mkdtemp(join(tmpdir(), 'atrest-world-')));
    // PostgreSQL, which refuses to run as root, must reach its own folder in here.
    await chmod(folder, 0o711);
    const ports = await freePortRange(20);
    const environment = {
      ATREST_DATA_DIR: folder,
      ATREST_HTTP_PORT: '0',
      ATREST_MONGOD_DOWNLOAD: 'false',
      ATREST_ON_EXIT: 'stop',
      ATREST_AGENT_PORTS: `${ports}-${ports + 19}`,
      // Whoever was killed is replaced soon, so that events flow between two kills.
      ATREST_KAFKA_SESSION_TIMEOUT: '3s',
    };
    const logger = createLogger({ service: 'test', file: join(folder, 'test.log') });
    const system = await ServiceProcesses.start({ configuration: readServicesConfiguration(environment), environment, logger });
    const { apiUrl, owner, developmentKms } = system.summary;
    const kms = { endpoint: developmentKms!.server.url, ...developmentKms!.credentials };
    const customer = new Customer({ api: new ApiClient(apiUrl, owner!), orgId: owner!.orgId, kms, mails: system.mailCatcher });
    await customer.createProject('With a cluster', ['owner@shop.example']);
    await customer.bringKey();
    await customer.createCluster('shop', 1, 'NONE');
    return new ServicesWorld(system, folder, customer, owner!.orgId);
  }

  /** What is done until it is stopped: projects come, change and go, accounts and keys with them, a cluster changes. */
  traffic(): Traffic {
    return new Traffic(this.customer.api, this.orgId, this.customer.projectId);
  }

  /**
   * Waits until nothing is left to do and every projection equals its aggregate, and answers how many aggregates there are and how many
   * events were parked.
   */
  async comparison(): Promise<{ readonly aggregates: Readonly<Record<string, number>>; readonly parked: number }> {
    let unequal: string[] = [];
    const aggregates: Record<string, number> = {};
    await waitFor(
      () =>
        this.asAdministrator(async (query) => {
          const [left] = await query<{ count: number }>(`SELECT (${UNFINISHED})::int AS count`);
          unequal = left?.count === 0 ? [] : [`${left?.count} events wait`];
          for (const { aggregate, columns, projections } of PROJECTIONS) {
            const read = (table: string) => query<{ id: string }>(`SELECT ${columns} FROM ${table} ORDER BY id`);
            const source = await read(aggregate);
            aggregates[aggregate] = source.length;
            for (const table of projections)
              if (!isDeepStrictEqual(await read(table), source)) unequal.push(`${table} differs from ${aggregate}`);
          }
          return unequal.length === 0;
        }),
      { describe: () => `every projection to equal its aggregate (${unequal.join(', ')})`, limitMs: LIMIT_MS },
    );
    const parked = await this.asAdministrator((query) =>
      query<{ count: number }>(
        `SELECT (${SCHEMAS.map((schema) => `(SELECT count(*) FROM ${schema}.dead_letter)`).join(' + ')})::int AS count`,
      ),
    );
    return { aggregates, parked: parked[0]?.count ?? -1 };
  }

  async close(): Promise<void> {
    this.customer.close();
    await this.system.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  private async asAdministrator<T>(work: (query: <Row>(sql: string) => Promise<Row[]>) => Promise<T>): Promise<T> {
    const client = new pg.Client({ connectionString: this.system.postgres.url });
    // A server that is killed ends the connection; the query under way fails, and that is enough.
    client.on('error', () => undefined);
    await client.connect();
    try {
      return await work(async <Row>(sql: string) => (await client.query(sql)).rows as Row[]);
    } finally {
      await client.end();
    }
  }
}

/** Three customers at work. What fails while something is down is tried again until it is done. */
export class Traffic {
  /** Changes that were answered. */
  done = 0;
  private stopped = false;
  private readonly writers: Promise<void>[];

  constructor(
    private readonly api: ApiClient,
    private readonly orgId: string,
    private readonly clusterProject: string,
  ) {
    const run = Date.now().toString(36);
    this.writers = ['a', 'b', 'c'].map((writer) => this.write(`${run}-${writer}`));
  }

  /** Until `count` more changes were answered. */
  async progress(count: number): Promise<void> {
    const target = this.done + count;
    await Promise.race([
      waitFor(() => this.done >= target, { describe: () => `change ${target} (there are ${this.done})`, limitMs: LIMIT_MS }),
      // A writer that failed says why.
      Promise.all(this.writers),
    ]);
  }

  /** Lets what is under way end. */
  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all(this.writers);
  }

  private async write(writer: string): Promise<void> {
    for (let step = 0; !this.stopped; step += 1) {
      const name = `${writer}-${step}`;
      await this.change(() => this.api.post('/groups', { name, orgId: this.orgId }));
      const { id } = await this.change(() => this.api.get<{ id: string }>(`/groups/byName/${name}`));
      await this.change(() => this.api.post(`/groups/${id}/users`, { username: `${step}@shop.example`, roles: ['GROUP_OWNER'] }));
      await this.change(() =>
        this.api.post(`/groups/${id}/serviceAccounts`, {
          name: `account-${step}`,
          description: 'of a test',
          roles: ['GROUP_READ_ONLY'],
          secretExpiresAfterHours: 8,
        }),
      );
      await this.change(() => this.api.patch(`/groups/${this.clusterProject}/clusters/shop`, { tags: [{ key: 'step', value: name }] }));
      if (step % 3 === 2) await this.change(() => this.api.delete(`/groups/${id}`));
      else await this.change(() => this.api.patch(`/groups/${id}`, { name: `${name}-changed` }));
    }
  }

  /** Conflict and, when something is deleted, absence say that an earlier attempt did it, whose answer was lost. */
  private async change<T>(attempt: () => Promise<T>): Promise<T> {
    const answer = await waitFor(
      async () => {
        try {
          return { value: await attempt() };
        } catch (error) {
          if (error instanceof ApiCallError && (error.status === 409 || (error.method === 'DELETE' && error.status === 404))) {
            return { value: undefined as T };
          }
          throw error;
        }
      },
      { describe: 'a change to be answered', limitMs: LIMIT_MS },
    );
    this.done += 1;
    return answer.value;
  }
}
