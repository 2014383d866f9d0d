import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { Metrics } from '@atrest/platform-metrics';
import { systemClock } from '@atrest/platform-time';
import { DevelopmentKms, type Credentials } from '@atrest/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CallLimiters } from '../call-limiter.js';
import { checkCanary, proveKey } from '../canary.js';
import { sleepFor } from '../transient-retries.js';
import { AwsConnections } from './aws-connections.js';
import { AwsKeyProvider, awsRequestQuotaOf } from './aws-key-provider.js';

const context = { projectId: '65f0c0ffee65f0c0ffee65f0', purpose: 'canary' };
const limiters = new CallLimiters({ clock: systemClock, sleep: sleepFor, quotaOf: awsRequestQuotaOf });

describe('connections to AWS that keys share', () => {
  let kms: DevelopmentKms;
  let connections: AwsConnections;
  let endpoint: string;
  let sockets: Socket[];
  let end: () => void;

  beforeEach(async () => {
    kms = await DevelopmentKms.start();
    connections = new AwsConnections({ requestTimeoutMs: 2_000 });
    sockets = [];
    // Counts connections, which the development KMS does not tell.
    const relay = createServer((socket) => {
      sockets.push(socket);
      const onward = connect(Number(new URL(kms.url).port), '127.0.0.1');
      for (const each of [socket, onward]) each.on('error', () => each.destroy());
      socket.pipe(onward).pipe(socket);
    });
    await new Promise<void>((resolve) => void relay.listen(0, '127.0.0.1', resolve));
    endpoint = `http://127.0.0.1:${(relay.address() as AddressInfo).port}`;
    end = () => relay.close();
  });
  afterEach(async () => {
    connections.close();
    for (const socket of sockets) socket.destroy();
    end();
    await kms.close();
  });

  const open = (credentials: Credentials, keyId: string): AwsKeyProvider =>
    new AwsKeyProvider({ keyId, region: 'US_EAST_1', ...credentials }, { endpoint, connections, limiters, metrics: new Metrics() });

  it('carry the calls of different credentials, each signed with its own, and outlive the provider of any', async () => {
    const [mine, theirs] = [kms.createAccessKey({ userName: 'mine' }), kms.createAccessKey({ userName: 'theirs' })];
    const { arn } = kms.createKey();
    const [first, second] = [open(mine, arn), open(theirs, arn)];
    const { canary } = await proveKey(first, context);
    kms.deny({ accessKeyId: mine.accessKeyId });
    expect(await checkCanary(second, canary!, context)).toMatchObject({ kind: 'usable' });
    expect(await checkCanary(first, canary!, context)).toMatchObject({ reason: 'ACCESS_DENIED' });
    first.close();
    expect(await checkCanary(second, canary!, context)).toMatchObject({ kind: 'usable' });
    expect(sockets).toHaveLength(1);
    await expect(first.unwrap(canary!.blob, context)).rejects.toThrow('closed');
  });

  it('are not what a fresh provider uses', async () => {
    const provider = open(kms.createAccessKey(), kms.createKey().arn);
    const { canary } = await proveKey(provider, context);
    const fresh = provider.fresh();
    expect(await checkCanary(fresh, canary!, context)).toMatchObject({ kind: 'usable' });
    expect(sockets).toHaveLength(2);
    fresh.close();
    expect(await checkCanary(provider, canary!, context)).toMatchObject({ kind: 'usable' });
    expect(sockets).toHaveLength(2);
  });

  it('that were forgotten on the way cost one call its answer, not each of those that come after', async () => {
    const { arn } = kms.createKey();
    const provider = open(kms.createAccessKey(), arn);
    const { canary } = await proveKey(provider, context);
    await Promise.all(Array.from({ length: 4 }, () => checkCanary(provider, canary!, context)));
    // Nothing arrives on what is open by now, and nobody says so.
    const forgotten = sockets.splice(0);
    expect(forgotten.length).toBeGreaterThan(1);
    for (const socket of forgotten) {
      socket.unpipe();
      socket.pause();
    }
    expect(await checkCanary(provider, canary!, context)).toMatchObject({ kind: 'transient', reason: 'TIMEOUT' });
    expect(await checkCanary(provider, canary!, context)).toMatchObject({ kind: 'usable' });
    for (const socket of forgotten) socket.destroy();
  });

  it('fail the calls in flight of a provider that is closed, and only those', async () => {
    const { arn } = kms.createKey();
    const [first, second] = [open(kms.createAccessKey(), arn), open(kms.createAccessKey(), arn)];
    const { canary } = await proveKey(first, context);
    kms.inject({ kind: 'hang', phase: 'before-answer', count: 1 });
    const refused = first.unwrap(canary!.blob, context).catch((error: unknown) => error);
    await kms.waitForCalls((calls) => calls.length === 3);
    first.close();
    expect(await refused).toMatchObject({ name: 'AbortError' });
    expect(await checkCanary(second, canary!, context)).toMatchObject({ kind: 'usable' });
  });
});
