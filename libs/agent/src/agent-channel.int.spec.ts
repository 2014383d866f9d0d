import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from '@atrest/platform-config';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadAgentConfig } from './agent-config.js';
import { ChannelClient } from './channel-client.js';
import { childEnvironment } from './child-environment.js';
import { TEST_CERTIFICATE, TEST_CERTIFICATE_KEY } from './test-certificate.contract.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atrest-channel-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('channel over TLS', () => {
  let server: Server;
  let url: string;

  beforeAll(async () => {
    server = createServer({ key: TEST_CERTIFICATE_KEY, cert: TEST_CERTIFICATE }, (request, response) => {
      if (request.url?.includes('waitSeconds=1')) response.writeHead(200).end('<html>captive proxy</html>');
      else response.writeHead(503, { 'content-type': 'application/json' }).end('{"errorCode":"BUSY","detail":"Later."}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `https://localhost:${(server.address() as { port: number }).port}`;
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  const poll = (ca: string | undefined, wait = 0) => {
    const client = new ChannelClient({ baseUrl: url, ca });
    return client.poll('credential', 0, wait, AbortSignal.timeout(45_000)).finally(() => client.close());
  };

  it('trusts the configured authority and no unknown one', async () => {
    await expect(poll(undefined)).rejects.toMatchObject({ code: 'CHANNEL.UNREACHABLE', transient: true });
    await expect(poll(TEST_CERTIFICATE)).rejects.toMatchObject({
      code: 'CHANNEL.UNAVAILABLE',
      status: 503,
      message: expect.stringContaining('Later.'),
    });
  });

  it('does not take a page of somebody else for an answer, and waits for a better one', async () => {
    await expect(poll(TEST_CERTIFICATE, 1)).rejects.toMatchObject({
      code: 'CHANNEL.NOT_UNDERSTOOD',
      transient: true,
      message: expect.not.stringContaining('captive'),
    });
  });
});

describe('configuration', () => {
  const file = async (change: string) => {
    const path = join(folder, 'agent.yaml');
    await writeFile(
      path,
      `controlPlane: { url: "https://atrest.example" }\ndataFolder: data\nstateFolder: /var/lib/atrest\nportRange: { first: 27017, last: 27099 }\ncapacity: 3\n${change}`,
    );
    return loadAgentConfig(path);
  };

  it('is complete, with absolute paths and milliseconds', async () => {
    await writeFile(join(folder, 'token'), 'a-one-time-token-of-some-length\n');
    const config = await file('tokenFile: token\nstop: { warnAfter: 20s, killAfter: 15m }\n');
    expect(config).toMatchObject({
      dataFolder: join(folder, 'data'),
      stateFolder: '/var/lib/atrest',
      stop: { warnAfterMs: 20_000, killAfterMs: 900_000 },
      allowsColocation: false,
      onTerminate: 'leave',
    });
    expect(config.token?.reveal()).toBe('a-one-time-token-of-some-length');
    expect(JSON.stringify(config)).not.toContain('one-time');
    expect((await file('tokenFile: gone\n')).token).toBeUndefined();
  });

  it.each([
    ['stop: { warnAfter: 30, killAfter: 10m }', /stop\.warnAfter/],
    ['stop: { warnAfter: 10m, killAfter: 30s }', /killAfter/],
    ['token: short', /token/],
    ['portrange: { first: 1024, last: 2048 }', /portrange/],
    ['log: { level: loud }', /log\.level/],
    ['dataFolder: twice', /twice/],
  ])('refuses %s, naming the field', async (change, message) => {
    const refused = file(`${change}\n`);
    await expect(refused).rejects.toBeInstanceOf(ConfigError);
    await expect(refused).rejects.toThrow(message);
  });

  it('sends no credential in the clear, unless the control plane is on the loopback or it is allowed', async () => {
    const path = join(folder, 'plain.yaml');
    const load = async (controlPlane: string) => {
      await writeFile(
        path,
        `controlPlane: ${controlPlane}\ndataFolder: /d\nstateFolder: /s\nportRange: { first: 27017, last: 27099 }\ncapacity: 3\n`,
      );
      return loadAgentConfig(path);
    };
    await expect(load('{ url: "http://atrest.example" }')).rejects.toThrow(/https/);
    await expect(load('{ url: "http://127.0.0.1:8080" }')).resolves.toBeDefined();
    await expect(load('{ url: "http://atrest.example", allowPlainHttp: true }')).resolves.toBeDefined();
  });
});

it('processes inherit no secret of the agent', () => {
  const env = { PATH: '/bin', LC_ALL: 'C', AWS_SECRET_ACCESS_KEY: 'x', ATREST_TOKEN: 'x', MONGOD_SIM_CONTROL: '/tmp/c' };
  expect(childEnvironment(env)).toEqual({ PATH: '/bin', LC_ALL: 'C', MONGOD_SIM_CONTROL: '/tmp/c' });
});
