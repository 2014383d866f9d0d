import { chmod, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@atrest/platform-logging';
import { testDatabase, type TestDatabase } from '@atrest/testing';
import { readConfiguration } from '../configuration.js';
import { ApiClient } from '../demo/api-client.js';
import { Standalone } from '../standalone.js';
import { TestHost, type TestHostOptions } from './host.contract.js';
import { endProcessesIn, freePortRange, serversUnderTest } from './machine.contract.js';
import { TestProject, type SystemAddresses } from './project.contract.js';

/** A folder that everybody may enter: root's PostgreSQL runs as somebody else. */
export async function testFolder(): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'atrest-e2e-')));
  await chmod(folder, 0o755);
  return folder;
}

/** Short intervals, so that a test waits for what happens and not for the next check. */
export const SHORT_INTERVALS = { ATREST_CHECK_INTERVAL: '1s', ATREST_CHECK_CONFIRMATION_WINDOW: '1s', ATREST_MONGOD_DOWNLOAD: 'false' };

/** Told when a project has no owner. */
export const OPERATOR = 'operator@atrest.example';

/** A whole Atrest in this process, with a database of its own, and hosts that a test adds. */
export class TestInstallation {
  /** What the services logged, oldest first. */
  readonly log: Record<string, unknown>[];
  readonly #hosts: TestHost[] = [];

  private constructor(
    readonly folder: string,
    private readonly database: TestDatabase,
    private readonly standalone: Standalone,
    private readonly addresses: SystemAddresses,
    log: Record<string, unknown>[],
  ) {
    this.log = log;
  }

  /** @param variables configuration beside the defaults of tests: no local agent, short intervals. */
  static async start(name: string, variables: Record<string, string> = {}): Promise<TestInstallation> {
    const folder = await testFolder();
    const log: Record<string, unknown>[] = [];
    const database = await testDatabase(name);
    try {
      const ports = await freePortRange(20);
      const configuration = readConfiguration({
        ...SHORT_INTERVALS,
        ATREST_DATA_DIR: folder,
        ATREST_DATABASE_URL: database.url,
        ATREST_HTTP_PORT: '0',
        ATREST_OPERATOR_ADDRESS: OPERATOR,
        ATREST_AGENT: 'false',
        ATREST_AGENT_PORTS: `${ports}-${ports + 19}`,
        ...variables,
      });
      const standalone = await Standalone.start(configuration, loggerInto(log));
      const { apiUrl, owner, developmentKms, mailboxUrl } = standalone.summary;
      const addresses = {
        api: new ApiClient(apiUrl, owner!),
        orgId: owner!.orgId,
        kmsUrl: developmentKms!.server.url,
        mailboxUrl: mailboxUrl ?? '',
      };
      return new TestInstallation(folder, database, standalone, addresses, log);
    } catch (error) {
      await remove(folder, database);
      throw error;
    }
  }

  /** An enrolled host with an agent. */
  async host(name: string, stop: NonNullable<TestHostOptions['stop']> = {}): Promise<TestHost> {
    const { api, orgId } = this.addresses;
    const { token } = await api.post<{ token: string }>(`/orgs/${orgId}/hosts:enrolmentToken`, {});
    const host = new TestHost({
      controlPlaneUrl: this.apiUrl,
      token,
      folder: join(this.folder, 'hosts', name),
      servers: await serversUnderTest(),
      stop,
    });
    this.#hosts.push(host);
    return host.start();
  }

  /** A project with a key. `name` is what its mails are found by, so it is used once. */
  project(name: string, o: { owners?: number; mailboxUrl?: () => string } = {}): Promise<TestProject> {
    const system = (): SystemAddresses => ({ ...this.addresses, ...(o.mailboxUrl && { mailboxUrl: o.mailboxUrl() }) });
    return new TestProject(system, name, o.owners ?? 1).create().then((project) => project.bringKey());
  }

  get apiUrl(): string {
    return this.standalone.summary.apiUrl;
  }

  lines(message: string): Record<string, unknown>[] {
    return this.log.filter((line) => line['msg'] === message);
  }

  /** Ends everything, whatever state a failed test left it in. */
  async close(): Promise<void> {
    const ends = await Promise.allSettled(this.#hosts.map((host) => host.endAgent()));
    await this.standalone.stop(loggerInto(this.log), 'leave');
    await remove(this.folder, this.database);
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed) throw failed.reason;
  }
}

async function remove(folder: string, database: TestDatabase): Promise<void> {
  await endProcessesIn(folder);
  await database.drop();
  await rm(folder, { recursive: true, force: true });
}

const loggerInto = (lines: Record<string, unknown>[]) =>
  createLogger({
    service: 'standalone',
    destination: { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
  });
