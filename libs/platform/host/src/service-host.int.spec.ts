import 'reflect-metadata';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { AtlasRoute, RequestSignal } from '@atrest/platform-http';
import { createLogger } from '@atrest/platform-logging';
import { defineHandler, EmbeddedTransport, Messaging, messagingMigrations } from '@atrest/platform-messaging';
import { defineEvent } from '@atrest/contracts';
import { Metrics } from '@atrest/platform-metrics';
import { ServiceDatabase } from '@atrest/platform-persistence';
import type { Service, ServiceDependencies } from '@atrest/platform-service';
import { testDatabase, waitFor, type TestDatabase } from '@atrest/testing';
import { Controller } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ServiceHost } from './service-host.js';

const logger = createLogger({ service: 'test', level: process.env['TEST_LOG'] ?? 'silent' });

const sample = defineEvent<{ id: string }>({
  type: 'io.atrest.sample.changed.v1',
  topic: { name: 'sample', partitions: 1, compacted: false, retentionDays: 1, description: 'For tests.' },
  schema: z.object({ id: z.string() }),
  description: 'For tests.',
  subjectOf: ({ id }) => id,
});

let polls = 0;

@Controller()
class SampleController {
  @AtlasRoute({ method: 'GET', path: '/things', access: 'public', summary: 'For tests.' })
  things(): object {
    return { things: 1 };
  }

  @AtlasRoute({ method: 'GET', path: '/poll', access: 'public', summary: 'For tests: waits until it is told to end.' })
  async poll(@RequestSignal() signal: AbortSignal): Promise<object> {
    polls += 1;
    if (!signal.aborted) await once(signal, 'abort');
    return { ended: true };
  }
}
class SampleModule {}

async function createSampleService(dependencies: ServiceDependencies): Promise<Service> {
  const { transport, clock, logger, metrics } = dependencies;
  const database = await ServiceDatabase.open({
    ...dependencies.database,
    // One attempt: the host is the one who is patient here.
    connectTimeoutMs: 1,
    service: 'sample',
    migrations: [...messagingMigrations],
    logger,
    metrics,
  });
  const handlers = [defineHandler(sample, 'nothing', () => Promise.resolve())];
  const messaging = new Messaging({ service: 'sample', database, transport, consumes: [sample], handlers, clock, logger, metrics });
  return {
    name: 'sample',
    module: { module: SampleModule, controllers: [SampleController] },
    messaging,
    start: () => messaging.start(),
    stop: async () => {
      await messaging.stop();
      await database.close();
    },
    readiness: () => messaging.readiness(),
  };
}

/** A broker that is not there until somebody says so. */
class LateTransport extends EmbeddedTransport {
  there = false;

  override async subscribe(subscription: Parameters<EmbeddedTransport['subscribe']>[0]): ReturnType<EmbeddedTransport['subscribe']> {
    if (!this.there) throw new Error('connect ECONNREFUSED broker:9092');
    return super.subscribe(subscription);
  }
}

let database: TestDatabase;
let transport: LateTransport;
let host: ServiceHost | undefined;
let gate: Server;
/** The test database behind a port where nobody listens yet. */
let url: URL;

beforeEach(async () => {
  database = await testDatabase('host');
  transport = new LateTransport();
  const real = new URL(database.url);
  gate = createServer((client) => {
    const server = connect(Number(real.port), '127.0.0.1');
    client.pipe(server).pipe(client);
    for (const socket of [client, server]) socket.on('error', () => (client.destroy(), server.destroy()));
  }).listen(0, '127.0.0.1');
  await once(gate, 'listening');
  url = new URL(database.url);
  url.port = String((gate.address() as AddressInfo).port);
  gate.close();
  await once(gate, 'close');
});
afterEach(async () => {
  await host?.stop();
  host = undefined;
  gate.close();
  await database.drop();
});

