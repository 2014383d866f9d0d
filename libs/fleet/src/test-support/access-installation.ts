// A fleet that consists of its access part only, for this part's suites: real database, real HTTP.
import { accessModule, SealingKeys } from '@atrest/platform-auth';
import { createHttpApp, type HttpApp } from '@atrest/platform-http';
import { createLogger } from '@atrest/platform-logging';
import { EventPublisher, messagingMigrations } from '@atrest/platform-messaging';
import { Metrics } from '@atrest/platform-metrics';
import { ServiceDatabase } from '@atrest/platform-persistence';
import type { Clock } from '@atrest/platform-time';
import { createAccess, fleetAccessMigrations, type FleetAccess } from '../access/fleet-access.js';

export const ISSUER = 'https://atrest.test';
export const SEALING_KEY = SealingKeys.generate('k1');

/** What was logged in this process so far: to look for what must not be there. */
export const logLines: string[] = [];

const logger = createLogger({ service: 'test', level: 'trace', destination: { write: (line: string) => void logLines.push(line) } });

/** One replica of fleet's access part. */
export interface Replica {
  readonly database: ServiceDatabase;
  readonly access: FleetAccess;
  close(): Promise<void>;
}

export async function openReplica(o: { url: string; clock: Clock; sealingKeys?: string }): Promise<Replica> {
  const database = await ServiceDatabase.open({
    service: 'fleet',
    url: o.url,
    migrations: [...messagingMigrations, ...fleetAccessMigrations],
    logger,
    metrics: new Metrics({}),
  });
  const access = createAccess({
    database,
    publisher: new EventPublisher('fleet', o.clock),
    clock: o.clock,
    logger,
    sealingKeys: SealingKeys.parse(o.sealingKeys ?? SEALING_KEY),
    issuer: ISSUER,
  });
  return {
    database,
    access,
    close: async () => {
      await access.stop();
      await database.close();
    },
  };
}

/** What came back, with the body parsed where there is one. */
export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // eslint-disable-next-line typescript/no-explicit-any -- suites look into bodies of many shapes; what they expect is their assertion.
  readonly body: any;
}

export interface Client {
  readonly url: string;
  call(method: string, path: string, o?: { token?: string; body?: unknown }): Promise<Reply>;
  /** A token request with credentials in the header. */
  logIn(clientId: string, secret: string): Promise<Reply>;
  token(account: { clientId: string; secret: string }): Promise<string>;
  form(path: string, fields: Record<string, string>, headers?: Record<string, string>): Promise<Reply>;
  close(): Promise<void>;
}

/** The HTTP side of a replica. @param projects which organisation each project is of */
export async function serve(replica: Replica, clock: Clock, projects: ReadonlyMap<string, string>): Promise<Client> {
  class AccessPart {}
  const app: HttpApp = await createHttpApp({
    modules: [
      accessModule({
        store: replica.access.store,
        clock,
        logger,
        issuer: ISSUER,
        projects: { organisationOf: async (id) => projects.get(id) ?? null },
        projectionWaitMs: 0,
      }),
      { module: AccessPart, controllers: [...replica.access.controllers], providers: [...replica.access.providers] },
    ],
    logger,
    metrics: new Metrics({}),
  });
  const url = await app.listen(0, '127.0.0.1');
  const reply = async (response: Response): Promise<Reply> => {
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, body: text === '' ? undefined : JSON.parse(text) };
  };
  const call: Client['call'] = async (method, path, { token, body } = {}) =>
    reply(
      await fetch(`${url}${path}`, {
        method,
        headers: {
          accept: 'application/vnd.atlas.2025-03-12+json',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
    );
  const form: Client['form'] = async (path, fields, headers = {}) =>
    reply(await fetch(`${url}${path}`, { method: 'POST', headers, body: new URLSearchParams(fields) }));
  const logIn: Client['logIn'] = (clientId, secret) =>
    form('/api/oauth/token', { grant_type: 'client_credentials' }, { authorization: basic(clientId, secret) });
  return {
    url,
    call,
    form,
    logIn,
    token: async ({ clientId, secret }) => {
      const { status, body, text } = await logIn(clientId, secret);
      if (status !== 200) throw new Error(`no token: ${status} ${text}`);
      return body.access_token as string;
    },
    close: () => app.close(),
  };
}

export const basic = (clientId: string, secret: string): string => `Basic ${Buffer.from(`${clientId}:${secret}`).toString('base64')}`;
