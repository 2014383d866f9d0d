import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AwsKeyProvider, CallLimiters, sleepFor } from '@atrest/kms';
import { Metrics } from '@atrest/platform-metrics';
import { systemClock } from '@atrest/platform-time';
import {
  beginEpoch,
  FolderObjectStore,
  manifestKey,
  NOT_ENABLED,
  unsealedDataKeys,
  writeSnapshot,
  type EpochOwner,
} from '@atrest/snapshot-store';
import { DevelopmentKms } from '@atrest/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from './run.js';

const ID = '65f0c0ffee65f0c0ffee0101';
const owner: EpochOwner = {
  epochId: '65f0c0ffee65f0c0ffee0001',
  projectId: '65f0c0ffee65f0c0ffee0002',
  clusterId: '65f0c0ffee65f0c0ffee0003',
  encryptionKeyId: 'alias/orders',
};
const never = new AbortController().signal;

describe('atrest-store', () => {
  let folder: string;
  let kms: DevelopmentKms;
  let keyId: string;
  let env: NodeJS.ProcessEnv;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'atrest-cli-'));
    kms = await DevelopmentKms.start({});
    keyId = kms.createKey({ region: 'eu-central-1' }).keyId;
    const credentials = kms.createAccessKey();
    env = {
      ATREST_STORE: join(folder, 'store'),
      ATREST_KMS_AWS_ENDPOINT: kms.url,
      ATREST_KMS_AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      ATREST_KMS_AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    };
    const limiters = new CallLimiters({ clock: systemClock, sleep: sleepFor, quotaOf: () => 1_000 });
    const key = new AwsKeyProvider(
      { keyId, region: 'EU_CENTRAL_1', accessKeyId: credentials.accessKeyId, secretAccessKey: credentials.secretAccessKey },
      { limiters, metrics: new Metrics({ defaultMetrics: false }), endpoint: kms.url },
    );
    const store = await FolderObjectStore.open(env['ATREST_STORE']!, new Date());
    const epoch = await beginEpoch(store, owner, key, new Date());
    await writeFile(join(folder, 'data.wt'), randomBytes(50_000));
    const files = [{ path: 'data.wt', absolutePath: join(folder, 'data.wt'), size: null }];
    const labels = { clusterName: 'orders' };
    await writeSnapshot({
      store,
      epoch,
      snapshotId: ID,
      files,
      labels,
      source: async () => ({ fcv: '4.4' }),
      clock: systemClock,
      signal: never,
    });
    await store.close();
    key.close();
  });
  afterEach(async () => {
    await kms.close();
    await rm(folder, { recursive: true });
  });

  const atrestStore = async (...args: string[]): Promise<{ code: number; lines: string[]; problems: string[] }> => {
    const [lines, problems]: [string[], string[]] = [[], []];
    const code = await run(
      args,
      env,
      { line: (text) => lines.push(text), problem: (error) => problems.push((error as Error).message) },
      never,
    );
    return { code, lines, problems };
  };

  it('lists without any key', async () => {
    env = { ATREST_STORE: env['ATREST_STORE'] };
    const { code, lines } = await atrestStore('list');
    expect(code).toBe(0);
    expect(lines[0]).toContain('key alias/orders');
    expect(lines[1]).toMatch(new RegExp(`^ {2}${ID} .* clusterName=orders$`));
  });

  it('verifies, extracts and rebuilds the catalogue with the store and the key’s credentials alone (F65)', async () => {
    await expect(atrestStore('verify')).resolves.toMatchObject({ code: 0, lines: [expect.stringMatching(`^${ID}  ok`)] });
    await expect(atrestStore('verify', ID, '--percent', '50')).resolves.toMatchObject({ code: 0 });
    await expect(atrestStore('extract', ID, join(folder, 'out'))).resolves.toMatchObject({ code: 0 });
    expect((await readFile(join(folder, 'out/data.wt'))).equals(await readFile(join(folder, 'data.wt')))).toBe(true);
    const { lines } = await atrestStore('rebuild-catalog');
    expect(JSON.parse(lines[0]!)).toMatchObject({
      snapshotId: ID,
      ...owner,
      proven: true,
      files: 1,
      bytes: 50_000,
      source: { fcv: '4.4' },
    });
  });

  it('F65 rebuilds the catalogue from the labels where the key is gone, and says what the provider said', async () => {
    kms.disableKey(keyId);
    const { code, lines, problems } = await atrestStore('rebuild-catalog');
    expect(code).toBe(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({ snapshotId: ID, proven: false, labels: { clusterName: 'orders' } });
    expect(problems).toEqual([expect.stringMatching(/does not unwrap \(KEY_DISABLED; DisabledException/)]);
    await expect(atrestStore('extract', ID, join(folder, 'out'))).rejects.toThrow(/KEY_DISABLED/);
  });

  it('needs no key for snapshots of clusters without encryption at rest, and says that they have none', async () => {
    const store = await FolderObjectStore.open(env['ATREST_STORE']!, new Date());
    const other = { ...owner, epochId: '65f0c0ffee65f0c0ffee0009', encryptionKeyId: NOT_ENABLED };
    const epoch = await beginEpoch(store, other, unsealedDataKeys, new Date());
    const snapshotId = '65f0c0ffee65f0c0ffee0109';
    const files = [{ path: 'data.wt', absolutePath: join(folder, 'data.wt'), size: null }];
    await writeSnapshot({ store, epoch, snapshotId, files, labels: {}, source: async () => ({}), clock: systemClock, signal: never });
    env = { ATREST_STORE: env['ATREST_STORE'] };
    await expect(atrestStore('verify', snapshotId)).resolves.toMatchObject({ code: 0 });
    await expect(atrestStore('extract', snapshotId, join(folder, 'plain'))).resolves.toMatchObject({ code: 0 });
    expect((await readFile(join(folder, 'plain/data.wt'))).equals(await readFile(join(folder, 'data.wt')))).toBe(true);
    expect((await atrestStore('list')).lines.join('\n')).toContain('key Not enabled');
  });

  it('F66 says which objects are missing', async () => {
    const store = await FolderObjectStore.open(env['ATREST_STORE']!, new Date());
    for await (const { key, size } of store.list(`epochs/${owner.epochId}/blocks/`)) if (size > 10_000) await store.delete([key]);
    const { code, lines, problems } = await atrestStore('verify');
    expect(code).toBe(1);
    expect(lines).toEqual([expect.stringMatching(`^${ID}  DAMAGED`)]);
    expect(problems).toEqual([expect.stringMatching(/^The store has no object epochs\//)]);
    await store.delete([manifestKey(owner.epochId, ID)]);
    await expect(atrestStore('verify', ID)).rejects.toThrow(/holds no snapshot/);
  });

  it.each([
    [['frobnicate'], /atrest-store list/],
    [['extract', 'x', 'y'], /24 hexadecimal digits/],
    [['extract', ID], /Name the folder/],
    [['verify', '--percent', '0'], /more than 0/],
  ])('%j is refused with what to do', async (args, message) => {
    await expect(atrestStore(...args)).rejects.toThrow(message);
  });

  it('names the variable that is missing', async () => {
    delete env['ATREST_KMS_AWS_SECRET_ACCESS_KEY'];
    await expect(atrestStore('extract', ID, join(folder, 'out'))).rejects.toThrow(/Set ATREST_KMS_AWS_SECRET_ACCESS_KEY/);
    await expect(run(['list'], {}, { line: () => undefined, problem: () => undefined }, never)).rejects.toThrow(/ATREST_STORE/);
  });
});
