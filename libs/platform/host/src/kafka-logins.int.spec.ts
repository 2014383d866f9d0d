import { once } from 'node:events';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EventEnvelope, Topic } from '@atrest/contracts';
import { compileConfig } from '@atrest/platform-config';
import { createLogger } from '@atrest/platform-logging';
import type { ReceivedEvent } from '@atrest/platform-messaging';
import { KafkaTransport } from '@atrest/platform-messaging-kafka';
import { KafkaBroker, KAFKA_START_LIMIT_MS, kafkaAvailable, waitFor } from '@atrest/testing';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { kafkaFields, kafkaSettings } from './kafka-settings.js';

const USERNAME = 'atrest';
const PASSWORD = 'a pass-word of this test';
const ISSUER = 'https://idp.example.com';

/** An authorisation server: a token for whoever knows the secret, as RFC 6749 §4.4 has it. */
class AuthorisationServer {
  /** What tokens say beyond subject and time; tests spoil it. */
  claims = { iss: ISSUER, aud: 'kafka' };
  signsWith: CryptoKey;

  private constructor(
    readonly publicJwk: JWK,
    readonly privateKey: CryptoKey,
    private readonly server: Server,
  ) {
    this.signsWith = privateKey;
  }

  static async start(): Promise<AuthorisationServer> {
    const { publicKey, privateKey } = await generateKeyPair('RS256');
    const publicJwk = await exportJWK(publicKey);
    const kid = await calculateJwkThumbprint(publicJwk);
    const server = createServer();
    const started = new AuthorisationServer({ ...publicJwk, kid, alg: 'RS256', use: 'sig' }, privateKey, server);
    server.on('request', (request, response) => {
      const allowed = request.headers.authorization === `Basic ${Buffer.from('atrest:s3cret').toString('base64')}`;
      if (!allowed) response.writeHead(401).end();
      else void started.token().then((token) => response.end(JSON.stringify({ access_token: token, expires_in: 300 })));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return started;
  }

  get tokenUrl(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/token`;
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private token(): Promise<string> {
    return new SignJWT({ ...this.claims, scope: 'kafka' })
      .setProtectedHeader({ alg: 'RS256', kid: this.publicJwk.kid!, typ: 'JWT' })
      .setSubject('atrest')
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(this.signsWith);
  }
}

describe.skipIf(!(await kafkaAvailable()))('logging in to Apache Kafka', () => {
  let broker: KafkaBroker;
  let idp: AuthorisationServer;
  let folder: string;
  let strangersKey: CryptoKey;
  let transport: KafkaTransport | undefined;
  const log: string[] = [];

  beforeAll(async () => {
    idp = await AuthorisationServer.start();
    strangersKey = (await generateKeyPair('RS256')).privateKey;
    folder = await mkdtemp(join(tmpdir(), 'atrest-kafka-logins-'));
    broker = await KafkaBroker.start({
      logins: {
        scram: { username: USERNAME, password: PASSWORD },
        oauth: { keys: [idp.publicJwk], issuer: ISSUER, audience: 'kafka' },
      },
    });
  }, KAFKA_START_LIMIT_MS);
  afterEach(async () => {
    await transport?.close();
    transport = undefined;
    idp.claims = { iss: ISSUER, aud: 'kafka' };
    idp.signsWith = idp.privateKey;
    log.length = 0;
  });
  afterAll(async () => {
    await broker?.stop();
    idp?.close();
    await rm(folder, { recursive: true });
  });

  const encrypted = () => broker.encrypted!;
  const viaSasl = (mechanism: string, more: Record<string, string>): Record<string, string> => ({
    ATREST_KAFKA_BROKERS: encrypted().sasl,
    ATREST_KAFKA_TLS: 'true',
    ATREST_KAFKA_TLS_CA: encrypted().files.ca,
    ATREST_KAFKA_SASL_MECHANISM: mechanism,
    ...more,
  });
  const scram = (mechanism: string, password = PASSWORD): Record<string, string> =>
    viaSasl(mechanism, { ATREST_KAFKA_SASL_USERNAME: USERNAME, ATREST_KAFKA_SASL_PASSWORD: password });
  const oauth = (clientSecret = 's3cret'): Record<string, string> =>
    viaSasl('oauthbearer', {
      ATREST_KAFKA_OAUTH_TOKEN_URL: idp.tokenUrl,
      ATREST_KAFKA_OAUTH_CLIENT_ID: 'atrest',
      ATREST_KAFKA_OAUTH_CLIENT_SECRET: clientSecret,
      ATREST_KAFKA_OAUTH_SCOPE: 'kafka',
    });
  /** As OAUTHBEARER, with tokens that the broker must not take. */
  const spoiled = (claims: Partial<AuthorisationServer['claims']>, key: CryptoKey = idp.privateKey): Record<string, string> => {
    idp.claims = { ...idp.claims, ...claims };
    idp.signsWith = key;
    return oauth();
  };
  const certificate = (): Record<string, string> => ({
    ATREST_KAFKA_BROKERS: encrypted().tls,
    ATREST_KAFKA_TLS: 'true',
    ATREST_KAFKA_TLS_CA: encrypted().files.ca,
    ATREST_KAFKA_TLS_CERT: encrypted().files.cert,
    ATREST_KAFKA_TLS_KEY: encrypted().files.key,
  });

  const topic: Topic = { name: `test.${randomUUID()}`, partitions: 1, compacted: false, retentionDays: 1, description: 'of one test' };

  /** The transport that a service with this environment has. */
  function connect(environment: Record<string, string>): KafkaTransport {
    transport = new KafkaTransport({
      ...kafkaSettings(compileConfig(kafkaFields, environment)),
      clientId: 'test',
      groupPrefix: randomUUID(),
      topics: [topic],
      requestRetries: 1,
      logger: createLogger({ service: 'test', level: 'debug', destination: { write: (line: string) => void log.push(line) } }),
    });
    return transport;
  }

  it.each<[string, () => Record<string, string>]>([
    ['TLS and a client certificate', certificate],
    ['SCRAM-SHA-256', () => scram('scram-sha-256')],
    ['SCRAM-SHA-512', () => scram('scram-sha-512')],
    ['OAUTHBEARER', () => oauth()],
  ])('%s: events go there and back', async (_, environment) => {
    const connected = connect(environment());
    const id = randomUUID();
    const envelope: EventEnvelope = {
      specversion: '1.0',
      id,
      source: '/atrest/test',
      type: 'io.atrest.sample.changed.v1',
      subject: 'a',
      time: new Date().toISOString(),
      datacontenttype: 'application/json',
      correlationid: 'c',
      data: {},
    };
    const received: unknown[] = [];
    const receive = async (batch: readonly ReceivedEvent[]): Promise<void> => {
      received.push(...batch.map((event) => (event.envelope as Partial<EventEnvelope>).id));
    };
    await connected.subscribe({ service: 'test', topics: [topic.name], receive });
    await connected.send([{ topic: topic.name, envelope }]);
    await waitFor(() => received.includes(id), { describe: 'the event' });
    expect(await connected.readiness()).toEqual({ ok: true });
    expect(log.join('')).not.toMatch(/a pass-word of this test|s3cret/);
  });

  it.each<[string, () => Record<string, string> | Promise<Record<string, string>>, RegExp]>([
    ['a wrong password', () => scram('scram-sha-512', 'wrong-pass-word'), /authentication/i],
    ['a wrong client secret', () => oauth('wrong-pass-word'), /answered 401/],
    ['a token for another audience', () => spoiled({ aud: 'elsewhere' }), /Kafka does not answer/],
    ['a token of another issuer', () => spoiled({ iss: 'https://elsewhere.example.com' }), /Kafka does not answer/],
    ['a token that somebody else signed', () => spoiled({}, strangersKey), /Kafka does not answer/],
    [
      'no client certificate',
      () => {
        const named = Object.entries(certificate());
        return Object.fromEntries(named.filter(([name]) => !/TLS_(CERT|KEY)$/.test(name)));
      },
      /Kafka does not answer/,
    ],
    [
      'an authority that did not sign the certificate of the broker',
      async () => {
        const other = join(folder, 'other.pem');
        await writeFile(other, '');
        return { ...scram('scram-sha-512'), ATREST_KAFKA_TLS_CA: other };
      },
      /certificate|self.signed|unable to/i,
    ],
    ['no login', () => ({ ATREST_KAFKA_BROKERS: encrypted().sasl }), /Kafka does not answer/],
  ])('%s: is refused, said in readiness, and no secret is shown', async (_, environment, detail) => {
    const connected = connect(await environment());
    expect(await connected.readiness()).toEqual({ ok: false, detail: expect.stringMatching(detail) });
    await expect(connected.subscribe({ service: 'test', topics: [topic.name], receive: async () => undefined })).rejects.toThrow();
    expect(log.join('')).not.toMatch(/wrong-pass-word/);
  });
});
