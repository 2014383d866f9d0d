import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileConfig, ConfigError, Secret } from '@atrest/platform-config';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { kafkaFields, kafkaSettings } from './kafka-settings.js';
import { KafkaTokenError, mskIamTokens, oauthTokens } from './kafka-tokens.js';

const folder = mkdtempSync(join(tmpdir(), 'atrest-kafka-settings-'));
afterAll(() => rmSync(folder, { recursive: true }));
const pem = join(folder, 'ca.pem');
writeFileSync(pem, 'certificate');

const settings = (environment: Record<string, string>) =>
  kafkaSettings(compileConfig(kafkaFields, { ATREST_KAFKA_BROKERS: 'a:9092,b:9092', ...environment }));
const problemsOf = (environment: Record<string, string>): string[] => {
  try {
    settings(environment);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ variable }) => variable);
    throw error;
  }
};

describe('Kafka settings', () => {
  it('are the brokers alone unless more is said', () => {
    expect(settings({})).toEqual({ brokers: ['a:9092', 'b:9092'], sessionTimeoutMs: 30_000 });
    expect(settings({ ATREST_KAFKA_SESSION_TIMEOUT: '45s' }).sessionTimeoutMs).toBe(45_000);
    expect(settings({ ATREST_KAFKA_TLS: 'true', ATREST_KAFKA_REPLICATION_FACTOR: '3' })).toMatchObject({ ssl: {}, replicationFactor: 3 });
    expect(settings({ ATREST_KAFKA_TLS: 'true', ATREST_KAFKA_TLS_CA: pem }).ssl).toEqual({ ca: Buffer.from('certificate') });
  });

  it('log in by SCRAM, OAUTHBEARER or IAM', () => {
    const login = { ATREST_KAFKA_SASL_USERNAME: 'u', ATREST_KAFKA_SASL_PASSWORD: 'p' };
    expect(settings({ ATREST_KAFKA_SASL_MECHANISM: 'scram-sha-512', ...login }).sasl).toEqual({
      mechanism: 'scram-sha-512',
      username: 'u',
      password: 'p',
    });
    const oauth = {
      ATREST_KAFKA_OAUTH_TOKEN_URL: 'https://idp.example.com/token',
      ATREST_KAFKA_OAUTH_CLIENT_ID: 'c',
      ATREST_KAFKA_OAUTH_CLIENT_SECRET: 's',
    };
    const provider = { mechanism: 'oauthbearer', oauthBearerProvider: expect.any(Function) };
    expect(settings({ ATREST_KAFKA_SASL_MECHANISM: 'oauthbearer', ...oauth }).sasl).toEqual(provider);
    const iam = { ATREST_KAFKA_SASL_MECHANISM: 'aws-msk-iam', ATREST_KAFKA_AWS_REGION: 'eu-central-1', ATREST_KAFKA_TLS: 'true' };
    expect(settings(iam).sasl).toEqual(provider);
  });

  it.each([
    [{ ATREST_KAFKA_SASL_MECHANISM: 'scram-sha-256' }, ['ATREST_KAFKA_SASL_USERNAME', 'ATREST_KAFKA_SASL_PASSWORD']],
    [
      { ATREST_KAFKA_SASL_MECHANISM: 'oauthbearer', ATREST_KAFKA_OAUTH_CLIENT_ID: 'c' },
      ['ATREST_KAFKA_OAUTH_TOKEN_URL', 'ATREST_KAFKA_OAUTH_CLIENT_SECRET'],
    ],
    [{ ATREST_KAFKA_SASL_MECHANISM: 'aws-msk-iam' }, ['ATREST_KAFKA_AWS_REGION']],
    [{ ATREST_KAFKA_SASL_MECHANISM: 'aws-msk-iam', ATREST_KAFKA_AWS_REGION: 'eu-central-1' }, ['ATREST_KAFKA_TLS']],
    [{ ATREST_KAFKA_TLS_CA: pem }, ['ATREST_KAFKA_TLS']],
    [{ ATREST_KAFKA_TLS: 'true', ATREST_KAFKA_TLS_CERT: pem }, ['ATREST_KAFKA_TLS_KEY']],
    [{ ATREST_KAFKA_TLS: 'true', ATREST_KAFKA_TLS_CA: join(folder, 'missing') }, ['ATREST_KAFKA_TLS_CA']],
    [{ ATREST_KAFKA_BROKERS: 'kafka' }, ['ATREST_KAFKA_BROKERS']],
  ])('name what %j lacks', (environment, variables) => {
    expect(problemsOf(environment)).toEqual(variables);
  });
});

describe('OAUTHBEARER tokens', () => {
  it('come by client credentials, are used again, and renewed before they end; a refusal shows no secret', async () => {
    const asked: { authorization: string | undefined; body: string }[] = [];
    let status = 200;
    const server = createServer((request, response) => {
      let body = '';
      request.on('data', (piece: Buffer) => (body += piece.toString()));
      request.on('end', () => {
        asked.push({ authorization: request.headers.authorization, body });
        response.writeHead(status).end(JSON.stringify({ access_token: `token-${asked.length}`, expires_in: 300 }));
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    let now = 0;
    const tokens = oauthTokens({
      tokenUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
      clientId: 'atrest:kafka',
      clientSecret: new Secret('p w+'),
      scope: 'kafka',
      now: () => now,
    });
    expect([await tokens(), await tokens()]).toEqual([{ value: 'token-1' }, { value: 'token-1' }]);
    now = 280_000;
    expect(await tokens()).toEqual({ value: 'token-2' });
    expect(asked[0]).toEqual({
      authorization: `Basic ${Buffer.from('atrest%3Akafka:p+w%2B').toString('base64')}`,
      body: 'grant_type=client_credentials&scope=kafka',
    });
    now = 600_000;
    status = 401;
    await expect(tokens()).rejects.toThrow(new KafkaTokenError('the authorisation server answered 401'));
    status = 200;
    expect(await tokens()).toEqual({ value: 'token-4' });
    server.closeAllConnections();
    server.close();
  });
});

describe('tokens for Amazon MSK', () => {
  it("are requests to connect, signed with the process's own credentials, and used again until shortly before they end", async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIDEXAMPLE');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'the-secret-half');
    const tokens = mskIamTokens('eu-central-1');
    const { value } = await tokens();
    expect((await tokens()).value).toBe(value);
    const url = new URL(Buffer.from(value, 'base64url').toString());
    expect([url.host, url.searchParams.get('Action')]).toEqual(['kafka.eu-central-1.amazonaws.com', 'kafka-cluster:Connect']);
    expect(url.searchParams.get('X-Amz-Credential')).toMatch(/^AKIDEXAMPLE\/\d{8}\/eu-central-1\/kafka-cluster\/aws4_request$/);
    expect(url.searchParams.get('X-Amz-Signature')).toMatch(/^[0-9a-f]{64}$/);
    expect(url.href).not.toContain('the-secret-half');
    vi.unstubAllEnvs();
  });
});