async function startHost(): Promise<(path: string) => Promise<{ status: number; body: unknown }>> {
  host = await ServiceHost.start({
    name: 'sample',
    create: createSampleService,
    database: { url: url.href },
    transport,
    http: { host: '127.0.0.1', port: 0, publicUrl: 'http://atrest.example.com' },
    drainMs: 5_000,
    logger,
    metrics: new Metrics({}),
  });
  const base = `http://127.0.0.1:${host.port}`;
  return async (path) => {
    const answer = await fetch(`${base}${path}`);
    return { status: answer.status, body: await answer.json() };
  };
}

const notReady = (detail: RegExp) => ({
  status: 503,
  body: { status: 'not ready', checks: [{ name: 'sample', ok: false, detail: expect.stringMatching(detail) }] },
});

describe('service host', () => {
  it('answers from the first moment, names what it waits for, and serves when all of it is there', async () => {
    const get = await startHost();
    const whenWaitingFor = (detail: RegExp) =>
      waitFor(
        async () => {
          const seen = await get('/readyz');
          expect(seen).toEqual(notReady(detail));
          return true;
        },
        { describe: `to wait for ${detail}` },
      );
    await whenWaitingFor(/^PostgreSQL cannot be reached \(ECONNREFUSED\)/);
    expect((await get('/healthz')).status).toBe(200);
    expect(await get('/things')).toMatchObject({ status: 503, body: { errorCode: 'SERVICE_UNAVAILABLE' } });

    gate.listen(Number(url.port), '127.0.0.1');
    await whenWaitingFor(/^waiting for the broker: connect ECONNREFUSED broker:9092$/);
    expect((await get('/things')).status).toBe(503);

    transport.there = true;
    await host!.whenStarted();
    expect([await get('/readyz'), await get('/things')]).toMatchObject([
      { status: 200, body: { status: 'ready' } },
      { status: 200, body: { things: 1 } },
    ]);
  });

  it('says what the broker lacks while a subscription neither succeeds nor fails', async () => {
    gate.listen(Number(url.port), '127.0.0.1');
    const never = Promise.withResolvers<never>();
    transport.subscribe = () => never.promise;
    transport.readiness = async () => ({ ok: false, detail: 'Kafka does not answer: connect ECONNREFUSED broker:9092' });
    transport.close = async () => never.reject(new Error('closed'));
    const get = await startHost();
    const said = 'waiting for the broker: Kafka does not answer: connect ECONNREFUSED broker:9092';
    await waitFor(async () => JSON.stringify((await get('/readyz')).body).includes(said), { describe: said });
  });

  it('waits for a role that does not exist yet', async () => {
    gate.listen(Number(url.port), '127.0.0.1');
    url.username = 'atrest_not_there';
    const get = await startHost();
    await waitFor(async () => JSON.stringify((await get('/readyz')).body).includes('28P01'), { describe: 'the refusal' });
  });

  it('ends long polls when it stops, and lets nobody in any more', async () => {
    gate.listen(Number(url.port), '127.0.0.1');
    transport.there = true;
    const get = await startHost();
    await host!.whenStarted();
    const before = polls;
    const poll = get('/poll');
    await waitFor(() => polls > before, { describe: 'the poll to arrive' });
    const stopped = host!.stop();
    expect((await poll).body).toEqual({ ended: true });
    await stopped;
    await expect(get('/healthz')).rejects.toThrow();
  });

  it.each(['PostgreSQL', 'the broker'])('stops at once while it waits for %s', async (missing) => {
    if (missing === 'the broker') gate.listen(Number(url.port), '127.0.0.1');
    const get = await startHost();
    await waitFor(async () => JSON.stringify((await get('/readyz')).body).includes(missing), { describe: `the wait for ${missing}` });
    await host!.stop();
    await expect(get('/healthz')).rejects.toThrow();
  });

  it('refuses a port that is taken', async () => {
    await startHost();
    const http = { host: '127.0.0.1', port: host!.port, publicUrl: 'http://atrest.example.com' };
    const second = ServiceHost.start({
      name: 'sample',
      create: createSampleService,
      database: { url: url.href },
      transport,
      http,
      drainMs: 1_000,
      logger,
      metrics: new Metrics({}),
    });
    await expect(second).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});
