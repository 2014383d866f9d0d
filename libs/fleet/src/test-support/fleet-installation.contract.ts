import {
  keyConfigurationInvalidated,
  keyConfigurationSaved,
  keyConfigurationValidated,
  newObjectId,
  topics,
  type EventDefinition,
  type EventEnvelope,
  type KeyConfigurationState,
} from '@atrest/contracts';
import { SealingKeys } from '@atrest/platform-auth';
import { createHttpApp } from '@atrest/platform-http';
import { createLogger } from '@atrest/platform-logging';
import { EmbeddedTransport } from '@atrest/platform-messaging';
import { Metrics } from '@atrest/platform-metrics';
import { ServiceDatabase } from '@atrest/platform-persistence';
import { SimulatedClock } from '@atrest/platform-time';
import { testDatabase, waitFor, type TestDatabase } from '@atrest/testing';
import { randomUUID } from 'node:crypto';
import { createFleetService, type FleetService } from '../create-fleet-service.js';
import { FakeAgent, type FakeAgentOptions } from './fake-agent.contract.js';
import { START } from './process-views.contract.js';

const logger = createLogger({ service: 'test', level: 'silent' });
const ISSUER = 'https://atrest.test';

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  // eslint-disable-next-line typescript/no-explicit-any -- suites look into bodies of many shapes; what they expect is their assertion.
  readonly body: any;
}

export interface CallOptions {
  readonly version?: string;
  readonly body?: unknown;
  readonly token?: string;
  readonly headers?: Record<string, string>;
}

/** One replica of the service with its HTTP side. */
interface Replica {
  readonly fleet: FleetService;
  readonly url: string;
  stop(): Promise<void>;
}

const SEALING_KEYS = SealingKeys.generate('k1');

async function startReplica(url: string, clock: SimulatedClock, transport: EmbeddedTransport): Promise<Replica> {
  const metrics = new Metrics({});
  const fleet = await createFleetService(
    { database: { url, poolSize: 12 }, transport, clock, logger, metrics },
    { sealingKeys: SealingKeys.parse(SEALING_KEYS), issuer: ISSUER },
  );
  await fleet.start();
  const http = await createHttpApp({ modules: [fleet.module], logger, metrics });
  return {
    fleet,
    url: await http.listen(0, '127.0.0.1'),
    stop: async () => {
      await http.close();
      await fleet.stop();
    },
  };
}

/** A whole fleet with a real database, real HTTP and an organisation's owner; time stands still until told otherwise. */
export class FleetInstallation {
  readonly events: EventEnvelope[] = [];
  private replicas: Replica[] = [];

  private constructor(
    private readonly test: TestDatabase,
    readonly clock: SimulatedClock,
    readonly transport: EmbeddedTransport,
    /** A second connection to fleet's schema, for what suites look at or do behind its back. */
    readonly database: ServiceDatabase,
    readonly owner: { readonly orgId: string; readonly clientId: string; readonly secret: string },
    /** Of the owner; it lasts an hour, see {@link logIn}. */
    public token: string,
  ) {}

  static async start(name: string): Promise<FleetInstallation> {
    const test = await testDatabase(`fleet ${name}`);
    const clock = new SimulatedClock(START);
    const transport = new EmbeddedTransport();
    let installation: FleetInstallation | undefined;
    await transport.subscribe({
      service: 'recorder',
      topics: Object.values(topics).map((topic) => topic.name),
      receive: (batch) => {
        installation?.events.push(...batch.map((event) => event.envelope as EventEnvelope));
        return Promise.resolve();
      },
    });
    const first = await startReplica(test.url, clock, transport);
    const database = await ServiceDatabase.open({
      service: 'fleet',
      url: test.url,
      migrations: [],
      logger,
      metrics: new Metrics({}),
      poolSize: 4,
    });
    const owner = await first.fleet.bootstrap();
    if (owner === null) throw new Error('the first start made no owner');
    installation = new FleetInstallation(test, clock, transport, database, owner, await tokenOf(first.url, owner));
    installation.replicas.push(first);
    return installation;
  }

  /** The replica that calls go to. */
  get fleet(): FleetService {
    return this.replicas[0]!.fleet;
  }

  /** What the service seals with, as it is configured. */
  get sealingKeyText(): string {
    return SEALING_KEYS;
  }

  get sealingKeys(): SealingKeys {
    return SealingKeys.parse(SEALING_KEYS);
  }

  get url(): string {
    return this.replicas[0]!.url;
  }

  /** Starts one more replica; answers its URL. */
  async addReplica(): Promise<string> {
    const replica = await startReplica(this.test.url, this.clock, this.transport);
    this.replicas.push(replica);
    return replica.url;
  }

  /** Stops the replica that calls go to; they go to the next one from now on. */
  async stopFirstReplica(): Promise<void> {
    await this.replicas.shift()?.stop();
  }

  async stop(): Promise<void> {
    for (const replica of this.replicas) await replica.stop();
    await this.database.close();
    await this.transport.close();
    await this.test.drop();
  }

