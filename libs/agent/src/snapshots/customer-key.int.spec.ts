import { newObjectId, type KeyAccessSecret, type ProveSnapshotTask } from '@atrest/contracts';
import { createLogger } from '@atrest/platform-logging';
import { DevelopmentKms } from '@atrest/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { taskKeyOf } from './customer-key.js';
import { type TaskKey } from './task-key.js';

describe('the customer key of a task with a second key', () => {
  let kms: DevelopmentKms;
  let lines: { msg: string; reason?: string }[];
  const task: ProveSnapshotTask = {
    id: newObjectId(),
    kind: 'prove-snapshot',
    projectId: newObjectId(),
    clusterId: newObjectId(),
    epochId: newObjectId(),
    encryptionKeyId: 'the first key',
    keyAccess: 'sealed',
    snapshotId: newObjectId(),
    share: 1,
    proofBlocks: 1,
  };
  const context = { projectId: task.projectId, purpose: 'snapshot-data-key' };
  const dataKey = Buffer.alloc(32, 5);

  beforeAll(async () => {
    kms = await DevelopmentKms.start();
  });
  afterAll(() => kms.close());
  beforeEach(() => {
    kms.clearFaults();
    lines = [];
  });

  /** A task's key over a first and a second key, in two regions. */
  async function open(): Promise<{ readonly key: TaskKey; readonly first: string; readonly second: string }> {
    const [first, second] = [kms.createKey(), kms.createKey({ region: 'eu-west-1' })];
    const accessTo = (arn: string, region: string): KeyAccessSecret['access'] => ({
      provider: 'AWS',
      keyId: arn,
      region,
      ...kms.createAccessKey(),
    });
    const secret: KeyAccessSecret = {
      taskId: task.id,
      projectId: task.projectId,
      encryptionKeyId: 'the first key',
      access: accessTo(first.arn, 'us-east-1'),
      second: accessTo(second.arn, 'EU_WEST_1'),
    };
    const key = await taskKeyOf(task, {
      openSealed: async () => JSON.stringify(secret),
      kms: { aws: { endpoint: kms.url } },
      logger: createLogger({ service: 'agent', destination: { write: (line: string) => void lines.push(JSON.parse(line)) } }),
    });
    return { key, first: first.arn, second: second.arn };
  }

  const said = (words: RegExp) => lines.filter(({ msg }) => words.test(msg));

  it('is wrapped by both, and unwrapped by the second while the first cannot be asked, which is said', async () => {
    const { key, first, second } = await open();
    const blob = JSON.parse(JSON.stringify(await key.wrap(dataKey, context))) as never;
    expect(blob).toMatchObject({ resolvedKeyId: first, second: { resolvedKeyId: second } });
    expect(Buffer.from(await key.unwrap(blob, context))).toEqual(dataKey);
    expect(lines).toEqual([]);
    kms.inject({ kind: 'error', status: 503, keyId: first });
    expect(Buffer.from(await key.unwrap(blob, context))).toEqual(dataKey);
    expect(said(/second key unwrapped/)).toMatchObject([{ reason: 'PROVIDER_ERROR' }]);
    expect(JSON.stringify(lines)).not.toContain(dataKey.toString('base64'));
    key.close();
  });

  it('is not unwrapped by the second when the first was revoked', async () => {
    const { key, first } = await open();
    const blob = (await key.wrap(dataKey, context)) as never;
    const before = kms.calls().length;
    kms.disableKey(first);
    await expect(key.unwrap(blob, context)).rejects.toMatchObject({ code: 'KEY_REFUSED' });
    kms.inject({ kind: 'error', status: 503, keyId: first });
    await expect(key.unwrap(blob, context)).rejects.toMatchObject({ code: 'KEY_UNREACHABLE' });
    const asked = kms.calls().slice(before);
    expect(asked.map(({ region }) => region)).not.toContain('eu-west-1');
    key.close();
  });

  it('is wrapped by the first alone when the second refuses, which is said', async () => {
    const { key, second } = await open();
    kms.disableKey(second);
    expect(await key.wrap(dataKey, context)).not.toHaveProperty('second');
    expect(said(/second key did not wrap/)).toMatchObject([{ reason: 'KEY_DISABLED' }]);
    key.close();
  });
});
