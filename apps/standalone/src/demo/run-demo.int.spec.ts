import { once } from 'node:events';
import { access, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import type { MailCatcher } from '@atrest/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runDemo } from './run-demo.js';

/** An API that takes connections and never answers: the demo hangs in its first step. */
const silent = createServer(() => undefined);
beforeAll(async () => {
  await once(silent.listen(0, '127.0.0.1'), 'listening');
});
afterAll(() => silent.close());

it('an interrupted demo stops everything before it ends, and keeps its log', async () => {
  const interruption = new AbortController();
  let folder = '';
  let stopped = 0;
  const running = runDemo(
    {
      parts: 'nothing',
      start: (environment) => {
        folder = environment['ATREST_DATA_DIR']!;
        return Promise.resolve({
          summary: {
            apiUrl: `http://127.0.0.1:${(silent.address() as AddressInfo).port}`,
            owner: { clientId: 'c', secret: 's', orgId: 'o' },
            mailboxUrl: null,
            developmentKms: { server: { url: 'http://127.0.0.1:9' }, credentials: { accessKeyId: 'a', secretAccessKey: 's' } },
            servers: { mongod: '', mongos: null, description: 'none', simulated: true },
          } as never,
          mailCatcher: {} as MailCatcher,
          stop: () => Promise.resolve(void (stopped += 1)),
          leftRunning: () => Promise.resolve([]),
        });
      },
    },
    interruption.signal,
  );
  const [socket] = (await once(silent, 'connection')) as [{ destroy(): void }];
  interruption.abort();
  await expect(running).rejects.toThrow(/interrupted/);
  socket.destroy();
  expect(stopped).toBe(1);
  await access(folder);
  await rm(folder, { recursive: true, force: true });
});