  /** A call of the Atlas API, as the owner of the organisation unless another token is given. */
  async call(method: string, path: string, o: CallOptions = {}): Promise<Reply> {
    const media = `application/vnd.atlas.${o.version ?? '2025-03-12'}+json`;
    const response = await fetch(`${this.url}/api/atlas/v2${path}`, {
      method,
      headers: {
        accept: media,
        authorization: `Bearer ${o.token ?? this.token}`,
        ...(o.body !== undefined && { 'content-type': media }),
        ...o.headers,
      },
      ...(o.body !== undefined && { body: JSON.stringify(o.body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) };
  }

  /** A new token for the owner: for suites in which more than an hour passes. */
  async logIn(): Promise<void> {
    this.token = await tokenOf(this.url, this.owner);
  }

  /** A token of a service account with these roles in a project. */
  async member(projectId: string, roles: readonly string[]): Promise<string> {
    const { body } = await this.call('POST', `/groups/${projectId}/serviceAccounts`, {
      version: '2024-08-05',
      body: { name: 'member', description: 'of a project', roles, secretExpiresAfterHours: 24 },
    });
    return tokenOf(this.url, { clientId: body.clientId, secret: body.secrets[0].secret });
  }

  async project(name = `shop ${newObjectId()}`): Promise<string> {
    const { status, body } = await this.call('POST', '/groups', { body: { name, orgId: this.owner.orgId } });
    if (status !== 201) throw new Error(`no project: ${JSON.stringify(body)}`);
    return body.id as string;
  }

  async agent(o: Partial<FakeAgentOptions> = {}): Promise<FakeAgent> {
    return FakeAgent.enrol(this.url, this.clock, await this.fleet.createEnrolmentToken(), o);
  }

  async cluster(projectId: string, name: string): Promise<Reply['body']> {
    return (await this.call('GET', `/groups/${projectId}/clusters/${name}`)).body;
  }

  /** The agents poll, obey and report until the cluster has the state. */
  async settle(projectId: string, name: string, state: string, agents: readonly FakeAgent[]): Promise<Reply['body']> {
    let seen: unknown;
    return waitFor(
      async () => {
        for (const agent of agents) await agent.sync();
        const { status, body } = await this.call('GET', `/groups/${projectId}/clusters/${name}`);
        seen = body.selfManaged ?? body;
        if (state === 'gone') return status === 404;
        return body.selfManaged?.state === state && body;
      },
      { describe: () => `${name} to be ${state}; last seen: ${JSON.stringify(seen)}` },
    );
  }

  /** What another service would say; resolves when fleet has taken it in. */
  async say<D>(definition: EventDefinition<D>, state: D): Promise<EventEnvelope<D>> {
    const envelope: EventEnvelope<D> = {
      specversion: '1.0',
      id: randomUUID(),
      source: '/atrest/kms-validation',
      type: definition.type,
      subject: definition.subjectOf(state),
      time: this.clock.now().toISOString(),
      datacontenttype: 'application/json',
      correlationid: 'test',
      data: state,
    };
    await this.transport.send([{ topic: definition.topic.name, envelope }]);
    await this.fleet.messaging.whenCaughtUp();
    return envelope;
  }

  /** The types of the cluster events published so far, without prefix and version. */
  async clusterEvents(name: string): Promise<string[]> {
    await this.fleet.messaging.whenCaughtUp();
    return this.events
      .filter((event) => event.type.startsWith('io.atrest.cluster.'))
      .filter((event) => {
        const data = event.data as { name?: string; cluster?: { name: string } };
        return (data.name ?? data.cluster?.name) === name;
      })
      .map((event) => event.type.replace('io.atrest.cluster.', '').replace('.v1', ''));
  }
}

async function tokenOf(url: string, account: { readonly clientId: string; readonly secret: string }): Promise<string> {
  const response = await fetch(`${url}/api/oauth/token`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${account.clientId}:${account.secret}`).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    body: 'grant_type=client_credentials',
  });
  return ((await response.json()) as { access_token: string }).access_token;
}

/** A project's key, with everything that may be said about it in order. */
export class FakeKey {
  private state: KeyConfigurationState;

  constructor(
    private readonly installation: FleetInstallation,
    projectId: string,
    provider: KeyConfigurationState['provider'] = 'AWS',
  ) {
    this.state = {
      id: newObjectId(),
      projectId,
      provider,
      enabled: true,
      state: 'VALID',
      mode: 'enforce',
      keyId: 'alias/customer',
      resolvedKeyId: 'arn:aws:kms:eu-central-1:111122223333:key/1',
      region: 'EU_CENTRAL_1',
      evidence: [],
      invalidSince: null,
      unreachableSince: null,
      lastProvenAt: null,
      revision: 0,
    };
  }

  saved(change: Partial<KeyConfigurationState> = {}) {
    return this.say(keyConfigurationSaved, change);
  }

  invalidated(change: Partial<KeyConfigurationState> = {}) {
    const at = this.installation.clock.now().toISOString();
    const evidence = {
      verdict: 'definitive' as const,
      reason: 'KEY_DISABLED' as const,
      errorName: 'DisabledException',
      message: 'The key is disabled.',
      httpStatus: 400,
      requestId: 'r-1',
      at,
      observer: 'test',
    };
    return this.say(keyConfigurationInvalidated, { state: 'INVALID', evidence: [evidence], invalidSince: at, ...change });
  }

  validated() {
    return this.say(keyConfigurationValidated, { state: 'VALID', evidence: [], invalidSince: null });
  }

  say(definition: EventDefinition<KeyConfigurationState>, change: Partial<KeyConfigurationState>) {
    this.state = { ...this.state, ...change, revision: this.state.revision + 1 };
    return this.installation.say(definition, this.state);
  }
}

/** What Terraform sends for a replica set. */
export const replicaSet = (name: string, change: object = {}): object => ({
  clusterType: 'REPLICASET',
  labels: [],
  name,
  replicationSpecs: [
    {
      regionConfigs: [{ electableSpecs: { instanceSize: 'M10', nodeCount: 3 }, priority: 7, providerName: 'AWS', regionName: 'US_EAST_1' }],
      zoneName: 'ZoneName managed by Terraform',
    },
  ],
  tags: [],
  ...change,
});
